"""`runner-shell check` and `check-gateway`: conformance suites, with findings for newcomers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import typer

from ..errors import ConfigurationError
from .logs import log_to_stderr
from .place import Place
from .questions import parse_value
from .screen import BOLD, DIM, GREEN, RED, Screen, Span

if TYPE_CHECKING:
    from ..testing.check import Checked

FOUND = 1
"""The exit code where there are findings."""


class Told(Protocol):
    """A finding: what the contract says, what happened, how to fix it."""

    @property
    def rule(self) -> str:
        """A stable word."""

    @property
    def contract(self) -> str:
        """What the contract says."""

    @property
    def happened(self) -> str:
        """What happened instead."""

    @property
    def fix(self) -> str:
        """How it is mended."""


def check_installed(
    name: str,
    prompts: Mapping[str, str],
    *,
    answer: str,
    interrupt_seconds: float,
    json_lines: bool,
) -> int:
    """Run the suite against an installed adapter; returns the exit code.

    Raises:
        ConfigurationError: The suite or the adapter is not installed, or its settings are wrong.
    """
    try:
        from .checking import Job, check_apart
    except ImportError as error:
        raise _not_installed(error) from error
    screen = Screen.of_stdout()
    if not json_lines:
        screen.line(Span(f"checking the adapter {name}", BOLD))
        screen.flush()

    def tell(checked: Checked) -> None:
        if not json_lines:
            _show(checked, screen)

    job = Job(
        name=name,
        prompts={scenario: prompt for scenario, prompt in prompts.items() if prompt},
        answer=parse_value(answer),
        interrupt_seconds=interrupt_seconds,
    )
    results = check_apart(job, tell)
    return _conclude(name, results, screen, json_lines=json_lines)


def _not_installed(error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"the suite needs {error.name}: install `runner-shell[testing]` beside the adapter"
    )


def _show(checked: Checked, screen: Screen) -> None:
    if checked.status == "not_tried":
        return
    mark = Span("✓ ", GREEN) if checked.status == "held" else Span("✗ ", RED)
    screen.line(mark, Span(checked.promise), indent=2)
    for finding in checked.findings:
        _show_finding(finding, screen)
    screen.flush()


def _show_finding(finding: Told, screen: Screen) -> None:
    said = {
        "the contract says": finding.contract,
        "what happened": finding.happened,
        "how to fix it": finding.fix,
    }
    screen.line(Span(f"    {finding.rule}", RED))
    for label, text in said.items():
        screen.line(Span(f"      {label:<18} ", DIM), Span(text), indent=25)


def _conclude(name: str, results: Sequence[Checked], screen: Screen, *, json_lines: bool) -> int:
    broken = [one for one in results if one.status == "broken"]
    if json_lines:
        report = {"adapter": name, "ok": not broken, "promises": results}
        typer.echo(msgspec.json.encode(report))
    else:
        _say_not_tried(results, screen)
        held = sum(one.status == "held" for one in results)
        left = sum(one.status == "not_tried" for one in results)
        said = f"{held} of {len(results)} promises hold, {len(broken)} do not, {left} not tried"
        screen.line(Span(said, RED if broken else GREEN))
        screen.flush()
    return FOUND if broken else 0


def _say_not_tried(results: Sequence[Checked], screen: Screen) -> None:
    from ..testing.check import SCENARIOS

    left = dict.fromkeys(one.scenario for one in results if one.status == "not_tried")
    for scenario in left:
        count = sum(one.scenario == scenario for one in results)
        option = f"--{scenario.replace('_', '-')}"
        hint = f"{count} not tried: give {option} a prompt where {SCENARIOS[scenario]}"
        screen.line(Span("– ", DIM), Span(hint, DIM), indent=2)


def check_gateway_at(place: Place, *, json_lines: bool) -> int:
    """Run the protocol's suite against a gateway; returns the exit code.

    Raises:
        ConfigurationError: The suite is not installed, or the gateway cannot be reached.
    """
    import asyncio
    from importlib import import_module

    from ..shell.configuration.environment import read_token

    try:
        suite: Any = import_module("runner_shell.testing.gateway_conformance")
    except ImportError as error:
        raise _not_installed(error) from error
    log_to_stderr(debug=False)
    url = place.settings.gateway.rstrip("/")
    found = list(asyncio.run(suite.check_gateway(url, read_token(place.settings))))
    if json_lines:
        typer.echo(msgspec.json.encode({"gateway": url, "ok": not found, "findings": found}))
        return FOUND if found else 0
    screen = Screen.of_stdout()
    for finding in found:
        _show_finding(finding, screen)
    count = f"{len(found)} {'finding' if len(found) == 1 else 'findings'}"
    said = count if found else "the gateway keeps the protocol"
    screen.line(Span(f"{url}: {said}", RED if found else GREEN))
    screen.flush()
    return FOUND if found else 0
