"""The journal on disk: what was flushed is there, whatever ends the process."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from journaling import held, opened, say, say_many

from runner_shell.errors import ConfigurationError, JournalBroken
from runner_shell.journal import CutTurn, DurableJournal
from runner_shell.journal.files import RESERVE_FILE, found
from runner_shell.journal.segments import scan
from runner_shell.protocol import codec
from runner_shell.protocol.commands import TurnStart
from runner_shell.protocol.events import BlockDelta, BlockStarted, Gap, RequestOpened


def abandoned(journal: DurableJournal) -> None:
    """Leave a journal as a killed process does: what is not flushed is gone, nothing is said."""
    journal._buffer.clear()
    journal.close()


def segments(directory: Path) -> list[str]:
    return [path.name for path in found(directory)]


def test_what_was_flushed_is_sent_again_by_the_next_process(tmp_path: Path) -> None:
    """Byte for byte, under the same log; what was not flushed never was."""
    first = opened(tmp_path / "j")
    sent = say_many(first, 5)
    first.flush()
    say_many(first, 3, since=6)
    abandoned(first)
    second = opened(tmp_path / "j")
    assert held(second) == sent
    assert (second.first, second.recovered.next) == (1, 6)
    assert second.recovered.log == first.recovered.log
    assert second.backlog_bytes == sum(map(len, sent))
    second.close()


def test_a_tail_torn_at_any_byte_costs_only_itself(tmp_path: Path) -> None:
    """A process killed in mid-write: the whole records stay, the cut is told, numbers go on."""
    first = opened(tmp_path / "j")
    sent = say_many(first, 3)
    first.accept(1, codec.encode_command(TurnStart(id="c", seq=1, content="x")))
    first.flush()
    abandoned(first)
    (name,) = segments(tmp_path / "j")
    whole = (tmp_path / "j" / name).read_bytes()
    first_end = scan(whole).records[0].start + len(scan(whole).records[0].body)
    for cut in range(len(whole)):
        directory = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "j", directory)
        (directory / name).write_bytes(whole[:cut])
        again = opened(directory)
        intact = scan(whole[:cut]).records[1:]
        assert len(held(again)) == min(len(intact), 3)
        assert held(again) == sent[: len(intact)]
        assert again.recovered.last_command == (1 if len(intact) == 4 else 0)
        boundary = cut in {one.start + len(one.body) for one in scan(whole).records}
        assert bool(again.cut_bytes) == (not boundary and cut > 0)
        assert cut >= first_end or again.recovered.fresh
        more = say_many(again, 1, since=again.recovered.next)
        again.flush()
        again.close()
        third = opened(directory)
        assert held(third) == sent[: len(intact)] + more
        assert third.cut_bytes == 0
        third.close()


def test_acknowledged_segments_are_dropped(tmp_path: Path) -> None:
    """The disk holds what may have to be sent again, and little more."""
    journal = opened(tmp_path / "j", segment_bytes=2000)
    for seq in range(1, 101):
        say_many(journal, 1, since=seq, size=100)
        journal.flush()
    full = len(segments(tmp_path / "j"))
    assert full > 5
    journal.acknowledged(50)
    half = len(segments(tmp_path / "j"))
    assert 1 < half < full
    assert codec.decode_envelope(journal.read(51)).seq == 51
    with pytest.raises(IndexError):
        journal.read(1)
    journal.acknowledged(100)
    assert len(segments(tmp_path / "j")) == 1
    assert journal.backlog_bytes == 0
    journal.close()


def test_a_large_open_block_costs_each_segment_no_more_than_it_holds(tmp_path: Path) -> None:
    """A snapshot has its text: were that to fill a segment, each flush would write it anew."""
    journal = opened(tmp_path / "j", segment_bytes=2000)
    say(journal, 1, BlockStarted(message="m", index=0))
    for seq in range(2, 402):
        say(journal, seq, BlockDelta(message="m", index=0, text="x" * 100))
        journal.flush()
    written = sum(path.stat().st_size for path in found(tmp_path / "j"))
    assert len(segments(tmp_path / "j")) > 5
    assert written < 4 * journal.backlog_bytes
    journal.close()


def test_a_retention_keeps_acknowledged_segments(tmp_path: Path) -> None:
    """For debugging; nothing of them is sent again."""
    journal = opened(tmp_path / "j", segment_bytes=2000, retention=3)
    for seq in range(1, 101):
        say_many(journal, 1, since=seq, size=100)
        journal.flush()
    journal.acknowledged(100)
    assert len(segments(tmp_path / "j")) == 4
    journal.settle(100)
    journal.close()
    again = opened(tmp_path / "j", retention=3)
    assert held(again) == []
    assert again.recovered.settled
    again.close()


def test_only_the_newest_part_is_held_in_memory(tmp_path: Path) -> None:
    """The rest is read back from its file, also by the next process, and over segments."""
    journal = opened(tmp_path / "j", segment_bytes=20_000, memory_bytes=5_000)
    sent = []
    for seq in range(1, 301):
        sent += say_many(journal, 1, since=seq, size=200)
        assert journal._recent_bytes <= 5_000
    journal.flush()
    assert journal.first == 1
    assert [journal.read(seq) for seq in range(1, 301)] == sent
    assert [journal.size(seq) for seq in range(1, 301)] == list(map(len, sent))
    journal.acknowledged(120)
    assert journal.backlog_bytes == sum(map(len, sent[120:]))
    abandoned(journal)
    again = opened(tmp_path / "j")
    assert held(again) == sent[again.first - 1 :]
    assert again.first <= 121
    again.close()


def test_a_start_before_its_first_record_is_whole_changes_nothing(tmp_path: Path) -> None:
    """The segments before hold everything."""
    first = opened(tmp_path / "j")
    sent = say_many(first, 3)
    first.flush()
    abandoned(first)
    (tmp_path / "j" / "0000000002.segment").write_bytes(b"\0\1torn")
    again = opened(tmp_path / "j")
    assert held(again) == sent
    assert again.cut_bytes > 0
    again.close()


def test_damage_in_the_midst_is_refused(tmp_path: Path) -> None:
    """What cannot be a torn tail is told, with what to do; nothing is sent with a hole."""
    journal = opened(tmp_path / "j", segment_bytes=500)
    for seq in range(1, 20):
        say_many(journal, 1, since=seq, size=100)
        journal.flush()
    journal.close()
    oldest = found(tmp_path / "j")[0]
    data = bytearray(oldest.read_bytes())
    data[-5] ^= 1
    oldest.write_bytes(data)
    with pytest.raises(
        ConfigurationError, match=r"is damaged at byte \d+.*move the directory away"
    ):
        opened(tmp_path / "j")
    with pytest.raises(ConfigurationError, match="is damaged"):
        opened(tmp_path / "j")  # and the lock is free


def test_lost_history_begins_a_new_log(tmp_path: Path) -> None:
    """The numbers of the gateway, its state and its open requests; the old events are gone."""
    first = opened(tmp_path / "j")
    say_many(first, 3)
    first.flush()
    question = RequestOpened(id="r", key="k", kind="question", title="?")
    first.begin_anew(41, "new-log", {"a": 1}, [question], epoch=3)
    after = say_many(first, 2, since=41)
    first.flush()
    abandoned(first)
    again = opened(tmp_path / "j")
    assert held(again) == after
    assert (again.first, again.recovered.next, again.recovered.log) == (41, 43, "new-log")
    assert again.recovered.state == {"a": 1}
    assert again.recovered.open_requests() == [question]
    assert again.recovered.initial
    assert (again.recovered.epoch, again.recovered.owes_gap) == (3, True)
    again.append(43, b'{"seq":43}', Gap(after=40, reason="lost"), "")
    assert not again._fold.now.owes_gap
    again.close()


def test_old_segments_that_were_left_behind_are_of_the_lost_history(tmp_path: Path) -> None:
    """A process killed between the new segment and the end of the old ones."""
    first = opened(tmp_path / "j")
    say_many(first, 3)
    first.flush()
    (old,) = found(tmp_path / "j")
    kept = old.read_bytes()
    first.begin_anew(41, "new-log", {}, [], epoch=3)
    first.close()
    old.write_bytes(kept)
    again = opened(tmp_path / "j")
    assert (again.first, again.recovered.next) == (41, 41)
    assert old.name not in segments(tmp_path / "j")
    again.close()


def test_the_number_of_the_last_process_is_kept(tmp_path: Path) -> None:
    """Over any number of starts and segments; the latest counts."""
    for epoch in (2, 5):
        journal = opened(tmp_path / "j")
        journal.took_epoch(epoch)
        journal.close()
    for _ in range(2):
        again = opened(tmp_path / "j")
        assert again.recovered.epoch == 5
        again.close()


def test_a_tail_that_was_lost_never_holds_events_without_their_epoch(tmp_path: Path) -> None:
    """Wherever a lost node's disk stops: what a process said under its number, it knows the number.

    So a gateway with events of an unknown epoch has them from elsewhere, and `gap` is true.
    """
    journal = opened(tmp_path / "j")
    journal.took_epoch(7)
    say_many(journal, 3)
    journal.flush()
    journal.close()
    (name,) = segments(tmp_path / "j")
    whole = (tmp_path / "j" / name).read_bytes()
    seen = set()
    for cut in range(len(whole) + 1):
        directory = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "j", directory)
        (directory / name).write_bytes(whole[:cut])
        again = opened(directory)
        seen.add((again.recovered.epoch, len(held(again))))
        again.close()
    assert seen == {(0, 0), (7, 0), (7, 1), (7, 2), (7, 3)}


def test_the_turn_to_go_on_with_is_kept(tmp_path: Path) -> None:
    """Over any number of starts, until one says otherwise."""
    journal = opened(tmp_path / "j")
    journal.resume(CutTurn(id="t", cause="wake"))
    journal.close()
    again = opened(tmp_path / "j")
    assert again.recovered.cut == CutTurn(id="t", cause="wake")
    again.resume(None)
    again.close()
    third = opened(tmp_path / "j")
    assert third.recovered.cut is None
    third.close()


def test_one_flush_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events and commands a tick brought."""
    journal = opened(tmp_path / "j")
    written: list[int] = []
    write = journal._segment.write
    monkeypatch.setattr(
        journal._segment, "write", lambda data: (written.append(len(data)), write(data))
    )
    say_many(journal, 100)
    journal.applying("c")
    journal.flush()
    journal.flush()
    assert len(written) == 1
    journal.close()


