"""The Claude adapter, on the real CLI, passes the suite that outside adapters subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from runner_shell_claude import ClaudeAdapter, ClaudeSettings
from runner_shell_claude.testing import ApiError, ModelRequest, Reply, ScriptedModel, ToolUse

from runner_shell.testing.conformance import AdapterConformance

pytestmark = pytest.mark.slow


def calls(tool: ToolUse) -> Callable[[ModelRequest], Reply]:
    """Calls a tool, and says so once it returned."""

    def reply(request: ModelRequest) -> Reply:
        if request.tool_results():
            return Reply("It is called.")
        return Reply("I call it.", tools=[tool])

    return reply


MODEL = ScriptedModel(
    conversations={
        "scenario: says": lambda _: Reply("hello from Claude", thinking="Hm."),
        "scenario: waits": lambda _: Reply("this takes a while", hold_after=1),
        "scenario: asks": calls(ToolUse("Bash", {"command": "exit 3"})),
        "scenario: fails": lambda _: ApiError(400, "no such thing"),
        "scenario: uses": calls(ToolUse("Bash", {"command": "echo called"})),
    }
)


@pytest.fixture(scope="module", autouse=True)
def model() -> Iterator[None]:
    with MODEL:
        yield


def make() -> ClaudeAdapter:
    """An adapter that asks the scripted model."""
    environment = {**MODEL.environment(), "LLM_MODEL": "claude-sonnet-5"}
    return ClaudeAdapter(ClaudeSettings.from_environment(environment))


class TestClaude(AdapterConformance):
    """Every scenario, in the real shell."""

    adapter = staticmethod(make)
    says = "scenario: says"
    runs_long = "scenario: waits"
    asks = "scenario: asks"
    answer = "allow"
    fails = "scenario: fails"
    uses_tool = "scenario: uses"
    interrupt_seconds = 20.0
