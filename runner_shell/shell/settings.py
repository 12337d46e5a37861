"""What one runner needs to know."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .restart import Policy


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one runner needs to know; seconds throughout, None for never.

    Attributes:
        session: Id of the session.
        instance: Random id of this process.
        adapter: The adapter's name.
        workspace: The agent's working directory.
        framework_dir: Private directory for the framework's files.
        prompt: The first message, or empty.
        interactive: Whether to wait for messages after the first turn.
        timeout_seconds: What the process may take in all.
        idle_seconds: How long to wait without work.
        defer_seconds: How long a question that can be deferred holds its turn.
        grace_seconds: From the order to stop to the end.
        connect_seconds: How long to wait for the first welcome.
        announce_seconds: How long `session.started` waits for what an open adapter says of itself.
        resume: What to do with a turn that was cut off; None: go on if the adapter can.
        high_mark_bytes: Unacknowledged bytes from which on deltas merge and awaited emits wait,
            down to half of it.
        journal_limit_bytes: Unacknowledged bytes at which a running turn is interrupted.
        warnings: Sentences to say at the start, by code.
        version: The shell's version.
    """

    session: str
    instance: str
    adapter: str
    workspace: Path
    framework_dir: Path
    prompt: str = ""
    interactive: bool = False
    timeout_seconds: float | None = None
    idle_seconds: float | None = None
    defer_seconds: float = 60.0
    grace_seconds: float = 10.0
    connect_seconds: float = 60.0
    announce_seconds: float = 10.0
    resume: Policy | None = None
    high_mark_bytes: int = 16 * 1024 * 1024
    journal_limit_bytes: int = 64 * 1024 * 1024
    warnings: tuple[tuple[str, str], ...] = ()
    version: str = ""
