"""Deltas that cross together become one, as bytes, before anything else is done with them. Pure.

They would share a frame and a time anyway. What is left of the way (redaction, the ledger, a
number, the journal, the link) is then gone once for many.

Source: PROTOCOL, "Consecutive deltas of a block may be merged before they are numbered".
"""

from __future__ import annotations

import re

JOINED_BYTES = 16 * 1024
"""What a joined delta holds at most, but for its last piece: it never fills a frame by itself."""

LINGERS = (b'{"type":"block.delta"', b'{"type":"tool.output"')
"""How the payloads begin that may be joined: deltas, which are most of all events."""

_TEXT = b'"text":"'
_END = b'"}'
_INSIDE_A_STRING = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)


class DeltaRun:
    """Deltas of the same block, or outputs of the same tool call, that directly follow each other.

    Whoever takes something else calls `take` before, so that no order changes.
    """

    def __init__(self) -> None:
        self._turn = ""
        self._prefix = b""
        self._pieces: list[bytes] = []
        self._bytes = 0

    def add(self, turn: str, payload: bytes) -> bool:
        """Take a payload in where it goes on with the run, or begins one in an empty run.

        Args:
            turn: Its turn.
            payload: From `encode_payload`.

        Returns:
            Whether it was taken in; else `take` what there is, and try once more.
        """
        prefix = self._prefix
        if not prefix:
            return self._begin(turn, payload)
        if self._bytes > JOINED_BYTES or turn != self._turn or not payload.startswith(prefix):
            return False
        return self._keep(payload[len(prefix) :])

    def take(self) -> tuple[str, bytes] | None:
        """The run's turn and its one payload; None where it is empty."""
        prefix, self._prefix = self._prefix, b""
        if not prefix:
            return None
        pieces, self._pieces = self._pieces, []
        return self._turn, b"".join((prefix, *pieces, _END))

    def _begin(self, turn: str, payload: bytes) -> bool:
        if not payload.startswith(LINGERS):
            return False
        # Inside of a string its quotes would be escaped, so this is where the field begins.
        cut = payload.find(_TEXT) + len(_TEXT)
        if cut < len(_TEXT):
            return False
        self._bytes = 0
        if not self._keep(payload[cut:]):
            return False
        self._turn, self._prefix = turn, payload[:cut]
        return True

    def _keep(self, rest: bytes) -> bool:
        """Keep the text; `rest` must be that, and nothing behind it but the end of the payload."""
        text = rest[:-2]
        if not rest.endswith(_END) or (b'"' in text and not _INSIDE_A_STRING.fullmatch(text)):
            return False
        self._pieces.append(text)
        self._bytes += len(text)
        return True
