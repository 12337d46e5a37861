"""The gateway's side of the link: literal frames in and out, times as plain numbers.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from runner_shell.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from runner_shell.link.batching import PartJoiner
from runner_shell.link.effects import (
    CloseSocket,
    CommandsAcknowledged,
    EventsReceived,
    HeartbeatReceived,
    HelloReceived,
    NumberedEvent,
)
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.link.states import GATEWAY_TABLE, GatewayState, GatewayTrigger, follow
from runner_shell.protocol.frames import Hello

HELLO = (
    b'{"frame":"hello","session":"s1","epoch":null,"instance":"i1","log":"l1","next":1,'
    b'"last_command":0}'
)
HEARTBEAT = b'{"frame":"heartbeat","progress":7}'
WELCOME = (
    b'{"frame":"welcome","epoch":1,"acked":0,"parts":0,"credit":1048576,'
    b'"max_frame_bytes":262144,"heartbeat_seconds":10.0,"state":{},"open_requests":[]}'
)


def numbered(data: bytes) -> NumberedEvent:
    """An event as the link hands it on: its envelope is read already."""
    head = json.loads(data)
    return NumberedEvent(head["seq"], head["time"], head["type"], head.get("turn", ""), data)


def event(seq: int, message: bytes = b"") -> bytes:
    return b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","type":"log","message":"%b"}' % (
        seq,
        message,
    )


def events(*seqs: int) -> bytes:
    return b'{"frame":"events","events":[' + b",".join(map(event, seqs)) + b"]}"


def received(*seqs: int) -> EventsReceived:
    return EventsReceived(tuple(numbered(event(seq)) for seq in seqs))


def part(seq: int, index: int, total: int, piece: bytes) -> bytes:
    data = base64.b64encode(piece)
    return b'{"frame":"part","seq":%d,"index":%d,"total":%d,"data":"%b"}' % (
        seq,
        index,
        total,
        data,
    )


def opened(
    now: float = 0.0, *, acked: int = 0, last_command: int = 0, **limits: Any
) -> GatewayLink:
    """A link that has welcomed its runner and said so."""
    limits = {"heartbeat_seconds": 10.0} | limits
    link = GatewayLink(now=now, limits=GatewayLimits(**limits))
    link.receive(HELLO, now)
    link.welcome(epoch=1, acked=acked, last_command=last_command, now=now)
    link.frames_to_send(now)
    return link


def interrupt(seq: int, size: int = 0) -> bytes:
    return b'{"type":"turn.interrupt","id":"c%d","seq":%d,"reason":"%b"}' % (seq, seq, b"x" * size)


def commands(*members: bytes) -> bytes:
    return b'{"frame":"commands","commands":[' + b",".join(members) + b"]}"


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


# --- events ----------------------------------------------------------------------------------


def test_events_are_handed_out_as_they_came() -> None:
    """New events come out numbered, in order, and byte for byte."""
    link = opened()
    spaced = b'{ "seq" : 1, "time":"t", "type":"later.than.us", "own": 1.50 }'
    frame = b'{"frame":"events","events":[' + spaced + b"," + event(2) + b"]}"
    assert link.receive(frame, 0.0) == [EventsReceived((numbered(spaced), numbered(event(2))))]


def test_a_duplicate_is_dropped() -> None:
    """ "At-least-once sending is effectively-once storing"."""
    link = opened(acked=2)
    assert link.receive(events(1, 2), 0.0) == []
    assert link.receive(events(2, 3, 3, 4), 0.0) == [received(3, 4)]
    assert link.receive(events(3, 4), 0.0) == []


def test_a_hole_asks_for_a_new_beginning() -> None:
    """ "The gateway accepts only the next number it expects": what came before the hole is kept,
    and the connection closes with 4110, so that the runner begins again with `hello`."""
    link = opened()
    kept, close = link.receive(events(1, 2, 4), 0.0)
    assert kept == received(1, 2)
    assert close == CloseSocket(4110, "event 4 where 3 was next")
    assert link.receive(events(3, 4), 0.0) == []


@pytest.mark.parametrize(
    "member", [b"7", b"{}", b'{"seq":"1","time":"t","type":"log"}', b"[" * 100 + b"]" * 100]
)
def test_what_is_no_event_breaks_the_protocol(member: bytes) -> None:
    """An event without number, time and type, or nested too deeply, is the runner's error."""
    link = opened()
    with pytest.raises(RemoteProtocolError):
        link.receive(b'{"frame":"events","events":[' + member + b"]}", 0.0)
    assert link.state is GatewayState.CLOSED


