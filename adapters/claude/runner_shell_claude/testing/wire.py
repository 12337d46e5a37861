"""A scripted reply as the Messages API sends it: pure, a reply in, events or one object out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from .script import ApiError, Reply

Event = dict[str, Any]

DELTA = "content_block_delta"


def events(reply: Reply, *, model: str) -> Iterator[Event]:
    """The server-sent events of one streamed reply, in order.

    Args:
        reply: What is said.
        model: The name that the reply gives itself.
    """
    message = _message(reply, model=model)
    content, message["content"] = message["content"], []
    message["usage"] = message["usage"] | {"output_tokens": 1}  # as the API: the rest comes last
    message["stop_reason"] = None
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(content):
        yield from _block(index, block, reply.chunk_characters)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(reply), "stop_sequence": None},
        "usage": _usage(reply),
    }
    yield {"type": "message_stop"}


def whole(reply: Reply, *, model: str) -> Event:
    """The same reply for a request that does not stream."""
    return _message(reply, model=model)


def error(error: ApiError) -> Event:
    """An error's body."""
    message = error.message or error.type.replace("_", " ")
    return {
        "type": "error",
        "error": {"type": error.type, "message": message},
        "request_id": _id("req"),
    }


def encode(event: Event) -> bytes:
    """One server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _message(reply: Reply, *, model: str) -> Event:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(_content(reply)),
        "stop_reason": _stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(reply),
    }


def _content(reply: Reply) -> Iterator[Event]:
    if reply.thinking:
        yield {"type": "thinking", "thinking": reply.thinking, "signature": "scripted"}
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for tool in reply.tools:
        call = tool.id or _id("toolu")
        yield {"type": "tool_use", "id": call, "name": tool.name, "input": dict(tool.input)}
    yield from (dict(block) for block in reply.blocks)


def _stop_reason(reply: Reply) -> str:
    return reply.stop_reason or ("tool_use" if reply.tools else "end_turn")


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "cache_read_input_tokens": reply.cache_read_tokens,
        "cache_creation_input_tokens": 0,
    }


def _block(index: int, block: Event, size: int) -> Iterator[Event]:
    start, deltas = _cut(block, size)
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": DELTA, "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _cut(block: Event, size: int) -> tuple[Event, list[Event]]:
    """A block as it starts, and what is added to it."""
    match block["type"]:
        case "text":
            pieces = _pieces(block["text"], size)
            return block | {"text": ""}, [{"type": "text_delta", "text": p} for p in pieces]
        case "thinking":
            pieces = _pieces(block["thinking"], size)
            thoughts = [{"type": "thinking_delta", "thinking": p} for p in pieces]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            pieces = _pieces(json.dumps(block["input"]), size)
            parts = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
            return block | {"input": {}}, parts
        case _:
            return block, []


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:24]}"
