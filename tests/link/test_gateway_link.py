"""The gateway's side of the link: who is let in, who is silent, and how it ends.

Literal frames in and out, times as plain numbers. The quotations are the protocol's promises.
"""

from __future__ import annotations

import json

import pytest
from gateway_frames import HEARTBEAT, HELLO, WELCOME, commands, events, interrupt, opened, received

from runner_shell.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from runner_shell.link.effects import CloseSocket, HeartbeatReceived, HelloReceived
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.link.states import GATEWAY_TABLE, GatewayState, GatewayTrigger, follow
from runner_shell.protocol.frames import Hello

# --- hello and welcome -----------------------------------------------------------------------


def test_hello_asks_for_a_decision() -> None:
    """`hello` is handed out whole; nothing goes back before the gateway has decided."""
    link = GatewayLink(now=0.0)
    assert link.receive(HELLO, 0.0) == [
        HelloReceived(
            Hello(session="s1", epoch=None, instance="i1", log="l1", next=1, last_command=0)
        )
    ]
    assert link.state is GatewayState.DECIDING
    assert link.frames_to_send(100.0) == []


def test_welcome_tells_everything_the_runner_needs() -> None:
    """`welcome` {epoch, acked, parts, credit, max_frame_bytes, heartbeat_seconds, state,
    open_requests} is the first frame that goes out."""
    limits = GatewayLimits(heartbeat_seconds=3.0, max_frame_bytes=2048, credit_bytes=4096)
    link = GatewayLink(now=0.0, limits=limits)
    link.receive(HELLO, 0.0)
    link.welcome(epoch=4, acked=9, state={"k": 1}, open_requests=({"id": "r"},), now=0.0)
    (frame,) = link.frames_to_send(0.0)
    assert json.loads(frame) == {
        "frame": "welcome",
        "epoch": 4,
        "acked": 9,
        "credit": 4096,
        "max_frame_bytes": 2048,
        "heartbeat_seconds": 3.0,
        "state": {"k": 1},
        "open_requests": [{"id": "r"}],
    }
    assert link.state is GatewayState.OPEN


def test_a_refusal_closes() -> None:
    """A runner that is not taken up gets a close code, and nothing else."""
    link = GatewayLink(now=0.0)
    link.receive(HELLO, 0.0)
    assert link.refuse(4004, "no such session") == [CloseSocket(4004, "no such session")]
    assert link.state is GatewayState.CLOSED
    assert link.frames_to_send(0.0) == []


def test_no_hello_is_closed() -> None:
    """A connection that does not greet is not kept."""
    link = GatewayLink(now=5.0, limits=GatewayLimits(hello_seconds=3.0))
    assert link.next_deadline() == 8.0
    assert link.tick(7.9) == []
    assert link.tick(8.0) == [CloseSocket(4130, "no hello came")]
    assert link.next_deadline() is None


def test_a_slow_decision_is_the_gateways_fault() -> None:
    """A runner that waits for its welcome is not called silent: it is told to back off."""
    link = GatewayLink(now=0.0, limits=GatewayLimits(hello_seconds=3.0))
    link.receive(HELLO, 1.0)
    assert link.next_deadline() == 4.0
    (close,) = link.tick(4.0)
    assert isinstance(close, CloseSocket)
    assert close.code == 4129


@pytest.mark.parametrize(
    "wrong", [b'"next":0', b'"last_command":-1', b'"max_frame_bytes":10', b'"next":"1"']
)
def test_an_impossible_hello_breaks_the_protocol(wrong: bytes) -> None:
    """Numbers begin at 1, and a runner that takes no frames is none."""
    hello = HELLO[:-1] + b"," + wrong + b"}"
    link = GatewayLink(now=0.0)
    with pytest.raises(RemoteProtocolError):
        link.receive(hello, 0.0)
    assert link.state is GatewayState.CLOSED


# --- liveness --------------------------------------------------------------------------------


def test_a_heartbeat_goes_when_nothing_else_does() -> None:
    """ "Heartbeats in the link, both ways"."""
    link = opened(0.0)
    link.receive(HEARTBEAT, 9.0)
    assert link.frames_to_send(9.9) == []
    assert link.next_deadline() == 10.0
    assert link.frames_to_send(10.0) == [b'{"frame":"heartbeat"}']
    assert link.next_deadline() == 20.0


def test_a_runners_heartbeat_is_handed_out() -> None:
    """`heartbeat` {progress} says how far the adapter is."""
    assert opened().receive(HEARTBEAT, 0.0) == [HeartbeatReceived(7)]


def test_a_silent_runner_is_closed() -> None:
    """Half-open sockets are found: after 2.5 heartbeats without a word the connection is over."""
    link = opened(0.0)
    link.receive(HEARTBEAT, 10.0)
    link.frames_to_send(34.0)
    assert link.next_deadline() == 35.0
    assert link.tick(34.9) == []
    assert link.tick(35.0) == [CloseSocket(4130, "nothing came from the runner")]
    assert link.tick(36.0) == []


