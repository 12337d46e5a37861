"""The command line's logs, with the secrets of its environment replaced."""

from __future__ import annotations

import os

from ..redaction import Redactor, SecretRegistry
from ..shell import logs
from ..shell.hygiene import environment_secrets


def log_to_stderr(*, debug: bool) -> None:
    """Send log lines to stderr, those of structlog's users too."""
    logs.log_to_stderr(Redactor(SecretRegistry(environment_secrets(os.environ))).text, debug=debug)
    logs.configure_structlog()
