"""Writes the reference page of the environment from the table that reads it.

`python -m runner_shell.shell.configuration.reference [--check] FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ...protocol import generated
from .environment import NOT_HONOURED, TAKEN, VARIABLES, Settings, Variable

PAGE_FILE = "environment.md"

_HEAD = """\
# The environment

<!-- Made from the code by `make docs-reference`; changes here are lost. -->

What `python -m runner_shell` and `runner-shell run` read. An option of the command line beats a
variable, a variable the default; an empty variable counts as not set. Where a setting has several
names, the first that is set counts. Wrong values are told all at once, with exit code 2.

An adapter's own variables are its settings; see its README.
"""

_NOT_HONOURED = """\
## Known, and without an effect yet

Platforms hand these to their runners. Each one that is set is warned of once
(`warning{variable_not_honoured}`), because this version does nothing with it:
"""


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {PAGE_FILE: page()}


def page() -> str:
    """`environment.md`."""
    rows = ["| variable | default | |", "|---|---|---|", *map(_row, VARIABLES)]
    names = ", ".join(f"`{name}`" for name in NOT_HONOURED)
    taken = ", ".join(f"`{name}`" for name in TAKEN)
    removed = f"Removed from the process's environment at the start: {taken}."
    return "\n".join([_HEAD, *rows, "", removed, "", _NOT_HONOURED, names + ".", ""])


def _row(variable: Variable) -> str:
    names = " or ".join(f"`{name}`" for name in variable.names)
    return f"| {names} | {_default(variable)} | {variable.help} |"


def _default(variable: Variable) -> str:
    value = getattr(Settings(), variable.field)
    match value:
        case None | "" | ():
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"{value:g}"
        case Path():
            return f"`{value}`"
        case _:
            return str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the page of the environment.", arguments)


if __name__ == "__main__":
    sys.exit(main())
