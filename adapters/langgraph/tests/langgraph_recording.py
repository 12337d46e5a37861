"""A port that records, and answers questions from a script: the shell's side, reduced to a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import Source

from runner_shell import Answer, Continue, Ending, Request, Session, Turn, TurnInput, UserMessage
from runner_shell.adapter.turn import Done
from runner_shell.protocol.codec import decode_payload
from runner_shell.protocol.events import CheckpointSaved, Custom, Event, UnknownEvent

Answerer = Callable[[Request, str], Awaitable[Answer | None]]


class Recorder:
    """Records a session; as strict about answers as the shell: one key, one answer.

    Attributes:
        events: What was emitted, decoded.
        asked: Every request that reached a person, by its key.
        saved: The durable state, as a next process would find it.
        runs: What was announced of each run of the graph.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.events: list[Event | UnknownEvent] = []
        self.asked: dict[str, Request] = {}
        self.saved: dict[str, Any] = {}
        self.runs: list[Any] = []
        self.answers: dict[str, Answer] = {}
        self.person: Answerer | None = None
        self.secrets: dict[str, str] = {}
        self._turns = 0

    # --- the ports ---

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        event = decode_payload(payload)
        if isinstance(event, Custom) and event.name == "langgraph.run":
            self.runs.append(event.data)
        else:
            self.events.append(event)
        return Done()

    def say(self, payload: bytes) -> None:
        self.events.append(decode_payload(payload))

    def save(self, key: str, value: bytes | None) -> None:
        if value is None:
            del self.saved[key]
        else:
            self.saved[key] = msgspec.json.decode(value)

    def learn(self, name: str, value: str) -> None:
        self.secrets[name] = value

    def wake(self) -> None: ...

    async def ask(self, request: Request, key: str, may_defer: bool) -> Answer | None:
        self.asked[key] = request
        if key not in self.answers:
            assert self.person is not None, f"nobody is there to answer {request.title!r}"
            answer = await self.person(request, key)
            if answer is None:
                assert may_defer
                return None
            self.answers[key] = answer
        return self.answers[key]

    # --- the shell ---

    def session(self) -> Session:
        return Session(
            "session-1",
            self,
            workspace=self.workspace,
            state_dir=self.workspace / "state",
            saved=self.saved,
        )

    async def adapter(self, graph: object, **settings: Any) -> LangGraphAdapter:
        """An opened adapter that runs this graph; its thread in memory unless set otherwise."""
        quiet = {"checkpointer": "memory", "langgraph_state": "off"}
        adapter = LangGraphAdapter(LangGraphSettings(graph="test:graph", **quiet | settings))
        adapter._source = Source(graph, "test:graph")
        try:
            await adapter.open(self.session())
        except BaseException:  # as the shell does: what was half opened is closed
            await adapter.close()
            raise
        return adapter

    @asynccontextmanager
    async def process(self, graph: object, **settings: Any) -> AsyncIterator[LangGraphAdapter]:
        """An adapter as a process has it, on SQLite; the next one finds what this one left."""
        adapter = await self.adapter(graph, **{"checkpointer": "sqlite"} | settings)
        try:
            yield adapter
        finally:
            await adapter.close()

    async def turn(self, adapter: LangGraphAdapter, input: str | TurnInput) -> Ending:
        self._turns += 1
        given = UserMessage(content=input) if isinstance(input, str) else input
        turn = Turn(f"turn-{self._turns}", given, self)
        try:
            return await adapter.turn(turn)
        finally:
            turn.finish()

    # --- looking ---

    def of(self, *kinds: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def lines(self) -> list[str]:
        """Each event as a short line, for comparing an order; checkpoints are left out."""
        return [_line(one) for one in self.events if not isinstance(one, CheckpointSaved)]

    async def values(self, adapter: LangGraphAdapter) -> Any:
        """The graph's state now."""
        assert adapter._opened is not None
        return (await adapter._opened.state()).values

    def check_pairs(self, open_tools: tuple[str, ...] = ()) -> None:
        """Whatever started has ended exactly once, after its start; nothing ended that was shut."""
        opened: list[tuple[str, object]] = []
        for event in self.events:
            family, _, verb = _type(event).partition(".")
            key = (family, _identity(event))
            if verb == "started":
                assert key not in opened, f"{key} started twice"
                opened.append(key)
            elif verb in ("finished", "delta", "output", "progress"):
                assert key in opened, f"{event} has no start"
                if verb == "finished":
                    opened.remove(key)
        assert opened == [("tool", call) for call in open_tools]


def answered(value: Any) -> Answerer:
    """A person who gives everyone this answer."""

    async def person(request: Request, key: str) -> Answer:
        return Answer(value=value, by="someone")

    return person


async def deferred(request: Request, key: str) -> None:
    """A person who is not there."""


ANSWERS = Continue(cause="answers")
RESTART = Continue(cause="restart")


def _type(event: Event | UnknownEvent) -> str:
    if isinstance(event, UnknownEvent):
        return event.type
    return str(type(event).__struct_config__.tag)


def _identity(event: Any) -> object:
    if _type(event).startswith("block."):
        return (event.message, event.index)
    return getattr(event, "id", None) or getattr(event, "call", None)


def _line(event: Any) -> str:
    parts = [_type(event)]
    for name in ("role", "name", "kind", "call", "text", "status", "content", "output"):
        value = getattr(event, name, None)
        if value not in (None, "", "ok", "assistant"):
            parts.append(str(value))
    return " ".join(parts)
