"""The runner's process: what a container starts, with redaction off where the bench says so."""

from __future__ import annotations

import os

import runner_shell.shell.configuration.known_secrets as known_secrets
import runner_shell.shell.runner as shell
from runner_shell.protocol.events import JSON
from runner_shell.redaction import RedactingStream, Redactor
from runner_shell.shell.process import main

PLAIN = "BENCH_WITHOUT_REDACTION"


class _Through(RedactingStream):
    def feed(self, text: str) -> str:
        return text

    def finish(self, text: str = "") -> str:
        return text

    def idle(self) -> str:
        return ""


class _Nothing(Redactor):
    """Redacts nothing: what the link costs by itself. No setting of the product does this."""

    def text(self, text: str) -> str:
        return text

    def identifier(self, text: str) -> str:
        return text

    def stream(self, path: str = "") -> RedactingStream:
        return _Through(lambda: ())

    def payload(self, value: JSON, path: str = "") -> JSON:
        return value

    def backstop(self, frame: bytes) -> str:
        return ""


if __name__ == "__main__":
    if os.environ.get(PLAIN):
        # One until the rules are read, while the socket waits, and another with them.
        shell.Redactor = known_secrets.Redactor = _Nothing  # type: ignore[misc]
    main()
