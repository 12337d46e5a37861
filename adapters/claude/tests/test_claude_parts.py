"""The pure parts: rest, endings, usage, requests, inputs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    ToolPermissionContext,
)
from claude_agent_sdk.types import PermissionRuleValue
from runner_shell_claude import inputs, requests
from runner_shell_claude.endings import ending_of
from runner_shell_claude.rest import Rest
from runner_shell_claude.usage import Meter, Total

from runner_shell import AgentFailed, Answer, UserMessage, events

# --- rest ------------------------------------------------------------------------------------


def state(name: str) -> dict[str, Any]:
    return {"type": "system", "subtype": "session_state_changed", "state": name}


def message(id: str, name: str) -> dict[str, Any]:
    return {"type": "command_lifecycle", "command_uuid": id, "state": name}


def test_a_result_is_not_the_rest() -> None:
    """A sub-agent may go on after a result; only the idle state ends the turn."""
    rest = Rest()
    rest.sent("u1")
    for frame in (state("running"), message("u1", "started"), {"type": "result"}):
        rest.receive(frame)
    rest.receive(message("u1", "completed"))
    assert not rest.at_rest
    rest.receive(state("idle"))
    assert rest.at_rest


def test_the_idle_state_of_other_work_is_not_the_rest() -> None:
    """A message that was sent and not taken up is still to be answered."""
    rest = Rest()
    rest.receive(state("running"))
    rest.sent("u1")
    rest.receive(state("idle"))
    assert not rest.at_rest
    for frame in (state("running"), message("u1", "cancelled"), state("idle")):
        rest.receive(frame)
    assert rest.at_rest


def test_a_result_that_names_a_message_has_dealt_with_it() -> None:
    """A CLI that says nothing of a message's course names it in its result."""
    rest = Rest()
    rest.sent("u1")
    rest.receive({"type": "result", "user_message_uuids": ["u1"]})
    assert rest.at_rest


def test_a_deferred_call_is_waited_for() -> None:
    """After a resume a result is due that no message asks for."""
    rest = Rest()
    rest.expecting = True
    assert not rest.at_rest
    rest.receive({"type": "result"})
    assert rest.at_rest


# --- endings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "outcome", "code", "retryable"),
    [
        ({"terminal_reason": "completed"}, "completed", None, False),
        ({}, "completed", None, False),
        ({"terminal_reason": "aborted_streaming", "is_error": True}, "interrupted", None, False),
        ({"terminal_reason": "aborted_tools", "is_error": True}, "interrupted", None, False),
        ({"terminal_reason": "tool_deferred"}, "waiting", None, False),
        ({"terminal_reason": None, "deferred_tool_use": {"id": "t"}}, "waiting", None, False),
        ({"terminal_reason": "max_turns", "is_error": True}, "failed", "max_turns", False),
        ({"subtype": "error_max_turns", "is_error": True}, "failed", "max_turns", False),
        (
            {"subtype": "error_max_budget_usd", "is_error": True},
            "budget_exhausted",
            "budget_exhausted",
            False,
        ),
        ({"terminal_reason": "prompt_too_long"}, "failed", "prompt_too_long", False),
        (
            {"terminal_reason": "brand_new_error", "is_error": True},
            "failed",
            "brand_new_error",
            False,
        ),
    ],
)
def test_an_ending_is_read_from_the_terminal_reason(
    result: dict[str, Any], outcome: str, code: str | None, retryable: bool
) -> None:
    """`terminal_reason` says how it ended, whatever `subtype` says beside it."""
    found = ending_of({"type": "result", "subtype": "success", **result})
    assert found.outcome == outcome
    assert (found.error.code if found.error else None) == code
    assert (found.error.retryable if found.error else False) is retryable


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "invalid_request", False),
        (401, "unauthorized", False),
        (429, "rate_limited", True),
        (503, "api_error", True),
        (529, "overloaded", True),
        (None, "api_error", True),
    ],
)
def test_an_api_failure_is_one_though_its_subtype_is_success(
    status: int | None, code: str, retryable: bool
) -> None:
    """A 401 is a failure; whether the same may work later is said by the status."""
    found = ending_of(
        {
            "subtype": "success",
            "is_error": True,
            "terminal_reason": "api_error",
            "api_error_status": status,
            "result": "API Error",
        }
    )
    assert found.outcome == "failed"
    assert found.error is not None
    assert (found.error.code, found.error.retryable) == (code, retryable)
    assert found.error.message == "API Error"


