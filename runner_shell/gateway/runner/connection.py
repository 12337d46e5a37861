"""One runner's connection: drives a `GatewayLink` over a line and carries its effects out.

Nothing in here waits: it is called when a frame has come, when a commit is done, and when it is
time. What has to wait is an errand.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import assert_never

from ...errors import RemoteProtocolError
from ...link.effects import (
    CloseSocket,
    CommandsAcknowledged,
    EventsReceived,
    GatewayEffect,
    HeartbeatReceived,
    HelloReceived,
)
from ...link.gateway import GatewayLink
from ...protocol.frames import CloseCode, Hello
from ..errors import (
    QuotaError,
    StaleEpochError,
    StoreError,
    UnknownSessionError,
)
from ..logs import Log
from ..store import Append, Outcome
from .basket import Basket
from .feed import CommandFeed
from .home import Home, Refusal, Surroundings
from .line import SEND_SECONDS, Line
from .welcome import Admission

LOOK_SECONDS = 0.25
"""How often it is looked whether a full line takes something again, or a paused one was heard."""

LISTENING_SECONDS = 1.0
"""For how long it reads again before it takes a runner for silent: what came lies in buffers."""

OVER_RESERVE = "the session was told to stop, and went on beyond its reserve"

_log = Log(__name__)


class RunnerConnection:
    """Serves one line until it is gone; see `line.Receiver`, `intake.Depositor`, `rounds.Visited`.

    Args:
        line: What it is spoken over.
        link: Its protocol state, fresh.
        home: The session it claims to be of.
        around: What it shares with the others.
        on_over: Called once, when it is gone and what it brought is committed.
    """

    # A gateway has thousands of them, most of which do nothing most of the time.
    __slots__ = (
        "_admission",
        "_around",
        "_basket",
        "_closing",
        "_ending",
        "_feed",
        "_full_since",
        "_greeting",
        "_held",
        "_home",
        "_is_gone",
        "_is_paused",
        "_journaled",
        "_line",
        "_link",
        "_listens_since",
        "_on_over",
        "_reached",
        "instance",
        "key",
        "slot",
    )

    def __init__(
        self,
        line: Line,
        link: GatewayLink,
        *,
        home: Home,
        around: Surroundings,
        on_over: Callable[[RunnerConnection], None],
    ) -> None:
        self._line = line
        self._link = link
        self._home = home
        self._around = around
        self._on_over: Callable[[RunnerConnection], None] | None = on_over
        self._admission: Admission | None = None
        self._greeting = False
        self._held: list[bytes | str] = []
        self._basket = Basket()
        self._is_paused = False
        self._listens_since = 0.0
        self._reached = ""
        self._journaled: int | None = None
        self._closing: tuple[int, str] | None = None
        self._ending: tuple[int, str] | None = None
        self._is_gone = False
        self._feed: CommandFeed | None = None
        self._full_since: float | None = None
        self.instance = ""
        self.key = home.key
        self.slot: int | None = None

    @property
    def welcomed(self) -> bool:
        """Whether its runner may emit and is given commands."""
        return self._admission is not None and self._ending is None

    def begin(self) -> None:
        """Wait for hello; frames may come from now on."""
        self._flush()

    async def fence(self, code: int, reason: str) -> None:
        """Commit nothing of this connection any more, and close its line.

        When this returns, what was being committed is committed.
        """
        self.close(code, reason)
        await self._basket.arrival()

    # --- inbound -------------------------------------------------------------------------

    def take(self, frame: bytes | str) -> None:
        """A frame came."""
        if self._greeting:
            self._held.append(frame)  # it was read before reading could be paused
            return
        try:
            for effect in self._link.receive(frame, self._around.clock()):
                self._carry_out(effect)
        except RemoteProtocolError as error:
            self._close_when_committed(CloseCode.PROTOCOL, str(error))

    def gone(self, reason: str) -> None:
        """The line is gone. What was read from it is committed all the same."""
        if not self._is_gone:
            self._is_gone = True
            if self._ending is None:
                _log.debug("runner_gone", session=self.key.id, why=reason)
            self._finish_if_over()

    def _carry_out(self, effect: GatewayEffect) -> None:
        match effect:
            case EventsReceived(events=events):
                self._basket.add(events)
                self._around.intake.expect(self)
                if self._basket.is_full:
                    self._pause()
            case HelloReceived(hello=hello):
                self._greeting = True
                self._pause()
                self._around.errands.run(self._errand(self._greet(hello)))
            case CommandsAcknowledged(seq=seq):
                self._journaled = seq
                self._around.intake.expect(self)
            case CloseSocket(code=code, reason=reason):
                self._close_when_committed(code, reason)
            case HeartbeatReceived():
                pass  # that the link heard it is all there is to it
            case _:
                assert_never(effect)

    async def _greet(self, hello: Hello) -> None:
        try:
            self.instance = hello.instance
            answer = await self._home.admit(self, hello)
        finally:
            self._greeting = False
            if self._is_over():
                self._home.leave(self)
                self._finish_if_over()
        if isinstance(answer, Refusal):
            self.close(answer.code, answer.reason)
        elif not self._is_over():
            self._welcome(answer, hello.max_frame_bytes)

    def _welcome(self, admission: Admission, max_frame_bytes: int) -> None:
        self._admission = admission
        self._feed = CommandFeed(
            self._link,
            self._line,
            self._around.store,
            self.key,
            after=admission.last_command,
            max_frame_bytes=max_frame_bytes,
            send_due=self._flush,
        )
        self._link.welcome(
            epoch=admission.epoch,
            acked=admission.acked,
            last_command=admission.last_command,
            state=admission.state,
            open_requests=admission.open_requests,
            omitted_state=admission.omitted_state,
            omitted_requests=admission.omitted_requests,
            committed_epoch=admission.committed_epoch,
            now=self._around.clock(),
        )
        self._flush()
        self.notify_command()
        held, self._held = self._held, []
        for frame in held:
            self.take(frame)
        self._resume()

    # --- what is committed ---------------------------------------------------------------

    def journaled(self) -> int | None:
        """Up to which command its runner has journaled, where that is to be noted."""
        seq, self._journaled = self._journaled, None
        return None if self._ending is not None else seq

    def deposit(self) -> Append | None:
        """Everything it has by now; until `settle` it gives no more."""
        admission = self._admission
        if admission is None or not self._basket.rows or self._basket.is_on_its_way:
            return None
        rows, all_of_them, reached = self._basket.take_out(admission.allowance)
        self._reached = self._reached or reached
        if not all_of_them:
            self._close_when_committed(CloseCode.QUOTA, OVER_RESERVE)
        return Append(self.key, admission.epoch, rows) if rows else None

    def settle(self, append: Append, outcome: Outcome) -> None:
        """What became of its deposit."""
        self._basket.arrived()
        if isinstance(outcome, int):
            self._home.publish(append.rows)
            self._committed(append, outcome)
        else:
            self.fail(outcome)
        if self._basket.rows:
            self._around.intake.expect(self)
        elif self._closing is not None:
            self.close(*self._closing)
        self._finish_if_over()

    def _committed(self, append: Append, last: int) -> None:
        if self._reached:
            reached, self._reached = self._reached, ""
            self._around.errands.run(self._errand(self._home.wind_down(append.epoch, reached)))
        if self._is_over():
            return
        now = self._around.clock()
        self._link.committed(last, now)
        due = self._link.next_deadline()
        if due is not None and due <= now:
            self._flush()
        elif due is not None:
            # Most commits move no deadline: nothing is to be sent before the acknowledgement.
            self._around.rounds.visit(self, due)
        if not self._basket.is_full:
            self._resume()

    def fail(self, error: Exception) -> None:
        """End it for this reason."""
        match error:
            case RemoteProtocolError():
                self.close(CloseCode.PROTOCOL, str(error))
            case StaleEpochError():
                self.close(CloseCode.SUPERSEDED, str(error))
            case UnknownSessionError():
                self.close(CloseCode.SESSION_DELETED, str(error))
            case QuotaError():
                self.close(CloseCode.QUOTA, str(error))
            case StoreError():
                _log.error("store_failed", session=self.key.id, error=str(error))
                self.close(CloseCode.OVERLOADED, "the gateway's store failed")
            case _:
                _log.error("connection_failed", session=self.key.id, error=repr(error))
                self.close(CloseCode.OVERLOADED, "the gateway failed")

    # --- outbound ------------------------------------------------------------------------

    def visit(self) -> None:
        """Do what is due."""
        if self._is_over():
            return
        now = self._around.clock()
        # That nothing is read now, or was until just now, is no silence of the runner's.
        reads = not self._is_paused and now >= self._listens_since + LISTENING_SECONDS
        if reads or self._greeting:
            for effect in self._link.tick(now):
                if isinstance(effect, CloseSocket):
                    self.close(effect.code, effect.reason)
        self._flush()

    def _flush(self) -> bool:
        """Send what is due, and ask for the next visit. False where the connection is over."""
        if self._is_over():
            return False
        now = self._around.clock()
        if not self._line.is_full:
            self._full_since = None
            for frame in self._link.frames_to_send(now):
                self._line.write(frame)
        if self._line.is_full:
            return self._wait_for_room(now)
        due = self._link.next_deadline()
        if due is not None:
            # Everything due was sent: what is over by now waits until it is listened to again.
            due = due if due > now else now + LOOK_SECONDS
            self._around.rounds.visit(self, due)
        return True

    def _wait_for_room(self, now: float) -> bool:
        if self._full_since is None:
            self._full_since = now
        if now - self._full_since > SEND_SECONDS:
            self.close(CloseCode.SILENT, "nothing was taken for too long")
            return False
        self._around.rounds.visit(self, now + LOOK_SECONDS)
        return True

    def send_unnumbered(self, encoded: bytes) -> None:
        """Send a command that is never stored. Call it only when `welcomed`.

        Raises:
            InvalidInputError: The runner takes no frame of this size.
        """
        assert self._feed is not None
        self._feed.offer_unnumbered(encoded)

    def notify_command(self) -> None:
        """Say that the store may have a new command for the runner."""
        if self._feed is not None and not self._is_over() and self._feed.notify():
            self._around.errands.run(self._errand(self._feed.offer()))

    # --- its end -------------------------------------------------------------------------

    def _close_when_committed(self, code: int, reason: str) -> None:
        if self._basket.is_done:
            self.close(code, reason)
        else:
            self._closing = self._closing or (code, reason)

    def close(self, code: int, reason: str) -> None:
        """Close the line and take nothing more to the store. The first reason counts."""
        if self._ending is not None:
            return
        self._ending = (code, reason)
        self._basket.drop()
        self._held = []
        self._link.close(code, reason)
        if not self._is_gone:
            _log.debug("runner_closed", session=self.key.id, code=code, reason=reason)
            self._line.close(code, reason)
        self._home.leave(self)
        self._finish_if_over()

    def _is_over(self) -> bool:
        return self._is_gone or self._ending is not None

    def _finish_if_over(self) -> None:
        is_over = self._is_gone and self._basket.is_done and not self._greeting
        if is_over and self._on_over is not None:
            on_over, self._on_over = self._on_over, None
            self._around.rounds.forget(self)
            self._home.leave(self)
            on_over(self)

    # --- how -----------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._line.pause()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._listens_since = self._around.clock()
            self._line.resume()

    async def _errand(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 — a task's edge: whatever it is, it ends this
            self.fail(error)