# --- acknowledgement -------------------------------------------------------------------------


def test_only_what_is_committed_is_acknowledged() -> None:
    """`ack` goes "only after commit", however long that takes."""
    link = opened()
    link.receive(events(1, 2, 3), 0.0)
    assert link.frames_to_send(9.0) == []
    link.committed(2, 9.0)
    assert link.frames_to_send(9.1) == [b'{"frame":"ack","seq":2,"credit":1048576}']
    assert link.frames_to_send(9.2) == []


def test_acknowledgements_are_gathered_for_100_ms() -> None:
    """One `ack` "every 100 ms or 256 events": it says the last number."""
    link = opened()
    link.receive(events(*range(1, 11)), 0.0)
    for seq in range(1, 11):
        link.committed(seq, 1.0 + seq / 1000)
        assert link.frames_to_send(1.0 + seq / 1000) == []
    assert link.next_deadline() == pytest.approx(1.101)
    assert link.frames_to_send(1.1011) == [b'{"frame":"ack","seq":10,"credit":1048576}']
    assert link.next_deadline() == pytest.approx(11.1011)


def test_256_events_are_acknowledged_at_once() -> None:
    """256 committed events do not wait for the 100 ms."""
    link = opened()
    link.receive(events(*range(1, 257)), 0.0)
    link.committed(255, 1.0)
    assert link.frames_to_send(1.0) == []
    link.committed(256, 1.001)
    assert link.frames_to_send(1.001) == [b'{"frame":"ack","seq":256,"credit":1048576}']


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_quarter_of_the_credit_is_acknowledged_at_once(in_parts: bool) -> None:
    """A few large events use the credit up long before 256 came: the runner waits no 100 ms."""
    link = opened(credit_bytes=4000)
    large = event(1, b"x" * 1000)
    frames = (
        [part(1, 0, 2, large[:600]), part(1, 1, 2, large[600:])]
        if in_parts
        else [b'{"frame":"events","events":[%b]}' % large]
    )
    for frame in [*frames, events(2)]:
        link.receive(frame, 1.0)
    assert link.frames_to_send(1.0) == []
    link.committed(1, 1.0)
    (ack,) = link.frames_to_send(1.0)
    assert json.loads(ack)["seq"] == 1


def test_what_waits_for_its_commit_hastens_no_acknowledgement() -> None:
    """Only committed bytes count: those that were read ahead make their own acknowledgement due."""
    link = opened(credit_bytes=4000)
    link.receive(events(1), 1.0)
    link.receive(b'{"frame":"events","events":[%b]}' % event(2, b"x" * 1000), 1.0)
    link.committed(1, 1.0)
    assert link.frames_to_send(1.0) == []
    link.committed(2, 1.0)
    (ack,) = link.frames_to_send(1.0)
    assert json.loads(ack)["seq"] == 2
    link.receive(events(3), 1.0)
    link.committed(3, 1.0)
    assert link.frames_to_send(1.05) == []  # counted anew after each
    (ack,) = link.frames_to_send(1.1)
    assert json.loads(ack)["seq"] == 3


def test_an_earlier_commit_changes_nothing() -> None:
    """ "Cumulative": a lower number than before is not acknowledged again."""
    link = opened()
    link.receive(events(1, 2), 0.0)
    link.committed(2, 0.0)
    link.frames_to_send(0.1)
    link.committed(1, 0.2)
    assert link.frames_to_send(1.0) == []


def test_what_never_came_cannot_be_committed() -> None:
    """Acknowledging an event that was not received would lose it: it is the caller's bug."""
    link = opened()
    link.receive(events(1), 0.0)
    with pytest.raises(LocalProtocolError, match="event 2 was committed"):
        link.committed(2, 0.0)


