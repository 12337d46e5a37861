"""What a graph asks, and who answers it when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt
from langgraph_recording import Recorder
from pydantic import BaseModel
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from small_graphs import DEADLINE, Plain, agent, asking, call, one_node

from runner_shell import AgentFailed, Answer, Request, events
from runner_shell.testing.recorder import ANSWERS, RESTART, answered, deferred


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
