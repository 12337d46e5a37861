"""Two adapters without a framework: one that echoes, one that plays a script.

Both are installed by name: `runner-shell run --adapter echo --prompt hello`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from ..adapter.contract import Adapter, Capabilities, Continue, Ending, UserMessage
from ..adapter.session import Request, Session
from ..adapter.settings import AdapterSettings
from ..adapter.turn import Turn
from ..errors import AgentFailed, ConfigurationError
from ..protocol.catalogue import EVENTS
from ..protocol.commands import AdapterCall, Command, ReservedCommand
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    MessageFinished,
    MessageStarted,
    ToolFinished,
    ToolStarted,
    Usage,
)


class EchoAdapter(Adapter):
    """Says what it was told, word by word."""

    name: ClassVar[str] = "echo"
    capabilities: ClassVar[Capabilities] = Capabilities()

    async def turn(self, turn: Turn) -> Ending:
        """One message: the user's text."""
        text = turn.input.text() if isinstance(turn.input, UserMessage) else turn.input.cause
        words = text.split(" ")
        async with turn.message("echo") as message:
            for position, word in enumerate(words):
                await message.text(word if position == 0 else f" {word}")
        return Ending("completed", usage=Usage(input_tokens=len(words), output_tokens=len(words)))


class ScriptSettings(AdapterSettings):
    """Settings of the scripted adapter."""

    script: str = Field(
        default="",
        description="JSON list of actions, played where the message is not such a list itself.",
    )


Action = dict[str, Any]

_SCRIPT_KEY = "script"


