"""The states of both sides and every transition, in one table each.

The docs draw their diagrams from these tables; a trigger that is not in the table is an error.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from ..errors import LocalProtocolError


class RunnerState(Enum):
    """Where a runner's link stands."""

    AWAY = "away"
    """No connection; events are numbered and kept once the first welcome came."""
    GREETING = "greeting"
    """Connected, `hello` is on its way, no `welcome` yet."""
    OPEN = "open"
    """Events, commands and acknowledgements flow."""
    REFUSED = "refused"
    """The gateway said no for good, or a newer runner took the session over."""
    FAILED = "failed"
    """The gateway broke the protocol."""
    CLOSED = "closed"
    """The runner is done."""


class RunnerTrigger(Enum):
    """What moves a runner's link."""

    CONNECTED = "connected"
    WELCOMED = "welcome received"
    LOST = "connection lost or silent"
    REFUSED = "final refusal or close code 4000–4099"
    BROKEN = "gateway broke the protocol"
    CLOSED = "runner is done"


class GatewayState(Enum):
    """Where a gateway's link stands; it lives as long as one connection."""

    AWAITING_HELLO = "awaiting hello"
    """Connected; anything but `hello` is an error."""
    DECIDING = "deciding"
    """`hello` is read; the gateway looks up the session and its epoch."""
    OPEN = "open"
    """Events, commands and acknowledgements flow."""
    CLOSED = "closed"
    """Over: refused, superseded, silent, broken or done."""


class GatewayTrigger(Enum):
    """What moves a gateway's link."""

    HELLO = "hello received"
    WELCOMED = "welcome sent"
    CLOSED = "refused, superseded, silent, broken or done"


RUNNER_TABLE: dict[tuple[RunnerState, RunnerTrigger], RunnerState] = {
    (RunnerState.AWAY, RunnerTrigger.CONNECTED): RunnerState.GREETING,
    (RunnerState.AWAY, RunnerTrigger.REFUSED): RunnerState.REFUSED,
    (RunnerState.AWAY, RunnerTrigger.CLOSED): RunnerState.CLOSED,
    (RunnerState.GREETING, RunnerTrigger.WELCOMED): RunnerState.OPEN,
    (RunnerState.GREETING, RunnerTrigger.LOST): RunnerState.AWAY,
    (RunnerState.GREETING, RunnerTrigger.REFUSED): RunnerState.REFUSED,
    (RunnerState.GREETING, RunnerTrigger.BROKEN): RunnerState.FAILED,
    (RunnerState.GREETING, RunnerTrigger.CLOSED): RunnerState.CLOSED,
    (RunnerState.OPEN, RunnerTrigger.LOST): RunnerState.AWAY,
    (RunnerState.OPEN, RunnerTrigger.REFUSED): RunnerState.REFUSED,
    (RunnerState.OPEN, RunnerTrigger.BROKEN): RunnerState.FAILED,
    (RunnerState.OPEN, RunnerTrigger.CLOSED): RunnerState.CLOSED,
}

GATEWAY_TABLE: dict[tuple[GatewayState, GatewayTrigger], GatewayState] = {
    (GatewayState.AWAITING_HELLO, GatewayTrigger.HELLO): GatewayState.DECIDING,
    (GatewayState.AWAITING_HELLO, GatewayTrigger.CLOSED): GatewayState.CLOSED,
    (GatewayState.DECIDING, GatewayTrigger.WELCOMED): GatewayState.OPEN,
    (GatewayState.DECIDING, GatewayTrigger.CLOSED): GatewayState.CLOSED,
    (GatewayState.OPEN, GatewayTrigger.CLOSED): GatewayState.CLOSED,
}

S = TypeVar("S", bound=Enum)
T = TypeVar("T", bound=Enum)


def follow(table: dict[tuple[S, T], S], state: S, trigger: T) -> S:
    """The state after `trigger`.

    Raises:
        LocalProtocolError: The table has no such transition.
    """
    try:
        return table[state, trigger]
    except KeyError:
        raise LocalProtocolError(f"{trigger.value!r} while the link is {state.value!r}") from None