def test_a_commit_after_the_end_is_harmless() -> None:
    """A commit may finish when the connection is gone; the next welcome tells."""
    link = opened()
    link.receive(events(1), 0.0)
    link.close(4201, "dialled again")
    link.committed(1, 0.0)
    assert link.frames_to_send(1.0) == []


# --- parts -----------------------------------------------------------------------------------


def test_parts_are_put_together_before_anyone_sees_them() -> None:
    """ "Travels as parts and is put together before anyone sees it"."""
    link = opened()
    whole = event(1, b"abc" * 100)
    assert link.receive(part(1, 0, 3, whole[:100]), 0.0) == []
    assert link.receive(part(1, 1, 3, whole[100:300]), 0.0) == []
    assert link.receive(part(1, 2, 3, whole[300:]), 0.0) == [EventsReceived((numbered(whole),))]
    assert link.receive(events(2), 0.0) == [received(2)]


def test_parts_of_a_stored_event_are_dropped() -> None:
    """A repeated large event is not put together again."""
    link = opened(acked=1)
    assert link.receive(part(1, 0, 2, b"x"), 0.0) == []
    assert link.receive(events(2), 0.0) == [received(2)]


def test_parts_that_begin_again_replace_the_first_ones() -> None:
    """A runner that starts the event over is not held to its earlier parts."""
    link = opened()
    whole = event(1)
    link.receive(part(1, 0, 3, b"old"), 0.0)
    link.receive(part(1, 0, 2, whole[:10]), 0.0)
    assert link.receive(part(1, 1, 2, whole[10:]), 0.0) == [received(1)]


def test_parts_of_a_later_event_are_a_hole() -> None:
    """A part counts as its event does: only the next number is accepted."""
    link = opened()
    assert link.receive(part(2, 0, 2, b"x"), 0.0) == [CloseSocket(4110, "event 2 where 1 was next")]


@pytest.mark.parametrize(
    "frames",
    [
        [part(1, 1, 3, b"x")],
        [part(1, 0, 3, b"x"), part(1, 2, 3, b"x")],
        [part(1, 0, 3, b"x"), part(1, 1, 2, b"x")],
        [part(1, 0, 0, b"x")],
        [part(1, 0, -1, b"x")],
        [part(1, -1, 2, b"x")],
        [part(1, 0, 2, b"")],
        [b'{"frame":"part","seq":1,"index":0,"total":2,"data":"%%%%"}'],
        [part(1, 0, 1, event(2))],
        [part(1, 0, 1, b"no event")],
    ],
)
def test_parts_that_do_not_fit_break_the_protocol(frames: list[bytes]) -> None:
    """Parts come in order, are Base64 with something in it, and hold the event they say."""
    link = opened()
    *before, last = frames
    for frame in before:
        link.receive(frame, 0.0)
    with pytest.raises(RemoteProtocolError):
        link.receive(last, 0.0)
    assert link.state is GatewayState.CLOSED


def test_parts_have_limits() -> None:
    """ "Decoders have limits of size, depth and parts on both sides"."""
    link = opened(max_event_bytes=1000)
    link.receive(part(1, 0, 3, b"x" * 600), 0.0)
    with pytest.raises(LimitExceeded, match="larger than 1000 bytes"):
        link.receive(part(1, 1, 3, b"x" * 600), 0.0)
    with pytest.raises(LimitExceeded, match="parts"):
        opened().receive(part(1, 0, 10**9, b"x"), 0.0)


def held_after(first: bytes, second_hello: bytes, *, acked: int = 0, **limits: Any) -> int:
    """Parts that a second connection's welcome tells of, after one had come by the first."""
    joiner = PartJoiner(10_000)
    before = GatewayLink(now=0.0, joiner=joiner)
    before.receive(HELLO, 0.0)
    before.welcome(epoch=1, acked=0, now=0.0)
    before.receive(first, 0.0)
    before.close(4201, "dialled again")
    after = GatewayLink(now=1.0, limits=GatewayLimits(**limits), joiner=joiner)
    after.receive(second_hello, 1.0)
    after.welcome(epoch=1, acked=acked, now=1.0)
    (welcome,) = after.frames_to_send(1.0)
    return int(json.loads(welcome).get("parts", 0))


