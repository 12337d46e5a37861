"""Commands to a running Claude: settings, files, and the SDK's extras."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from runner_shell import AgentFailed, NotSupported, events
from runner_shell import commands as told

from .conversation import Conversation
from .memory import Memory
from .settings import PermissionMode

CHANGEABLE = ("model", "permission_mode", "add_dirs")

Params = Mapping[str, Any]


async def handle(
    command: told.Command | told.ReservedCommand, conversation: Conversation, memory: Memory
) -> events.JSON:
    """Carry out a command.

    Raises:
        NotSupported: There is no such command, method or setting.
        AgentFailed: No CLI runs, or it refused.
        ValueError: A parameter is wrong.
    """
    match command:
        case told.SettingsUpdate(settings=settings):
            return await _update(settings, conversation, memory)
        case told.FilesRewind(turn=turn):
            return await _rewind(turn, conversation, memory)
        case told.StateFork():
            return await _fork(command, conversation, memory)
        case told.AdapterCall(method=method, params=params) if method in _METHODS:
            return await _METHODS[method](conversation, params if params is not None else {})
        case told.AdapterCall(method=method):
            raise NotSupported(f"claude has no method {method!r}; there are {', '.join(_METHODS)}")
        case _:
            raise NotSupported(f"claude does not carry out this command: {command.id}")


# --- settings --------------------------------------------------------------------------------


async def _update(settings: Params, conversation: Conversation, memory: Memory) -> events.JSON:
    unknown = sorted(settings.keys() - set(CHANGEABLE))
    if unknown:
        raise NotSupported(f"cannot be changed: {', '.join(unknown)}; only {', '.join(CHANGEABLE)}")
    changes = {name: _checked(name, value) for name, value in settings.items()}
    if conversation.connected:
        if "model" in changes:
            await conversation.client.set_model(changes["model"] or None)
        if "permission_mode" in changes:
            await conversation.client.set_permission_mode(changes["permission_mode"])
            conversation.permission_mode = changes["permission_mode"]
    memory.change(**changes)
    if "add_dirs" in changes:
        conversation.reconnect_before_next_turn()
    return {"changed": changes}


def _checked(name: str, value: Any) -> Any:
    match name:
        case "permission_mode" if value not in get_args(PermissionMode):
            raise ValueError(f"permission_mode must be one of {get_args(PermissionMode)}")
        case "model" if not isinstance(value, str):
            raise ValueError("model must be a string")
        case "add_dirs":
            if not isinstance(value, list) or not all(Path(str(one)).is_dir() for one in value):
                raise ValueError("add_dirs must be a list of directories that exist")
    return value


# --- files -----------------------------------------------------------------------------------


async def _rewind(turn: str, conversation: Conversation, memory: Memory) -> events.JSON:
    message = memory.message_of(turn)
    if message is None:
        raise ValueError(f"no message is known that began the turn {turn!r}")
    if not conversation.at_rest:
        raise AgentFailed("the agent works; interrupt it first", code="busy")
    await conversation.connect()
    await conversation.client.rewind_files(message)
    return {"turn": turn, "message": message}


# --- forks -----------------------------------------------------------------------------------


async def _fork(command: told.StateFork, conversation: Conversation, memory: Memory) -> events.JSON:
    if command.values is not None or command.as_node or command.run:
        raise NotSupported(
            "claude forks at the end of a turn; it takes no values, and runs nothing"
        )
    if not conversation.at_rest:
        raise AgentFailed("the agent works; interrupt it first", code="busy")
    if memory.waits:
        raise AgentFailed("a permission is open; answer it first", code="busy")
    at = memory.end_of(command.checkpoint) if command.checkpoint else ""
    if at is None:
        raise ValueError(f"no end is known of the turn {command.checkpoint!r}")
    if not memory.has_transcript:
        raise ValueError("there is no conversation yet")
    await conversation.disconnect()
    return {"session": memory.fork(at), "checkpoint": command.checkpoint}


# --- the SDK's extras ------------------------------------------------------------------------


async def _stop_task(conversation: Conversation, params: Params) -> events.JSON:
    task = _string(params, "task")
    await conversation.client.stop_task(task)
    return {"task": task}


async def _mcp_status(conversation: Conversation, params: Params) -> events.JSON:
    del params
    status = await conversation.client.get_mcp_status()
    # A server's configuration may hold headers and variables with secrets in them.
    return [_without(server, "config") for server in status.get("mcpServers", [])]


async def _mcp_reconnect(conversation: Conversation, params: Params) -> events.JSON:
    await conversation.client.reconnect_mcp_server(_string(params, "server"))
    return None


async def _mcp_toggle(conversation: Conversation, params: Params) -> events.JSON:
    enabled = params.get("enabled")
    if enabled not in (True, False):
        raise ValueError("enabled must be true or false")
    await conversation.client.toggle_mcp_server(_string(params, "server"), enabled)
    return None


async def _context_usage(conversation: Conversation, params: Params) -> events.JSON:
    del params
    return await conversation.client.get_context_usage()


_METHODS: dict[str, Callable[[Conversation, Params], Awaitable[events.JSON]]] = {
    "context_usage": _context_usage,
    "mcp_reconnect": _mcp_reconnect,
    "mcp_status": _mcp_status,
    "mcp_toggle": _mcp_toggle,
    "stop_task": _stop_task,
}


def _string(params: Params, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a string")
    return value


def _without(server: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in server.items() if name != key}