def test_at_the_defaults_silence_is_found_within_20_s() -> None:
    """A black hole costs at most 20 s, on either side, unless a setting says otherwise."""
    link = GatewayLink(now=0.0)
    link.receive(HELLO, 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    (welcome,) = link.frames_to_send(0.0)
    assert link.tick(20.0) == [CloseSocket(4130, "nothing came from the runner")]
    runner = RunnerLink(LinkSettings(session="s1", instance="i1", log="l1"), NoEvents())
    runner.connected(0.0)
    runner.receive(welcome, 0.0)
    silent_at = runner.silent_at()
    assert silent_at is not None
    assert silent_at < 20.0
    assert isinstance(runner.tick(silent_at)[0], CloseSocket)


class NoEvents:
    """A journal that holds nothing."""

    def read(self, seq: int) -> bytes:
        raise IndexError(seq)


# --- endings ---------------------------------------------------------------------------------


def test_frames_after_the_end_are_ignored() -> None:
    """A superseded runner "is told and its later frames ignored", whatever they are."""
    link = opened()
    assert link.close(4000, "a newer process") == [CloseSocket(4000, "a newer process")]
    for frame in (events(1), HELLO, HEARTBEAT, b"not even JSON"):
        assert link.receive(frame, 0.0) == []
    link.offer_command(1, interrupt(1))
    assert link.frames_to_send(100.0) == []
    assert link.close(4001, "again") == []


@pytest.mark.parametrize(
    "frame",
    [
        HELLO,
        WELCOME,
        commands(),
        b'{"frame":1}',
        b'{"frame":"part","seq":1}',
        b"[]",
        b"{",
        b"\xff",
    ],
)
def test_a_wrong_frame_ends_the_connection(frame: bytes) -> None:
    """What an open link cannot take is the runner's error; later frames are ignored."""
    link = opened()
    with pytest.raises(RemoteProtocolError):
        link.receive(frame, 0.0)
    assert link.state is GatewayState.CLOSED
    assert link.receive(events(1), 0.0) == []


def test_a_frame_that_it_does_not_know_is_ignored() -> None:
    """A newer runner's frame is heard and passed over; what follows counts as ever."""
    link = opened(0.0)
    assert link.receive(b'{"frame":"weather","wind":[3]}', 20.0) == []
    assert link.tick(30.0) == [], "it counts as a sign of life"
    assert link.receive(events(1), 30.0) == [received(1)]


@pytest.mark.parametrize(
    "frame",
    [events(1), HEARTBEAT, b'{"frame":"ack","seq":0}', WELCOME, b'{"frame":"weather"}'],
)
@pytest.mark.parametrize("greeted", [False, True])
def test_nothing_but_one_hello_comes_before_the_welcome(frame: bytes, greeted: bool) -> None:
    """A runner greets and waits: every other frame before `welcome` is its error."""
    link = GatewayLink(now=0.0)
    if greeted:
        link.receive(HELLO, 0.0)
    with pytest.raises(RemoteProtocolError):
        link.receive(frame, 0.0)


def test_a_frame_over_the_limit_ends_the_connection() -> None:
    """The gateway takes what its `welcome` said, and no more."""
    link = opened(max_frame_bytes=1024)
    with pytest.raises(LimitExceeded):
        link.receive(b'{"frame":"heartbeat"' + b" " * 1024 + b"}", 0.0)


# --- the table -------------------------------------------------------------------------------

MISSING = [
    (state, trigger)
    for state in GatewayState
    for trigger in GatewayTrigger
    if (state, trigger) not in GATEWAY_TABLE
]


@pytest.mark.parametrize(("state", "trigger"), MISSING)
def test_what_the_table_lacks_is_an_error(state: GatewayState, trigger: GatewayTrigger) -> None:
    """A trigger in a state without a line for it raises, whichever they are."""
    with pytest.raises(LocalProtocolError, match=f"while the link is '{state.value}'"):
        follow(GATEWAY_TABLE, state, trigger)


@pytest.mark.parametrize("state", list(GatewayState))
def test_welcome_follows_the_table(state: GatewayState) -> None:
    """`welcome` raises wherever no `hello` waits for it, and moves nothing then."""
    link = opened()
    match state:
        case GatewayState.AWAITING_HELLO:
            link = GatewayLink(now=0.0)
        case GatewayState.DECIDING:
            link = GatewayLink(now=0.0)
            link.receive(HELLO, 0.0)
        case GatewayState.CLOSED:
            link.close(4000, "over")
    assert link.state is state
    after = GATEWAY_TABLE.get((state, GatewayTrigger.WELCOMED))
    if after is None:
        with pytest.raises(LocalProtocolError):
            link.welcome(epoch=1, acked=0, now=0.0)
    else:
        link.welcome(epoch=1, acked=0, now=0.0)
    assert link.state is (after or state)
