"""Where the gateway's log lines go: as whoever embeds it says, and never to stdout by themselves.

structlog that nobody has configured prints every line, debug ones too. A gateway whose stdout is a
pipe that nobody reads would stand still for good at the line that fills it.
"""

from __future__ import annotations

import logging

import structlog


class Log:
    """Writes through structlog where it is configured, else through standard logging.

    Args:
        name: Of the logger; a module's.
    """

    def __init__(self, name: str) -> None:
        self._through_structlog: structlog.stdlib.BoundLogger = structlog.get_logger(name)
        self._through_logging: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.LogfmtRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def debug(self, event: str, **fields: object) -> None:
        """What helps only whoever looks for a fault."""
        self._way.debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """What happened, as it should."""
        self._way.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """What should not happen, and was dealt with."""
        self._way.warning(event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """What somebody has to mend."""
        self._way.error(event, **fields)

    @property
    def _way(self) -> structlog.stdlib.BoundLogger:
        # Asked for each line: an application may configure it after it has imported the gateway.
        return self._through_structlog if structlog.is_configured() else self._through_logging
