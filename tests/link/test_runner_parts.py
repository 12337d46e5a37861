"""Events that are larger than a frame, as a runner's link cuts them.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import base64
import json

import pytest
from runner_frames import Runner, commands, event, interrupt, welcome

from runner_shell.errors import RemoteProtocolError
from runner_shell.link.effects import Redial


def test_a_large_event_travels_as_parts() -> None:
    """ "An event larger than a frame travels as parts", in order, and together they are it."""
    runner = Runner()
    runner.open(welcome=welcome(max_frame_bytes=1024, credit=100_000))
    runner.emit(size=2000)
    runner.emit()
    *parts, behind = runner.sent()
    assert [(p["frame"], p["seq"], p["index"], p["total"]) for p in parts] == [
        ("part", 1, 0, 3),
        ("part", 1, 1, 3),
        ("part", 1, 2, 3),
    ]
    assert b"".join(base64.b64decode(part["data"]) for part in parts) == event(1, 2000)
    assert [e["seq"] for e in behind["events"]] == [2]


def test_parts_go_on_in_mid_event() -> None:
    """ "`welcome.parts` tells which of them it has, so that resuming works in mid-event"."""
    runner = Runner()
    terms = {"max_frame_bytes": 1024, "credit": 100_000}
    runner.open(welcome=welcome(**terms))
    runner.emit(size=2000)
    runner.emit(size=2000)
    before = runner.link.frames_to_send(0.0)
    runner.link.lost(None, "cut")
    runner.open(welcome=welcome(parts=2, **terms))
    assert runner.link.frames_to_send(0.0) == before[2:]


def test_parts_of_an_event_that_is_not_here_are_not_gone_on_with() -> None:
    """What the gateway has of an event that a lost journal held is not mixed with a new one."""
    runner = Runner()
    runner.open(welcome=welcome(acked=3, parts=2, max_frame_bytes=1024, credit=100_000))
    runner.emit(size=2000)
    assert [part["index"] for part in runner.sent()] == [0, 1, 2]


@pytest.mark.parametrize("held", [-1, 3, 4])
def test_impossible_parts_break_the_protocol(held: int) -> None:
    """The gateway cannot have all parts of an event that it has not, nor fewer than none."""
    runner = Runner(next_seq=1)
    runner.store(event(1, 2000))
    with pytest.raises(RemoteProtocolError, match="parts of event 1"):
        runner.open(welcome=welcome(parts=held, max_frame_bytes=1024))


def test_parts_of_an_event_that_needs_none_break_the_protocol() -> None:
    """An event that fits a frame was never sent in parts."""
    runner = Runner(next_seq=1)
    runner.store(event(1, 1000))
    with pytest.raises(RemoteProtocolError, match="parts of event 1"):
        runner.open(welcome=welcome(parts=1, max_frame_bytes=1100))


def test_a_large_event_is_given_piece_by_piece() -> None:
    """A large event is never in memory twice: so many parts at a time, heartbeats and commands'
    acknowledgements in between, nothing of another event; a lost connection begins anew."""
    runner = Runner()
    runner.open(welcome=welcome(credit=10**9, max_frame_bytes=1024))
    large, small = runner.emit(size=20_000), runner.emit()
    first = runner.sent()
    assert [frame["index"] for frame in first] == list(range(16))
    assert runner.link.more_to_send
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.command_journaled(1)
    second = runner.sent()
    assert (second[0]["frame"], second[1]["frame"], second[1]["index"]) == ("ack", "part", 16)
    while runner.link.more_to_send:
        second += runner.sent()
    parts = [*first, *[frame for frame in second if frame["frame"] == "part"]]
    assert {frame["seq"] for frame in parts} == {large}
    assert b"".join(base64.b64decode(p["data"]) for p in parts) == runner.journal[large]
    assert [e["seq"] for e in second[-1]["events"]] == [small]
    runner.link.lost(None, "cut")
    runner.open(welcome=welcome(credit=10**9, max_frame_bytes=1024))
    assert runner.sent()[0]["index"] == 0


def test_what_is_too_large_for_the_way_goes_smaller() -> None:
    """After 1009 no frame of that size is sent again: half of it at most, then half of that."""
    runner = Runner()
    runner.open(welcome=welcome(credit=10**9, max_frame_bytes=8192))
    runner.emit(size=8000)
    (whole,) = runner.link.frames_to_send(0.0)
    assert len(whole) > 8000
    for limit, held in ((4096, 0), (2048, 3)):
        (redial,) = runner.link.lost(1009, "too large")
        assert isinstance(redial, Redial)
        runner.open(welcome=welcome(credit=10**9, max_frame_bytes=8192, parts=held))
        frames = runner.link.frames_to_send(0.0)
        assert max(map(len, frames)) <= limit
        pieces = [base64.b64decode(json.loads(frame)["data"]) for frame in frames]
        assert b"".join(pieces) == runner.journal[1], "from its beginning, whatever was held"
