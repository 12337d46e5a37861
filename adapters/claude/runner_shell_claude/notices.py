"""What the CLI says beside the conversation: warnings, notes, and what has no place: pure."""

from __future__ import annotations

from typing import Any

from runner_shell import events

from .sdk import Frame

SILENT = frozenset(
    {
        "background_tasks_changed",  # the tasks' own frames say it
        "session_state_changed",  # the turn's own course
        "thinking_tokens",  # estimates; the usage comes with the message
    }
)
"""System frames that say nothing that another event does not say."""

_ENVELOPE = frozenset({"type", "subtype", "uuid", "session_id", "parent_tool_use_id"})

_INIT = (
    "claude_code_version",
    "cwd",
    "mcp_servers",
    "model",
    "permissionMode",
    "tools",
    "agents",
    "skills",
    "plugins",
    "output_style",
)
"""Of `init`, what a reader may want; the rest is how the CLI itself was set up."""


def notice(frame: Frame, scope: events.Scope) -> events.Event | None:
    """The event for a frame that belongs to no message, tool or task; None where it is silent."""
    subtype = str(frame.get("subtype", ""))
    match frame.get("type"), subtype:
        case "system", "init":
            said = {key: frame[key] for key in _INIT if key in frame}
            return events.Custom(name="claude.init", data=said)
        case "system", "status" if not frame.get("permissionMode") and frame.get("status") in (
            None,
            "requesting",
        ):
            return None
        case "system", _ if subtype in SILENT:
            return None
        case "system", "api_retry":
            return events.Warning_(code="api_retry", message=_retry(frame))
        case "system", "compact_boundary":
            return events.Warning_(code="compacted", message=_compacted(frame))
        case "system", "model_fallback" | "model_refusal_fallback":
            return events.Warning_(code="model_fallback", message=_fallback(frame))
        case "system", "mirror_error":
            message = f"the session store refused a part: {frame.get('error', '')}"
            return events.Warning_(code="session_store", message=message)
        case "system", "hook_started" | "hook_response" | "hook_progress":
            return events.Custom(name="claude.hook", data=_rest(frame) | {"event": subtype})
        case "rate_limit_event", _:
            return _rate_limit(frame)
        case "conversation_reset", _:
            message = "the conversation was reset: the model knows nothing of what was before"
            return events.Warning_(code="conversation_reset", message=message)
        case kind, _:
            name = ".".join(part for part in ("claude", str(kind), subtype) if part)
            return events.Custom(name=name, data=_rest(frame), scope=scope)


def _rest(frame: Frame) -> dict[str, Any]:
    return {key: value for key, value in frame.items() if key not in _ENVELOPE}


def _retry(frame: Frame) -> str:
    cause = frame.get("error_status") or frame.get("error") or "a connection that failed"
    seconds = float(frame.get("retry_delay_ms") or 0) / 1000
    attempt, limit = frame.get("attempt"), frame.get("max_retries")
    return f"the API answered {cause}; attempt {attempt} of {limit} in {seconds:.1f} s"


def _compacted(frame: Frame) -> str:
    metadata = frame.get("compact_metadata") or {}
    trigger, tokens = metadata.get("trigger", "auto"), metadata.get("pre_tokens")
    size = f" at {tokens} tokens" if tokens is not None else ""
    return f"the conversation was compacted ({trigger}){size}"


def _fallback(frame: Frame) -> str:
    before, after = frame.get("original_model"), frame.get("fallback_model")
    return f"the turn goes on with {after} instead of {before} ({frame.get('trigger')})"


def _rate_limit(frame: Frame) -> events.Event:
    info = frame.get("rate_limit_info") or {}
    status = str(info.get("status", ""))
    if status in ("allowed", ""):
        return events.Custom(name="claude.rate_limit", data=dict(info))
    limit = str(info.get("rateLimitType") or "rate limit").replace("_", " ")
    resets = f", until {info['resetsAt']}" if info.get("resetsAt") else ""
    message = f"{limit}: {status.replace('_', ' ')}{resets}"
    return events.Warning_(code="rate_limit", message=message)
