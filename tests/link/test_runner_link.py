"""The runner's side of the link: signs of life, endings, wrong frames, and the table.

Literal frames in and out, times as plain numbers. The quotations are the protocol's promises.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from runner_frames import HEARTBEAT, WELCOME, Runner, ack, commands, interrupt

from runner_shell.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from runner_shell.link.effects import Acknowledged, CloseSocket, GaveUp, Redial
from runner_shell.link.runner import RunnerLink
from runner_shell.link.states import RUNNER_TABLE, RunnerState, RunnerTrigger, follow

# --- liveness --------------------------------------------------------------------------------


def test_a_heartbeat_goes_when_nothing_else_does() -> None:
    """ "Heartbeats in the link, both ways": with the adapter's progress, at the agreed distance."""
    runner = Runner()
    runner.open(0.0)
    runner.link.progress = 42
    assert runner.link.frames_to_send(9.9) == []
    assert runner.link.next_deadline() == 10.0
    assert runner.link.frames_to_send(10.0) == [b'{"frame":"heartbeat","progress":42}']
    assert runner.link.next_deadline() == 20.0


def test_events_count_as_a_heartbeat() -> None:
    """Any frame lets the runner be heard, so no heartbeat follows it at once."""
    runner = Runner()
    runner.open(0.0)
    runner.emit(8.0)
    runner.sent(8.0)
    assert runner.link.frames_to_send(10.0) == []
    assert runner.link.frames_to_send(18.0) == [b'{"frame":"heartbeat"}']


def test_a_silent_gateway_is_lost() -> None:
    """Half-open sockets are found: after 2.5 heartbeats without a word the runner dials again."""
    runner = Runner()
    runner.open(0.0)
    runner.link.frames_to_send(20.0)
    assert runner.link.tick(24.9) == []
    assert runner.link.next_deadline() == 25.0
    close, redial = runner.link.tick(25.0)
    assert isinstance(close, CloseSocket)
    assert close.code == 4130
    assert isinstance(redial, Redial)
    assert not redial.at_once
    assert runner.link.state is RunnerState.AWAY
    assert runner.link.next_deadline() is None


def test_any_frame_breaks_the_silence() -> None:
    """A heartbeat or any other frame shows that the gateway lives."""
    runner = Runner()
    runner.open(0.0)
    assert runner.link.receive(HEARTBEAT, 24.0) == []
    assert runner.link.tick(48.9) == []
    assert runner.link.tick(49.0) != []


def test_no_welcome_is_a_lost_connection() -> None:
    """A gateway that takes the connection and never welcomes is given up, heartbeats or not."""
    runner = Runner(welcome_seconds=5.0)
    runner.link.connected(1.0)
    runner.link.frames_to_send(1.0)
    assert runner.link.next_deadline() == 6.0
    assert runner.link.receive(HEARTBEAT, 5.0) == []
    assert runner.link.tick(5.9) == []
    close, redial = runner.link.tick(6.0)
    assert isinstance(close, CloseSocket)
    assert isinstance(redial, Redial)
    assert "no welcome" in redial.reason


def test_a_deadline_that_was_acted_on_is_over() -> None:
    """After `tick` and `frames_to_send` the next deadline lies ahead: nothing spins."""
    runner = Runner()
    runner.open(0.0)
    now = 0.0
    for _ in range(5):
        runner.emit(now, lingers=True)
        deadline = runner.link.next_deadline()
        assert deadline is not None
        now = deadline
        runner.link.tick(now)
        runner.link.frames_to_send(now)
        runner.link.receive(HEARTBEAT, now)
        after = runner.link.next_deadline()
        assert after is not None
        assert after > now


# --- endings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4000, 4001, 4026, 4077, 4099])
def test_codes_from_4000_are_final(code: int) -> None:
    """4000–4099 are final, "so that an unknown one still says what to do"."""
    runner = Runner()
    runner.open()
    assert runner.link.lost(code, "no") == [GaveUp(code, "no", fenced=code == 4000)]
    assert runner.link.state is RunnerState.REFUSED


@pytest.mark.parametrize("code", [None, 1000, 1006, 1011, 3999, 4100, 4110, 4177, 4199, 4300, 4999])
def test_codes_from_4100_and_strange_ones_back_off(code: int | None) -> None:
    """4100–4199, a broken network and codes outside of all ranges: back off and dial again."""
    runner = Runner()
    runner.open()
    assert runner.link.lost(code, "later") == [Redial(at_once=False, reason="later")]
    assert runner.link.state is RunnerState.AWAY


@pytest.mark.parametrize("code", [4200, 4201, 4277, 4299])
def test_codes_from_4200_dial_at_once(code: int) -> None:
    """4200–4299: "dial again now (draining)"."""
    runner = Runner()
    runner.open()
    assert runner.link.lost(code, "now") == [Redial(at_once=True, reason="now")]


def test_a_superseded_runner_is_fenced() -> None:
    """ "A zombie is fenced, with its own close code": it says, sends and takes nothing more."""
    runner = Runner()
    runner.open()
    runner.emit()
    assert runner.link.lost(4000, "a newer process") == [
        GaveUp(4000, "a newer process", fenced=True)
    ]
    assert runner.link.frames_to_send(0.0) == []
    assert runner.link.receive(commands(interrupt(1)), 0.0) == []
    with pytest.raises(LocalProtocolError):
        runner.link.connected(1.0)


