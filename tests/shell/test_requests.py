"""Questions: each is asked once, and has exactly one ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_gateway import FakeGateway, running, script

from runner_shell import Answer, Ending, Request, Session, Turn, UserMessage
from runner_shell.protocol.events import Event, RequestClosed, RequestOpened
from runner_shell.shell.requests import RequestBook
from runner_shell.testing.adapters import EchoAdapter, ScriptedAdapter
from runner_shell.testing.conformance import check_order
from runner_shell.testing.hosting import HostedSession, host


@asynccontextmanager
async def asking(
    *, after: tuple[dict[str, Any], ...] = (), settings: dict[str, Any] | None = None, **ask: Any
) -> AsyncIterator[tuple[HostedSession, dict[str, Any]]]:
    """A scripted session that stands at its question, and the `request.opened`."""
    prompt = script({"ask": {"key": "k", "title": "Go on?"} | ask}, *after)
    async with host(ScriptedAdapter, prompt=prompt, **settings or {}) as session:
        yield session, await session.wait_for("request.opened")
    assert check_order(session.events) == []


async def test_an_answer_goes_to_the_asker_with_who_gave_it() -> None:
    """The request is closed as answered, by the principal that the gateway verified."""
    async with asking() as (session, opened):
        assert (opened["key"], opened["title"], opened["kind"]) == ("k", "Go on?", "question")
        await session.send("request.answer", request=opened["id"], answer={"ok": True})
        assert (await session.end()).exit_code == 0
    (closed,) = session.of_type("request.closed")
    assert (closed["how"], closed["answer"], closed["by"]) == ("answered", {"ok": True}, "tester")
    assert session.text() == 'answered: {"ok":true}'


async def test_a_question_that_nobody_answers_gets_its_default() -> None:
    """At its time, and as `expired`."""
    async with asking(timeout_seconds=0.05, default="deny") as (session, opened):
        assert datetime.fromisoformat(opened["expires_at"]).tzinfo is not None
        await session.end()
    assert session.of_type("request.closed")[0]["how"] == "expired"
    assert session.text() == 'expired: "deny"'


async def test_a_user_message_supersedes_a_question() -> None:
    """The asker goes on with the default; the message gets its turn."""
    async with asking(settings={"interactive": True}) as (session, _):
        await session.send("turn.start", content="never mind")
        await session.wait_for("turn.finished", 2)
    assert session.of_type("request.closed")[0]["how"] == "superseded"
    assert session.text() == "superseded: nullnever mind"


async def test_a_question_whose_asker_is_cancelled_is_closed() -> None:
    """As `cancelled`, before the turn's ending."""
    async with asking() as (session, _):
        await session.send("turn.interrupt")
        await session.end()
    kinds = ["request.closed", "turn.finished", "session.finished"]
    assert session.types()[-3:] == kinds
    assert session.of_type("request.closed")[0]["how"] == "cancelled"


async def test_a_question_left_in_a_background_task_is_closed_with_its_turn() -> None:
    """No question outlives a turn that does not wait."""

    class AsksBeside(EchoAdapter):
        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            request = Request(kind="question", title="?")
            self.asking = asyncio.ensure_future(self.session.ask(request))
            await asyncio.sleep(0)
            return await super().turn(turn)

        async def close(self) -> None:
            assert (await self.asking).how == "cancelled"

    async with host(AsksBeside, prompt="x") as session:
        assert (await session.end()).exit_code == 0
    assert check_order(session.events) == []
    assert not session.of_type("warning")


@pytest.mark.parametrize(
    ("request_id", "answer", "code"),
    [("no-such", "yes", "unknown_request"), (None, "perhaps", "invalid")],
)
async def test_a_wrong_answer_is_refused_with_a_code(
    request_id: str | None, answer: str, code: str
) -> None:
    """The question stays open, and a right answer is still taken."""
    async with asking(options=["yes", {"label": "No", "value": "no"}]) as (session, opened):
        await session.send("request.answer", request=request_id or opened["id"], answer=answer)
        assert (await session.wait_for("command.failed"))["code"] == code
        assert not session.of_type("request.closed")
        await session.send("request.answer", request=opened["id"], answer="no")
        await session.end()
    assert session.text() == 'answered: "no"'


async def test_a_second_answer_is_refused() -> None:
    """The first one counts."""
    async with asking(after=({"delay": 600},)) as (session, opened):
        for answer in ("first", "second"):
            await session.send("request.answer", request=opened["id"], answer=answer)
        failed = await session.wait_for("command.failed")
        assert (failed["code"], failed["command"]) == ("already_closed", "command-2")
        await session.wait_for("message.finished")
    assert session.text() == 'answered: "first"'


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def test_an_answer_that_does_not_fit_the_schema_is_refused() -> None:
    """With the reason and the place; the question stays open for one that fits."""
    async with asking(schema=SCHEMA) as (session, opened):
        for answer in ("seven", {"n": "seven"}, {"n": 7}):
            await session.send("request.answer", request=opened["id"], answer=answer)
        refused = await session.wait_for("command.failed", 2)
        await session.wait_for("turn.finished", outcome="completed")
    assert [event["code"] for event in session.of_type("command.failed")] == ["invalid"] * 2
    assert "at .n: 'seven' is not of type 'integer'" in refused["message"]
    [closed] = session.of_type("request.closed")
    assert closed["answer"] == {"n": 7}


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:1/schema"}, {"$ref": "#/gone"}]
)
async def test_a_schema_that_nothing_can_fit_refuses_nothing(schema: dict[str, str]) -> None:
    """The asker's own fault does not leave its question without an answer, nor is it fetched."""
    async with asking(schema=schema) as (session, opened):
        await session.send("request.answer", request=opened["id"], answer="any")
        await session.wait_for("request.closed", answer="any")