def test_parts_outlive_their_connection() -> None:
    """ "`welcome.parts` tells which of them it has, so that resuming works in mid-event"."""
    joiner = PartJoiner(10_000)
    whole = event(1, b"abc" * 100)
    before = GatewayLink(now=0.0, joiner=joiner)
    before.receive(HELLO, 0.0)
    before.welcome(epoch=1, acked=0, now=0.0)
    before.receive(part(1, 0, 2, whole[:200]), 0.0)
    before.close(4201, "dialled again")
    after = GatewayLink(now=1.0, joiner=joiner)
    after.receive(HELLO, 1.0)
    after.welcome(epoch=1, acked=0, now=1.0)
    assert json.loads(after.frames_to_send(1.0)[0])["parts"] == 1
    assert after.receive(part(1, 1, 2, whole[200:]), 1.0) == [EventsReceived((numbered(whole),))]


def test_parts_that_cannot_be_gone_on_with_are_dropped() -> None:
    """Parts of another event, another journal or another frame size are not mixed in."""
    first = part(1, 0, 2, b"x")
    assert held_after(first, HELLO) == 1
    assert held_after(first, HELLO, acked=1) == 0
    assert held_after(first, HELLO.replace(b'"l1"', b'"l2"')) == 0
    assert held_after(first, HELLO, max_frame_bytes=2048) == 0
    assert held_after(part(1, 0, 1, event(1)), HELLO) == 0


# --- commands --------------------------------------------------------------------------------


def test_commands_go_in_order_and_share_a_frame() -> None:
    """Commands go as they were encoded, unnumbered ones in their place."""
    link = opened()
    secret = b'{"type":"secret.add","name":"N","value":"v"}'
    link.offer_command(1, interrupt(1))
    link.offer_unnumbered(secret)
    link.offer_command(2, interrupt(2))
    assert link.frames_to_send(0.0) == [commands(interrupt(1), secret, interrupt(2))]
    assert link.frames_to_send(0.0) == []


def test_a_command_that_the_runner_has_is_left_out() -> None:
    """What `hello` said is journaled is not sent again."""
    link = opened(last_command=2)
    for seq in (1, 2, 3, 3):
        link.offer_command(seq, interrupt(seq))
    assert link.frames_to_send(0.0) == [commands(interrupt(3))]


def test_commands_are_offered_without_holes() -> None:
    """A number left out, or a command before the welcome, is the caller's bug."""
    link = opened()
    with pytest.raises(LocalProtocolError, match="command 2 was offered where 1 was next"):
        link.offer_command(2, interrupt(2))
    with pytest.raises(LocalProtocolError, match="before the welcome"):
        GatewayLink(now=0.0).offer_command(1, interrupt(1))


def test_a_frame_of_commands_is_no_larger_than_the_runner_takes() -> None:
    """Many commands go in as many frames as the runner's `max_frame_bytes` asks for."""
    link = GatewayLink(now=0.0)
    link.receive(HELLO[:-1] + b',"max_frame_bytes":1024}', 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    link.frames_to_send(0.0)
    for seq in range(1, 21):
        link.offer_command(seq, interrupt(seq, size=100))
    frames = link.frames_to_send(0.0)
    assert max(map(len, frames)) <= 1024
    assert [c["seq"] for f in frames for c in json.loads(f)["commands"]] == list(range(1, 21))
    assert len(frames) < 10


def test_the_runners_ack_is_handed_out() -> None:
    """`ack` {command seq}: the runner has journaled everything up to there."""
    link = opened()
    assert link.receive(b'{"frame":"ack","seq":3}', 0.0) == [CommandsAcknowledged(3)]


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


# --- cost ------------------------------------------------------------------------------------


def test_many_events_and_commands_are_fast() -> None:
    """20,000 events in and 20,000 commands out take linear time."""
    link = opened()
    frames = [events(*range(first, first + 50)) for first in range(1, 20_001, 50)]
    offers = [interrupt(seq) for seq in range(1, 20_001)]
    begun = time.perf_counter()
    for frame in frames:
        link.receive(frame, 0.0)
    for seq, command in enumerate(offers, 1):
        link.offer_command(seq, command)
    link.frames_to_send(0.0)
    assert time.perf_counter() - begun < 0.5
