"""A restarted runner: after any death, every start has one true ending, and nothing runs twice."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from afterlife import CannotResume, LastingGateway, deaths, life, records
from fake_gateway import FakeGateway, script

from runner_shell import Ending, Request, Turn
from runner_shell.journal import open_journal
from runner_shell.shell.outcome import Verdict
from runner_shell.testing.adapters import ScriptedAdapter

DRAINED = Verdict(outcome="interrupted", reason="told to terminate", exit_code=143)

TURN = script(
    {"save": {"a": 1}},
    {"say": "one two"},
    {"checkpoint": True},
    {"event": {"type": "step.started", "id": "s", "name": "node"}},
    {"tool": {"name": "sh", "output": "x"}},
    {"event": {"type": "step.finished", "id": "s"}},
    {"say": " three"},
)


def cannot() -> CannotResume:
    return CannotResume(CannotResume.Settings())


async def lived(gateway: LastingGateway, directory: Path, prompt: str = TURN, **more: Any) -> int:
    """A process from start to its own end; its exit code."""
    async with life(gateway, directory, prompt, **more) as run:
        return (await run.end()).exit_code


# --- death at any instruction --------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["continue", "fail"])
async def test_a_death_at_any_record_has_one_true_ending(tmp_path: Path, policy: str) -> None:
    """Whatever had reached the gateway: an exact prefix, one ending each, and the prompt once."""
    assert await lived(LastingGateway(), tmp_path / "whole") == 0
    chance = random.Random(3)
    seen = set()
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        stored = sendable[: chance.randint(0, len(sendable))]
        gateway = LastingGateway(stored, epoch=1)
        code = await lived(gateway, directory, resume=policy)
        gateway.check()
        assert gateway.store[: len(sendable)] == sendable
        started = gateway.of_type("turn.started")
        assert [turn.get("command") for turn in started].count("initial") == 1
        causes = [turn["cause"] for turn in started]
        began = "turn.started" in [event["type"] for event in sendable]
        ended = "turn.finished" in [event["type"] for event in sendable]
        cut = began and not ended
        goes_on = cut and policy == "continue"
        assert causes == (["message", "restart"] if goes_on else ["message"])
        outcomes = [turn["outcome"] for turn in gateway.of_type("turn.finished")]
        if cut:
            assert outcomes[0] == ("interrupted" if goes_on else "failed")
            assert code == (1 if policy == "fail" or "failed" in outcomes else 0)
        else:
            assert (outcomes, code) == (["completed"], 0)
        seen.add((began, ended, goes_on))
    assert len(seen) == 3


async def test_a_turn_goes_on_behind_its_checkpoint(tmp_path: Path) -> None:
    """The adapter gets back what it saved, and says only what was not said."""
    assert await lived(LastingGateway(), tmp_path / "whole") == 0
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        if sendable and sendable[-1]["type"] == "tool.started":
            gateway = LastingGateway(sendable, epoch=1)
            assert await lived(gateway, directory) == 0
            assert gateway.text() == "one two three"
            dead = [event["type"] for event in gateway.store[len(sendable) :]][:4]
            assert dead == ["tool.finished", "step.finished", "turn.finished", "session.finished"]
            resumed = gateway.of_type("session.started")[1]
            assert (resumed["resumed"], resumed["epoch"]) == (True, 2)
            return
    raise AssertionError("no death in a tool call")


async def test_a_torn_tail_is_told(tmp_path: Path) -> None:
    """By a warning with its size, and only where there was one."""
    assert await lived(LastingGateway(), tmp_path / "whole") == 0
    seen = []
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        if sendable and sendable[-1]["type"] == "tool.started":
            gateway = LastingGateway(sendable, epoch=1)
            assert await lived(gateway, directory) == 0
            warnings = gateway.of_type("warning")
            seen.append([one["message"] for one in warnings if one["code"] == "journal_cut"])
    told = ["the last 9 bytes of the journal were torn and are cut off"]
    assert seen[:2] == [[], told]


async def test_a_block_that_was_cut_off_ends_with_the_text_it_had(tmp_path: Path) -> None:
    """To the character, as cancelled, before its message and its turn."""
    await lived(LastingGateway(), tmp_path / "whole")
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        if sendable and sendable[-1].get("text") == " two":
            gateway = LastingGateway(sendable[:3], epoch=1)
            await lived(gateway, directory, resume="fail")
            (block, *_) = gateway.of_type("block.finished")
            assert (block["content"], block["status"]) == ("one two", "cancelled")
            return


async def test_deaths_during_the_restart_itself(tmp_path: Path) -> None:
    """The missing endings are written once, and the turn is still gone on with."""
    await lived(LastingGateway(), tmp_path / "whole")
    died = deaths(tmp_path / "whole", tmp_path / "first")
    cut, before = next(death for death in died if len(death[1]) == 14)
    assert await lived(LastingGateway(epoch=1), cut) == 0
    for directory, sendable in deaths(cut, tmp_path / "second", before):
        committed = 2 if len(sendable) > len(before) else 1
        gateway = LastingGateway(sendable, epoch=2, committed_epoch=committed)
        await lived(gateway, directory)
        gateway.check()
        outcomes = [turn["outcome"] for turn in gateway.of_type("turn.finished")]
        assert outcomes[0] == "interrupted"
        assert outcomes[-1] == "completed"
        # What redaction still held back when it died was never said; the turn says it anew.
        assert gateway.text().startswith("one two")
        assert gateway.text().endswith(" three")


# --- what a person or the platform had ordered ---------------------------------------------------


async def test_an_adapter_that_cannot_resume_fails_the_turn(tmp_path: Path) -> None:
    """By default; `continue` for it is refused with a warning."""
    await lived(LastingGateway(), tmp_path / "whole", make=cannot)
    for number, (directory, sendable) in enumerate(deaths(tmp_path / "whole", tmp_path)):
        if sendable and sendable[-1]["type"] == "tool.started":
            gateway = LastingGateway(sendable, epoch=1)
            policy = "continue" if number % 2 else None
            assert await lived(gateway, directory, make=cannot, resume=policy) == 1
            gateway.check()
            (turn,) = gateway.of_type("turn.finished")
            assert (turn["outcome"], turn["reason"]) == ("failed", "the process died in this turn")
            warned = [event["code"] for event in gateway.of_type("warning")]
            assert ("resume_not_supported" in warned) == (policy == "continue")


@pytest.mark.parametrize(
    ("answer", "causes"), [("continue", ["message", "restart"]), ("fail", ["message"])]
)
async def test_ask_asks_a_person(tmp_path: Path, answer: str, causes: list[str]) -> None:
    """The question lives over further restarts, and its answer decides."""
    await lived(LastingGateway(), tmp_path / "whole")
    directory = next(d for d, events in deaths(tmp_path / "whole", tmp_path) if len(events) == 14)
    gateway = LastingGateway(epoch=1)
    for _ in range(2):
        async with life(gateway, directory, TURN, resume="ask") as run:
            opened = await gateway.wait_for("request.opened")
            run.runner.stop(DRAINED)
            assert (await run.end()).exit_code == 143
    assert len(gateway.of_type("request.opened")) == 1
    async with life(gateway, directory, TURN, resume="ask") as run:
        await gateway.until(lambda: len(gateway.of_type("session.started")) == 4)
        await gateway.hand_over("request.answer", request=opened["id"], answer=answer)
        assert (await run.end()).exit_code == (0 if answer == "continue" else 1)
    gateway.check()
    assert [turn["cause"] for turn in gateway.of_type("turn.started")] == causes


async def test_a_drained_turn_goes_on(tmp_path: Path) -> None:
    """It was told to make room (SIGTERM), not to give up."""
    gateway = LastingGateway()
    prompt = script({"say": "a"}, {"checkpoint": True}, {"delay": 0.3}, {"say": "b"})
    async with life(gateway, tmp_path / "j", prompt) as run:
        await gateway.wait_for("session.saved")
        run.runner.stop(DRAINED)
        assert (await run.end()).exit_code == 143
    assert gateway.of_type("session.finished")[0]["resumable"]
    assert await lived(gateway, tmp_path / "j", prompt) == 0
    gateway.check()
    assert gateway.text() == "ab"


async def test_a_turn_that_a_person_interrupted_is_not_gone_on_with(tmp_path: Path) -> None:
    """Whether the order was only accepted, being applied, or answered when the process died."""
    gateway = LastingGateway()
    prompt = script({"say": "a"}, {"checkpoint": True}, {"delay": 600}, {"say": "b"})
    async with life(gateway, tmp_path / "whole", prompt):
        await gateway.wait_for("session.saved")
        await gateway.hand_over("turn.interrupt", reason="enough")
        await gateway.wait_for("turn.finished")
    deaths_in_it = 0
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        journal = open_journal(directory)
        accepted, open_turn = journal.recovered.last_command == 1, journal.recovered.turn
        journal.close()
        if not accepted or open_turn is None:
            continue
        deaths_in_it += 1
        again = LastingGateway(sendable, epoch=1)
        again.commands, again.acknowledged_command = gateway.commands, 1
        assert await lived(again, directory, prompt) == 130
        again.check()
        (turn,) = again.of_type("turn.finished")
        assert (turn["outcome"], turn["reason"]) == ("interrupted", "enough")
    assert deaths_in_it >= 3


async def test_commands_are_applied_at_most_once_and_all_answered(tmp_path: Path) -> None:
    """A death at any record: messages run once, an effect that had begun never begins again."""
    calls: list[str] = []

    class Calls(ScriptedAdapter):
        async def handle(self, command: Any) -> Any:
            calls.append(command.id)
            return await super().handle(command)

    def make() -> Calls:
        return Calls(Calls.Settings())

    gateway = LastingGateway()
    gateway.give("turn.start", content="first ")
    gateway.give("adapter.call", method="echo", params=1)
    gateway.give("turn.start", content="second")
    gateway.give("turn.start", content=7, attachments=3)
    gateway.give("session.end")
    async with life(gateway, tmp_path / "whole", interactive=True, make=make) as run:
        assert (await run.end()).exit_code == 0
    gateway.check()
    interrupted = 0
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        again = LastingGateway(sendable[: len(sendable) // 2], epoch=1)
        again.commands = gateway.commands
        journal = open_journal(directory)
        begun = [id for id, one in journal.recovered.commands.items() if one.applying]
        journal.close()
        calls.clear()
        async with life(again, directory, interactive=True, make=make) as run:
            await run.end()
        again.check()
        failed = {event["command"]: event["code"] for event in again.of_type("command.failed")}
        assert failed.pop("c4") == "invalid"
        assert failed == ({"c2": "interrupted"} if "c2" in begun else {})
        assert not ("c2" in begun and calls)
        interrupted += "c2" in begun
        ran = [
            turn["command"] for turn in again.of_type("turn.started") if turn["cause"] == "message"
        ]
        assert ran == ["c1", "c3"]
    assert interrupted


async def test_a_stop_outlives_the_process_that_did_not_get_to_it(tmp_path: Path) -> None:
    """The next one writes the endings as stopped, and begins nothing."""
    gateway = LastingGateway()
    prompt = script({"checkpoint": True}, {"stubborn": 0.1}, {"say": "b"})
    async with life(gateway, tmp_path / "whole", prompt) as run:
        await gateway.wait_for("session.saved")
        await gateway.hand_over("session.stop", reason="no more")
        await run.end()
    for directory, sendable in deaths(tmp_path / "whole", tmp_path):
        journal = open_journal(directory)
        found = journal.recovered
        journal.close()
        if not found.last_command or found.verdict is not None:
            continue
        again = LastingGateway(sendable, epoch=1)
        again.commands, again.acknowledged_command = gateway.commands, 1
        assert await lived(again, directory, prompt) == 130
        again.check()
        assert again.of_type("session.finished")[-1]["outcome"] == "stopped"
        assert not again.text()


# --- a verdict that nobody acknowledged ----------------------------------------------------------


async def test_an_ending_that_was_not_acknowledged_is_only_flushed(tmp_path: Path) -> None:
    """75, and the next process sends what is left, begins nothing and returns the recorded code."""
    silent = LastingGateway(acknowledges=False)
    prompt = script({"fail": {"message": "no"}})
    assert await lived(silent, tmp_path / "j", prompt, grace_seconds=0.1) == 75
    told = list(silent.store)
    gateway = LastingGateway(told[:2])
    gateway.give("turn.start", content="too early")
    assert await lived(gateway, tmp_path / "j", prompt) == 1
    assert gateway.store == told
    assert gateway.acknowledged_command == 0
    heard = LastingGateway(told)  # it had arrived, and only the acknowledgement was lost
    assert await lived(heard, tmp_path / "j", prompt) == 1
    assert len(heard.of_type("session.started")) == 2  # the code was returned: now it goes on


async def test_a_gateway_that_stays_away_is_75_again(tmp_path: Path) -> None:
    """Nothing is forgotten meanwhile."""
    prompt = script({"end": {"outcome": "completed"}})
    code = await lived(
        LastingGateway(acknowledges=False), tmp_path / "j", prompt, grace_seconds=0.1
    )
    assert code == 75
    away = FakeGateway(welcomes=False)
    async with life(away, tmp_path / "j", prompt, connect_seconds=0.1) as run:
        assert (await run.end()).exit_code == 75
    gateway = LastingGateway()
    assert await lived(gateway, tmp_path / "j", prompt) == 0
    gateway.check()


async def test_a_session_that_was_over_says_so_again(tmp_path: Path) -> None:
    """A Job that is restarted neither repeats its work nor turns a failure into a success."""
    gateway = LastingGateway()
    prompt = script({"fail": {"message": "no"}})
    for _ in range(3):
        assert await lived(gateway, tmp_path / "j", prompt) == 1
    gateway.check()
    assert len(gateway.of_type("turn.started")) == 1
    assert [event["resumed"] for event in gateway.of_type("session.started")] == [False, True, True]


async def test_a_resumed_session_takes_messages(tmp_path: Path) -> None:
    """With its state, its usage so far, and numbers that go on."""
    gateway = LastingGateway()
    prompt = script({"save": {"a": 1}}, {"end": {"usage": {"input_tokens": 3}}})
    await lived(gateway, tmp_path / "j", prompt)
    gateway.give(
        "turn.start", content=script({"say": "x"}, {"end": {"usage": {"input_tokens": 4}}})
    )
    gateway.give("session.end")
    await lived(gateway, tmp_path / "j", prompt, interactive=True)
    gateway.check()
    assert gateway.of_type("session.finished")[-1]["usage"]["input_tokens"] == 7


async def test_lost_history_is_told_and_not_repeated(tmp_path: Path) -> None:
    """The gateway holds more than the journal: a gap, a new log, and the prompt is not run."""
    gateway = LastingGateway()
    question = script({"ask": {"key": "k", "title": "?", "may_defer": True}})
    async with life(gateway, tmp_path / "j", question, defer_seconds=0.05) as run:
        opened = await gateway.wait_for("request.opened")
        await gateway.wait_for("turn.finished", outcome="waiting")
        run.runner.stop(DRAINED)
        await run.end()
    gateway._welcome |= {"state": {"script": [[{"say": "went on"}], 0]}, "open_requests": [opened]}
    for starts in (2, 3):
        async with life(gateway, tmp_path / "new", question, interactive=True) as run:
            await gateway.until(lambda: len(gateway.of_type("session.started")) == starts)  # noqa: B023
            run.runner.stop(DRAINED)
            await run.end()
    gateway._welcome.pop("open_requests")
    gateway.give("request.answer", request=opened["id"], answer="yes")
    async with life(gateway, tmp_path / "new", interactive=True):
        await gateway.wait_for("turn.finished", outcome="completed")
    assert gateway.of_type("command.done")
    assert len(gateway.of_type("gap")) == 1
    assert len({frame["log"] for frame in gateway.frames if frame["frame"] == "hello"}) == 3
    assert [turn["cause"] for turn in gateway.of_type("turn.started")] == ["message", "answers"]


async def test_a_fenced_runner_never_sends_what_it_kept(tmp_path: Path) -> None:
    """Its numbers are another one's now: a next process on its directory begins with a gap."""
    gateway = LastingGateway()
    async with life(gateway, tmp_path / "j", script({"say": "a"}, {"delay": 600})) as run:
        await gateway.wait_for("block.delta")
        gateway.acknowledges = False
        await gateway.close(4000)
        assert (await run.end()).exit_code == 2
    stored = gateway.store[:5]
    other = LastingGateway(stored, epoch=2)
    async with life(other, tmp_path / "j", "again") as run:
        assert (await run.end()).exit_code == 1
    assert [event["type"] for event in other.store[5:7]] == ["gap", "session.started"]
    assert not [event for event in other.store[5:] if event["type"] == "turn.started"]


