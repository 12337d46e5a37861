"""`runner-shell validate`: everything a runner needs, looked at before one starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
import typer

from ..redaction import Redactor
from ..shell import process as processes
from ..shell.configuration.environment import Settings, examine
from ..shell.configuration.known_secrets import KnownSecrets
from .logs import log_to_stderr
from .options import OPTIONS, named
from .screen import DIM, GREEN, RED, YELLOW, Screen, Span
from .surroundings import (
    Checked,
    Verdict,
    look_at_adapter,
    look_at_gateway,
    look_at_places,
    look_at_settings,
)

BAD = 2
"""The exit code where something is wrong."""

_STYLES: dict[Verdict, str] = {"ok": GREEN, "wrong": RED, "note": YELLOW}


def validate(typed: Mapping[str, str], *, interactive: bool, online: bool, json_lines: bool) -> int:
    """Look at everything, print what was found, and return the exit code.

    Args:
        typed: What was typed, by the name of the setting's field; an empty option was not.
        interactive: Whether `--interactive` was typed.
        online: Whether the adapter asks those whom it needs, too.
        json_lines: Whether to print one JSON object.
    """
    log_to_stderr(debug=False)
    environment = processes.take_environment(os.environ)
    overlay = {OPTIONS[field][1]: value for field, value in typed.items() if value}
    environment |= overlay | ({"INTERACTIVE": "true"} if interactive else {})
    if "RUNNER_GATEWAY" in overlay:
        environment.pop("WEBSOCKET_URL", None)  # as in `run`: the option beats every variable
    settings, problems = examine(environment)
    redact = _redactor(settings, environment).text
    found = [
        msgspec.structs.replace(
            one, what=_as_typed(one.what, overlay), said=redact(named(one.said, overlay))
        )
        for one in _look(settings, problems, environment, online=online)
    ]
    _print(found, json_lines=json_lines)
    return BAD if any(one.verdict == "wrong" for one in found) else 0


def _look(
    settings: Settings, problems: list[str], environment: Mapping[str, str], *, online: bool
) -> Iterator[Checked]:
    if settings.gateway:  # whether a session must be named depends on whose token it is
        problems = [one for one in problems if not one.startswith("SESSION_ID is not set")]
    yield from look_at_settings(settings, problems, environment)
    yield from look_at_adapter(settings, environment, online=online)
    yield from look_at_places(settings, environment)
    yield from look_at_gateway(settings)


def _redactor(settings: Settings, environment: Mapping[str, str]) -> Redactor:
    return Redactor(KnownSecrets(settings, environment).registry)


def _as_typed(what: str, overlay: Collection[str]) -> str:
    for option, variable in OPTIONS.values():
        if what == variable and variable in overlay:
            return option
    return what


def _print(found: Sequence[Checked], *, json_lines: bool) -> None:
    wrong = sum(one.verdict == "wrong" for one in found)
    if json_lines:
        typer.echo(msgspec.json.encode({"ok": not wrong, "checked": found}))
        return
    screen = Screen.of_stdout()
    width = max(len(one.what) for one in found)
    for one in found:
        verdict = Span(f"{one.verdict:<5}  ", _STYLES[one.verdict])
        screen.line(verdict, Span(f"{one.what:<{width}}  ", DIM), Span(one.said), indent=7)
    said = f"{wrong} {'problem' if wrong == 1 else 'problems'}" if wrong else "nothing is wrong"
    screen.line(Span(said, RED if wrong else GREEN))
    screen.flush()
