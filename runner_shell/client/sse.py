"""The syntax of `text/event-stream`; pure: bytes in, messages out.

Source: the HTML standard, "Server-sent events", 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import LimitExceeded
from ..protocol.frames import MAX_EVENT_BYTES

MAX_MESSAGE_BYTES = MAX_EVENT_BYTES + 4096
"""An event, and the lines around it."""


class Message(NamedTuple):
    """One message of a stream.

    Attributes:
        event: Its type; `message` where the stream names none.
        data: Its data lines, joined.
        id: The id that stands in it, or None.
    """

    event: str
    data: bytes
    id: str | None


class EventStream:
    """Takes a stream in as it comes, in any chunks."""

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._unfinished = b""
        self._event = ""
        self._data: list[bytes] = []
        self._id: str | None = None
        self._bytes = 0

    def receive(self, chunk: bytes) -> list[Message]:
        """The messages that this chunk completes.

        Raises:
            LimitExceeded: A message is larger than any event can be.
        """
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        messages = []
        for line in lines:
            # A lone CR ends a line too; JSON has none inside its strings, so nothing sends one.
            line = line.removesuffix(b"\r")
            if line:
                self._take(line)
            elif (message := self._complete()) is not None:
                messages.append(message)
        self._limit(self._bytes + len(self._unfinished))
        return messages

    def _take(self, line: bytes) -> None:
        self._bytes += len(line)
        self._limit(self._bytes)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case _:
                pass  # a comment, which keeps the connection alive, or what nobody knows

    def _complete(self) -> Message | None:
        event, data, id = self._event or "message", self._data, self._id
        named = bool(self._event)
        self._event, self._data, self._id, self._bytes = "", [], None, 0
        # A named message without data still says something here: that the stream ends, and why.
        return Message(event, b"\n".join(data), id) if data or named else None

    def _limit(self, size: int) -> None:
        if size > self._max_message_bytes:
            raise LimitExceeded(
                f"the event stream has a message of more than {self._max_message_bytes} bytes"
            )
