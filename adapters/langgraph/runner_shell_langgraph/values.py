"""Reading the framework's untyped values."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from runner_shell import events


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
        return clean(f"{type(error).__name__}: {error}".removesuffix(": "))
    return clean(str(error))


def as_json(value: Any) -> events.JSON:
    """The value as events.JSON; what events.JSON cannot hold is written as text."""
    if isinstance(value, str):
        return clean(value)
    try:
        built = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        msgspec.json.encode(built)  # a lone surrogate or a huge number shows only here
    except (TypeError, ValueError, OverflowError, RecursionError):
        return clean(repr(value))
    return built


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return clean(repr(value))


def clean(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def compact(value: events.JSON) -> str:
    """The value as JSON text without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
