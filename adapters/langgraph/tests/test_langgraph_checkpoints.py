"""Where a thread is kept, what may be read back, and what a next process goes on from."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from langgraph_recording import Recorder
from pydantic import BaseModel
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import Source
from runner_shell_langgraph.turn_record import Begun, TurnRecord
from typing_extensions import TypedDict

from runner_shell import AgentFailed, Answer, ConfigurationError, Request, events
from runner_shell.testing.recorder import ANSWERS, RESTART, answered, deferred

KEY = "0123456789abcdef"
DEADLINE = 60.0


class Dies(Exception):
    """Stands for the end of the process: nothing after it happens."""


def three(
    ran: list[str], *, die_in: str = "", began: asyncio.Event | None = None, **compile: Any
) -> Any:
    """first → second → third; the node `die_in` says that it began, and never returns."""
    die = [die_in]

    def node(name: str) -> Any:
        async def run(state: MessagesState) -> Any:
            ran.append(name)
            if name in die:
                die.remove(name)
                assert began is not None
                began.set()
                await asyncio.Event().wait()
            return {"messages": [AIMessage(name)]}

        return run

    builder = StateGraph(MessagesState)
    builder.add_sequence([(name, node(name)) for name in ("first", "second", "third")])
    builder.add_edge(START, "first")
    return builder.compile(**compile)


async def die(recorder: Recorder, adapter: Any, began: asyncio.Event) -> None:
    """Run a turn and end it as a kill does when that node has begun."""
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.wait_for(began.wait(), DEADLINE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_next_process_goes_on_from_the_last_checkpoint(recorder: Recorder) -> None:
    """What was done is not done again; the node that the process died in runs once more."""
    ran: list[str] = []
    began = asyncio.Event()
    graph = three(ran, die_in="second", began=began)
    async with recorder.process(graph) as adapter:
        await die(recorder, adapter, began)
    async with recorder.process(graph) as adapter:
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
        contents = [one.content for one in (await recorder.values(adapter))["messages"]]
    assert ran == ["first", "second", "second", "third"]
    assert contents == ["go", "first", "second", "third"]
    assert (recorder.state_dir / "checkpoints.sqlite").is_file()


async def test_a_conversation_outlives_its_processes(recorder: Recorder) -> None:
    """The next process's next message finds the history, in the state directory by default."""
    for words in ("one", "two"):
        async with recorder.process(three([])) as adapter:
            await recorder.turn(adapter, words)
            messages = (await recorder.values(adapter))["messages"]
    assert [one.content for one in messages if isinstance(one, HumanMessage)] == ["one", "two"]


async def test_a_message_that_no_checkpoint_holds_is_run_once(recorder: Recorder) -> None:
    """A process that dies before the graph took the message in leaves it to the next one."""
    ran: list[str] = []
    async with recorder.process(three(ran)) as adapter:
        assert adapter._opened is not None
        assert adapter._opened.record is not None
        given = {"messages": [HumanMessage("go", id="turn-1")]}
        adapter._opened.record.write(Begun(after="", input=given))
    async with recorder.process(three(ran)) as adapter:
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
        messages = (await recorder.values(adapter))["messages"]
        assert (messages[0].content, messages[0].id) == ("go", "turn-1")
        # The same again, after the turn had its end: it is not run a second time.
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
    assert ran == ["first", "second", "third"]


async def test_a_message_that_nothing_holds_is_not_called_done(recorder: Recorder) -> None:
    """A graph at rest of which nobody knows why says `input_lost`, not `completed`."""
    async with recorder.process(three([])) as adapter:
        await recorder.turn(adapter, "go")
    (recorder.state_dir / "turn").unlink()
    async with recorder.process(three([])) as adapter:
        with pytest.raises(AgentFailed) as failed:
            await recorder.turn(adapter, RESTART)
    assert failed.value.code == "input_lost"


async def test_a_thread_that_is_gone_is_said_to_be(recorder: Recorder) -> None:
    """Without checkpoints and without a record a restart fails as `state_lost`."""
    async with recorder.process(three([])) as adapter:
        with pytest.raises(AgentFailed) as failed:
            await recorder.turn(adapter, RESTART)
    assert failed.value.code == "state_lost"


