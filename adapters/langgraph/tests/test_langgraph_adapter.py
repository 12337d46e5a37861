"""What a turn of a real graph emits, and how it ends."""

from __future__ import annotations

import asyncio
import operator
import threading
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime, tools_condition
from langgraph.types import Send, interrupt
from langgraph_recording import Recorder
from pydantic import BaseModel
from runner_shell_langgraph import emit, progress
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from typing_extensions import TypedDict

from runner_shell import AgentFailed, Answer, Request, Turn, TurnOver, UserMessage, events
from runner_shell.testing.recorder import ANSWERS, RESTART, answered, deferred

DEADLINE = 60.0
"""Ends a hang; nothing is judged by it."""


class Plain(TypedDict, total=False):
    """A graph with one text field."""

    prompt: str
    found: Annotated[list[Any], operator.add]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def one_node(node: Any, state: Any = Plain, **compile: Any) -> Any:
    builder = StateGraph(state)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(**compile)


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def agent(model: ScriptedChatModel, tools: list[Any], **tool_node: Any) -> Any:
    bound = model.bind_tools(tools)

    async def call_model(state: MessagesState) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(tools, **tool_node))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile()


USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "total_tokens": 15,
    "input_token_details": {"cache_read": 4},
}


def call(name: str, id: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": id}


# --- messages, tools, steps ------------------------------------------------------------------


async def test_an_agents_turn(recorder: Recorder) -> None:
    """Thinking, text and arguments stream as blocks, tools and nodes have start and end."""
    model = ScriptedChatModel(
        chunk_characters=1000,
        replies=[
            ScriptedReply(
                reasoning="Add them.",
                text="One moment.",
                tool_calls=[call("add", "c1", a=1, b=2)],
                usage=USAGE,
            ),
            ScriptedReply("It is 3.", usage=USAGE),
        ],
    )
    adapter = await recorder.adapter(agent(model, [add]))

    ending = await recorder.turn(adapter, "What is 1 + 2?")

    lines = [line for line in recorder.order() if line != "usage.updated"]
    assert lines == [
        "step.started model node",
        "message.started",
        "block.started thinking",
        "block.delta Add them.",
        "block.finished",
        "block.started text",
        "block.delta One moment.",
        "block.finished",
        "block.started tool_input c1",
        'block.delta {"a": 1, "b": 2}',
        "block.finished",
        "message.finished",
        "step.finished",
        "step.started tools node",
        "tool.started add other c1",
        "tool.finished c1 3",
        "step.finished",
        "step.started model node",
        "message.started",
        "block.started text",
        "block.delta It is 3.",
        "block.finished",
        "message.finished",
        "step.finished",
    ]
    assert recorder.open_things() == []
    assert ending.outcome == "completed"
    assert ending.usage == events.Usage(input_tokens=20, output_tokens=10, cache_read_tokens=8)
    last = recorder.of(events.UsageUpdated)[-1]
    assert (last.turn_usage, last.by_model) == (ending.usage, {"scripted": ending.usage})
    first = recorder.of(events.MessageFinished)[0]
    assert first.usage == events.Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4)
    assert recorder.of(events.ToolStarted)[0].input == {"a": 1, "b": 2}


async def test_deltas_are_the_whole_text(recorder: Recorder) -> None:
    """However the model cuts its chunks, a block's deltas add up to what it said."""
    model = ScriptedChatModel(
        chunk_characters=1,
        replies=[
            ScriptedReply(
                "Grüße 🌍", tool_calls=[call("add", "c1", a=1, b=2), call("add", "c2", a=3, b=4)]
            ),
            ScriptedReply("Done."),
        ],
    )
    adapter = await recorder.adapter(agent(model, [add]))
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    blocks: dict[Any, str] = {}
    for delta in recorder.of(events.BlockDelta):
        blocks[delta.message, delta.index] = (
            blocks.get((delta.message, delta.index), "") + delta.text
        )
    assert list(blocks.values()) == ["Grüße 🌍", '{"a": 1, "b": 2}', '{"a": 3, "b": 4}', "Done."]
    assert {tool.call: tool.output for tool in recorder.of(events.ToolFinished)} == {
        "c1": "3",
        "c2": "7",
    }


