"""Logs go to stderr: stdout is for what a command prints."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(*, debug: bool) -> None:
    """Send the gateway's log lines to stderr; its debug lines only where they were asked for."""
    import structlog

    level = logging.DEBUG if debug else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