async def test_an_interrupt_is_answered_after_a_restart(recorder: Recorder) -> None:
    """A question outlives the process: the next one has the answer and asks nobody again."""

    def asks(state: MessagesState) -> Any:
        return {"messages": [AIMessage(interrupt("deploy?"))]}

    builder = StateGraph(MessagesState)
    builder.add_node(asks)
    builder.add_edge(START, "asks")
    recorder.person = deferred
    async with recorder.process(builder.compile()) as adapter:
        assert (await recorder.turn(adapter, "go")).outcome == "waiting"
    recorder.answers[next(iter(recorder.asked))] = Answer(value="yes", by="someone")
    async with recorder.process(builder.compile()) as adapter:
        assert (await recorder.turn(adapter, ANSWERS)).outcome == "completed"
        assert (await recorder.values(adapter))["messages"][-1].content == "yes"
    assert len(recorder.asked) == 1


@pytest.mark.parametrize("where", [{"interrupt_before": ["second"]}, {"interrupt_after": "*"}])
async def test_a_process_that_dies_at_a_breakpoint(recorder: Recorder, where: Any) -> None:
    """The next process asks before it goes on: a breakpoint is never passed unasked."""
    ran: list[str] = []

    async def person(request: Request, key: str) -> Answer:
        raise Dies

    recorder.person = person
    async with recorder.process(three(ran, **where)) as adapter:
        with pytest.raises(AgentFailed):
            await recorder.turn(adapter, "go")
    recorder.saved.clear()  # nor had it time to note that it asks
    recorder.person = answered("reject")
    async with recorder.process(three(ran, **where)) as adapter:
        assert (await recorder.turn(adapter, RESTART)).outcome == "interrupted"
    assert ran == ["first"]
    assert len(recorder.asked) == 1


async def test_an_approved_breakpoint_is_not_asked_again(recorder: Recorder) -> None:
    """A process that dies behind an approved breakpoint leaves its approval to the next one."""
    ran: list[str] = []
    recorder.person = answered("approve")
    began = asyncio.Event()
    graph = three(ran, die_in="second", began=began, interrupt_before=["second"])
    async with recorder.process(graph) as adapter:
        await die(recorder, adapter, began)
    async with recorder.process(graph) as adapter:
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
    assert ran == ["first", "second", "second", "third"]
    assert len(recorder.asked) == 1


def nested(ran: list[str], where: dict[str, Any]) -> Any:
    """outer/first → outer/second → outer/third, with breakpoints in the sub-graph."""

    def node(name: str) -> Any:
        return lambda state: ran.append(name)

    inner = StateGraph(MessagesState)
    inner.add_sequence([(name, node(name)) for name in ("first", "second", "third")])
    inner.add_edge(START, "first")
    builder = StateGraph(MessagesState)
    builder.add_node("outer", inner.compile(**where))
    builder.add_edge(START, "outer")
    return builder.compile()


@pytest.mark.parametrize(
    "where", [{"interrupt_before": ["second"]}, {"interrupt_after": ["first"]}]
)
async def test_a_process_that_dies_at_a_sub_graphs_breakpoint(
    recorder: Recorder, where: Any
) -> None:
    """A sub-graph's breakpoint is not passed unasked either."""
    ran: list[str] = []

    async def person(request: Request, key: str) -> Answer:
        raise Dies

    recorder.person = person
    async with recorder.process(nested(ran, where)) as adapter:
        with pytest.raises(AgentFailed):
            await recorder.turn(adapter, "go")
    recorder.saved.clear()
    recorder.person = answered("approve")
    async with recorder.process(nested(ran, where)) as adapter:
        assert ran == ["first"]
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
    assert ran == ["first", "second", "third"]
    assert [request.title for request in recorder.asked.values()] == ["Go on with outer/second?"]


async def test_each_breakpoint_of_a_sub_graph_is_asked_for(recorder: Recorder) -> None:
    """Approving one does not approve the next, though the graph around stays where it is."""
    ran: list[str] = []
    recorder.person = answered("approve")
    async with recorder.process(nested(ran, {"interrupt_before": "*"})) as adapter:
        assert (await recorder.turn(adapter, "go")).outcome == "completed"
    assert [request.title for request in recorder.asked.values()] == [
        f"Go on with outer/{name}?" for name in ("first", "second", "third")
    ]


# --- what keeps the thread -------------------------------------------------------------------


async def test_the_graphs_own_checkpointer_wins(recorder: Recorder) -> None:
    """A graph that brings a checkpointer keeps it, whatever CHECKPOINTER says."""
    own = InMemorySaver()
    async with recorder.process(three([], checkpointer=own)) as adapter:
        await recorder.turn(adapter, "go")
        assert adapter.describe()["checkpointer"] == "InMemorySaver"
    assert list(own.list({"configurable": {"thread_id": "session-1"}}))
    assert not [*recorder.state_dir.iterdir()]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"checkpointer": "postgres"}, "needs CHECKPOINTER_URL"),
        ({"langgraph_aes_key": "short"}, "16, 24 or 32 bytes long, it has 5"),
        ({"langgraph_checkpoint_types": "nonsense"}, r"not written as package\.module:Class"),
    ],
)
async def test_wrong_settings(recorder: Recorder, settings: Any, said: str) -> None:
    """A setting that cannot be honoured fails before the first turn, and says how to mend it."""
    with pytest.raises(ConfigurationError, match=said):
        await recorder.adapter(three([]), **{"checkpointer": "sqlite"} | settings)