async def test_a_conversation_goes_on(recorder: Recorder) -> None:
    """The next message of a session finds the history of those before; nothing is told twice."""
    seen: list[list[str]] = []

    async def answer(state: MessagesState) -> Any:
        seen.append([str(message.content) for message in state["messages"]])
        return {"messages": [AIMessage(f"reply {len(seen)}")]}

    adapter = await recorder.adapter(one_node(answer, MessagesState))
    await recorder.turn(adapter, "one")
    await recorder.turn(adapter, "two")

    assert seen == [["one"], ["one", "reply 1", "two"]]
    assert [delta.text for delta in recorder.of(events.BlockDelta)] == ["reply 1", "reply 2"]


async def test_a_tool_run_by_hand_shows(recorder: Recorder) -> None:
    """A tool that shows only as its result has start, input and end all the same."""

    def model(state: MessagesState) -> Any:
        return {"messages": [AIMessage("", tool_calls=[{**call("add", "c1", a=1, b=2)}])]}

    def by_hand(state: MessagesState) -> Any:
        return {"messages": [ToolMessage("3", tool_call_id="c1", status="error")]}

    builder = StateGraph(MessagesState)
    builder.add_sequence([model, by_hand])
    builder.add_edge(START, "model")
    adapter = await recorder.adapter(builder.compile())
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    [started], [finished] = recorder.of(events.ToolStarted), recorder.of(events.ToolFinished)
    assert (started.name, started.input) == ("add", {"a": 1, "b": 2})
    assert (finished.status, finished.output) == ("error", "3")


async def test_a_failing_tool_and_its_output(recorder: Recorder) -> None:
    """A tool streams its output; one that raises ends with `error`, and the graph goes on."""

    @tool
    async def build(runtime: ToolRuntime) -> str:
        """Build."""
        runtime.emit_output_delta("compiling\n")
        raise ValueError("no compiler")

    model = ScriptedChatModel(
        replies=[ScriptedReply(tool_calls=[call("build", "c1")]), ScriptedReply("Sorry.")]
    )
    adapter = await recorder.adapter(agent(model, [build], handle_tool_errors=True))
    ending = await recorder.turn(adapter, "go")

    assert ending.outcome == "completed"
    assert recorder.open_things() == []
    assert recorder.of(events.ToolOutput)[0].text == "compiling\n"
    [finished] = recorder.of(events.ToolFinished)
    assert (finished.status, finished.output) == ("error", "no compiler")


async def test_sub_graphs_have_their_steps_as_scope(recorder: Recorder) -> None:
    """What happens in a sub-graph carries the path of the steps around it, whatever it emits."""

    async def inner(state: MessagesState) -> Any:
        progress("half", 0.5)
        get_stream_writer()({"any": "thing"})
        return {"messages": [AIMessage("from within")]}

    outer = StateGraph(MessagesState)
    outer.add_node("outer", one_node(inner, MessagesState))
    outer.add_edge(START, "outer")
    adapter = await recorder.adapter(outer.compile())
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    around, within = recorder.of(events.StepStarted)
    assert (around.scope, within.scope) == ((), (around.id,))
    [step] = recorder.of(events.StepProgress)
    assert (step.id, step.scope) == (within.id, (around.id,))
    [custom] = recorder.of(events.Custom)
    assert (custom.name, custom.data) == ("langgraph.custom", {"any": "thing"})
    assert custom.scope == recorder.of(events.MessageStarted)[0].scope == (around.id,)


