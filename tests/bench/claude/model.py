"""The scripted model, in a process of its own, so that its work is nobody's cost.

`python -m tests.bench.claude.model WORDS` prints what a CLI needs to ask it, and answers until its
stdin is closed. A prompt with `LONG` in it is answered by so many words, any other by one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from runner_shell_claude.testing import ModelRequest, Reply, ScriptedModel

LONG = "say-very-much"
SHORT = "say-a-word"
NAME = "claude-sonnet-5"
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def running(words: int) -> AsyncIterator[dict[str, str]]:
    """Run it while the block does; gives what a CLI needs in its environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(words)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield msgspec.json.decode(await process.stdout.readline(), type=dict[str, str])
    finally:
        process.stdin.close()
        await process.wait()


def _main(words: int) -> None:
    def answer(request: ModelRequest) -> Reply:
        asked = request.texts()[-1:]
        many = any(LONG in text for text in asked)
        return Reply("word " * (words if many else 1), chunk_characters=5)

    with ScriptedModel(answer) as model:
        print(msgspec.json.encode(model.environment()).decode(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
