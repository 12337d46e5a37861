"""Frames of a real CLI: recorded, made the same on every machine, and played back as a CLI.

A recording is a file of JSON lines. What differs from run to run (ids, paths) has fixed names in
it, so that recording again changes only what the CLI says differently.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
from claude_agent_sdk import Transport

from ..adapter import ClaudeAdapter
from ..sdk import Frame

_ID = re.compile(
    r"\b(?:(?P<kind>msg|toolu|req)_[0-9A-Za-z]{16,}|"
    r"a[0-9a-f]{16}|"  # a sub-agent's
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
)


def record(adapter: ClaudeAdapter) -> list[Frame]:
    """From here on every frame that the adapter's CLI writes is also put into this list."""
    frames: list[Frame] = []
    conversation = adapter._conversation
    take = conversation._take

    def recording(frame: Frame) -> None:
        frames.append(json.loads(json.dumps(frame)))
        take(frame)

    vars(conversation)["_take"] = recording
    return frames


def fixed(frames: Iterable[Frame], paths: Mapping[str, str]) -> str:
    """Frames as the lines of a recording.

    Args:
        frames: As the CLI wrote them.
        paths: What to write in place of a path, the longest first.
    """
    names: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        number = len(names) + 1
        fresh = (
            f"{match['kind']}_{number}"
            if match["kind"]
            else f"{number:08x}-{'0' * 4}-4000-8000-" + "0" * 12
        )
        return names.setdefault(match[0], fresh)

    text = "".join(f"{json.dumps(frame, ensure_ascii=False)}\n" for frame in frames)
    for path, instead in paths.items():
        text = text.replace(path, instead).replace(
            re.sub(r"[^A-Za-z0-9]", "-", path), "-" + instead.strip("/")
        )
    return _ID.sub(name, text)


def load(path: Path) -> list[Frame]:
    """The frames of a recording."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Replay(Transport):
    """A CLI that says what a recorded one said, once it is sent a message.

    Args:
        frames: A recording of one turn.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = list(frames)
        self._out: deque[Frame] = deque()
        self._news = anyio.Event()
        self._ended = False

    async def connect(self) -> None:
        """There is nothing to start."""

    async def write(self, data: str) -> None:
        """Answer a control request with success, a message with the recording."""
        for line in data.splitlines():
            frame = json.loads(line)
            if frame.get("type") == "control_request":
                answer = {"subtype": "success", "request_id": frame["request_id"], "response": {}}
                self._out.append({"type": "control_response", "response": answer})
            elif frame.get("type") == "user":
                self._out += _addressed(self._frames, str(frame["uuid"]))
        self._wake()

    async def read_messages(self) -> AsyncIterator[Frame]:
        """What was answered, until the end."""
        while not self._ended:
            while self._out:
                yield self._out.popleft()
            self._news = anyio.Event()
            if not self._out and not self._ended:
                await self._news.wait()

    async def close(self) -> None:
        """End."""
        self._ended = True
        self._wake()

    def is_ready(self) -> bool:
        """Until it is closed."""
        return not self._ended

    async def end_input(self) -> None:
        """There is nothing to end."""

    def _wake(self) -> None:
        self._news.set()


def _addressed(frames: list[Frame], message: str) -> list[Frame]:
    """The frames as answers to this message, where they name the one that was recorded."""
    named: Any = next(
        (one["command_uuid"] for one in frames if one.get("type") == "command_lifecycle"), None
    )
    text = json.dumps(frames)
    found: list[Frame] = json.loads(text.replace(str(named), message) if named else text)
    return found
