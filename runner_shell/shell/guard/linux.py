"""The one system call that the guardian, its runner and hygiene need and Python lacks: `prctl`."""

from __future__ import annotations

import os
import sys

__all__ = ["PR_SET_CHILD_SUBREAPER", "PR_SET_DUMPABLE", "PR_SET_PDEATHSIG", "on_linux", "prctl"]

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


def on_linux() -> bool:
    """Say whether this system has `prctl` and Linux's `/proc`."""
    return sys.platform == "linux"


def prctl(option: int, value: int) -> None:
    """Change a property of this process; do nothing on other systems than Linux.

    Raises:
        OSError: The kernel, or a sandbox around it, refused.
    """
    if not on_linux():
        return
    import ctypes  # here, because a process that needs no prctl need not pay for it

    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {value}): {os.strerror(error)}")
