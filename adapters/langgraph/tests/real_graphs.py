"""Graphs of the kinds people write, without a key or a network."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime, tools_condition
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from typing_extensions import TypedDict

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def call(name: str, id: str, **args: Any) -> dict[str, Any]:
    """A tool call as a model writes it."""
    return {"name": name, "args": args, "id": id}


# --- a ReAct agent with tools ----------------------------------------------------------------


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool
async def look_up(word: str, runtime: ToolRuntime) -> str:
    """Look a word up."""
    runtime.emit_output_delta(f"looking {word} up\n")
    return f"{word}: a thing"


def _react() -> Any:
    model = ScriptedChatModel(
        replies=[
            ScriptedReply(
                reasoning="Two things to do.",
                text="Working.",
                tool_calls=[call("multiply", "c1", a=6, b=7), call("look_up", "c2", word="yak")],
                usage=USAGE,
            ),
            ScriptedReply("It is 42.", usage=USAGE),
        ]
    ).bind_tools([multiply, look_up])

    async def agent(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node(agent)
    builder.add_node("tools", ToolNode([multiply, look_up]))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile(name="react")


react = _react()


# --- map-reduce with Send --------------------------------------------------------------------


class Words(TypedDict, total=False):
    """Text in, the length of each word out."""

    prompt: str
    lengths: Annotated[list[int], operator.add]
    total: int


def _map_reduce() -> Any:
    builder = StateGraph(Words)
    builder.add_node("split", lambda state: {})
    builder.add_node("measure", lambda word: {"lengths": [len(word["prompt"])]})
    builder.add_node("reduce", lambda state: {"total": sum(state["lengths"])})
    builder.add_edge(START, "split")
    builder.add_conditional_edges(
        "split",
        lambda state: [Send("measure", {"prompt": word}) for word in state["prompt"].split()],
        ["measure"],
    )
    builder.add_edge("measure", "reduce")
    return builder.compile()


map_reduce = _map_reduce()


# --- a supervisor with sub-graphs ------------------------------------------------------------


def _worker(name: str) -> Any:
    async def think(state: MessagesState) -> Any:
        model = ScriptedChatModel(replies=[ScriptedReply(f"{name} is done")])
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node(think)
    builder.add_edge(START, "think")
    return builder.compile(name=name)


def _supervisor() -> Any:
    def supervise(state: MessagesState) -> Command[Literal["researcher", "writer", "__end__"]]:
        done = [one.content for one in state["messages"]]
        if "researcher is done" not in done:
            return Command(goto="researcher")
        return Command(goto="writer" if "writer is done" not in done else END)

    builder = StateGraph(MessagesState)
    builder.add_node(supervise)
    for name in ("researcher", "writer"):
        builder.add_node(name, _worker(name))
        builder.add_edge(name, "supervise")
    builder.add_edge(START, "supervise")
    return builder.compile()


supervisor = _supervisor()


# --- parallel interrupts ---------------------------------------------------------------------


class Reviews(TypedDict, total=False):
    """Two people's words."""

    prompt: str
    said: Annotated[list[str], operator.add]


def _reviews() -> Any:
    def reviewer(name: str) -> Any:
        def ask(state: Reviews) -> Any:
            value = {"question": f"{name}, is it good?", "options": ["good", "bad"]}
            return {"said": [f"{name}: {interrupt(value)}"]}

        return ask

    builder = StateGraph(Reviews)
    for name in ("ada", "bob"):
        builder.add_node(name, reviewer(name))
        builder.add_edge(START, name)
    return builder.compile()


parallel_interrupts = _reviews()


# --- retries, a cycle, a failure -------------------------------------------------------------


class Plain(TypedDict, total=False):
    """One text, and a count."""

    prompt: str
    count: int


def _one(node: Any, state: Any = Plain, **compile: Any) -> Any:
    builder = StateGraph(state)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(**compile)


def _retrying() -> Any:
    def flaky(state: Plain, runtime: Runtime) -> Any:
        attempt = runtime.execution_info.node_attempt
        if attempt < 3:
            raise ConnectionError(f"attempt {attempt} failed")
        return {"count": attempt}

    builder = StateGraph(Plain)
    policy = RetryPolicy(initial_interval=0.01, max_attempts=3, jitter=False)
    builder.add_node("flaky", flaky, retry_policy=policy)
    builder.add_edge(START, "flaky")
    return builder.compile()


retrying = _retrying()


def _cycle() -> Any:
    builder = StateGraph(Plain)
    builder.add_node("again", lambda state: {"count": state.get("count", 0) + 1})
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    return builder.compile()


cycle = _cycle()


def _fail(state: Plain) -> Any:
    raise ZeroDivisionError("nothing to divide by")


failing = _one(_fail)


# --- the functional API ----------------------------------------------------------------------


@task
async def shout(word: str) -> str:
    """A step of its own."""
    return word.upper()


@entrypoint()
async def functional(text: str) -> str:
    """A workflow that is a function, and asks."""
    loud = [await shout(word) for word in text.split()]
    return " ".join([*loud, str(interrupt("And then?"))])


# --- custom streaming, a long synchronous node -----------------------------------------------


def _stream(state: Plain) -> None:
    writer = get_stream_writer()
    for number in range(3):
        writer({"progress": number})


custom_streaming = _one(_stream)


def _sleep(state: Plain) -> None:
    time.sleep(float(os.environ.get("GRAPH_SECONDS", "600")))


long_sync_node = _one(_sleep)


# --- states of other kinds -------------------------------------------------------------------


class Order(BaseModel):
    """A state that is a model."""

    item: str
    amount: int = 1


pydantic_state = _one(lambda state: {"amount": state.amount * 2}, Order)


@dataclass
class Basket:
    """A state that is a dataclass."""

    prompt: str = ""
    items: list[str] = field(default_factory=list)


dataclass_state = _one(lambda state: {"items": [*state.items, state.prompt]}, Basket)


# --- a store ---------------------------------------------------------------------------------


async def _remember(state: MessagesState, runtime: Runtime) -> Any:
    assert runtime.store is not None
    before = await runtime.store.aget(("user",), "said")
    await runtime.store.aput(("user",), "said", {"text": state["messages"][-1].content})
    return {"messages": [AIMessage(f"before: {before.value['text'] if before else 'nothing'}")]}


with_store = _one(_remember, MessagesState, store=InMemoryStore())


# --- time travel -----------------------------------------------------------------------------


def _time_travel() -> Any:
    builder = StateGraph(Plain)
    builder.add_node("first", lambda state: {"count": state.get("count", 0) + 1})
    builder.add_node("second", lambda state: {"count": state["count"] * 10})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile()


time_travel = _time_travel()


# --- three nodes, one of which may block -----------------------------------------------------


def note(name: str) -> None:
    """Write down that a node began, where a kill does not reach."""
    with Path(os.environ["NODES_FILE"]).open("a") as file:
        file.write(f"{name}\n")


def _three_nodes() -> Any:
    def node(name: str) -> Any:
        async def run(state: Plain) -> Any:
            note(name)
            if os.environ["BLOCK"] == name:
                await asyncio.Event().wait()
            return {"count": state.get("count", 0) + 1}

        return run

    builder = StateGraph(Plain)
    builder.add_sequence([(name, node(name)) for name in ("first", "second", "third")])
    builder.add_edge(START, "first")
    return builder.compile()


three_nodes = _three_nodes()
