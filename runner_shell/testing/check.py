"""The conformance suite against an installed adapter, without pytest's own runner.

What `runner-shell check NAME` shows: each promise, whether it holds, and what to do where not.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from ..adapter import discovery
from ..adapter.contract import Adapter
from ..protocol.events import JSON
from .conformance import SCENARIO_TESTS, AdapterConformance, ContractBroken
from .order import Finding

Status = Literal["held", "broken", "not_tried"]

SCENARIOS: dict[str, str] = {
    "says": "the turn says some text and completes",
    "runs_long": "the turn lasts until it is interrupted",
    "asks": "the turn asks exactly one question and completes once it is answered",
    "fails": "the turn fails as the framework's turns do",
    "uses_tool": "the turn calls at least one tool and completes",
}
"""What a prompt must bring about, by the scenario's name."""

SAYS = "hello"
"""The prompt of `says` where none is given: most agents say something to it."""


class Checked(Struct, frozen=True, kw_only=True):
    """One promise of the contract.

    Attributes:
        test: The suite's name for it.
        promise: What an adapter promises, in a sentence.
        status: Whether it holds; `not_tried` where its scenario has no prompt.
        scenario: The scenario that it needs, or empty.
        findings: What was found where it is broken.
    """

    test: str
    promise: str
    status: Status
    scenario: str = ""
    findings: list[Finding] = []


def check_adapter(
    name: str,
    environment: Mapping[str, str],
    prompts: Mapping[str, str],
    *,
    answer: JSON = "yes",
    interrupt_seconds: float = AdapterConformance.interrupt_seconds,
    skip: Collection[str] = (),
    begin: Callable[[str], None] = lambda test: None,
    tell: Callable[[Checked], None] = lambda checked: None,
) -> list[Checked]:
    """Run every test that there are prompts for.

    Args:
        name: The adapter's entry point.
        environment: What its settings are read from.
        prompts: The prompt of each scenario that is to be tried.
        answer: The answer to the question of `asks`.
        interrupt_seconds: Within this a turn must end after an interrupt.
        skip: Tests that are left out, without a result.
        begin: Called with each test's name before it is tried.
        tell: Called with each promise once it is tried.

    Raises:
        ConfigurationError: No such adapter, it cannot be imported, or its settings are wrong.
    """
    adapter = discovery.load(name)
    adapter.Settings.from_environment(environment)
    suite = _suite(
        adapter,
        entry_point=name,
        environment=dict(environment),
        answer=answer,
        interrupt_seconds=interrupt_seconds,
        **{"says": SAYS, **prompts},
    )
    results = []
    for test in _tests():
        if test in skip:
            continue
        begin(test)
        checked = _tried(suite, test)
        tell(checked)
        results.append(checked)
    return results


def _suite(adapter: type[Adapter], **attributes: Any) -> AdapterConformance:
    named = {"adapter": adapter, "__test__": False, **attributes}
    suite: AdapterConformance = type("Suite", (AdapterConformance,), named)()
    return suite


def _tests() -> Iterator[str]:
    return (name for name in vars(AdapterConformance) if name.startswith("test_"))


def result_of(test: str, status: Status, findings: list[Finding]) -> Checked:
    """What is said of a test, with its promise and its scenario."""
    promise = str(getattr(AdapterConformance, test).__doc__).partition("\n")[0]
    scenario = next((one for one, tests in SCENARIO_TESTS.items() if test in tests), "")
    return Checked(test=test, promise=promise, status=status, scenario=scenario, findings=findings)


def _tried(suite: AdapterConformance, test: str) -> Checked:
    run = getattr(suite, test)
    if run is None:
        return result_of(test, "not_tried", [])
    try:
        run()
    except ContractBroken as broken:
        findings = broken.findings
    except Exception as error:  # noqa: BLE001 — the plug-in's edge: all it raises is a finding
        findings = [_raised(error)]
    else:
        findings = []
    status: Status = "broken" if findings else "held"
    return result_of(test, status, findings)


def _raised(error: Exception) -> Finding:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Finding(
        rule="raised",
        contract="an adapter raises in `open` or in a turn only, where the shell sees it",
        happened=f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})",
        fix="see the place that is named; a constructor only assigns, work begins in `open`",
    )
