"""The guardian: the small parent process that sees to it that nothing outlives a runner.

`guard(run)` forks. The child becomes the runner and calls `run`; the parent becomes the guardian,
which forwards signals, reaps, and, when the runner is dead, ends every process that the runner
left behind and exits with its code. Should the guardian die first, the runner gets SIGTERM, sees
that it is `orphaned()` and calls `end_tree()`.

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

from runner_shell.shell.linux import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    on_linux,
    prctl,
)

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

__all__ = ["INSTANCE_VARIABLE", "arm_deadline", "end_tree", "guard", "mark_orderly", "orphaned"]

INSTANCE_VARIABLE = "RUNNER_INSTANCE"

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
# "There is something in the pipe." Ignored by default, so a stray one harms nobody.
_NEWS = signal.SIGURG
_WATCHED = _FORWARDED | {signal.SIGCHLD, signal.SIGALRM, _NEWS}

_SI_KERNEL = 0x80  # si_code: the kernel's own, which for these signals means a terminal
_LONGEST_WAIT_SECONDS = 86_400.0  # a time_t has its limits; waking once a day costs nothing
_ENDING_SECONDS = 5.0
_POLL_SECONDS = 0.02


def guard(run: Callable[[], int], *, termination_log: str | None = None) -> NoReturn:
    """Fork; run `run` in the child and watch over it in the parent, which is the guardian.

    Call it on the main thread, before threads and heavy imports. In the child this exits the
    interpreter with what `run` returns, in the ordinary way (SystemExit, exit handlers). The
    guardian exits with the same code, with 128+N after a death by signal N, with 124 after a
    deadline of `arm_deadline`, and with 70 where the runner exited with 0 but never called
    `mark_orderly`: a success that nobody claimed is none.

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
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guardian_pid = os.getpid()
    pipe_out, pipe_in = os.pipe()  # closed on exec, so the runner's children never have it
    log = _TerminationLog(termination_log)
    sys.stdout.flush()  # or what is buffered would die with a runner that is killed
    sys.stderr.flush()
    runner_pid = os.fork()
    if runner_pid == 0:
        os.close(pipe_out)
        _become_runner(guardian_pid, pipe_in)
        # Whoever started us may have blocked what is forwarded, so that none is lost meanwhile.
        signal.pthread_sigmask(signal.SIG_SETMASK, before - _FORWARDED)
        sys.exit(run())
    os.close(pipe_in)
    os._exit(_keep_watch(_Watch(runner_pid, pipe_out), log))


# --- the runner's side


class _Bond:
    """What a runner knows of its guardian."""

    __slots__ = ("guardian_pid", "pipe", "runner_pid")

    def __init__(self, guardian_pid: int, pipe: int) -> None:
        self.guardian_pid = guardian_pid
        self.runner_pid = os.getpid()
        self.pipe = pipe


_bond: _Bond | None = None


def _become_runner(guardian_pid: int, pipe: int) -> None:
    global _bond
    os.set_blocking(pipe, False)
    _bond = _Bond(guardian_pid, pipe)
    if not on_linux():
        os.setpgid(0, 0)
        return
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != guardian_pid:  # it died before the line above could count
        os._exit(128 + signal.SIGTERM)


def orphaned() -> bool:
    """Say whether this is a guarded runner whose guardian has died.

    A process that the runner forked inherits this module's memory and the runner's signal
    handlers, yet is no runner: there it is always False.
    """
    return (
        _bond is not None and os.getpid() == _bond.runner_pid and os.getppid() != _bond.guardian_pid
    )


def mark_orderly() -> None:
    """Tell the guardian that the ending is recorded, so that it need not record one.

    Call it last, when the exit code is settled. Without a guardian it does nothing.
    """
    _tell(b"orderly\n")


def arm_deadline(seconds: float | None) -> None:
    """Have the guardian kill this runner after so many seconds, whatever it is doing by then.

    The last resort for a runner in which nothing reacts any more, such as one C call that holds
    the GIL: the tree ends, the termination log says `timed_out`, the exit code is 124. Calling it
    again replaces the deadline; None disarms it. Without a guardian it does nothing.
    """
    deadline = "none" if seconds is None else repr(time.monotonic() + seconds)
    _tell(f"deadline {deadline}\n".encode())