async def test_a_state_directory_that_cannot_be_written(recorder: Recorder) -> None:
    """SQLite that cannot be opened fails preflight, naming the file and the variable."""
    recorder.state_dir.rmdir()
    recorder.state_dir.write_text("a file")
    with pytest.raises(ConfigurationError, match=r"checkpoints\.sqlite.*RUNNER_STATE_DIR"):
        await recorder.adapter(three([]), checkpointer="sqlite")


async def test_an_unreachable_database(recorder: Recorder) -> None:
    """A database that is not there fails preflight without showing the password."""
    url = "postgresql://me:sesame-77@127.0.0.1:1/none"
    adapter = LangGraphAdapter(
        LangGraphSettings(graph="x:y", checkpointer="postgres", checkpointer_url=url)
    )
    adapter._source = Source(three([]), "x:y")
    with pytest.raises(ConfigurationError, match="CHECKPOINTER_URL: connection") as failed:
        await adapter.open(recorder.session())
    assert "sesame-77" not in str(failed.value) + repr(adapter.settings)


# --- encryption and types --------------------------------------------------------------------


async def test_encrypted_checkpoints(recorder: Recorder) -> None:
    """With a key nothing of the conversation lies readable on disk; the next process reads it."""
    for _ in range(2):
        async with recorder.process(three([]), langgraph_aes_key=KEY) as adapter:
            await recorder.turn(adapter, "the-plain-words")
            messages = (await recorder.values(adapter))["messages"]
    assert len(messages) == 8
    for file in recorder.state_dir.iterdir():
        assert b"the-plain-words" not in file.read_bytes(), file


@pytest.mark.parametrize("key", [None, "fedcba9876543210"])
async def test_another_key(recorder: Recorder, key: str | None) -> None:
    """Checkpoints written with another key fail preflight, naming the variable."""
    async with recorder.process(three([]), langgraph_aes_key=KEY) as adapter:
        await recorder.turn(adapter, "go")
    with pytest.raises(ConfigurationError, match="LANGGRAPH_AES_KEY"):
        async with recorder.process(three([]), langgraph_aes_key=key):
            pass


class Named(BaseModel):
    """In the graph's schema."""

    n: int


@dataclass
class Unnamed:
    """In no schema."""

    n: int = 1
    many: list[int] = field(default_factory=list)


class Holds(TypedDict, total=False):
    """A state with a model, a list of it, and anything."""

    prompt: str
    named: Named
    list_of: list[Named]
    anything: Any


def holds(state: Holds) -> Holds:
    return {"named": Named(n=1), "list_of": [Named(n=2)], "anything": Unnamed()}


@pytest.mark.parametrize("allowed", [False, True])
async def test_only_types_of_the_schemas_are_built(recorder: Recorder, allowed: bool) -> None:
    """A class that no schema names stays data, is named, and can be allowed by a setting."""
    builder = StateGraph(Holds)
    builder.add_node(holds)
    builder.add_edge(START, "holds")
    types = f"{__name__}:Unnamed" if allowed else ""
    async with recorder.process(builder.compile()) as adapter:
        await recorder.turn(adapter, "go")
    recorder.events.clear()
    graph = builder.compile()
    async with recorder.process(graph, langgraph_checkpoint_types=types) as adapter:
        values = await recorder.values(adapter)
    assert (values["named"], values["list_of"]) == (Named(n=1), [Named(n=2)])
    assert values["anything"] == (Unnamed() if allowed else {"n": 1, "many": []})
    warned = [log.message for log in recorder.of(events.Log)]
    assert any(f"LANGGRAPH_CHECKPOINT_TYPES={__name__}:Unnamed" in one for one in warned) != allowed


async def test_a_turn_record_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A record that is being written when the process dies leaves the one before whole."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    record = TurnRecord(tmp_path, JsonPlusSerializer(allowed_msgpack_modules=[]))
    assert record.read() is None
    record.write(Begun(after="", input={"messages": [HumanMessage("one")]}))
    (tmp_path / "turn.new").write_bytes(b"half a")
    begun = record.read()
    assert begun is not None
    assert begun.input["messages"][0].content == "one"
    record.write(Begun(after="c", input="two"))
    assert record.read() == Begun(after="c", input="two")
