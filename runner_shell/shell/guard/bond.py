"""What a runner knows of its guardian, and tells it through a pipe.

Without a guardian nothing is told, nor by a process that the runner forked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from . import linux

__all__ = ["NEWS", "arm_deadline", "become_runner", "guardian_pid", "mark_orderly", "orphaned"]

NEWS = signal.SIGURG
"""Says that something is in the pipe; ignored by default, so a stray one harms nobody."""


class _Bond:
    """What a runner knows of its guardian."""

    __slots__ = ("guardian_pid", "pipe", "runner_pid")

    def __init__(self, guardian_pid: int, pipe: int) -> None:
        self.guardian_pid = guardian_pid
        self.runner_pid = os.getpid()
        self.pipe = pipe


_bond: _Bond | None = None


def become_runner(guardian_pid: int, pipe: int) -> None:
    """Take this process, just forked, for the runner of that guardian, which reads the pipe.

    Should the guardian die, this process gets SIGTERM; if it is dead already, this process exits.
    """
    global _bond
    os.set_blocking(pipe, False)
    _bond = _Bond(guardian_pid, pipe)
    if not linux.on_linux():
        os.setpgid(0, 0)
        return
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
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


def guardian_pid() -> int | None:
    """The process that guards this one, dead or alive."""
    return None if _bond is None else _bond.guardian_pid


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
            os.kill(_bond.guardian_pid, NEWS)
