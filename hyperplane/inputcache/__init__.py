"""Inputs of object stores as local files: fetched once, verified, shared by the runs of this machine."""

from hyperplane.inputcache.cache import InputCache

__all__ = ["InputCache"]
