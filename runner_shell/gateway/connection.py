"""One runner's connection: drives a `GatewayLink` over a socket and carries its effects out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar, assert_never

from msgspec import Struct

from ..errors import LocalProtocolError, RemoteProtocolError, TransportBroken, TransportClosed
from ..link.effects import (
    CloseSocket,
    CommandsAcknowledged,
    EventsReceived,
    GatewayEffect,
    HeartbeatReceived,
    HelloReceived,
)
from ..link.gateway import GatewayLink
from ..protocol.frames import MAX_FRAME_BYTES, CloseCode, Hello
from ..transport.socket import Socket
from .errors import InvalidInputError, QuotaError, StaleEpochError, StoreError, UnknownSessionError
from .logs import Log
from .store import CommandRow, EventRow, SessionKey, Store
from .welcome import Admission

SEND_SECONDS = 10.0
"""A peer that takes nothing for this long is gone."""

COMMIT_SECONDS = 10.0
"""For how long the end of a connection waits for a commit that is under way."""

COMMANDS_PER_READ = 100
EFFECTS_WAITING = 64
"""How many frames are read ahead of the store; credit bounds their bytes."""

COMMANDS_OVERHEAD = 64
"""What a frame of commands has besides them, at most."""

T = TypeVar("T")

_log = Log(__name__)


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a runner's hello was not taken.

    Attributes:
        code: The close code.
        reason: For a person.
    """

    code: int
    reason: str


class Home(Protocol):
    """Where a connection belongs: the live session."""

    @property
    def key(self) -> SessionKey:
        """The session's key."""

    async def admit(self, connection: RunnerConnection, hello: Hello) -> Admission | Refusal:
        """Take a runner in, and fence the one before."""

    def publish(self, rows: Sequence[EventRow]) -> None:
        """Hand committed events to whoever listens."""

    async def wind_down(self, connection: RunnerConnection, epoch: int, reason: str) -> None:
        """Have the process stop in order, because a quota is used up."""


