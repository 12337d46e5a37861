"""Writes the page of the command line from the commands themselves.

`python -m docs.site.command_line [--check] docs/reference`.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer.main

from runner_shell.cli.app import app
from runner_shell.protocol import generated

PAGE_FILE = "cli.md"

_HEAD = """\
# The command line

<!-- Made from the code by `make docs-reference`; changes here are lost. -->

`runner-shell COMMAND --help` says the same. Where a variable stands in square brackets, the option
beats it; see [the environment](environment.md). Bad input is said in one sentence each, all at
once, with exit code 2; how a run ends is [its exit code](../explanation/lifecycle.md#exit-codes).
A container starts `python -m runner_shell`, which has no options.
"""


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    # Neither the width of somebody's window nor a variable of theirs may change a page.
    os.environ.pop("TERMINAL_WIDTH", None)
    return {PAGE_FILE: page()}


def page() -> str:
    """`cli.md`."""
    root: Any = typer.main.get_command(app)  # typer brings its own copy of click
    parts = [_HEAD, *_commands(root, "runner-shell")]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield from _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## `{path}`"
    yield inspect.cleandoc(command.help or "")
    yield f"```text\n{path} {usage}\n```"
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [record for record in records if record and not record[0].startswith("--help")]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *(_row(*row) for row in rows)])


def _row(name: str, text: str) -> str:
    said = " ".join(text.split()).replace("|", "\\|")
    return f"| `{' '.join(name.split())}` | {said} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the page of the command line.", arguments)


if __name__ == "__main__":
    sys.exit(main())
