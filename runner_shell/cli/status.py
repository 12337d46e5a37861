"""`runner-shell status`: how a runner on this machine stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import typer

from ..control.client import NOBODY, NobodyAnswers, ask, exit_code, sentence
from ..control.location import named_socket
from ..errors import ConfigurationError


def show_status(*, session: str, state_dir: str, as_json: bool) -> None:
    """Print it, and exit with 0 where the runner is connected, 1 where it is not, 3 without one.

    Raises:
        ConfigurationError: Nothing says which runner is meant.
    """
    path = named_socket(Path(state_dir) if state_dir else None, session, os.environ)
    if path is None:
        raise ConfigurationError(
            "--session or SESSION_ID is not set: name the session, or the runner's --state-dir"
        )
    try:
        status = ask(path)
    except NobodyAnswers as error:
        typer.echo(f"runner-shell: {error}", err=True)
        raise typer.Exit(NOBODY) from None
    typer.echo(json.dumps(status) if as_json else sentence(status))
    raise typer.Exit(exit_code(status))
