"""A graph's state as events: snapshots, and what changed between them as patches. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from runner_shell import events

from .values import as_json

Operation = dict[str, events.JSON]


class StateFeed:
    """Turns the `values` parts of one turn into `state.snapshot` and `state.patch`.

    The first state of a graph or sub-graph is a snapshot, each later one a patch. The turn's end
    says the whole graph's state once more, so that a reader of snapshots alone is right.

    Args:
        mode: `auto` leaves a graph's state out from where it grows beyond `max_bytes`.
        max_bytes: The size of a state or a patch as JSON.
    """

    def __init__(self, mode: Literal["off", "auto", "on"], max_bytes: int) -> None:
        self._mode = mode
        self._max_bytes = max_bytes
        self._last: dict[events.Scope, events.JSON] = {}
        self._too_large: set[events.Scope] = set()
        self._patched = False

    def receive(self, scope: events.Scope, values: Any) -> Iterator[events.Event]:
        """Take in the full state of the graph at this scope."""
        if self._mode == "off" or scope in self._too_large:
            return
        state = as_json(values)
        if not self._fits(state):
            self._too_large.add(scope)
        elif scope not in self._last:
            self._last[scope] = state
            yield events.StateSnapshot(state=state, scope=scope)
        elif patch := tuple(diff(self._last[scope], state)):
            self._last[scope] = state
            self._patched = self._patched or scope == ()
            yield events.StatePatch(patch=patch, scope=scope)

    def close(self) -> Iterator[events.Event]:
        """The turn is over."""
        if self._patched and () not in self._too_large:
            yield events.StateSnapshot(state=self._last[()])
        self._last.clear()
        self._patched = False

    def _fits(self, state: events.JSON) -> bool:
        return self._mode == "on" or len(msgspec.json.encode(state)) <= self._max_bytes


def diff(old: events.JSON, new: events.JSON, path: str = "") -> Iterator[Operation]:
    """The operations that make `new` of `old`.

    Lists are compared place by place, because a state's lists grow at their end.

    Source: RFC 6902, JSON Patch; RFC 6901, JSON Pointer.
    """
    match old, new:
        case dict(), dict():
            for key in old.keys() - new.keys():
                yield {"op": "remove", "path": _pointer(path, key)}
            for key, value in new.items():
                if key in old:
                    yield from diff(old[key], value, _pointer(path, key))
                else:
                    yield {"op": "add", "path": _pointer(path, key), "value": value}
        case list(), list():
            for place, (before, after) in enumerate(zip(old, new, strict=False)):
                yield from diff(before, after, f"{path}/{place}")
            for place in range(len(old) - 1, len(new) - 1, -1):
                yield {"op": "remove", "path": f"{path}/{place}"}
            for value in new[len(old) :]:
                yield {"op": "add", "path": f"{path}/-", "value": value}
        case _ if type(old) is not type(new) or old != new:
            yield {"op": "replace", "path": path, "value": new}


def _pointer(path: str, key: str) -> str:
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
