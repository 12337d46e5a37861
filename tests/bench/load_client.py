"""Many runners in one process that cost next to nothing: WebSocket by hand, frames made ahead."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time

_ACK = re.compile(rb'"seq":(\d+)')
_NO_MASK = b"\0\0\0\0"
"""A mask of zeros changes nothing, and is one."""

PADDING = b"word " * 20


class LoadRunner(asyncio.Protocol):
    """One connection; it sends events one to a frame and notes when each is answered.

    Args:
        session: Its session.
        token: Its token.
        latencies: Where it notes, in seconds, how long an event took to be answered.
    """

    def __init__(self, session: str, token: str, latencies: list[float]) -> None:
        self._session = session
        self._token = token
        self._latencies = latencies
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._upgraded = False
        self._sent: dict[int, float] = {}
        self._seq = 0
        self._answered = 0
        self.measuring = False
        self.ready = asyncio.get_running_loop().create_future()

    @property
    def open_events(self) -> int:
        """Events without an answer."""
        return self._seq - self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /sessions/{self._session}/runner HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: runner-shell.v1\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take answers in."""
        self._buffer += data
        if not self._upgraded:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head.partition(b"\r\n")[0], head
            self._upgraded = True
            self._buffer = bytearray(rest)
            self._say(
                b'{"frame":"hello","session":"%b","epoch":null,"instance":"i","log":"l","next":1,'
                b'"last_command":0}' % self._session.encode()
            )
        while (frame := self._frame()) is not None:
            self._take(frame)

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits for the welcome must not wait for ever."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"{self._session} was closed: {error}"))

    def emit(self) -> None:
        """Send the next event in a frame of its own."""
        self._seq += 1
        self._sent[self._seq] = time.perf_counter()
        self._say(
            b'{"frame":"events","events":[{"seq":%d,"time":"2026-11-21T10:00:00.000Z","turn":"t1",'
            b'"type":"block.delta","message":"m","index":0,"text":"%b"}]}' % (self._seq, PADDING)
        )

    def close(self) -> None:
        """Go."""
        self._transport.close()

    def _take(self, frame: bytes) -> None:
        if not self.ready.done():
            self.ready.set_result(None)  # the welcome, or the echo of hello
            return
        if b'"ack"' not in frame and b'"events"' not in frame:
            return
        found = _ACK.search(frame)
        if found is None:
            return
        now = time.perf_counter()
        for seq in range(self._answered + 1, int(found[1]) + 1):
            began = self._sent.pop(seq)
            if self.measuring:
                self._latencies.append(now - began)
            self._answered = seq

    def _frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        frame = bytes(buffer[start : start + size])
        del buffer[: start + size]
        return frame

    def _say(self, text: bytes) -> None:
        size = len(text)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self._transport.write(b"\x81" + length + _NO_MASK + text)
