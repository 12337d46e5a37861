"""The runner's side of the link: literal frames in and out, times as plain numbers.

The quotations are the protocol's promises.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cost import grows_linearly

from runner_shell.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from runner_shell.link.effects import (
    Acknowledged,
    CloseSocket,
    CommandReceived,
    GaveUp,
    Redial,
    RunnerEffect,
    SecretReceived,
    Welcomed,
)
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.link.states import RUNNER_TABLE, RunnerState, RunnerTrigger, follow
from runner_shell.protocol.commands import ReservedCommand, SecretAdd, TurnInterrupt

WELCOME = b'{"frame":"welcome","epoch":1,"acked":0,"credit":1000,"heartbeat_seconds":10.0}'
HEARTBEAT = b'{"frame":"heartbeat"}'


class Runner:
    """A link with its journal, and short words for what the tests do with them."""

    def __init__(
        self, *, next_seq: int = 1, last_command: int = 0, last_epoch: int = 0, **settings: Any
    ) -> None:
        self.journal: dict[int, bytes] = {}
        own = LinkSettings(session="s1", instance="i1", log="l1", **settings)
        self.link = RunnerLink(
            own, self, next_seq=next_seq, last_command=last_command, last_epoch=last_epoch
        )

    def read(self, seq: int) -> bytes:
        return self.journal[seq]

    def store(self, event: bytes, now: float = 0.0, *, lingers: bool = False) -> None:
        """Journal an event whose number the test has written into it."""
        seq = json.loads(event)["seq"]
        self.journal[seq] = event
        self.link.journaled(seq, len(event), lingers=lingers, now=now)

    def emit(self, now: float = 0.0, *, size: int = 0, lingers: bool = False) -> int:
        """Number and journal an event, of `size` bytes if that is said."""
        seq = self.link.number()
        self.store(event(seq, size), now, lingers=lingers)
        return seq

    def open(self, now: float = 0.0, welcome: bytes = WELCOME) -> list[RunnerEffect]:
        """Dial, greet and be welcomed."""
        self.link.connected(now)
        self.link.frames_to_send(now)
        return self.link.receive(welcome, now)

    def sent(self, now: float = 0.0) -> list[dict[str, Any]]:
        """What goes out now, decoded."""
        return [json.loads(frame) for frame in self.link.frames_to_send(now)]

    def sent_seqs(self, now: float = 0.0) -> list[list[int]]:
        """The numbers of the events that go out now, one list for each frame."""
        return [[e["seq"] for e in frame["events"]] for frame in self.sent(now)]


def event(seq: int, size: int = 0) -> bytes:
    bare = b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","type":"log","message":"%b"}'
    return bare % (seq, b"x" * max(0, size - len(bare % (seq, b""))))


def welcome(**changed: Any) -> bytes:
    return json.dumps({**json.loads(WELCOME), **changed}).encode()


def commands(*members: bytes) -> bytes:
    return b'{"frame":"commands","commands":[' + b",".join(members) + b"]}"


def interrupt(seq: int) -> bytes:
    return b'{"type":"turn.interrupt","id":"c%d","seq":%d,"by":"ada"}' % (seq, seq)


def ack(seq: int) -> bytes:
    return b'{"frame":"ack","seq":%d}' % seq


# --- hello and welcome -----------------------------------------------------------------------


def test_hello_goes_first() -> None:
    """A connection begins with one `hello`; "the first dial of a process sends `epoch: null`"."""
    runner = Runner(runner="runner-shell 1", adapter="echo", next_seq=1, last_command=3)
    runner.link.connected(0.0)
    assert runner.link.frames_to_send(0.0) == [
        b'{"frame":"hello","session":"s1","epoch":null,"instance":"i1","log":"l1","next":1,'
        b'"last_command":3,"runner":"runner-shell 1","adapter":"echo"}'
    ]
    assert runner.link.frames_to_send(0.0) == []


def test_welcome_opens_the_link() -> None:
    """`welcome` tells the runner its epoch and what the gateway holds."""
    runner = Runner()
    effects = runner.open(
        welcome=b'{"frame":"welcome","epoch":7,"acked":0,"state":{"k":[1]},"open_requests":[{"id":"r"}]}'
    )
    assert effects == [
        Welcomed(
            first=True,
            epoch=7,
            acked=0,
            lost_after=None,
            state={"k": [1]},
            open_requests=({"id": "r"},),
        ),
        Acknowledged(0),
    ]
    assert runner.link.state is RunnerState.OPEN
    assert runner.link.epoch == 7


def test_redials_repeat_the_epoch() -> None:
    """The gateway assigns the epoch and "redials repeat it", with the numbers as they are now."""
    runner = Runner()
    runner.open()
    runner.emit()
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.command_journaled(1)
    runner.link.lost(None, "cut")
    runner.link.connected(1.0)
    (hello,) = runner.sent(1.0)
    assert (hello["epoch"], hello["next"], hello["last_command"]) == (1, 2, 1)
    assert (hello["instance"], hello["log"]) == ("i1", "l1")
    (welcomed, _) = runner.link.receive(WELCOME, 1.0)
    assert isinstance(welcomed, Welcomed)
    assert not welcomed.first


def test_another_epoch_at_a_redial_breaks_the_protocol() -> None:
    """A process keeps its epoch for life: another one is the gateway's error."""
    runner = Runner()
    runner.open()
    runner.link.lost(None, "cut")
    with pytest.raises(RemoteProtocolError, match="epoch 2"):
        runner.open(welcome=welcome(epoch=2))
    assert runner.link.state is RunnerState.FAILED


