"""How a runner's link is greeted: what `hello` says, and what a `welcome` makes of it.

The quotations are the protocol's promises.
"""

from __future__ import annotations

from typing import Any

import pytest
from runner_frames import WELCOME, Runner, commands, event, interrupt, welcome

from runner_shell.errors import LocalProtocolError, RemoteProtocolError
from runner_shell.link.effects import Acknowledged, Welcomed
from runner_shell.link.states import RunnerState


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
