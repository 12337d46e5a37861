"""Two links in a bad world: any schedule of cuts, delays, restarts and kills loses nothing.

The world is a simulation in plain numbers. It also shows that its checks would find the classic
mistakes: each of the `broken_links` is caught by the same schedules.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, TypeAlias

import pytest
from broken_links import BROKEN
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from runner_shell.errors import RunnerError
from runner_shell.link.batching import PartJoiner
from runner_shell.link.effects import (
    Acknowledged,
    CloseSocket,
    CommandReceived,
    CommandsAcknowledged,
    EventsReceived,
    GatewayEffect,
    GaveUp,
    HeartbeatReceived,
    HelloReceived,
    Redial,
    RunnerEffect,
    SecretReceived,
    Welcomed,
)
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.link.states import GatewayState, RunnerState
from runner_shell.protocol.frames import CloseCode, Hello

LIMITS = GatewayLimits(max_frame_bytes=1024, credit_bytes=2500)
"""Small, so that events of a few hundred bytes meet every limit."""

Action: TypeAlias = tuple[str, Any]


class Violation(AssertionError):
    """The world saw a promise broken."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


class Connection:
    """A socket pair: frames on their way, and the gateway's link at its end."""

    def __init__(self, link: GatewayLink) -> None:
        self.link = link
        self.up: deque[bytes] = deque()
        self.down: deque[bytes | CloseSocket] = deque()
        self.hello: Hello | None = None
        self.uncommitted: deque[EventsReceived] = deque()
        self.sent_sizes: dict[int, int] = {}


