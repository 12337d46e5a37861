"""The keyboard of `runner-shell run`: answers to open questions, and messages."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ..protocol import codec
from ..protocol.events import JSON, RequestClosed, RequestOpened

Submit = Callable[[dict[str, Any]], Awaitable[str]]
"""Sends a command the way all commands go; returns the refusal's text, or nothing."""

CHUNK_BYTES = 65536


class Keyboard:
    """Turns typed lines into commands.

    A line answers the oldest open question: a number chooses an option, JSON is taken as JSON,
    anything else as text. Without a question it is a message, in an interactive session. The end
    of the input (Ctrl-D) ends an interactive session after its work.

    Args:
        submit: Sends a command.
        descriptor: Where to read.
        interactive: Whether messages are taken.
        prefix: What the commands' ids begin with; unique for the process, because a session that
            goes on remembers the ids of the one before.
    """

    def __init__(self, submit: Submit, *, descriptor: int, interactive: bool, prefix: str) -> None:
        self._submit = submit
        self._descriptor = descriptor
        self._interactive = interactive
        self._prefix = prefix
        self._open: dict[str, RequestOpened] = {}
        self._typed = 0
        self._unfinished = b""
        self._reading = False
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sending: asyncio.Task[None] | None = None

    def tap(self, event: bytes) -> None:
        """Follow which questions are open."""
        payload = codec.decode_payload(event)
        if isinstance(payload, RequestOpened):
            self._open[payload.id] = payload
        elif isinstance(payload, RequestClosed):
            self._open.pop(payload.id, None)

    def listen(self) -> None:
        """Read lines while the loop runs, where somebody can type, or had typed into a file."""
        loop = asyncio.get_running_loop()
        self._sending = loop.create_task(self._send_in_order())
        self._reading = True
        try:
            loop.add_reader(self._descriptor, self._on_input)
        except OSError:  # it cannot be waited for
            self._reading = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            while self._reading:
                self._on_input()

    def stop(self) -> None:
        """Read and send no more."""
        self._stop_reading()
        if self._sending is not None:
            self._sending.cancel()

    def _stop_reading(self) -> None:
        self._reading = False
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def _on_input(self) -> None:
        # Not readline(): it waits for the end of a line, and hides the lines behind it.
        try:
            chunk = os.read(self._descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            chunk = b""
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        if not chunk:
            self._stop_reading()
            lines += [self._unfinished] if self._unfinished else []
        for line in lines:
            self.typed(line.decode(errors="replace").strip())
        if not chunk and self._interactive:
            self._send({"type": "session.end"})

    def typed(self, line: str) -> None:
        """Take one line."""
        if self._open:
            request = next(iter(self._open.values()))
            answer = parse_answer(line, request)
            self._send({"type": "request.answer", "request": request.id, "answer": answer})
        elif line and self._interactive:
            self._send({"type": "turn.start", "content": line})

    def _send(self, command: dict[str, Any]) -> None:
        self._typed += 1
        self._commands.put_nowait(command | {"id": f"{self._prefix}-{self._typed}"})

    async def _send_in_order(self) -> None:
        while True:
            refusal = await self._submit(await self._commands.get())
            if refusal:
                print(f"runner-shell: {refusal}", file=sys.stderr)


def parse_answer(line: str, request: RequestOpened) -> JSON:
    """What a typed line means as an answer; an empty one is the default."""
    if not line:
        return request.default
    options = request.options
    if options and line.isdigit() and 1 <= int(line) <= len(options):
        option = options[int(line) - 1]
        if isinstance(option, dict):
            return option.get("value", option.get("label"))
        return option
    if line[0] in '{["' or line in ("true", "false", "null"):
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            return line
    return line