async def test_nothing_is_acted_upon_before_it_is_kept(tmp_path: Path) -> None:
    """A turn that begins, an answer that is heard and a command's effect are on disk by then."""
    kept: list[bool] = []

    def on_disk(text: bytes) -> bool:
        return any(text in file.read_bytes() for file in (tmp_path / "j").glob("*.segment"))

    class Looks(ScriptedAdapter):
        async def turn(self, turn: Turn) -> Ending:
            kept.append(on_disk(b'"turn":"%b","type":"turn.started"' % turn.id.encode()))
            answer = await self._session.ask(Request(kind="question", title="?"), key="k")
            kept.append(on_disk(b'"answer":"%b"' % str(answer.value).encode()))
            return Ending("completed")

        async def handle(self, command: Any) -> Any:
            journal = records(tmp_path / "j")[1]
            kept.append(command.id.encode() in [one.body for one in journal])
            return None

    gateway = LastingGateway()
    async with life(gateway, tmp_path / "j", "x", make=lambda: Looks(Looks.Settings())) as run:
        opened = await gateway.wait_for("request.opened")
        await gateway.hand_over("adapter.call", method="x")
        await gateway.wait_for("command.done")
        await gateway.hand_over("request.answer", request=opened["id"], answer="certainly")
        assert (await run.end()).exit_code == 0
    assert kept == [True, True, True]


