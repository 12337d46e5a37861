"""How a turn ended, from its last result: pure.

`terminal_reason` says it, never `subtype`: an API failure is a result of the subtype `success`, and
an interrupt one of `error_during_execution`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runner_shell import events

from .sdk import Frame

Outcome = Literal["completed", "failed", "interrupted", "waiting", "budget_exhausted"]


class Found(msgspec.Struct, frozen=True):
    """An ending.

    Attributes:
        outcome: In the contract's words.
        reason: For a person.
        error: What to say of a failure, or None.
    """

    outcome: Outcome
    reason: str = ""
    error: events.Error | None = None


RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

_CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "request_too_large",
    429: "rate_limited",
    529: "overloaded",
}

_RETRYABLE_REASONS = frozenset({"model_error"})

_SUBTYPES = {
    "error_max_budget_usd": "budget_exhausted",
    "error_max_turns": "max_turns",
    "error_max_structured_output_retries": "structured_output_retry_exhausted",
}

_SAID = {
    "budget_exhausted": "the budget is used up (CLAUDE_MAX_BUDGET_USD)",
    "max_turns": "the model took as many steps as it may (CLAUDE_MAX_TURNS)",
    "prompt_too_long": "the conversation does not fit the model's context any more",
    "hook_stopped": "a hook stopped the turn",
    "stop_hook_prevented": "a hook stopped the turn",
}


def ending_of(result: Frame) -> Found:
    """Read a result as an ending."""
    reason = str(result.get("terminal_reason") or "")
    if result.get("deferred_tool_use") or reason == "tool_deferred":
        return Found("waiting", "a permission is open")
    if is_aborted(result):
        return Found("interrupted", "interrupted")
    if not result.get("is_error") and reason in ("", "completed", "background_requested"):
        return Found("completed")
    if not result.get("is_error") and not _is_limit(reason):
        return Found("completed", reason.replace("_", " "))
    return _failure(result, reason)


def is_aborted(result: Frame) -> bool:
    """Whether it is the result of an interrupt."""
    return result.get("terminal_reason") in ("aborted_streaming", "aborted_tools")


def _is_limit(reason: str) -> bool:
    return reason in _SAID or reason.endswith(("_error", "_exhausted", "_limit"))


def _failure(result: Frame, reason: str) -> Found:
    status = result.get("api_error_status")
    if isinstance(status, int):
        code, retryable = _CODES.get(status, "api_error"), status in RETRYABLE
    else:
        code = _code(result, reason)
        # An API error without a status is a connection that failed.
        retryable = reason in _RETRYABLE_REASONS or reason == "api_error"
    message = _text(result) or _SAID.get(code) or code.replace("_", " ")
    outcome: Outcome = "budget_exhausted" if code == "budget_exhausted" else "failed"
    return Found(outcome, message, events.Error(code=code, message=message, retryable=retryable))


def _code(result: Frame, reason: str) -> str:
    subtype = str(result.get("subtype") or "")
    if reason and reason != "completed":
        return reason
    return _SUBTYPES.get(subtype) or subtype.removeprefix("error_") or "agent_failed"


def _text(result: Frame) -> str:
    errors = result.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(str(error) for error in errors)
    text = result.get("result")
    return text.strip() if isinstance(text, str) else ""
