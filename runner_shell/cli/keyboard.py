"""The keyboard: typed lines become answers to open questions, and messages."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .questions import Questions, meaning

Submit = Callable[[dict[str, Any]], Awaitable[str]]
"""Sends a command the way all commands go; returns the refusal's text, or nothing."""

CHUNK_BYTES = 65536


class Keyboard:
    """Turns typed lines into commands, as `questions.meaning` says.

    Args:
        submit: Sends a command.
        questions: What is open; whoever shows events keeps it.
        interactive: Whether messages are taken.
        prefix: What the commands' ids begin with; unique for the process, because a session that
            goes on remembers the ids of the one before.
        at_end: Called at the end of the input (Ctrl-D).
    """

    def __init__(
        self,
        submit: Submit,
        questions: Questions,
        *,
        interactive: bool,
        prefix: str,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._submit = submit
        self._questions = questions
        self._descriptor = -1
        self._interactive = interactive
        self._prefix = prefix
        self._at_end = at_end
        self._typed = 0
        self._unfinished = b""
        self._reading = False
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sending: asyncio.Task[None] | None = None

    def is_mine(self, command: str) -> bool:
        """Whether the command with this id was typed here."""
        return command.startswith(f"{self._prefix}-")

    def listen(self, descriptor: int) -> None:
        """Read lines while the loop runs, where somebody can type, or had typed into a file."""
        self._descriptor = descriptor
        loop = asyncio.get_running_loop()
        self._sending = loop.create_task(self._send_in_order())
        self._reading = True
        try:
            loop.add_reader(descriptor, self._on_input)
        except OSError:  # it cannot be waited for
            self._reading = stat.S_ISREG(os.fstat(descriptor).st_mode)
            while self._reading:
                self._on_input()

    def stop(self) -> None:
        """Read and send no more."""
        self._stop_reading()
        if self._sending is not None:
            self._sending.cancel()

    def send(self, **command: Any) -> None:
        """Send a command behind those that were typed before."""
        self._typed += 1
        command["id"] = f"{self._prefix}-{self._typed}"
        if command["type"] == "request.answer":
            self._questions.answering(command["request"], command["id"])
        self._commands.put_nowait(command)

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
            self._take(line.decode(errors="replace").strip())
        if not chunk:
            self._at_end()

    def _take(self, line: str) -> None:
        meant = meaning(line, self._questions, interactive=self._interactive)
        if isinstance(meant, dict):
            self.send(**meant)
        elif meant:
            tell(meant)

    async def _send_in_order(self) -> None:
        while True:
            command = await self._commands.get()
            refusal = await self._submit(command)
            if refusal:
                self._questions.refused(command["id"])
                tell(refusal)


def tell(what: str) -> None:
    """Say something to the person, beside what the session says."""
    print(f"runner-shell: {what}", file=sys.stderr)
