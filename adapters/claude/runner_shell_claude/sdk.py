"""The two private names of the SDK that this adapter uses, behind one module.

* `ClaudeSDKClient._query`: the typed layer drops frames and blocks that it does not know
  (`tool_progress`, `command_lifecycle`, `redacted_thinking`, …); the query gives each frame
  as the CLI wrote it.
* `_cli_version.__cli_version__`: the version of the bundled CLI, known before one is started, so
  that it can stand in `session.started`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from claude_agent_sdk import ClaudeSDKClient

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


def versions() -> dict[str, str]:
    """The versions of the SDK and of the CLI that it brings."""
    from claude_agent_sdk import _cli_version

    return {"sdk": version("claude-agent-sdk"), "cli": _cli_version.__cli_version__}
