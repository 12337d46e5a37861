"""The guardian, shown with real processes: nothing here is faked but the runner's work."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest
from real_processes import DEADLINE_SECONDS, eventually, exists

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the guardian's promises are Linux's"
)

PREAMBLE = """
import json, os, re, signal, subprocess, sys, time
from pathlib import Path
from runner_shell.shell.guard import bond, guardian, linux, tree

def note(name, text):
    with open(name, "a") as file:
        file.write(f"{text}\\n")

def note_signals(numbers):
    for number in numbers:
        signal.signal(number, lambda number, frame: note("signals", signal.Signals(number).name))

def wait_forever():
    note("runner", os.getpid())
    while True:
        time.sleep(0.02)  # not pause(): a signal just before it would be handled after the next

def leave_descendants():
    # A child, one in a session of its own, and one whose parents are all gone, two sessions away.
    stay = ["sh", "-c", "echo $$ >> left; exec sleep 600"]
    subprocess.Popen(stay)
    subprocess.Popen(["setsid", *stay])
    # Its go-between is waited for: while that lives, it is a descendant too.
    subprocess.run(["setsid", "sh", "-c", "setsid \\"$@\\" & exit 0", "-", *stay], check=True)
    while not os.path.exists("left") or len(Path("left").read_text().split()) < 3:
        time.sleep(0.005)

def end_tree(marker):
    # A net: a mistake in whom `end_tree` chooses would end the developer's whole session.
    kill, left = tree.kill, {int(pid) for pid in Path("left").read_text().split()}
    def kill_only_what_was_left(pid):
        if pid not in left:
            note("strayed", pid)
            os._exit(99)
        kill(pid)
    tree.kill = kill_only_what_was_left
    return tree.end_tree(marker)
"""


class Scene:
    """Starts guarded runners in a directory of their own and ends what a failed test leaves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "termination-log"
        self._started: list[subprocess.Popen[str]] = []

    def start(self, body: str, *, before: str = "", **options: object) -> subprocess.Popen[str]:
        """Start a guardian whose runner does `body`, after doing `before` itself."""
        guard = f"guardian.guard(run, termination_log={str(self.log)!r})\n"
        run = "def run():\n" + indent(body, "    ") + "\n"
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", PREAMBLE + before + "\n" + run + guard],
            cwd=self.directory,
            **{"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self._started.append(process)
        return process

    def words(self, name: str) -> list[str]:
        """Return what a runner noted, complete lines only."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.directory / name).read_text()
            return text[: text.rfind("\n") + 1].split()
        return []

    def pids(self, name: str) -> list[int]:
        return [int(word) for word in self.words(name)]

    def runner(self) -> int:
        return eventually(lambda: self.pids("runner"), "the runner's first word")[0]

    def last_words(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.log.read_text())
        return found

    def close(self) -> None:
        for pid in self.pids("runner") + self.pids("left"):
            if exists(pid):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


# --- endings and exit codes


@pytest.mark.parametrize("code", [0, 1, 2, 75, 124, 130, 143])
def test_exit_code_is_passed_on(scene: Scene, code: int) -> None:
    """The guardian exits with the runner's code and writes nothing after an orderly ending."""
    process = scene.start(f"bond.mark_orderly()\nreturn {code}")
    assert process.wait(DEADLINE_SECONDS) == code
    assert not scene.log.exists()


def test_exit_code_is_passed_on_where_sigchld_is_ignored(scene: Scene) -> None:
    """A launcher that ignores SIGCHLD does not cost the exit code."""
    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = scene.start("bond.mark_orderly()\nreturn 3", restore_signals=False)
    finally:
        signal.signal(signal.SIGCHLD, previous)
    assert process.wait(DEADLINE_SECONDS) == 3


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("print('during', end='')\nbond.mark_orderly()\nreturn 0", "before during"),
        ("os.kill(os.getpid(), 9)", "before "),
    ],
    ids=["exit", "kill"],
)
def test_output_comes_out_once(scene: Scene, body: str, expected: str) -> None:
    """What is buffered at the fork comes out once, however the runner ends, and its own does."""
    process = scene.start(
        body,
        before="print('before', end=' ')",
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # or nothing is buffered
    )
    output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert output == expected


