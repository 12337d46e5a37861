"""What signals do to a runner.

SIGTERM drains. SIGINT with a terminal: the first in a turn interrupts it, where none runs it stops
the session; the second stops in order, the third ends at once. Without a terminal the first stops
in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Self

from . import outcome as outcomes
from .guard import bond, tree
from .outcome import Verdict

if TYPE_CHECKING:
    from .process import Process
    from .runner import Runner


class Signals:
    """Handles a runner's signals while the block runs.

    Args:
        loop: The runner's loop.
        runner: Whom they are for.
        process: Whose settings bound the way out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, runner: Runner, process: Process) -> None:
        self._loop = loop
        self._runner = runner
        self._process = process
        self._with_terminal = sys.stdin.isatty()
        self._interrupted = ""  # the turn that Ctrl-C has interrupted already
        self._stopping = False

    def __enter__(self) -> Self:
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        self._loop.add_signal_handler(signal.SIGHUP, self._terminate)
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._loop.remove_signal_handler(number)

    def _terminate(self) -> None:
        if bond.orphaned():
            tree.end_tree(self._process.instance)
            os._exit(outcomes.DRAINED)
        self._stop(
            Verdict(
                outcome="interrupted",
                reason="told to terminate (SIGTERM)",
                exit_code=outcomes.DRAINED,
            )
        )

    def _interrupt(self) -> None:
        turn = self._runner.turn
        if self._with_terminal and turn not in ("", self._interrupted) and not self._stopping:
            self._interrupted = turn
            self._runner.interrupt("Ctrl-C")
            self._tell("interrupting the turn; Ctrl-C again stops the session")
            return
        if self._stopping:
            os._exit(outcomes.STOPPED)
        self._stopping = True
        self._tell("stopping in order; Ctrl-C again ends at once")
        self._stop(Verdict.of("stopped", "stopped by Ctrl-C"))

    def _tell(self, what: str) -> None:
        if self._with_terminal:
            print(f"runner-shell: {what}", file=sys.stderr)

    def _stop(self, verdict: Verdict) -> None:
        """Stop in order; should even that hang, the guardian ends it."""
        self._runner.stop(verdict)
        patience = self._process.settings.grace_seconds + LAST_RESORT_SECONDS
        bond.arm_deadline(patience)


LAST_RESORT_SECONDS = 5.0
"""How long after the grace the guardian waits before it kills."""
