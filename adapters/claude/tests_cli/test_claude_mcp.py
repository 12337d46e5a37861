"""Tools of MCP servers, of the runner's process and of the runner itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from claude_recording import Recorder
from real_cli import finished, running
from runner_shell_claude import ClaudeAdapter
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell import commands as told
from runner_shell import events
from runner_shell.testing.recorder import answered

pytestmark = pytest.mark.slow


MCP_SERVER = """
import sys
from mcp.server import MCPServer
server = MCPServer("house")

@server.tool()
def colour(of: str) -> str:
    "The colour of a thing."
    return f"the {of} is blue"

server.run("stdio")
"""


async def test_a_tool_of_an_mcp_server(
    recorder: Recorder, model: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stdio server from a configuration outside of the workspace is started and its tool runs.

    Switched off and connected anew, it is there again.
    """
    (tmp_path / "server.py").write_text(MCP_SERVER)
    server = {"command": "${PYTHON}", "args": [str(tmp_path / "server.py")]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"house": server}}))
    more = {
        "MCP_CONFIG_PATH": str(tmp_path / "mcp.json"),
        "CLAUDE_MCP_VARIABLES": "PYTHON",
        "CLAUDE_ALLOWED_TOOLS": "mcp__house",
    }
    monkeypatch.setenv("PYTHON", sys.executable)
    model.say(Reply(tools=[ToolUse("mcp__house__colour", {"of": "door"})]), Reply("done"))
    async with running(recorder, model, **more) as adapter:
        await recorder.turn(adapter, "which colour?")
        house: Any = {"server": "house"}
        for enabled in (False, True):
            params = house | {"enabled": enabled}
            await adapter.handle(told.AdapterCall(id="c", method="mcp_toggle", params=params))
        await adapter.handle(told.AdapterCall(id="c", method="mcp_reconnect", params=house))
        status = await adapter.handle(told.AdapterCall(id="c1", method="mcp_status"))
    assert ("house", "connected") in [(one["name"], one["status"]) for one in status]
    assert not any("config" in one for one in status)
    ((outcome, output),) = finished(recorder)
    assert (outcome, "the door is blue" in str(output)) == ("ok", True)


HOUSE = """
from claude_agent_sdk import create_sdk_mcp_server, tool

@tool("colour", "The colour of a thing.", {"of": str})
async def colour(given):
    return {"content": [{"type": "text", "text": f"the {given['of']} is green"}]}

def make():
    return create_sdk_mcp_server("house", tools=[colour])
"""


async def test_a_server_in_the_runners_process(
    recorder: Recorder, model: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by an import path, it can be switched off and on."""
    (tmp_path / "house_of_test.py").write_text(HOUSE)
    monkeypatch.syspath_prepend(str(tmp_path))
    more = {"CLAUDE_MCP_SERVERS": "house=house_of_test:make", "CLAUDE_ALLOWED_TOOLS": "mcp__house"}
    colour = ToolUse("mcp__house__colour", {"of": "door"})
    model.say(
        Reply(tools=[colour]), Reply("done"), Reply("off"), Reply(tools=[colour]), Reply("on")
    )

    async def status(adapter: ClaudeAdapter) -> dict[str, str]:
        found: Any = await adapter.handle(told.AdapterCall(id="c", method="mcp_status"))
        return {one["name"]: one["status"] for one in found}

    async def toggle(adapter: ClaudeAdapter, on: bool) -> None:
        params: Any = {"server": "house", "enabled": on}
        await adapter.handle(told.AdapterCall(id="c", method="mcp_toggle", params=params))

    async with running(recorder, model, **more) as adapter:
        await recorder.turn(adapter, "which colour?")
        assert (await status(adapter))["house"] == "connected"
        await toggle(adapter, on=False)
        assert (await status(adapter))["house"] == "disabled"
        await recorder.turn(adapter, "and now?")
        assert "mcp__house__colour" not in model.requests[2].tools()
        await toggle(adapter, on=True)
        await recorder.turn(adapter, "and again?")
    assert ["the door is green" in str(output) for _, output in finished(recorder)] == [True, True]


@pytest.mark.bounded
async def test_the_runners_own_tools(recorder: Recorder, model: ScriptedModel) -> None:
    """`artifact` says what a file is; `ask` has an answer in free words. Nobody permits them."""
    (recorder.workspace / "report.md").write_text("all is well\n")
    artifact, outside = (
        ToolUse("mcp__runner__artifact", {"path": path}) for path in ("report.md", "../x")
    )
    ask = ToolUse("mcp__runner__ask", {"question": "Which city?\nFor the weather."})
    model.say(Reply(tools=[artifact, outside]), Reply(tools=[ask]), Reply("done"))
    recorder.person = answered("Graz")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "go")
    (found,) = recorder.of(events.ArtifactCreated)
    assert (found.path, found.bytes, found.media_type) == ("report.md", 12, "text/markdown")
    ((key, request),) = recorder.asked.items()
    assert (request.kind, request.title) == ("input", "Which city?")
    assert key == recorder.of(events.ToolStarted)[-1].call
    statuses = [(status, str(output)) for status, output in finished(recorder)]
    assert sorted(status for status, _ in statuses) == ["error", "ok", "ok"]
    assert "Graz" in statuses[-1][1]
