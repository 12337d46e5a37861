"""From a graph's stream to events; the one module where the framework's untyped values live.

A `Translator` is pure: parts in, events out. It keeps the book of what is open, so that whatever
starts ends exactly once, inner before outer, however the run ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
)
from langgraph.types import Command

from runner_shell import events

from .nodes import is_shells, step_id
from .pieces import Piece, pieces
from .states import StateFeed
from .values import added, as_json, clean, compact, error_text, usage_of

Events: TypeAlias = Iterator[events.Event]

STREAM_MODES = ("messages", "tools", "tasks", "custom", "checkpoints", "values")


@dataclass
class _OpenBlock:
    index: int
    kind: events.BlockKind
    call: str = ""


@dataclass
class _OpenMessage:
    """A message in the making.

    Attributes:
        step: The step whose node writes it.
        blocks: Open blocks by the key of the pieces that go there.
        count: How many blocks it has so far.
    """

    id: str
    scope: events.Scope
    step: str
    blocks: dict[str, _OpenBlock] = field(default_factory=dict)
    count: int = 0
    usage: events.Usage | None = None


@dataclass
class _Call:
    """A tool call as a model wrote it."""

    name: str
    arguments: list[str] = field(default_factory=list)

    def input(self) -> events.JSON:
        text = "".join(self.arguments)
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text


class Translator:
    """Turns the stream parts of one turn into events.

    Args:
        tools: Tools that an earlier turn left open over its `waiting` end, with their scopes.
        state: Whether states are told, as `LangGraphSettings.langgraph_state` says.
        state_max_bytes: What `auto` takes to be small.
        saved_at_once: Whether a checkpoint is written before the next superstep begins.

    Attributes:
        tools: The open tools now.
    """

    def __init__(
        self,
        tools: Mapping[str, events.Scope] | None = None,
        *,
        state: Literal["off", "auto", "on"] = "off",
        state_max_bytes: int = 0,
        saved_at_once: bool = True,
    ) -> None:
        self.tools: dict[str, events.Scope] = dict(tools or {})
        self._finished_tools: set[str] = set()
        self._calls: dict[str, _Call] = {}
        self._messages: dict[str, _OpenMessage] = {}
        self._finished_messages: set[str] = set()
        self._steps: dict[str, events.Scope] = {}
        self._finished_steps: set[str] = set()
        self._states = StateFeed(state, state_max_bytes)
        self._saved_at_once = saved_at_once
        self._unsaved: list[events.Event] = []

    def skip(self, steps: Iterable[str]) -> None:
        """Name steps that finished before: a resumed superstep announces them, runs them not."""
        self._finished_steps.update(steps)

    def receive(self, part: Mapping[str, Any]) -> list[events.Event]:
        """Take in one part of `astream(..., version="v2", subgraphs=True)`."""
        scope = scope_of(part["ns"])
        data = part["data"]
        match part["type"]:
            case "messages":
                return list(self._message(scope, data[0], data[1]))
            case "tools":
                return list(self._tool(scope, data))
            case "tasks" if "result" in data:
                return list(self._step_finished(data))
            case "tasks":
                return list(self._step_started(scope, data))
            case "custom":
                return [_custom(scope, data)]
            case "values":
                return list(self._states.receive(scope, data))
            case "checkpoints":
                return list(self._checkpoint(scope, data))
            case other:
                return [events.Custom(name=f"langgraph.{other}", data=as_json(data), scope=scope)]

    def close(self, *, ok: bool = False, keep_tools: bool = False) -> list[events.Event]:
        """End everything that is open.

        Args:
            ok: The run ended well; else what is open was cut short.
            keep_tools: Leave tools open: they stand at a question.
        """
        return [*self._close(lambda _: True, ok=ok, keep_tools=keep_tools), *self._saved(ok)]

    def finish(self, *, keep_tools: bool = False) -> list[events.Event]:
        """End what is open because the turn is over."""
        return [*self.close(keep_tools=keep_tools), *self._states.close()]

    # --- messages ----------------------------------------------------------------------------

    def _message(
        self,
        scope: events.Scope,
        given: BaseMessage | Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Events:
        message = given if isinstance(given, BaseMessage) else _from_server(given)
        if isinstance(message, ToolMessage):
            yield from self._tool_message(scope, message)
            return
        id = message.id or ""
        if isinstance(message, RemoveMessage) or id in self._finished_messages:
            return
        if id not in self._messages:
            step = step_id(str(metadata.get("langgraph_checkpoint_ns", "")).rpartition("|")[2])
            self._messages[id] = _OpenMessage(id=id, scope=scope, step=step)
            model = str(metadata.get("ls_model_name") or "")
            yield events.MessageStarted(id=id, role=_role(message), model=model, scope=scope)
        opened = self._messages[id]
        for piece in pieces(message):
            yield from self._write(opened, piece)
        if isinstance(message, AIMessage):
            opened.usage = added(opened.usage, usage_of(message))
        if not isinstance(message, AIMessageChunk) or message.chunk_position == "last":
            yield from self._finish_message(opened, ok=True)

    def _write(self, message: _OpenMessage, piece: Piece) -> Events:
        block = message.blocks.get(piece.key)
        if block is None:
            # Arguments of parallel calls may come in turns; nothing else does.
            yield from self._finish_blocks(message, keep_calls=piece.kind == "tool_input")
            block = _OpenBlock(index=message.count, kind=piece.kind, call=piece.call)
            message.count += 1
            message.blocks[piece.key] = block
            yield events.BlockStarted(
                message=message.id,
                index=block.index,
                kind=piece.kind,
                call=piece.call,
                scope=message.scope,
            )
        if block.call:
            self._calls.setdefault(block.call, _Call(piece.name)).arguments.append(piece.text)
        if piece.text:
            yield events.BlockDelta(
                message=message.id, index=block.index, text=piece.text, scope=message.scope
            )
        if piece.content is not None:
            del message.blocks[piece.key]
            yield events.BlockFinished(
                message=message.id, index=block.index, content=piece.content, scope=message.scope
            )

    def _finish_blocks(
        self, message: _OpenMessage, *, ok: bool = True, keep_calls: bool = False
    ) -> Events:
        for key, block in list(message.blocks.items()):
            if keep_calls and block.kind == "tool_input":
                continue
            del message.blocks[key]
            yield events.BlockFinished(
                message=message.id, index=block.index, status=_status(ok), scope=message.scope
            )

    def _finish_message(self, message: _OpenMessage, *, ok: bool) -> Events:
        yield from self._finish_blocks(message, ok=ok)
        del self._messages[message.id]
        self._finished_messages.add(message.id)
        yield events.MessageFinished(
            id=message.id, usage=message.usage, status=_status(ok), scope=message.scope
        )

    # --- tools -------------------------------------------------------------------------------

    def _tool(self, scope: events.Scope, data: Mapping[str, Any]) -> Events:
        call = str(data["tool_call_id"])
        match data["event"]:
            case "tool-started":
                # A tool that stood at a question runs again under the same id, and is still open.
                if call not in self.tools:
                    self.tools[call] = scope
                    name, given = str(data["tool_name"]), as_json(data.get("input"))
                    yield events.ToolStarted(call=call, name=name, input=given, scope=scope)
            case "tool-output-delta":
                delta = as_json(data.get("delta"))
                text = delta if isinstance(delta, str) else compact(delta)
                yield events.ToolOutput(call=call, text=text, scope=scope)
            case "tool-finished":
                yield from self._finish_tool(call, *_tool_result(data.get("output")))
            case "tool-error":
                yield from self._finish_tool(call, "error", clean(str(data.get("message", ""))))

    def _finish_tool(self, call: str, status: events.ToolStatus, output: events.JSON) -> Events:
        if call in self.tools:
            self._finished_tools.add(call)
            yield events.ToolFinished(
                call=call, status=status, output=output, scope=self.tools.pop(call)
            )

    def _tool_message(self, scope: events.Scope, message: ToolMessage) -> Events:
        """A node that runs tools by hand leaves no other trace of a call than its result."""
        call = message.tool_call_id
        if call in self._finished_tools:
            return
        if call not in self.tools:
            written = self._calls.get(call, _Call(""))
            self.tools[call] = scope
            name = message.name or written.name
            yield events.ToolStarted(call=call, name=name, input=written.input(), scope=scope)
        yield from self._finish_tool(call, *_tool_result(message))

    # --- steps -------------------------------------------------------------------------------

    def _step_started(self, scope: events.Scope, data: Mapping[str, Any]) -> Events:
        id = str(data["id"])
        if id not in self._steps and id not in self._finished_steps:
            self._steps[id] = scope
            yield events.StepStarted(id=id, name=str(data["name"]), scope=scope)

    def _step_finished(self, data: Mapping[str, Any]) -> Events:
        id, error = str(data["id"]), data.get("error")
        if id not in self._steps:
            return
        waiting = bool(data.get("interrupts"))
        yield from self._close(
            lambda scope: id in scope, step=id, ok=error is None, keep_tools=waiting
        )
        scope = self._steps.pop(id)
        if waiting:
            yield events.StepFinished(id=id, status="waiting", scope=scope)
        elif error is not None:
            yield events.StepFinished(id=id, status="error", error=error_text(error), scope=scope)
        else:
            self._finished_steps.add(id)
            yield events.StepFinished(id=id, scope=scope)

    # --- checkpoints -------------------------------------------------------------------------

    def _checkpoint(self, scope: events.Scope, data: Mapping[str, Any]) -> Events:
        """Source: the part's `config` holds the run's `configurable`, secrets included."""
        if scope:  # a sub-graph's checkpoints hang on its graph's
            return
        metadata = data.get("metadata") or {}
        saved = events.CheckpointSaved(
            id=str(data["config"]["configurable"]["checkpoint_id"]),
            step=metadata.get("step"),
            next=tuple(data.get("next") or ()),
        )
        self._unsaved.append(saved)
        # The input's checkpoint alone is written while the first superstep runs already.
        if self._saved_at_once and metadata.get("source") != "input":
            yield from self._saved(True)

    def _saved(self, ok: bool) -> Events:
        unsaved, self._unsaved = self._unsaved, []
        yield from unsaved if ok else ()

    # --- the book ----------------------------------------------------------------------------

    def _close(
        self, within: Callable[[events.Scope], bool], *, step: str = "", ok: bool, keep_tools: bool
    ) -> Events:
        for message in list(self._messages.values()):
            if message.step == step or within(message.scope):
                yield from self._finish_message(message, ok=ok)
        if not keep_tools:
            for call in [call for call, scope in self.tools.items() if within(scope)]:
                yield from self._finish_tool(call, "ok" if ok else "cancelled", None)
        for id in sorted(self._steps, key=lambda id: -len(self._steps[id])):  # inner ones first
            if id != step and within(self._steps[id]):
                yield events.StepFinished(id=id, status=_status(ok), scope=self._steps.pop(id))


def scope_of(namespace: Iterable[str]) -> events.Scope:
    """The path of step ids in a namespace of segments `node:id`."""
    # A bare number tells apart the sub-graphs that one node runs.
    return tuple(step_id(segment) for segment in namespace if ":" in segment)


def _from_server(message: Mapping[str, Any]) -> BaseMessage:
    [built] = messages_from_dict([{"type": message["type"], "data": dict(message)}])
    return built


def _status(ok: bool) -> Literal["ok", "cancelled"]:
    return "ok" if ok else "cancelled"


def _role(message: BaseMessage) -> Literal["assistant", "user", "system"]:
    match message:
        case HumanMessage():
            return "user"
        case SystemMessage():
            return "system"
        case _:
            return "assistant"


def _custom(scope: events.Scope, data: Any) -> events.Event:
    if not isinstance(data, events.Event) or is_shells(data):
        return events.Custom(name="langgraph.custom", data=as_json(data), scope=scope)
    return data if data.scope else msgspec.structs.replace(data, scope=scope)


def _tool_result(output: Any) -> tuple[events.ToolStatus, events.JSON]:
    if isinstance(output, Command):
        return "ok", as_json(output.update)
    if isinstance(output, ToolMessage):
        return ("error" if output.status == "error" else "ok"), as_json(output.content)
    return "ok", as_json(output)
