"""Events as a gateway's link takes them: in order, acknowledged once committed, whole.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cost import grows_linearly
from gateway_frames import HELLO, event, events, numbered, opened, part, received

from runner_shell.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from runner_shell.link.batching import PartJoiner
from runner_shell.link.effects import CloseSocket, EventsReceived
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.link.states import GatewayState

# --- in order --------------------------------------------------------------------------------


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


# --- cost ------------------------------------------------------------------------------------


def test_many_events_are_taken_in_linear_time() -> None:
    """Twenty thousand events of one connection cost four times what five thousand do."""

    def prepare(count: int) -> Callable[[], object]:
        link = opened()
        frames = [events(*range(first, first + 50)) for first in range(1, count + 1, 50)]
        return lambda: [link.receive(frame, 0.0) for frame in frames]

    assert grows_linearly(prepare)
