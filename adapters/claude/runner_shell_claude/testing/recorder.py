"""A port that records, and answers questions from a script: the shell's side, reduced to a list.

As strict about answers as the shell: one key, one answer. What it saved outlives an adapter, so
that a second one, made anew, stands where a next process would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from runner_shell import Answer, Continue, Ending, Request, Session, Turn, TurnInput, UserMessage
from runner_shell.adapter.turn import Done
from runner_shell.protocol.codec import decode_payload
from runner_shell.protocol.events import BlockDelta, Event, UnknownEvent

from ..adapter import ClaudeAdapter
from ..settings import ClaudeSettings

Answerer = Callable[[Request, str], Awaitable[Answer | None]]

ANSWERS = Continue(cause="answers")
RESTART = Continue(cause="restart")
WAKE = Continue(cause="wake")


class Recorder:
    """Records a session.

    Args:
        directory: Where workspace and state lie.

    Attributes:
        events: What was emitted, decoded.
        asked: Every request that reached a person, by its key.
        saved: The durable state, as a next process finds it.
        answers: What was answered, by key.
        person: Who is asked; returns None to defer.
        woken: Set when the adapter asked for a turn.
    """

    def __init__(self, directory: Path) -> None:
        self.workspace = directory / "workspace"
        self.state_dir = directory / "state"
        for made in (self.workspace, self.state_dir):
            made.mkdir(exist_ok=True)
        self.events: list[Event | UnknownEvent] = []
        self.asked: dict[str, Request] = {}
        self.saved: dict[str, Any] = {}
        self.answers: dict[str, Answer] = {}
        self.person: Answerer | None = None
        self.woken = asyncio.Event()
        self._news = asyncio.Event()
        self._turns = 0

    # --- the ports ---------------------------------------------------------------------------

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        """Record an event."""
        del turn
        self.say(payload)
        return Done()

    def learn(self, name: str, value: str) -> None:
        """Take a secret; nothing leaves a recorder."""

    def say(self, payload: bytes) -> None:
        """Record an event outside of a turn."""
        self.events.append(decode_payload(payload))
        self._news.set()

    def save(self, key: str, value: bytes | None) -> None:
        """Keep one key of the state."""
        if value is None:
            self.saved.pop(key, None)
        else:
            self.saved[key] = msgspec.json.decode(value)

    def wake(self) -> None:
        """Take down that a turn was asked for."""
        self.woken.set()

    async def ask(self, request: Request, key: str, may_defer: bool) -> Answer | None:
        """Ask the person, once per key."""
        self.asked.setdefault(key, request)
        self._news.set()
        if key not in self.answers:
            assert self.person is not None, f"nobody is there to answer {request.title!r}"
            answer = await self.person(request, key)
            if answer is None:
                assert may_defer, "this question cannot be deferred"
                return None
            self.answers[key] = answer
        return self.answers[key]

    # --- the shell ---------------------------------------------------------------------------

    async def adapter(self, **environment: str) -> ClaudeAdapter:
        """An opened adapter, as a new process makes it."""
        adapter = ClaudeAdapter(ClaudeSettings.from_environment(environment))
        await adapter.open(
            Session(
                "session-1",
                self,
                workspace=self.workspace,
                state_dir=self.state_dir,
                saved=self.saved,
            )
        )
        return adapter

    async def turn(self, adapter: ClaudeAdapter, input: str | TurnInput) -> Ending:
        """Run one turn."""
        self._turns += 1
        given = UserMessage(content=input) if isinstance(input, str) else input
        turn = Turn(f"turn-{self._turns}", given, self)
        try:
            return await adapter.turn(turn)
        finally:
            turn.finish()

    # --- looking -----------------------------------------------------------------------------

    async def until(self, what: Callable[[], object]) -> None:
        """Wait until this is true of what was recorded."""
        while not what():
            self._news.clear()
            await self._news.wait()

    def of(self, *kinds: type[Event]) -> list[Any]:
        """The events of these types."""
        return [event for event in self.events if isinstance(event, kinds)]

    def text(self) -> str:
        """All text that was streamed into blocks."""
        return "".join(event.text for event in self.of(BlockDelta))

    def lines(self) -> list[str]:
        """Each event as a short line, to look at and to compare an order."""
        return [line(event) for event in self.events]

    def open_things(self) -> list[tuple[str, object]]:
        """What has started and not ended.

        Raises:
            AssertionError: Something ended that was shut, or started twice.
        """
        opened: list[tuple[str, object]] = []
        for event in self.events:
            family, _, verb = event_type(event).partition(".")
            key = (family, _identity(event))
            if family not in ("message", "block", "tool", "step"):
                continue
            if verb == "started":
                assert key not in opened, f"{key} started twice"
                opened.append(key)
            else:
                assert key in opened, f"{event} has no start"
                if verb == "finished":
                    opened.remove(key)
        return opened


def answered(value: Any) -> Answerer:
    """A person who gives everyone this answer."""

    async def person(request: Request, key: str) -> Answer:
        del request, key
        return Answer(value=value, by="someone")

    return person


async def deferred(request: Request, key: str) -> None:
    """A person who is not there."""
    del request, key


def event_type(event: Event | UnknownEvent) -> str:
    """An event's type on the wire."""
    if isinstance(event, UnknownEvent):
        return event.type
    return str(type(event).__struct_config__.tag)


def _identity(event: Any) -> object:
    if event_type(event).startswith("block."):
        return (event.message, event.index)
    return getattr(event, "id", None) or getattr(event, "call", None)


def line(event: Any) -> str:
    """An event as a short line, to look at and to compare."""
    parts = [event_type(event)]
    names = ("role", "name", "kind", "call", "id", "code", "message", "text", "status", "output")
    for name in names:
        value = getattr(event, name, None)
        if value not in (None, "", "ok", "assistant"):
            parts.append(str(value))
    if event.scope:
        parts.append(f"in {'/'.join(event.scope)}")
    return " ".join(parts)
