"""Tools of the runner's own, which run in its process: `artifact` and `ask`.

`artifact` says that a file of the workspace is a result; `ask` asks the person anything, where
Claude Code's own question has options to choose from.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from claude_agent_sdk import McpSdkServerConfig, create_sdk_mcp_server, tool

from runner_shell import Request, Session, events

from .requests import NOBODY
from .settings import Policy

SERVER = "runner"
ARTIFACT, ASK = f"mcp__{SERVER}__artifact", f"mcp__{SERVER}__ask"
RULES = (ARTIFACT, ASK)
"""They change nothing, so nobody is asked whether they may."""

Said = dict[str, Any]


class RunnerTools:
    """The tools of one session.

    Args:
        session: Where people are asked, and whose workspace it is.
        say: Emits into the running turn.
        policy: What becomes of a question that nobody answers.
        answer_seconds: How long a person has.
    """

    def __init__(
        self,
        session: Session,
        say: Callable[[events.Event], None],
        policy: Policy,
        answer_seconds: float | None,
    ) -> None:
        self._session = session
        self._say = say
        self._policy = policy
        self._answer_seconds = answer_seconds
        self._calls: deque[tuple[str, str]] = deque(maxlen=100)

    def called(self, call: str, input: Mapping[str, Any]) -> None:
        """`ask` is about to be called: its question's key is the call's id."""
        self._calls.append((call, str(input.get("question", ""))))

    def server(self) -> McpSdkServerConfig:
        """The tools as a server of the SDK's."""
        path = {"type": "string", "description": "a file of the workspace"}
        question = {"type": "string", "description": "what you need to know, in full"}
        artifact = tool(
            "artifact", "Say that a file is a result of your work.", _schema(path=path)
        )(self._artifact)
        ask = tool(
            "ask", "Ask the user a question that has a free answer.", _schema(question=question)
        )(self._ask)
        return create_sdk_mcp_server(SERVER, tools=[artifact, ask])

    async def _artifact(self, arguments: Said) -> Said:
        try:
            found = artifact_of(arguments["path"], self._session.workspace.path)
        except ValueError as error:
            return _said(str(error), wrong=True)
        self._say(found)
        return _said(f"{found.path} is a result: {found.bytes} bytes")

    async def _ask(self, arguments: Said) -> Said:
        question = str(arguments["question"])
        if self._policy in ("allow", "deny") and self._answer_seconds is None:
            return _said(NOBODY)
        request = Request(
            kind="input",
            title=question.strip().partition("\n")[0],
            body=question,
            schema={"type": "string"},
            timeout_seconds=self._answer_seconds,
        )
        answer = await self._session.ask(request, key=self._key(question))
        return _said(NOBODY if answer.value is None else str(answer.value))

    def _key(self, question: str) -> str:
        for one in self._calls:
            if one[1] == question:
                self._calls.remove(one)
                return one[0]
        return hashlib.sha256(question.encode()).hexdigest()[:24]


def artifact_of(path: str, workspace: Path) -> events.ArtifactCreated:
    """A file of the workspace as an event.

    Raises:
        ValueError: It is no file, or lies outside.
    """
    root = workspace.resolve()
    file = (root / path).resolve()  # symbolic links are followed, and must stay within
    if not file.is_relative_to(root):
        raise ValueError(f"{path!r} lies outside of the workspace")
    if not file.is_file():
        raise ValueError(f"{path!r} is no file of the workspace")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        size = opened.tell()
    return events.ArtifactCreated(
        path=file.relative_to(root).as_posix(),
        bytes=size,
        sha256=digest,
        media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
    )


def _schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _said(text: str, *, wrong: bool = False) -> Said:
    return {"content": [{"type": "text", "text": text}], "is_error": wrong}
