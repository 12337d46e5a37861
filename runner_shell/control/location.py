"""Where a session's runner keeps its state and answers; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOCKET_FILE = "status.sock"


def state_directory(state_dir: Path | None, session: str, environment: Mapping[str, str]) -> Path:
    """A session's private directory: the one that is named, or the user's own for the session."""
    if state_dir is not None:
        return state_dir
    base = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "runner-shell" / session


def socket_path(state_dir: Path) -> Path:
    """Where the runner with this state directory answers."""
    return state_dir / "shell" / SOCKET_FILE


def named_socket(
    state_dir: Path | None, session: str, environment: Mapping[str, str]
) -> Path | None:
    """The socket that is asked for, by a directory or a session; None where nothing names one.

    What is given beats RUNNER_STATE_DIR, and that SESSION_ID.
    """
    if state_dir is None and not session:
        named = environment.get("RUNNER_STATE_DIR")
        state_dir = Path(named) if named else None
        session = environment.get("SESSION_ID", "")
    if state_dir is None and not session:
        return None
    return socket_path(state_directory(state_dir, session, environment))