def test_success_that_nobody_claimed_is_a_failure(scene: Scene) -> None:
    """A runner that some code exits with 0 behind the shell's back is not reported completed."""
    process = scene.start("os._exit(0)")
    assert process.wait(DEADLINE_SECONDS) == 70
    assert scene.last_words()["reason"] == "the runner exited with code 0 and recorded no ending"


def test_exception_leaves_traceback_and_last_words(scene: Scene) -> None:
    """An exception out of the runner shows on stderr and is recorded as a failure."""
    process = scene.start("raise ValueError('something odd')")
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert "something odd" in errors
    assert scene.last_words()["outcome"] == "failed"


def test_killed_runner(scene: Scene) -> None:
    """After a runner's SIGKILL the guardian writes the termination log and exits with 137."""
    process = scene.start("wait_forever()")
    os.kill(scene.runner(), signal.SIGKILL)
    assert process.wait(DEADLINE_SECONDS) == 137
    assert scene.last_words() == {
        "outcome": "failed",
        "reason": "the runner was killed by signal 9 (SIGKILL)",
        "resumable": False,
        "last_acked": None,
        "cost": None,
    }


def test_runners_own_last_words_stay(scene: Scene) -> None:
    """A termination log that the runner wrote is not overwritten, even if it is then killed."""
    process = scene.start("Path('termination-log').write_text('mine')\nos.kill(os.getpid(), 9)")
    assert process.wait(DEADLINE_SECONDS) == 137
    assert scene.log.read_text() == "mine"


@pytest.mark.parametrize("earlier", ["", '{"outcome": "completed"}'])
def test_earlier_last_words_do_not_pass_for_this_runners(scene: Scene, earlier: str) -> None:
    """A termination log that was there before, empty or from last time, is replaced."""
    scene.log.write_text(earlier)
    process = scene.start("os.kill(os.getpid(), 9)")
    assert process.wait(DEADLINE_SECONDS) == 137
    assert scene.last_words()["outcome"] == "failed"


def test_unwritable_termination_log_does_not_change_the_code(scene: Scene) -> None:
    """A termination log that cannot be written is complained about; the exit code stands."""
    scene.log.mkdir()
    process = scene.start("os.kill(os.getpid(), 9)")
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 137
    assert "cannot write the termination log" in errors


# --- nothing outlives a runner


@pytest.mark.parametrize(
    "ending", ["os.kill(os.getpid(), 9)", "bond.mark_orderly()\nreturn 0"], ids=["kill", "exit"]
)
def test_descendants_end_with_the_runner(scene: Scene, ending: str) -> None:
    """However a runner ends, no descendant survives: sessions of their own, nested, included."""
    process = scene.start(f"leave_descendants()\n{ending}")
    process.wait(DEADLINE_SECONDS)
    left = scene.pids("left")
    assert len(left) == 3
    assert not any(exists(pid) for pid in left)  # at once: the guardian exits after them


def test_a_process_that_keeps_forking_away_is_caught(scene: Scene) -> None:
    """A process that forks and exits in a row, so that its number never stays, ends as well."""
    hopper = "while not os.fork() or os._exit(0): os.setsid(); note('hops', 1)"
    process = scene.start(f"if os.fork() == 0:\n    {hopper}\nwait_forever()")
    eventually(lambda: len(scene.words("hops")) > 20, "that it keeps forking")
    os.kill(scene.runner(), signal.SIGKILL)
    assert process.wait(DEADLINE_SECONDS) == 137
    hops = len(scene.words("hops"))
    with pytest.raises(AssertionError):
        eventually(lambda: len(scene.words("hops")) > hops, "another hop", 0.2)


def test_orphans_are_reaped_while_the_runner_lives(scene: Scene) -> None:
    """Whoever loses its parent and ends becomes no zombie, as the guardian reaps it."""
    scene.start(
        "subprocess.run('sh -c \"echo \\\\$\\\\$ >> left\" & exit', shell=True)\nwait_forever()"
    )
    scene.runner()
    orphan = eventually(lambda: scene.pids("left"), "the orphan")[0]
    eventually(lambda: not Path(f"/proc/{orphan}").exists(), "that it is reaped")


