"""The runner's side of the link.

Source: docs/reference/protocol.md, "Frames" and "Numbers and acknowledgement".
"""

from __future__ import annotations

from msgspec import Struct

from ..errors import LocalProtocolError, RemoteProtocolError
from ..protocol import codec
from ..protocol.catalogue import COMMANDS
from ..protocol.commands import Command, ReservedCommand, SecretAdd
from ..protocol.frames import (
    MAX_FRAME_BYTES,
    Ack,
    CloseCode,
    Commands,
    Frame,
    Heartbeat,
    Hello,
    UnknownFrame,
    Welcome,
)
from . import batching
from .effects import (
    Acknowledged,
    CloseSocket,
    CommandReceived,
    GaveUp,
    Redial,
    RunnerEffect,
    SecretReceived,
    Welcomed,
)
from .outbox import EventSource, Outbox
from .states import RUNNER_TABLE, RunnerState, RunnerTrigger, follow

SILENCE_FACTOR = 2.5
"""A peer is lost when nothing came for so many of its heartbeats."""


TOO_LARGE = 1009
"""WebSocket's own close code for a frame that is too large. The peer's maximum is kept to, so it
comes from something between the two; the same frame again would only get the same answer."""


class LinkSettings(Struct, frozen=True, kw_only=True):
    """What a runner says of itself, and its patience.

    Attributes:
        session: Id of the session.
        instance: Random id of this process.
        log: Random id of the journal.
        runner: Name and version of the shell.
        adapter: Name of the adapter.
        max_frame_bytes: The largest frame it takes.
        welcome_seconds: How long it waits for `welcome`.
        linger_seconds: How long a text delta may wait to share a frame.
    """

    session: str
    instance: str
    log: str
    runner: str = ""
    adapter: str = ""
    max_frame_bytes: int = MAX_FRAME_BYTES
    welcome_seconds: float = 10.0
    linger_seconds: float = 0.015


