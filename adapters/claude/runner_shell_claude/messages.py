"""Messages and their blocks, streamed or whole: pure, frames in, events out.

The main thread's messages come as the API's stream events, and beside them each finished block once
more as a whole message with the same id, before the event that stops the block: one that is stopped
without was cut, or what follows tells that it was not. A sub-agent's come whole only, a frame for
each block. One message at a time is open in each scope.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runner_shell import events

from . import usage

Block = Mapping[str, Any]
Events = Iterator[events.Event]

_STREAMED: dict[str, events.BlockKind] = {
    "text": "text",
    "thinking": "thinking",
    "tool_use": "tool_input",
    "server_tool_use": "tool_input",
    "mcp_tool_use": "tool_input",
}
"""Blocks that grow by deltas, as kinds of the vocabulary."""

_WHOLE: dict[str, events.BlockKind] = {"image": "image", "document": "file"}

_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Where each kind of delta has its text; others (signatures, citations) have none to show."""


class Open(msgspec.Struct):
    """A message that is not finished.

    Attributes:
        id: Its id.
        streamed: Whether its blocks come by stream events.
        next_index: The place of the next block, where they come whole.
        block: The place of the open block, or None.
        usage: What it used, once known.
    """

    id: str
    streamed: bool
    next_index: int = 0
    block: int | None = None
    usage: events.Usage | None = None