# --- secrets -------------------------------------------------------------------------------------


async def test_no_secret_lies_in_the_state_directory(tmp_path: Path) -> None:
    """Not in events, in commands, in the prompt, in the saved state or in a question."""
    secret = "sesame-open-12345"
    gateway = LastingGateway()
    gateway.give("turn.start", content=f"use {secret}")
    gateway.give("adapter.call", method="echo", params={secret: [secret]})
    prompt = script({"say": f"it is {secret} !"}, {"save": {"k": secret}})
    async with life(gateway, tmp_path / "j", prompt, interactive=True, secrets={"S": secret}):
        await gateway.until(lambda: len(gateway.of_type("turn.finished")) == 2)
    for file in (tmp_path / "j").iterdir():
        assert secret.encode() not in file.read_bytes()
    assert "[REDACTED:S]" in json.dumps(gateway.store)


# --- history that another runner has gone on with ------------------------------------------------


def another_s(store: list[dict[str, Any]], *, epoch: int, count: int = 2) -> LastingGateway:
    """A gateway at which another runner, without this one's journal, had `count` events kept."""
    after = len(store)
    time = "2026-11-30T10:00:00.000Z"
    gap = {"seq": after + 1, "time": time, "type": "gap", "after": after, "reason": ""}
    more = [
        {"seq": seq, "time": time, "type": "log", "message": "another's"}
        for seq in range(after + 2, after + count + 1)
    ]
    return LastingGateway([*store, gap, *more], epoch=epoch)


