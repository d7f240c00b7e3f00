"""Inputs of object stores as local files: fetched once, verified, shared by the runs of this machine."""

from hyperplane.inputcache.cache import InputCache
from hyperplane.inputcache.place import cache_folder

__all__ = ["InputCache", "cache_folder"]
