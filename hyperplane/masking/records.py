"""Masks structured records leaf by leaf, before they are serialised."""

from collections.abc import Callable
from typing import Any

TOO_DEEP = "<nested too deep>"
CYCLE = "<contains itself>"
_MAX_DEPTH = 64


class RecordMasker:
    """Copies one record with every text in it masked, whatever its shape."""

    def __init__(self, mask: Callable[[str], str], mask_bytes: Callable[[bytes], bytes]) -> None:
        self._mask = mask
        self._mask_bytes = mask_bytes
        self._copies: dict[int, Any] = {}

    def copy(self, node: Any, depth: int = 0) -> Any:
        """Return a masked copy of a container or text, and any other object as it is."""
        if isinstance(node, str):
            return self._mask(node)
        if isinstance(node, bytes):
            return self._mask_bytes(node)
        if not isinstance(node, dict | list | tuple | set | frozenset):
            return node
        if depth == _MAX_DEPTH:
            return TOO_DEEP
        # Copies are made once: shared parts of a record must not multiply the work.
        if id(node) not in self._copies:
            self._copies[id(node)] = CYCLE
            self._copies[id(node)] = self._copy_container(node, depth + 1)
        return self._copies[id(node)]

    def _copy_container(self, node: Any, depth: int) -> Any:
        if isinstance(node, dict):
            return self._copy_dict(node, depth)
        items = [self.copy(item, depth) for item in node]
        if isinstance(node, list):
            return items
        if isinstance(node, tuple):
            return node._make(items) if hasattr(node, "_make") else tuple(items)
        return frozenset(items) if isinstance(node, frozenset) else set(items)

    def _copy_dict(self, node: dict[Any, Any], depth: int) -> dict[Any, Any]:
        copy: dict[Any, Any] = {}
        for key, value in node.items():
            masked = self.copy(key, depth)
            while masked in copy and isinstance(masked, str):
                masked += "*"
            copy[masked] = self.copy(value, depth)
        return copy
