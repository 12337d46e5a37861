"""An adapter whose every word can be foretold."""

from __future__ import annotations

import asyncio
import json
import os
from typing import ClassVar

from runner_shell import Adapter, Capabilities, Ending, Turn, UserMessage
from runner_shell.adapter.session import Session
from runner_shell.protocol.commands import AdapterCall, Command, ReservedCommand
from runner_shell.protocol.events import JSON, ToolFinished, ToolOutput, ToolStarted

LARGE_BYTES = 600_000
"""More than two frames hold, so that it travels in parts."""


def task(name: str, words: int) -> str:
    """A message that asks for so many words."""
    return json.dumps({"name": name, "words": words})


def words_of(content: str) -> list[str]:
    """What the answer to a task is, piece by piece."""
    asked = json.loads(content)
    return [f"{asked['name']}·{number} " for number in range(asked["words"])]


class ChaosAdapter(Adapter):
    """Says the words of its task, calls a tool now and then, and notes what it is told to do."""

    name: ClassVar[str] = "chaos"
    capabilities: ClassVar[Capabilities] = Capabilities(commands=frozenset({"adapter.call"}))

    async def open(self, session: Session) -> None:
        """Open the file in which effects are noted."""
        self._effects = os.open(
            os.environ["CHAOS_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )

    async def turn(self, turn: Turn) -> Ending:
        """One message, with tool calls in between."""
        assert isinstance(turn.input, UserMessage)
        for number, word in enumerate(words := words_of(turn.input.text())):
            if number == 0:
                await self._tool(turn, "large", "x" * LARGE_BYTES)
            if number % 50 == 10:
                await self._tool(turn, f"tool-{number}", word)
        async with turn.message(f"{turn.id}-message") as message:
            for number, word in enumerate(words):
                await message.text(word)
                if number % 5 == 0:
                    await asyncio.sleep(0.002)
        return Ending("completed")

    async def handle(self, command: Command | ReservedCommand) -> JSON:
        """`note` has an effect, which must never happen twice, and says how this process is."""
        if not isinstance(command, AdapterCall) or command.method != "note":
            return await super().handle(command)
        os.write(self._effects, f"{command.id}\n".encode())
        return {"descriptors": len(os.listdir("/proc/self/fd")), "rss_kb": _rss_kb()}

    async def _tool(self, turn: Turn, name: str, output: str) -> None:
        call = f"{turn.id}-{name}"
        await turn.emit(ToolStarted(call=call, name=name))
        await turn.emit(ToolOutput(call=call, text=name))
        await turn.emit(ToolFinished(call=call, output=output))


def _rss_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