class Messages:
    """Follows the messages of every scope."""

    def __init__(self) -> None:
        self._open: dict[events.Scope, Open] = {}
        self._streamed: set[str] = set()

    # --- streamed ----------------------------------------------------------------------------

    def stream(
        self, event: Mapping[str, Any], scope: events.Scope, *, abandoned: bool = False
    ) -> Events:
        """One of the API's stream events.

        Args:
            event: As the API sent it.
            scope: Whose.
            abandoned: The CLI made it up, to end a message whose stream was cut.
        """
        match event:
            case {"type": "message_start", "message": {"id": str(id)} as message}:
                # One that is open still was cut: the model is asked anew.
                yield from self.close(scope, cancelled=True)
                self._streamed.add(id)
                self._open[scope] = Open(
                    id, streamed=True, usage=usage.of_message(message.get("usage"))
                )
                yield events.MessageStarted(id=id, model=str(message.get("model", "")), scope=scope)
            case {"type": "content_block_start", "index": int(index), "content_block": block}:
                yield from self._start_block(index, block, scope)
            case {"type": "content_block_delta", "index": int(index), "delta": delta}:
                yield from self._delta(index, delta, scope)
            case {"type": "message_delta"}:
                yield from self._finish_block(scope)
                if (message := self._open.get(scope)) is not None:
                    message.usage = usage.of_message(event.get("usage")) or message.usage
            case {"type": "message_stop"}:
                yield from self.close(scope, cancelled=abandoned)

    def _start_block(self, index: int, block: Block, scope: events.Scope) -> Events:
        message = self._open.get(scope)
        kind = _STREAMED.get(str(block.get("type")))
        if message is None or kind is None:
            return  # what does not grow comes whole, in its own frame
        yield from self._finish_block(scope)
        message.block, message.next_index = index, index + 1
        call = str(block.get("id", "")) if kind == "tool_input" else ""
        yield events.BlockStarted(
            message=message.id, index=index, kind=kind, call=call, scope=scope
        )
        first = block.get("text") or block.get("thinking")
        if isinstance(first, str):
            yield events.BlockDelta(message=message.id, index=index, text=first, scope=scope)

    def _delta(self, index: int, delta: Block, scope: events.Scope) -> Events:
        message = self._open.get(scope)
        text = delta.get(_DELTAS.get(str(delta.get("type")), ""))
        if message is not None and message.block == index and isinstance(text, str) and text:
            yield events.BlockDelta(message=message.id, index=index, text=text, scope=scope)

    def _finish_block(self, scope: events.Scope, *, cancelled: bool = False) -> Events:
        message = self._open.get(scope)
        if message is not None and message.block is not None:
            index, message.block = message.block, None
            status: Any = "cancelled" if cancelled else "ok"
            yield events.BlockFinished(message=message.id, index=index, status=status, scope=scope)

    # --- whole -------------------------------------------------------------------------------

    def whole(self, message: Mapping[str, Any], block: Block, scope: events.Scope) -> Events:
        """A finished block of a message; what was streamed of it is not said again."""
        id = str(message.get("id", ""))
        if id in self._streamed:
            yield from self._finish_block(scope)
            kind = str(block.get("type"))
            if kind not in _STREAMED:
                yield from self._unstreamed(block, scope)
            return
        yield from self.begin(id, scope, role="assistant", model=str(message.get("model", "")))
        self._open[scope].usage = usage.of_message(message.get("usage"))
        yield from self._block(block, scope)

    def begin(self, id: str, scope: events.Scope, *, role: Any, model: str = "") -> Events:
        """Make this message the scope's open one."""
        current = self._open.get(scope)
        if current is not None and current.id == id:
            return
        # A streamed one that is open still was cut: the model is asked anew, without a stream.
        yield from self.close(scope, cancelled=True)
        self._open[scope] = Open(id, streamed=False)
        yield events.MessageStarted(id=id, role=role, model=model, scope=scope)

    def said(self, id: str, content: Any, scope: events.Scope, *, role: Any) -> Events:
        """A message that comes whole, all blocks at once."""
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from self.begin(id, scope, role=role)
        for block in blocks:
            yield from self._block(block, scope)
        yield from self.close(scope)

    def _block(self, block: Block, scope: events.Scope) -> Events:
        kind = _STREAMED.get(str(block.get("type")))
        if kind is None:
            yield from self._unstreamed(block, scope)
            return
        message = self._open[scope]
        yield from self._start_block(
            message.next_index, {"type": block["type"], "id": block.get("id", "")}, scope
        )
        text = (
            json.dumps(block.get("input"), ensure_ascii=False)
            if kind == "tool_input"
            else str(block.get(kind, ""))
        )
        if text:
            index = message.next_index - 1
            yield events.BlockDelta(message=message.id, index=index, text=text, scope=scope)
        yield from self._finish_block(scope)

    def _unstreamed(self, block: Block, scope: events.Scope) -> Events:
        """A block that has no deltas: an image, a file, or one that the vocabulary lacks."""
        message = self._open.get(scope)
        kind = _WHOLE.get(str(block.get("type")))
        if kind is None or message is None:
            if not str(block.get("type")).endswith("tool_result"):
                name = f"claude.block.{block.get('type')}"
                yield events.Custom(name=name, data=dict(block), scope=scope)
            return
        index, message.next_index = message.next_index, message.next_index + 1
        yield events.BlockStarted(message=message.id, index=index, kind=kind, scope=scope)
        source = block.get("source")
        content = source if isinstance(source, Mapping) else {}
        shown = {"media_type": content.get("media_type", ""), "data": content.get("data")}
        if shown["data"] is None:
            shown = dict(content)
        yield events.BlockFinished(message=message.id, index=index, content=shown, scope=scope)

    # --- the end -----------------------------------------------------------------------------

    def close(self, scope: events.Scope, *, cancelled: bool = False) -> Events:
        """Finish the scope's open message.

        Args:
            scope: Whose.
            cancelled: The turn does not run its course; what came whole is whole all the same.
        """
        if scope not in self._open:
            return
        yield from self._finish_block(scope, cancelled=cancelled)
        message = self._open.pop(scope)
        status: Any = "cancelled" if cancelled and message.streamed else "ok"
        yield events.MessageFinished(id=message.id, usage=message.usage, status=status, scope=scope)

    def close_whole(self, scope: events.Scope) -> Events:
        """Finish the scope's open message, if it came whole: nothing says when one is complete."""
        if scope in self._open and not self._open[scope].streamed:
            yield from self.close(scope)

    def close_all(self, *, cancelled: bool) -> Events:
        """Finish every open message, the innermost first."""
        for scope in sorted(self._open, key=len, reverse=True):
            yield from self.close(scope, cancelled=cancelled)
        self._streamed.clear()