async def test_events_from_nodes(recorder: Recorder) -> None:
    """A node emits an event as it is; one that is the shell's it cannot, not even by hand."""

    async def node(state: Plain) -> None:
        emit(events.ArtifactCreated(path="a.txt", bytes=1, sha256="0"))
        with pytest.raises(ValueError, match="the shell's"):
            emit(events.TurnFinished(outcome="completed"))
        get_stream_writer()(events.TurnFinished(outcome="completed"))
        get_stream_writer()({"object": object, "text": "\udcff", "nan": float("nan")})

    adapter = await recorder.adapter(one_node(node))
    await recorder.turn(adapter, "go")

    assert [artifact.path for artifact in recorder.of(events.ArtifactCreated)] == ["a.txt"]
    assert not recorder.of(events.TurnFinished)
    assert len(recorder.of(events.Custom)) == 2


async def test_nodes_are_told_the_workspace(recorder: Recorder) -> None:
    """A node finds session and workspace in its config, beside what WORKFLOW_CONFIG says."""
    told: dict[str, Any] = {}

    async def node(state: Plain, config: RunnableConfig) -> None:
        told.update(config["configurable"])

    adapter = await recorder.adapter(one_node(node), workflow_config={"depth": 3})
    await recorder.turn(adapter, "go")

    assert told["workspace"] == str(recorder.workspace)
    assert (told["session_id"], told["thread_id"], told["depth"]) == ("session-1", "session-1", 3)


# --- input -----------------------------------------------------------------------------------


class TwoNumbers(TypedDict):
    """A graph without a text field."""

    a: int
    b: int


@pytest.mark.parametrize(
    ("state", "content", "expected"),
    [
        (Plain, "hello", {"prompt": "hello", "found": []}),
        (TwoNumbers, '{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        (TwoNumbers, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    ],
)
async def test_input(recorder: Recorder, state: Any, content: Any, expected: Any) -> None:
    """Text goes to the one text field; a JSON object, written or given, is the input itself."""
    given: list[Any] = []
    adapter = await recorder.adapter(one_node(lambda state: given.append(dict(state)), state))
    ending = await recorder.turn(adapter, UserMessage(content=content))
    assert (ending.outcome, given) == ("completed", [expected])


async def test_input_of_messages_with_attachments(recorder: Recorder) -> None:
    """Attachments become further blocks of the human's message; text that is JSON stays text."""
    given: list[Any] = []

    async def node(state: MessagesState) -> None:
        given.extend(state["messages"])

    adapter = await recorder.adapter(one_node(node, MessagesState))
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    await recorder.turn(adapter, UserMessage(content='{"a": 1}', attachments=(image,)))
    [message] = given
    assert isinstance(message, HumanMessage)
    assert message.content == [{"type": "text", "text": '{"a": 1}'}, image]


async def test_input_that_does_not_fit(recorder: Recorder) -> None:
    """Text for a graph that takes none fails, and names the fields it takes."""
    adapter = await recorder.adapter(one_node(lambda state: None, TwoNumbers))
    with pytest.raises(AgentFailed, match="a, b") as failed:
        await recorder.turn(adapter, "hello")
    assert failed.value.code == "invalid_input"


async def test_a_functional_graph(recorder: Recorder) -> None:
    """A functional `@entrypoint` gets the text."""
    given: list[Any] = []

    @entrypoint()
    async def workflow(text: str) -> str:
        given.append(text)
        return text

    adapter = await recorder.adapter(workflow)
    await recorder.turn(adapter, "hello")
    assert given == ["hello"]


# --- questions -------------------------------------------------------------------------------


def asking(value: Any, **more: Any) -> Any:
    async def node(state: Plain) -> Any:
        return {"found": [interrupt(value, **more)]}

    return one_node(node)


async def test_a_question_is_asked_and_answered_in_the_turn(recorder: Recorder) -> None:
    """An interrupt is asked with all it says, and the answer is what `interrupt` returns."""
    recorder.person = answered("short")
    value = {
        "question": "How long?",
        "options": ["short", "long"],
        "default": "short",
        "timeout_seconds": 5,
        "response_schema": {"type": "string"},
    }
    adapter = await recorder.adapter(asking(value))
    ending = await recorder.turn(adapter, "go")

    assert ending.outcome == "completed"
    [request] = recorder.asked.values()
    assert request == Request(
        kind="question",
        title="How long?",
        schema={"type": "string"},
        options=("short", "long"),
        default="short",
        timeout_seconds=5.0,
    )
    assert [step.status for step in recorder.of(events.StepFinished)] == ["waiting", "ok"]
    assert recorder.open_things() == []
    assert (await recorder.values(adapter))["found"] == ["short"]


async def test_parallel_questions_are_asked_at_the_same_time(recorder: Recorder) -> None:
    """Two nodes that ask have both their questions open at once; a done one ran once."""
    both, ran = asyncio.Event(), []

    async def person(request: Request, key: str) -> Answer:
        if len(recorder.asked) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), DEADLINE)
        return Answer(value=request.title + "!")

    async def leaf(state: Any) -> Any:
        if state["n"] == 0:
            ran.append(0)
            return {"found": ["0"]}
        return {"found": [interrupt(str(state["n"]))]}

    builder = StateGraph(Plain)
    builder.add_node("leaf", leaf)
    builder.add_conditional_edges(START, lambda _: [Send("leaf", {"n": n}) for n in range(3)])
    recorder.person = person
    adapter = await recorder.adapter(builder.compile())
    ending = await recorder.turn(adapter, "go")

    assert ending.outcome == "completed"
    assert (await recorder.values(adapter))["found"] == ["0", "1!", "2!"]
    assert ran == [0]
    assert len(recorder.of(events.StepStarted)) == 5, "the done one is not shown again"
    assert recorder.open_things() == []


