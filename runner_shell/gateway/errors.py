"""What the gateway says no to.

RunnerError
└── GatewayError
    ├── you erred: ForbiddenError, UnknownSessionError, UnknownCommandError, SessionExistsError,
    │              CommandConflictError, InvalidInputError, NotConnectedError, QuotaError,
    │              DrainingError
    ├── it is gone: SessionDeletedError
    ├── a newer process holds the session: StaleEpochError
    ├── a listener was too slow: TooSlowError
    └── it broke: StoreError
RemoteProtocolError
└── NumberGapError
"""

from __future__ import annotations

from ..errors import RemoteProtocolError, RunnerError


class GatewayError(RunnerError):
    """The root of what the gateway refuses or fails to do."""


class ForbiddenError(GatewayError):
    """The principal's role or session does not allow this."""


class UnknownSessionError(GatewayError):
    """No such session in the principal's tenant."""


class UnknownCommandError(GatewayError):
    """The session has no command with this id."""


class SessionDeletedError(GatewayError):
    """The session was deleted while someone listened to it."""


class CommandConflictError(GatewayError):
    """The id was used before, for a command with other content."""


class QuotaError(GatewayError):
    """The tenant or the session has used up what it may."""


class SessionExistsError(GatewayError):
    """The tenant has a session with this id already."""


class InvalidInputError(GatewayError):
    """A command or an argument is wrong; the message says which."""


class NotConnectedError(GatewayError):
    """What cannot be stored needs a connected runner, and there is none."""


class DrainingError(GatewayError):
    """The gateway is going; dial again, perhaps another one answers."""


class StaleEpochError(GatewayError):
    """A newer process holds the session: nothing of this one is taken any more."""


class TooSlowError(GatewayError):
    """A listener fell too far behind and was cut off; read the store, then listen again."""


class StoreError(GatewayError):
    """The store failed; what was asked for did not happen, or is not known to have."""


class NumberGapError(RemoteProtocolError):
    """An event came whose number is not the next one."""