class _Ended(Exception):
    """Ends both tasks of a connection; it never leaves this module."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class RunnerConnection:
    """Serves one socket until it is gone.

    Args:
        socket: The connection.
        link: Its protocol state, fresh.
        home: The session it claims to be of.
        store: Where its events go.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        socket: Socket,
        link: GatewayLink,
        *,
        home: Home,
        store: Store,
        clock: Callable[[], float],
    ) -> None:
        self._socket = socket
        self._link = link
        self._home = home
        self._store = store
        self._clock = clock
        self._effects: asyncio.Queue[GatewayEffect | TransportBroken | TransportClosed]
        self._effects = asyncio.Queue(EFFECTS_WAITING)
        self._wake = asyncio.Event()
        self._sleeps_until: float | None = None
        self._committing = asyncio.Lock()
        self._fence: tuple[int, str] | None = None
        self._admission: Admission | None = None
        self._offered = 0
        self._max_frame_bytes = 0
        self._commands_wait = False
        self.instance = ""

    @property
    def welcomed(self) -> bool:
        """Whether its runner may emit and is given commands."""
        return self._admission is not None and self._fence is None

    async def run(self) -> None:
        """Serve until either side closes, then close the socket with the reason."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                tasks.create_task(self._work())
                tasks.create_task(self._write())
        except* _Ended as ended:
            await self._close(ended)
        except* (TransportBroken, TransportClosed) as broken:
            _log.debug("runner_gone", session=self._home.key.id, why=str(broken.exceptions[0]))

    async def fence(self, code: int, reason: str) -> None:
        """Commit nothing of this connection any more, and have its socket closed.

        When this returns, what was being committed is committed.
        """
        if self._fence is None:
            self._fence = (code, reason)
        self._wake.set()
        async with self._committing:
            pass

    def notify_command(self) -> None:
        """Say that the store may have a new command for the runner."""
        self._commands_wait = True
        self._wake.set()

    def send_unnumbered(self, encoded: bytes) -> None:
        """Send a command that is never stored. Call it only when `welcomed`.

        Raises:
            InvalidInputError: The runner takes no frame of this size.
        """
        if len(encoded) > self._max_command_bytes:
            raise InvalidInputError(
                f"the command has {len(encoded)} bytes, and the session's runner takes at most"
                f" {self._max_command_bytes}"
            )
        self._link.offer_unnumbered(encoded)
        self._wake.set()

    # --- inbound -------------------------------------------------------------------------

    async def _read(self) -> None:
        # Only reads: a commit that takes long must not make a runner look silent.
        try:
            while True:
                frame = await self._socket.recv()
                # Nothing that comes is answered at once: what a commit or a welcome makes due wakes
                # the writer then, and not every frame.
                for effect in self._link.receive(frame, self._clock()):
                    await self._pass_on(effect)
        except RemoteProtocolError as error:
            await self._effects.put(CloseSocket(CloseCode.PROTOCOL, str(error)))
        except (TransportBroken, TransportClosed) as error:
            await self._effects.put(error)

    async def _pass_on(self, effect: GatewayEffect) -> None:
        match effect:
            case HelloReceived(hello=hello):
                with self._verdicts():
                    await self._greet(hello)
            case HeartbeatReceived():
                pass  # that the link heard it is all there is to it
            case _:
                await self._effects.put(effect)

    async def _work(self) -> None:
        while True:
            effect = await self._effects.get()
            if isinstance(effect, Exception):
                raise effect
            with self._verdicts():
                await self._carry_out(effect)
            self._wake_if_due()

    def _wake_if_due(self) -> None:
        """Wake the writer only where it would sleep too long: most commits move no deadline."""
        due, until = self._link.next_deadline(), self._sleeps_until
        if due is not None and (until is None or due < until):
            self._wake.set()

    async def _carry_out(self, effect: GatewayEffect) -> None:
        match effect:
            case EventsReceived(events=events):
                await self._commit(events)
            case CommandsAcknowledged(seq=seq):
                async with self._committing:
                    self._raise_if_fenced()
                    await self._store.acknowledge_command(self._home.key, seq)
            case CloseSocket(code=code, reason=reason):
                self._fence = self._fence or (code, reason)
                raise _Ended(code, reason)
            case HelloReceived() | HeartbeatReceived():
                raise LocalProtocolError(f"{effect} is not to be queued")
            case _:
                assert_never(effect)

    @contextmanager
    def _verdicts(self) -> Iterator[None]:
        try:
            yield
        except RemoteProtocolError as error:
            raise _Ended(CloseCode.PROTOCOL, str(error)) from error
        except StaleEpochError as error:
            raise _Ended(CloseCode.SUPERSEDED, str(error)) from error
        except UnknownSessionError as error:
            raise _Ended(CloseCode.SESSION_DELETED, str(error)) from error
        except QuotaError as error:
            raise _Ended(CloseCode.QUOTA, str(error)) from error
        except StoreError as error:
            _log.error("store_failed", session=self._home.key.id, error=str(error))
            raise _Ended(CloseCode.OVERLOADED, "the gateway's store failed") from error

    async def _greet(self, hello: Hello) -> None:
        self.instance = hello.instance
        self._max_frame_bytes = min(hello.max_frame_bytes, MAX_FRAME_BYTES)
        answer = await self._home.admit(self, hello)
        if isinstance(answer, Refusal):
            for effect in self._link.refuse(answer.code, answer.reason):
                await self._carry_out(effect)
            raise _Ended(answer.code, answer.reason)
        self._raise_if_fenced()
        self._admission = answer
        self._offered = answer.last_command
        self._link.welcome(
            epoch=answer.epoch,
            acked=answer.acked,
            last_command=answer.last_command,
            state=answer.state,
            open_requests=answer.open_requests,
            omitted_state=answer.omitted_state,
            omitted_requests=answer.omitted_requests,
            committed_epoch=answer.committed_epoch,
            now=self._clock(),
        )
        self.notify_command()

    async def _commit(self, rows: Sequence[EventRow]) -> None:
        admission = self._admission
        if admission is None:
            raise LocalProtocolError("events came out of a link that was not welcomed")
        async with self._committing:
            self._raise_if_fenced()
            limit = "" if admission.allowance is None else admission.allowance.spend(rows)
            last = await _to_its_end(self._append(admission.epoch, rows))
        self._link.committed(last, self._clock())
        if limit:
            await self._home.wind_down(self, admission.epoch, limit)

    async def _append(self, epoch: int, rows: Sequence[EventRow]) -> int:
        last = await self._store.append_events(self._home.key, epoch, rows)
        self._home.publish(rows)
        return last

    def _raise_if_fenced(self) -> None:
        if self._fence is not None:
            raise _Ended(*self._fence)

    # --- outbound ------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            self._raise_if_fenced()
            await self._offer_commands()
            for effect in self._link.tick(self._clock()):
                await self._carry_out(effect)
            for frame in self._link.frames_to_send(self._clock()):
                await self._send(frame)
            await self._pause()

    async def _offer_commands(self) -> None:
        # Read from the store and never handed over, so that they go out in the order of numbers.
        while self._commands_wait and self.welcomed:
            self._commands_wait = False
            with self._verdicts():
                rows = await self._store.commands_after(
                    self._home.key, self._offered, limit=COMMANDS_PER_READ
                )
            for row in rows:
                self._demand_fits(row)
                self._link.offer_command(row.seq, row.data)
                self._offered = row.seq
            self._commands_wait = self._commands_wait or len(rows) == COMMANDS_PER_READ

    def _demand_fits(self, row: CommandRow) -> None:
        if len(row.data) > self._max_command_bytes:
            raise _Ended(
                CloseCode.PROTOCOL,
                f"command {row.seq} has {len(row.data)} bytes, and this runner takes at most"
                f" {self._max_command_bytes}",
            )

    @property
    def _max_command_bytes(self) -> int:
        return self._max_frame_bytes - COMMANDS_OVERHEAD

    async def _send(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(frame)
        except TimeoutError as error:
            raise _Ended(CloseCode.SILENT, "nothing was taken for too long") from error

    async def _pause(self) -> None:
        deadline = self._sleeps_until = self._link.next_deadline()
        if deadline is None or self._wake.is_set():
            await self._wake.wait()
            return
        delay = max(0.0, deadline - self._clock())
        timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _close(self, ended: ExceptionGroup[_Ended]) -> None:
        first = ended.exceptions[0]
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        assert isinstance(first, _Ended)
        code, reason = self._fence or (first.code, first.reason)
        _log.debug("runner_closed", session=self._home.key.id, code=code, reason=reason)
        with suppress(TransportBroken, TransportClosed):
            await self._socket.close(code, reason)


async def _to_its_end(work: Coroutine[None, None, T]) -> T:
    # A connection that ends while the store commits must neither let its fence pass before that,
    # nor keep what was committed from those who listen.
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=COMMIT_SECONDS)
        raise