# --- usage -----------------------------------------------------------------------------------


def counted(cost: float, **models: int) -> dict[str, Any]:
    usage = {
        name: {"inputTokens": n, "outputTokens": 1, "cacheReadInputTokens": 2, "costUSD": cost}
        for name, n in models.items()
    }
    return {"type": "result", "modelUsage": usage, "total_cost_usd": cost}


def test_a_turns_usage_is_a_difference() -> None:
    """The CLI counts up over the session; a turn's usage is what came since it began."""
    meter = Meter()
    assert meter.receive(counted(0.5, a=10))
    assert meter.usage == events.Usage(
        input_tokens=12, output_tokens=1, cache_read_tokens=2, cost_usd=0.5
    )
    meter.begin()
    assert meter.receive(counted(0.75, a=10, b=5))
    said = meter.event()
    assert list(said.by_model) == ["a", "b"] or list(said.by_model) == ["b"]
    assert said.by_model["b"].input_tokens == 7
    assert said.cost_usd == 0.75
    assert meter.usage.cost_usd == 0.25


def test_usage_goes_on_over_a_restart_and_begins_anew_at_a_reset() -> None:
    """A resumed session counts on from its saved total; a reset one from nothing."""
    meter = Meter(Total({"a": events.Usage(input_tokens=100)}, 1.0))
    meter.begin()
    meter.receive(counted(1.5, a=105))
    assert (meter.usage.input_tokens, meter.usage.cost_usd) == (7, 0.5)
    meter.reset()
    meter.receive(counted(0.25, a=3))
    assert (meter.usage.input_tokens, meter.usage.cost_usd) == (12, 0.75)


def test_a_result_without_counts_changes_nothing() -> None:
    """An API failure has no counts."""
    meter = Meter()
    assert not meter.receive({"type": "result", "modelUsage": {}, "total_cost_usd": 0})
    assert meter.total == Total()


# --- requests --------------------------------------------------------------------------------

RULE = PermissionUpdate(
    type="addRules",
    behavior="allow",
    rules=[PermissionRuleValue("Bash", "npm test")],
    destination="localSettings",
)


def test_a_permission_offers_what_the_cli_suggests() -> None:
    """With suggestions there is `allow_always`, and the body says what that would allow."""
    context = ToolPermissionContext(suggestions=[RULE], decision_reason="not allowed")
    asked = requests.request("Bash", {"command": "npm test"}, context)
    assert (asked.kind, asked.title) == ("permission", "Bash: npm test")
    assert asked.options == ("allow", "allow_always", "deny")
    assert asked.body["suggestions"] == [{"type": "addRules", "rules": ["Bash(npm test)"]}]
    assert requests.request("Bash", {"command": "x"}).options == ("allow", "deny")


@pytest.mark.parametrize("value", ["allow", True, "approve", {"decision": "allow"}])
def test_a_yes_allows(value: Any) -> None:
    """Each of the ways to say yes allows the tool with its own input."""
    found = requests.result("Bash", {}, Answer(value=value), [RULE])
    assert found == PermissionResultAllow()


@pytest.mark.parametrize("value", ["deny", False, None, "perhaps", 7, [], {"decision": "no"}, {}])
def test_whatever_is_no_yes_denies(value: Any) -> None:
    """Nothing but a plain yes lets a tool run."""
    assert isinstance(requests.result("Bash", {}, Answer(value=value)), PermissionResultDeny)


