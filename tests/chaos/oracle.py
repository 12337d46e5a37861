"""What must hold after any run, whatever went wrong in it; pure.

Source: docs/explanation/delivery.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from runner_shell.testing.order import check_order
from tests.chaos.adapter import words_of

Event = dict[str, Any]

DESCRIPTORS = 12
"""How many more a process may hold at its end than at its first answer: the sockets and files of a
dial, a frame, a reopened segment."""

MEMORY_KB = 40_000
"""How much more memory, likewise: what is on its way, twice."""


class Tapped(Struct, frozen=True):
    """What one runner's process has journaled, as it saw it itself.

    Attributes:
        events: The encoded events, in order; of a killed process perhaps without the last.
        killed: Whether it was killed.
    """

    events: list[bytes]
    killed: bool


class Run(Struct, frozen=True):
    """What a run has left.

    Attributes:
        stored: The encoded events at the gateway.
        tapped: What each runner's process journaled, the oldest first.
        commands: The ids that were handed in and taken.
        effects: The ids whose effect happened, once for each time it did.
    """

    stored: list[bytes]
    tapped: list[Tapped]
    commands: list[str]
    effects: list[str]


def violations(run: Run) -> list[str]:
    """Every broken promise, in words."""
    stored = [json.loads(event) for event in run.stored]
    return [
        *_numbers(stored),
        *_prefixes(run),
        *_texts(stored),
        *_order(stored),
        *_commands(run, stored),
        *_processes(stored),
    ]


def _numbers(stored: Sequence[Event]) -> Iterator[str]:
    """Numbers have no holes and none comes twice."""
    for expected, event in enumerate(stored, 1):
        if event["seq"] != expected:
            yield f"number {event['seq']} where {expected} was next"
            return


def _prefixes(run: Run) -> Iterator[str]:
    """Every journaled event is stored, as it was, in order.

    A killed process may have journaled one more run of events than it could tell of; they follow
    what it told of, and nothing else is in the store.
    """
    held = {json.loads(event)["seq"]: event for event in run.stored}
    told: set[int] = set()
    may_be_untold: set[int] = set()
    for tapped in run.tapped:
        for event in tapped.events:
            seq = json.loads(event)["seq"]
            if seq in told:
                yield f"event {seq} was numbered by two processes"
            told.add(seq)
            if seq not in held:
                yield f"event {seq} was journaled and is not stored"
            elif held[seq] != event:
                yield f"event {seq} is stored as {held[seq]!r}, journaled was {event!r}"
        if tapped.killed:
            may_be_untold.add(max(told, default=0) + 1)
    for seq in sorted(held.keys() - told):
        if seq not in may_be_untold:
            yield f"event {seq} is stored and was journaled by nobody"
        else:
            may_be_untold.add(seq + 1)


def _texts(stored: Sequence[Event]) -> Iterator[str]:
    """Text is an exact prefix of what was said, and all of it where the message says so."""
    tasks = {e["turn"]: e["input"] for e in stored if e["type"] == "turn.started"}
    said: dict[str, str] = {}
    turns: dict[str, str] = {}
    for event in stored:
        match event["type"]:
            case "block.started":
                said[event["message"]], turns[event["message"]] = "", event.get("turn", "")
            case "block.delta":
                said[event["message"]] += event["text"]
            case "block.finished":
                message = event["message"]
                text, whole = said[message], "".join(words_of(tasks[turns[message]]))
                if not whole.startswith(text):
                    yield f"{message}: no prefix of what was said: …{text[-60:]!r}"
                if event.get("status", "ok") == "ok" and text != whole:
                    yield f"{message}: {len(text)} of {len(whole)} characters, and called whole"
                if event.get("content") != text:
                    yield f"{message}: its content is not the sum of its deltas"


def _order(stored: Sequence[Event]) -> Iterator[str]:
    """Every start has exactly one ending, in its place."""
    yield from map(str, check_order(stored))
    for start, end, field in (
        ("turn.started", "turn.finished", "turn"),
        ("message.started", "message.finished", "id"),
        ("tool.started", "tool.finished", "call"),
    ):
        started = Counter(e[field] for e in stored if e["type"] == start)
        ended = Counter(e[field] for e in stored if e["type"] == end)
        if started != ended:
            yield f"{start} and {end} do not match: {started - ended or ended - started}"
    kinds = Counter(event["type"] for event in stored)
    if kinds["session.started"] != kinds["session.finished"]:
        yield f"{kinds['session.started']} processes with {kinds['session.finished']} endings"
    if kinds["gap"]:
        yield "history was called lost"


def _commands(run: Run, stored: Sequence[Event]) -> Iterator[str]:
    """Every command has one answer, and its effect happened at most once."""
    replies = Counter(
        event["command"] for event in stored if event["type"] in ("command.done", "command.failed")
    )
    for command in run.commands:
        if replies[command] != 1:
            yield f"command {command} has {replies[command]} answers"
    for command, times in Counter(run.effects).items():
        if times > 1:
            yield f"command {command} was applied {times} times"
    done = {event["command"] for event in stored if event["type"] == "command.done"}
    noted = {command for command in run.commands if command.startswith("note")}
    for command in sorted((done & noted) - set(run.effects)):
        yield f"command {command} is called done and had no effect"
    started = Counter(e.get("command", "") for e in stored if e["type"] == "turn.started")
    for command, times in started.items():
        if command and times > 1:
            yield f"command {command} began {times} turns"


def _processes(stored: Sequence[Event]) -> Iterator[str]:
    """Memory and descriptors of a process stay flat while faults go on."""
    first: dict[str, int] | None = None
    for event in stored:
        if event["type"] == "session.started":
            first = None
        health = event.get("result") if event["type"] == "command.done" else None
        if not isinstance(health, dict) or "descriptors" not in health:
            continue
        first = first or health
        for name, allowed in (("descriptors", DESCRIPTORS), ("rss_kb", MEMORY_KB)):
            if health[name] > first[name] + allowed:
                yield f"event {event['seq']}: {name} went from {first[name]} to {health[name]}"
