"""Reads a tutorial as a person works through it: files to write, commands to type.

* A paragraph that ends with a name in backticks and a colon or full stop, such as "This is `a.py`:"
  or "Replace `a.py`:", is followed by that file's content.
* In a `console` block a line after `$ ` is a command, which goes on in lines after `> `. The lines
  up to the next one are what it prints: `…` stands for any text within a line, and for any lines
  where it stands alone.
* A `text` block is a picture. Any other code is a fault of the page: it would not be tested.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

COMMAND_SECONDS = 240.0
"""Ends a hang; nothing is judged by it."""

_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`(?P<name>[\w./-]+\.\w+)`[:.]\s*\Z")


class WriteFile(NamedTuple):
    """A file that the page shows."""

    name: str
    text: str


class Type(NamedTuple):
    """A command, and what it prints."""

    command: str
    output: list[str]


Step = WriteFile | Type


def steps(page: str) -> Iterator[Step]:
    """What a reader of the page does, in order.

    Raises:
        ValueError: Code that is neither a file nor typed, so that nothing would test it.
    """
    for fence in _FENCE.finditer(page):
        kind, body = fence["kind"], fence["body"]
        named = _FILE.search(_paragraph_before(page, fence.start()))
        if kind == "console":
            yield from _typed(body)
        elif named is not None:
            yield WriteFile(named["name"], body)
        elif kind != "text":
            line = page.count("\n", 0, fence.start()) + 1
            raise ValueError(f"line {line}: code that is no file and is not typed")


def _paragraph_before(page: str, end: int) -> str:
    return page[:end].rstrip().rpartition("\n\n")[2]


def _typed(body: str) -> Iterator[Type]:
    for block in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *output = block.splitlines()
        while output and output[0].startswith("> "):  # what a shell says while more is to come
            command += "\n" + output.pop(0).removeprefix("> ")
        yield Type(command, output)


def prints(expected: list[str], output: str) -> bool:
    """Whether the output is what the page shows."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, output) is not None


class Terminal:
    """A shell in which one command after the other is typed, without a terminal or a reader.

    Args:
        directory: Where it begins.
        environment: All of its variables.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._steps = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the shell and all that the page left running in it."""
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()

    def type(self, command: str) -> str:
        """Type a command; returns what it printed."""
        self._steps += 1
        mark = f"--- end of step {self._steps} ---"
        # What is typed must not be read by the command, and a command may end without a line's end.
        self._write(f"{{ {command}\n}} </dev/null\nprintf '\\n{mark}\\n'\n")
        hang = threading.Timer(COMMAND_SECONDS, os.killpg, (self._shell.pid, signal.SIGKILL))
        hang.start()
        try:
            return self._read_to(mark, command)
        finally:
            hang.cancel()

    def write_file(self, name: str, text: str) -> None:
        """Write a file into the directory in which the shell is."""
        (Path(self.type("pwd").strip()) / name).write_text(text)

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _read_to(self, mark: str, command: str) -> str:
        assert self._shell.stdout is not None
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.strip() == mark:
                printed = "".join(lines).removesuffix("\n")
                return printed if not printed or printed.endswith("\n") else printed + "\n"
            lines.append(line)
        raise AssertionError(f"the shell ended in {command!r}:\n{''.join(lines)}")


def work_through(page: str, terminal: Terminal) -> None:
    """Do all that a page says.

    Raises:
        AssertionError: A command printed something else than the page shows.
    """
    for step in steps(page):
        match step:
            case WriteFile(name, text):
                terminal.write_file(name, text)
            case Type(command, expected):
                output = terminal.type(command)
                assert prints(expected, output), (
                    f"$ {command}\n--- the page shows:\n"
                    + "\n".join(expected)
                    + f"\n--- it prints:\n{output}"
                )