class RunnerLink:
    """Numbers events, sends them until they are acknowledged, and takes commands in order.

    Call `connected` after each dial, `receive` for each frame, `lost` when the connection broke,
    `tick` when `next_deadline` has passed; after each of them carry the effects out and send
    everything from `frames_to_send`.

    Args:
        settings: Who it is.
        events: The journal; the link keeps numbers and sizes only.
        last_command: The last command that is journaled already.
        next_seq: The number of the next event. To go on with a journal, give the number of its
            first unacknowledged event, and call `journaled` for each of them before `connected`.
        last_epoch: The number of the last process that wrote into this journal; 0 before the first.

    Attributes:
        state: Where it stands.
        outbox: The events that are not acknowledged.
        journaled: See `Outbox.journaled`.
        epoch: This process's number, or None before the first welcome.
        log: Id of the journal for the next `hello`; set a new one where history was lost.
        progress: How many events the adapter has emitted, for the heartbeats.
    """

    def __init__(
        self,
        settings: LinkSettings,
        events: EventSource,
        *,
        last_command: int = 0,
        next_seq: int = 1,
        last_epoch: int = 0,
    ) -> None:
        self.state = RunnerState.AWAY
        self.outbox = Outbox(events, next_seq=next_seq, linger_seconds=settings.linger_seconds)
        self.journaled = self.outbox.journaled
        self.epoch: int | None = None
        self.log = settings.log
        self.progress = 0
        self._settings = settings
        self._last_epoch = last_epoch
        self._way_max_frame_bytes = MAX_FRAME_BYTES
        self._heartbeat_seconds = 10.0
        self._last_command = last_command
        self._journaled_command = last_command
        self._command_ack_due = False
        self._hello_due = False
        self._last_heard = 0.0
        self._last_sent = 0.0

    # --- numbers -----------------------------------------------------------------------------

    def number(self) -> int:
        """Give the next event its number.

        Raises:
            LocalProtocolError: Before the first welcome: "nothing is numbered before it".
        """
        if self.epoch is None:
            raise LocalProtocolError("an event was to be numbered before the first welcome")
        return self.outbox.next_seq

    @property
    def backlog(self) -> int:
        """How many events are not acknowledged."""
        return len(self.outbox)

    @property
    def settled(self) -> bool:
        """Whether every event is acknowledged."""
        return not self.outbox

    @property
    def acked(self) -> int:
        """The last event that is committed."""
        return self.outbox.acked

    def command_journaled(self, seq: int) -> None:
        """Command `seq` is safe here: acknowledge it. Unnumbered ones have the number 0."""
        if seq > self._journaled_command:
            self._journaled_command = seq
            self._command_ack_due = True

    # --- the connection ----------------------------------------------------------------------

    def connected(self, now: float) -> None:
        """A connection stands: greet."""
        self._move(RunnerTrigger.CONNECTED)
        self._hello_due = True
        self._last_heard = self._last_sent = now

    def receive(self, frame: bytes | str, now: float) -> list[RunnerEffect]:
        """Take in one inbound frame and return what it means.

        Args:
            frame: One UTF-8 JSON object.
            now: Monotonic seconds; the link never reads a clock.

        Raises:
            RemoteProtocolError: The gateway broke the protocol. The link is FAILED.
        """
        if self.state not in (RunnerState.GREETING, RunnerState.OPEN):
            return []  # what a closed connection still had in its pipe
        try:
            decoded = codec.decode_gateway_frame(frame, max_bytes=self._settings.max_frame_bytes)
            effects = self._take(decoded)
        except RemoteProtocolError:
            self._move(RunnerTrigger.BROKEN)
            raise
        if self.state is RunnerState.OPEN:  # before that, only `welcome` counts as being heard
            self._last_heard = now
        return effects

    def lost(self, code: int | None, reason: str) -> list[RunnerEffect]:
        """The connection is gone.

        Args:
            code: The WebSocket close code, or None without one.
            reason: What the peer or the system said.

        Source: "close codes in ranges, so that an unknown one still says what to do".
        """
        if self.state not in (RunnerState.GREETING, RunnerState.OPEN):
            return []
        if code is not None and 4000 <= code < 4100:
            return self.refused(code, reason)
        self._move(RunnerTrigger.LOST)
        if code == TOO_LARGE:
            half = min(self.outbox.max_frame_bytes, self._way_max_frame_bytes) // 2
            self._way_max_frame_bytes = max(batching.MIN_FRAME_BYTES, half)
        return [Redial(at_once=code is not None and 4200 <= code < 4300, reason=reason)]

    def refused(self, code: int, reason: str) -> list[RunnerEffect]:
        """The gateway said no for good, at the upgrade or by a final close code."""
        self._move(RunnerTrigger.REFUSED)
        return [GaveUp(code, reason, fenced=code == CloseCode.SUPERSEDED)]

    def close(self) -> None:
        """The runner is done; nothing is sent or taken in any more."""
        if (self.state, RunnerTrigger.CLOSED) in RUNNER_TABLE:
            self._move(RunnerTrigger.CLOSED)

    def tick(self, now: float) -> list[RunnerEffect]:
        """A deadline may have passed: a silent gateway is a lost one."""
        patience = self._patience()
        if patience is None or now < self._last_heard + patience:
            return []
        what = "no welcome" if self.state is RunnerState.GREETING else "nothing"
        reason = f"{what} came from the gateway for {patience:g} s"
        return [CloseSocket(CloseCode.SILENT, reason), *self.lost(CloseCode.SILENT, reason)]

    def silent_at(self) -> float | None:
        """When `tick` will find the gateway lost, if nothing comes before; None without one.

        Whoever writes may be held up by a peer that takes nothing, so somebody else has to look.
        """
        patience = self._patience()
        return None if patience is None else self._last_heard + patience

    def next_deadline(self) -> float | None:
        """When to call `tick` and `frames_to_send` again at the latest, or None."""
        patience = self._patience()
        if patience is None:
            return None
        deadlines = [self._last_heard + patience]
        if self.state is RunnerState.OPEN:
            deadlines.append(self._last_sent + self._heartbeat_seconds)
            if (lingered := self.outbox.deadline) is not None:
                deadlines.append(lingered)
        return min(deadlines)

    # --- sending -----------------------------------------------------------------------------

    def frames_to_send(self, now: float) -> list[bytes]:
        """What is to be written now, in order; ask again while there is `more_to_send`."""
        frames = []
        if self._hello_due and self.state is RunnerState.GREETING:
            self._hello_due = False
            frames.append(codec.encode_frame(self._hello()))
        if self.state is RunnerState.OPEN:
            if self._command_ack_due:
                self._command_ack_due = False
                frames.append(codec.encode_frame(Ack(seq=self._journaled_command)))
            frames.extend(self.outbox.frames(now))
            if not frames and now >= self._last_sent + self._heartbeat_seconds:
                frames.append(codec.encode_frame(Heartbeat(progress=self.progress)))
        if frames:
            self._last_sent = now
        return frames

    @property
    def more_to_send(self) -> bool:
        """Whether a large event is under way, of which `frames_to_send` gave a part only."""
        return self.outbox.has_more

    def _hello(self) -> Hello:
        own = self._settings
        return Hello(
            session=own.session,
            epoch=self.epoch,
            instance=own.instance,
            log=self.log,
            next=self.outbox.next_seq,
            last_command=self._journaled_command,
            runner=own.runner,
            adapter=own.adapter,
            max_frame_bytes=own.max_frame_bytes,
        )

    # --- receiving ---------------------------------------------------------------------------

    def _take(self, frame: Frame) -> list[RunnerEffect]:
        match self.state, frame:
            case RunnerState.GREETING, Welcome():
                return self._take_welcome(frame)
            case RunnerState.OPEN, Ack():
                return self._take_ack(frame)
            case RunnerState.OPEN, Commands():
                return self._take_commands(frame)
            case _, Heartbeat() | UnknownFrame():
                return []
            case _:
                name = type(frame).__name__.lower()
                raise RemoteProtocolError(f"{name!r} while the link is {self.state.value!r}")

    def _take_welcome(self, welcome: Welcome) -> list[RunnerEffect]:
        first = self.epoch is None
        if not first and welcome.epoch != self.epoch:
            raise RemoteProtocolError(f"epoch {welcome.epoch} for a process of epoch {self.epoch}")
        _check_terms(welcome)
        self.outbox.unsend()
        diverged = first and welcome.committed_epoch > self._last_epoch
        lost_after = self._align(welcome.acked, first=first, diverged=diverged)
        if first and welcome.last_command > self._last_command:
            # An earlier process took these in; applying them here could be the second time.
            self._last_command = self._journaled_command = welcome.last_command
        max_frame_bytes = min(welcome.max_frame_bytes, self._way_max_frame_bytes)
        narrowed = (
            max_frame_bytes < welcome.max_frame_bytes
        )  # then what it has may be cut elsewhere
        parts = 0 if narrowed else self.outbox.resumable(welcome.parts, max_frame_bytes)
        self._move(RunnerTrigger.WELCOMED)
        self.epoch = welcome.epoch
        self.outbox.begin(credit=welcome.credit, max_frame_bytes=max_frame_bytes, parts=parts)
        self._heartbeat_seconds = welcome.heartbeat_seconds
        return [
            Welcomed(
                first=first,
                epoch=welcome.epoch,
                acked=welcome.acked,
                lost_after=lost_after,
                state=welcome.state,
                open_requests=welcome.open_requests,
                diverged=diverged,
                omitted_state=welcome.omitted_state,
                omitted_requests=welcome.omitted_requests,
            ),
            *([Acknowledged(welcome.acked)] if lost_after is None else []),
        ]

    def _align(self, acked: int, *, first: bool, diverged: bool) -> int | None:
        """Take over what the gateway has committed.

        Source: "If `welcome.acked` is not below `hello.next`, … the runner's history was lost", and
        "if `welcome.committed_epoch` is above the last epoch in the journal, …".
        """
        if diverged or (first and acked >= self.outbox.next_seq):
            self.outbox.begin_anew(acked)
            return acked
        self.outbox.acknowledge(acked)
        return None

    def _take_ack(self, ack: Ack) -> list[RunnerEffect]:
        if ack.credit is not None:
            self.outbox.credit = ack.credit
        self.outbox.acknowledge(ack.seq)
        return [Acknowledged(ack.seq)]

    def _take_commands(self, frame: Commands) -> list[RunnerEffect]:
        effects: list[RunnerEffect] = []
        for raw in frame.commands:
            received = _decode_command(bytes(raw))
            if isinstance(received, SecretReceived):
                effects.append(received)
                continue
            seq = received.command.seq
            if seq < 1:
                _check_unnumbered(received.command)
                continue
            if seq > self._last_command + 1:
                raise RemoteProtocolError(f"command {seq} where {self._last_command + 1} was next")
            if seq <= self._last_command:
                self._command_ack_due = True  # it did not hear the first acknowledgement
                continue
            self._last_command = seq
            effects.append(received)
        return effects

    def _patience(self) -> float | None:
        match self.state:
            case RunnerState.GREETING:
                return self._settings.welcome_seconds
            case RunnerState.OPEN:
                return self._heartbeat_seconds * SILENCE_FACTOR
            case _:
                return None

    def _move(self, trigger: RunnerTrigger) -> None:
        self.state = follow(RUNNER_TABLE, self.state, trigger)