async def test_the_same_key_never_asks_a_person_twice() -> None:
    """Neither once it is answered, nor while it is open."""

    class AsksTwice(EchoAdapter):
        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            request = Request(kind="permission", title="?")
            both = await asyncio.gather(
                self.session.ask(request, key="k"), self.session.ask(request, key="k")
            )
            third = await self.session.ask(request, key="k")
            assert [answer.value for answer in (*both, third)] == ["yes"] * 3
            return Ending("completed")

    async with host(AsksTwice, prompt="x") as session:
        opened = await session.wait_for("request.opened")
        await session.send("request.answer", request=opened["id"], answer="yes")
        assert (await session.end()).exit_code == 0
    assert len(session.of_type("request.opened")) == 1


# --- deferral ------------------------------------------------------------------------------------

SOON = {"defer_seconds": 0.03}


async def test_a_deferred_question_waits_and_its_answer_continues() -> None:
    """The turn ends `waiting`, the answer starts one with the cause `answers`."""
    async with asking(may_defer=True, settings=SOON) as (session, opened):
        assert opened["deferrable"] is True
        await session.wait_for("turn.finished", outcome="waiting")
        await session.send("request.answer", request=opened["id"], answer="yes")
        assert (await session.end()).outcome == "completed"
    assert [turn["cause"] for turn in session.of_type("turn.started")] == ["message", "answers"]
    assert len(session.of_type("request.opened")) == 1
    assert session.text() == 'answered: "yes"'


async def test_an_answer_before_the_deferral_ends_in_the_same_turn() -> None:
    """There is nothing to wait for."""
    async with asking(may_defer=True) as (session, opened):
        await session.send("request.answer", request=opened["id"], answer="yes")
        await session.end()
    assert len(session.of_type("turn.started")) == 1


async def test_a_deferred_question_that_expires_continues_too() -> None:
    """With its default."""
    settings = {"defer_seconds": 0.02}
    ask = {"may_defer": True, "timeout_seconds": 0.2, "default": "no"}
    async with asking(**ask, settings=settings) as (session, _):
        await session.end()
    assert [turn["outcome"] for turn in session.of_type("turn.finished")] == [
        "waiting",
        "completed",
    ]
    assert session.text() == 'expired: "no"'


async def test_a_message_supersedes_a_deferred_question() -> None:
    """Its turn is the message's; no turn goes on with an answer that never came."""
    async with asking(may_defer=True, settings=SOON) as (session, _):
        await session.wait_for("turn.finished", outcome="waiting")
        await session.send("turn.start", content="never mind")
        assert (await session.end()).outcome == "completed"
    assert [turn["cause"] for turn in session.of_type("turn.started")] == ["message", "message"]


async def test_tools_and_steps_stay_open_over_a_waiting_end() -> None:
    """They end in the turn that goes on."""
    tool = {"type": "tool.started", "call": "c", "name": "rm"}
    end = {"type": "tool.finished", "call": "c"}
    prompt = script(
        {"event": tool}, {"ask": {"key": "k", "may_defer": True}}, {"event": end}, {"say": "done"}
    )
    async with host(ScriptedAdapter, prompt=prompt, **SOON) as session:
        opened = await session.wait_for("request.opened")
        await session.wait_for("turn.finished", outcome="waiting")
        assert not session.of_type("tool.finished")
        await session.send("request.answer", request=opened["id"], answer=1)
        assert (await session.end()).exit_code == 0
    (finished,) = session.of_type("tool.finished")
    assert finished["turn"] != session.of_type("tool.started")[0]["turn"]
    assert check_order(session.events) == []


async def test_an_answer_between_deferral_and_ending_is_not_lost() -> None:
    """It comes while the adapter winds up its turn; the next turn has it."""

    answered = threading.Event()

    class WindsUp(EchoAdapter):
        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            request = Request(kind="question", title="?")
            answer = await self.session.ask(request, key="k", may_defer=True)
            if answer is not None:
                return Ending("completed", str(answer.value))
            self.session.log.info("winding up")
            await asyncio.to_thread(answered.wait)
            return Ending("waiting")

    async with host(WindsUp, prompt="x", **SOON) as session:
        opened = await session.wait_for("request.opened")
        await session.wait_for("log")
        await session.send("request.answer", request=opened["id"], answer="just so")
        await session.wait_for("command.done")
        answered.set()
        verdict = await session.end()
    assert (verdict.outcome, verdict.reason) == ("completed", "just so")


