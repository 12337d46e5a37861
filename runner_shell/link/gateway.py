"""The gateway's side of the link, for one connection.

Source: docs/reference/protocol.md, "Frames" and "Numbers and acknowledgement".
"""

from __future__ import annotations

from collections import deque

from msgspec import Raw, Struct

from ..errors import LocalProtocolError, RemoteProtocolError
from ..protocol import codec
from ..protocol.events import JSON, Envelope
from ..protocol.frames import (
    MAX_EVENT_BYTES,
    MAX_FRAME_BYTES,
    Ack,
    CloseCode,
    Events,
    Frame,
    Heartbeat,
    Hello,
    Part,
    UnknownFrame,
    Welcome,
)
from .batching import MIN_FRAME_BYTES, PartJoiner
from .effects import (
    CloseSocket,
    CommandsAcknowledged,
    EventsReceived,
    GatewayEffect,
    HeartbeatReceived,
    HelloReceived,
    NumberedEvent,
)
from .runner import SILENCE_FACTOR
from .states import GATEWAY_TABLE, GatewayState, GatewayTrigger, follow

ACK_SECONDS = 0.1
ACK_EVENTS = 256
ACK_SHARE = 4
"""An acknowledgement is due once what was committed since the last is this part of the credit."""


class GatewayLimits(Struct, frozen=True, kw_only=True):
    """What a gateway allows and how patient it is.

    Attributes:
        heartbeat_seconds: How often each side lets itself be heard; at the default, silence is
            found out within 20 s.
        hello_seconds: How long it waits for `hello`.
        max_frame_bytes: The largest frame it takes.
        credit_bytes: Unacknowledged bytes it allows.
        max_event_bytes: The largest event it puts together from parts.
    """

    heartbeat_seconds: float = 7.5
    hello_seconds: float = 10.0
    max_frame_bytes: int = MAX_FRAME_BYTES
    credit_bytes: int = 1024 * 1024
    max_event_bytes: int = MAX_EVENT_BYTES


