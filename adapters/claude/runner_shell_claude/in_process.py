"""MCP servers that run in the runner's own process, named by the person who starts it.

They are code with the runner's rights, so only a variable names them and never a file: by the
entry point `runner_shell_claude.mcp_servers` of an installed package, or as
`name=package.module:attribute`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from runner_shell import ConfigurationError

from .runner_tools import SERVER

GROUP = "runner_shell_claude.mcp_servers"


def load(named: Iterable[str]) -> dict[str, Any]:
    """The servers by name, as the SDK takes them.

    Each is an `mcp.server.Server`, what `create_sdk_mcp_server` returns, or a function without
    parameters that gives one.

    Raises:
        ConfigurationError: One cannot be found or imported, or is no server.
    """
    servers: dict[str, Any] = {}
    for entry in named:
        name, _, path = entry.partition("=")
        if name in (SERVER, *servers):
            raise _wrong(f"has {name!r} twice, or takes the runner's own name")
        servers[name] = _server(name, _found(name, path))
    return servers


def _found(name: str, path: str) -> Any:
    try:
        if path:
            module, _, attribute = path.partition(":")
            return getattr(import_module(module), attribute)
        for point in entry_points(group=GROUP, name=name):
            return point.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise _wrong(f"has {name!r}, which cannot be imported: {error}") from error
    known = ", ".join(sorted(entry_points(group=GROUP).names)) or "none"
    raise _wrong(f"has {name!r}; installed are {known}. Or give name=package.module:attribute")


def _server(name: str, found: Any) -> dict[str, Any]:
    try:
        made = found() if callable(found) else found
    except Exception as error:
        raise _wrong(f"has {name!r}, which raised {type(error).__name__}: {error}") from error
    server = made.get("instance") if isinstance(made, dict) else made
    if not hasattr(server, "create_initialization_options"):
        kind = type(server).__name__
        raise _wrong(f"has {name!r}, which is {kind} and no server; see create_sdk_mcp_server")
    return {"type": "sdk", "name": name, "instance": server}


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"CLAUDE_MCP_SERVERS {what}")
