"""Events as a runner's link sends them: within their credit, again if lost, in full frames.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cost import grows_linearly
from runner_frames import Runner, ack, event, welcome

from runner_shell.errors import RemoteProtocolError
from runner_shell.link.effects import Acknowledged
from runner_shell.link.states import RunnerState

# --- acknowledgement and credit --------------------------------------------------------------


def test_acknowledgement_is_cumulative() -> None:
    """One `ack` settles everything up to its number."""
    runner = Runner()
    runner.open()
    for _ in range(3):
        runner.emit()
    runner.sent()
    assert runner.link.receive(ack(2), 0.0) == [Acknowledged(2)]
    assert (runner.link.acked, runner.link.backlog, runner.link.settled) == (2, 1, False)
    assert runner.link.receive(ack(3), 0.0) == [Acknowledged(3)]
    assert runner.link.settled


def test_an_ack_of_what_was_never_emitted_breaks_the_protocol() -> None:
    """The gateway cannot have what this runner did not say."""
    runner = Runner()
    runner.open()
    runner.emit()
    with pytest.raises(RemoteProtocolError, match="never emitted"):
        runner.link.receive(ack(2), 0.0)
    assert runner.link.state is RunnerState.FAILED


def test_an_ack_never_goes_back() -> None:
    """ "Cumulative": a lower number than before is an error, the same one is not."""
    runner = Runner()
    runner.open()
    runner.emit()
    runner.emit()
    runner.sent()
    runner.link.receive(ack(1), 0.0)
    assert runner.link.receive(ack(1), 0.0) == [Acknowledged(1)]
    with pytest.raises(RemoteProtocolError):
        runner.link.receive(ack(0), 0.0)


def test_credit_bounds_what_is_on_its_way() -> None:
    """ "`credit` is unacknowledged bytes allowed"; an acknowledgement gives it back."""
    runner = Runner()
    runner.open(welcome=welcome(credit=250))
    for _ in range(4):
        runner.emit(size=100)
    assert runner.sent_seqs() == [[1, 2]]
    assert runner.sent_seqs() == []
    runner.link.receive(ack(1), 0.0)
    assert runner.sent_seqs() == [[3]]
    runner.link.receive(ack(3), 0.0)
    assert runner.sent_seqs() == [[4]]


def test_one_event_always_fits() -> None:
    """ "One event always fits", however little credit there is, but only one."""
    runner = Runner()
    runner.open(welcome=welcome(credit=0))
    runner.emit(size=100)
    runner.emit(size=100)
    assert runner.sent_seqs() == [[1]]
    runner.link.receive(ack(1), 0.0)
    assert runner.sent_seqs() == [[2]]


def test_an_ack_may_change_the_credit() -> None:
    """`ack` {seq, credit}: the gateway opens or narrows what it takes."""
    runner = Runner()
    runner.open(welcome=welcome(credit=100))
    for _ in range(3):
        runner.emit(size=100)
    assert runner.sent_seqs() == [[1]]
    runner.link.receive(b'{"frame":"ack","seq":0,"credit":300}', 0.0)
    assert runner.sent_seqs() == [[2, 3]]


def test_credit_begins_anew_with_each_connection() -> None:
    """What was on its way in a lost connection takes no credit in the next one."""
    runner = Runner()
    runner.open(welcome=welcome(credit=200))
    for _ in range(3):
        runner.emit(size=100)
    assert runner.sent_seqs() == [[1, 2]]
    runner.link.lost(None, "cut")
    runner.open(welcome=welcome(credit=200))
    assert runner.sent_seqs() == [[1, 2]]
    assert runner.sent_seqs() == []
    runner.link.receive(ack(2), 0.0)
    assert runner.sent_seqs() == [[3]]


# --- resending -------------------------------------------------------------------------------


def test_an_unacknowledged_event_is_sent_again_once() -> None:
    """After a redial everything from `acked + 1` goes out, once, in order and unchanged."""
    runner = Runner()
    runner.open()
    for _ in range(4):
        runner.emit()
    first = runner.link.frames_to_send(0.0)
    runner.link.receive(ack(1), 0.0)
    runner.link.lost(1006, "cut")
    runner.open(welcome=welcome(acked=2))
    assert runner.link.frames_to_send(0.0) == [
        b'{"frame":"events","events":[' + event(3) + b"," + event(4) + b"]}"
    ]
    assert event(3) in first[0]
    assert runner.link.frames_to_send(0.0) == []


def test_the_welcome_acknowledges_too() -> None:
    """What the gateway committed before the cut counts, though its `ack` was lost."""
    runner = Runner()
    runner.open()
    runner.emit()
    runner.sent()
    runner.link.lost(None, "cut")
    effects = runner.open(welcome=welcome(acked=1))
    assert effects[-1] == Acknowledged(1)
    assert runner.link.settled


def test_frames_of_a_lost_connection_are_ignored() -> None:
    """What a closed connection still had in its pipe changes nothing."""
    runner = Runner()
    runner.open()
    runner.emit()
    runner.sent()
    runner.link.lost(None, "cut")
    assert runner.link.receive(ack(1), 0.0) == []
    assert runner.link.receive(b"not even JSON", 0.0) == []
    assert runner.link.backlog == 1


# --- what goes into which frame --------------------------------------------------------------


def test_a_frame_has_at_most_64_events() -> None:
    """`events` carries "≤ 64 events"; a backlog goes out in as many frames as it needs."""
    runner = Runner()
    runner.open(welcome=welcome(credit=1_000_000))
    for _ in range(130):
        runner.emit()
    assert [len(frame) for frame in runner.sent_seqs()] == [64, 64, 2]


def test_a_frame_is_filled_up_to_64_kib() -> None:
    """`events` carries "≤ 64 KiB", unless one event alone has more."""
    runner = Runner()
    runner.open(welcome=welcome(credit=1_000_000))
    for size in (30_000, 30_000, 30_000, 100_000, 65_000, 504, 65_000, 505):
        runner.emit(size=size)
    frames = runner.link.frames_to_send(0.0)
    seqs = [[e["seq"] for e in json.loads(frame)["events"]] for frame in frames]
    assert seqs == [[1, 2], [3], [4], [5, 6], [7], [8]]
    assert max(len(frame) for frame in frames if frame is not frames[2]) <= 64 * 1024


def test_no_frame_is_larger_than_agreed() -> None:
    """A frame never has more bytes than the gateway's `max_frame_bytes`, parts included."""
    runner = Runner()
    runner.open(welcome=welcome(credit=10_000_000, max_frame_bytes=2000))
    for size in (*range(1900, 2050), 100, 900, 900, 900, 20_000, 100):
        runner.emit(size=size)
    frames = runner.link.frames_to_send(0.0)
    assert max(map(len, frames)) == 2000
    assert {json.loads(frame)["frame"] for frame in frames} == {"events", "part"}


