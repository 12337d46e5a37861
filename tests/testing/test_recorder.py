"""The recorder is as strict as the shell, and shows what an adapter did."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner_shell import Adapter, Answer, Ending, Request, Session, Turn, TurnOver, events
from runner_shell.testing.recorder import ANSWERS, Recorder, answered, deferred


class Polite(Adapter):
    """Asks before it speaks, and remembers how often it spoke."""

    name = "polite"

    async def open(self, session: Session) -> None:
        self.session = session
        self.closed = False

    async def turn(self, turn: Turn) -> Ending:
        answer = await self.session.ask(
            Request(kind="question", title="May I?"), key="may-i", may_defer=True
        )
        if answer is None:
            return Ending("waiting")
        self.session.state["spoken"] = int(str(self.session.state.get("spoken", 0))) + 1
        async with turn.message("m", scope=("outer",)) as message:
            await message.text(str(answer.value))
        return Ending("completed")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


async def test_a_turn_is_recorded(recorder: Recorder) -> None:
    """What is emitted, asked and saved stands in the recorder; nothing is left open."""
    recorder.person = answered("yes")
    ending = await recorder.turn(await recorder.open(Polite(None)), "hello")
    assert ending.outcome == "completed"
    assert recorder.text() == "yes"
    assert recorder.lines() == [
        "message.started m in outer",
        "block.started text m in outer",
        "block.delta m yes in outer",
        "block.finished m in outer",
        "message.finished m in outer",
    ]
    assert recorder.open_things() == []
    assert recorder.saved == {"spoken": 1}
    assert [request.title for request in recorder.asked.values()] == ["May I?"]


async def test_a_person_is_asked_once_over_processes(recorder: Recorder) -> None:
    """A second adapter finds the state and the answer of the first, and asks nobody again."""
    recorder.person = deferred
    assert (await recorder.turn(await recorder.open(Polite(None)), "go")).outcome == "waiting"
    recorder.answers["may-i"] = Answer(value="well, yes")
    recorder.person = None
    assert (await recorder.turn(await recorder.open(Polite(None)), ANSWERS)).outcome == "completed"
    assert (await recorder.turn(await recorder.open(Polite(None)), "more")).outcome == "completed"
    assert recorder.saved == {"spoken": 2}


async def test_a_question_that_cannot_wait_is_not_deferred(recorder: Recorder) -> None:
    """Nobody there is an error for a question that did not allow it, and so is no person at all."""
    session = recorder.session()
    with pytest.raises(AssertionError, match="nobody is there to answer 'Now\\?'"):
        await session.ask(Request(kind="question", title="Now?"))
    recorder.person = deferred
    with pytest.raises(AssertionError, match="cannot be deferred"):
        await session.ask(Request(kind="question", title="Now?"))


async def test_nothing_is_emitted_after_the_ending(recorder: Recorder) -> None:
    """As in the shell, a turn is over when it has returned."""

    class Keeps(Polite):
        async def turn(self, turn: Turn) -> Ending:
            self.kept = turn
            return Ending("completed")

    adapter = await recorder.open(Keeps(None))
    await recorder.turn(adapter, "hello")
    with pytest.raises(TurnOver):
        adapter.kept.emit(events.Log(message="late"))


async def test_what_fails_to_open_is_closed(recorder: Recorder) -> None:
    """`close` follows a half-done `open`, and the error is told."""

    class Fails(Polite):
        async def open(self, session: Session) -> None:
            await super().open(session)
            raise OSError("no such model")

    adapter = Fails(None)
    with pytest.raises(OSError, match="no such model"):
        await recorder.open(adapter)
    assert adapter.closed


async def test_events_of_other_threads_wake_who_waits(recorder: Recorder) -> None:
    """`until` sees what a thread emits, and a wake-up."""
    session = recorder.session()

    def work() -> None:
        session.log.info("from afar")
        session.wake()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recorder.until(lambda: recorder.of(events.Log) and recorder.wakes))
        tasks.create_task(asyncio.to_thread(work))
    assert recorder.of(events.Log)[0].message == "from afar"


async def test_several_may_wait_at_once(recorder: Recorder) -> None:
    """Who has seen what it waits for leaves the others waiting for theirs."""
    session = recorder.session()
    async with asyncio.TaskGroup() as tasks:
        log = tasks.create_task(recorder.until(lambda: recorder.of(events.Log)))
        tasks.create_task(recorder.until(lambda: recorder.wakes))
        await asyncio.sleep(0)  # so that both wait
        session.log.info("first")
        await log
        session.wake()


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([events.MessageStarted(id="m")] * 2, "started twice"),
        ([events.MessageFinished(id="m")], "has no start"),
    ],
)
def test_a_broken_order_is_told(recorder: Recorder, said: list[events.Event], wrong: str) -> None:
    """A second start and an ending without a start fail, and say of what."""
    turn = Turn("turn-1", ANSWERS, recorder)
    for event in said:
        turn.emit(event)
    with pytest.raises(AssertionError, match=wrong):
        recorder.open_things()
