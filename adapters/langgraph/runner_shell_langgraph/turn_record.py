"""What a turn began with, so that a next process can begin it again.

Between a turn's start and the graph's first checkpoint there is a moment in which the message is
nowhere but here. The file lies beside the checkpoints and is written as they are: strict, and
encrypted where there is a key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from langgraph.checkpoint.serde.base import SerializerProtocol

FILE = "turn"


@dataclass(frozen=True)
class Begun:
    """A turn that was begun.

    Attributes:
        after: The thread's checkpoint at that time; empty where it had none.
        input: What the graph was to be run with.
    """

    after: str
    input: Any


class TurnRecord:
    """The newest turn's beginning, in a file.

    Args:
        directory: A private directory.
        serde: What writes and reads.
    """

    def __init__(self, directory: Path, serde: SerializerProtocol) -> None:
        self._file = directory / FILE
        self._serde = serde

    def write(self, begun: Begun) -> None:
        """Put it in place of the one before, in one step.

        Raises:
            OSError: The directory cannot be written.
        """
        kind, content = self._serde.dumps_typed({"after": begun.after, "input": begun.input})
        new = self._file.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with new.open("wb") as opened:
            opened.write(msgspec.msgpack.encode((kind, content)))
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._file)

    def read(self) -> Begun | None:
        """The newest turn's beginning; None where there is none."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return None
        kind, encoded = msgspec.msgpack.decode(content, type=tuple[str, bytes])
        return Begun(**self._serde.loads_typed((kind, encoded)))
