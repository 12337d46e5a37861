"""What a runner was given in confidence is in no image, and before no tool of the agent's."""

from __future__ import annotations

import pytest
from containers import Session, ours
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

EVERY = "/proc/[0-9]*/environ /proc/[0-9]*/cmdline"
LOOK = f"(cat {EVERY} 2>&1 | tr '\\0' '\\n'; env; echo done) >seen"


@pytest.mark.parametrize("in_file", [False, True], ids=["BOT_TOKEN", "BOT_TOKEN_FILE"])
def test_no_tool_sees_the_token_in_any_process(session: Session, in_file: bool) -> None:
    """Claude's Bash reads every process's environment, the first one's too: no token is there."""
    replies = [Reply("I look.", tools=[ToolUse("Bash", {"command": LOOK})]), Reply("Done.")]
    with ScriptedModel(replies) as model:
        given = {**model.environment(), "PROMPT": "go", "NON_INTERACTIVE_POLICY": "allow"}
        container = session.start(ours("claude"), given, token_in_file=in_file)
        assert container.wait() == 0, container.said
    seen = session.file("seen")
    assert seen.endswith("done\n")
    assert "RUNNER_INSTANCE=" in seen or "PATH=" in seen
    assert session.token not in seen
    assert session.token not in container.said + container.log.read_text()
