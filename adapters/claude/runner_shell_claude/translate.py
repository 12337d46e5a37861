"""The CLI's frames as events: pure, a frame in, events out; it reads no clock and knows no turn.

Rooms beside it: `messages` (blocks), `tasks` (sub-agents and background work), `plan`, `notices`
(all that belongs to no message). A frame without a place becomes `custom`; none is dropped but for
those that say what another event says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from runner_shell import events

from . import tools
from .messages import Messages
from .notices import notice
from .plan import Plan
from .sdk import Frame
from .tasks import Tasks

Events = Iterator[events.Event]

_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})

_SAID_BY_OTHERS = frozenset({"command_lifecycle", "keep_alive"})
"""Frames that the turn itself is made of: what was taken up."""

_CANCELLED = frozenset({"cancelled", "interrupted", "user-rejected"})
"""Why a tool did not run its course, where nobody refused it."""


class Call(msgspec.Struct):
    """A tool call that is open.

    Attributes:
        name: The tool.
        scope: Where it was called.
        input: Its arguments.
        started: RFC 3339 time of its start, or empty.
    """

    name: str
    scope: events.Scope = ()
    input: Any = None
    started: str = ""


class Translator:
    """Turns the frames of one session into events, over its turns.

    Args:
        open_calls: Tool calls that an earlier process left open over a `waiting` end.

    Attributes:
        calls: The tool calls that are open, by id.
    """

    def __init__(self, open_calls: Mapping[str, events.Scope] | None = None) -> None:
        self.calls = {call: Call("", scope) for call, scope in (open_calls or {}).items()}
        self._scopes: dict[str, events.Scope] = {}
        self._messages = Messages()
        self._plan = Plan()
        self._tasks = Tasks(self._scope_of_call)
        self._init: events.Event | None = None

    def receive(self, frame: Frame) -> Events:
        """The events of one frame, in order."""
        scope = self._scope(frame)
        match frame:
            case {"type": "stream_event", "event": Mapping() as event}:
                abandoned = bool(frame.get("abandoned_blocks"))
                yield from self._messages.stream(event, scope, abandoned=abandoned)
            case {"type": "assistant", "message": Mapping() as message}:
                yield from self._assistant(message, frame, scope)
            case {"type": "user", "message": Mapping() as message}:
                yield from self._user(message, frame, scope)
            case {"type": "system", "subtype": str(subtype)} if subtype.startswith("task_"):
                yield from self._task(frame)
            case {"type": "result"}:
                yield from self._messages.close_whole(())
            case {"type": str(kind)} if kind in _SAID_BY_OTHERS:
                return
            case _:
                yield from self._notice(frame, scope)

    def running_tasks(self) -> list[str]:
        """The sub-agents and background tasks that run, as the CLI knows them."""
        return self._tasks.running()

    def close(self, *, cancelled: bool = False, keep_calls: bool = False) -> Events:
        """End what a turn left open.

        Args:
            cancelled: The turn did not run its course.
            keep_calls: The turn ends `waiting`: its calls stay open.
        """
        yield from self._messages.close_all(cancelled=cancelled)
        if not keep_calls:
            for id, call in list(self.calls.items()):
                del self.calls[id]
                yield events.ToolFinished(call=id, status="cancelled", scope=call.scope)
        yield from self._tasks.close_all(cancelled=cancelled)

    # --- frames ------------------------------------------------------------------------------

    def _assistant(self, message: Mapping[str, Any], frame: Frame, scope: events.Scope) -> Events:
        for block in _blocks(message.get("content")):
            yield from self._messages.whole(message, block, scope)
            kind = str(block.get("type"))
            if kind in _CALLS:
                yield from self._start(block, frame, scope)
            elif kind.endswith("tool_result"):
                yield from self._finish(block, frame, scope)
        if frame.get("aborted"):
            yield from self._messages.close(scope, cancelled=True)

    def _user(self, message: Mapping[str, Any], frame: Frame, scope: events.Scope) -> Events:
        """Results of tools, and what the CLI puts into the conversation by itself."""
        if frame.get("isReplay"):
            return  # what we sent
        said = []
        for block in _blocks(message.get("content")):
            if str(block.get("type")).endswith("tool_result"):
                yield from self._finish(block, frame, scope)
            else:
                said.append(block)
        if said:
            id = str(frame.get("uuid") or "user")
            yield from self._messages.said(id, said, scope, role="user")

    def _task(self, frame: Frame) -> Events:
        for event in self._tasks.receive(frame):
            if isinstance(event, events.StepFinished):
                yield from self._messages.close_whole((*event.scope, event.id))
            yield event

    def _notice(self, frame: Frame, scope: events.Scope) -> Events:
        if frame.get("type") == "system" and frame.get("subtype") == "api_retry":
            # The message that was cut comes again from its beginning.
            yield from self._messages.close(scope, cancelled=True)
        found = notice(frame, scope)
        if isinstance(found, events.Custom) and found.name == "claude.init":
            if found == self._init:
                return  # every turn begins with it
            self._init = found
        if found is not None:
            yield found

    # --- tools -------------------------------------------------------------------------------

    def _start(self, block: Mapping[str, Any], frame: Frame, scope: events.Scope) -> Events:
        id, name = str(block.get("id", "")), str(block.get("name", ""))
        self._scopes[id] = scope
        if id in self.calls:
            return
        input = block.get("input")
        self.calls[id] = Call(name, scope, input, str(frame.get("timestamp") or ""))
        yield events.ToolStarted(
            call=id,
            name=name,
            kind=tools.kind(name),
            title=tools.title(name, input),
            input=input,
            scope=scope,
        )
        if not scope and (plan := self._plan.called(id, name, input)) is not None:
            yield plan

    def _finish(self, block: Mapping[str, Any], frame: Frame, scope: events.Scope) -> Events:
        id = str(block.get("tool_use_id", ""))
        call = self.calls.pop(id, None)
        if call is None:  # of a call that nobody here saw begin
            yield events.Custom(name="claude.tool_result", data=dict(block), scope=scope)
            return
        yield events.ToolFinished(
            call=id,
            status=_status(block, _meta(frame, id)),
            output=_output(block.get("content")),
            duration_seconds=_seconds(call.started, frame.get("timestamp")),
            scope=call.scope,
        )
        if plan := self._plan.returned(id, frame.get("tool_use_result")):
            yield plan

    # --- scopes ------------------------------------------------------------------------------

    def _scope(self, frame: Frame) -> events.Scope:
        parent = frame.get("parent_tool_use_id")
        if not isinstance(parent, str) or frame.get("type") == "tool_progress":
            return ()
        return (*self._scope_of_call(parent), parent)

    def _scope_of_call(self, call: str) -> events.Scope:
        return self._scopes.get(call, ())


def _blocks(content: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content or () if isinstance(block, Mapping)]


def _meta(frame: Frame, call: str) -> Mapping[str, Any]:
    """What the CLI itself knows of a result: whether the tool ran, and who decided."""
    for meta in frame.get("tool_result_meta") or ():
        if isinstance(meta, Mapping) and meta.get("id") == call:
            return meta
    return {}


def _status(block: Mapping[str, Any], meta: Mapping[str, Any]) -> events.ToolStatus:
    decision = meta.get("permission_decision")
    rejected = isinstance(decision, Mapping) and decision.get("decision") == "reject"
    kind = str(meta.get("non_execution_kind") or "")
    if rejected or kind == "permission-rule" or kind.startswith("automode"):
        return "denied"
    if kind in _CANCELLED or meta.get("call_ended"):
        return "cancelled"
    return "error" if block.get("is_error") else "ok"


def _output(content: Any) -> Any:
    """Text as text; anything else as the blocks that it is."""
    if isinstance(content, list) and all(
        isinstance(block, Mapping) and block.get("type") == "text" for block in content
    ):
        return "\n".join(str(block.get("text", "")) for block in content)
    return content


def _seconds(started: str, ended: Any) -> float | None:
    if not started or not isinstance(ended, str):
        return None
    try:
        seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return None
    return max(0.0, round(seconds, 3))