class GatewayLink:
    """Takes only the next event it expects, and acknowledges only what is committed.

    Call `receive` for each frame and `tick` when `next_deadline` has passed; carry the effects out,
    then send everything from `frames_to_send`.

    Args:
        now: Monotonic seconds at which the connection came.
        limits: What it allows.
        joiner: The parts that earlier connections of the session have brought; their links must
            be closed. Without it, a large event begins anew at every connection.
    """

    def __init__(
        self,
        *,
        now: float,
        limits: GatewayLimits | None = None,
        joiner: PartJoiner | None = None,
    ) -> None:
        self.state = GatewayState.AWAITING_HELLO
        self.limits = limits or GatewayLimits()
        self._received = 0
        self._committed = 0
        self._acked = 0
        self._ack_due: float | None = None
        self._arrived: deque[tuple[int, int]] = deque()  # last number and bytes of each frame
        self._bytes_to_ack = 0
        self._last_command = 0
        self._runner_max_frame_bytes = MAX_FRAME_BYTES
        self._log = ""
        self._joiner = joiner or PartJoiner(self.limits.max_event_bytes)
        self._control: list[bytes] = []
        self._commands: deque[bytes] = deque()
        self._last_heard = now
        self._last_sent = now

    def receive(self, frame: bytes | str, now: float) -> list[GatewayEffect]:
        """Take in one inbound frame and return what it means.

        Raises:
            RemoteProtocolError: The runner broke the protocol; close with `CloseCode.PROTOCOL`.
        """
        if self.state is GatewayState.CLOSED:
            return []  # Source: "the old one is told and its later frames ignored"
        self._last_heard = now
        try:
            decoded = codec.decode_runner_frame(frame, max_bytes=self.limits.max_frame_bytes)
            if isinstance(decoded, Events) and self.state is GatewayState.OPEN:
                envelopes = codec.decode_envelopes(frame, len(decoded.events))
                effects = self._take_events(decoded.events, envelopes)
                if effects:
                    self._arrived.append((self._received, len(frame)))
                return effects
            return self._take(decoded)
        except RemoteProtocolError:
            self._move(GatewayTrigger.CLOSED)
            raise

    def welcome(
        self,
        *,
        epoch: int,
        acked: int,
        last_command: int = 0,
        state: dict[str, JSON] | None = None,
        open_requests: tuple[JSON, ...] = (),
        omitted_state: int = 0,
        omitted_requests: int = 0,
        committed_epoch: int = 0,
        now: float,
    ) -> None:
        """Take the runner up.

        Args:
            epoch: Its process's number.
            acked: The last committed event of the session.
            last_command: The last command that the session's processes have acknowledged, this
                one's `hello` included.
            state: What the adapter saved.
            open_requests: Payloads of `request.opened` without an ending.
            omitted_state: How many saved values were left out, so that the frame fits.
            omitted_requests: How many open requests were left out.
            committed_epoch: The number of the process that had event `acked` committed.
            now: Monotonic seconds.
        """
        self._move(GatewayTrigger.WELCOMED)
        self._received = self._committed = self._acked = acked
        self._last_command = last_command
        self._last_heard = now
        held = self._joiner.resume(
            log=self._log, seq=acked + 1, max_frame_bytes=self.limits.max_frame_bytes
        )
        self._control.append(
            codec.encode_frame(
                Welcome(
                    epoch=epoch,
                    acked=acked,
                    parts=held,
                    last_command=last_command,
                    credit=self.limits.credit_bytes,
                    max_frame_bytes=self.limits.max_frame_bytes,
                    heartbeat_seconds=self.limits.heartbeat_seconds,
                    state=state or {},
                    open_requests=open_requests,
                    omitted_state=omitted_state,
                    omitted_requests=omitted_requests,
                    committed_epoch=committed_epoch,
                )
            )
        )

    def refuse(self, code: int, reason: str) -> list[GatewayEffect]:
        """Say no to `hello`."""
        return self.close(code, reason)

    def close(self, code: int, reason: str) -> list[GatewayEffect]:
        """End this connection; later frames are ignored. Closing twice does nothing."""
        if self.state is GatewayState.CLOSED:
            return []
        self._move(GatewayTrigger.CLOSED)
        return [CloseSocket(code, reason)]

    def committed(self, seq: int, now: float) -> None:
        """Every event up to `seq` is committed; the acknowledgement goes within 100 ms.

        It goes at once where many events came, or much of the credit is used up: large events would
        else wait for it.

        Raises:
            LocalProtocolError: Events that never came cannot be committed.
        """
        if seq > self._received:
            raise LocalProtocolError(f"event {seq} was committed, {self._received} came last")
        self._committed = max(self._committed, seq)
        while self._arrived and self._arrived[0][0] <= self._committed:
            self._bytes_to_ack += self._arrived.popleft()[1]
        if self._committed <= self._acked:
            return
        much = self._bytes_to_ack >= self.limits.credit_bytes // ACK_SHARE
        if much or self._committed - self._acked >= ACK_EVENTS:
            self._ack_due = now
        elif self._ack_due is None:
            self._ack_due = now + ACK_SECONDS

    def offer_command(self, seq: int, encoded: bytes) -> None:
        """Send a numbered command; one that the runner has already is left out.

        Raises:
            LocalProtocolError: A number was left out, or the runner is not welcomed yet.
        """
        if self.state in (GatewayState.AWAITING_HELLO, GatewayState.DECIDING):
            raise LocalProtocolError(f"command {seq} was offered before the welcome")
        if seq > self._last_command + 1:
            raise LocalProtocolError(
                f"command {seq} was offered where {self._last_command + 1} was next"
            )
        if seq == self._last_command + 1:
            self._last_command = seq
            self._commands.append(encoded)

    def offer_unnumbered(self, encoded: bytes) -> None:
        """Send a command that is not stored."""
        self._commands.append(encoded)

    def tick(self, now: float) -> list[GatewayEffect]:
        """A deadline may have passed: a silent runner is a lost one."""
        if self.state is GatewayState.CLOSED or now < self._silence_at():
            return []
        if self.state is GatewayState.AWAITING_HELLO:
            return self.close(CloseCode.SILENT, "no hello came")
        if self.state is GatewayState.DECIDING:
            return self.close(CloseCode.OVERLOADED, "looking the session up took too long")
        return self.close(CloseCode.SILENT, "nothing came from the runner")

    def next_deadline(self) -> float | None:
        """When to call `tick` and `frames_to_send` again at the latest, or None."""
        match self.state:
            case GatewayState.CLOSED:
                return None
            case GatewayState.OPEN:
                beat = self._last_sent + self.limits.heartbeat_seconds
                due = [self._silence_at(), beat]
                return min(due if self._ack_due is None else [*due, self._ack_due])
            case _:
                return self._silence_at()

    def frames_to_send(self, now: float) -> list[bytes]:
        """Everything that is to be written now, in order."""
        if self.state is not GatewayState.OPEN:
            return []
        frames, self._control = self._control, []
        if self._ack_due is not None and now >= self._ack_due:
            self._ack_due = None
            self._acked = self._committed
            self._bytes_to_ack = 0
            ack = Ack(seq=self._acked, credit=self.limits.credit_bytes)
            frames.append(codec.encode_frame(ack))
        frames.extend(self._command_frames())
        if not frames and now >= self._last_sent + self.limits.heartbeat_seconds:
            frames.append(codec.encode_frame(Heartbeat()))
        if frames:
            self._last_sent = now
        return frames

    def _command_frames(self) -> list[bytes]:
        frames = []
        while self._commands:
            batch = [self._commands.popleft()]
            size = len(batch[0])
            while self._commands and size + len(self._commands[0]) < self._batch_bytes:
                size += len(self._commands[0]) + 1
                batch.append(self._commands.popleft())
            frames.append(codec.join_commands(batch))
        return frames

    @property
    def _batch_bytes(self) -> int:
        return min(self._runner_max_frame_bytes, MAX_FRAME_BYTES) - 64

    def _take(self, frame: Frame) -> list[GatewayEffect]:
        match self.state, frame:
            case GatewayState.AWAITING_HELLO, Hello():
                _check_hello(frame)
                self._move(GatewayTrigger.HELLO)
                self._log = frame.log
                self._runner_max_frame_bytes = frame.max_frame_bytes
                return [HelloReceived(frame)]
            case GatewayState.OPEN, Part():
                return self._take_part(frame)
            case GatewayState.OPEN, Ack():
                return [CommandsAcknowledged(frame.seq)]
            case GatewayState.OPEN, Heartbeat():
                return [HeartbeatReceived(frame.progress)]
            case GatewayState.OPEN, UnknownFrame():
                return []
            case _:
                name = type(frame).__name__.lower()
                raise RemoteProtocolError(f"{name!r} while the link is {self.state.value!r}")

    def _take_events(self, raws: list[Raw], envelopes: list[Envelope]) -> list[GatewayEffect]:
        """Source: "The gateway accepts only the next number it expects"."""
        new: list[NumberedEvent] = []
        expected = self._received + 1
        for raw, head in zip(raws, envelopes, strict=True):
            seq = head.seq
            if seq == expected:
                new.append(NumberedEvent(seq, head.time, head.type, head.turn, bytes(raw)))
                expected += 1
            elif seq > expected:
                self._received = expected - 1
                return self._resync(seq, new)
        self._received = expected - 1
        return [EventsReceived(tuple(new))] if new else []

    def _take_part(self, part: Part) -> list[GatewayEffect]:
        if part.seq <= self._received:
            return []
        if part.seq > self._received + 1:
            return self._resync(part.seq, [])
        event = self._joiner.add(part)
        if event is None:
            return []
        head = codec.decode_envelope(event)
        if head.seq != part.seq:
            raise RemoteProtocolError(f"the parts of event {part.seq} hold another number")
        self._received = part.seq
        self._arrived.append((part.seq, len(event)))
        whole = NumberedEvent(head.seq, head.time, head.type, head.turn, event)
        return [EventsReceived((whole,))]

    def _resync(self, seq: int, new: list[NumberedEvent]) -> list[GatewayEffect]:
        kept: list[GatewayEffect] = [EventsReceived(tuple(new))] if new else []
        reason = f"event {seq} where {self._received + 1} was next"
        return [*kept, *self.close(CloseCode.RESYNC, reason)]

    def _silence_at(self) -> float:
        if self.state is GatewayState.OPEN:
            return self._last_heard + self.limits.heartbeat_seconds * SILENCE_FACTOR
        return self._last_heard + self.limits.hello_seconds

    def _move(self, trigger: GatewayTrigger) -> None:
        self.state = follow(GATEWAY_TABLE, self.state, trigger)


def _check_hello(hello: Hello) -> None:
    if hello.max_frame_bytes < MIN_FRAME_BYTES:
        raise RemoteProtocolError(f"frames of at most {hello.max_frame_bytes} bytes hold nothing")
    if hello.next < 1 or hello.last_command < 0:
        raise RemoteProtocolError(
            f"hello with next event {hello.next}, last command {hello.last_command}"
        )