def test_nothing_is_numbered_before_the_first_welcome() -> None:
    """ "Nothing is numbered and no turn begins before the first welcome"."""
    runner = Runner()
    with pytest.raises(LocalProtocolError):
        runner.link.number()
    runner.link.connected(0.0)
    with pytest.raises(LocalProtocolError):
        runner.link.number()
    runner.link.receive(WELCOME, 0.0)
    assert runner.link.number() == 1


def test_events_are_numbered_while_the_gateway_is_away() -> None:
    """After the first welcome numbers go on without a connection, and nothing is sent."""
    runner = Runner()
    runner.open()
    runner.link.lost(None, "cut")
    assert [runner.emit(), runner.emit()] == [1, 2]
    assert runner.link.frames_to_send(0.0) == []
    assert runner.link.backlog == 2


def test_a_hello_that_was_not_sent_dies_with_its_connection() -> None:
    """Without a connection nothing goes out, not even a `hello` that was due."""
    runner = Runner()
    runner.link.connected(0.0)
    runner.link.lost(None, "cut")
    assert runner.link.frames_to_send(0.0) == []


def test_numbers_are_journaled_in_order() -> None:
    """ "Numbers have no holes": a journaled event that is not the next one is the caller's bug."""
    runner = Runner()
    runner.open()
    with pytest.raises(LocalProtocolError):
        runner.link.journaled(2, 100, lingers=False, now=0.0)
    with pytest.raises(LocalProtocolError):
        runner.link.journaled(1, -1, lingers=False, now=0.0)
    assert runner.link.backlog == 0


def test_a_new_process_goes_on_with_its_journal() -> None:
    """What a killed process left unacknowledged is sent by the next one, if still missing."""
    runner = Runner(next_seq=5)
    for seq in (5, 6, 7):
        runner.store(event(seq))
    runner.link.connected(0.0)
    (hello,) = runner.sent()
    assert hello["next"] == 8
    runner.link.receive(welcome(acked=5, epoch=2), 0.0)
    assert runner.sent_seqs() == [[6, 7]]
    assert runner.link.number() == 8


def test_lost_history_goes_on_behind_the_gateways() -> None:
    """ "If `acked ≥ next`, go on at `acked + 1`": the shell is told to emit `gap` first."""
    runner = Runner()
    (welcomed,) = runner.open(welcome=welcome(acked=41, epoch=2))
    assert isinstance(welcomed, Welcomed)
    assert welcomed.lost_after == 41
    assert runner.link.number() == 42
    assert runner.emit() == 42
    assert runner.sent_seqs() == [[42]]


def test_a_journal_that_is_behind_is_lost_history_too() -> None:
    """Events that the gateway has under the same numbers are not sent to it again."""
    runner = Runner(next_seq=5)
    runner.store(event(5))
    (welcomed,) = runner.open(welcome=welcome(acked=6, epoch=2))
    assert isinstance(welcomed, Welcomed)
    assert welcomed.lost_after == 6
    assert runner.link.settled
    assert runner.link.frames_to_send(0.0) == []


