"""Whom a question belongs to: alike calls are told apart, and found again after a death."""

from __future__ import annotations

import asyncio
from typing import Any

from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny, ToolPermissionContext
from claude_recording import Recorder
from runner_shell_claude.questions import Desk
from runner_shell_claude.settings import ClaudeSettings

from runner_shell import Answer, Request

CALL = {"command": "touch made"}


def desk(recorder: Recorder) -> Desk:
    """As a new process has it."""
    settings = ClaudeSettings.from_environment({"ANTHROPIC_API_KEY": "none"})
    return Desk(recorder.session(), settings, lambda: "default", lambda call: None)


async def ask(at: Desk, call: str) -> Any:
    return await at.can_use_tool("Bash", CALL, ToolPermissionContext(tool_use_id=call))


async def nobody(request: Request, key: str) -> Answer:
    """A person who does not answer while this process lives."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_alike_calls_at_once_are_two_questions(recorder: Recorder) -> None:
    """Each has its own answer: who allows one has not allowed the other."""

    async def person(request: Request, key: str) -> Answer:
        await recorder.until(lambda: len(recorder.asked) == 2)
        return Answer(value="allow" if key == "a" else "deny")

    recorder.person = person
    at = desk(recorder)
    first, second = await asyncio.gather(ask(at, "a"), ask(at, "b"))
    assert isinstance(first, PermissionResultAllow)
    assert isinstance(second, PermissionResultDeny)
    assert list(recorder.asked) == ["a", "b"]


async def test_alike_calls_find_their_questions_after_a_death(recorder: Recorder) -> None:
    """The next process's two calls, with ids of their own, take up the two questions."""
    recorder.person = nobody
    at = desk(recorder)
    dead = [asyncio.create_task(ask(at, call)) for call in ("a", "b")]
    await recorder.until(lambda: len(recorder.asked) == 2)
    recorder.answers = {"a": Answer(value="allow"), "b": Answer(value="deny")}
    at = desk(recorder)  # the tasks of the dead process are of no matter to it
    first, second = await asyncio.gather(ask(at, "c"), ask(at, "d"))
    assert (type(first), type(second)) == (PermissionResultAllow, PermissionResultDeny)
    assert list(recorder.asked) == ["a", "b"], "nobody was asked a second time"
    for task in dead:
        task.cancel()
    await asyncio.gather(*dead, return_exceptions=True)


async def test_a_decided_call_is_asked_anew(recorder: Recorder) -> None:
    """A later call that is like one that was decided is another question."""
    decided = iter(["allow", "deny"])

    async def person(request: Request, key: str) -> Answer:
        return Answer(value=next(decided))

    recorder.person = person
    at = desk(recorder)
    assert isinstance(await ask(at, "a"), PermissionResultAllow)
    assert isinstance(await ask(at, "b"), PermissionResultDeny)


async def test_an_interrupted_question_answers_no_later_one(recorder: Recorder) -> None:
    """Who interrupts while a call waits, and then wants it, is asked for it under its own key."""
    recorder.person = nobody
    at = desk(recorder)
    asking = asyncio.create_task(ask(at, "a"))
    await recorder.until(lambda: recorder.asked)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    recorder.answers["a"] = Answer(value=None, how="cancelled")  # as the shell closes it

    async def person(request: Request, key: str) -> Answer:
        return Answer(value="allow")

    recorder.person = person
    assert isinstance(await ask(at, "b"), PermissionResultAllow)
    assert list(recorder.asked) == ["a", "b"]
