"""Agents made by `create_agent`, as people make them."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.tools import tool
from pydantic import BaseModel
from real_graphs import call
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply


@tool
def remove(path: str) -> str:
    """Remove a file."""
    return f"removed {path}"


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: float


human_in_the_loop = create_agent(
    ScriptedChatModel(
        replies=[
            ScriptedReply(
                tool_calls=[call("remove", "c1", path="/a"), call("remove", "c2", path="/b")]
            ),
            ScriptedReply("Both are dealt with."),
        ]
    ),
    tools=[remove],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"remove": True})],
)

approval_per_call = create_agent(
    ScriptedChatModel(
        replies=[
            ScriptedReply(tool_calls=[call("remove", "c1", path="/a")]),
            ScriptedReply("Left alone."),
        ]
    ),
    tools=[remove],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"remove": True}, interrupt_mode="per_call")],
)

structured_output = create_agent(
    ScriptedChatModel(
        replies=[ScriptedReply(tool_calls=[call("Weather", "c1", city="Oslo", degrees=-3.5)])]
    ),
    response_format=ToolStrategy(Weather),
)
