"""Secrets in what is about to leave: looked for in outputs, their names and events, before each is sent."""

import json
from functools import cached_property
from typing import Any

from hyperplane import secretscan
from hyperplane.delivery.places import OUTPUTS, PARTIAL
from hyperplane.errors import DeliveryError
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir

WARN, BLOCK, OFF = "warn", "block", "off"


class Inspection:
    """What `secret_scan` asks for: `block` keeps a file here, `warn` only says what is in it."""

    def __init__(self, run: RunDir, masker: Masker) -> None:
        self._run = run
        self._masker = masker
        self._findings: dict[str, tuple[str, ...]] = {}

    def lets_pass(self, path: str, name: str, content: bytes | int) -> bool:
        """Say whether a file may leave: what it holds, or its open descriptor.

        Raises `OutputError` where it cannot be read.
        """
        mode = self._mode
        is_looked_into = path.startswith((OUTPUTS, PARTIAL)) or path == self._run.events.name
        if mode == OFF or not is_looked_into:
            return True
        found = tuple(map(str, self._scan(name, content)))
        # a version that was replaced tells nothing of this one
        self._findings.pop(path, None)
        if found:
            self._findings[path] = found
        return mode != BLOCK or not found

    def _scan(self, name: str, content: bytes | int) -> list[secretscan.Finding]:
        if isinstance(content, int):
            return secretscan.scan_open(self._masker, name, content)
        return secretscan.scan(self._masker, name, content)

    def is_kept_back(self, path: str) -> bool:
        """Say whether a file did not pass."""
        return self._mode == BLOCK and path in self._findings

    @property
    def sentences(self) -> list[str]:
        """What was found, by file, without any value."""
        return [sentence for path in sorted(self._findings) for sentence in self._findings[path]]

    def check(self) -> None:
        """Raise `DeliveryError` when a file did not pass."""
        if self._mode != BLOCK or not self._findings:
            return
        first, *others = self.sentences
        more = f", and {len(others)} more" if others else ""
        raise DeliveryError(
            f"secrets stand in what was to be delivered: {first}{more}",
            hint="Keep secrets out of outputs, or say `secret_scan: warn` in the job file.",
            run_id=self._run.run_id,
        )

    @cached_property
    def _mode(self) -> str:
        # read once, for it stays the same and a run may have 100,000 outputs
        return str(_record(self._run).get("secret_scan", WARN))


def _record(run: RunDir) -> dict[str, Any]:
    try:
        told = json.loads(run.record.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
