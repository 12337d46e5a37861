"""What a message is made of; every provider cuts it in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from runner_shell import events

from .values import as_json, clean, compact


@dataclass(frozen=True)
class Piece:
    """A bit of a message's content.

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


def pieces(message: BaseMessage) -> Iterator[Piece]:
    """Cut a message, or a chunk of one, into pieces."""
    if isinstance(message.content, str) and not message.additional_kwargs:
        if message.content:  # most chunks are this; asking for blocks costs ten times as much
            yield Piece("text", "text", clean(message.content))
    else:
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
                text = given if isinstance(given, str) else compact(as_json(given))
                yield _call_piece(number, call["id"], call["name"], text)


def _call_piece(place: object, id: str | None, name: str | None, text: str) -> Piece:
    return Piece(f"call {place}", "tool_input", clean(text), call=id or "", name=name or "")


def _block_pieces(block: Mapping[str, Any]) -> Iterator[Piece]:
    match block:
        case {"type": "text", "text": str(text)} if text:
            yield Piece("text", "text", clean(text))
        case {"type": "reasoning", "reasoning": str(text)} if text:
            yield Piece("thinking", "thinking", clean(text))
        case {"type": "non_standard", "value": {"type": "thinking", "thinking": str(text)}} if text:
            yield Piece("thinking", "thinking", clean(text))
        case {"type": "image" | "file" | "audio" | "video" as kind}:
            content = {
                "media_type": block.get("mime_type"),
                "data": block.get("base64"),
                "url": block.get("url"),
                "file_id": block.get("file_id"),
            }
            given = {name: as_json(value) for name, value in content.items() if value}
            yield Piece("whole", "image" if kind == "image" else "file", content=given)
        case _:
            pass