def test_a_refused_upgrade_is_final() -> None:
    """ "HTTP at the upgrade (401, 403, 404, 426 final)": there is no connection to lose."""
    runner = Runner()
    assert runner.link.refused(403, "not yours") == [GaveUp(403, "not yours", fenced=False)]
    assert runner.link.state is RunnerState.REFUSED


def test_a_lost_connection_is_lost_once() -> None:
    """The second news of the same end changes nothing."""
    runner = Runner()
    runner.open()
    assert len(runner.link.lost(None, "cut")) == 1
    assert runner.link.lost(4000, "late") == []
    assert runner.link.state is RunnerState.AWAY


def test_a_closed_link_is_quiet() -> None:
    """After `close` nothing is sent or taken in; closing again does nothing."""
    runner = Runner()
    runner.open()
    runner.emit()
    runner.link.close()
    runner.link.close()
    assert runner.link.frames_to_send(100.0) == []
    assert runner.link.tick(100.0) == []
    assert runner.link.receive(HEARTBEAT, 100.0) == []
    assert runner.link.lost(None, "cut") == []
    assert runner.link.next_deadline() is None
    assert runner.link.state is RunnerState.CLOSED


# --- strange and wrong frames ----------------------------------------------------------------


def test_a_frame_that_it_does_not_know_is_ignored() -> None:
    """A newer gateway's frame is heard and passed over; what follows counts as ever."""
    runner = Runner()
    runner.link.connected(0.0)
    assert runner.link.receive(b'{"frame":"weather","wind":[3]}', 0.0) == []
    runner.link.receive(WELCOME, 0.0)
    assert runner.link.receive(b'{"frame":"weather"}', 20.0) == []
    assert runner.link.tick(30.0) == [], "it counts as a sign of life"
    runner.emit()
    assert runner.link.receive(ack(1), 30.0) == [Acknowledged(1)]


@pytest.mark.parametrize(
    "frame",
    [
        WELCOME,
        b'{"frame":"hello","session":"s1","epoch":1,"instance":"i","log":"l","next":1,"last_command":0}',
        b'{"frame":"events","events":[]}',
        b'{"frame":"ack"}',
        b'{"frame":1}',
        b"[]",
        b"{",
        b"\xff",
    ],
)
def test_a_wrong_frame_fails_the_link(frame: bytes) -> None:
    """What an open link cannot take is the gateway's error, "nothing is retried"."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError):
        runner.link.receive(frame, 0.0)
    assert runner.link.state is RunnerState.FAILED
    assert runner.link.lost(4200, "later") == []
    assert runner.link.frames_to_send(100.0) == []


@pytest.mark.parametrize("frame", [ack(0), commands()])
def test_only_a_welcome_answers_hello(frame: bytes) -> None:
    """Before `welcome` nothing has a meaning."""
    runner = Runner()
    runner.link.connected(0.0)
    with pytest.raises(RemoteProtocolError):
        runner.link.receive(frame, 0.0)


def test_a_frame_over_the_limit_fails_the_link() -> None:
    """ "Decoders have limits": the runner takes what its `hello` said, and no more."""
    runner = Runner(max_frame_bytes=1024)
    runner.open()
    with pytest.raises(LimitExceeded):
        runner.link.receive(b'{"frame":"heartbeat"' + b" " * 1024 + b"}", 0.0)


# --- the table -------------------------------------------------------------------------------

MISSING = [
    (state, trigger)
    for state in RunnerState
    for trigger in RunnerTrigger
    if (state, trigger) not in RUNNER_TABLE
]


@pytest.mark.parametrize(("state", "trigger"), MISSING)
def test_what_the_table_lacks_is_an_error(state: RunnerState, trigger: RunnerTrigger) -> None:
    """A trigger in a state without a line for it raises, whichever they are."""
    with pytest.raises(LocalProtocolError, match=f"while the link is '{state.value}'"):
        follow(RUNNER_TABLE, state, trigger)


def in_state(state: RunnerState) -> RunnerLink:
    runner = Runner()
    match state:
        case RunnerState.AWAY:
            pass
        case RunnerState.GREETING:
            runner.link.connected(0.0)
        case RunnerState.OPEN:
            runner.open()
        case RunnerState.REFUSED:
            runner.link.refused(404, "none")
        case RunnerState.FAILED:
            runner.link.connected(0.0)
            with pytest.raises(RemoteProtocolError):
                runner.link.receive(b"{", 0.0)
        case RunnerState.CLOSED:
            runner.link.close()
    assert runner.link.state is state
    return runner.link


@pytest.mark.parametrize("state", list(RunnerState))
def test_each_call_follows_the_table(state: RunnerState) -> None:
    """`connected` and `refused` raise where the table lacks them, and move nothing then."""
    calls: dict[RunnerTrigger, Callable[[RunnerLink], object]] = {
        RunnerTrigger.CONNECTED: lambda link: link.connected(0.0),
        RunnerTrigger.REFUSED: lambda link: link.refused(404, "none"),
    }
    for trigger, call in calls.items():
        link = in_state(state)
        after = RUNNER_TABLE.get((state, trigger))
        if after is None:
            with pytest.raises(LocalProtocolError):
                call(link)
        else:
            call(link)
        assert link.state is (after or state)
