"""Every error the library raises, in one tree.

RunnerError
├── you erred
│   ├── ConfigurationError      a setting, option or token is wrong: exit code 2
│   ├── LocalProtocolError      a call that the link's state does not allow
│   └── TurnOver                an event emitted after its turn's ending
├── they erred
│   ├── RemoteProtocolError     the peer broke the protocol; nothing is retried
│   │   └── LimitExceeded       a frame over a limit of size, depth or parts
│   └── Refused                 the peer said no, and whether to dial again
│       └── RequestRefused      a request's answer was a problem, with the gateway's code for it
├── it broke
│   ├── TransportBroken         the connection was lost; dial again
│   ├── JournalBroken           what must be kept cannot be written, or cannot be read any more
│   └── SessionLost             a session's runner is gone and said no ending
├── you closed it
│   └── TransportClosed         used after close
└── the agent failed
    ├── AgentFailed             raise it in a turn to name code and retryability
    ├── CommandRefused          a runner's reply to a command is `command.failed`
    └── NotSupported            a command the adapter lacks
"""

from __future__ import annotations

__all__ = [
    "AgentFailed",
    "CommandRefused",
    "ConfigurationError",
    "JournalBroken",
    "LimitExceeded",
    "LocalProtocolError",
    "NotSupported",
    "Refused",
    "RemoteProtocolError",
    "RequestRefused",
    "RunnerError",
    "SessionLost",
    "TransportBroken",
    "TransportClosed",
    "TurnOver",
]


class RunnerError(Exception):
    """The root: catch it to catch everything this library raises on purpose."""


class ConfigurationError(RunnerError):
    """One or more settings are wrong. Each problem says what would be right.

    Args:
        problems: One sentence each, secrets already replaced.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: tuple[str, ...] = problems
        super().__init__("; ".join(problems))


class LocalProtocolError(RunnerError):
    """This side did what the protocol's state does not allow: a bug in the caller."""


class TurnOver(RunnerError):
    """The turn has its ending already; nothing can be added to it."""


class RemoteProtocolError(RunnerError):
    """The peer broke the protocol. The link is FAILED and nothing is retried."""


class LimitExceeded(RemoteProtocolError):
    """The peer sent more than a limit of size, depth or parts allows."""


class Refused(RunnerError):
    """The peer refused the connection.

    Args:
        reason: What the peer said, secrets already replaced.
        final: True where dialling again cannot help.
        code: The HTTP status or WebSocket close code.
        retry_after_seconds: How long the peer asked to wait, if it did.
    """

    def __init__(
        self, reason: str, *, final: bool, code: int, retry_after_seconds: float | None = None
    ) -> None:
        self.reason = reason
        self.final = final
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{reason} (code {code})")


class RequestRefused(Refused):
    """A gateway answered a request with a problem (RFC 9457).

    Args:
        reason: The problem's detail.
        final: True where the same request cannot succeed later.
        code: The HTTP status.
        problem: The gateway's stable word for it, such as `quota_events`; empty where it has none.
        retry_after_seconds: How long the gateway asked to wait, if it did.
    """

    def __init__(
        self,
        reason: str,
        *,
        final: bool,
        code: int,
        problem: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        self.problem = problem
        super().__init__(reason, final=final, code=code, retry_after_seconds=retry_after_seconds)


class TransportBroken(RunnerError):
    """The connection broke; what was not acknowledged is sent again after the next dial.

    Args:
        reason: What broke.
        code: The WebSocket close code, or None without one.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(reason)


class JournalBroken(RunnerError):
    """The state directory's disk is full, read-only or at fault; nothing further can be promised.

    What was kept before stays, and a next process goes on with it.
    """


class SessionLost(RunnerError):
    """The session's runner has been away for so long that the gateway calls the session lost.

    A next process may still take it up; wait again once one was started.
    """


class TransportClosed(RunnerError):
    """This side closed the connection and used it afterwards."""


class AgentFailed(RunnerError):
    """The agent failed; raise it in a turn to say how.

    Args:
        message: What happened, for a person.
        code: A stable word for programs, such as `rate_limited`.
        retryable: Whether the same input may succeed later.
    """

    def __init__(
        self, message: str, *, code: str = "agent_failed", retryable: bool = False
    ) -> None:
        self.code = code
        self.retryable = retryable
        super().__init__(message)


class CommandRefused(RunnerError):
    """The runner did not carry a command out: its reply is `command.failed`.

    Args:
        message: What happened and what to do.
        code: The reply's stable word, such as `late` or `not_supported`.
    """

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        super().__init__(message or code)


class NotSupported(RunnerError):
    """The adapter lacks what a command asks for; the reply is `command.failed{not_supported}`."""