@pytest.mark.parametrize("last_epoch", [0, 2])
def test_another_s_history_is_lost_history(last_epoch: int) -> None:
    """ "If `committed_epoch` is above the journal's", its rest is not sent, though it fits."""
    runner = Runner(next_seq=5, last_epoch=last_epoch)
    for seq in (5, 6, 7):
        runner.store(event(seq))
    (welcomed,) = runner.open(
        welcome=b'{"frame":"welcome","epoch":4,"acked":5,"committed_epoch":3,"parts":1,'
        b'"omitted_state":2,"omitted_requests":1}'
    )
    assert isinstance(welcomed, Welcomed)
    assert (welcomed.lost_after, welcomed.diverged) == (5, True)
    assert (welcomed.omitted_state, welcomed.omitted_requests) == (2, 1)
    assert runner.link.settled
    assert runner.link.frames_to_send(0.0) == []
    assert runner.emit() == 6
    assert runner.sent_seqs() == [[6]]


@pytest.mark.parametrize("last_epoch", [3, 4])
def test_a_history_of_its_own_is_gone_on_with(last_epoch: int) -> None:
    """The last commit was this journal's process, or one before it: what is unsent is sent."""
    runner = Runner(next_seq=5, last_epoch=last_epoch)
    for seq in (5, 6, 7):
        runner.store(event(seq))
    (welcomed, _) = runner.open(welcome=welcome(acked=5, epoch=5, committed_epoch=3))
    assert isinstance(welcomed, Welcomed)
    assert (welcomed.lost_after, welcomed.diverged) == (None, False)
    assert runner.sent_seqs() == [[6, 7]]
    runner.link.lost(None, "cut")
    runner.open(1.0, welcome=welcome(acked=6, epoch=5, committed_epoch=5))
    assert runner.sent_seqs(1.0) == [[7]]


def test_lost_history_has_a_new_log() -> None:
    """ "Go on at `acked + 1` with a new `log`": the next `hello` names the one that was set."""
    runner = Runner()
    runner.open(welcome=welcome(acked=41))
    runner.link.log = "l2"
    runner.link.lost(None, "cut")
    runner.link.connected(0.0)
    (hello,) = runner.sent()
    assert (hello["log"], hello["next"]) == ("l2", 42)


def test_a_gateway_that_forgot_breaks_the_protocol() -> None:
    """Acknowledged is acknowledged: a gateway that goes back has lost events, and is told so."""
    runner = Runner(next_seq=5)
    with pytest.raises(RemoteProtocolError, match="events were lost"):
        runner.open(welcome=welcome(acked=3))


@pytest.mark.parametrize(
    "terms", [{"max_frame_bytes": 10}, {"heartbeat_seconds": 0}, {"heartbeat_seconds": -1}]
)
def test_impossible_terms_break_the_protocol(terms: dict[str, Any]) -> None:
    """Frames that hold nothing and heartbeats without a pause are not agreed to."""
    with pytest.raises(RemoteProtocolError):
        Runner().open(welcome=welcome(**terms))


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


# --- parts -----------------------------------------------------------------------------------


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


# --- commands --------------------------------------------------------------------------------


def test_commands_come_once_and_in_order() -> None:
    """ "Accepted once (journaled, then acknowledged)": the `ack` waits for the journal."""
    runner = Runner()
    runner.open()
    received = runner.link.receive(commands(interrupt(1), interrupt(2)), 0.0)
    assert received == [
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada")),
        CommandReceived(TurnInterrupt(id="c2", seq=2, by="ada")),
    ]
    assert runner.link.frames_to_send(0.0) == []
    runner.link.command_journaled(1)
    runner.link.command_journaled(2)
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":2}']
    assert runner.link.frames_to_send(0.0) == []


def test_a_repeated_command_is_acknowledged_again() -> None:
    """A command that comes twice is not taken twice, but the gateway is told again."""
    runner = Runner()
    runner.open()
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.command_journaled(1)
    runner.sent()
    assert runner.link.receive(commands(interrupt(1)), 0.0) == []
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":1}']


def test_a_command_that_is_not_journaled_is_not_acknowledged() -> None:
    """A repeat before the journal has it neither applies it again nor acknowledges it."""
    runner = Runner()
    runner.open()
    runner.link.receive(commands(interrupt(1)), 0.0)
    runner.link.lost(None, "cut")
    runner.link.connected(0.0)
    (hello,) = runner.sent()
    assert hello["last_command"] == 0
    runner.link.receive(WELCOME, 0.0)
    assert runner.link.receive(commands(interrupt(1)), 0.0) == []
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":0}']
    runner.link.command_journaled(1)
    assert runner.link.frames_to_send(0.0) == [b'{"frame":"ack","seq":1}']


