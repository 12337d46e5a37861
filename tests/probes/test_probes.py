"""A hostile agent's tool tries to reach a credential, or to pass a failure off as success.

Each probe runs as what an agent starts: a child of the runner, by exec, as the same user, not
root. Each is strict: it holds, or the suite fails. Where a measure can be left away, the probe is
first tried on a runner without it, and must succeed there, so that no probe is blind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the probes use /proc")

SECRET = "s3cret-of-the-shell"
TOKEN = "BOT_TOKEN"

# A runner as the shell starts one. Modules come first: after the change of user the interpreter's
# own files may be out of reach.
RUNNER = """
import ctypes, json, os, subprocess, sys
from runner_shell.shell.guard import bond, guardian, hygiene, linux

attack, measures, arguments = json.loads(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # as a program that this user starts is
taken = {}
if "take" in measures:
    taken = hygiene.take_secrets(os.environ, ["BOT_TOKEN"])
if "close" in measures:
    hygiene.make_undumpable()

def run():
    in_memory = ctypes.create_string_buffer(b"in-memory-of-the-shell")
    places = {
        "GUARDIAN": os.getppid(),
        "RUNNER": os.getpid(),
        "ADDRESS": ctypes.addressof(in_memory),
        "PIPE": bond._bond.pipe,
    }
    given = {**os.environ, **{name: str(place) for name, place in places.items()}, **arguments}
    subprocess.run(["sh", "-c", attack], env=given, stdin=subprocess.DEVNULL, close_fds=False)
    sys.stdout.flush()
    return 1

guardian.guard(run)
"""

BARE: tuple[str, ...] = ()
SHELLS_OWN = ("take", "close")


def attack(command: str, measures: tuple[str, ...], **arguments: str) -> str:
    """Run a hostile command below a runner with these measures and return what it could print."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps([command, measures, arguments])],
        env={**os.environ, TOKEN: SECRET},
        capture_output=True,
        timeout=20,
    )
    return done.stdout.decode(errors="replace")


# --- credentials


def test_own_environment() -> None:
    """An agent's tool does not inherit the shell's token."""
    assert SECRET in attack("env", BARE)
    assert SECRET not in attack("env; cat /proc/self/environ", SHELLS_OWN)


@pytest.mark.parametrize("whose", ["RUNNER", "GUARDIAN"])
@pytest.mark.parametrize("measures", [("take",), ("close",), SHELLS_OWN])
def test_environment_of_runner_and_guardian(whose: str, measures: tuple[str, ...]) -> None:
    """`cat /proc/$PPID/environ` shows no token: either measure alone is enough."""
    look = f"cat /proc/${whose}/environ"
    assert SECRET in attack(look, BARE)
    assert SECRET not in attack(look, measures)


def test_every_process_environment() -> None:
    """No process that the tool can find at all has the token in its environment."""
    look = "for pid in $GUARDIAN $RUNNER $$; do cat /proc/$pid/task/*/environ; done"
    assert SECRET in attack(look, BARE)
    assert SECRET not in attack(look, SHELLS_OWN)


def ptrace_is_restricted() -> bool:
    """Say whether the kernel forbids reading a parent's memory anyway (Yama)."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    return scope.exists() and scope.read_text().strip() != "0"


def test_memory_of_the_runner() -> None:
    """The runner's memory, where the token must be, cannot be read."""
    look = "dd if=/proc/$RUNNER/mem bs=1 iflag=skip_bytes skip=$ADDRESS count=22"
    if not ptrace_is_restricted():
        assert "in-memory-of-the-shell" in attack(look, BARE)
    assert "in-memory-of-the-shell" not in attack(look, SHELLS_OWN)


def test_memory_of_the_guardian() -> None:
    """The guardian's memory, which a fork copied from the runner's, cannot be opened."""
    look = "dd if=/proc/$GUARDIAN/mem count=0 && echo opened"
    if not ptrace_is_restricted():
        assert "opened" in attack(look, BARE)
    assert "opened" not in attack(look, SHELLS_OWN)


def test_inherited_descriptors() -> None:
    """A tool has its standard streams and no other descriptor, even if asked to inherit all."""
    assert attack("ls /proc/$$/fd", SHELLS_OWN).split() == ["0", "1", "2"]


# --- control


def test_descriptors_of_the_runner() -> None:
    """The runner's descriptors can be neither listed nor opened."""
    look = "ls /proc/$RUNNER/fd; : > /proc/$RUNNER/fd/$PIPE && echo opened"
    assert "opened" in attack(look, BARE)
    assert attack(look, SHELLS_OWN) == ""


def test_forged_orderly_ending(tmp_path: Path) -> None:
    """A tool that claims success to the guardian and kills the runner makes no success."""
    forge = "echo orderly > /proc/$RUNNER/fd/$PIPE; kill -KILL $RUNNER; sleep 600"
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps([forge, SHELLS_OWN, {}])],
        env={**os.environ, TOKEN: SECRET},
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 137


# --- state


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Give a directory that every user can enter, as pytest's own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's identity")
def test_state_directory_of_another_user(reachable: Path) -> None:
    """Another user reads nothing in a state directory, whatever its files' own modes are."""
    from runner_shell.shell.guard.hygiene import private_directory

    state = reachable / "state"
    state.mkdir()
    state.chmod(0o755)
    (state / "journal").write_text(SECRET)
    (state / "journal").chmod(0o644)
    look = 'cat "$STATE"/journal; ls "$STATE"'
    assert SECRET in attack(look, SHELLS_OWN, STATE=str(state))
    private_directory(state)
    assert attack(look, SHELLS_OWN, STATE=str(state)) == ""
