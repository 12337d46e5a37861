"""MCP servers from a file or from JSON, as data: a repository's file runs nothing unasked.

`${VAR}` and `${VAR:-default}` are filled in from the variables that `CLAUDE_MCP_VARIABLES` lists
and from no others, so that a file cannot carry the runner's secrets to a server of its own choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner_shell import ConfigurationError

from .settings import ClaudeSettings

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")

_NEEDED = {"stdio": "command", "http": "url", "sse": "url"}


def load_servers(
    settings: ClaudeSettings, workspace: Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    """The servers by name, as the SDK takes them.

    Raises:
        ConfigurationError: There is no such file, it lies in the workspace and that is not
            allowed, it is no MCP configuration, or it refers to a variable that is not listed.
    """
    if not settings.mcp_config:
        return {}
    text = settings.mcp_config
    if not text.lstrip().startswith("{"):
        text = _read(Path(text), workspace, allowed=settings.mcp_allow_workspace)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is not JSON: {error}") from None
    servers = document.get("mcpServers", document) if isinstance(document, dict) else None
    if not isinstance(servers, dict):
        raise _wrong("must be an object with mcpServers")
    allowed = {name: environ[name] for name in settings.mcp_variables if name in environ}
    filled = {name: _fill(server, allowed) for name, server in servers.items()}
    problems = [problem for name, server in filled.items() for problem in _problems(name, server)]
    if problems:
        raise ConfigurationError(*problems)
    return filled


def _read(path: Path, workspace: Path, *, allowed: bool) -> str:
    file = (workspace / path).resolve()
    if file.is_relative_to(workspace.resolve()) and not allowed:
        raise _wrong(
            f"is '{path}', which lies in the workspace: a repository must not bring commands that "
            "run with the runner's rights. Set CLAUDE_ALLOW_WORKSPACE_MCP=1 if it may"
        )
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise _wrong(f"is '{path}', which cannot be read ({error.strerror})") from None


def _fill(value: Any, variables: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _VARIABLE.sub(lambda match: _value(match, variables), value)
        case list():
            return [_fill(one, variables) for one in value]
        case dict():
            return {key: _fill(one, variables) for key, one in value.items()}
        case _:
            return value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, default = match["name"], match["default"]
    if variables.get(name):
        return variables[name]
    if default is not None:
        return default
    raise _wrong(
        f"refers to ${{{name}}}, which is not set or not listed in CLAUDE_MCP_VARIABLES, and "
        "gives no default"
    )


def _problems(name: str, server: Any) -> list[str]:
    if not isinstance(server, dict):
        return [f"MCP_CONFIG_PATH: the server {name!r} must be an object"]
    kind = server.get("type", "stdio")
    if kind not in _NEEDED:
        kinds = ", ".join(_NEEDED)
        return [f"MCP_CONFIG_PATH: the server {name!r} has the type {kind!r}; there are {kinds}"]
    needed = _NEEDED[kind]
    if not isinstance(server.get(needed), str):
        return [f"MCP_CONFIG_PATH: the server {name!r} needs a {needed}"]
    return []


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"MCP_CONFIG_PATH {what}")
