"""What a turn used, as the difference of the CLI's cumulative counts: pure.

A result's `usage` is the main thread's alone, and a message's `usage` is that of its start; only
`modelUsage` and `total_cost_usd` count everything, sub-agents included. They are cumulative for the
session, go on over resume and fork, and begin anew when the conversation is reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runner_shell import events

from .sdk import Frame


class Total(msgspec.Struct, frozen=True):
    """A session's cumulative counts.

    Attributes:
        by_model: Of each model, by its name.
        cost_usd: The cost of all.
    """

    by_model: dict[str, events.Usage] = {}
    cost_usd: float = 0.0


class Meter:
    """Counts a turn from a baseline.

    Args:
        total: Where the session stands already, from an earlier turn or process.
    """

    def __init__(self, total: Total | None = None) -> None:
        self.total = total or Total()
        self._base = self.total
        self._before = Total()

    def begin(self) -> None:
        """A turn begins: what is counted from here on is its own."""
        self._base = self.total

    def reset(self) -> None:
        """The conversation was reset, and the CLI counts from nothing."""
        self._base = _minus(Total(), self.turn)
        self.total = self._before = Total()

    def count_anew(self) -> None:
        """A CLI begins that knows nothing of what the session used before it."""
        self._before = self.total

    def receive(self, result: Frame) -> bool:
        """Take a result's counts; False where it has none."""
        models = result.get("modelUsage")
        if not isinstance(models, Mapping) or not models:
            return False
        cost = result.get("total_cost_usd")
        before = self._before
        counted = Total(
            {str(name): _of_model(counts) for name, counts in models.items()},
            float(cost) if isinstance(cost, int | float) else self.total.cost_usd - before.cost_usd,
        )
        self.total = _minus(counted, _minus(Total(), before)) if before.by_model else counted
        return True

    @property
    def turn(self) -> Total:
        """What the turn used so far."""
        return _minus(self.total, self._base)

    @property
    def usage(self) -> events.Usage:
        """The turn's usage as one sum."""
        return summed(self.turn)

    def event(self) -> events.UsageUpdated:
        """What to say of it."""
        turn = self.turn
        return events.UsageUpdated(
            turn_usage=summed(turn),
            session_usage=summed(self.total),
            by_model={name: used for name, used in turn.by_model.items() if _any(used)},
            cost_usd=self.total.cost_usd,
        )


def summed(total: Total) -> events.Usage:
    """All models' usage, with the cost of all."""
    counts = total.by_model.values()
    return events.Usage(
        input_tokens=sum(used.input_tokens for used in counts),
        output_tokens=sum(used.output_tokens for used in counts),
        cache_read_tokens=sum(used.cache_read_tokens for used in counts),
        cache_write_tokens=sum(used.cache_write_tokens for used in counts),
        cost_usd=_rounded(total.cost_usd),
    )


def of_message(usage: Any) -> events.Usage | None:
    """The API's own count of one message."""
    if not isinstance(usage, Mapping):
        return None
    read, written = (
        _int(usage, "cache_read_input_tokens"),
        _int(usage, "cache_creation_input_tokens"),
    )
    return events.Usage(
        input_tokens=_int(usage, "input_tokens") + read + written,
        output_tokens=_int(usage, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _of_model(counts: Mapping[str, Any]) -> events.Usage:
    read, written = _int(counts, "cacheReadInputTokens"), _int(counts, "cacheCreationInputTokens")
    cost = counts.get("costUSD")
    return events.Usage(
        input_tokens=_int(counts, "inputTokens") + read + written,
        output_tokens=_int(counts, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _minus(total: Total, base: Total) -> Total:
    names = total.by_model.keys() | base.by_model.keys()
    by_model = {
        name: _difference(
            total.by_model.get(name, events.Usage()), base.by_model.get(name, events.Usage())
        )
        for name in sorted(names)
    }
    return Total(by_model, total.cost_usd - base.cost_usd)


def _difference(one: events.Usage, other: events.Usage) -> events.Usage:
    return events.Usage(
        input_tokens=one.input_tokens - other.input_tokens,
        output_tokens=one.output_tokens - other.output_tokens,
        cache_read_tokens=one.cache_read_tokens - other.cache_read_tokens,
        cache_write_tokens=one.cache_write_tokens - other.cache_write_tokens,
        cost_usd=_rounded((one.cost_usd or 0.0) - (other.cost_usd or 0.0)),
    )


def _any(used: events.Usage) -> bool:
    return bool(used.input_tokens or used.output_tokens or used.cost_usd)


def _rounded(cost: float) -> float:
    return round(cost, 9)  # differences of floats: the API's own prices have no more places


def _int(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) else 0