def test_deltas_linger_to_share_a_frame() -> None:
    """ "Text deltas may linger 10–20 ms to share a frame"."""
    runner = Runner()
    runner.open()
    runner.emit(1.0, lingers=True)
    assert runner.link.frames_to_send(1.0) == []
    assert runner.link.next_deadline() == pytest.approx(1.015)
    runner.emit(1.01, lingers=True)
    assert runner.link.frames_to_send(1.014) == []
    assert runner.sent_seqs(1.015) == [[1, 2]]
    assert runner.link.next_deadline() == pytest.approx(11.015)


def test_everything_else_goes_at_once() -> None:
    """ "Everything else goes at once", and takes the deltas before it along."""
    runner = Runner()
    runner.open()
    runner.emit(1.0, lingers=True)
    runner.emit(1.0)
    assert runner.sent_seqs(1.0) == [[1, 2]]
    runner.emit(1.001, lingers=True)
    assert runner.link.next_deadline() == pytest.approx(1.016)


def test_a_full_frame_of_deltas_goes_at_once() -> None:
    """64 deltas fill a frame: waiting would gain nothing."""
    runner = Runner()
    runner.open(welcome=welcome(credit=1_000_000))
    for _ in range(63):
        runner.emit(1.0, lingers=True)
    assert runner.link.frames_to_send(1.0) == []
    runner.emit(1.0, lingers=True)
    assert [len(frame) for frame in runner.sent_seqs(1.0)] == [64]


def test_what_waits_for_credit_does_not_linger_again() -> None:
    """An event that had to wait for credit goes at once when there is some."""
    runner = Runner()
    runner.open(welcome=welcome(credit=100))
    runner.emit(1.0, size=100)
    runner.emit(1.0, size=100)
    assert runner.sent_seqs(1.0) == [[1]]
    runner.emit(1.0, size=100, lingers=True)
    assert runner.sent_seqs(1.0) == []
    runner.link.receive(ack(1), 1.001)
    assert runner.sent_seqs(1.001) == [[2]]


def test_lingering_without_credit_does_not_spin() -> None:
    """While nothing may be sent, no deadline asks to send it."""
    runner = Runner()
    runner.open(welcome=welcome(credit=0))
    runner.emit(1.0)
    runner.sent(1.0)
    runner.emit(1.0, lingers=True)
    for now in (1.0, 1.015, 2.0):
        assert runner.link.frames_to_send(now) == []
        assert runner.link.next_deadline() == 11.0


# --- cost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("credit", [1024 * 1024, 1024 * 1024 * 1024])
def test_a_large_backlog_drains_in_linear_time(credit: int) -> None:
    """Events that waited for the gateway are framed and acknowledged in linear time."""

    def prepare(count: int) -> Callable[[], object]:
        runner = Runner()
        runner.open()
        runner.link.lost(None, "cut")
        for _ in range(count):
            runner.emit(size=150)
        return lambda: drain(runner)

    def drain(runner: Runner) -> None:
        runner.open(welcome=welcome(credit=credit))
        while not runner.link.settled:
            frames = runner.link.frames_to_send(0.0)
            count = sum(frame.count(b'"seq":') for frame in frames)
            runner.link.receive(ack(runner.link.acked + count), 0.0)

    assert grows_linearly(prepare)
