"""Sub-agents and background tasks as steps: pure.

A sub-agent's step has the id of the call that started it, which is what its messages name as their
parent; so the scope of an event is a path of steps. A task that outlives its turn stands `waiting`
at the turn's end, and is started again under its id by the first word of it in a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from runner_shell import events

from .sdk import Frame

Events = Iterator[events.Event]

_OVER = {"completed": "ok", "failed": "error", "killed": "cancelled", "stopped": "cancelled"}


class Task(msgspec.Struct):
    """A sub-agent or a background task.

    Attributes:
        start: Its step's start.
        running: Whether the step stands open.
        shown: Whether it ever did.
    """

    start: events.StepStarted
    running: bool = False
    shown: bool = False


class Tasks:
    """Follows sub-agents and tasks.

    Args:
        scope_of: The scope that a tool call was made in.
    """

    def __init__(self, scope_of: Callable[[str], events.Scope]) -> None:
        self._scope_of = scope_of
        self._tasks: dict[str, Task] = {}

    def receive(self, frame: Frame) -> Events:
        """One of the `task_…` frames."""
        id = str(frame.get("task_id", ""))
        match frame.get("subtype"):
            case "task_started":
                self._tasks[id] = Task(self._start_of(id, frame))
                # A command in the foreground is its tool's call, not a step beside it.
                if frame.get("task_type") != "local_bash" or frame.get("is_backgrounded"):
                    yield from self._run(id)
            case "task_progress" if id in self._tasks:
                yield from self._progress(id, frame)
            case "task_updated":
                patch = frame.get("patch")
                yield from self._updated(id, patch if isinstance(patch, Mapping) else {})
            case "task_notification":
                yield from self._finish(id, str(frame.get("status", "")), frame)

    def running(self) -> list[str]:
        """The ids of the tasks that run, as the CLI knows them."""
        return [id for id, task in self._tasks.items() if task.running]

    def close_all(self, *, cancelled: bool) -> Events:
        """The turn is over: what goes on without it waits for a later one."""
        for task in reversed(self._tasks.values()):
            if task.running:
                task.running = False
                status: Any = "cancelled" if cancelled else "waiting"
                yield events.StepFinished(id=task.start.id, status=status, scope=task.start.scope)
        if cancelled:
            self._tasks.clear()

    def _start_of(self, id: str, frame: Frame) -> events.StepStarted:
        call = str(frame.get("tool_use_id") or "")
        subagent = frame.get("task_type") == "local_agent" or bool(frame.get("subagent_type"))
        kind = str(frame.get("subagent_type") or frame.get("task_type") or "task")
        description = frame.get("description")
        return events.StepStarted(
            id=call if subagent and call else id,
            name=kind if subagent else str(description or kind),
            kind="subagent" if subagent else "task",
            input={"description": description, "task": id},
            scope=self._scope_of(call),
        )

    def _run(self, id: str) -> Events:
        task = self._tasks[id]
        if not task.running:
            task.running = task.shown = True
            yield task.start

    def _progress(self, id: str, frame: Frame) -> Events:
        yield from self._run(id)
        start = self._tasks[id].start
        text = str(frame.get("description") or frame.get("last_tool_name") or "")
        yield events.StepProgress(id=start.id, text=text, scope=start.scope)

    def _updated(self, id: str, patch: Mapping[str, Any]) -> Events:
        if id not in self._tasks:
            return
        if patch.get("is_backgrounded"):
            yield from self._run(id)
        if (status := str(patch.get("status", ""))) in _OVER:
            yield from self._finish(id, status, patch)

    def _finish(self, id: str, status: str, said: Mapping[str, Any]) -> Events:
        """Its end comes by an update, by a notification, or by both: the first counts."""
        if id not in self._tasks:
            return
        if self._tasks[id].shown:
            yield from self._run(id)
        task = self._tasks.pop(id)
        if not task.running:
            return  # a command in the foreground: its tool's call says it
        outcome: Any = _OVER.get(status, "ok")
        error = str(said.get("error") or said.get("summary") or status)
        yield events.StepFinished(
            id=task.start.id,
            status=outcome,
            error=error if outcome == "error" else "",
            scope=task.start.scope,
        )
