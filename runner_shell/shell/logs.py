"""Logs go to stderr, redacted: stdout is for what a command prints."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable


def log_to_stderr(redact: Callable[[str], str], *, debug: bool) -> None:
    """Send every log line to stderr: warnings, and where asked for the shell's own debug lines.

    Never a library's debug lines: a WebSocket's show the token and what commands hold.

    Args:
        redact: Replaces secrets in a whole line, its traceback included.
        debug: Whether the shell says what it does.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(redact))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    if debug:
        logging.getLogger("runner_shell").setLevel(logging.DEBUG)


class _Redacting(logging.Formatter):
    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))