def test_always_holds_for_the_session_only() -> None:
    """Rules never go into a settings file, whatever the CLI suggests."""
    found = requests.result("Bash", {}, Answer(value="allow_always"), [RULE])
    assert isinstance(found, PermissionResultAllow)
    assert found.updated_permissions is not None
    assert [update.destination for update in found.updated_permissions] == ["session"]


def test_a_superseded_question_interrupts() -> None:
    """A new message came: the call is denied, and the turn makes room for the message."""
    found = requests.result("Bash", {}, Answer(value="allow", how="superseded"))
    assert isinstance(found, PermissionResultDeny)
    assert found.interrupt


QUESTIONS = {
    "questions": [
        {"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]},
        {"question": "How many?", "options": []},
    ]
}


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ("A", {"Which?": "A"}),
        (["A", "B"], {"Which?": "A, B"}),
        ({"Which?": "A", "How many?": "7"}, {"Which?": "A", "How many?": "7"}),
        ({"answers": {"Which?": ["A", "B"]}}, {"Which?": "A, B"}),
    ],
)
def test_answers_reach_their_questions(value: Any, answers: dict[str, str]) -> None:
    """A word answers the first question; an object answers each by its text."""
    found = requests.result(requests.QUESTION, QUESTIONS, Answer(value=value))
    assert isinstance(found, PermissionResultAllow)
    assert found.updated_input == {**QUESTIONS, "answers": answers}


def test_several_questions_offer_no_single_choice() -> None:
    """With more than one question the options stand in the body."""
    asked = requests.request(requests.QUESTION, QUESTIONS)
    assert asked.options == ()
    assert len(asked.body["questions"]) == 2


def test_a_question_that_nobody_answers_is_denied() -> None:
    """Nobody's answer is no answer; the model is told so."""
    found = requests.result(requests.QUESTION, QUESTIONS, Answer(value=None, how="expired"))
    assert isinstance(found, PermissionResultDeny)


def test_a_plan_is_shown_as_the_model_gave_it() -> None:
    """The CLI takes the plan out of the tool's input; it stands in the call."""
    asked = requests.request(requests.PLAN, {}, called_with={"plan": "1. look"})
    assert (asked.kind, asked.body) == ("plan", {"plan": "1. look"})


# --- inputs ----------------------------------------------------------------------------------


def test_text_alone_stays_text(tmp_path: Path) -> None:
    """A message of one text is sent as a string."""
    assert inputs.content(UserMessage(content="hi"), tmp_path) == "hi"
    assert inputs.content(UserMessage(content=[{"type": "text", "text": "hi"}]), tmp_path) == "hi"


def test_attachments_by_kind(tmp_path: Path) -> None:
    """Images, PDFs and text become the API's blocks, from the workspace, Base64 or text."""
    (tmp_path / "a.png").write_bytes(b"png")
    data = base64.b64encode(b"pdf").decode()
    attachments = (
        {"path": "a.png"},
        {"data": data, "media_type": "application/pdf", "name": "b.pdf"},
        {"text": "note", "name": "c.txt"},
    )
    blocks = inputs.content(UserMessage(content="see", attachments=attachments), tmp_path)
    assert isinstance(blocks, list)
    assert [block["type"] for block in blocks] == ["text", "image", "document", "document"]
    assert blocks[1]["source"]["media_type"] == "image/png"
    assert blocks[3]["source"]["data"] == "note"


@pytest.mark.parametrize(
    "attachment",
    [
        {"path": "../outside"},
        {"path": "/etc/passwd"},
        {"path": "link"},
        {"path": "missing"},
        {"data": "not Base64!"},
        {"data": base64.b64encode(b"\xff\xfe\x00").decode(), "name": "x.bin"},
        {"name": "nothing"},
        "a string",
    ],
)
def test_what_cannot_be_attached_is_refused(tmp_path: Path, attachment: Any) -> None:
    """A file outside of the workspace, a link out of it, and what is no attachment are refused."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "outside").write_text("secret")
    (workspace / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(AgentFailed) as failed:
        inputs.content(UserMessage(content="see", attachments=(attachment,)), workspace)
    assert failed.value.code == "invalid_input"
