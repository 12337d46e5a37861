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
)
from langgraph.types import Command
from pydantic import BaseModel

from runner_shell import events

from .nodes import is_shells, step_id

Events: TypeAlias = Iterator[events.Event]

STREAM_MODES = ("messages", "tools", "tasks", "custom")


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


@dataclass(frozen=True)
class _Piece:
    """A bit of a message's content; every provider cuts it in its own way.

    Attributes:
        key: Pieces with the same key go to the same block while it is open.
        content: The whole block, for one that has no text.
    """

    key: str
    kind: events.BlockKind
    text: str = ""
    call: str = ""
    name: str = ""
    content: events.JSON = None


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

    Attributes:
        tools: The open tools now.
    """

    def __init__(self, tools: Mapping[str, events.Scope] | None = None) -> None:
        self.tools: dict[str, events.Scope] = dict(tools or {})
        self._finished_tools: set[str] = set()
        self._calls: dict[str, _Call] = {}
        self._messages: dict[str, _OpenMessage] = {}
        self._finished_messages: set[str] = set()
        self._steps: dict[str, events.Scope] = {}
        self._finished_steps: set[str] = set()

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
            case other:
                return [events.Custom(name=f"langgraph.{other}", data=as_json(data), scope=scope)]

    def close(self, *, ok: bool = False, keep_tools: bool = False) -> list[events.Event]:
        """End everything that is open.

        Args:
            ok: The run ended well; else what is open was cut short.
            keep_tools: Leave tools open: they stand at a question.
        """
        return list(self._close(lambda _: True, ok=ok, keep_tools=keep_tools))

    # --- messages ----------------------------------------------------------------------------

    def _message(
        self, scope: events.Scope, message: BaseMessage, metadata: Mapping[str, Any]
    ) -> Events:
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
        for piece in _pieces(message):
            yield from self._write(opened, piece)
        if isinstance(message, AIMessage):
            opened.usage = added(opened.usage, usage_of(message))
        if not isinstance(message, AIMessageChunk) or message.chunk_position == "last":
            yield from self._finish_message(opened, ok=True)

    def _write(self, message: _OpenMessage, piece: _Piece) -> Events:
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
                text = delta if isinstance(delta, str) else _compact(delta)
                yield events.ToolOutput(call=call, text=text, scope=scope)
            case "tool-finished":
                yield from self._finish_tool(call, *_tool_result(data.get("output")))
            case "tool-error":
                yield from self._finish_tool(call, "error", _text(str(data.get("message", ""))))

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


# --- reading the framework's values ----------------------------------------------------------


def scope_of(namespace: Iterable[str]) -> events.Scope:
    """The path of step ids in a namespace of segments `node:id`."""
    # A bare number tells apart the sub-graphs that one node runs.
    return tuple(step_id(segment) for segment in namespace if ":" in segment)


def usage_of(message: AIMessage) -> events.Usage | None:
    """What a message, or a chunk of one, says it used."""
    used = message.usage_metadata
    if used is None:
        return None
    details = used.get("input_token_details") or {}
    return events.Usage(
        input_tokens=used["input_tokens"] or 0,
        output_tokens=used["output_tokens"] or 0,
        cache_read_tokens=details.get("cache_read") or 0,
        cache_write_tokens=details.get("cache_creation") or 0,
    )


def added(one: events.Usage | None, other: events.Usage | None) -> events.Usage | None:
    """The sum of two usages, where there are two."""
    if one is None or other is None:
        return one or other
    return events.Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cache_read_tokens=one.cache_read_tokens + other.cache_read_tokens,
        cache_write_tokens=one.cache_write_tokens + other.cache_write_tokens,
    )


def error_text(error: object) -> str:
    """An error as its class and what it says."""
    if isinstance(error, BaseException):
        return _text(f"{type(error).__name__}: {error}".removesuffix(": "))
    return _text(str(error))


def as_json(value: Any) -> events.JSON:
    """The value as events.JSON; what events.JSON cannot hold is written as text."""
    if isinstance(value, str):
        return _text(value)
    try:
        built = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        msgspec.json.encode(built)  # a lone surrogate or a huge number shows only here
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _text(repr(value))
    return built


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return _text(repr(value))


def _text(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _compact(value: events.JSON) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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


def _pieces(message: BaseMessage) -> Iterator[_Piece]:
    for block in message.content_blocks:
        yield from _block_pieces(dict(block))
    # Tool calls stand in one place for every provider, and in `content_blocks` not always.
    match message:
        case AIMessageChunk():
            for chunk in message.tool_call_chunks:
                place = chunk["id"] if chunk["index"] is None else chunk["index"]
                yield _call_piece(place, chunk["id"], chunk["name"], chunk["args"] or "")
        case AIMessage():
            calls = (*message.tool_calls, *message.invalid_tool_calls)
            for number, call in enumerate(calls):
                given = call["args"]
                text = given if isinstance(given, str) else _compact(as_json(given))
                yield _call_piece(number, call["id"], call["name"], text)


def _call_piece(place: object, id: str | None, name: str | None, text: str) -> _Piece:
    return _Piece(f"call {place}", "tool_input", _text(text), call=id or "", name=name or "")


def _block_pieces(block: Mapping[str, Any]) -> Iterator[_Piece]:
    match block:
        case {"type": "text", "text": str(text)} if text:
            yield _Piece("text", "text", _text(text))
        case {"type": "reasoning", "reasoning": str(text)} if text:
            yield _Piece("thinking", "thinking", _text(text))
        case {"type": "non_standard", "value": {"type": "thinking", "thinking": str(text)}} if text:
            yield _Piece("thinking", "thinking", _text(text))
        case {"type": "image" | "file" | "audio" | "video" as kind}:
            content = {
                "media_type": block.get("mime_type"),
                "data": block.get("base64"),
                "url": block.get("url"),
                "file_id": block.get("file_id"),
            }
            given = {name: as_json(value) for name, value in content.items() if value}
            yield _Piece("whole", "image" if kind == "image" else "file", content=given)
        case _:
            pass
