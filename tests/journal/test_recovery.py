"""What records amount to: the same from the beginning and from any snapshot on the way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from journaling import opened, say

from runner_shell.journal import CutTurn, Recovered, recovered
from runner_shell.journal.recovery import Fold
from runner_shell.journal.segments import Record
from runner_shell.protocol import codec
from runner_shell.protocol.commands import (
    AdapterCall,
    Command,
    SessionEnd,
    SessionStop,
    TurnInterrupt,
    TurnStart,
)
from runner_shell.protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    CommandDone,
    CommandFailed,
    Event,
    MessageFinished,
    MessageStarted,
    RequestClosed,
    RequestOpened,
    SessionFinished,
    SessionSaved,
    SessionStarted,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    Usage,
)

HISTORY: list[Event] = [
    SessionStarted(epoch=1, resumed=False, adapter="a"),
    SessionSaved(state={"a": 1, "b": [2]}),
    TurnStarted(cause="message", input="x", command="initial"),
    StepStarted(id="s", name="node"),
    MessageStarted(id="m"),
    BlockStarted(message="m", index=0),
    BlockDelta(message="m", index=0, text="half "),
    BlockDelta(message="m", index=0, text="a wörd"),
    ToolStarted(call="c", name="rm", scope=("s",)),
    RequestOpened(id="r", key="k", kind="question", title="?", deferrable=True, digest="d"),
    SessionSaved(state={"b": None}, removed=("a",)),
    BlockFinished(message="m", index=0, content="half a wörd"),
    MessageFinished(id="m"),
    TurnFinished(outcome="waiting", usage=Usage(input_tokens=3, cost_usd=0.5)),
    RequestClosed(id="r", how="answered", answer=True, by="ann"),
    TurnStarted(cause="answers"),
    ToolFinished(call="c"),
    StepFinished(id="s"),
    TurnFinished(outcome="completed", usage=Usage(input_tokens=4)),
    SessionFinished(outcome="completed"),
]


def after(*events: Event) -> Recovered:
    fold = Fold(Recovered(log="l"))
    for seq, event in enumerate(events, 1):
        fold.event(seq, event, "t")
    return fold.now


def accepted(*commands: Command, then: tuple[Event, ...] = ()) -> Recovered:
    fold = Fold(Recovered(log="l"))
    fold.event(1, TurnStarted(cause="message"), "t")
    for seq, command in enumerate(commands, 1):
        fold.accepted(seq, codec.encode_command(command))
    for seq, event in enumerate(then, 2):
        fold.event(seq, event, "t")
    return fold.now


def test_a_snapshot_anywhere_changes_nothing() -> None:
    """Encoded, decoded and gone on from after any event, the end is the same."""
    whole = recovered.encode(after(*HISTORY))
    for cut in range(len(HISTORY) + 1):
        snapshot = recovered.decode(recovered.encode(after(*HISTORY[:cut])), Recovered)
        fold = Fold(snapshot)
        for seq, event in enumerate(HISTORY[cut:], cut + 1):
            fold.event(seq, event, "t")
        assert recovered.encode(fold.now) == whole, cut


def test_the_fold_of_a_file_is_the_fold_that_ran_along(tmp_path: Path) -> None:
    """Whatever the sizes of the segments: the live state is what is recovered."""
    shuffled = [*HISTORY, *HISTORY]
    random.Random(4).shuffle(shuffled)
    for events in (HISTORY, shuffled):
        for segment_bytes in (1, 1000, 1 << 20):
            directory = tmp_path / f"{segment_bytes}-{events is HISTORY}"
            journal = opened(directory, segment_bytes=segment_bytes)
            for seq, event in enumerate(events, 1):
                say(journal, seq, event, "t")
                journal.flush()
            live = recovered.encode(journal._fold.now)
            journal.close()
            again = opened(directory)
            assert recovered.encode(again.recovered) == live
            again.close()


def test_what_is_open_is_known_with_its_text() -> None:
    """A ledger that admits it can write every missing ending."""
    found = after(*HISTORY[:9])
    assert [type(event).__name__ for event in found.opened()] == [
        "StepStarted",
        "MessageStarted",
        "BlockStarted",
        "BlockDelta",
        "ToolStarted",
    ]
    assert found.opened()[3] == BlockDelta(message="m", index=0, text="half a wörd")
    assert found.turn == CutTurn(id="t", command="initial")
    assert (found.running, found.verdict) == (True, None)


def test_an_ended_session_owes_nothing() -> None:
    """Nothing is open, and the verdict is there."""
    found = after(*HISTORY)
    assert (found.opened(), found.open_requests(), found.turn) == ([], [], None)
    assert found.verdict == SessionFinished(outcome="completed")
    assert found.usage == Usage(input_tokens=7, cost_usd=0.5)
    assert found.state == {"b": None}
    assert not found.answers_due


def test_an_answer_is_due_until_a_turn_begins_with_it() -> None:
    """Also one that came while the turn was still on its way to `waiting`."""
    assert after(*HISTORY[:15]).answers_due
    assert not after(*HISTORY[:16]).answers_due
    closed = RequestClosed(id="r", how="answered", answer=True)
    assert after(*HISTORY[:10], closed, TurnFinished(outcome="waiting")).answers_due
    assert not after(*HISTORY[:10], closed, TurnFinished(outcome="completed")).answers_due


def test_a_message_is_queued_until_its_turn_begins() -> None:
    """`command.done` means queued: a next process runs it."""
    start = TurnStart(id="x", content="hello")
    queued = accepted(start, then=(CommandDone(command="x"),))
    assert queued.commands["x"].queued
    begun = accepted(
        start, then=(CommandDone(command="x"), TurnStarted(cause="message", command="x"))
    )
    assert begun.commands == {}
    refused = accepted(start, then=(CommandFailed(command="x", code="ending"),))
    assert refused.commands == {}


def test_orders_to_end_are_remembered() -> None:
    """Until the session has ended by them."""
    orders = (TurnInterrupt(id="i", by="ann"), SessionEnd(id="e"), SessionStop(id="s", reason="no"))
    done = tuple(CommandDone(command=order.id) for order in orders)
    found = accepted(*orders, then=done)
    assert found.turn is not None
    assert found.turn.interrupted == "interrupted by ann"
    assert (found.ending_asked, found.stop) == (True, "no")
    ended = accepted(*orders, then=(*done, SessionFinished(outcome="stopped")))
    assert (ended.ending_asked, ended.stop) == (False, None)


@pytest.mark.parametrize("id", ["c", "initial"])
def test_a_command_is_known_until_it_is_answered(id: str) -> None:
    """With its number, and whether its effect had begun."""
    fold = Fold(Recovered(log="l"))
    fold.accepted(3, codec.encode_command(AdapterCall(id=id, seq=3, method="m")))
    fold.applying(id)
    assert (fold.now.last_command, fold.now.commands[id].applying) == (3, True)
    assert fold.now.initial == (id == "initial")
    fold.event(1, CommandDone(command=id), "")
    assert fold.now.commands == {}


def test_records_of_a_later_version_are_passed_over() -> None:
    """A shell that was set back reads on."""
    fold = Fold(Recovered(log="l"))
    fold.take(Record(99, 1, 0, b"whatever"))
    assert fold.now == Recovered(log="l")
