"""The adapter's thread: one long-lived thread with an event loop of its own.

`open`, every turn and `close` run in one task there, because frameworks tie their scopes to a task;
`interrupt` and `handle` run in others. What the adapter says crosses to the main loop in order.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Struct

from ...adapter.contract import Adapter, Ending, UserMessage
from ...protocol.commands import Command, ReservedCommand
from ...protocol.events import JSON
from ...redaction import SecretRegistry
from ..configuration.known_secrets import warning_of
from .crossing import Crossing, Pressure
from .joining import LINGERS

if TYPE_CHECKING:
    from ...adapter.session import Answer, Request
    from ...adapter.turn import Turn


FLOOD = 64 * 1024
"""An adapter that never awaits its emits can be faster than the main thread for good. From so many
events on that still cross, each emit leaves the processor to the main thread for a moment: that is
no pressure of the gateway's, and ends with what was emitted already."""

FLOOD_SECONDS = 0.001


class Emitted(Struct, frozen=True, gc=False):
    """An event of a turn, or outside of one where `turn` is empty."""

    turn: str
    payload: bytes


class Asked(Struct, frozen=True):
    """A question; `reply` may be called from the main loop, once."""

    request: Request
    key: str
    may_defer: bool
    reply: Callable[[Answer | None], None]


class Withdrawn(Struct, frozen=True):
    """The asker of a question was cancelled."""

    key: str
    reply: Callable[[Answer | None], None]


class Saved(Struct, frozen=True):
    """One key of the adapter's state; None was deleted."""

    key: str
    value: bytes | None


class Woken(Struct, frozen=True):
    """The adapter asks for a turn."""


class Finished(Struct, frozen=True):
    """A call to the adapter returned; everything it emitted lies before this.

    Attributes:
        future: Of the main loop; set to the result or the exception.
        result: What it returned.
        error: What it raised.
    """

    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


FromAdapter: TypeAlias = Emitted | Asked | Withdrawn | Saved | Woken | Finished


