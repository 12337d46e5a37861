"""Who decides what a tool may do: the policy, or a person, once per call.

The CLI asks by two ways. `can_use_tool` comes where its own rules want a person; it holds the
turn. The hook before every tool comes first, and only it can *defer*: end the turn, and leave the
call to a later process. So with the policy `defer` the questions are asked there, for every tool
that is not allowed by name, and `can_use_tool` gives the same answer again, by the call's id:
after a resume the CLI may begin before the hook is known to it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping
from typing import Any

from claude_agent_sdk import (
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    ToolPermissionContext,
)

from runner_shell import Answer, Session, events

from . import requests
from .asked import Asked, digest_of
from .runner_tools import RULES as OWN_RULES
from .settings import ClaudeSettings

DEFERRED = "claude.deferred"
"""Durable: the call that waits for an answer, `{"id", "name", "input"}`."""

RULES = "claude.rules"
"""Durable: the permission rules that a person allowed always."""

ANOTHER_WAITS = (
    "Another tool call waits for a person's decision. Call this one again when that is decided."
)

_READS = frozenset(
    {
        *OWN_RULES,
        "BashOutput",
        "EnterPlanMode",
        "Glob",
        "Grep",
        "LS",
        "ListAgents",
        "NotebookRead",
        "Read",
        "TaskCreate",
        "TaskGet",
        "TaskList",
        "TaskUpdate",
        "TodoWrite",
        "ToolSearch",
    }
)
"""Tools that change nothing outside of the conversation."""

_EDITS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})


class Desk:
    """Answers the CLI's questions.

    Args:
        session: Where people are asked, and what is durable.
        settings: The policy.
        mode: Gives the permission mode that holds now.
        called_with: Gives a call's arguments as the model gave them.
    """

    def __init__(
        self,
        session: Session,
        settings: ClaudeSettings,
        mode: Any,
        called_with: Any,
    ) -> None:
        self._session = session
        self._settings = settings
        self._mode = mode
        self._called_with = called_with
        self._one_at_a_time = asyncio.Lock()
        self._superseded: set[str] = set()
        self._asked = Asked(session)

    # --- the CLI's two ways ------------------------------------------------------------------

    async def can_use_tool(
        self, name: str, input: dict[str, Any], context: ToolPermissionContext
    ) -> requests.PermissionResult:
        """The CLI's rules want a person."""
        key = context.tool_use_id or digest_of(name, input)
        if (decided := self._by_policy(name)) is not None:
            return decided
        if self._settings.policy == "defer" and self.deferred_id not in ("", key):
            return PermissionResultDeny(message=ANOTHER_WAITS)
        answer = await self._ask(name, input, key, context, may_defer=False)
        assert answer is not None
        found = requests.result(name, input, answer, context.suggestions)
        self._settle(key, found)
        return found

    async def before_tool(self, name: str, input: dict[str, Any], key: str) -> dict[str, Any]:
        """The hook before every tool: an output of the SDK's, empty for no opinion."""
        if self._settings.policy != "defer" or not self._needs_person(name):
            return {}
        async with self._one_at_a_time:
            if self.deferred_id not in ("", key):
                # Of several deferred calls the CLI keeps only the last.
                return _hook("deny", ANOTHER_WAITS)
            answer = await self._ask(name, input, key, None, may_defer=True)
            if answer is None:
                self._session.state[DEFERRED] = {"id": key, "name": name, "input": input}
                return _hook("defer")
        found = requests.result(name, input, answer)
        if isinstance(found, PermissionResultDeny):
            self._settle(key, found)
            return _hook("deny", found.message)
        if name in (requests.QUESTION, requests.PLAN):
            return {}  # the answer itself goes by `can_use_tool`
        self._settle(key, found)
        return _hook("allow", updated=found.updated_input)

    # --- a call that was deferred ------------------------------------------------------------

    @property
    def deferred_id(self) -> str:
        """Id of the call that waits, or empty."""
        return str((self._session.state.get(DEFERRED) or {}).get("id", ""))

    async def decided(self) -> requests.PermissionResult | None:
        """What came of the deferred call, before the CLI is started; None: still open."""
        waiting = self._session.state[DEFERRED]
        name, input, key = waiting["name"], waiting["input"], waiting["id"]
        answer = await self._ask(name, input, key, None, may_defer=True)
        return None if answer is None else requests.result(name, input, answer)

    def supersede(self) -> None:
        """A message came in place of the answer: the deferred call is denied."""
        self._superseded.add(self.deferred_id)

    def settled(self) -> None:
        """The deferred call is carried out or denied."""
        self._session.state.pop(DEFERRED, None)

    # --- deciding ----------------------------------------------------------------------------

    async def _ask(
        self,
        name: str,
        input: Mapping[str, Any],
        key: str,
        context: ToolPermissionContext | None,
        *,
        may_defer: bool,
    ) -> Answer | None:
        if key in self._superseded:
            return Answer(value=None, how="superseded")
        request = requests.request(
            name,
            input,
            context,
            called_with=self._called_with(key),
            default=_default(name, self._settings.policy),
            timeout_seconds=self._settings.answer_seconds,
        )
        with self._asked.key(name, input, key) as question:
            answer = await (
                self._session.ask(request, key=question.key, may_defer=True)
                if may_defer
                else self._session.ask(request, key=question.key)
            )
            question.decided = answer is not None
        return answer

    def _by_policy(self, name: str) -> requests.PermissionResult | None:
        """What the policy decides without asking anybody."""
        policy = self._settings.policy
        if policy not in ("allow", "deny") or self._settings.answer_seconds is not None:
            return None
        if policy == "allow" and name != requests.QUESTION:
            return PermissionResultAllow()
        return PermissionResultDeny(message=requests.NOBODY)

    def _needs_person(self, name: str) -> bool:
        mode = self._mode()
        if mode == "bypassPermissions" or name in _READS:
            return False
        if mode == "acceptEdits" and name in _EDITS:
            return False
        allowed = {*self._settings.allowed_tools, *self._session.state.get(RULES, [])}
        server = name.rpartition("__")[0]
        return name not in allowed and not {server, f"{server}__*"} & (allowed - {""})

    def _settle(self, key: str, found: requests.PermissionResult) -> None:
        if key == self.deferred_id:
            self.settled()
        if isinstance(found, PermissionResultAllow):
            self._keep(found.updated_permissions or [])

    def _keep(self, updates: list[PermissionUpdate]) -> None:
        """Rules live as long as the session, not as long as the CLI."""
        rules = [
            requests.rule_text(rule.tool_name, rule.rule_content)
            for update in updates
            if update.type == "addRules" and update.behavior == "allow"
            for rule in update.rules or ()
        ]
        if rules:
            known = self._session.state.get(RULES, [])
            self._session.state[RULES] = [*known, *(rule for rule in rules if rule not in known)]


def denying_settings(call: Mapping[str, Any], message: str) -> str:
    """Settings of the CLI by which it denies this one call, however it comes to it.

    A command hook stands in the settings and holds from the CLI's first moment; a callback is known
    to it only once it is initialised, and a rule of its own may let the call through before.
    """
    output = json.dumps(_hook("deny", message))
    found = f"grep -qF {shlex.quote(str(call['id']))} && printf %s {shlex.quote(output)}; true"
    hook = {"type": "command", "command": found}
    matcher = {"matcher": str(call["name"]), "hooks": [hook]}
    return json.dumps({"hooks": {"PreToolUse": [matcher]}})


def _default(name: str, policy: str) -> events.JSON:
    if policy != "allow" or name == requests.QUESTION:
        return None
    return "approve" if name == requests.PLAN else "allow"


def _hook(decision: str, reason: str = "", *, updated: Any = None) -> dict[str, Any]:
    said: dict[str, Any] = {"hookEventName": "PreToolUse", "permissionDecision": decision}
    if reason:
        said["permissionDecisionReason"] = reason
    if updated is not None:
        said["updatedInput"] = updated
    return {"hookSpecificOutput": said}