class ScriptedAdapter(Adapter):
    """Plays a script: a JSON list of actions, from the message or from `SCRIPT`.

    Each action is an object with one key:

    * `{"say": text}`, `{"think": text}`: a message with one block, a delta per word
    * `{"tool": {"name", "input", "output", "status"}}`: a tool call
    * `{"emit": {"messages": 1, "events": n, "size": bytes, "every": seconds, "await": true}}`:
      messages of so many deltas, as fast as it can unless `every` says otherwise
    * `{"event": {"type", …}}`: any event of the vocabulary, as it is
    * `{"delay": seconds}` waits and can be cancelled; `{"block": seconds}` blocks the thread
    * `{"stubborn": seconds}` waits and swallows its cancellation
    * `{"ask": {request fields, "key", "may_defer"}}`: asks, then says the answer
    * `{"save": {key: value}}`: durable state
    * `{"checkpoint": true}`: a turn that is cut off from here on goes on behind this
    * `{"wake": true}`: asks for another turn, which says "woken"
    * `{"fail": {"message", "code", "retryable"}}` raises `AgentFailed`; `{"raise": text}` a
      `RuntimeError`
    * `{"end": {"outcome", "reason"}}`: this ending; `{"end": null}` returns nothing at all
    * `{"spawn": [argument, …]}`: starts a process and leaves it running
    * `{"exit": code}`: the process dies on the spot
    """

    name: ClassVar[str] = "scripted"
    capabilities: ClassVar[Capabilities] = Capabilities(
        resume=True, defer=True, commands=frozenset({"adapter.call"})
    )
    Settings: ClassVar[type[AdapterSettings]] = ScriptSettings

    async def open(self, session: Session) -> None:
        """Remember the session; nothing else is needed."""
        self._session = session
        self._told = asyncio.Event()
        self._messages = 0
        self._current: asyncio.Task[Any] | None = None

    async def turn(self, turn: Turn) -> Ending:
        """Play the script to its first ending."""
        self._told.clear()
        if isinstance(turn.input, Continue) and turn.input.cause == "wake":
            await self._say(turn, "text", "woken")
            return Ending("completed")
        if isinstance(turn.input, Continue) and _SCRIPT_KEY not in self._session.state:
            await self._say(turn, "text", "no checkpoint")
            return Ending("failed", "it was cut off before its first checkpoint")
        actions, position = self._script(turn)
        self._actions = actions
        for index in range(position, len(actions)):
            self._position = index
            ((kind, argument),) = actions[index].items()
            if kind == "end":
                ending: Ending = _ending(argument)
                return ending
            if not await self._play(turn, kind, argument):
                self._session.state[_SCRIPT_KEY] = [actions, index]
                return Ending("waiting", "a question is open")
            if self._told.is_set():
                return Ending("interrupted", "told to")
        return Ending("completed")

    async def interrupt(self, reason: str) -> bool:
        """Leave the rest of the script out, unless an action is in the way."""
        del reason
        self._told.set()
        return False

    async def handle(self, command: Command | ReservedCommand) -> JSON:
        """`adapter.call`: `echo` returns its parameters, anything else fails."""
        if isinstance(command, AdapterCall) and command.method == "echo":
            return command.params
        return await super().handle(command)

    def _script(self, turn: Turn) -> tuple[list[Action], int]:
        if isinstance(turn.input, Continue):
            actions, position = self._session.state[_SCRIPT_KEY]
            return actions, position
        text = turn.input.text()
        if not text.lstrip().startswith("["):
            assert isinstance(self.settings, ScriptSettings)
            text = self.settings.script or msgspec.json.encode([{"say": text}]).decode()
        try:
            return msgspec.json.decode(text, type=list[Action]), 0
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f'SCRIPT is not a JSON list of actions, such as [{{"say": "hello"}}]: {error}'
            ) from None

    async def _play(self, turn: Turn, kind: str, argument: Any) -> bool:
        """Play one action; False where a question stays open."""
        match kind:
            case "say" | "think":
                await self._say(turn, kind, argument)
            case "tool":
                await self._tool(turn, argument)
            case "event":
                await turn.emit(msgspec.convert(argument, EVENTS[argument["type"]].struct))
            case "emit":
                await self._emit_many(turn, **argument)
            case "delay":
                await asyncio.sleep(argument)
            case "block":
                time.sleep(argument)  # noqa: ASYNC251 — a node that blocks is what this plays
            case "stubborn":
                await _stubborn(argument)
            case "ask":
                return await self._ask(turn, dict(argument))
            case "save":
                self._session.state.update(argument)
            case "checkpoint":
                self._session.state[_SCRIPT_KEY] = [self._actions, self._position + 1]
            case "wake":
                self._session.wake()
            case "fail":
                raise AgentFailed(
                    argument["message"],
                    code=argument.get("code", "agent_failed"),
                    retryable=argument.get("retryable", False),
                )
            case "raise":
                raise RuntimeError(argument)
            case "spawn":
                subprocess.Popen(argument)  # noqa: ASYNC220 — left running on purpose
            case "exit":
                os._exit(argument)
            case _:
                raise ConfigurationError(f"SCRIPT has an unknown action {kind!r}")
        return True

    async def _say(self, turn: Turn, kind: str, text: str) -> None:
        self._messages += 1
        async with turn.message(f"{turn.id}-message-{self._messages}") as message:
            for position, word in enumerate(text.split(" ")):
                piece = word if position == 0 else f" {word}"
                await message.write("thinking" if kind == "think" else "text", piece)

    async def _emit_many(self, turn: Turn, messages: int = 1, **options: Any) -> None:
        for _ in range(messages):
            await self._emit_message(turn, **options)

    async def _emit_message(
        self, turn: Turn, events: int, size: int = 20, every: float = 0.0, **options: bool
    ) -> None:
        self._messages += 1
        id = f"{turn.id}-message-{self._messages}"
        turn.emit(MessageStarted(id=id))
        turn.emit(BlockStarted(message=id, index=0))
        for number in range(events):
            emitted = turn.emit(BlockDelta(message=id, index=0, text=f"{number} ".ljust(size, ".")))
            if options.get("await", True):
                await emitted
            if every:
                await asyncio.sleep(every)
        turn.emit(BlockFinished(message=id, index=0))
        turn.emit(MessageFinished(id=id))

    async def _tool(self, turn: Turn, tool: dict[str, Any]) -> None:
        self._messages += 1
        call = f"{turn.id}-call-{self._messages}"
        await turn.emit(ToolStarted(call=call, name=tool["name"], input=tool.get("input")))
        await turn.emit(
            ToolFinished(call=call, status=tool.get("status", "ok"), output=tool.get("output"))
        )

    async def _ask(self, turn: Turn, question: dict[str, Any]) -> bool:
        key = question.pop("key", None)
        may_defer = question.pop("may_defer", False)
        request = msgspec.convert({"kind": "question", "title": "?"} | question, Request)
        if may_defer:
            answer = await self._session.ask(request, key=key or "question", may_defer=True)
        else:
            answer = await self._session.ask(request, key=key)
        if answer is None:
            return False
        await self._say(turn, "say", f"{answer.how}: {msgspec.json.encode(answer.value).decode()}")
        return True


def _ending(argument: Any) -> Any:
    if argument is None:
        return None  # the fault that this plays: a turn must return an Ending
    usage = argument.get("usage")
    return Ending(
        argument.get("outcome", "completed"),
        argument.get("reason", ""),
        msgspec.convert(usage, Usage) if usage else None,
    )


async def _stubborn(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
