"""What would keep Claude from working, found before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runner_shell import ConfigurationError

from . import in_process, options
from .environment import is_on
from .mcp import load_servers
from .settings import ClaudeSettings


def preflight(
    settings: ClaudeSettings, workspace: Path, environ: Mapping[str, str]
) -> Iterator[str]:
    """Every problem, a sentence each, that a session would stumble over.

    Args:
        settings: What is set.
        workspace: Where the agent would work.
        environ: The runner's environment.
    """
    yield from _of(settings.check)
    yield from _of(lambda: load_servers(settings, workspace, environ))
    yield from _of(lambda: in_process.load(settings.mcp_servers))
    yield from _of(lambda: options.check(settings))
    yield from _access(settings, environ)
    yield from _root(settings, environ)


def _of(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except ConfigurationError as error:
        yield from error.problems


def _access(settings: ClaudeSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """A key, or a provider that needs another."""
    if is_on(environ.get("CLAUDE_CODE_USE_VERTEX")):
        for name in ("ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION"):
            if not environ.get(name):
                yield f"{name} is not set: Vertex needs it"
        path = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if path and not Path(path).is_file():
            yield f"GOOGLE_APPLICATION_CREDENTIALS is '{path}', where there is no file"
        return
    if is_on(environ.get("CLAUDE_CODE_USE_BEDROCK")):
        if not (environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")):
            yield "AWS_REGION is not set: Bedrock needs it"
        return
    others = ("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
    given = settings.anthropic_api_key or any(environ.get(name) for name in others)
    # A settings file may bring an `apiKeyHelper`. A gateway that needs no key changes nothing:
    # without one Claude Code says "Not logged in" and asks nobody.
    if not given and not settings.setting_sources:
        yield (
            "ANTHROPIC_API_KEY is not set: give a key, any word for a gateway that needs none, or "
            "CLAUDE_CODE_USE_VERTEX or CLAUDE_CODE_USE_BEDROCK"
        )
    url = settings.anthropic_base_url
    if url and not url.startswith(("http://", "https://")):
        yield "ANTHROPIC_BASE_URL must be a URL with http or https"


def _root(settings: ClaudeSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """The CLI itself refuses this, with an exit that says little."""
    bypasses = settings.permission_mode == "bypassPermissions"
    if bypasses and os.geteuid() == 0 and not is_on(environ.get("IS_SANDBOX")):
        yield (
            "PERMISSION_MODE is bypassPermissions, which Claude Code refuses to root: run as "
            "another user, or set IS_SANDBOX=1 in a container that is one"
        )
