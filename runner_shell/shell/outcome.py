"""How a runner ends: outcomes, exit codes, the termination log."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from ..protocol.events import Outcome

COMPLETED = 0
FAILED = 1
BAD_CONFIGURATION = 2
SHELL_FAULT = 70
TRANSIENT = 75
TIMED_OUT = 124
STOPPED = 130
DRAINED = 143

EXIT_CODES: dict[Outcome, int] = {
    "completed": COMPLETED,
    "failed": FAILED,
    "interrupted": STOPPED,
    "stopped": STOPPED,
    "timed_out": TIMED_OUT,
    "budget_exhausted": TIMED_OUT,
    "waiting": TRANSIENT,
}

FINAL = frozenset({COMPLETED, FAILED, BAD_CONFIGURATION, TIMED_OUT, STOPPED})
"""The codes after which a next process would only say the same again.

After every other one, 128 plus a signal's number included, it goes on from what the state directory
holds; whoever starts runners starts it a bounded number of times.
"""


class Verdict(Struct, frozen=True, kw_only=True):
    """The end of a process: what it says and what it exits with.

    Attributes:
        outcome: How the session ended in this process.
        reason: Why, for a person, without secrets.
        exit_code: As in `EXIT_CODES`, unless the way it ended says otherwise.
    """

    outcome: Outcome
    reason: str = ""
    exit_code: int

    @classmethod
    def of(cls, outcome: Outcome, reason: str = "") -> Verdict:
        """The verdict with the outcome's ordinary exit code."""
        return cls(outcome=outcome, reason=reason, exit_code=EXIT_CODES[outcome])


def goes_on(outcome: Outcome, exit_code: int) -> bool:
    """Whether a session that ended so is not over: a next process goes on at once.

    It waits for a person, was told to make room (SIGTERM), or met something transient.
    """
    return outcome == "waiting" or exit_code in (DRAINED, TRANSIENT)


class Termination(Struct, frozen=True, kw_only=True):
    """What the termination log holds.

    Attributes:
        outcome: As in `session.finished`.
        reason: Why.
        resumable: Whether a next process can go on.
        last_acked: The last event that the gateway has committed, or null.
        cost: In US dollars, or null.
    """

    outcome: Outcome
    reason: str
    resumable: bool
    last_acked: int | None
    cost: float | None


def write_termination_log(path: Path, termination: Termination) -> bool:
    """Write the object where it can be written; False where it cannot.

    Kubernetes provides the file; nothing is created next to devices, so that a laptop's `/dev`
    stays as it is.
    """
    if not path.exists() and path.parent == Path("/dev"):
        return False
    try:
        path.write_bytes(msgspec.json.encode(termination))
    except OSError:
        return False
    return True
