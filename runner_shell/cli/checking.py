"""The conformance suite in a process of its own: an adapter that ends its process ends that one.

The parent hands the job over by stdin and reads what comes of it from a pipe, a line for each step.
Where the process ends in a promise, that is the promise's finding, and another process goes on
behind it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO

import msgspec
from msgspec import Struct

from ..errors import ConfigurationError
from ..protocol.events import JSON
from ..shell import process as processes
from ..shell.configuration.environment import TAKEN
from ..testing.check import Checked, check_adapter, result_of
from ..testing.order import Finding
from .logs import log_to_stderr

READ_SECONDS = 5.0
"""How long after the process's end what it wrote may take; something it left may hold the pipe."""


class Job(Struct, frozen=True, kw_only=True):
    """What is to be checked; see `check_adapter`."""

    name: str
    prompts: Mapping[str, str]
    answer: JSON
    interrupt_seconds: float
    skip: list[str] = []


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from the process.

    Attributes:
        begun: The test that begins.
        checked: What came of it.
        problems: What is wrong with the adapter's settings or its installation.
        done: Whether this is the last one.
    """

    begun: str = ""
    checked: Checked | None = None
    problems: list[str] | None = None
    done: bool = False


def check_apart(job: Job, tell: Callable[[Checked], None]) -> list[Checked]:
    """Run the suite, in as many processes as it takes; every promise has its result.

    Raises:
        ConfigurationError: As `check_adapter`, or the process ends before the first promise.
    """
    results: list[Checked] = []
    while True:
        attempt = _Attempt(msgspec.structs.replace(job, skip=[one.test for one in results]), tell)
        code = attempt.run()
        results += attempt.results
        if attempt.problems is not None:
            raise ConfigurationError(*attempt.problems)
        if attempt.done:
            return results
        if not attempt.begun:
            raise ConfigurationError(
                f"the adapter {job.name!r} {_how(code)} before a promise was tried: importing it"
                " must do nothing but define"
            )
        ended = result_of(attempt.begun, "broken", [_ended(code)])
        tell(ended)
        results.append(ended)


class _Attempt:
    """One process, and what it said.

    Attributes:
        results: What was tried.
        begun: The test that has begun and has no result, or empty.
        problems: What is wrong with the adapter's settings.
        done: Whether nothing is left to try.
    """

    def __init__(self, job: Job, tell: Callable[[Checked], None]) -> None:
        self._job = job
        self._tell = tell
        self.results: list[Checked] = []
        self.begun = ""
        self.problems: list[str] | None = None
        self.done = False

    def run(self) -> int:
        """Run the process to its end, and return its exit code."""
        reading, writing = os.pipe()
        # `-P`: what lies in the working directory is nobody's module.
        command = [sys.executable, "-P", "-m", __name__, str(writing)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno(), pass_fds=(writing,)
        )
        os.close(writing)
        reader = threading.Thread(target=self._read, args=(os.fdopen(reading, "rb"),), daemon=True)
        reader.start()
        try:
            process.communicate(msgspec.json.encode(self._job))
            reader.join(READ_SECONDS)
        finally:
            process.kill()
            process.wait()
        return process.returncode

    def _read(self, lines: BinaryIO) -> None:
        with lines:
            for line in lines:
                self._take(msgspec.json.decode(line, type=Step))

    def _take(self, step: Step) -> None:
        self.begun = step.begun
        self.problems = step.problems
        self.done = step.done
        if step.checked is not None:
            self.results.append(step.checked)
            self._tell(step.checked)


def _ended(code: int) -> Finding:
    return Finding(
        rule="ended_the_process",
        contract="how a session ends, and with which exit code, is the shell's to say",
        happened=f"the adapter {_how(code)} while this was tried",
        fix="raise, or return an Ending; for a crash see what is on stderr",
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"ended the process with exit code {code}"
    return f"ended the process by {signal.Signals(-code).name}"


def main(descriptor: int) -> None:
    """What the process does: the job from stdin, its steps to the descriptor."""
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    log_to_stderr(debug=False)
    environment = processes.take_environment(os.environ)

    def say(step: Step) -> None:
        os.write(descriptor, msgspec.json.encode(step) + b"\n")

    try:
        check_adapter(
            job.name,
            {key: value for key, value in environment.items() if key not in TAKEN},
            job.prompts,
            answer=job.answer,
            interrupt_seconds=job.interrupt_seconds,
            skip=job.skip,
            begin=lambda test: say(Step(begun=test)),
            tell=lambda checked: say(Step(checked=checked)),
        )
    except ConfigurationError as error:
        say(Step(problems=list(error.problems)))
    else:
        say(Step(done=True))


if __name__ == "__main__":
    main(int(sys.argv[1]))