def _tell(message: bytes) -> None:
    if _bond is None or os.getpid() != _bond.runner_pid:
        return
    # A dead guardian, or one that was stopped until the pipe was full: nothing to do about it.
    with contextlib.suppress(BrokenPipeError, BlockingIOError, ProcessLookupError):
        os.write(_bond.pipe, message)  # shorter than PIPE_BUF, hence whole
        if not orphaned():
            os.kill(_bond.guardian_pid, _NEWS)


def end_tree(marker: str | None, *, seconds: float = _ENDING_SECONDS) -> bool:
    """Kill whatever descends from this process or carries its marker; say whether all are gone.

    For a runner that lost its guardian: who had lost its parent before that is no descendant any
    more, and is found by `RUNNER_INSTANCE` in its environment. Only a process that was forked
    without an exec, and lost its parent before, is not found. This process, its parent and the
    guardian are spared. On other systems than Linux the process group gets SIGTERM, if this
    process leads it.

    Args:
        marker: The value of `RUNNER_INSTANCE` that the tree's processes carry; None: it has none.
        seconds: When to give up.
    """
    if not on_linux():
        return _end_group()
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # from here on nobody gets away by losing its parent
    give_up = time.monotonic() + seconds
    while victims := _victims(marker):
        if time.monotonic() >= give_up:
            return False
        for pid in victims:
            _kill(pid)
        time.sleep(_POLL_SECONDS / 4)
    return True


def _victims(marker: str | None) -> set[int]:
    parents = dict(_read_processes())
    found = _descendants(os.getpid(), parents)
    if marker:
        entry = f"{INSTANCE_VARIABLE}={marker}".encode()
        found |= {pid for pid in parents if _is_ours_and_carries(entry, pid)}
    spared = {os.getpid(), os.getppid()}
    if _bond is not None:
        spared.add(_bond.guardian_pid)
    return found - spared


def _descendants(ancestor: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    generation = {ancestor}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - found
        found |= generation
    return found


def _is_ours_and_carries(entry: bytes, pid: int) -> bool:
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return False
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except OSError:  # gone, or closed to us
        return False


def _end_group() -> bool:
    if os.getpgrp() != os.getpid():
        return False
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is in the group too
    os.killpg(os.getpgrp(), signal.SIGTERM)
    return True


# --- the guardian's side


class _TerminationLog:
    """The file for a container's last words: written only if the runner did not write it."""

    __slots__ = ("_before", "_path")

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._before = self._stamp()

    def record(self, outcome: str, reason: str) -> None:
        """Write an ending that the runner could not; a failure goes to stderr."""
        if self._path is None or self._was_written():
            return
        import json

        ending = {
            "outcome": outcome,
            "reason": reason,
            "resumable": False,
            "last_acked": None,
            "cost": None,
        }
        try:
            # In place: Kubernetes mounts this very file, a rename onto it would fail.
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(json.dumps(ending) + "\n")
        except OSError as error:
            print(f"cannot write the termination log: {error}", file=sys.stderr, flush=True)

    def _was_written(self) -> bool:
        """Say whether it has new content; it exists beforehand, often, empty or from last time."""
        now = self._stamp()
        return now is not None and now != self._before and now[-1] > 0

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


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
            _kill(self.runner_pid)


def _keep_watch(watch: _Watch, log: _TerminationLog) -> int:
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
    if not on_linux():
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
    give_up = time.monotonic() + _ENDING_SECONDS
    if not on_linux():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(watch.runner_pid, signal.SIGKILL)
        return
    while watch.reap() and time.monotonic() < give_up:
        for pid in _children():
            _kill(pid)
        signal.sigtimedwait({signal.SIGCHLD}, _POLL_SECONDS)


# --- processes


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Return this process's children, by the kernel's own list where it is built in.

    Reading every process instead takes milliseconds, in which one that forks and exits in a row
    is already another.
    """
    try:
        found: list[int] = []
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        own_pid = os.getpid()
        return [pid for pid, parent in _read_processes() if parent == own_pid]
    return found


def _read_processes() -> Iterator[tuple[int, int]]:
    """Give every process that is no zombie, with its parent."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # pid (name, which may hold anything) state parent …
                state, parent, *_ = file.read().rpartition(b")")[2].split(maxsplit=2)
        except (OSError, ValueError):  # gone meanwhile
            continue
        if state not in b"ZX":
            yield int(name), int(parent)
