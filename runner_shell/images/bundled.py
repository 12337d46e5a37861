"""Claude Code, which the Claude Agent SDK brings as one executable."""

from __future__ import annotations

import re
from dataclasses import dataclass

SDK = "claude-agent-sdk"
"""The distribution that brings it."""

VERSION_FILE = "claude_agent_sdk/_cli_version.py"
EXECUTABLE = "claude_agent_sdk/_bundled/claude"

_VERSION = re.compile(r"""^__cli_version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class BundledCli:
    """The executable.

    Attributes:
        version: What the SDK says it bundles.
        sha256: Of the executable; empty where that is not there.
    """

    version: str
    sha256: str = ""


def cli_version(text: str) -> str:
    """The version that the SDK's `_cli_version.py` names; empty where it names none."""
    found = _VERSION.search(text)
    return found[1] if found else ""