# --- signals


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2"])
def test_signal_is_forwarded_once(scene: Scene, name: str) -> None:
    """A signal to the guardian reaches the runner, once."""
    process = scene.start(f"note_signals([signal.{name}, signal.SIGUSR1])\nwait_forever()")
    scene.runner()
    process.send_signal(signal.Signals[name])
    eventually(lambda: scene.words("signals"), "the signal")
    process.send_signal(signal.SIGUSR1)  # overtakes nothing, so it shows what came before
    eventually(lambda: "SIGUSR1" in scene.words("signals"), "the signal after it")
    assert scene.words("signals") == [name, "SIGUSR1"]


@pytest.mark.parametrize(
    "preparation", ["pass", "os.setpgid(0, 0)"], ids=["same group", "own group"]
)
def test_terminals_interrupt_reaches_the_runner_once(scene: Scene, preparation: str) -> None:
    """Ctrl-C reaches the runner exactly once, whether or not it is in the foreground group."""
    keyboard, terminal = os.openpty()
    try:
        process = scene.start(
            f"note_signals([signal.SIGINT, signal.SIGUSR1])\n{preparation}\nwait_forever()",
            stdin=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        scene.runner()
        os.write(keyboard, b"\x03")
        eventually(lambda: scene.words("signals"), "the signal")
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: "SIGUSR1" in scene.words("signals"), "the signal after it")
        assert scene.words("signals") == ["SIGINT", "SIGUSR1"]
    finally:
        scene.close()
        os.close(keyboard)
        os.close(terminal)


def test_a_signal_that_came_before_the_guardian_is_not_lost(scene: Scene) -> None:
    """Blocked by who started it, a signal waits for the guardian, and the runner hears it."""
    early = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    process = scene.start("wait_forever()", before=f"{early}os.kill(os.getpid(), signal.SIGTERM)")
    assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM


def test_runner_starts_with_a_clean_slate(scene: Scene) -> None:
    """The runner has no signal blocked and waits for its own children as usual."""
    process = scene.start(
        "note('mask', len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
        "note('child', subprocess.run(['sh', '-c', 'exit 5']).returncode)\n"
        "bond.mark_orderly()\n"
        "return 0"
    )
    assert process.wait(DEADLINE_SECONDS) == 0
    assert scene.words("mask") == ["0"]
    assert scene.words("child") == ["5"]


# --- the guardian dies


def test_runner_ends_its_tree_when_the_guardian_dies(scene: Scene) -> None:
    """After the guardian's SIGKILL the runner learns it and ends its tree, orphans included."""
    process = scene.start(
        "os.environ['RUNNER_INSTANCE'] = os.getcwd()\n"
        "leave_descendants()\n"
        "def end(number, frame):\n"
        "    note('ended', bond.orphaned() and end_tree(os.getcwd()))\n"
        "    os._exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "wait_forever()"
    )
    runner = scene.runner()
    process.kill()
    eventually(lambda: not exists(runner), "the runner's end")
    assert scene.words("ended") == ["True"]
    assert not any(exists(pid) for pid in scene.pids("left"))


def test_end_tree_spares_other_instances(scene: Scene) -> None:
    """Ending one tree ends no process of another instance, nor the guardian."""
    another = {**os.environ, "RUNNER_INSTANCE": f"{scene.directory}2"}
    other = subprocess.Popen(["sleep", "600"], env=another)
    try:
        process = scene.start(
            "leave_descendants()\n"
            "note('ended', end_tree(os.getcwd()))\n"
            "note('orphaned', bond.orphaned())\n"
            "bond.mark_orderly()\n"
            "return 0",
            env={**os.environ, "RUNNER_INSTANCE": str(scene.directory)},
        )
        assert process.wait(DEADLINE_SECONDS) == 0
        assert scene.words("ended") == ["True"]
        assert scene.words("orphaned") == ["False"]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_fork_of_the_runner_is_no_runner(scene: Scene) -> None:
    """A forked worker neither takes itself for orphaned nor speaks to the guardian."""
    process = scene.start(
        "if os.fork() == 0:\n"
        "    note('orphaned', bond.orphaned())\n"
        "    bond.mark_orderly()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "return 0"
    )
    assert process.wait(DEADLINE_SECONDS) == 70  # the mark did not count
    assert scene.words("orphaned") == ["False"]


