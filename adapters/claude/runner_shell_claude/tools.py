"""What a tool is called for a person, and what it does: pure tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_TITLE_CHARACTERS = 200

_KINDS = {
    "Bash": "execute",
    "BashOutput": "execute",
    "Edit": "edit",
    "Glob": "search",
    "Grep": "search",
    "KillShell": "execute",
    "LS": "read",
    "MultiEdit": "edit",
    "NotebookEdit": "edit",
    "NotebookRead": "read",
    "Read": "read",
    "TodoWrite": "think",
    "ToolSearch": "search",
    "WebFetch": "fetch",
    "WebSearch": "search",
    "Write": "edit",
    "code_execution": "execute",
    "web_fetch": "fetch",
    "web_search": "search",
}

_TELLING = (
    "command",
    "file_path",
    "notebook_path",
    "path",
    "pattern",
    "query",
    "url",
    "description",
    "subject",
    "skill",
)
"""The arguments that say most of a call, the most telling first."""

SUBAGENTS = frozenset({"Agent", "Task"})
"""The tool that starts a sub-agent, under its names."""


def kind(name: str) -> str:
    """What a tool does, in the vocabulary's words."""
    return _KINDS.get(name, "other")


def title(name: str, input: Any) -> str:
    """One line for a person: the tool and its most telling argument."""
    shown = name
    if name.startswith("mcp__"):
        server, _, tool = name.removeprefix("mcp__").partition("__")
        shown = f"{tool} ({server})"
    if isinstance(input, Mapping):
        for argument in ("description", *_TELLING) if name in SUBAGENTS else _TELLING:
            if isinstance(value := input.get(argument), str) and value.strip():
                return one_line(f"{shown}: {value}")
    return one_line(shown)


def one_line(text: str) -> str:
    """The first line of a text, cut to what a title may have."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MAX_TITLE_CHARACTERS else line[: MAX_TITLE_CHARACTERS - 1] + "…"
