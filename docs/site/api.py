"""Writes the pages of the public Python names and of the errors from the source.

`python -m docs.site.api [--check] docs/reference`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType

import runner_shell
from runner_shell import errors
from runner_shell.protocol import catalogue, docstrings, generated, schema

from . import source
from .docstring import summary

API_FILE = "api.md"
ERRORS_FILE = "errors.md"

_MADE = "<!-- Made from the code by `make docs-reference`; changes here are lost. -->"

_API_HEAD = f"""\
# The Python interface

{_MADE}

What an adapter's author and its tests use. Everything in the first section is imported from
`runner_shell` itself; what is not on this page may change without a word.
"""

_STRUCTS = """\
An adapter emits the structs of `runner_shell.events`; the shell adds number, time and turn. Fields
and their meaning stand in [the protocol](protocol.md), which is made from the same structs. Those
of `session`, `turn`, `request` and `command` are the shell's own, and an adapter leaves them to it.
"""

_ERRORS_HEAD = f"""\
# Errors

{_MADE}

Every error that the library raises on purpose, in one tree. Catch `RunnerError` to catch them all.
What a *process* says of its end is [its exit code](../explanation/lifecycle.md#exit-codes); how a
connection is refused stands in [the protocol](protocol.md#closing).
"""

_COMMANDS = """\
What `Adapter.handle` is given, for the types that its capabilities name.
"""

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "runner_shell.testing.conformance": ("AdapterConformance",),
    "runner_shell.testing.hosting": ("host", "HostedSession"),
    "runner_shell.testing.recorder": ("Recorder", "answered", "deferred"),
    "runner_shell.testing.adapters": ("EchoAdapter", "ScriptedAdapter"),
}
"""Public names that are not imported from `runner_shell` itself."""


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {API_FILE: _page(_api()), ERRORS_FILE: _page(_errors())}


def _page(parts: Iterator[str]) -> str:
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _api() -> Iterator[str]:
    yield _API_HEAD
    yield "## `runner_shell`"
    for name in runner_shell.__all__:
        if name in errors.__all__ or isinstance(getattr(runner_shell, name), ModuleType):
            continue
        yield from source.entry(source.definition(_home(name), name), 3)
    named = ", ".join(f"`{name}`" for name in errors.__all__ if name in runner_shell.__all__)
    yield f"Imported from `runner_shell` as well: [the errors](errors.md) {named}."
    yield "## `runner_shell.events`"
    yield _STRUCTS
    yield "\n".join(_table("event", {name: row.struct for name, row in catalogue.EVENTS.items()}))
    yield "## `runner_shell.commands`"
    yield _COMMANDS
    yield "\n".join(_table("command", schema.READABLE_COMMANDS))
    for module, names in ELSEWHERE.items():
        yield f"## `{module}`"
        yield summary(import_module(module).__doc__ or "")
        for name in names:
            home = import_module(getattr(import_module(module), name).__module__)
            yield from source.entry(source.definition(home, name), 3)


def _home(name: str) -> ModuleType:
    """The module that a public name is loaded from."""
    return import_module(runner_shell._MODULE_OF[name], runner_shell.__name__)


def _table(kind: str, structs: Mapping[str, type]) -> Iterator[str]:
    yield f"| Class | {kind.capitalize()} | Meaning |"
    yield "|---|---|---|"
    for name, struct in structs.items():
        anchor = f"{kind}-{name}".replace(".", "")
        meaning = docstrings.summary(struct)
        yield f"| `{struct.__name__}` | [`{name}`](protocol.md#{anchor}) | {meaning} |"


def _errors() -> Iterator[str]:
    yield _ERRORS_HEAD
    tree = (errors.__doc__ or "").partition("\n\n")[2]
    yield f"```text\n{tree.strip()}\n```"
    for name in errors.__all__:
        yield from source.entry(source.definition(errors, name), 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the pages of the Python interface.", arguments)


if __name__ == "__main__":
    sys.exit(main())