async def test_another_s_history_is_never_mixed_with_the_journal_s(tmp_path: Path) -> None:
    """Whatever its process had not sent when it died, under the same numbers or beyond them."""
    assert await lived(LastingGateway(), tmp_path / "whole") == 0
    beyond = 0
    for number, (directory, sendable) in enumerate(deaths(tmp_path / "whole", tmp_path)):
        if number % 3 or len(sendable) < 2:
            continue
        gateway = another_s(sendable[:2], epoch=2)
        theirs = list(gateway.store)
        for _ in range(2):
            assert await lived(gateway, directory) == 1
        assert gateway.store[: len(theirs)] == theirs
        assert gateway.store[len(theirs)]["type"] == "gap"
        own = gateway.store[len(theirs) :]
        assert [event["type"] for event in own].count("gap") == 1
        assert not [event for event in own if event["type"] == "turn.started"]
        assert [event["seq"] for event in gateway.store] == list(range(1, len(gateway.store) + 1))
        beyond += len(sendable) > len(theirs)
    assert beyond > 3


async def test_an_ending_of_a_history_that_was_lost_is_no_ending(tmp_path: Path) -> None:
    """Recorded and not acknowledged, while another runner went on: it says so, and fails."""
    silent = LastingGateway(acknowledges=False)
    prompt = script({"end": {"outcome": "completed"}})
    assert await lived(silent, tmp_path / "j", prompt, grace_seconds=0.1) == 75
    gateway = another_s(silent.store[:1], epoch=2)
    assert await lived(gateway, tmp_path / "j", prompt) == 1
    assert [event["type"] for event in gateway.store[3:5]] == ["gap", "session.started"]
    assert "another runner has gone on" in gateway.store[3]["reason"]


