"""Records the frames of the real CLI anew: `make record-claude`; look at what git then shows."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from claude_recording import Recorder
from runner_shell_claude.testing import ApiError, Reply, ScriptedModel, ToolUse
from runner_shell_claude.testing.frames import fixed, load, record
from runner_shell_claude.translate import Translator

from runner_shell.testing.recorder import Person, answered, line

RECORDED = Path(__file__).with_name("recorded")

BASH = ToolUse("Bash", {"command": "echo made"})
TOUCH = ToolUse("Bash", {"command": "touch made"})
AGENT = {
    "description": "look",
    "prompt": "sub-agent: look around",
    "subagent_type": "general-purpose",
}

SCENARIOS: dict[str, tuple[ScriptedModel, Person]] = {
    "tool": (
        ScriptedModel(
            [Reply(thinking="Let me see.", text="I run it.", tools=[BASH]), Reply("Done.")]
        ),
        answered("allow"),
    ),
    "denied": (ScriptedModel([Reply(tools=[TOUCH]), Reply("Then not.")]), answered("deny")),
    "failure": (ScriptedModel(lambda _: ApiError(400, "no such thing")), answered("deny")),
    "retry": (ScriptedModel([ApiError(529, "overloaded"), Reply("Here I am.")]), answered("deny")),
    "subagent": (
        ScriptedModel(
            [Reply(tools=[ToolUse("Agent", AGENT)]), Reply("It looked."), Reply("It looked.")],
            conversations={"sub-agent: look": [Reply("Nothing here.")]},
        ),
        answered("allow"),
    ),
}


async def play(name: str, directory: Path) -> str:
    model, person = SCENARIOS[name]
    recorder = Recorder(directory)
    recorder.person = person
    with model:
        adapter = await recorder.adapter(**model.environment(), LLM_MODEL="claude-sonnet-5")
        frames = record(adapter)
        try:
            await recorder.turn(adapter, "go")
        finally:
            await adapter.close()
    places = {
        recorder.workspace: "/workspace",
        recorder.state_dir: "/state",
        directory: "/elsewhere",
        tempfile.gettempdir(): "/temporary",
    }
    return fixed(frames, {str(path): name for path, name in places.items()})


def shown(event: Any) -> str:
    """An event in one line."""
    return line(event).replace("\n", "\\n")


def become(path: Path) -> list[str]:
    """What a recording becomes, an event a line."""
    translator = Translator()
    events = [event for frame in load(path) for event in translator.receive(frame)]
    return [shown(event) for event in [*events, *translator.close()]]


def main() -> None:
    RECORDED.mkdir(exist_ok=True)
    for name in sys.argv[1:] or SCENARIOS:
        with tempfile.TemporaryDirectory() as directory:
            text = asyncio.run(play(name, Path(directory)))
        assert tempfile.gettempdir() not in text, "a path of this machine"
        (RECORDED / f"{name}.jsonl").write_text(text, encoding="utf-8")
        found = "".join(f"{one}\n" for one in become(RECORDED / f"{name}.jsonl"))
        (RECORDED / f"{name}.events").write_text(found, encoding="utf-8")
        print(f"{name}: {text.count(chr(10))} frames")


if __name__ == "__main__":
    main()
