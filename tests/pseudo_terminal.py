"""A pseudo-terminal with the command line in its foreground, for tests."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from real_processes import DEADLINE_SECONDS, RUNNER_SHELL, Launcher, script

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A pseudo-terminal with a command in its foreground.

    Args:
        launch: Whose directories and environment it has.
        arguments: What is typed after `runner-shell`.
        columns: The window's width.
        variables: The environment's.
    """

    def __init__(
        self, launch: Launcher, *arguments: str | Path, columns: int = 80, **variables: str | Path
    ) -> None:
        self._keyboard, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.screen = ""
        """All that was written to it, escape codes included."""
        self.process = subprocess.Popen(
            [RUNNER_SHELL, *map(str, arguments)],
            env=launch.environment(**{"TERM": "xterm", **variables}),
            cwd=launch.workspace,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=_take_the_terminal,
        )
        os.close(screen)

    def plain(self) -> str:
        """What is on the screen, escape codes left out."""
        return re.sub(r"\x1b\[\d*m", "", self.screen)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._keyboard, text.encode())

    def expect(self, pattern: str, count: int = 1) -> None:
        """Wait until the screen shows it so many times, escape codes left out."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(re.findall(pattern, self.plain())) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} on the screen: {self.screen}"
            self._read(left)

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._read(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, f"no end: {self.screen}"
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        """End what a failed test leaves."""
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._keyboard], [], [], seconds)[0]:
            return True
        try:
            chunk = os.read(self._keyboard, 65536)
        except OSError:  # nobody has the terminal open any more
            return False
        self.screen += chunk.decode(errors="replace")
        return bool(chunk)


def _take_the_terminal() -> None:
    # Whoever started the tests may have been deaf to Ctrl-C; a person's shell is not.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Desk:
    """Opens terminals and closes them."""

    def __init__(self, launch: Launcher) -> None:
        self._launch = launch
        self.terminals: list[Terminal] = []

    def run(
        self, *actions: dict[str, object], options: tuple[str, ...] = (), columns: int = 80
    ) -> Terminal:
        """Type `runner-shell run` for the scripted adapter."""
        prompt = ("--prompt", script(*actions)) if actions else ()
        return self.open("run", "--adapter", "scripted", *prompt, *options, columns=columns)

    def open(self, *arguments: str | Path, columns: int = 80, **variables: str | Path) -> Terminal:
        """Type any command."""
        terminal = Terminal(self._launch, *arguments, columns=columns, **variables)
        self.terminals.append(terminal)
        return terminal

    def close(self) -> None:
        """Close every terminal."""
        for terminal in self.terminals:
            terminal.close()
