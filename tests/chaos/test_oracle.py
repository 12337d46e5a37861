"""The oracle finds what it is there to find."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos import adapter
from tests.chaos.oracle import Run, Tapped, violations

TASK = adapter.task("t", 3)
WORDS = adapter.words_of(TASK)


def good() -> list[dict[str, Any]]:
    """A session of one process, with one turn and one note."""
    health = {"descriptors": 9, "rss_kb": 40_000}
    said = [
        {"type": "session.started", "epoch": 1, "resumed": False, "adapter": "chaos"},
        {"type": "command.done", "command": "note-1", "result": health},
        {"type": "command.done", "command": "turn-2"},
        {"type": "turn.started", "turn": "T", "input": TASK, "command": "turn-2"},
        {"type": "message.started", "turn": "T", "id": "m"},
        {"type": "block.started", "turn": "T", "message": "m", "index": 0},
        *(
            {"type": "block.delta", "turn": "T", "message": "m", "index": 0, "text": w}
            for w in WORDS
        ),
        {
            "type": "block.finished",
            "turn": "T",
            "message": "m",
            "content": "".join(WORDS),
            "index": 0,
        },
        {"type": "message.finished", "turn": "T", "id": "m"},
        {"type": "turn.finished", "turn": "T", "outcome": "completed"},
        {"type": "command.done", "command": "note-3", "result": health},
        {"type": "session.finished", "outcome": "completed"},
    ]
    return [{"seq": seq} | event for seq, event in enumerate(said, 1)]


def encoded(events: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


def found(
    stored: list[dict[str, Any]],
    *,
    tapped: list[Tapped] | None = None,
    effects: tuple[str, ...] = ("note-1", "note-3"),
) -> list[str]:
    return violations(
        Run(
            stored=encoded(stored),
            tapped=[Tapped(encoded(stored), killed=False)] if tapped is None else tapped,
            commands=["note-1", "turn-2", "note-3"],
            effects=list(effects),
        )
    )


def test_a_good_run_breaks_nothing() -> None:
    """What went well is called so."""
    assert found(good()) == []


def renumbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event | {"seq": seq} for seq, event in enumerate(events, 1)]


Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]

CHANGES: dict[str, tuple[Change, str]] = {
    "a hole": (lambda e: e[:7] + e[8:], "number 9 where 8"),
    "a repetition": (lambda e: [*e[:8], e[7], *e[8:]], "number 8 where 9"),
    "a lost delta": (lambda e: renumbered(e[:7] + e[8:]), "no prefix"),
    "a lost end of a text": (lambda e: renumbered(e[:8] + e[9:]), "called whole"),
    "a start without an end": (lambda e: renumbered(e[:11] + e[12:]), "turn.finished"),
    "a process without an ending": (lambda e: e[:-1], "1 processes with 0"),
    "an unanswered command": (lambda e: renumbered(e[:12] + e[13:]), "note-3 has 0 answers"),
    "a turn that began twice": (
        lambda e: renumbered([*e[:12], *e[3:12], *e[12:]]),
        "began 2 turns",
    ),
    "a gap": (
        lambda e: renumbered([*e[:3], {"type": "gap", "after": 3, "reason": ""}, *e[3:]]),
        "called lost",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_in_the_store_is_found(name: str) -> None:
    """Each of these changes to a good store breaks a promise, and the oracle says which."""
    change, said = CHANGES[name]
    assert any(said in line for line in found(change(good()))), found(change(good()))


def test_what_was_journaled_and_is_not_stored_is_found() -> None:
    """Every event that a process journaled must be in the store, byte for byte."""
    events = good()
    more = [*events, {"seq": len(events) + 1, "type": "log", "message": "lost"}]
    assert any("is not stored" in line for line in found(events, tapped=[whole(more)]))
    other = [*events[:-1], events[-1] | {"outcome": "failed"}]
    assert any("journaled was" in line for line in found(events, tapped=[whole(other)]))


def whole(events: list[dict[str, Any]], *, killed: bool = False) -> Tapped:
    return Tapped(encoded(events), killed)


def test_what_nobody_journaled_is_found() -> None:
    """The store holds nothing that no process journaled; only a killed one may not have told of its
    last events."""
    events = good()
    untold = [whole(events[:8]), whole(events[9:])]
    assert any("by nobody" in line for line in found(events, tapped=untold))
    killed = [whole(events[:8], killed=True), whole(events[9:])]
    assert found(events, tapped=killed) == []
    later = [whole(events[:8], killed=True), whole(events[8:11] + events[12:])]
    assert any("by nobody" in line for line in found(events, tapped=later))


def test_what_is_applied_twice_or_never_is_found() -> None:
    """An effect happens once where the command is called done, and never twice."""
    twice = found(good(), effects=("note-1", "note-3", "note-3"))
    assert twice == ["command note-3 was applied 2 times"]
    assert found(good(), effects=("note-1",)) == ["command note-3 is called done and had no effect"]


def test_growth_is_found() -> None:
    """Memory and descriptors of a process stay flat."""
    events = good()
    events[12] = events[12] | {"result": {"descriptors": 90, "rss_kb": 900_000}}
    broken = found(events)
    assert [line.partition(":")[2].split()[0] for line in broken] == ["descriptors", "rss_kb"]
