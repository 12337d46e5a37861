"""What a graph raises, said in the contract's words."""

from __future__ import annotations

import re

from langgraph.errors import (
    EmptyInputError,
    GraphRecursionError,
    InvalidUpdateError,
    NodeTimeoutError,
)

from runner_shell import AgentFailed

from .values import error_text

_TASK_NOTE = re.compile(r"During task with name '(?P<name>.*)' and id '(?P<id>.*)'")
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def task_notes(error: BaseException) -> list[re.Match[str]]:
    """The tasks that LangGraph notes an error was raised in, innermost first."""
    notes = (_TASK_NOTE.match(note) for note in getattr(error, "__notes__", ()))
    return [match for match in notes if match]


def failure(error: Exception) -> AgentFailed:
    """The failure that an error of the graph is: its node, its code, whether to retry."""
    said = error_text(error)
    nodes = [match["name"] for match in reversed(task_notes(error))]  # the outermost noted last
    where = f"node {'/'.join(nodes)} failed" if nodes else "the graph failed"
    status = getattr(error, "status_code", None)
    match error:
        case GraphRecursionError():
            return AgentFailed(
                f"the graph took more steps than allowed; mend its loop, or set "
                f"LANGGRAPH_RECURSION_LIMIT. {said}",
                code="recursion_limit",
            )
        case InvalidUpdateError():
            return AgentFailed(f"{where}: {said}", code="invalid_update")
        case EmptyInputError():
            return AgentFailed(f"the graph found no input: {said}", code="invalid_input")
        case NodeTimeoutError():
            return AgentFailed(f"{where}: {said}", code="node_timeout", retryable=True)
    code = "rate_limited" if status == 429 else "node_failed" if nodes else "graph_failed"
    return AgentFailed(f"{where}: {said}", code=code, retryable=status in _TRANSIENT)
