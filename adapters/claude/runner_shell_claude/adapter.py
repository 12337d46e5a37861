"""The adapter: one SDK session per session, one CLI for as long as it serves, turns until rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, HookMatcher, PermissionResultDeny
from msgspec.structs import replace

from runner_shell import (
    Adapter,
    AdapterSettings,
    AgentFailed,
    Capabilities,
    Continue,
    Ending,
    Session,
    Turn,
    UserMessage,
    events,
)
from runner_shell import commands as told

from . import commands, in_process, inputs, online, options
from .connection import Connection
from .conversation import Conversation, user_message
from .mcp import load_servers
from .memory import Memory
from .preflight import preflight
from .questions import RULES, Desk, denying_settings
from .runner_tools import ASK, SERVER, RunnerTools
from .runner_tools import RULES as OWN_RULES
from .sdk import versions
from .settings import ClaudeSettings

GO_ON = (
    "The process that ran you ended in the middle of this turn and was started again. Look at what "
    "is done already, then go on where you were."
)
"""What is said to a conversation that a dead process left unfinished."""

HOOK_SECONDS = 7 * 24 * 3600.0
"""A hook that asks a person waits as long as a person may take."""


class ClaudeAdapter(Adapter):
    """Runs Claude Code."""

    name = "claude"
    capabilities = Capabilities(
        resume=True,
        inject=True,
        defer=True,
        commands=frozenset({"adapter.call", "files.rewind", "settings.update", "state.fork"}),
    )
    Settings = ClaudeSettings

    settings: ClaudeSettings

    def __init__(self, settings: ClaudeSettings) -> None:
        super().__init__(settings)
        # Each session says truly what it can; the contract has it per class only. A turn that a
        # deferred call ends has no room for another message.
        defers = settings.policy == "defer"
        lacking = frozenset() if settings.keeps_checkpoints else frozenset({"files.rewind"})
        can = self.capabilities.commands - lacking
        self.capabilities = replace(  # type: ignore[misc]
            self.capabilities, defer=defers, inject=not defers, commands=can
        )
        self._session: Session
        self._memory: Memory
        self._conversation: Conversation
        self._desk: Desk
        self._tools: RunnerTools
        self._servers: dict[str, Any] = {}
        self._denied: tuple[dict[str, Any], str] | None = None
        self._opened = False
        self._warned = False

    @classmethod
    def preflight(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """What keeps Claude from working here: settings, MCP servers, the CLI, its access."""
        assert isinstance(settings, ClaudeSettings)
        return preflight(settings, workspace, os.environ)

    @classmethod
    def preflight_online(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """What Anthropic's API says of the key and the models."""
        del workspace
        assert isinstance(settings, ClaudeSettings)
        return online.ask(settings, os.environ)

    async def open(self, session: Session) -> None:
        """Check what is set; the CLI starts with the first turn.

        Raises:
            ConfigurationError: What is set cannot work, and what would.
        """
        self.settings.check()
        self._session = session
        self._memory = Memory(session, in_store=self.settings.transcripts == "store")
        self._memory.directory.mkdir(mode=0o700, exist_ok=True)
        self._servers = load_servers(self.settings, session.workspace.path, os.environ)
        self._servers |= in_process.load(self.settings.mcp_servers)
        self._conversation = Conversation(
            session, self._memory, self._options, self.settings.start_seconds
        )
        self._desk = Desk(session, self.settings, self._permission_mode, self._called_with)
        self._tools = RunnerTools(
            session, self._conversation.say, self.settings.policy, self.settings.answer_seconds
        )
        if self.settings.runner_tools:
            self._servers[SERVER] = self._tools.server()
        self._opened = True
        options.check(self.settings)

    async def turn(self, turn: Turn) -> Ending:
        """Say what the user said, and go on until the CLI is at rest.

        Raises:
            AgentFailed: The CLI crashed, did not start, or wrote garbage (`cli_…`), or the
                message cannot be sent (`invalid_input`).
        """
        conversation = self._conversation
        conversation.begin(turn)
        self._warn()
        try:
            if not await self._set_going(turn):
                return Ending("waiting", "a permission is open")
            await self._to_rest()
            found = conversation.ending()
            ending = conversation.finish(found)
            if found.outcome == "waiting":
                # The CLI takes an answer up only as it resumes.
                await conversation.disconnect()
            return ending
        finally:
            conversation.leave()

    async def interrupt(self, reason: str) -> bool:
        """Tell the CLI, in the middle of whatever it does."""
        return await self._conversation.interrupt(reason)

    async def inject(self, message: UserMessage) -> bool:
        """Send a message into the running turn, once the CLI works on it."""
        conversation = self._conversation
        if not conversation.takes_more:
            return False
        content = inputs.content(message, self._session.workspace.path)
        # A CLI that just died is sent it again, if the turn goes on; one that does not read has it
        # in its pipe. From here on it is the turn's, also where this is cancelled.
        with suppress(AgentFailed, asyncio.CancelledError):
            await conversation.add(user_message(content))
        return True

    async def handle(self, command: told.Command | told.ReservedCommand) -> events.JSON:
        """Carry out `settings.update`, `files.rewind` and `adapter.call`."""
        return await commands.handle(command, self._conversation, self._memory)

    async def close(self) -> None:
        """End the CLI and everything it started."""
        if self._opened:
            await self._conversation.disconnect()

    def describe(self) -> dict[str, events.JSON]:
        """The model, the permission mode, and the versions of SDK and CLI."""
        found: dict[str, events.JSON] = {
            "model": self.settings.model,
            "permission_mode": self.settings.permission_mode,
            "policy": self.settings.policy,
            **versions(),
        }
        if self.settings.cli is not None:
            found["cli"] = str(self.settings.cli)
        return found

    # --- setting a turn going ----------------------------------------------------------------

    async def _set_going(self, turn: Turn) -> bool:
        """Begin what the turn is to do; False where its question is still open."""
        conversation, desk = self._conversation, self._desk
        if isinstance(turn.input, UserMessage):
            content = inputs.content(turn.input, self._session.workspace.path)
            if desk.deferred_id:
                desk.supersede()
                await self._resume_deferred()
            await conversation.connect()
            await conversation.send(user_message(content))
        elif desk.deferred_id:
            return await self._resume_deferred()
        elif turn.input == Continue(cause="restart") or (
            # A process that died while it asked left no deferred call, but a turn to go on with.
            turn.input == Continue(cause="answers") and self._memory.pending()
        ):
            await self._restart()
        return True

    async def _resume_deferred(self) -> bool:
        decided = await self._desk.decided()
        if decided is None:
            return False
        if isinstance(decided, PermissionResultDeny):
            self._denied = (self._session.state["claude.deferred"], decided.message)
        await self._conversation.disconnect()
        try:
            await self._conversation.connect()
        finally:
            self._denied = None
        self._conversation.expect_deferred()
        return True

    async def _restart(self) -> None:
        """An earlier process died in this turn: say its message, or go on after it."""
        pending = self._memory.pending()
        await self._conversation.connect()
        if not self._memory.has_transcript and not pending:
            raise AgentFailed("the conversation's transcript is gone", code="state_lost")
        await self._go_on(pending)

    async def _go_on(self, pending: list[dict[str, Any]]) -> None:
        """Say what the conversation does not know, after a word to go on where it knows some."""
        said = [one for one in pending if one["message"]["content"] != GO_ON]
        unknown = [one for one in said if not self._memory.knows(one["uuid"])]
        if not pending or unknown != pending:
            unknown.insert(0, user_message(GO_ON))
        await self._conversation.send(*unknown)

    async def _to_rest(self) -> None:
        """Go on to the rest, over one death of the CLI in which no tool was at work."""
        conversation = self._conversation
        try:
            await conversation.to_rest()
        except AgentFailed as failure:
            if not conversation.resumable:
                raise
            conversation.say(*conversation.translator.close(cancelled=True))
            message = f"{failure}. The conversation goes on in a new one"
            conversation.say(events.Warning_(code="cli_restarted", message=message))
            pending = self._memory.pending()
            await conversation.connect()
            await self._go_on(pending)
            await conversation.to_rest()

    # --- what the CLI is started with ----------------------------------------------------------

    def _options(self, connection: Connection, resume: bool) -> ClaudeAgentOptions:
        changed = self._memory.changed
        more: dict[str, Any] = {}
        if self._denied is not None:
            more["settings"] = denying_settings(*self._denied)
        if self._memory.store is not None:
            more |= {"session_store": self._memory.store, "session_store_flush": "eager"}
        return options.build(
            self.settings,
            workspace=self._session.workspace.path,
            config_dir=self._memory.directory,
            environ=os.environ,
            mark=connection.environment,
            session=self._memory.id,
            resume=resume,
            fork=self._memory.forked,
            rules=[*self._session.state.get(RULES, []), *self._own_rules()],
            permission_mode=changed.get("permission_mode", ""),
            model=changed.get("model", ""),
            add_dirs=changed.get("add_dirs", ()),
            mcp_servers=self._servers,
            stderr=connection.heard,
            can_use_tool=self._can_use_tool,
            hooks={"PreToolUse": [HookMatcher(hooks=[self._before_tool], timeout=HOOK_SECONDS)]},
            **more,
        )

    def _own_rules(self) -> tuple[str, ...]:
        return OWN_RULES if self.settings.runner_tools else ()

    async def _can_use_tool(self, name: str, input: dict[str, Any], context: Any) -> Any:
        await self._conversation.in_turn()
        return await self._desk.can_use_tool(name, input, context)

    async def _before_tool(self, said: Any, call: str | None, context: Any) -> Any:
        del context
        await self._conversation.in_turn()
        await self._conversation.without_pressure()
        name, input = str(said.get("tool_name", "")), dict(said.get("tool_input") or {})
        if name == ASK:
            self._tools.called(call or "", input)
        return await self._desk.before_tool(name, input, call or "")

    def _permission_mode(self) -> str:
        return str(
            self._conversation.permission_mode
            or self._memory.changed.get("permission_mode")
            or self.settings.permission_mode
        )

    def _called_with(self, call: str) -> Any:
        found = self._conversation.translator.calls.get(call)
        return None if found is None else found.input

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            for code, message in self.settings.warnings():
                self._conversation.say(events.Warning_(code=code, message=message))