async def test_known_answers_are_given_when_the_rest_is_deferred(recorder: Recorder) -> None:
    """What was answered goes on; who was not answered is asked by the next turn, under its key."""
    ran: list[str] = []

    def reviewer(name: str) -> Any:
        async def ask(state: Plain) -> Any:
            ran.append(name)
            answer = interrupt(name)
            ran.append(f"{name} {answer}")
            return {"found": [name]}

        return ask

    async def person(request: Request, key: str) -> Answer | None:
        return Answer(value="yes") if request.title == "ada" else None

    builder = StateGraph(Plain)
    for name in ("ada", "bob"):
        builder.add_node(name, reviewer(name))
        builder.add_edge(START, name)
    recorder.person = person
    adapter = await recorder.adapter(builder.compile())
    assert (await recorder.turn(adapter, "go")).outcome == "waiting"
    assert sorted(ran) == ["ada", "ada", "ada yes", "bob", "bob"], "bob began anew: see 0048"

    recorder.person = answered("no")
    assert (await recorder.turn(adapter, ANSWERS)).outcome == "completed"
    assert ran[-1] == "bob no"
    assert ran.count("ada yes") == 1
    assert len(recorder.asked) == 2
    assert recorder.open_things() == []


async def test_two_questions_of_one_node(recorder: Recorder) -> None:
    """One node that asks twice asks two different questions, each once."""

    async def node(state: Plain) -> Any:
        return {"found": [interrupt("first?"), interrupt("second?")]}

    async def person(request: Request, key: str) -> Answer:
        return Answer(value=f"re {request.title}")

    recorder.person = person
    adapter = await recorder.adapter(one_node(node))
    await recorder.turn(adapter, "go")
    values = await recorder.values(adapter)
    assert values["found"] == ["re first?", "re second?"]
    assert len(recorder.asked) == 2


async def test_a_deferred_question_ends_the_turn_waiting(recorder: Recorder) -> None:
    """Nobody there: `waiting`, the asking tool open; with the answers, the same key, one end."""
    runs = []

    @tool
    async def deploy(target: str) -> str:
        """Deploy."""
        runs.append(target)
        return f"deployed: {interrupt({'question': f'Deploy to {target}?'})}"

    model = ScriptedChatModel(
        replies=[
            ScriptedReply(tool_calls=[call("deploy", "c1", target="prod")]),
            ScriptedReply("Done."),
        ]
    )
    recorder.person = deferred
    adapter = await recorder.adapter(agent(model, [deploy]))
    assert (await recorder.turn(adapter, "go")).outcome == "waiting"
    assert recorder.open_things() == [("tool", "c1")]
    [key] = recorder.asked

    recorder.answers[key] = Answer(value=True, by="someone")
    assert (await recorder.turn(adapter, ANSWERS)).outcome == "completed"
    assert recorder.open_things() == []
    assert list(recorder.asked) == [key]
    assert recorder.of(events.ToolFinished)[-1].output == "deployed: True"
    assert len(recorder.of(events.ToolStarted)) == 1
    assert runs == ["prod", "prod"], "a node runs again from its start, as LangGraph says"


