"""Permissions, questions, plans: what Claude asks as a request, an answer as its result: pure.

* **A tool** asks a `permission`; the answer is `allow`, `allow_always` (with the CLI's own
  suggestions as rules of this session), `deny`, or an object `{"decision", "input", "message",
  "interrupt"}` whose `input` takes the place of the tool's.
* **AskUserQuestion** asks a `question`: the answer is an option's label, a list of them, or an
  object from each question's text to one of these.
* **ExitPlanMode** asks for approval of a `plan`: `approve`, `accept_edits` (and edit files from now
  on without asking), `reject`, or an object as above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from claude_agent_sdk import (
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    ToolPermissionContext,
)

from runner_shell import Answer, Request, events

from . import tools

PermissionResult = PermissionResultAllow | PermissionResultDeny

QUESTION, PLAN = "AskUserQuestion", "ExitPlanMode"

NOBODY = "Nobody is there to answer. Go on without it, or end here and say what you need."
SUPERSEDED = "The user did not answer this but wrote a new message, which comes next."

_ALLOW = frozenset({"allow", "allow_always", "approve", "accept_edits", "yes"})
_OPTIONS: dict[str, tuple[str, ...]] = {
    "permission": ("allow", "deny"),
    "plan": ("approve", "accept_edits", "reject"),
}


def request(
    name: str,
    input: Mapping[str, Any],
    context: ToolPermissionContext | None = None,
    *,
    called_with: Any = None,
    default: events.JSON = None,
    timeout_seconds: float | None = None,
) -> Request:
    """What a person is asked.

    Args:
        name: The tool.
        input: Its arguments.
        context: What the CLI says beside them.
        called_with: The arguments as the model gave them; a plan's text stands only there.
        default: The answer when nobody gives one in time.
        timeout_seconds: How long to wait for one.
    """
    if name == QUESTION:
        asked = _question(input)
    elif name == PLAN:
        asked = _plan(called_with if isinstance(called_with, Mapping) else input)
    else:
        asked = _permission(name, input, context)
    return Request(**asked, default=default, timeout_seconds=timeout_seconds)


def result(
    name: str,
    input: Mapping[str, Any],
    answer: Answer,
    suggestions: Sequence[PermissionUpdate] = (),
) -> PermissionResult:
    """What an answer lets the tool do. Whatever is not plainly a yes is a no."""
    if answer.how in ("superseded", "cancelled"):
        return PermissionResultDeny(message=SUPERSEDED, interrupt=True)
    if name == QUESTION:
        return _answered(input, answer.value)
    decision, changes = _decision(answer.value)
    if decision not in _ALLOW:
        message = str(changes.get("message") or (NOBODY if answer.how == "expired" else ""))
        message = message or "The user does not allow this."
        return PermissionResultDeny(message=message, interrupt=bool(changes.get("interrupt")))
    changed = changes.get("input")
    return PermissionResultAllow(
        updated_input=dict(changed) if isinstance(changed, Mapping) else None,
        updated_permissions=_updates(decision, suggestions),
    )


# --- asking ----------------------------------------------------------------------------------


def _permission(
    name: str, input: Mapping[str, Any], context: ToolPermissionContext | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"tool": name, "input": dict(input)}
    options = _OPTIONS["permission"]
    title = tools.title(name, input)
    if context is not None:
        said = {
            "reason": context.decision_reason,
            "blocked_path": context.blocked_path,
            "agent": context.agent_id,
            "description": context.description,
            "suggestions": [_suggestion(update) for update in context.suggestions],
        }
        body |= {key: value for key, value in said.items() if value}
        title = tools.one_line(context.title) if context.title else title
        if context.suggestions:
            options = ("allow", "allow_always", "deny")
    return {
        "kind": "permission",
        "title": title,
        "body": body,
        "options": options,
        "schema": _schema(options),
    }


def _plan(input: Mapping[str, Any]) -> dict[str, Any]:
    options = _OPTIONS["plan"]
    return {
        "kind": "plan",
        "title": "Go on with this plan?",
        "body": {"plan": str(input.get("plan", ""))},
        "options": options,
        "schema": _schema(options),
    }


def _schema(options: Sequence[str]) -> dict[str, Any]:
    """A word, or an object that says more."""
    return {
        "anyOf": [
            {"enum": [*options, True, False, None]},
            {
                "type": "object",
                "required": ["decision"],
                "properties": {
                    "decision": {"enum": list(options)},
                    "input": {"type": "object"},
                    "message": {"type": "string"},
                    "interrupt": {"type": "boolean"},
                },
            },
        ]
    }


def _question(input: Mapping[str, Any]) -> dict[str, Any]:
    questions = _questions(input)
    first = questions[0] if questions else {}
    alone = len(questions) == 1
    options = first.get("options") or () if alone else ()
    return {
        "kind": "question",
        "title": tools.one_line(str(first.get("question") or "Claude has a question")),
        "body": {"questions": questions},
        "options": tuple(
            {"value": option.get("label"), **option}
            for option in options
            if isinstance(option, Mapping)
        ),
        "schema": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": True},
                {"type": "null"},
            ]
        },
    }


def _questions(input: Mapping[str, Any]) -> list[dict[str, Any]]:
    questions = input.get("questions")
    if not isinstance(questions, list):
        return []
    return [dict(question) for question in questions if isinstance(question, Mapping)]


def _suggestion(update: PermissionUpdate) -> dict[str, Any]:
    said: dict[str, Any] = {"type": update.type, "mode": update.mode}
    said["directories"] = update.directories
    said["rules"] = [rule_text(rule.tool_name, rule.rule_content) for rule in update.rules or ()]
    return {key: value for key, value in said.items() if value}


def rule_text(tool: str, content: str | None) -> str:
    """A permission rule as the CLI's options write it, such as `Bash(npm test)`."""
    return f"{tool}({content})" if content else tool


# --- answers ---------------------------------------------------------------------------------


def _decision(value: events.JSON) -> tuple[str, Mapping[str, Any]]:
    match value:
        case True:
            return "allow", {}
        case str():
            return value, {}
        case {"decision": str(decision)}:
            return decision, value
        case {"behavior": str(decision)}:
            return decision, value
        case _:
            return "deny", {}


def _updates(
    decision: str, suggestions: Sequence[PermissionUpdate]
) -> list[PermissionUpdate] | None:
    """Rules hold for the session: an answer must not write into the repository's settings."""
    if decision == "accept_edits":
        return [PermissionUpdate(type="setMode", mode="acceptEdits", destination="session")]
    if decision == "allow_always" and suggestions:
        return [replace(update, destination="session") for update in suggestions]
    return None


def _answered(input: Mapping[str, Any], value: events.JSON) -> PermissionResult:
    questions = [str(question.get("question", "")) for question in _questions(input)]
    if value is None:
        return PermissionResultDeny(message=NOBODY)
    if isinstance(value, Mapping):
        given = value.get("answers", value)
        answers = dict(given) if isinstance(given, Mapping) else {}
    else:
        answers = dict.fromkeys(questions[:1], value)
    texts = {str(question): _joined(answer) for question, answer in answers.items()}
    return PermissionResultAllow(updated_input={**input, "answers": texts})


def _joined(answer: Any) -> str:
    return ", ".join(map(str, answer)) if isinstance(answer, list | tuple) else str(answer)