def test_the_disk_is_asked_to_keep_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the writer's back, again for what comes later, and before a next segment is begun."""
    journal = opened(tmp_path / "j", segment_bytes=2000)
    asked = threading.Event()
    sizes: list[tuple[str, int]] = []
    sync = os.fdatasync

    def noted(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        sizes.append((name, os.fstat(descriptor).st_size))
        sync(descriptor)
        asked.set()

    monkeypatch.setattr(os, "fdatasync", noted)
    for seq in (1, 2):
        asked.clear()
        say_many(journal, 1, since=seq)
        journal.flush()
        assert asked.wait(60.0)
        assert sizes[-1][1] == journal._segment.size
    first = journal._segment
    say_many(journal, 1, since=3, size=3000)
    journal.flush()
    begun = [name for name, _ in sizes].index(journal._segment.path.name)
    assert (first.path.name, first.size) in sizes[:begun]
    journal.close()


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_disk_that_cannot_keep_what_was_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """By the next flush at the latest, and again: the session must not go on as if it were kept.

    Whichever of the two calls the system has.
    """
    journal = opened(tmp_path / "j")

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.delattr(os, "fdatasync")
    monkeypatch.setattr(os, call, broken, raising=False)
    say_many(journal, 1)
    journal.flush()
    thread = journal._syncer._thread
    assert thread is not None
    thread.join(60.0)
    for _ in range(2):
        with pytest.raises(JournalBroken, match="cannot be synced: Input/output error"):
            journal.flush()
    journal.close()


def test_an_event_without_a_place_breaks_the_journal_for_good(tmp_path: Path) -> None:
    """A disk at fault: told at once, and again; nothing of it is taken for written."""
    journal = opened(tmp_path / "j")
    sent = say_many(journal, 2)
    journal.flush()
    descriptor = journal._segment.descriptor
    journal._segment.descriptor = 9_999  # EBADF stands for EIO: neither comes on order
    (tmp_path / "j" / RESERVE_FILE).unlink()
    say_many(journal, 1, since=3)
    for _ in range(2):
        with pytest.raises(JournalBroken, match=r"cannot be (written|synced)"):
            journal.flush()
    journal._segment.descriptor = descriptor
    journal.close()
    again = opened(tmp_path / "j")
    assert held(again) == sent
    again.close()


def test_later_versions_of_events_are_kept(tmp_path: Path) -> None:
    """An adapter's own type is journaled and read back like any other."""
    journal = opened(tmp_path / "j")
    encoded = say(journal, 1, codec.decode_payload(b'{"type":"weather.changed","entries":[1]}'))  # type: ignore[arg-type]
    journal.flush()
    journal.close()
    again = opened(tmp_path / "j")
    assert held(again) == [encoded]
    again.close()
