"""The conversation with the CLI: frames to the running turn, and the turn to its rest.

Frames are read whatever the wire does: they are emitted without a wait, and the shell merges. What
comes between turns, when background work wakes the CLI, is kept for the turn that this wakes.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKError, Transport

from runner_shell import AgentFailed, Ending, Session, Turn, TurnOver, events

from .connection import Connection
from .endings import Found, ending_of
from .memory import Memory
from .rest import Rest
from .sdk import Frame
from .translate import Translator
from .usage import Meter

KEPT_FRAMES = 20_000
"""So many frames are kept between turns; past that the CLI is ended, never the memory filled."""

INTERRUPT_SECONDS = 5.0
DEFERRED_SECONDS = 30.0

Build = Callable[[Connection, bool], ClaudeAgentOptions]


class Conversation:
    """One SDK session, over the CLIs and turns that it takes.

    Args:
        session: The shell's session.
        memory: What is durable of it.
        build: Makes the options of a start; told the connection, and whether to resume.
        start_seconds: How long a start may take.

    Attributes:
        transport: Makes what is spoken to in place of a CLI's process; for tests.
        init: The CLI's last account of itself.
        permission_mode: The mode that the CLI is in.
    """

    def __init__(
        self, session: Session, memory: Memory, build: Build, start_seconds: float
    ) -> None:
        self.translator = Translator(memory.take_open_calls())
        self._session = session
        self._memory = memory
        self._build = build
        self._start_seconds = start_seconds
        self._meter = Meter(memory.usage)
        self._rest = Rest()
        self._connection: Connection | None = None
        self._failure: AgentFailed | None = None
        self._turn: Turn | None = None
        self._in_turn = asyncio.Event()
        self._kept: deque[Frame] = deque()
        self._woken = False
        self._news = asyncio.Event()
        self._pressure: Awaitable[None] | None = None
        self._interrupted: str | None = None
        self._stale = False
        self._takes_more = False
        self._last_message = ""
        self.transport: Callable[[], Transport] | None = None
        self.init: Frame = {}
        self.permission_mode = ""

    # --- the connection ----------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether a CLI runs."""
        return self._connection is not None and self._failure is None

    @property
    def at_rest(self) -> bool:
        """Whether no turn runs and the CLI does nothing by itself."""
        return self._turn is None and (not self.connected or self._rest.at_rest)

    def reconnect_before_next_turn(self) -> None:
        """What the CLI is started with has changed."""
        self._stale = True

    @property
    def client(self) -> Any:
        """The connected client, for control requests.

        Raises:
            AgentFailed: No CLI runs.
        """
        if self._connection is None or self._failure is not None:
            raise AgentFailed("no CLI runs; send a message first", code="not_running")
        return self._connection.client

    async def connect(self) -> None:
        """Start a CLI, or go on with the one that runs; the session is resumed where it exists."""
        if self.connected and not (self._stale and self._rest.at_rest):
            return
        await self.disconnect()
        self._rest, self._failure, self._stale = Rest(), None, False
        transport = self.transport() if self.transport is not None else None
        connection = Connection(self._take, self._ended, self._on_stderr, transport)
        self._connection = connection
        if self._memory.store is not None:
            self._meter.count_anew()  # of a session that comes from a store it has no counts
        options = self._build(connection, self._memory.has_transcript)
        await connection.open(options, self._start_seconds)

    async def disconnect(self) -> None:
        """End the CLI, if one runs; the conversation stays."""
        connection, self._connection = self._connection, None
        if connection is not None:
            busy = not self._rest.at_rest or self._failure is not None
            await connection.close(busy=busy)

    # --- a turn ------------------------------------------------------------------------------

    def begin(self, turn: Turn) -> None:
        """From here on frames are this turn's; what was kept comes first."""
        self._turn, self._interrupted, self._woken = turn, None, False
        self._rest.begin()
        self._meter.begin()
        self._in_turn.set()
        while self._kept:
            self._emit(self._kept.popleft())

    async def send(self, *messages: dict[str, Any]) -> None:
        """Send what the turn begins with, in this order; the turn ends once all is dealt with."""
        assert self._connection is not None, "connected before it is sent to"
        assert self._turn is not None
        self._memory.sending(self._turn.id, messages)
        for message in messages:
            self._rest.sent(message["uuid"])
        for message in messages:
            await self._connection.send(message)
        self._takes_more = True

    @property
    def takes_more(self) -> bool:
        """Whether a message can be sent into the turn: it has begun, and neither ends nor must."""
        return self._takes_more and self.connected and self._interrupted is None

    async def add(self, message: dict[str, Any]) -> None:
        """Send a message into the turn that runs; the turn ends only once it is dealt with.

        Raises:
            AgentFailed: The CLI is gone; a turn that goes on sends it again.
        """
        assert self._connection is not None, "a turn runs"
        self._memory.adding(message)
        self._rest.sent(message["uuid"])
        await self._connection.send(message)

    def expect_deferred(self) -> None:
        """A deferred call goes on by itself, now that its session is resumed."""
        self._rest.expecting = True

    async def to_rest(self) -> None:
        """Wait until there is nothing that the CLI still does or has to do.

        Raises:
            AgentFailed: The CLI is gone.
        """
        while not self._rest.at_rest:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        self._takes_more = False

    def ending(self) -> Found:
        """How the turn ended, now that the CLI is at rest.

        What was folded in may have come to its end before the interrupt reached it, behind a result
        that was aborted: the turn is interrupted all the same.
        """
        if self._interrupted is not None and (self._rest.aborted or self._rest.result is None):
            return Found("interrupted", self._interrupted)
        found = Found("completed") if self._rest.result is None else ending_of(self._rest.result)
        if self._interrupted is not None and found.outcome not in ("completed", "waiting"):
            return Found("interrupted", self._interrupted)
        return found

    def finish(self, found: Found) -> Ending:
        """Say what is left to say of the turn, and give its ending."""
        waiting = found.outcome == "waiting"
        cancelled = found.outcome not in ("completed", "waiting")
        if self._turn is not None and self._last_message:
            self._memory.ended(self._turn.id, self._last_message)
        self.say(*self.translator.close(cancelled=cancelled, keep_calls=waiting))
        if waiting:
            calls = {id: call.scope for id, call in self.translator.calls.items()}
            self._memory.keep_open_calls(calls)
        else:
            self._memory.sent()
        if found.error is not None:
            self.say(found.error)
        return Ending(found.outcome, found.reason, self._meter.usage)

    def leave(self) -> None:
        """The turn is over, however: frames are kept for the next."""
        self._turn = None
        self._takes_more = False
        self._in_turn.clear()

    @property
    def resumable(self) -> bool:
        """Whether a CLI that died can go on without doing anything twice: no tool was at work."""
        return (
            self._interrupted is None
            and not self.translator.calls
            and not self.translator.running_tasks()
            and self._memory.has_transcript
        )

    # --- from other tasks --------------------------------------------------------------------

    async def interrupt(self, reason: str) -> bool:
        """Interrupt what runs; True where the CLI heard it and the turn will return by itself."""
        if not self.connected or self._turn is None:
            return False
        self._interrupted = reason
        client = self.client
        with suppress(TimeoutError, ClaudeSDKError):
            async with asyncio.timeout(INTERRUPT_SECONDS):
                # What it has not taken up yet it would begin after the interrupt.
                while self._rest.state == "idle" and not self._rest.at_rest:
                    self._news.clear()
                    await self._news.wait()
                for task in self.translator.running_tasks():
                    await client.stop_task(task)
                await client.interrupt()
                await self._interrupt_what_follows(client)
                return True
        return False

    async def _interrupt_what_follows(self, client: Any) -> None:
        """What was sent into the turn and not taken up begins when the turn before is aborted."""
        while self._rest.waiting and not self._rest.at_rest and self._failure is None:
            begun = len(self._rest.begun)
            while self._rest.waiting and len(self._rest.begun) == begun and not self._failure:
                self._news.clear()
                await self._news.wait()
            if self._rest.waiting:
                await client.interrupt()

    async def in_turn(self) -> None:
        """Wait until a turn runs: what the CLI asks between turns is asked in the next."""
        await self._in_turn.wait()

    async def without_pressure(self) -> None:
        """Wait while the shell is under pressure: a tool that waits makes no more output."""
        pressure, self._pressure = self._pressure, None
        if pressure is not None:
            await pressure

    def say(self, *several: events.Event) -> None:
        """Emit without a wait; outside of a turn it is not said."""
        for event in several:
            if self._turn is None:
                return
            try:
                self._pressure = self._turn.emit(event)
            except TurnOver:  # fenced by the shell, which has closed it all
                self._turn = None

    # --- frames ------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        if frame.get("type") != "stream_event":  # most are, and nobody waits for one of these
            self._rest.receive(frame)
            self._news.set()
        if self._turn is not None:
            self._emit(frame)
        else:
            self._keep(frame)

    def _emit(self, frame: Frame) -> None:
        match frame:
            case {"type": "system", "subtype": "init"}:
                self.init = frame
                self.permission_mode = str(frame.get("permissionMode") or "")
            case {"type": "system", "subtype": "status", "permissionMode": str(mode)}:
                self.permission_mode = mode
            case {"type": "assistant" | "user", "uuid": str(id), "parent_tool_use_id": None}:
                self._last_message = id
            case {"type": "conversation_reset", "new_conversation_id": str(id)}:
                self._memory.id = id
                self._meter.reset()
        self.say(*self.translator.receive(frame))
        if frame.get("type") == "result" and self._meter.receive(frame):
            self._memory.usage = self._meter.total
            self.say(self._meter.event())

    def _keep(self, frame: Frame) -> None:
        self._kept.append(frame)
        if self._rest.state != "idle" and not self._woken:
            self._woken = True
            self._session.wake()
        if len(self._kept) > KEPT_FRAMES:
            self._kept.clear()
            message = "the CLI said too much while no turn ran; it is ended"
            self._ended(AgentFailed(message, code="backpressure", retryable=True))

    def _ended(self, failure: AgentFailed | None) -> None:
        self._failure = failure
        self._news.set()

    def _on_stderr(self, line: str) -> None:
        self._session.log.warning(line, source="claude.stderr")


def user_message(content: Any) -> dict[str, Any]:
    """A user's message as the CLI reads it, with an id by which its frames name it."""
    return {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "session_id": "default",
        "uuid": str(uuid.uuid4()),
    }
