"""How durations, usage, options and values are said to a person."""

from __future__ import annotations

import json
from datetime import datetime

from ..protocol.events import JSON, Usage

SHORT = 300
"""More characters of a value are never shown; a terminal cuts it off at its own width."""


def seconds_between(start: str, end: str) -> float | None:
    """Seconds from one RFC 3339 time to another; None for another runner's idea of a time."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def duration(seconds: float) -> str:
    """Such as `0.3 s`, `4 min 10 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def usage(used: Usage | None, cost_usd: float | None) -> list[str]:
    """Tokens and cost, as far as they are known."""
    said = []
    if used is not None:
        tokens = f"{used.input_tokens:,} + {used.output_tokens:,} tokens"
        cached = f" ({used.cache_read_tokens:,} cached)" if used.cache_read_tokens else ""
        said.append(tokens + cached)
        cost_usd = used.cost_usd if cost_usd is None else cost_usd
    if cost_usd is not None:
        said.append(f"${cost_usd:.4f}")
    return said


def label(option: JSON) -> str:
    """An option as it is shown."""
    if isinstance(option, dict):
        return str(option.get("label", option.get("value", option)))
    return short(option)


def short(value: JSON) -> str:
    """A value in one line, cut off."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text[: 2 * SHORT].split())
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
