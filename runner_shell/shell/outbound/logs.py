"""Logs go to stderr through structlog, redacted: stdout is for what a command prints.

A terminal gets lines for people, anything else one JSON object a line. structlog is imported with
the first line that is written, or when the adapter is loaded: before hello nothing needs it.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any, TextIO

    from structlog.stdlib import ProcessorFormatter

    Redact = Callable[[str], str]
    Fields = MutableMapping[str, Any]
    ToStream = logging.StreamHandler[TextIO]
else:
    ToStream = logging.StreamHandler


def log_to_stderr(redact: Redact, *, debug: bool) -> None:
    """Send every log line to stderr: warnings, and where asked for the shell's own debug lines.

    Never a library's debug lines: a WebSocket's show the token and what commands hold.

    Args:
        redact: Replaces secrets in a text: in each field, and in the whole line with its traceback.
        debug: Whether the shell says what it does.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Lines(redact, people=sys.stderr.isatty()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.captureWarnings(True)
    if debug:
        logging.getLogger("runner_shell").setLevel(logging.DEBUG)


def say_uncaught_errors(redact: Redact) -> None:
    """Redact what the interpreter itself writes to stderr: of threads, and where nobody can catch.

    Args:
        redact: Replaces secrets in a text.
    """
    import threading

    def say(where: str, error: BaseException | None) -> None:
        import traceback

        text = "".join(traceback.format_exception(error)) if error is not None else ""
        logging.getLogger("runner_shell").error("uncaught in %s\n%s", where, redact(text))

    def in_thread(caught: threading.ExceptHookArgs) -> None:
        if not isinstance(caught.exc_value, SystemExit):
            name = caught.thread.name if caught.thread is not None else "a thread"
            say(f"thread {name!r}", caught.exc_value)

    threading.excepthook = in_thread
    sys.unraisablehook = lambda caught: say(caught.err_msg or "a clean-up", caught.exc_value)


def configure_structlog() -> None:
    """Let everything that logs through structlog take the same way, from now on."""
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _shared() -> list[Any]:
    """What happens to a line whether structlog or the standard library took it in."""
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


class _Handler(ToStream):
    """Says that a line could not be written, but not which: the standard one shows it raw."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — logging's name
        error = sys.exc_info()[0]
        name = error.__name__ if error is not None else "an error"
        with suppress(OSError, ValueError):
            self.stream.write(f"runner-shell: a line of {record.module} was not logged: {name}\n")


class _Lines(logging.Formatter):
    """Formats by structlog, which the first line brings in."""

    def __init__(self, redact: Redact, *, people: bool) -> None:
        super().__init__()
        self._redact = redact
        self._people = people
        self._lines: ProcessorFormatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._lines is None:
            self._lines = self._made()
        return self._redact(self._lines.format(record))

    def _made(self) -> ProcessorFormatter:
        import structlog

        last: list[Any] = [structlog.processors.format_exc_info, self._redacted]
        last += [_for_people()] if self._people else [_in_order, _json()]
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )

    def _redacted(self, logger: Any, method: str, fields: Fields) -> Fields:
        """Redact before encoding: JSON would hide a secret behind its escapes."""
        return {name: self._plain(value) for name, value in fields.items()}

    def _plain(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case dict():
                return {self._redact(str(key)): self._plain(each) for key, each in value.items()}
            case list() | tuple():
                return [self._plain(each) for each in value]
            case _:
                return self._redact(str(value))


def _in_order(logger: Any, method: str, fields: Fields) -> Fields:
    """When, how grave and where first: so a person finds them in a long line too."""
    first = ("time", "level", "logger", "event")
    return {name: fields.pop(name) for name in first if name in fields} | dict(fields)


def _for_people() -> Any:
    import structlog

    # Not structlog's own way with tracebacks: it shows local variables, whatever they hold.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(
        colors=False, timestamp_key="time", exception_formatter=plain
    )


def _json() -> Any:
    import structlog

    return structlog.processors.JSONRenderer(ensure_ascii=False)
