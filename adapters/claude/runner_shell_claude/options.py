"""Settings as the SDK's options: one function from what is set to what the CLI is started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions

from runner_shell import ConfigurationError

from .environment import removed, starter
from .sdk import find_cli
from .settings import ClaudeSettings

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The longest line of the CLI that is taken; the SDK's limit of 1 MiB is one tool's output."""

DENIED_OPTIONS = frozenset(
    {
        "can_use_tool",
        "cli_path",
        "continue_conversation",
        "cwd",
        "debug_stderr",
        "env",
        "extra_args",
        "fork_session",
        "hooks",
        "include_partial_messages",
        "max_buffer_size",
        "mcp_servers",
        "permission_prompt_tool_name",
        "resume",
        "session_id",
        "resume_drops_turn",
        "resume_session_at",
        "session_store",
        "session_store_flush",
        "setting_sources",
        "settings",
        "stderr",
        "user",
    }
)
"""What `CLAUDE_OPTIONS` cannot set: the adapter's own, or a way to run what is not meant."""


_QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
"""No title for each prompt, no telemetry: a runner's requests are its work. Set it to change it."""


def build(
    settings: ClaudeSettings,
    /,
    *,
    workspace: Path,
    config_dir: Path,
    environ: Mapping[str, str],
    mark: Mapping[str, str],
    session: str,
    resume: bool,
    fork: tuple[str, str] | None = None,
    rules: Sequence[str] = (),
    permission_mode: str = "",
    model: str = "",
    add_dirs: Sequence[str] = (),
    mcp_servers: Mapping[str, Any] | None = None,
    **callbacks: Any,
) -> ClaudeAgentOptions:
    """The options of one start of the CLI.

    Args:
        settings: What is set.
        workspace: Where the agent works.
        config_dir: The CLI's own directory, for transcripts and checkpoints.
        environ: The runner's environment.
        mark: What marks the CLI's process tree.
        session: The SDK's id of the session.
        resume: Whether that session exists already.
        fork: Begin it as a fork of this one, up to this message or, where empty, whole.
        rules: More permission rules that allow: what a person allowed always.
        permission_mode: The mode, where it was changed since.
        model: The model, where it was changed since.
        add_dirs: Directories that were added since.
        mcp_servers: The MCP servers.
        callbacks: `can_use_tool`, `hooks`, `stderr`, and other options as they are.

    Raises:
        ConfigurationError: `CLAUDE_OPTIONS` or `CLAUDE_AGENTS` is wrong.
    """
    given: dict[str, Any] = {
        "cwd": workspace,
        "env": _environment(settings, config_dir, environ, mark),
        "model": model or settings.model or None,
        "fallback_model": settings.fallback_model or None,
        "effort": settings.effort,
        "thinking": _thinking(settings.thinking_tokens),
        "max_turns": settings.max_turns,
        "max_budget_usd": settings.max_budget_usd,
        "system_prompt": _system_prompt(settings),
        "tools": list(settings.tools) or None,
        "allowed_tools": [*map(server_rule, settings.allowed_tools), *rules],
        "disallowed_tools": [server_rule(rule) for rule in settings.disallowed_tools],
        "permission_mode": permission_mode or settings.permission_mode,
        "agents": _agents(settings.agents),
        "skills": list(settings.skills) or None,
        "plugins": [{"type": "local", "path": path} for path in settings.plugins],
        "setting_sources": list(settings.setting_sources),
        "sandbox": settings.sandbox,
        "add_dirs": [*settings.add_dirs, *add_dirs],
        "mcp_servers": dict(mcp_servers or {}),
        "strict_mcp_config": True,
        "enable_file_checkpointing": settings.keeps_checkpoints,
        "include_partial_messages": True,
        "include_hook_events": settings.hook_events,
        "forward_subagent_text": True,
        "max_buffer_size": MAX_FRAME_BYTES,
        "cli_path": _cli(settings, config_dir, environ),
    }
    if fork is not None:
        given |= {"resume": fork[0], "fork_session": True, "session_id": session}
        given["resume_session_at"] = fork[1] or None
    else:
        given |= {"resume" if resume else "session_id": session}
    return ClaudeAgentOptions(**(given | _more(settings.options) | callbacks))


def check(settings: ClaudeSettings) -> None:
    """Look for what `build` would refuse.

    Raises:
        ConfigurationError: `CLAUDE_OPTIONS` or `CLAUDE_AGENTS` is wrong.
    """
    _agents(settings.agents)
    _more(settings.options)


def server_rule(rule: str) -> str:
    """A rule for a whole MCP server needs a star: `mcp__git` alone matches no tool."""
    if rule.startswith("mcp__") and "__" not in rule.removeprefix("mcp__"):
        return f"{rule}__*"
    return rule


def _environment(
    settings: ClaudeSettings,
    config_dir: Path,
    environ: Mapping[str, str],
    mark: Mapping[str, str],
) -> dict[str, str]:
    own = {
        "CLAUDE_CONFIG_DIR": str(config_dir),
        "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",  # without it there is no end of a turn
        "DISABLE_AUTOUPDATER": "1",
        **_QUIET,
        **{name: environ[name] for name in _QUIET if environ.get(name)},
        **mark,
    }
    if settings.anthropic_api_key is not None:
        own["ANTHROPIC_API_KEY"] = settings.anthropic_api_key.get_secret_value()
    if settings.anthropic_base_url:
        own["ANTHROPIC_BASE_URL"] = settings.anthropic_base_url
    if settings.max_output_tokens is not None:
        own["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(settings.max_output_tokens)
    return own


def _cli(settings: ClaudeSettings, config_dir: Path, environ: Mapping[str, str]) -> Path:
    """What starts the CLI without the variables that it is not to have."""
    script = config_dir / "start-cli"
    without = removed(environ, settings.pass_environment)
    script.write_text(starter(settings.cli or find_cli(), without), encoding="utf-8")
    script.chmod(0o700)
    return script


def _system_prompt(settings: ClaudeSettings) -> Any:
    """Claude Code's own prompt unless told otherwise: None would be the empty one."""
    if settings.system_prompt_replaces and settings.system_prompt:
        return settings.system_prompt
    preset = {"type": "preset", "preset": "claude_code"}
    return preset | {"append": settings.system_prompt} if settings.system_prompt else preset


def _thinking(tokens: int | None) -> Any:
    if tokens is None:
        return None
    return {"type": "enabled", "budget_tokens": tokens} if tokens else {"type": "disabled"}


def _agents(agents: Mapping[str, Any]) -> dict[str, AgentDefinition] | None:
    try:
        return {name: AgentDefinition(**agent) for name, agent in agents.items()} or None
    except TypeError as error:
        raise ConfigurationError(f"CLAUDE_AGENTS: {_plain(error)}") from None


def _more(options: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(ClaudeAgentOptions)}
    problems = [
        f"CLAUDE_OPTIONS has {name!r}, which "
        + ("the runner sets itself" if name in known else "is no option of the SDK's")
        for name in sorted(options)
        if name in DENIED_OPTIONS or name not in known
    ]
    if problems:
        raise ConfigurationError(*problems)
    return dict(options)


def _plain(error: TypeError) -> str:
    return str(error).replace("AgentDefinition.__init__() ", "an agent ")
