"""A journal as the outlet uses it: events are encoded, numbered and appended in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner_shell.journal import DurableJournal, open_journal
from runner_shell.protocol import codec
from runner_shell.protocol.events import Custom, Event


def opened(directory: Path, **settings: Any) -> DurableJournal:
    """Open the journal of a directory, making it where it is not there."""
    directory.mkdir(exist_ok=True)
    return open_journal(directory, **settings)


def say(journal: DurableJournal, seq: int, event: Event, turn: str = "") -> bytes:
    """Append an event as the outlet does; flushing is the caller's."""
    payload = codec.encode_payload(event)
    encoded = codec.number(payload, seq=seq, time="2026-11-30T00:00:00.000+00:00", turn=turn)
    journal.append(seq, encoded, event, turn)
    return encoded


def say_many(journal: DurableJournal, count: int, *, since: int = 1, size: int = 1) -> list[bytes]:
    """Append events that say nothing but their number."""
    return [
        say(journal, seq, Custom(name="n", data=f"{seq}".ljust(size, ".")))
        for seq in range(since, since + count)
    ]


def held(journal: DurableJournal) -> list[bytes]:
    """Every event that would be sent again."""
    return [journal.read(seq) for seq in range(journal.first, journal.recovered.next)]
