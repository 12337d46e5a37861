"""One CLI that runs: started, read without a pause, spoken to, and ended with all it started.

The reader never waits for anybody. Control replies, permissions and hooks come by the same pipe as
the messages, so a reader that waits would hang the interrupt that is to end the wait.
"""

from __future__ import annotations

import asyncio
import uuid
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from claude_agent_sdk import (
    CanUseToolShadowedWarning,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    Transport,
)

from runner_shell import AgentFailed, ConfigurationError

from . import processes
from .sdk import Frame, frames

STDERR_LINES = 50
STDERR_LINE_CHARACTERS = 2000

CLOSE_SECONDS = 3.0
"""How long an idle CLI may take to write its transcript and go."""


class Connection:
    """A running CLI.

    Args:
        on_frame: Called with every frame; must not block.
        on_end: Called once when the CLI is gone, with why, or None where it went in peace.
        on_stderr: Called with every line of its stderr.
        transport: In place of a process: what speaks the CLI's protocol.

    Attributes:
        mark: Names its process tree.
    """

    def __init__(
        self,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[AgentFailed | None], None],
        on_stderr: Callable[[str], None],
        transport: Transport | None = None,
    ) -> None:
        self.mark = uuid.uuid4().hex
        self._on_frame = on_frame
        self._on_end = on_end
        self._on_stderr = on_stderr
        self._transport = transport
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._client: ClaudeSDKClient | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def environment(self) -> dict[str, str]:
        """What marks the CLI and everything it starts."""
        return {processes.MARK: self.mark}

    @property
    def client(self) -> ClaudeSDKClient:
        """The connected client."""
        assert self._client is not None, "opened before it is used"
        return self._client

    def heard(self, line: str) -> None:
        """A line of the CLI's stderr: kept for the next error, and passed on."""
        line = line[:STDERR_LINE_CHARACTERS]
        self._stderr.append(line)
        self._on_stderr(line)

    async def open(self, options: ClaudeAgentOptions, seconds: float) -> None:
        """Start the CLI and read from it until it ends.

        Raises:
            ConfigurationError: There is no CLI.
            AgentFailed: It did not start (`cli_crashed`, `cli_start_timeout`, …).
        """
        self._client = ClaudeSDKClient(options, self._transport)
        try:
            await self._connect(self._client, seconds)
        except CLINotFoundError as error:
            raise ConfigurationError(f"there is no Claude Code to run: {error}") from error
        except TimeoutError as error:
            message = self._told(f"the CLI did not start within {seconds:g} s")
            raise AgentFailed(message, code="cli_start_timeout", retryable=True) from error
        except Exception as error:
            await self.kill()
            raise self._failure(error, "the CLI did not start") from error
        self._reader = asyncio.create_task(self._read(), name="claude-reader")

    async def _connect(self, client: ClaudeSDKClient, seconds: float) -> None:
        with warnings.catch_warnings():
            # A tool that is allowed by name asks nobody: that is what was set.
            warnings.simplefilter("ignore", CanUseToolShadowedWarning)
            connecting = asyncio.ensure_future(client.connect())
            try:
                done, _ = await asyncio.wait({connecting}, timeout=seconds)
            finally:
                if not connecting.done():
                    # Killed first: the SDK's own way out of a start waits for a CLI that hangs.
                    await processes.end(self.mark, 0.0)
                    connecting.cancel()
                    await asyncio.gather(connecting, return_exceptions=True)
        if not done:
            raise TimeoutError
        connecting.result()

    async def send(self, message: dict[str, Any]) -> None:
        """Write one user message.

        Raises:
            AgentFailed: The CLI is gone.
        """

        async def one() -> AsyncIterator[dict[str, Any]]:
            yield message

        try:
            await self.client.query(one())
        except ClaudeSDKError as error:
            raise self._failure(error, "the CLI takes no message any more") from error

    async def close(self, *, busy: bool) -> None:
        """End the CLI and all it started.

        Args:
            busy: It works; it is not given the time to finish that by itself.
        """
        self._closing = True
        if self._client is None:
            return
        if busy:
            await processes.end(self.mark, CLOSE_SECONDS / 2)
        await self._disconnect()
        await processes.end(self.mark, CLOSE_SECONDS / 2)
        await self._stop_reading()
        self._client = None

    async def kill(self) -> None:
        """End it without asking."""
        self._closing = True
        await processes.end(self.mark, 0.0)
        await self._disconnect()
        await self._stop_reading()

    async def _disconnect(self) -> None:
        # The SDK's own close may take 20 s; what it leaves is ended by its mark.
        assert self._client is not None
        with suppress(TimeoutError, ClaudeSDKError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.disconnect()

    async def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        failure: AgentFailed | None = None
        try:
            async for frame in frames(self.client):
                self._on_frame(frame)
            failure = AgentFailed(self._told("the CLI ended"), code="cli_ended", retryable=True)
        except Exception as error:  # noqa: BLE001 — the edge of a task: it becomes the turn's failure
            failure = self._failure(error, "the CLI failed")
        if not self._closing:
            self._on_end(failure)

    def _failure(self, error: Exception, what: str) -> AgentFailed:
        if isinstance(error, CLIJSONDecodeError):
            message = self._told(f"{what}: it wrote what is no message of its protocol")
            return AgentFailed(message, code="cli_garbage", retryable=True)
        if isinstance(error, ProcessError):
            cause = _exit(error.exit_code)
            return AgentFailed(self._told(f"{what}: {cause}"), code="cli_crashed", retryable=True)
        return AgentFailed(self._told(f"{what}: {error}"), code="cli_failed", retryable=True)

    def _told(self, what: str) -> str:
        """With the last of what the CLI said on stderr, which names the cause most often."""
        last = "\n".join(list(self._stderr)[-10:])
        return f"{what}. Its last words:\n{last}" if last else what


def _exit(code: int | None) -> str:
    if code is None:
        return "its process is gone"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
