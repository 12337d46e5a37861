"""The agent's plan, from the tools by which it keeps one: pure.

Newer models keep tasks (`TaskCreate`, `TaskUpdate`), older ones write a whole list (`TodoWrite`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from runner_shell import events

_STATUSES: dict[str, Any] = {
    "pending": "pending",
    "in_progress": "in_progress",
    "completed": "completed",
}


class Plan:
    """Follows the plan.

    Attributes:
        entries: What the agent means to do, by id.
    """

    def __init__(self) -> None:
        self.entries: dict[str, events.PlanEntry] = {}
        self._creating: dict[str, str] = {}

    def called(self, call: str, name: str, input: Any) -> events.PlanUpdated | None:
        """A tool was called; the new plan if it changed it."""
        if not isinstance(input, Mapping):
            return None
        match name:
            case "TodoWrite" if isinstance(input.get("todos"), list):
                self.entries = dict(_listed(input["todos"]))
            case "TaskCreate":
                self._creating[call] = str(input.get("subject", ""))
                return None
            case "TaskUpdate" if str(input.get("taskId")) in self.entries:
                self._update(str(input["taskId"]), input)
            case _:
                return None
        return self._updated()

    def returned(self, call: str, result: Any) -> events.PlanUpdated | None:
        """A tool returned: what was to be created has its id now."""
        text = self._creating.pop(call, None)
        match result:
            case {"task": {"id": id}} if text is not None:
                self.entries[str(id)] = events.PlanEntry(id=str(id), text=text)
                return self._updated()
        return None

    def _update(self, id: str, input: Mapping[str, Any]) -> None:
        status = str(input.get("status", ""))
        if status == "deleted":
            del self.entries[id]
            return
        entry = self.entries[id]
        self.entries[id] = replace(
            entry,
            text=str(input.get("subject") or entry.text),
            status=_STATUSES.get(status, entry.status),
        )

    def _updated(self) -> events.PlanUpdated:
        return events.PlanUpdated(entries=tuple(self.entries.values()))


def _listed(todos: list[Any]) -> list[tuple[str, events.PlanEntry]]:
    return [
        (
            str(place),
            events.PlanEntry(
                text=str(todo.get("content", "")),
                status=_STATUSES.get(str(todo.get("status")), "pending"),
            ),
        )
        for place, todo in enumerate(todos)
        if isinstance(todo, Mapping)
    ]
