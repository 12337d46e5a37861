"""The file for a container's last words, as the guardian writes it for a runner that could not."""

from __future__ import annotations

import os
import sys

__all__ = ["TerminationLog"]


class TerminationLog:
    """Written only if the runner, since this was made, has not written there itself."""

    __slots__ = ("_before", "_path")

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._before = self._stamp()

    def record(self, outcome: str, reason: str) -> None:
        """Write an ending that the runner could not; a failure goes to stderr."""
        if self._path is None or self._was_written():
            return
        import json

        ending = {
            "outcome": outcome,
            "reason": reason,
            "resumable": False,
            "last_acked": None,
            "cost": None,
        }
        try:
            # In place: Kubernetes mounts this very file, a rename onto it would fail.
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(json.dumps(ending) + "\n")
        except OSError as error:
            print(f"cannot write the termination log: {error}", file=sys.stderr, flush=True)

    def _was_written(self) -> bool:
        """Say whether it has new content; it exists beforehand, often, empty or from last time."""
        now = self._stamp()
        return now is not None and now != self._before and now[-1] > 0

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