class World:
    """A session: a runner with its journal, a gateway with its store, and what is between them.

    A connection that the runner has lost may live on at the gateway until that notices.
    """

    def __init__(
        self, runner: type[RunnerLink] = RunnerLink, gateway: type[GatewayLink] = GatewayLink
    ) -> None:
        self._runner_class = runner
        self._gateway_class = gateway
        self.now = 0.0
        # The runner's process and volume.
        self.emitted: list[bytes] = []
        self.journal: dict[int, bytes] = {}
        self.applied: list[int] = []
        self.unjournaled: deque[int] = deque()
        self.instance = 0
        self.link = self._process()
        self.dialled: Connection | None = None
        # The gateway's process and store.
        self.committed: list[bytes] = []
        self.given: list[bytes] = []
        self.epochs: dict[str, int] = {}
        self.joiner = PartJoiner(LIMITS.max_event_bytes)
        self.served: Connection | None = None
        self.connections: list[Connection] = []

    # --- what happens ------------------------------------------------------------------------

    def emit(self, what: tuple[int, int, bool]) -> None:
        """The adapter emits some events of a size, text deltas or not."""
        count, size, lingers = what
        if self.link.epoch is None or self.link.state is RunnerState.FAILED:
            return
        for _ in range(count):
            seq = self.link.number()
            require(seq == len(self.emitted) + 1, f"number {seq} after {len(self.emitted)}")
            event = b'{"seq":%d,"time":"t","type":"log","message":"%b"}' % (seq, b"x" * size)
            self.emitted.append(event)
            self.journal[seq] = event
            self.link.journaled(seq, len(event), lingers=lingers, now=self.now)

    def advance(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    def dial(self, _: None = None) -> None:
        """The runner gets a connection, if it has none."""
        if self.link.state is not RunnerState.AWAY:
            return
        link = self._gateway_class(now=self.now, limits=LIMITS, joiner=self.joiner)
        self.dialled = Connection(link)
        self.connections.append(self.dialled)
        self.link.connected(self.now)

    def cut(self, what: tuple[int, bool]) -> None:
        """The network breaks; some frames still reach the gateway, and the runner may not notice
        before nothing comes for too long."""
        still, noticed = what
        if self.dialled is None:
            return
        while len(self.dialled.up) > still:
            self.dialled.up.pop()
        self.dialled = None
        if noticed:
            self._runner_effects(self.link.lost(None, "cut"))

    def up(self, count: int) -> None:
        """Frames arrive at the gateway, from lost connections too."""
        for connection in self.connections:
            for _ in range(min(count, len(connection.up))):
                self._arrive_up(connection, connection.up.popleft())

    def down(self, count: int) -> None:
        """Frames arrive at the runner."""
        for _ in range(count):
            if self.dialled is None or not self.dialled.down:
                return
            self._arrive_down(self.dialled.down.popleft())

    def repeat(self, _: None) -> None:
        """Somebody between the two delivers a frame of events or commands twice."""
        connection = self.dialled
        if connection is None:
            return
        if connection.up and connection.up[0].startswith(b'{"frame":"events"'):
            connection.up.appendleft(connection.up[0])
        below = connection.down[0] if connection.down else None
        if isinstance(below, bytes) and below.startswith(b'{"frame":"commands"'):
            connection.down.appendleft(below)

    def decide(self, _: None = None) -> None:
        """The gateway takes up whoever has said `hello`; what it served before is fenced."""
        for connection in list(self.connections):
            if connection.hello is None or connection.link.state is not GatewayState.DECIDING:
                continue
            if self.served is not None and self.served is not connection:
                self._gateway_effects(
                    self.served, self.served.link.close(CloseCode.REPLACED, "dialled again")
                )
                self.served.uncommitted.clear()
            self._welcome(connection, connection.hello)

    def commit(self, count: int) -> None:
        """The store finishes some transactions."""
        connection = self.served
        if connection is None:
            return
        for _ in range(min(count, len(connection.uncommitted))):
            for event in connection.uncommitted.popleft().events:
                self.committed.append(event.data)
                connection.link.committed(event.seq, self.now)

    def command(self, count: int) -> None:
        """Clients give commands, and a secret."""
        for _ in range(count):
            seq = len(self.given) + 1
            self.given.append(b'{"type":"turn.interrupt","id":"c%d","seq":%d}' % (seq, seq))
        if self.served is not None:
            self.served.link.offer_unnumbered(b'{"type":"secret.add","name":"N","value":"v"}')

    def accept(self, count: int) -> None:
        """The runner journals and applies commands that came."""
        for _ in range(min(count, len(self.unjournaled))):
            seq = self.unjournaled.popleft()
            self.applied.append(seq)
            self.link.command_journaled(seq)

    def restart_gateway(self, code: int | None) -> None:
        """The gateway's process is gone with all that was not committed; its store is not."""
        self.joiner = PartJoiner(LIMITS.max_event_bytes)
        self.served = None
        self.connections.clear()
        self.dialled = None
        self._runner_effects(self.link.lost(code, "the gateway restarts"))

    def kill_runner(self, _: None) -> None:
        """The runner's process is gone; the next one goes on with its journal."""
        self.dialled = None
        self.unjournaled.clear()
        self.instance += 1
        self.link = self._process()

    # --- machinery ---------------------------------------------------------------------------

    def play(self, schedule: list[Action]) -> None:
        """Let everything happen, then heal the world, and check at every step.

        Raises:
            Violation: A promise was broken.
        """
        try:
            for name, what in schedule:
                getattr(self, name)(what)
                self._step()
            self._heal()
        except (RunnerError, LookupError) as error:
            raise Violation(f"the links fell out with each other: {error!r}") from error

    def read(self, seq: int) -> bytes:
        """The journal, for the link."""
        return self.journal[seq]

    def _process(self) -> RunnerLink:
        own = LinkSettings(session="s", instance=f"i{self.instance}", log="l")
        first = min(self.journal, default=len(self.emitted) + 1)
        link = self._runner_class(own, self, next_seq=first, last_command=len(self.applied))
        for seq, event in self.journal.items():
            link.journaled(seq, len(event), lingers=False, now=self.now)
        return link

    def _step(self) -> None:
        self._runner_effects(self.link.tick(self.now))
        for frame in self.link.frames_to_send(self.now):
            self._write(frame)
        for connection in self.connections:
            link = connection.link
            self._gateway_effects(connection, link.tick(self.now))
            if link.state is GatewayState.OPEN:
                for seq, command in enumerate(self.given, 1):
                    link.offer_command(seq, command)
            for frame in link.frames_to_send(self.now):
                self._write_down(connection, frame)
        self._check()

    def _write(self, frame: bytes) -> None:
        if self.dialled is None:
            return  # into a connection that is broken unnoticed
        self.dialled.up.append(frame)
        require(len(frame) <= LIMITS.max_frame_bytes, f"a frame of {len(frame)} bytes")
        content = json.loads(frame)
        sent = self.dialled.sent_sizes
        for event in content.get("events", ()):
            require(event["seq"] not in sent, f"event {event['seq']} was sent twice")
            sent[event["seq"]] = len(self.journal[event["seq"]])
        if content["frame"] == "part":
            sent[content["seq"]] = len(self.journal[content["seq"]])

    def _write_down(self, connection: Connection, frame: bytes) -> None:
        connection.down.append(frame)
        content = json.loads(frame)
        if content["frame"] == "ack":
            seq = content["seq"]
            require(seq <= len(self.committed), f"event {seq} was acknowledged too early")

    def _check(self) -> None:
        require(
            self.committed == self.emitted[: len(self.committed)],
            "the store is no exact prefix of what was emitted",
        )
        require(
            self.applied == list(range(1, len(self.applied) + 1)),
            f"commands were applied as {self.applied}",
        )
        if self.dialled is not None:
            sizes = [s for seq, s in self.dialled.sent_sizes.items() if seq > self.link.acked]
            require(
                len(sizes) <= 1 or sum(sizes) <= LIMITS.credit_bytes,
                f"{sum(sizes)} bytes in {len(sizes)} events on their way",
            )
        links: list[RunnerLink | GatewayLink] = [self.link, *(c.link for c in self.connections)]
        for link in links:
            deadline = link.next_deadline()
            require(deadline is None or deadline > self.now, "a deadline that is over stays")

    def _heal(self) -> None:
        self.dialled = None
        self._runner_effects(self.link.lost(None, "cut"))
        for _ in range(100 + 3 * len(self.emitted)):  # a large event takes the whole credit
            self.dial()
            for happens in (self.up, self.commit, self.down, self.accept):
                happens(1000)
                self._step()
            self.decide()
            self._step()
            if self._healed():
                return
            self.advance(0.1)
            self._step()
        raise Violation("after healing not everything arrived")

    def _healed(self) -> bool:
        return (
            self.link.settled
            and self.committed == self.emitted
            and len(self.applied) == len(self.given)
            and self.link.epoch is not None
        )

    # --- the runner's end --------------------------------------------------------------------

    def _arrive_down(self, frame: bytes | CloseSocket) -> None:
        if isinstance(frame, CloseSocket):
            self.dialled = None
            self._runner_effects(self.link.lost(frame.code, frame.reason))
        else:
            self._runner_effects(self.link.receive(frame, self.now))

    def _runner_effects(self, effects: list[RunnerEffect]) -> None:
        for effect in effects:
            match effect:
                case Welcomed(lost_after=lost_after):
                    require(lost_after is None, "history was called lost")
                case Acknowledged(seq=seq):
                    require(seq <= len(self.committed), f"event {seq} was acknowledged too early")
                    for old in [known for known in self.journal if known <= seq]:
                        del self.journal[old]
                case CommandReceived(command=command):
                    self.unjournaled.append(command.seq)
                case CloseSocket() | Redial():
                    self.dialled = None
                case GaveUp(reason=reason):
                    raise Violation(f"the runner gave up: {reason}")
                case SecretReceived():
                    pass

    # --- the gateway's end -------------------------------------------------------------------

    def _arrive_up(self, connection: Connection, frame: bytes) -> None:
        self._gateway_effects(connection, connection.link.receive(frame, self.now))

    def _gateway_effects(self, connection: Connection, effects: list[GatewayEffect]) -> None:
        for effect in effects:
            match effect:
                case HelloReceived(hello=hello):
                    connection.hello = hello
                case EventsReceived():
                    connection.uncommitted.append(effect)
                case CloseSocket(code=code, reason=reason):
                    require(code not in (CloseCode.RESYNC, CloseCode.PROTOCOL), reason)
                    connection.down.append(effect)
                case CommandsAcknowledged(seq=seq):
                    require(seq <= len(self.applied), f"command {seq} was acknowledged too early")
                case HeartbeatReceived():
                    pass

    def _welcome(self, connection: Connection, hello: Hello) -> None:
        # One number for a process, however many of its first greetings were lost.
        latest = max(self.epochs.values(), default=0)
        epoch = self.epochs.setdefault(hello.instance, latest + 1)
        if epoch < latest:
            self._gateway_effects(
                connection, connection.link.refuse(CloseCode.SUPERSEDED, "a newer process")
            )
            return
        self.served = connection
        connection.link.welcome(
            epoch=epoch,
            acked=len(self.committed),
            last_command=hello.last_command,
            now=self.now,
        )


OPEN: list[Action] = [("dial", None), ("up", 1), ("decide", None), ("down", 1)]
"""Dial, greet, be taken up; else few schedules would come to anything."""

few = st.integers(1, 5)
small = st.tuples(st.integers(1, 80), st.sampled_from([0, 30, 300]), st.booleans())
large = st.tuples(st.integers(1, 4), st.sampled_from([950, 1000, 3000, 20_000]), st.booleans())
choices: dict[str, st.SearchStrategy[Any]] = {
    "emit": small | large,
    "up": st.sampled_from([1, 2, 3, 1000]),
    "commit": few,
    "down": few,
    "advance": st.sampled_from([0.001, 0.02, 0.1, 0.1, 3.0, 10.0, 30.0]),
    "command": few,
    "accept": few,
    "cut": st.tuples(st.integers(0, 5), st.booleans()),
    "repeat": st.none(),
    "dial": st.none(),
    "decide": st.none(),
    "restart_gateway": st.sampled_from([None, 1006, 4129, 4200]),
    "kill_runner": st.none(),
}
often = [*choices, "emit", "up", "commit", "down", "open", "open"]
groups: st.SearchStrategy[list[Action]] = st.sampled_from(often).flatmap(
    lambda name: st.just(OPEN) if name == "open" else choices[name].map(lambda what: [(name, what)])
)
schedules: st.SearchStrategy[list[Action]] = st.lists(groups, min_size=10, max_size=60).map(
    lambda chosen: OPEN + [action for group in chosen for action in group]
)


@settings(max_examples=200, deadline=None)
@given(schedules)
def test_any_schedule_loses_and_repeats_nothing(schedule: list[Action]) -> None:
    """ "Every journaled event reaches the gateway's store exactly once and in order, through any
    number of socket losses, half-open sockets, gateway restarts and runner kills"; commands are
    applied exactly once in order; credit holds; when the world heals, everything arrives."""
    World().play(schedule)


def test_a_world_without_faults_delivers() -> None:
    """The simulation does what it is for: a good day ends with everything committed."""
    world = World()
    good_day: list[Action] = [
        *OPEN,
        ("emit", (40, 300, False)),
        ("emit", (2, 3000, True)),
        ("command", 3),
    ]
    world.play(good_day)
    assert len(world.committed) == 42
    assert world.applied == [1, 2, 3]


def test_schedules_meet_what_they_are_for() -> None:
    """Going on in mid-event happens in this world, so that the property speaks of it too."""
    world = World()
    day: list[Action] = [
        *OPEN,
        ("emit", (1, 3000, False)),
        ("cut", (2, True)),
        ("up", 2),
        ("dial", None),
        ("up", 1),
        ("decide", None),
    ]
    for name, what in day:
        getattr(world, name)(what)
        world._step()
    assert world.dialled is not None
    welcome = world.dialled.down[0]
    assert isinstance(welcome, bytes)
    assert json.loads(welcome)["parts"] == 2
    world._heal()
    assert world.committed == world.emitted


# --- broken links ----------------------------------------------------------------------------


@pytest.mark.parametrize(("runner", "gateway"), BROKEN)
def test_a_broken_link_is_found(runner: type[RunnerLink], gateway: type[GatewayLink]) -> None:
    """The property above is not empty: the same schedules find each of these mistakes."""

    @settings(
        max_examples=2000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(schedules)
    def play(schedule: list[Action]) -> None:
        World(runner, gateway).play(schedule)

    with pytest.raises(Violation):
        play()
