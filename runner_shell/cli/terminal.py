"""The keyboard of `runner-shell run`: answers to open questions, and messages."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ..protocol import codec
from ..protocol.events import JSON, RequestClosed, RequestOpened

Submit = Callable[[dict[str, Any]], Awaitable[str]]
"""Sends a command the way all commands go; returns the refusal's text, or nothing."""


class Keyboard:
    """Turns typed lines into commands.

    A line answers the oldest open question: a number chooses an option, JSON is taken as JSON,
    anything else as text. Without a question it is a message, in an interactive session. The end
    of the input (Ctrl-D) ends an interactive session after its work.

    Args:
        submit: Sends a command.
        interactive: Whether messages are taken.
    """

    def __init__(self, submit: Submit, *, interactive: bool) -> None:
        self._submit = submit
        self._interactive = interactive
        self._open: dict[str, RequestOpened] = {}
        self._typed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def tap(self, event: bytes) -> None:
        """Follow which questions are open."""
        payload = codec.decode_payload(event)
        if isinstance(payload, RequestOpened):
            self._open[payload.id] = payload
        elif isinstance(payload, RequestClosed):
            self._open.pop(payload.id, None)

    def listen(self) -> None:
        """Read lines from stdin while the loop runs, where somebody can type there."""
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(sys.stdin.fileno(), self._on_input)
        except (OSError, ValueError):
            return  # no stdin, or a file: nobody types there

    def stop(self) -> None:
        """Read no more."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    def _on_input(self) -> None:
        line = sys.stdin.readline()
        if line:
            self.typed(line.strip())
            return
        self.stop()
        if self._interactive:
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
        task = asyncio.ensure_future(self._submit_and_tell(command | {"id": f"key-{self._typed}"}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit_and_tell(self, command: dict[str, Any]) -> None:
        refusal = await self._submit(command)
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