async def test_waiting_survives_the_process(recorder: Recorder) -> None:
    """A next process with the graph's durable checkpointer has the answer and closes the tool."""
    from langgraph.checkpoint.memory import InMemorySaver

    @tool
    async def deploy() -> str:
        """Deploy."""
        return str(interrupt("Deploy?"))

    durable = InMemorySaver()  # stands for a database: the one thing two adapters share
    model = ScriptedChatModel(
        replies=[ScriptedReply(tool_calls=[call("deploy", "c1")]), ScriptedReply("Done.")]
    )
    graph = agent(model, [deploy]).copy(update={"checkpointer": durable})
    recorder.person = deferred
    assert (await recorder.turn(await recorder.adapter(graph), "go")).outcome == "waiting"

    recorder.answers[next(iter(recorder.asked))] = Answer(value="yes")
    assert (await recorder.turn(await recorder.adapter(graph), ANSWERS)).outcome == "completed"
    assert recorder.open_things() == []


async def test_a_thread_that_died_with_its_process(recorder: Recorder) -> None:
    """Without a durable checkpointer a next process says `state_lost`, and what to do."""
    recorder.person = deferred
    graph = asking("?")
    await recorder.turn(await recorder.adapter(graph), "go")
    for cause in (ANSWERS, RESTART):
        with pytest.raises(AgentFailed, match="durable checkpointer") as failed:
            await recorder.turn(await recorder.adapter(graph), cause)
        assert failed.value.code == "state_lost"


async def test_a_new_message_supersedes_a_question(recorder: Recorder) -> None:
    """A message in place of an answer ends the turn; the next begins anew, ends the open tool."""

    @tool
    async def deploy() -> str:
        """Deploy."""
        return str(interrupt("Deploy?"))

    model = ScriptedChatModel(
        replies=[ScriptedReply(tool_calls=[call("deploy", "c1")]), ScriptedReply("Never mind.")]
    )
    recorder.person = deferred
    adapter = await recorder.adapter(agent(model, [deploy]))
    assert (await recorder.turn(adapter, "go")).outcome == "waiting"
    recorder.answers[next(iter(recorder.asked))] = Answer(value=None, how="superseded")
    assert (await recorder.turn(adapter, "stop that")).outcome == "completed"
    assert recorder.open_things() == []
    [finished] = recorder.of(events.ToolFinished)
    assert finished.status == "cancelled"
    assert "langgraph.open_tools" not in recorder.saved


async def test_a_superseded_answer_ends_the_turn(recorder: Recorder) -> None:
    """A question that is superseded while the turn waits for it ends the turn `interrupted`."""

    async def person(request: Request, key: str) -> Answer:
        return Answer(value=None, how="superseded")

    recorder.person = person
    adapter = await recorder.adapter(asking("?"))
    assert (await recorder.turn(adapter, "go")).outcome == "interrupted"
    assert recorder.open_things() == []


class Choice(BaseModel):
    """An answer."""

    number: int