async def test_the_gap_is_told_by_whoever_gets_to_it(tmp_path: Path) -> None:
    """A process that dies in mid-loss leaves it to the next one; it is told once."""
    assert await lived(LastingGateway(), tmp_path / "whole") == 0
    before = another_s([], epoch=2).store
    lost = LastingGateway(before, epoch=2)
    assert await lived(lost, tmp_path / "whole") == 1
    for directory, sendable in deaths(tmp_path / "whole", tmp_path / "died", before):
        committed = 3 if len(sendable) > len(before) else 2
        gateway = LastingGateway(sendable, epoch=3, committed_epoch=committed)
        assert await lived(gateway, directory) == 1
        own = gateway.of_type("gap")[1:]
        assert [gap["after"] for gap in own] == [2]


async def test_what_a_welcome_leaves_out_is_told(tmp_path: Path) -> None:
    """Where history was lost; a runner with its journal has all of it."""
    left_out = {"omitted_state": 2, "omitted_requests": 1}
    gateway = LastingGateway(**left_out)
    await lived(gateway, tmp_path / "j")
    await lived(gateway, tmp_path / "j")
    codes = [event["code"] for event in gateway.of_type("warning")]
    assert "welcome_incomplete" not in codes
    await lived(gateway, tmp_path / "another", interactive=True, idle_seconds=0.1)
    warning = gateway.of_type("warning")[len(codes)]
    assert warning["code"] == "welcome_incomplete"
    assert "2 saved values and 1 open requests" in warning["message"]
    lost = [event["type"] for event in gateway.store if event["seq"] >= warning["seq"] - 1]
    assert lost[:3] == ["gap", "warning", "session.started"]
