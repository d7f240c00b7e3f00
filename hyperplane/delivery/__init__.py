"""From a run folder to its destination: verified, resumable, and said to be there only when it is."""
