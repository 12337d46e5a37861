"""What a runner's connection has around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ...protocol.frames import Hello
from ..store import EventRow, SessionKey, Store
from .errands import Errands
from .intake import Intake
from .rounds import Rounds
from .welcome import Admission

if TYPE_CHECKING:
    from .connection import RunnerConnection


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a runner's hello was not taken.

    Attributes:
        code: The close code.
        reason: For a person.
    """

    code: int
    reason: str


class Home(Protocol):
    """Where a connection belongs: the live session."""

    @property
    def key(self) -> SessionKey:
        """The session's key."""

    async def admit(self, connection: RunnerConnection, hello: Hello) -> Admission | Refusal:
        """Take a runner in, and fence the one before."""

    def leave(self, connection: RunnerConnection) -> None:
        """Forget a connection that is over."""

    def publish(self, rows: Sequence[EventRow]) -> None:
        """Hand committed events to whoever listens."""

    async def wind_down(self, epoch: int, reason: str) -> None:
        """Have the process stop in order, because a quota is used up."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What all connections of a gateway share.

    Attributes:
        store: Where commands come from.
        intake: Where events go.
        errands: Runs what has to wait.
        rounds: Calls again when it is time.
        clock: Monotonic seconds.
    """

    store: Store
    intake: Intake
    errands: Errands
    rounds: Rounds
    clock: Callable[[], float]
