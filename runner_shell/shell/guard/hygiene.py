"""Trust at the start: secrets leave the environment, the process closes itself to its children.

The order at the start is `take_secrets`, `make_undumpable`, and only then a fork. What these
measures do: an agent's tool, running as the same user, finds no token in its environment, in its
parent's, or in its parent's memory. What they do not: code inside the process, and a root that
may trace (CAP_SYS_PTRACE), see everything. Only another container is a boundary.
"""

from __future__ import annotations

import os
import stat

from runner_shell.errors import ConfigurationError
from runner_shell.shell.guard.linux import PR_SET_DUMPABLE, on_linux, prctl

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

__all__ = ["make_undumpable", "private_directory", "take_secrets"]

# proc(5), /proc/PID/stat: fields 50 and 51, counted from 1; those after the name start with 3.
_ENV_START, _ENV_END = 50 - 3, 51 - 3


def take_secrets(environ: MutableMapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Remove variables from the environment, for good, and return those that were there.

    A deleted variable still stands in the block of memory that the process was started with, which
    `/proc/PID/environ` shows; so the values are overwritten there too. Call it before the first
    fork, as a fork copies that block. Where `/proc` does not tell where the block is (not Linux,
    some sandboxes), it stays as it was.

    Args:
        environ: `os.environ`.
        names: The variables to take. Absent ones are passed over.
    """
    wanted = set(names)
    taken = {name: environ.pop(name) for name in wanted & environ.keys()}
    _overwrite_in_initial_block(wanted)
    return taken


def _overwrite_in_initial_block(names: Iterable[str]) -> None:
    start, end = _initial_block()
    if start >= end:
        return
    import ctypes

    prefixes = tuple(os.fsencode(name) + b"=" for name in names)
    address = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        # Every match: a block may hold a name twice, of which `os.environ` shows one.
        if entry.startswith(prefixes):
            value_offset = entry.index(b"=") + 1
            ctypes.memset(address + value_offset, 0, len(entry) - value_offset)
        address += len(entry) + 1


def _initial_block() -> tuple[int, int]:
    """Return where the environment's memory starts and ends; (0, 0) where nobody says."""
    if not on_linux():
        return 0, 0
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name may hold spaces
        return int(fields[_ENV_START]), int(fields[_ENV_END])
    except (OSError, IndexError):
        return 0, 0


def make_undumpable() -> None:
    """Close this process's environment, memory and descriptors to others of the same user.

    No core dump is written, no debugger of the same user can attach. A fork keeps the property;
    exec resets it, so the tools that an agent starts are as open as ever, and have nothing to hide.
    A process that is not root cannot open its own `/proc/self/environ` and `mem` any more either.

    Raises:
        OSError: A sandbox refused the call.
    """
    prctl(PR_SET_DUMPABLE, 0)


def private_directory(path: str | os.PathLike[str]) -> None:
    """Make a directory that only this user can enter, or make an existing one so.

    Args:
        path: Where. Missing parents are made just as private.

    Raises:
        ConfigurationError: It is a symbolic link, no directory, somebody else's, or cannot be
            made.
    """
    name = os.fspath(path).rstrip(os.sep) or os.sep  # "link/" would be followed
    try:
        _make_private(name)
        _check_and_tighten(name)
    except OSError as error:
        raise ConfigurationError(
            f"{name} cannot be used as a private directory ({error.strerror}): "
            "name a directory that this user may create"
        ) from error


def _make_private(name: str) -> None:
    """Make what is missing of a path; `os.makedirs` gives the parents the umask's mode instead."""
    if os.path.lexists(name):
        return
    parent = os.path.dirname(name)
    if parent:
        _make_private(parent)
    try:
        os.mkdir(name, 0o700)
    except FileExistsError:
        return  # somebody was quicker; whose it is gets checked next


def _check_and_tighten(name: str) -> None:
    if os.path.islink(name):
        raise ConfigurationError(
            f"{name} is a symbolic link, which somebody could point elsewhere: "
            "name the directory itself"
        )
    # Through a descriptor, so that what was checked is what gets changed.
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{name} belongs to user {found.st_uid}, this process runs as {os.geteuid()}: "
                "change its owner, or name a directory below it that does not exist yet"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(directory, stat.S_IMODE(found.st_mode) & 0o700)
    finally:
        os.close(directory)