def test_unguarded_process_can_call_the_runners_side() -> None:
    """Without a guardian the runner's side does nothing and says so."""
    script = (
        "from runner_shell.shell.guard import bond, tree\n"
        "bond.mark_orderly(); bond.arm_deadline(1); print(bond.orphaned(), tree._victims(None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=DEADLINE_SECONDS
    )
    assert done.stdout == b"False set()\n"


# --- deadlines

HOLD_THE_GIL = "re.match('(a+)+$', 'a' * 60 + 'b')"


def test_deadline_ends_a_runner_in_which_nothing_reacts(scene: Scene) -> None:
    """A C call that holds the GIL is ended at the deadline, with its tree: code 124, timed_out."""
    process = scene.start(f"leave_descendants()\nbond.arm_deadline(0.2)\n{HOLD_THE_GIL}")
    assert process.wait(DEADLINE_SECONDS) == 124
    assert scene.last_words()["outcome"] == "timed_out"
    assert scene.last_words()["reason"] == "the runner did not react to its deadline"
    assert not any(exists(pid) for pid in scene.pids("left"))


@pytest.mark.parametrize("later", [None, 1e12])
def test_disarmed_deadline_does_nothing(scene: Scene, later: float | None) -> None:
    """A deadline that is disarmed, or replaced by a later one, ends nobody."""
    process = scene.start(
        # Stopped, the guardian learns of both at once: on a busy machine the first could else
        # pass before the second is told.
        "os.kill(os.getppid(), signal.SIGSTOP)\n"
        "bond.arm_deadline(0.1)\n"
        f"bond.arm_deadline({later})\n"
        "os.kill(os.getppid(), signal.SIGCONT)\n"
        "time.sleep(0.3)\n"  # the first deadline is over by then
        "bond.mark_orderly()\n"
        "return 0"
    )
    assert process.wait(DEADLINE_SECONDS) == 0


# --- what it costs, and what it shows


def test_children_inherit_no_descriptor(scene: Scene) -> None:
    """A process that the runner starts has standard streams and nothing of the guardian's pipe."""
    process = scene.start(
        "listing = subprocess.run(['sh', '-c', 'ls /proc/$$/fd'], capture_output=True,\n"
        "                         close_fds=False, stdin=subprocess.DEVNULL)\n"
        "note('descriptors', listing.stdout.decode())\n"
        "bond.mark_orderly()\n"
        "return 0"
    )
    assert process.wait(DEADLINE_SECONDS) == 0
    assert scene.words("descriptors") == ["0", "1", "2"]


def test_guardian_imports_little() -> None:
    """The guardian is loaded before anything heavy, and loads nothing heavy itself."""
    script = (
        "import sys, runner_shell; before = set(sys.modules)\n"
        "from runner_shell.shell.guard import guardian\n"
        "heavy = {'asyncio', 'ctypes', 'dataclasses', 'json', 'threading', 'typing'}\n"
        "print(heavy & (set(sys.modules) - before))"
    )
    # Without site-packages, whose start-up files import on their own account.
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == b"set()\n", done.stderr


# --- other systems

ELSEWHERE = "linux.on_linux = lambda: False"


def test_elsewhere_group_and_signals(scene: Scene) -> None:
    """On other systems signals are forwarded, and what stays in the runner's group ends with it."""
    process = scene.start(
        "subprocess.Popen(['sh', '-c', 'echo $$ >> left; exec sleep 600'])\n"
        "note_signals([signal.SIGINT])\n"
        "wait_forever()",
        before=ELSEWHERE,
    )
    runner = scene.runner()
    left = eventually(lambda: scene.pids("left"), "the runner's child")[0]
    process.send_signal(signal.SIGINT)
    eventually(lambda: scene.words("signals") == ["SIGINT"], "the signal, once")
    os.kill(runner, signal.SIGKILL)
    assert process.wait(DEADLINE_SECONDS) == 137
    eventually(lambda: not exists(left), "the child's end")


def test_elsewhere_deadline(scene: Scene) -> None:
    """On other systems the last-resort deadline holds as well."""
    process = scene.start(f"bond.arm_deadline(0.2)\n{HOLD_THE_GIL}", before=ELSEWHERE)
    assert process.wait(DEADLINE_SECONDS) == 124
