"""What a scripted model says: replies and errors, in the order of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class ToolUse:
    """A call of a tool.

    Attributes:
        name: The tool's name, such as `Bash`.
        input: Its arguments.
        id: The call's id; made up where empty.
    """

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True)
class Reply:
    """One message of the model.

    Attributes:
        text: What it says, after its thoughts and before its tool calls.
        thinking: What it thinks first.
        tools: The tools it calls.
        blocks: Content blocks as the API has them, after all others: `redacted_thinking` and
            what else has no field here. They come whole.
        input_tokens: What it says it read.
        output_tokens: What it says it wrote.
        cache_read_tokens: Of what it read, what came from a cache, not counted in `input_tokens`.
        stop_reason: Why it stops; `tool_use` or `end_turn` unless given.
        chunk_characters: The size of a delta.
        delta_seconds: The wait before each delta.
        hold_after: After so many deltas the stream waits for `ScriptedModel.release`.
        cut_after: After so many deltas the connection is cut.
    """

    text: str = ""
    thinking: str = ""
    tools: Sequence[ToolUse] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    input_tokens: int = 10
    output_tokens: int = 5
    cache_read_tokens: int = 0
    stop_reason: str = ""
    chunk_characters: int = 8
    delta_seconds: float = 0.0
    hold_after: int | None = None
    cut_after: int | None = None


@dataclass(frozen=True)
class ApiError:
    """An answer that is an error.

    Attributes:
        status: The HTTP status: 529 overloaded, 401 unauthorized, 400 invalid …
        message: The error's text.
        headers: More headers, such as `retry-after`.
    """

    status: int = 529
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The API's word for the status."""
        return _ERROR_TYPES.get(self.status, "api_error")


@dataclass(frozen=True)
class Model:
    """A model in the API's list.

    Attributes:
        id: Its name.
        aliases: Other names under which it is found, though not in the list.
        lifecycle: `active`, `deprecated` or `retired`.
    """

    id: str
    aliases: Sequence[str] = ()
    lifecycle: str = "active"


Scripted: TypeAlias = Reply | ApiError

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
