"""Parallel copies between local folders and object stores: whole files or none, and the results as data."""

from hyperplane.transfer.download import Download, download
from hyperplane.transfer.filters import Filter
from hyperplane.transfer.outcome import Progress, ProgressCallback, Transfer
from hyperplane.transfer.running import Options
from hyperplane.transfer.upload import Upload, upload

__all__ = [
    "Download",
    "Filter",
    "Options",
    "Progress",
    "ProgressCallback",
    "Transfer",
    "Upload",
    "download",
    "upload",
]
