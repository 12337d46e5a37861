"""What a runner says of itself."""

from __future__ import annotations

from msgspec import Struct


class Status(Struct, frozen=True, kw_only=True):
    """One answer, encoded as one JSON object; later versions may add fields.

    Attributes:
        session: Id of the session.
        instance: Random id of the process.
        pid: Its number.
        adapter: The adapter's name.
        connected: Whether the gateway has welcomed it and the connection stands.
        link: The link's state, as in docs/reference/link.md.
        problem: Why it is not connected, as far as is known; without secrets.
        epoch: The gateway's number for this process; null before the first welcome.
        last_acked: The last event that the gateway has committed; null before the first welcome.
        backlog_events: How many events are not acknowledged.
        backlog_bytes: Their bytes.
        turn: Id of the running turn, or empty.
        queued_turns: How many turns wait.
        ending: Whether the session is on its way out and begins nothing new.
        redaction_failures: How often redaction raised; what it could not look at was withheld.
        redaction_hits: In how many events a known secret was found after redaction, and withheld:
            each is a bug.
        uptime_seconds: Since the process began its session.
    """

    session: str
    instance: str
    pid: int
    adapter: str
    connected: bool
    link: str
    problem: str
    epoch: int | None
    last_acked: int | None
    backlog_events: int
    backlog_bytes: int
    turn: str
    queued_turns: int
    ending: bool
    redaction_failures: int = 0
    redaction_hits: int = 0
    uptime_seconds: float