def test_a_missing_command_breaks_the_protocol() -> None:
    """Commands are numbered without holes too."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError, match="command 2 where 1 was next"):
        runner.link.receive(commands(interrupt(2)), 0.0)
    assert runner.link.state is RunnerState.FAILED


def test_wrong_fields_of_a_command_are_reported() -> None:
    """A client's wrong field gets an answer and breaks nothing; the numbers go on behind it."""
    runner = Runner()
    runner.open()
    wrong = b'{"type":"turn.interrupt","id":"c1","seq":1,"by":"ada","reason":7}'
    (received, behind) = runner.link.receive(commands(wrong, interrupt(2)), 0.0)
    assert isinstance(received, CommandReceived)
    assert received.command == ReservedCommand(
        type="turn.interrupt", id="c1", seq=1, by="ada", fields={"reason": 7}
    )
    assert "$.reason" in received.problem
    assert behind == CommandReceived(TurnInterrupt(id="c2", seq=2, by="ada"))


def test_an_unknown_command_is_passed_on() -> None:
    """ "Unknown commands answered with an error": they are numbered like all others."""
    runner = Runner()
    runner.open()
    unknown = b'{"type":"tea.make","id":"c1","seq":1,"by":"ada","sugar":2}'
    assert runner.link.receive(commands(unknown), 0.0) == [
        CommandReceived(
            ReservedCommand(type="tea.make", id="c1", seq=1, by="ada", fields={"sugar": 2})
        )
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"type":"turn.interrupt","id":7,"seq":1}',
        b'{"type":"turn.interrupt","id":"c1","seq":"1"}',
        b'{"type":"turn.interrupt","id":"c1"}',
        b'{"type":"turn.interrupt","id":"c1","reason":7}',
        b'{"type":"turn.interrupt","id":"c1","seq":-1}',
        b'{"type":"tea.make","id":"c1","seq":-1}',
        b'{"id":"c1","seq":1}',
        b"7",
    ],
)
def test_a_wrong_envelope_of_a_command_breaks_the_protocol(wrong: bytes) -> None:
    """Number, id and type are the gateway's own: what is wrong with them is its error."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError):
        runner.link.receive(commands(wrong), 0.0)


def test_secret_add_is_unnumbered() -> None:
    """ "`secret.add` is unnumbered": it moves no number and is not acknowledged."""
    runner = Runner()
    runner.open()
    secret = b'{"type":"secret.add","name":"TOKEN","value":"hunter2"}'
    assert runner.link.receive(commands(secret, interrupt(1), secret), 0.0) == [
        SecretReceived(SecretAdd(name="TOKEN", value="hunter2")),
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada")),
        SecretReceived(SecretAdd(name="TOKEN", value="hunter2")),
    ]
    runner.link.command_journaled(0)
    assert runner.link.frames_to_send(0.0) == []


def test_a_secret_that_cannot_be_read_fails_the_link() -> None:
    """ "Nothing secret crosses": going on without knowing the value would let it; and the error
    does not say it."""
    runner = Runner()
    runner.open()
    with pytest.raises(RemoteProtocolError) as caught:
        runner.link.receive(commands(b'{"type":"secret.add","name":1,"value":"hunter2"}'), 0.0)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_unnumbered_command_is_passed_over() -> None:
    """ "An unnumbered one among them counts for nothing", of a type from a later version too."""
    runner = Runner()
    runner.open()
    later = b'{"type":"secret.forget","name":"TOKEN"}'
    assert runner.link.receive(commands(later, interrupt(1)), 0.0) == [
        CommandReceived(TurnInterrupt(id="c1", seq=1, by="ada"))
    ]


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


def test_commands_of_an_earlier_process_are_not_applied_again() -> None:
    """Commands are "applied at most once": what an earlier process acknowledged is passed over."""
    runner = Runner()
    runner.open(welcome=b'{"frame":"welcome","epoch":2,"acked":0,"last_command":7}')
    command = {"type": "session.end", "id": "c", "seq": 8}
    frame = json.dumps({"frame": "commands", "commands": [command]})
    effects = runner.link.receive(frame, 0.0)
    assert [type(effect) for effect in effects] == [CommandReceived]
