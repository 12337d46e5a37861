"""The two private names of the SDK that this adapter uses, behind one module.

* `ClaudeSDKClient._query`: the typed layer drops frames and blocks that it does not know
  (`tool_progress`, `command_lifecycle`, `redacted_thinking`, …); the query gives each frame
  as the CLI wrote it.
* the directory `_bundled`: the CLI that the SDK brings, so that it can be started without the
  runner's secrets in its environment (see `environment`), and the file there with its version, so
  that this stands in `session.started`.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import claude_agent_sdk
from claude_agent_sdk import ClaudeSDKClient

from runner_shell import ConfigurationError

Frame = dict[str, Any]
"""One line of the CLI's output, parsed."""


def frames(client: ClaudeSDKClient) -> AsyncIterator[Frame]:
    """Every frame of a connected client, control traffic left out, until the CLI ends.

    Raises:
        ProcessError: The CLI ended with an error.
        CLIJSONDecodeError: The CLI wrote what is no frame.
    """
    query = client._query
    assert query is not None, "connected before it is read"
    found: AsyncIterator[Frame] = query.receive_messages()
    return found


def bundled_cli() -> Path | None:
    """The CLI that the SDK brings, where it brings one for this platform."""
    path = Path(str(claude_agent_sdk.__file__)).with_name("_bundled") / "claude"
    return path if path.is_file() else None


def find_cli() -> Path:
    """The CLI to run where none is named: the SDK's own, else the one on the PATH.

    Raises:
        ConfigurationError: There is none.
    """
    found = bundled_cli() or shutil.which("claude")
    if found is None:
        raise ConfigurationError(
            "there is no Claude Code: the installed claude-agent-sdk brings none for this "
            "platform, and none is on the PATH. Install it, or name it by CLAUDE_CLI"
        )
    return Path(found)


def versions() -> dict[str, str]:
    """The versions of the SDK and of the CLI that it brings."""
    found = {"sdk": version("claude-agent-sdk")}
    if (cli := bundled_cli()) is not None:
        with suppress(OSError):
            found["cli"] = cli.with_suffix(".version").read_text(encoding="utf-8").split()[0]
    return found
