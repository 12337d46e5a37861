"""What the suite says of a broken promise, where more than one test or module says it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ..order import Finding, StoredFields


class ContractBroken(pytest.fail.Exception):  # type: ignore[misc,name-defined] # untyped
    """A test of the suite found something; pytest shows the findings without a traceback.

    Attributes:
        findings: What was found, each once.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n\n".join(map(str, findings)), pytrace=False)


def report(findings: list[Finding]) -> None:
    """Fail the test if anything was found.

    Raises:
        ContractBroken: Something was.
    """
    if findings:
        raise ContractBroken(list(dict.fromkeys(findings)))


def wrong_capabilities(happened: str) -> Finding:
    """What the adapter claims is not what it does."""
    return Finding(
        rule="capabilities",
        contract="`capabilities` says truly what the adapter can do",
        happened=happened,
        fix="declare `capabilities: ClassVar[Capabilities]`; commands are types of the protocol",
    )


def did_not_happen(error: BaseException) -> Finding:
    """The scenario waited in vain, or saw what it must not."""
    return Finding(
        rule="scenario",
        contract="the scenario takes its course",
        happened=str(error) or type(error).__name__,
        fix="see the other findings first; else give the suite another prompt for this scenario",
    )


def left_running(happened: str, fix: str) -> Finding:
    """Something outlived its session."""
    return Finding(
        rule="left_running",
        contract="`close` lets everything go: threads, tasks and child processes",
        happened=happened,
        fix=fix,
    )


def types(events: Iterable[StoredFields]) -> list[str]:
    """The types of events, in order."""
    return [str(event["type"]) for event in events]


def ending(finished: StoredFields) -> str:
    """An outcome, with its reason where it has one."""
    reason = finished.get("reason")
    return f"{finished['outcome']}{f' ({reason})' if reason else ''}"