class AdapterPort:
    """What turns and sessions talk to, on the adapter's side."""

    def __init__(
        self, crossing: Crossing[FromAdapter], pressure: Pressure, registry: SecretRegistry
    ) -> None:
        self._crossing = crossing
        self._waiting = crossing.things
        self._pressure = pressure
        self._registry = registry

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        """Fix the event's place now; the awaitable waits while there is pressure."""
        self._pressure.emitted(len(payload))
        if payload.startswith(LINGERS):
            self._crossing.put_lingering(Emitted(turn, payload))
        else:
            self._crossing.put(Emitted(turn, payload))
        if len(self._waiting) > FLOOD:
            time.sleep(FLOOD_SECONDS)
        return self._pressure.gate()

    def say(self, payload: bytes) -> None:
        """Emit outside of any turn."""
        self._pressure.emitted(len(payload))
        self._crossing.put(Emitted("", payload))

    def save(self, key: str, value: bytes | None) -> None:
        """Make one key of the state durable."""
        self._crossing.put(Saved(key, value))

    def learn(self, name: str, value: str) -> tuple[str, str] | None:
        """Redact a secret: at once, as a log line of this thread does not wait for the main one."""
        return warning_of(self._registry.add(name, value))

    def wake(self) -> None:
        """Ask for a turn."""
        self._crossing.put(Woken())

    async def ask(self, request: Request, key: str, may_defer: bool) -> Answer | None:
        """Ask and wait; being cancelled withdraws the question."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer | None] = loop.create_future()

        def reply(answer: Answer | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set_answer, future, answer)

        self._crossing.put(Asked(request, key, may_defer, reply))
        try:
            return await future
        except asyncio.CancelledError:
            self._crossing.put(Withdrawn(key, reply))
            raise


class AdapterHost:
    """Runs one adapter in its own thread; every method is for the main loop.

    Args:
        take: Called on the main loop with what the adapter says, in order.
        pressure: Makes awaited emits wait.
        taken: Called when as much was taken as is done in one go.
        registry: Where the adapter's secrets go.
    """

    def __init__(
        self,
        take: Callable[[FromAdapter], None],
        pressure: Pressure,
        taken: Callable[[], None],
        registry: SecretRegistry,
    ) -> None:
        self._main = asyncio.get_running_loop()
        self._take = take
        self.crossing: Crossing[FromAdapter] = Crossing(self._main, self._took, taken)
        pressure.watch(self.crossing.things)
        self.port = AdapterPort(self.crossing, pressure, registry)
        self.adapter: Adapter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Queue[Coroutine[Any, Any, None] | None]
        self._running: asyncio.Task[None] | None = None
        self._current: asyncio.Future[Any] | None = None
        self._returned: asyncio.Future[Any] | None = None
        self._ready = threading.Event()
        self._others: dict[asyncio.Future[Any], asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._run, name="adapter", daemon=True)
        self.description: dict[str, JSON] = {}

    # --- the main side -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    async def load(self, make: Callable[[], Adapter]) -> Adapter:
        """Import and construct the adapter, in its thread."""

        async def loading() -> Adapter:
            adapter = make()
            self.description = _plain(adapter.describe())
            return adapter

        self.adapter = await self._in_task(loading)
        return self.adapter

    async def open(self, session: Any) -> None:
        """`Adapter.open`; what the adapter says of itself is read anew."""

        async def opening() -> None:
            await self._adapter.open(session)
            self.description = _plain(self._adapter.describe())

        await self._in_task(opening)

    def turn(self, turn: Turn) -> asyncio.Future[Ending]:
        """Start `Adapter.turn`; the future is done when it returned and all it emitted crossed."""
        return self._in_task(lambda: self._adapter.turn(turn))

    async def close(self) -> None:
        """`Adapter.close`."""
        await self._in_task(lambda: self._adapter.close())

    def interrupt(self, reason: str) -> asyncio.Future[bool]:
        """Start `Adapter.interrupt`, beside the running turn."""
        return self._beside(lambda: self._adapter.interrupt(reason))

    def inject(self, message: UserMessage) -> asyncio.Future[bool]:
        """Start `Adapter.inject`, beside the running turn."""
        return self._beside(lambda: self._adapter.inject(message))

    async def handle(self, command: Command | ReservedCommand) -> JSON:
        """`Adapter.handle`, beside the running turn; what JSON cannot hold is a `TypeError`."""

        async def handling() -> JSON:
            return _plain(await self._adapter.handle(command))

        return await self._beside(handling)

    def has_returned(self, future: asyncio.Future[Any]) -> bool:
        """Whether this call has returned, though what it emitted may still cross."""
        return self._returned is future

    def cancel(self, future: asyncio.Future[Any]) -> None:
        """Cancel this call, if it still runs; cancelling its future does the same."""
        self._on_loop(lambda: self._cancel(future))

    async def stop(self, seconds: float) -> bool:
        """End the thread; False where it did not react in time."""
        self._on_loop(lambda: self._work.put_nowait(None))
        await asyncio.to_thread(self._thread.join, seconds)
        return not self._thread.is_alive()

    @property
    def _adapter(self) -> Adapter:
        assert self.adapter is not None, "loaded before it is used"
        return self.adapter

    def _took(self, thing: FromAdapter) -> None:
        if type(thing) is not Finished:
            self._take(thing)
        elif not thing.future.done():
            if thing.error is None:
                thing.future.set_result(thing.result)
            else:
                thing.future.set_exception(_portable(thing.error))

    def _in_task(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._main.create_future()
        future.add_done_callback(self._pass_cancellation_on)
        self._on_loop(lambda: self._work.put_nowait(self._report(call, future)))
        return future

    def _beside(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._main.create_future()
        future.add_done_callback(self._pass_cancellation_on)
        self._on_loop(lambda: self._start_beside(call, future))
        return future

    def _pass_cancellation_on(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self.cancel(future)

    def _on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    # --- the adapter's side ------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Queue()
        self._running = asyncio.current_task()
        self._ready.set()
        while (work := await self._next_work()) is not None:
            await work
        while not self._work.empty():
            if (late := self._work.get_nowait()) is not None:
                late.close()
        for task in self._others.values():
            task.cancel()

    async def _next_work(self) -> Coroutine[Any, Any, None] | None:
        # An adapter that cancels its own task just before it returns would end the thread here.
        while True:
            try:
                return await self._work.get()
            except asyncio.CancelledError:
                _uncancel()

    def _start_beside(
        self, call: Callable[[], Awaitable[Any]], future: asyncio.Future[Any]
    ) -> None:
        task = asyncio.ensure_future(self._report(call, future, one_task=False))
        self._others[future] = task
        task.add_done_callback(lambda _: self._others.pop(future))

    async def _report(
        self,
        call: Callable[[], Awaitable[Any]],
        future: asyncio.Future[Any],
        *,
        one_task: bool = True,
    ) -> None:
        """Run a call and send what came of it across, behind everything it emitted."""
        if future.cancelled():
            return
        if one_task:
            self._current = future
        try:
            finished = Finished(future, result=await call())
        except asyncio.CancelledError as error:
            finished = Finished(future, error=error)
        except BaseException as error:  # noqa: BLE001 — the plug-in's edge: all it raises crosses
            finished = Finished(future, error=error)
        finally:
            if one_task:
                self._current, self._returned = None, future
                _uncancel()
        self.crossing.put(finished)

    def _cancel(self, future: asyncio.Future[Any]) -> None:
        if future in self._others:
            self._others[future].cancel()
        elif self._current is future and self._running is not None:
            self._running.cancel()


class Cancelled(Exception):
    """The adapter's call was cancelled, by the shell or by itself."""


def _portable(error: BaseException) -> Exception:
    """What a future of the main loop can hold without stopping that loop."""
    if isinstance(error, asyncio.CancelledError):
        return Cancelled("cancelled")
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _uncancel() -> None:
    """The next call must not inherit that this one was cancelled, even if it kept that quiet."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _plain(value: JSON) -> JSON:
    """The value as a reader will have it, apart from the adapter's live objects."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _set_answer(future: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    if not future.done():
        future.set_result(answer)