async def test_an_answer_that_a_turn_did_without_starts_no_later_one() -> None:
    """It is there when it is asked for; a turn that waits for another question goes on waiting."""
    answered = threading.Event()

    class DoesWithout(EchoAdapter):
        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            assert isinstance(turn.input, UserMessage)
            request = Request(kind="question", title="?")
            await self.session.ask(request, key=turn.input.text(), may_defer=True)
            if turn.input.text() == "second":
                return Ending("waiting")
            self.session.log.info("going on")
            await asyncio.to_thread(answered.wait)
            return Ending("completed")

    async with host(DoesWithout, prompt="first", interactive=True, **SOON) as session:
        opened = await session.wait_for("request.opened")
        await session.wait_for("log")
        await session.send("request.answer", request=opened["id"], answer="unheard")
        await session.wait_for("request.closed")
        answered.set()
        await session.wait_for("turn.finished")
        await session.send("turn.start", content="second")
        await session.wait_for("turn.finished", outcome="waiting")
        await session.send("session.end")
        await session.end()
    assert [turn["cause"] for turn in session.of_type("turn.started")] == ["message", "message"]


async def test_a_question_may_be_deferred_only_under_a_key() -> None:
    """Without one the next turn could not have its answer."""
    session = Session("s", _NoPort(), workspace=None, state_dir=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="own key"):
        await session.ask(Request(kind="question", title="?"), key=None, may_defer=True)  # type: ignore[call-overload]


class _NoPort:
    pass


async def test_a_stop_releases_who_may_be_deferred() -> None:
    """It is told to come back later, and returns; without a journal its turn is `stopped`."""
    gateway = FakeGateway()
    prompt = script({"ask": {"key": "k", "may_defer": True}})
    async with running(gateway, prompt, grace_seconds=5.0) as run:
        await gateway.wait_for("request.opened")
        command = {"type": "session.stop", "id": "c", "seq": 1}
        await gateway.send("commands", commands=[command])
        assert (await run.end()).exit_code == 130
    assert check_order(run.told) == []
    assert [event["how"] for event in run.told if event["type"] == "request.closed"] == [
        "cancelled"
    ]


# --- the book alone ------------------------------------------------------------------------------


class Book:
    """A book, with what it said and replied."""

    def __init__(self) -> None:
        self.said: list[Event] = []
        self.replies: list[Answer | None] = []
        self.later = 0
        self.book = RequestBook(
            self.said.append, self._answered_later, prefix="r-", defer_seconds=60.0
        )

    def _answered_later(self) -> None:
        self.later += 1

    def ask(self, key: str = "k", *, may_defer: bool = False, **request: Any) -> None:
        asked = Request(**{"kind": "question", "title": "?"} | request)
        self.book.ask(asked, key, may_defer, self.replies.append)


async def test_late_is_judged_by_when_the_gateway_received_it() -> None:
    """An answer that was on its way when the question expired is refused as late."""
    book = Book()
    book.ask(timeout_seconds=3600.0)
    (opened,) = book.said
    assert isinstance(opened, RequestOpened)
    late = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    refusal = book.book.answer("r-1", "yes", by="ann", received_at=late)
    assert refusal is not None
    assert refusal[0] == "late"
    early = datetime.now(UTC).isoformat()
    assert book.book.answer("r-1", "yes", by="ann", received_at=early) is None
    assert book.replies == [Answer(value="yes", by="ann")]


async def test_parallel_questions_are_apart() -> None:
    """Each has its own id, and its own answer."""
    book = Book()
    book.ask("a")
    book.ask("b")
    assert book.book.answer("r-2", 2, by="", received_at="") is None
    assert [reply.value for reply in book.replies if reply is not None] == [2]
    assert book.book.has_open
    book.book.cancel()
    assert not book.book.has_open
    closed = [event for event in book.said if isinstance(event, RequestClosed)]
    assert [(event.id, event.how) for event in closed] == [
        ("r-2", "answered"),
        ("r-1", "cancelled"),
    ]


async def test_a_withdrawn_question_with_another_waiter_stays_open() -> None:
    """Only who was cancelled is gone."""
    book = Book()
    other: list[Answer | None] = []
    book.ask()
    book.book.ask(Request(kind="question", title="?"), "k", False, other.append)
    book.book.withdraw("k", book.replies.append)
    assert book.book.has_open
    book.book.withdraw("k", other.append)
    assert not book.book.has_open


async def test_once_the_runner_must_go_questions_are_deferred_at_once() -> None:
    """Those that may be; the others wait for their end."""
    book = Book()
    book.ask("a", may_defer=True)
    book.ask("b")
    book.book.defer_all()
    assert book.replies == [None]
    book.ask("c", may_defer=True)
    assert book.replies == [None, None]
    assert book.book.answer("r-1", "x", by="", received_at="") is None
    assert book.later == 1
