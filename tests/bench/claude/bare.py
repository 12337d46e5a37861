"""What a runner is compared with: a script that iterates the SDK, one turn, and then waits.

It writes a line when its first message comes, the model's first word, and the turn's end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, StreamEvent

FIRST, WORD, END = "first", "word", "end"


def options(model: Mapping[str, str], place: Path, name: str) -> ClaudeAgentOptions:
    """What anyone would set who shows a stream: partial messages, and Claude Code's own prompt."""
    return ClaudeAgentOptions(
        model=name,
        cwd=place,
        env={**model, "CLAUDE_CONFIG_DIR": str(place / "claude")},
        system_prompt={"type": "preset", "preset": "claude_code"},
        setting_sources=[],
        include_partial_messages=True,
    )


async def _main(prompt: str, name: str) -> None:
    said = set()

    def say(what: str) -> None:
        if what not in said:
            said.add(what)
            print(what, flush=True)

    async with ClaudeSDKClient(options(os.environ, Path.cwd(), name)) as client:
        await client.query(prompt)
        async for message in client.receive_response():
            say(FIRST)
            if isinstance(message, StreamEvent):
                say(WORD)
        say(END)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