async def test_a_refused_answer_is_asked_anew(recorder: Recorder) -> None:
    """An answer that the graph's schema refuses is asked again under a new key, the others not."""
    given = iter(["not a choice", {"number": 7}])

    async def person(request: Request, key: str) -> Answer:
        return Answer(value="fine" if request.title == "other?" else next(given))

    async def choose(state: Plain) -> Any:
        return {"found": [interrupt("number?", response_schema=Choice).number]}

    async def other(state: Plain) -> Any:
        return {"found": [interrupt("other?")]}

    builder = StateGraph(Plain)
    builder.add_node(choose)
    builder.add_node(other)
    builder.add_edge(START, "choose")
    builder.add_edge(START, "other")
    recorder.person = person
    adapter = await recorder.adapter(builder.compile())
    ending = await recorder.turn(adapter, "go")

    assert ending.outcome == "completed"
    values = await recorder.values(adapter)
    assert values["found"] == [7, "fine"]
    assert [request.title for request in recorder.asked.values()].count("other?") == 1
    assert len(recorder.asked) == 3
    assert recorder.open_things() == []


async def test_a_default_that_the_graph_refuses_fails(recorder: Recorder) -> None:
    """A question that expired with an answer the graph refuses fails the turn; it does not loop."""

    async def person(request: Request, key: str) -> Answer:
        return Answer(value=request.default, how="expired")

    recorder.person = person
    adapter = await recorder.adapter(asking("number?", response_schema=Choice))
    with pytest.raises(AgentFailed):
        await recorder.turn(adapter, "go")
    assert recorder.open_things() == []


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ("approve", {"type": "approve"}),
        (True, {"type": "approve"}),
        ("deny", {"type": "reject"}),
        (None, {"type": "reject", "message": "Nobody approved this."}),
        (
            {"type": "edit", "edited_action": {"name": "rm", "args": {}}},
            {"type": "edit", "edited_action": {"name": "rm", "args": {}}},
        ),
    ],
)
async def test_human_in_the_loop(recorder: Recorder, answer: Any, decision: Any) -> None:
    """The middleware's review becomes one permission per action, its answers the decisions."""
    recorder.person = answered(answer)
    value = {
        "action_requests": [
            {"name": "rm", "args": {"path": "/"}, "description": "Remove"},
            {"name": "ls", "args": {}, "description": "List"},
        ],
        "review_configs": [{"action_name": "rm", "allowed_decisions": ["approve", "edit"]}],
    }
    adapter = await recorder.adapter(asking(value))
    await recorder.turn(adapter, "go")

    rm, ls = recorder.asked.values()
    assert (rm.kind, rm.title, rm.options) == ("permission", "Run rm?", ("approve", "edit"))
    assert ls.options == ("approve", "reject")
    values = await recorder.values(adapter)
    assert values["found"] == [{"decisions": [decision, decision]}]


@pytest.mark.parametrize(("answer", "outcome"), [("approve", "completed"), (None, "interrupted")])
async def test_a_static_breakpoint_asks(recorder: Recorder, answer: Any, outcome: str) -> None:
    """`interrupt_before` becomes a permission to go on; without it the turn ends."""
    recorder.person = answered(answer)
    ran = []
    adapter = await recorder.adapter(
        one_node(lambda state: ran.append(1), interrupt_before=["node"])
    )
    ending = await recorder.turn(adapter, "go")
    assert ending.outcome == outcome
    assert len(ran) == (1 if outcome == "completed" else 0)
    assert next(iter(recorder.asked.values())).title == "Go on with node?"


# --- failures, cancellation ------------------------------------------------------------------


async def test_a_failing_node_is_named(recorder: Recorder) -> None:
    """A node's error fails the turn with its name; parallel nodes, messages and tools all end."""

    @tool
    async def slow() -> str:
        """Wait."""
        await asyncio.sleep(30)
        return ""

    model = ScriptedChatModel(replies=[ScriptedReply("Half a", error=ValueError("overloaded"))])

    async def talk(state: Plain) -> None:
        await asyncio.sleep(0.02)
        await model.ainvoke("hi")

    async def work(state: Plain) -> None:
        await slow.ainvoke({})

    builder = StateGraph(Plain)
    builder.add_node(talk)
    builder.add_node(work)
    builder.add_edge(START, "talk")
    builder.add_edge(START, "work")
    adapter = await recorder.adapter(builder.compile())
    with pytest.raises(AgentFailed, match="node talk failed: ValueError: overloaded") as failed:
        await recorder.turn(adapter, "go")

    assert failed.value.code == "node_failed"
    assert recorder.open_things() == []
    assert [message.status for message in recorder.of(events.MessageFinished)] == ["cancelled"]
    assert [tool.status for tool in recorder.of(events.ToolFinished)] in (["cancelled"], ["error"])
    assert {step.status for step in recorder.of(events.StepFinished)} == {"error", "cancelled"}


