"""Messages of a turn over its processes' deaths: none is lost, none that is known is said twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from claude_recording import Recorder
from runner_shell_claude import ClaudeAdapter
from runner_shell_claude.adapter import GO_ON
from runner_shell_claude.testing.frames import Replay

from runner_shell import TurnInput, UserMessage
from runner_shell.testing.recorder import RESTART

TEXTS = ["one", "two", "three"]


class Silent(Replay):
    """A CLI that takes messages and says nothing.

    Args:
        takes: So many messages it takes; at the next one its process dies, as this one does then.
    """

    def __init__(self, takes: int = 100) -> None:
        super().__init__([])
        self.heard: list[str] = []
        self._takes = takes

    async def write(self, data: str) -> None:
        for line in data.splitlines():
            frame = json.loads(line)
            if frame["type"] == "user":
                if len(self.heard) == self._takes:
                    await asyncio.Event().wait()
                self.heard.append(frame["message"]["content"])
        await super().write(data)


async def opened(recorder: Recorder, cli: Silent) -> ClaudeAdapter:
    adapter = await recorder.adapter(ANTHROPIC_API_KEY="none", CLAUDE_CLI=__file__)
    adapter._conversation.transport = lambda: cli
    return adapter


@asynccontextmanager
async def life(
    recorder: Recorder, cli: Silent, input: str | TurnInput
) -> AsyncIterator[ClaudeAdapter]:
    """A process in a turn, until the block ends: then it dies."""
    adapter = await opened(recorder, cli)
    turn = asyncio.create_task(recorder.turn(adapter, input))
    try:
        yield adapter
    finally:
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        await adapter.close()


async def until(what: Callable[[], object]) -> None:
    while not what():  # noqa: ASYNC110 — a pipe tells nobody
        await asyncio.sleep(0.01)


async def three_messages(recorder: Recorder) -> None:
    """A first process is told two more messages in its turn, and dies."""
    cli = Silent()
    async with life(recorder, cli, TEXTS[0]) as adapter:
        await until(lambda: adapter._conversation.takes_more)
        for text in TEXTS[1:]:
            assert await adapter.inject(UserMessage(content=text))
        assert cli.heard == TEXTS


def took_up(recorder: Recorder, *messages: str) -> None:
    """The CLI has written these ids down before it died."""
    projects = recorder.state_dir / "claude" / "projects" / "workspace"
    projects.mkdir(parents=True, exist_ok=True)
    transcript = projects / f"{recorder.saved['claude.session']}.jsonl"
    transcript.write_text("".join(f'{{"uuid": "{id}"}}\n' for id in messages))


@pytest.mark.parametrize("deaths", [1, 2, 3])
async def test_messages_that_nobody_took_up_outlive_any_deaths(
    recorder: Recorder, deaths: int
) -> None:
    """However often a process dies while it says them again, the next one says them all."""
    await three_messages(recorder)
    for takes in range(deaths):
        cli = Silent(takes)
        async with life(recorder, cli, RESTART) as adapter:
            await until(lambda: len(adapter._conversation._rest.waiting) == 3)
            await until(lambda cli=cli, takes=takes: len(cli.heard) == takes)
        assert cli.heard == TEXTS[:takes]
    last = Silent()
    async with life(recorder, last, RESTART):
        await until(lambda: len(last.heard) == 3)
    assert last.heard == TEXTS


async def test_what_the_conversation_knows_is_not_said_again(recorder: Recorder) -> None:
    """Known messages are gone on with; the word to go on is said once a life, first."""
    await three_messages(recorder)
    took_up(recorder, recorder.saved["claude.turns"]["turn-1"])
    for takes in (1, 2):
        cli = Silent(takes)
        async with life(recorder, cli, RESTART):
            await until(lambda cli=cli, takes=takes: len(cli.heard) == takes)
    last = Silent()
    async with life(recorder, last, RESTART):
        await until(lambda: len(last.heard) == 3)
    assert last.heard == [GO_ON, "two", "three"]


async def test_a_death_while_messages_are_written_down_loses_none(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is whole at any instant: a half-written one is never the one that is read."""
    await three_messages(recorder)
    write_text = Path.write_text

    def half(path: Path, text: str, **options: str) -> int:
        if path.stem != "pending":
            return write_text(path, text, **options)
        write_text(path, text[: len(text) // 2], **options)
        raise OSError("the process dies here")

    monkeypatch.setattr(Path, "write_text", half)
    adapter = await opened(recorder, Silent())
    with pytest.raises(OSError, match="dies here"):
        await recorder.turn(adapter, RESTART)
    await adapter.close()
    monkeypatch.undo()
    last = Silent()
    async with life(recorder, last, RESTART):
        await until(lambda: len(last.heard) == 3)
    assert last.heard == TEXTS
