"""The journal under what really happens: kills at any instruction, full disks, second runners."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journaling import held, opened, say_many

from runner_shell.errors import ConfigurationError
from runner_shell.journal.lock import DirectoryLock

HERE = Path(__file__).parent

WRITER = """
import sys
from pathlib import Path
from journaling import opened, say_many
journal = opened(Path(sys.argv[1]), segment_bytes=50_000, memory_bytes=20_000)
out = open(1, "wb", buffering=0)
seq = journal.recovered.next
while True:
    say_many(journal, 7, since=seq, size=60)
    seq += 7
    journal.flush()
    out.write(b"%d\\n" % (seq - 1))
"""

FULL = """
import resource, signal, sys
from pathlib import Path
from journaling import opened, say_many
from runner_shell.errors import JournalBroken
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = opened(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
seq = 1
try:
    while True:
        say_many(journal, 10, since=seq, size=100)
        journal.flush()
        seq += 10
except JournalBroken as error:
    print(seq - 1, error)
"""

HOLDER = """
import sys, time
from pathlib import Path
from runner_shell.journal.lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
lock.take("process of the test")
print("taken", flush=True)
time.sleep(600)
"""


def run(program: str, directory: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, str(directory)]
    return subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


@contextmanager
def running(program: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = run(program, directory)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_a_writer_killed_at_any_instruction_loses_nothing_it_was_told(tmp_path: Path) -> None:
    """Eight kills in a row, on one directory: what was flushed is there, without a hole."""
    chance = random.Random(11)
    last = 0
    for _ in range(8):
        with running(WRITER, tmp_path) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            told = writer.stdout.read().splitlines()
        journal = opened(tmp_path)
        numbers = [json.loads(event)["seq"] for event in held(journal)]
        assert numbers == list(range(1, journal.recovered.next))
        promised = int(told[-1]) if told and told[-1] else last
        assert journal.recovered.next - 1 >= promised
        assert [int(json.loads(event)["data"].rstrip(".")) for event in held(journal)] == numbers
        last = journal.recovered.next - 1
        journal.close()
    assert last > 100


def test_a_full_disk_is_told_at_once_and_loses_nothing(tmp_path: Path) -> None:
    """The write that does not fit leaves no torn tail; everything before stays."""
    with running(FULL, tmp_path) as writer:
        assert writer.stdout is not None
        said = writer.stdout.read().decode()
    promised, _, why = said.partition(" ")
    assert "cannot be written: File too large" in why
    journal = opened(tmp_path)
    assert journal.recovered.next - 1 == int(promised) > 100
    assert journal.cut_bytes == 0
    journal.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with one megabyte."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        where.rmdir()  # without the right to mount, a limit on files stands for the full disk
        pytest.fail("this test needs a mount; run it as root") if os.geteuid() == 0 else None
    yield where
    subprocess.run(["umount", str(where)], check=False)


def test_the_reserve_takes_the_endings_on_a_full_disk(tiny_disk: Path) -> None:
    """The cause is known, and there is still room to say it."""
    if not tiny_disk.is_dir():
        pytest.skip("no right to mount a disk of a megabyte")
    journal = opened(tiny_disk / "j", segment_bytes=100_000)
    (tiny_disk / "filler").write_bytes(b"x" * 500_000)
    seq = 1
    while not journal.trouble:
        say_many(journal, 10, since=seq, size=100)
        journal.flush()
        seq += 10
    assert "No space left on device" in journal.trouble
    say_many(journal, 10, since=seq, size=100)
    journal.flush()
    journal.close()
    again = opened(tiny_disk / "j")
    assert again.recovered.next == seq + 10
    again.close()


def test_a_directory_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    """By its name, with what the system says."""
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "lock").mkdir()
    with pytest.raises(ConfigurationError, match=r"RUNNER_STATE_DIR: .*lock cannot be written"):
        opened(tmp_path / "j")


def test_a_read_only_disk_is_refused_at_the_start(tiny_disk: Path) -> None:
    """Also where a journal lies on it already, which stays as it is."""
    if not tiny_disk.is_dir():
        pytest.skip("no right to mount a disk of a megabyte")
    journal = opened(tiny_disk / "j")
    sent = say_many(journal, 3)
    journal.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(ConfigurationError, match=r"RUNNER_STATE_DIR: .*Read-only file system"):
        opened(tiny_disk / "j")
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    again = opened(tiny_disk / "j")
    assert held(again) == sent
    again.close()


def test_a_second_live_runner_is_refused(tmp_path: Path) -> None:
    """It is told who has the directory, and a killed one keeps nobody out."""
    with running(HOLDER, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        with pytest.raises(ConfigurationError, match=r"another runner uses .*process of"):
            DirectoryLock(tmp_path).take("second", patience_seconds=0.1)
        holder.kill()
        holder.wait()
        DirectoryLock(tmp_path).take("third")


def test_a_fork_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """What an agent leaves running keeps no next runner out."""
    lock = DirectoryLock(tmp_path)
    lock.take("first")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    lock.release()
    DirectoryLock(tmp_path).take("second", patience_seconds=60.0)
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)
