"""The command line's logs, with the secrets of its environment replaced."""

from __future__ import annotations

import os

from ..redaction import Redactor, SecretRegistry
from ..redaction.sources import environment_secrets
from ..shell.outbound import logs
from ..shell.outbound.safeguard import Safeguard


def log_to_stderr(*, debug: bool) -> None:
    """Send log lines to stderr, those of structlog's users too."""
    registry = SecretRegistry()
    registry.add_all(environment_secrets(os.environ))
    logs.log_to_stderr(Safeguard(Redactor(registry)).text, debug=debug)
    logs.configure_structlog()
