"""An adapter's turns without a shell: the ports that it speaks to, reduced to lists.

For the tests of one adapter, of what it emits, asks and saves. There is no thread, no redaction and
no gateway; that the contract holds is shown by `runner_shell.testing.conformance`.

```python
recorder = Recorder(tmp_path)
recorder.person = answered("yes")
adapter = await recorder.open(MyAdapter(MySettings()))
ending = await recorder.turn(adapter, "hello")
assert recorder.lines() == [...]
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..adapter.contract import Adapter, Continue, Ending, TurnInput, UserMessage
from ..adapter.session import Answer, Request, Session
from ..adapter.turn import Done, Turn
from ..protocol.codec import decode_payload
from ..protocol.events import JSON, BlockDelta, Event, UnknownEvent

Person = Callable[[Request, str], Awaitable[Answer | None]]
"""Who is asked: a request and its key; None where nobody answers for now."""

ANSWERS = Continue(cause="answers")
RESTART = Continue(cause="restart")
WAKE = Continue(cause="wake")

WAIT_SECONDS = 60.0
"""Ends a hang; nothing is judged by it."""

SHOWN = (
    *("role", "name", "kind", "call", "id", "code", "message"),
    *("text", "status", "output"),
)
"""The fields that `line` shows of an event, in this order."""

A = TypeVar("A", bound=Adapter)


class Recorder:
    """The shell's side of a session, as strict about answers as the shell: one key, one answer.

    What was saved and answered outlives an adapter, so that a second one, opened here as well,
    stands where a next process would. May be emitted to from any thread.

    Args:
        directory: Where workspace and state lie; both are made.

    Attributes:
        workspace: The agent's working directory.
        state_dir: The framework's own directory.
        events: What was emitted, decoded.
        asked: Every request that reached a person, by its key.
        answers: What was answered, by key; put one in, and nobody is asked.
        person: Who is asked.
        saved: The durable state, as a next process finds it.
        secrets: What was said not to leave the process, by name.
        wakes: How often the adapter asked for a turn.
    """

    def __init__(self, directory: Path) -> None:
        self.workspace = directory / "workspace"
        self.state_dir = directory / "state"
        for made in (self.workspace, self.state_dir):
            made.mkdir(exist_ok=True)
        self.events: list[Event | UnknownEvent] = []
        self.asked: dict[str, Request] = {}
        self.answers: dict[str, Answer] = {}
        self.person: Person | None = None
        self.saved: dict[str, JSON] = {}
        self.secrets: dict[str, str] = {}
        self.wakes = 0
        self._turns = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    # --- the ports ---------------------------------------------------------------------------

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        """Record an event."""
        del turn
        self.say(payload)
        return Done()

    def say(self, payload: bytes) -> None:
        """Record an event outside of a turn."""
        self.events.append(decode_payload(payload))
        self._tell()

    def save(self, key: str, value: bytes | None) -> None:
        """Keep one key of the state, or delete it."""
        if value is None:
            del self.saved[key]
        else:
            self.saved[key] = msgspec.json.decode(value)
        self._tell()

    def learn(self, name: str, value: str) -> None:
        """Take a secret down; nothing is redacted here."""
        self.secrets[name] = value

    def wake(self) -> None:
        """Count that a turn was asked for."""
        self.wakes += 1
        self._tell()

    async def ask(self, request: Request, key: str, may_defer: bool) -> Answer | None:
        """Ask the person, once per key."""
        self.asked.setdefault(key, request)
        self._tell()
        if key not in self.answers:
            assert self.person is not None, f"nobody is there to answer {request.title!r}"
            answer = await self.person(request, key)
            if answer is None:
                assert may_defer, "this question cannot be deferred"
                return None
            self.answers[key] = answer
        return self.answers[key]

    # --- the shell ---------------------------------------------------------------------------

    def session(self) -> Session:
        """The session as a new process is given it."""
        return Session(
            "session-1",
            self,
            workspace=self.workspace,
            state_dir=self.state_dir,
            saved=self.saved,
        )

    async def open(self, adapter: A) -> A:
        """Open an adapter; like the shell, close it if that fails.

        Raises:
            Exception: What `open` raises.
        """
        try:
            await adapter.open(self.session())
        except BaseException:
            await adapter.close()
            raise
        return adapter

    async def turn(self, adapter: Adapter, input: str | TurnInput) -> Ending:
        """Run one turn, of a user's message or as told.

        Raises:
            Exception: What `turn` raises; the shell would make a failure of it.
        """
        self._turns += 1
        given = UserMessage(content=input) if isinstance(input, str) else input
        turn = Turn(f"turn-{self._turns}", given, self)
        try:
            return await adapter.turn(turn)
        finally:
            turn.finish()

    # --- looking -----------------------------------------------------------------------------

    async def until(self, what: Callable[[], object]) -> None:
        """Wait until this is true of what was recorded.

        Raises:
            TimeoutError: It did not become true.
        """
        news = asyncio.Event()
        waiting = (asyncio.get_running_loop(), news)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    news.clear()  # before looking, or what comes meanwhile would be missed
                    if what():
                        return
                    await news.wait()
        finally:
            self._waiting.remove(waiting)

    def of(self, *kinds: type[Event]) -> list[Any]:
        """The events of these types."""
        return [event for event in self.events if isinstance(event, kinds)]

    def text(self) -> str:
        """All text that was streamed into blocks."""
        return "".join(event.text for event in self.of(BlockDelta))

    def lines(self, shown: Sequence[str] = SHOWN) -> list[str]:
        """Each event as a short line, to look at and to compare an order."""
        return [line(event, shown) for event in self.events]

    def open_things(self) -> list[tuple[str, object]]:
        """What has started and not ended: its family, and its id.

        Raises:
            AssertionError: Something ended that was shut, or started twice.
        """
        opened: list[tuple[str, object]] = []
        for event in self.events:
            family, _, verb = event_type(event).partition(".")
            if family not in ("message", "block", "tool", "step"):
                continue
            key = (family, _identity(event))
            if verb == "started":
                assert key not in opened, f"{key} started twice"
                opened.append(key)
            else:
                assert key in opened, f"{event} has no start"
                if verb == "finished":
                    opened.remove(key)
        return opened

    def _tell(self) -> None:
        for loop, news in tuple(self._waiting):
            loop.call_soon_threadsafe(news.set)


def answered(value: JSON) -> Person:
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


def line(event: Event | UnknownEvent, shown: Sequence[str] = SHOWN) -> str:
    """An event as a short line; what is empty, ordinary or not `shown` is left out."""
    parts = [event_type(event)]
    for name in shown:
        value = getattr(event, name, None)
        if value not in (None, "", "ok", "assistant"):
            parts.append(str(value))
    if event.scope:
        parts.append(f"in {'/'.join(event.scope)}")
    return " ".join(parts)


def _identity(event: Any) -> object:
    if event_type(event).startswith("block."):
        return (event.message, event.index)
    return getattr(event, "id", None) or getattr(event, "call", None)