def _check_terms(welcome: Welcome) -> None:
    if welcome.max_frame_bytes < batching.MIN_FRAME_BYTES:
        raise RemoteProtocolError(f"frames of at most {welcome.max_frame_bytes} bytes hold nothing")
    if welcome.heartbeat_seconds <= 0:
        raise RemoteProtocolError(f"heartbeats every {welcome.heartbeat_seconds:g} s")


def _check_unnumbered(command: Command | ReservedCommand) -> None:
    """Source: "an unnumbered one among them counts for nothing"; those of known types have one."""
    if command.seq < 0 or not isinstance(command, ReservedCommand) or command.type in COMMANDS:
        raise RemoteProtocolError(f"command {command.id!r} has the number {command.seq}")


def _decode_command(raw: bytes) -> CommandReceived | SecretReceived:
    try:
        command: Command | ReservedCommand | SecretAdd = codec.decode_command(raw)
    except RemoteProtocolError as error:
        # The envelope must be right; wrong fields are the client's fault and get an answer.
        head = codec.decode_command_head(raw)
        if head.type == "secret.add":
            raise  # it has no id to answer, and going on would let the secret cross
        return CommandReceived(head, problem=str(error))
    if isinstance(command, SecretAdd):
        return SecretReceived(command)
    return CommandReceived(command)
