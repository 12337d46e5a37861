"""What the processes tell the bench: lines that are appended to one file."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

VARIABLE = "BENCH_NOTES"
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 120.0


def note(what: str, **fields: Any) -> None:
    """Say that something happened just now."""
    line = msgspec.json.encode({"what": what, "at": time.monotonic(), **fields})
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line + b"\n")
    finally:
        os.close(file)


class Notes:
    """Reads them.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._read = 0
        self._new: deque[dict[str, Any]] = deque()

    def skip(self) -> None:
        """What was noted until now is of no interest."""
        self._lines()
        self._new.clear()

    async def next(self, what: str) -> dict[str, Any]:
        """Wait for the next note of this kind.

        Raises:
            TimeoutError: It does not come.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._new += self._lines()
                while self._new:
                    line = self._new.popleft()
                    if line["what"] == what:
                        return line
                await asyncio.sleep(POLL_SECONDS)

    def _lines(self) -> list[dict[str, Any]]:
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return [msgspec.json.decode(line) for line in whole.splitlines()]
