"""The Claude Agent SDK adapter of runner-shell: Claude Code as a supervised runner.

Rooms: `adapter` (the turn), `settings` (the environment), `options`, `environment`, `mcp` (what
the CLI is started with), `connection` and `processes` (the CLI and its tree), `conversation` and
`rest` (frames to turns), `translate` with `messages`, `tasks`, `plan`, `notices`, `tools` (frames
to events), `usage`, `endings`, `questions` and `requests` (who decides what a tool may do),
`inputs`, `commands`, `memory` (what is durable), `sdk` (the SDK's private names), `testing` (a
scripted Messages API).
"""

from __future__ import annotations

from .adapter import ClaudeAdapter
from .settings import ClaudeSettings

__all__ = ["ClaudeAdapter", "ClaudeSettings"]
