"""Threads in a real PostgreSQL: over processes, over the database's end, encrypted."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from langgraph_recording import Recorder
from real_postgres import PASSWORD, Server

from runner_shell import AgentFailed, Answer, ConfigurationError, events
from runner_shell.testing.recorder import ANSWERS, RESTART, deferred


def graph(ran: list[str], fail: list[bool] | None = None) -> Any:
    def first(state: MessagesState) -> Any:
        ran.append("first")
        return {"messages": [AIMessage("first")]}

    def second(state: MessagesState) -> Any:
        ran.append("second")
        if fail and fail.pop():
            raise OSError("the machine is gone")
        return {"messages": [AIMessage("second")]}

    builder = StateGraph(MessagesState)
    builder.add_sequence([first, second])
    builder.add_edge(START, "first")
    return builder.compile()


def postgres(database: str, **more: Any) -> dict[str, Any]:
    return {"checkpointer": "postgres", "checkpointer_url": database, **more}


async def test_a_next_process_goes_on_from_the_last_checkpoint(
    recorder: Recorder, database: str
) -> None:
    """The tables are made, a turn that failed goes on where it failed, in another process."""
    ran: list[str] = []
    fail = [True]
    async with recorder.process(graph(ran, fail), **postgres(database)) as adapter:
        with pytest.raises(AgentFailed):
            await recorder.turn(adapter, "go")
        assert adapter.describe()["checkpointer"] == "AsyncPostgresSaver"
        assert adapter.describe()["durable"]
    async with recorder.process(graph(ran, fail), **postgres(database)) as adapter:
        assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
        contents = [one.content for one in (await recorder.values(adapter))["messages"]]
    assert (ran, contents) == (["first", "second", "second"], ["go", "first", "second"])
    assert recorder.of(events.CheckpointSaved)[-1].next == ()
    assert not (recorder.state_dir / "checkpoints.sqlite").exists()


async def test_an_interrupt_is_answered_after_a_restart(recorder: Recorder, database: str) -> None:
    """A question outlives the process, with its thread in the database."""

    def asks(state: MessagesState) -> Any:
        return {"messages": [AIMessage(interrupt("deploy?"))]}

    builder = StateGraph(MessagesState)
    builder.add_node(asks)
    builder.add_edge(START, "asks")
    recorder.person = deferred
    async with recorder.process(builder.compile(), **postgres(database)) as adapter:
        assert (await recorder.turn(adapter, "go")).outcome == "waiting"
    recorder.answers[next(iter(recorder.asked))] = Answer(value="yes")
    async with recorder.process(builder.compile(), **postgres(database)) as adapter:
        assert (await recorder.turn(adapter, ANSWERS)).outcome == "completed"


async def test_encrypted_rows(recorder: Recorder, database: str) -> None:
    """With a key the words of a conversation stand in no row; without it preflight fails."""
    key = {"langgraph_aes_key": "0123456789abcdef"}
    async with recorder.process(graph([]), **postgres(database, **key)) as adapter:
        await recorder.turn(adapter, "the-plain-words")
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT blob FROM checkpoint_blobs").fetchall()
        rows += connection.execute("SELECT blob FROM checkpoint_writes").fetchall()
    assert rows
    assert not any(b"the-plain-words" in bytes(blob) for (blob,) in rows if blob)
    with pytest.raises(ConfigurationError, match="LANGGRAPH_AES_KEY"):
        async with recorder.process(graph([]), **postgres(database)):
            pass


async def test_a_database_that_goes_away(recorder: Recorder, server: Server, database: str) -> None:
    """A turn fails without showing the password; the next process finds the thread whole."""
    async with recorder.process(graph([]), **postgres(database)) as adapter:
        await recorder.turn(adapter, "one")
        server.stop()
        try:
            with pytest.raises(AgentFailed) as failed:
                await recorder.turn(adapter, "two")
        finally:
            server.start()
    assert PASSWORD not in str(failed.value)
    async with recorder.process(graph([]), **postgres(database)) as adapter:
        await recorder.turn(adapter, "three")
        contents = [one.content for one in (await recorder.values(adapter))["messages"]]
    assert contents == ["one", "first", "second", "three", "first", "second"]


async def test_a_wrong_password(recorder: Recorder, database: str) -> None:
    """Preflight names the variable, not the password."""
    wrong = database.replace(PASSWORD, "sesame-wrong")
    with pytest.raises(ConfigurationError, match="CHECKPOINTER_URL") as failed:
        async with recorder.process(graph([]), **postgres(wrong)):
            pass
    assert "sesame-wrong" not in str(failed.value)
    assert os.environ.get("CHECKPOINTER_URL") is None
