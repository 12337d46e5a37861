"""Deltas that cross together become one, as bytes, before anything else is done with them. Pure.

They would share a frame and a time anyway. What is left of the way (redaction, the ledger, a
number, the journal, the link) is then gone once for many.

This holds nothing beyond the end of one crossing, and sees only what the adapter says. To hold a
delta until the gateway takes more is `merging`'s: it stands where the shell's own events pass as
well, which it must not let overtake, and behind redaction, so that nothing unredacted waits.

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

    Attributes:
        payloads: What is in it.
    """

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._turn = ""
        self._prefix = b""
        self._room = 0

    def add(self, turn: str, payload: bytes) -> bool:
        """Take a payload in where it goes on with the run; else `take` that, and `begin` another.

        Args:
            turn: Its turn.
            payload: From `encode_payload`.

        Returns:
            Whether it was taken in.
        """
        if self._room <= 0 or not payload.startswith(self._prefix) or turn != self._turn:
            return False
        self._room -= len(payload) - len(self._prefix)
        self.payloads.append(payload)
        return True

    def begin(self, turn: str, payload: bytes) -> bool:
        """Begin a run, which must be empty, with a payload; False where none begins with it."""
        if not payload.startswith(LINGERS):
            return False
        # Inside of a string its quotes would be escaped, so this is where the field begins.
        cut = payload.find(_TEXT) + len(_TEXT)
        if cut < len(_TEXT):
            return False
        self._turn, self._prefix, self._room = turn, payload[:cut], JOINED_BYTES
        return self.add(turn, payload)

    def take(self) -> tuple[str, list[bytes]]:
        """The run's turn and its payloads, joined to one; none where it is empty."""
        payloads, self.payloads, self._room = self.payloads, [], 0
        if len(payloads) < 2:
            return self._turn, payloads
        cut = len(self._prefix)
        text = b"".join([payload[cut:-2] for payload in payloads])
        # Where another field follows the text, its name is in quotes that nothing escapes.
        if b'"' in text and not _INSIDE_A_STRING.fullmatch(text):
            return self._turn, payloads
        return self._turn, [b"".join((self._prefix, text, _END))]
