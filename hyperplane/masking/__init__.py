"""Keeps the values of secrets out of texts, streams and records, in every spelling they turn up in."""

from hyperplane.masking.harmless import HarmlessStream, harmless
from hyperplane.masking.masker import Masker, is_secret_name
from hyperplane.masking.process import process_masker
from hyperplane.masking.stream import StreamMasker

__all__ = ["HarmlessStream", "Masker", "StreamMasker", "harmless", "is_secret_name", "process_masker"]
