"""The guardian: the small parent process that sees to it that nothing outlives a runner.

`guard(run)` forks. The child becomes the runner and calls `run`; the parent becomes the guardian,
which forwards signals, reaps, and, when the runner is dead, ends every process that the runner
left behind and exits with its code. Should the guardian die first, the runner gets SIGTERM, sees
that it is `bond.orphaned()` and calls `tree.end_tree()`.

Nothing escapes by a session of its own: the guardian is the sub-reaper, so whoever loses its
parent becomes the guardian's child. What a service outside the tree starts on an agent's behalf (a
container engine, systemd) is out of reach, and so is a process of another user.

A signal sent to the guardian's process group as a whole by a program reaches the runner twice:
directly and forwarded. Only a terminal's own signals can be told apart.

Other systems than Linux: best effort. The runner leads a process group, without the terminal's
foreground, and what stays in that group is ended with it; nobody tells a runner that its guardian
died.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from . import linux
from .bond import NEWS, become_runner
from .termination_log import TerminationLog
from .tree import ENDING_SECONDS, children, kill

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

__all__ = ["guard"]

_EXIT_FAULT = 70
_EXIT_TIMED_OUT = 124

_FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
_WATCHED = _FORWARDED | {signal.SIGCHLD, signal.SIGALRM, NEWS}

_SI_KERNEL = 0x80  # si_code: the kernel's own, which for these signals means a terminal
_LONGEST_WAIT_SECONDS = 86_400.0  # a time_t has its limits; waking once a day costs nothing
_POLL_SECONDS = 0.02


def guard(run: Callable[[], int], *, termination_log: str | None = None) -> NoReturn:
    """Fork; run `run` in the child and watch over it in the parent, which is the guardian.

    Call it on the main thread, before threads and heavy imports. In the child this exits the
    interpreter with what `run` returns, in the ordinary way (SystemExit, exit handlers). The
    guardian exits with the same code, with 128+N after a death by signal N, with 124 after a
    deadline of `bond.arm_deadline`, and with 70 where the runner exited with 0 but never called
    `bond.mark_orderly`: a success that nobody claimed is none.

    Args:
        run: The runner; returns its exit code.
        termination_log: Where the guardian writes one JSON object when the runner ended without
            an orderly ending and has written nothing there itself.

    Raises:
        OSError: No process, no pipe, or a sandbox forbids `prctl`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # A launcher may have left SIGCHLD ignored, with which the kernel reaps and the code is lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    guardian_pid = os.getpid()
    pipe_out, pipe_in = os.pipe()  # closed on exec, so the runner's children never have it
    log = TerminationLog(termination_log)
    sys.stdout.flush()  # or what is buffered would die with a runner that is killed
    sys.stderr.flush()
    runner_pid = os.fork()
    if runner_pid == 0:
        os.close(pipe_out)
        become_runner(guardian_pid, pipe_in)
        # Whoever started us may have blocked what is forwarded, so that none is lost meanwhile.
        signal.pthread_sigmask(signal.SIG_SETMASK, before - _FORWARDED)
        sys.exit(run())
    os.close(pipe_in)
    os._exit(_keep_watch(_Watch(runner_pid, pipe_out), log))


class _Watch:
    """What the guardian knows of its runner."""

    __slots__ = ("_pipe", "_unread", "deadline", "orderly", "overdue", "runner_pid", "status")

    def __init__(self, runner_pid: int, pipe: int) -> None:
        self.runner_pid = runner_pid
        self.status: int | None = None  # as waitpid gives it, once the runner is dead
        self.deadline: float | None = None
        self.overdue = False
        self.orderly = False
        self._pipe = pipe
        self._unread = b""
        os.set_blocking(pipe, False)

    def reap(self) -> bool:
        """Reap whoever ended and say whether there are children left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.runner_pid and self.status is None:
                self.status = status

    def read_news(self) -> None:
        """Take in what the runner wrote to the pipe."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._pipe, 4096):
                self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            word, _, argument = line.partition(b" ")
            if word == b"orderly":
                self.orderly = True
            elif word == b"deadline":
                self.deadline = None if argument == b"none" else float(argument)

    def enforce_deadline(self) -> None:
        """Kill a runner that is past its deadline."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.deadline = None
            self.overdue = True
            kill(self.runner_pid)


def _keep_watch(watch: _Watch, log: TerminationLog) -> int:
    """Stay until the runner is dead, see to its legacy, and return the exit code."""
    status = _outlive(watch)
    code, outcome, reason = _verdict(watch, os.waitstatus_to_exitcode(status))
    if reason:
        log.record(outcome, reason)  # first: a grace period may end while the tree still does
    _end_children(watch)
    return code


def _outlive(watch: _Watch) -> int:
    """Forward signals and enforce the deadline until the runner is dead; return its status."""
    while True:
        watch.reap()
        watch.read_news()  # after the reaping, so that a dead runner's last word is heard
        if watch.status is not None:
            return watch.status
        watch.enforce_deadline()
        signal_number, code = _next_signal(watch.deadline)
        if signal_number in _FORWARDED and not _reached(watch.runner_pid, code):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(watch.runner_pid, signal_number)


def _reached(runner_pid: int, code: int) -> bool:
    """Say whether a terminal sent the signal to the runner as well, as to its whole group."""
    return code == _SI_KERNEL and os.getpgid(runner_pid) == os.getpgrp()


def _next_signal(deadline: float | None) -> tuple[int, int]:
    """Wait for a signal or the deadline (0); return its number and its si_code."""
    seconds = _LONGEST_WAIT_SECONDS
    if deadline is not None:
        seconds = min(seconds, max(0.0, deadline - time.monotonic()))
    if not linux.on_linux():
        return _next_signal_by_timer(seconds), 0
    found = signal.sigtimedwait(_WATCHED, seconds)
    return (found.si_signo, found.si_code) if found is not None else (0, 0)


def _next_signal_by_timer(seconds: float) -> int:
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would disarm it
    return signal.sigwait(_WATCHED)


def _verdict(watch: _Watch, exit_code: int) -> tuple[int, str, str]:
    """Return the exit code, and outcome and reason where the runner recorded no ending."""
    if watch.overdue and exit_code == -signal.SIGKILL:
        return _EXIT_TIMED_OUT, "timed_out", "the runner did not react to its deadline"
    if exit_code < 0:
        reason = f"the runner was killed by signal {_describe(-exit_code)}"
        return 128 - exit_code, "failed", reason
    if watch.orderly:
        return exit_code, "", ""
    reason = f"the runner exited with code {exit_code} and recorded no ending"
    return exit_code or _EXIT_FAULT, "failed", reason


def _describe(signal_number: int) -> str:
    try:
        return f"{signal_number} ({signal.Signals(signal_number).name})"
    except ValueError:  # a real-time signal has no name of its own
        return str(signal_number)


def _end_children(watch: _Watch) -> None:
    """Kill every child, and those that become ours as their parents die, until none is left.

    Only children, generation by generation: the number of a child that nobody else reaps cannot
    be another process's by the time the signal arrives.
    """
    give_up = time.monotonic() + ENDING_SECONDS
    if not linux.on_linux():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(watch.runner_pid, signal.SIGKILL)
        return
    while watch.reap() and time.monotonic() < give_up:
        for pid in children():
            kill(pid)
        signal.sigtimedwait({signal.SIGCHLD}, _POLL_SECONDS)
