"""Draws the tables of states and transitions for people: diagrams, and what each state means.

    python -m runner_shell.link.diagram docs/reference
    python -m runner_shell.link.diagram --check docs/reference

Everything comes from `states`, but for the prose below. Never imported on the start path.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import TypeVar

from ..protocol import generated
from .states import GATEWAY_TABLE, RUNNER_TABLE, GatewayState, RunnerState

PAGE_FILE = "link.md"

_HEAD = """\
<!-- Generated from the tables in runner_shell/link; do not edit. `make docs-reference` -->

# The link's states

Each side of a connection is a state machine that reads no clock and no socket. What moves it stands
in the tables below, and there is no transition besides them. A call that its state does not allow
is a bug of the caller's and raises `LocalProtocolError`; a frame that its state does not allow is a
fault of the peer's and raises `RemoteProtocolError`. What merely comes too late changes nothing:
frames after the end of a connection, the news of its end, closing twice. The frames themselves are
in [the protocol](protocol.md#frames).
"""

_RUNNER = """\
A runner's link lives as long as its process, through any number of connections.
"""

_GATEWAY = """\
A gateway's link lives as long as one connection.
"""

S = TypeVar("S", bound=Enum)
T = TypeVar("T", bound=Enum)


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {PAGE_FILE: page()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the page of the link's states.", arguments)


def page() -> str:
    """`link.md`."""
    sections = [
        _HEAD,
        "## The runner's side",
        _RUNNER,
        *_machine(RunnerState, RUNNER_TABLE),
        "## The gateway's side",
        _GATEWAY,
        *_machine(GatewayState, GATEWAY_TABLE),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def diagram(states: type[S], table: Mapping[tuple[S, T], S]) -> str:
    """A Mermaid state diagram; the first state begins, those that nothing leaves end."""
    left = {state for state, _ in table}
    lines = [
        "stateDiagram-v2",
        *(f'    state "{state.value}" as {state.name}' for state in states),
        f"    [*] --> {next(iter(states)).name}",
        *(
            f"    {state.name} --> {after.name}: {trigger.value}"
            for (state, trigger), after in table.items()
        ),
        *(f"    {state.name} --> [*]" for state in states if state not in left),
    ]
    return "\n".join(lines)


def meanings(states: type[Enum]) -> dict[str, str]:
    """What the docstring below each member says, by the member's name.

    Raises:
        ValueError: A member has none.
    """
    (definition,) = ast.parse(inspect.getsource(states)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for pair in pairwise(definition.body):
        match pair:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    if missing := [state.name for state in states if state.name not in found]:
        raise ValueError(f"{states.__name__}: {', '.join(missing)} without a docstring")
    return found


def _machine(states: type[S], table: Mapping[tuple[S, T], S]) -> Iterator[str]:
    said = meanings(states)
    yield f"```mermaid\n{diagram(states, table)}\n```"
    yield _table(("State", "Meaning"), ((f"`{s.value}`", said[s.name]) for s in states))
    yield _table(
        ("In state", "When", "Goes to"),
        (
            (f"`{state.value}`", trigger.value, f"`{after.value}`")
            for (state, trigger), after in table.items()
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