async def test_after_a_failure_the_session_goes_on(recorder: Recorder) -> None:
    """Closed and opened again after a failure, as the shell does, the adapter knows its thread."""
    fail = [True]

    async def node(state: MessagesState) -> Any:
        if fail.pop() if fail else False:
            raise OSError("disk full")
        return {"messages": [AIMessage(f"{len(state['messages'])} messages")]}

    adapter = await recorder.adapter(one_node(node, MessagesState))
    with pytest.raises(AgentFailed):
        await recorder.turn(adapter, "one")
    await adapter.close()
    await adapter.open(recorder.session())
    await recorder.turn(adapter, "two")
    assert recorder.of(events.BlockDelta)[-1].text == "2 messages"
    assert recorder.open_things() == []


async def test_a_failed_turn_can_be_tried_again(recorder: Recorder) -> None:
    """A turn given back as a restart goes on at the node that failed."""
    fail, ran = [True], []

    async def first(state: Plain) -> None:
        ran.append("first")

    async def second(state: Plain) -> None:
        ran.append("second")
        if fail.pop() if fail else False:
            raise OSError("disk full")

    builder = StateGraph(Plain)
    builder.add_sequence([first, second])
    builder.add_edge(START, "first")
    adapter = await recorder.adapter(builder.compile())
    with pytest.raises(AgentFailed):
        await recorder.turn(adapter, "go")
    assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
    assert ran == ["first", "second", "second"]


def looping(state: Plain) -> None: ...


def two_writers() -> Any:
    builder = StateGraph(Plain)
    for name in ("one", "two"):
        builder.add_node(name, lambda _: {"prompt": "mine"})
        builder.add_edge(START, name)
    return builder.compile()


def loop() -> Any:
    builder = StateGraph(Plain)
    builder.add_node(looping)
    builder.add_edge(START, "looping")
    builder.add_edge("looping", "looping")
    return builder.compile()


class Overloaded(Exception):
    """As providers' clients raise it."""

    status_code = 529


def overloaded(state: Plain) -> None:
    raise Overloaded


@pytest.mark.parametrize(
    ("graph", "code", "retryable"),
    [
        (loop, "recursion_limit", False),
        (two_writers, "invalid_update", False),
        (lambda: one_node(overloaded), "node_failed", True),
    ],
)
async def test_codes(recorder: Recorder, graph: Any, code: str, retryable: bool) -> None:
    """What a graph raises has a stable code, and says whether to try again."""
    adapter = await recorder.adapter(graph(), langgraph_recursion_limit=5)
    with pytest.raises(AgentFailed) as failed:
        await recorder.turn(adapter, "go")
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert recorder.open_things() == []


async def test_interrupting_a_turn(recorder: Recorder) -> None:
    """An interrupt ends the turn by itself with everything closed; the session goes on."""
    started = asyncio.Event()
    block = [True]

    async def node(state: MessagesState) -> Any:
        if block:
            started.set()
            await asyncio.sleep(30)
        return {"messages": [AIMessage(f"{len(state['messages'])}")]}

    adapter = await recorder.adapter(one_node(node, MessagesState))
    assert not await adapter.interrupt("too early")
    running = asyncio.create_task(recorder.turn(adapter, "one"))
    await asyncio.wait_for(started.wait(), DEADLINE)
    assert await adapter.interrupt("a person said so")
    ending = await asyncio.wait_for(running, DEADLINE)

    assert (ending.outcome, ending.reason) == ("interrupted", "a person said so")
    assert recorder.open_things() == []
    assert [step.status for step in recorder.of(events.StepFinished)] == ["cancelled"]
    block.clear()
    assert (await recorder.turn(adapter, "two")).outcome == "completed"
    assert recorder.of(events.BlockDelta)[-1].text == "2"


