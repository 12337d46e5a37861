"""What the shell does about its own secrets at the start, seen from outside the process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_processes import DEADLINE_SECONDS

from runner_shell.errors import ConfigurationError
from runner_shell.shell.guard.hygiene import private_directory, take_secrets

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="uses /proc")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's identity")

TAKE = """
import os, sys
from runner_shell.shell.guard.hygiene import take_secrets
taken = take_secrets(os.environ, ["BOT_TOKEN", "NOT_SET", "EMPTY_TOKEN"])
print(sorted(taken.items()), "BOT_TOKEN" in os.environ, flush=True)
sys.stdin.read()
"""


@contextmanager
def started(script: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a script until its first line of output; it stays alive for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@linux_only
def test_taken_secrets_leave_the_environment_block() -> None:
    """What is taken is returned, and another process finds it in /proc/PID/environ no more."""
    environ = {"FIRST": "stays", "BOT_TOKEN": "s3cret-bot", "EMPTY_TOKEN": "", "LAST": "stays too"}
    with started(TAKE, **environ) as (process, line):
        assert line == "[('BOT_TOKEN', 's3cret-bot'), ('EMPTY_TOKEN', '')] False\n"
        block = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"s3cret-bot" not in block
    entries = block.split(b"\0")
    assert b"FIRST=stays" in entries
    assert b"LAST=stays too" in entries


@linux_only
def test_similar_names_and_values_stay() -> None:
    """A variable whose name only begins or ends like a secret's is left alone, whole."""
    environ = {"BOT_TOKEN_FILE": "/run/token", "A_BOT_TOKEN": "other", "BOT_TOKEN": "ünïcode-秘密"}
    with started(TAKE, **environ) as (process, _):
        entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert b"BOT_TOKEN_FILE=/run/token" in entries
    assert b"A_BOT_TOKEN=other" in entries
    assert not any("秘密".encode() in entry for entry in entries)


@linux_only
def test_second_value_of_a_name_is_overwritten_too() -> None:
    """A block that holds a name twice, of which Python shows one, keeps neither value."""
    doubled = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "strings = lambda *s: (ctypes.c_char_p * (len(s) + 1))(*s, None)\n"
        "libc.execve(sys.argv[1].encode(), strings(*map(str.encode, sys.argv[1:])),\n"
        "            strings(b'BOT_TOKEN=value-one', b'BOT_TOKEN=value-two'))\n"
    )
    read_self = "import sys, os\n" + TAKE.replace(
        "sys.stdin.read()", "print(open('/proc/self/environ', 'rb').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", doubled, sys.executable, "-c", read_self],
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )
    assert b"BOT_TOKEN=" in done.stdout, done.stderr
    block = done.stdout.splitlines()[1]
    assert b"value-one" not in block
    assert b"value-two" not in block


def test_secrets_are_taken_from_any_mapping() -> None:
    """The mapping loses what is taken and keeps the rest; absent names are no error."""
    environ = {"BOT_TOKEN": "s3cret", "PROMPT": "hello"}
    assert take_secrets(environ, ["BOT_TOKEN", "ABSENT"]) == {"BOT_TOKEN": "s3cret"}
    assert environ == {"PROMPT": "hello"}


DROP = """
import ctypes, os, subprocess, sys
from runner_shell.shell.guard import hygiene, linux
if os.geteuid() == 0:  # nothing is closed to root
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # as a program that this user starts is
look = ["sh", "-c", "cat /proc/$PPID/environ"]
"""


@linux_only
@pytest.mark.parametrize("closed", [False, True])
def test_undumpable_environment_is_closed_to_children(closed: bool) -> None:
    """A child of the same user reads its parent's environment, unless that is undumpable."""
    measure = "hygiene.make_undumpable()\n" if closed else ""
    done = subprocess.run(
        [sys.executable, "-c", f"{DROP}{measure}sys.exit(subprocess.run(look).returncode)"],
        env={**os.environ, "BOT_TOKEN": "s3cret-bot"},
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )
    assert (b"s3cret-bot" in done.stdout) is not closed
    assert (done.returncode != 0) is closed


@linux_only
def test_undumpable_survives_a_fork_but_not_exec() -> None:
    """A fork is closed as its parent is; what it executes is open again."""
    script = DROP + (
        "hygiene.make_undumpable()\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0); sys.exit()\n"
        "closed = subprocess.run(look).returncode != 0\n"
        "opened = subprocess.run(['sh', '-c', 'cat /proc/$$/environ; exit']).returncode == 0\n"
        "print('|', closed, opened)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=DEADLINE_SECONDS
    )
    assert done.stdout.endswith(b"| True True\n"), done.stderr


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    """What is missing of the path is made for this user only, whatever the umask."""
    previous = os.umask(0)
    try:
        private_directory(tmp_path / "state" / "shell")
    finally:
        os.umask(previous)
    assert mode_of(tmp_path / "state") == 0o700
    assert mode_of(tmp_path / "state" / "shell") == 0o700


def test_private_directory_is_tightened(tmp_path: Path) -> None:
    """An existing directory that others can enter is closed to them, and keeps its content."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal").touch()
    (tmp_path / "state").chmod(0o755)
    private_directory(tmp_path / "state")
    assert mode_of(tmp_path / "state") == 0o700
    assert (tmp_path / "state" / "journal").exists()


@pytest.mark.parametrize("spelling", ["{}", "{}/"])
def test_private_directory_refuses_a_symbolic_link(tmp_path: Path, spelling: str) -> None:
    """A symbolic link is refused with what to do, and what it points to stays as it was."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").chmod(0o755)
    (tmp_path / "state").symlink_to("elsewhere")
    with pytest.raises(ConfigurationError, match=r"symbolic link.*name the directory itself"):
        private_directory(spelling.format(tmp_path / "state"))
    assert mode_of(tmp_path / "elsewhere") == 0o755


@root_only
def test_private_directory_refuses_a_foreign_owner(tmp_path: Path) -> None:
    """Somebody else's directory is refused with both users named, root not excepted."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(ConfigurationError, match=r"belongs to user 65534.*change its owner"):
        private_directory(tmp_path / "state")


def test_private_directory_refuses_a_file(tmp_path: Path) -> None:
    """A file in its place is refused with the system's reason."""
    (tmp_path / "state").touch()
    with pytest.raises(ConfigurationError, match="Not a directory"):
        private_directory(tmp_path / "state")
