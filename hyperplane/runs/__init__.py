"""Runs from the outside: the job file, the record of a run, the runner."""