async def test_a_blocking_node_holds_no_interrupt(recorder: Recorder) -> None:
    """A turn with a node that blocks its thread ends; the thread runs on, named but unheard."""
    started, go_on = threading.Event(), threading.Event()

    def node(state: Plain) -> None:
        started.set()
        go_on.wait(DEADLINE)
        emit(events.ArtifactCreated(path="late", bytes=0, sha256=""))

    adapter = await recorder.adapter(one_node(node), langgraph_drain_seconds=0.05)
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.to_thread(started.wait, DEADLINE)
    await adapter.interrupt("now")
    ending = await asyncio.wait_for(running, DEADLINE)
    [warning] = recorder.of(events.Warning_)
    assert (warning.code, "'node'" in warning.message) == ("node_not_cancelled", True)
    go_on.set()
    assert ending.outcome == "interrupted"
    assert recorder.open_things() == []
    assert not recorder.of(events.ArtifactCreated)


async def test_a_failure_to_ask_is_told_as_it_is(recorder: Recorder) -> None:
    """What the shell raises at a question comes out of the turn, not a group of it."""

    async def person(request: Request, key: str) -> Answer:
        raise TurnOver("too late")

    recorder.person = person
    adapter = await recorder.adapter(asking("?"))
    with pytest.raises(TurnOver):
        await recorder.turn(adapter, "go")


async def test_interrupting_a_question(recorder: Recorder) -> None:
    """A turn that waits for an answer can be interrupted."""
    asked = asyncio.Event()

    async def person(request: Request, key: str) -> None:
        asked.set()
        await asyncio.sleep(30)

    recorder.person = person
    adapter = await recorder.adapter(asking("?"))
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    assert await adapter.interrupt("enough")
    assert (await asyncio.wait_for(running, DEADLINE)).outcome == "interrupted"
    assert recorder.open_things() == []


async def test_cancelling_a_turn(recorder: Recorder) -> None:
    """The shell's cancellation passes through, everything is closed, and the adapter works on."""
    started = asyncio.Event()

    async def node(state: Plain) -> None:
        if not started.is_set():
            started.set()
            await asyncio.sleep(30)

    adapter = await recorder.adapter(one_node(node))
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.wait_for(started.wait(), DEADLINE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert recorder.open_things() == []
    await adapter.close()
    await adapter.open(recorder.session())
    assert (await recorder.turn(adapter, "again")).outcome == "completed"


async def test_a_fenced_turn_is_quiet(recorder: Recorder) -> None:
    """A turn that the shell has ended meanwhile raises nothing of its own at its end."""

    started = asyncio.Event()

    async def node(state: Plain) -> None:
        started.set()
        await asyncio.sleep(30)

    adapter = await recorder.adapter(one_node(node))
    turn = Turn("fenced", UserMessage(content="go"), recorder)
    running = asyncio.create_task(adapter.turn(turn))
    await asyncio.wait_for(started.wait(), DEADLINE)
    turn.finish()
    running.cancel()
    with pytest.raises((asyncio.CancelledError, TurnOver)):
        await running


async def test_a_time_out_of_the_graphs_own_is_a_failure(recorder: Recorder) -> None:
    """`TimeoutError` raised by a node is the node's failure, not an interrupt."""

    async def node(state: Plain) -> None:
        raise TimeoutError("the server is slow")

    adapter = await recorder.adapter(one_node(node))
    with pytest.raises(AgentFailed, match="the server is slow"):
        await recorder.turn(adapter, "go")


async def test_description(recorder: Recorder) -> None:
    """What the adapter says of itself: the graph's nodes, and whether its thread is durable."""
    adapter = await recorder.adapter(one_node(lambda state: None))
    described = adapter.describe()
    assert ({"id": "node", "name": "node"} in described["nodes"], described["durable"]) == (
        True,
        False,
    )
