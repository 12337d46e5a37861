"""A recorder that makes Claude adapters."""

from __future__ import annotations

from runner_shell_claude import ClaudeAdapter
from runner_shell_claude.settings import ClaudeSettings

from runner_shell.testing import recorder


class Recorder(recorder.Recorder):
    """Records a session of the Claude adapter."""

    async def adapter(self, **environment: str) -> ClaudeAdapter:
        """An opened adapter, as a new process makes it."""
        return await self.open(ClaudeAdapter(ClaudeSettings.from_environment(environment)))
