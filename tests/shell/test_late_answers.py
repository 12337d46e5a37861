"""Questions over restarts: each is asked once, answered once, and judged by the gateway's time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from afterlife import LastingGateway, deaths, life
from fake_gateway import script

from runner_shell import Request
from runner_shell.shell import requests as books
from runner_shell.shell.outcome import Verdict

DRAINED = Verdict(outcome="interrupted", reason="told to terminate", exit_code=143)

QUESTION = {"key": "k", "title": "Push?", "may_defer": True, "kind": "permission"}


def asking(**more: Any) -> str:
    return script({"ask": QUESTION | more}, {"say": " done"})


async def wait_until_deferred(
    gateway: LastingGateway, directory: Path, prompt: str
) -> dict[str, Any]:
    """A process that leaves a question open and is drained; the question."""
    async with life(gateway, directory, prompt, defer_seconds=0.02) as run:
        opened = await gateway.wait_for("request.opened")
        await gateway.wait_for("turn.finished", outcome="waiting")
        run.runner.stop(DRAINED)
        assert (await run.end()).exit_code == 143
    assert gateway.of_type("request.closed") == []
    return opened


async def test_an_answer_given_while_nobody_was_there(tmp_path: Path) -> None:
    """The next process takes it, runs a turn with it, and asks nobody again."""
    gateway = LastingGateway()
    opened = await wait_until_deferred(gateway, tmp_path / "j", asking())
    gateway.give("request.answer", request=opened["id"], answer={"allow": True})
    gateway.give("request.answer", request=opened["id"], answer={"allow": False})
    gateway.give("request.answer", request="no-such", answer=1)
    async with life(gateway, tmp_path / "j", asking()) as run:
        assert (await run.end()).exit_code == 0
    gateway.check()
    assert [turn["cause"] for turn in gateway.of_type("turn.started")] == ["message", "answers"]
    assert gateway.text() == 'answered: {"allow":true} done'
    codes = [event["code"] for event in gateway.of_type("command.failed")]
    assert codes == ["already_closed", "unknown_request"]
    (closed,) = gateway.of_type("request.closed")
    assert closed["digest"] == opened["digest"] != ""


async def test_the_digest_is_of_what_is_shown(tmp_path: Path) -> None:
    """Anybody can make it anew from `request.opened`, with its secrets replaced, by any library."""
    gateway = LastingGateway()
    secret = "sesame-open-12345"
    question = QUESTION | {
        "title": f"Push with {secret}?",
        "body": {"zwei": [1, 2.5, "ü\u2028"], "eins": secret},
        "options": ["yes", "no"],
    }
    async with life(gateway, tmp_path / "j", script({"ask": question}), secrets={"S": secret}):
        opened = await gateway.wait_for("request.opened")
    absent = {"body": None, "schema": None, "options": []}
    names = ("kind", "title", "body", "schema", "options")
    shown = {name: (absent | opened)[name] for name in names}
    assert shown["body"]["eins"] == "[REDACTED:S]"
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert opened["digest"] == hashlib.sha256(text.encode()).hexdigest()


async def test_a_death_in_mid_question_is_a_deferral(tmp_path: Path) -> None:
    """The turn ends `waiting`, the question stays, and its answer brings the turn that goes on."""
    gateway = LastingGateway()
    prompt = script({"checkpoint": True}, {"ask": QUESTION}, {"say": " done"})
    async with life(gateway, tmp_path / "whole", prompt):
        await gateway.wait_for("request.opened")
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        if sendable and sendable[-1]["type"] == "request.opened":
            again = LastingGateway(sendable, epoch=1)
            again.give("request.answer", request=sendable[-1]["id"], answer="yes")
            async with life(again, directory, prompt) as run:
                assert (await run.end()).exit_code == 0
            again.check()
            first, second = again.of_type("turn.finished")
            assert (first["outcome"], second["outcome"]) == ("waiting", "completed")
            assert len(again.of_type("request.opened")) == 1
            assert again.text() == 'answered: "yes" done'
            return
    raise AssertionError("no death in the question")


async def test_a_death_between_an_answer_and_its_turn(tmp_path: Path) -> None:
    """At every record: the question is asked once, answered once, and its turn runs once."""
    gateway = LastingGateway()
    opened = await wait_until_deferred(gateway, tmp_path / "whole", asking())
    before = list(gateway.store)
    gateway.give("request.answer", request=opened["id"], answer="yes")
    async with life(gateway, tmp_path / "whole", asking()) as run:
        assert (await run.end()).exit_code == 0
    for directory, sendable in deaths(tmp_path / "whole", tmp_path / "d", before):
        committed = 2 if len(sendable) > len(before) else 1
        again = LastingGateway(sendable, epoch=2, committed_epoch=committed)
        again.commands = gateway.commands
        async with life(again, directory, asking()) as run:
            assert (await run.end()).exit_code == 0
        again.check()
        assert len(again.of_type("request.closed")) == 1
        assert not again.of_type("command.failed")
        assert again.text().endswith('answered: "yes" done')


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_to_a_question_that_expired_meanwhile(
    tmp_path: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gateway received in time counts, though no process was there to hear it."""
    monkeypatch.setattr(books, "OVERDUE_SECONDS", 2.0)
    gateway = LastingGateway()
    prompt = asking(timeout_seconds=2.0, default="deny")
    opened = await wait_until_deferred(gateway, tmp_path / "j", prompt)
    expires = datetime.fromisoformat(opened["expires_at"])
    await asyncio.sleep(max(0.0, (expires - datetime.now(UTC)).total_seconds()))
    received = expires + timedelta(seconds=1 if late else -0.1)
    gateway.give(
        "request.answer", request=opened["id"], answer="yes", received_at=received.isoformat()
    )
    async with life(gateway, tmp_path / "j", prompt) as run:
        assert (await run.end()).exit_code == 0
    gateway.check()
    assert gateway.text() == ('expired: "deny" done' if late else 'answered: "yes" done')
    assert [event["code"] for event in gateway.of_type("command.failed")] == ["late"] * late


async def test_questions_without_a_key_are_each_processs_own(tmp_path: Path) -> None:
    """A next process that counts anew is not given another question's answer."""
    gateway = LastingGateway()
    for answer in ("first", "second"):
        prompt = script({"ask": {"title": answer}})
        gateway.give("turn.start", content=prompt)
        gateway.events.clear()
        async with life(gateway, tmp_path / "j", interactive=True):
            opened = await gateway.wait_for("request.opened", title=answer)
            await gateway.hand_over("request.answer", request=opened["id"], answer=answer)
            await gateway.wait_for("turn.finished")
    gateway.check()
    assert gateway.text() == 'answered: "first"answered: "second"'


async def test_another_permission_under_the_same_key_is_asked_anew(tmp_path: Path) -> None:
    """An approval is of what was shown; a question's answer is given again whatever its words."""
    asked: list[str] = []
    closed: list[Any] = []
    book = books.RequestBook(
        lambda event: asked.append(type(event).__name__),
        lambda: None,
        prefix="r",
        defer_seconds=60.0,
    )
    for kind in ("permission", "question"):
        for body in ("ls", "ls", "rm -r /"):
            request = Request(kind=kind, title="?", body=body)  # type: ignore[arg-type]
            book.ask(request, kind, False, closed.append)
            for id in list(book._by_id):
                book.answer(id, True, by="ann", received_at="")
    assert asked.count("RequestOpened") == 3
    assert len(closed) == 6
