"""One live runner for each state directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from weakref import WeakSet

from ..errors import ConfigurationError

FILE = "lock"

PATIENCE_SECONDS = 1.0
"""For how long it is tried: a runner that was just killed may still be on its way out."""

_POLL_SECONDS = 0.05


class DirectoryLock:
    """Held from `take` to `release`, or to the end of the process, however that comes.

    The lock is the kernel's (flock), so a dead runner never keeps a next one out; the file only
    says who holds it. Children do not inherit it: exec closes it, and so does a fork.

    Args:
        directory: The private directory that only one runner may use.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._descriptor = -1

    def take(self, holder: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Take the lock, or say who has it.

        Args:
            holder: Who takes it, for whoever comes second.
            patience_seconds: For how long it is tried.

        Raises:
            ConfigurationError: A live runner has it, or the directory cannot be written.
        """
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"RUNNER_STATE_DIR: {self._path} cannot be written ({error.strerror})"
            ) from error
        _held.add(self)
        until = time.monotonic() + patience_seconds
        while not self._try():
            if time.monotonic() >= until:
                self._refuse()
            time.sleep(_POLL_SECONDS)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, holder.encode(), 0)

    def release(self) -> None:
        """Let the next one in. Releasing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _refuse(self) -> None:
        holder = os.pread(self._descriptor, 200, 0).decode(errors="replace")
        self.release()
        raise ConfigurationError(
            f"RUNNER_STATE_DIR: another runner uses {self._path.parent} ({holder}): wait for its "
            "end, or give this one a directory of its own"
        )


_held: WeakSet[DirectoryLock] = WeakSet()


def _let_go_in_child() -> None:
    # The lock belongs to the open file, which a fork shares: a child would outlive it with it.
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
