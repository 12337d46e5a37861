"""What a Job does after each of the runner's exit codes follows from the shell's own table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import job_rules
import pytest
from rendered_manifests import OVERLAYS, changed, container, job

from runner_shell.protocol.events import Outcome
from runner_shell.shell import outcome as outcomes

CODES = {
    value for name, value in vars(outcomes).items() if name.isupper() and isinstance(value, int)
}
KILLED = 137
DOCS = Path(__file__).resolve().parents[2] / "docs"
LIFECYCLE = DOCS / "explanation" / "lifecycle.md"
RULES = "spec/podFailurePolicy/rules"

BREAKAGES: list[tuple[str, Any]] = [
    ("spec/template/spec/restartPolicy", "OnFailure"),
    ("spec/podReplacementPolicy", "TerminatingOrFailed"),
    (RULES, [{"action": "Ignore", "onPodConditions": []}] * 21),
    (f"{RULES}/0/action", "FailIndex"),
    (f"{RULES}/0/onPodConditions", []),
    (f"{RULES}/0/onExitCodes/values", [2, 1]),
    (f"{RULES}/0/onExitCodes/values", [1, 1]),
    (f"{RULES}/0/onExitCodes/values", []),
    (f"{RULES}/0/onExitCodes/values", [0, 1]),
    (f"{RULES}/0/onExitCodes/operator", "Is"),
    (f"{RULES}/0/onExitCodes/containerName", "other"),
    ("spec/template/spec/volumes/0/name", "tmp"),
    ("spec/template/spec/containers/0/volumeMounts/0/mountPath", "/tmp"),
    ("spec/template/spec/containers/0/volumeMounts/0/name", "other"),
    ("spec/template/spec/containers/0/volumeMounts/0/subPath", "../other"),
    ("spec/template/spec/containers/0/volumeMounts/0/subPath", "/state"),
    ("spec/template/spec/containers/0/resources/requests/memory", "100Gi"),
]


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("code", sorted(CODES - {outcomes.COMPLETED}))
def test_a_job_ends_where_a_next_process_could_only_repeat(name: str, code: int) -> None:
    """Final codes fail the Job at once, all others are tried again and counted."""
    expected = "FailJob" if code in outcomes.FINAL else "Count"
    assert job_rules.action_after(job(name), code) == expected


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_policy_names_every_code(name: str) -> None:
    """No exit code of the shell's is left to a default, and none is named that it does not have."""
    rules = job(name)["spec"]["podFailurePolicy"]["rules"]
    named = [code for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())]
    assert sorted(named) == sorted(CODES - {outcomes.COMPLETED})


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_the_runner_s_exit_decides(name: str) -> None:
    """A container that somebody's mesh adds to the pod ends no session by its own exit code."""
    rules = job(name)["spec"]["podFailurePolicy"]["rules"]
    deciding = [rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule]
    assert deciding == [container(job(name))["name"]] * 2


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("code", [outcomes.DRAINED, outcomes.TRANSIENT, KILLED])
def test_a_disruption_costs_no_try(name: str, code: int) -> None:
    """A pod that a node's drain, a preemption or an eviction ended is replaced, and not counted."""
    assert job_rules.action_after(job(name), code, "DisruptionTarget") == "Ignore"
    assert job_rules.action_after(job(name), code) == "Count"


@pytest.mark.parametrize("code", sorted(outcomes.FINAL - {outcomes.COMPLETED}))
def test_a_final_ending_is_final_in_a_disruption_too(code: int) -> None:
    """A session that ended for good while its node was drained is not begun again."""
    assert job_rules.action_after(job("claude-openshift"), code, "DisruptionTarget") == "FailJob"


def test_final_codes_are_those_after_which_nothing_goes_on() -> None:
    """No outcome that a next process takes up has a final code, and every other outcome has one."""
    for outcome in get_args(Outcome):
        code = outcomes.EXIT_CODES[outcome]
        assert outcomes.goes_on(outcome, code) == (code not in outcomes.FINAL)
    assert not outcomes.FINAL & {outcomes.DRAINED, outcomes.TRANSIENT, outcomes.SHELL_FAULT}


def test_the_page_says_the_same() -> None:
    """The page's column on starting again has a no at the final codes, and at no other."""
    table = LIFECYCLE.read_text().partition("## Exit codes")[2]
    rows = re.findall(r"^\| (\d+) \|[^|]+\| ([^|]+?) \|$", table, re.MULTILINE)
    assert {int(code) for code, _ in rows} == CODES
    for code, again in rows:
        assert again.startswith("no") == (int(code) in outcomes.FINAL), (code, again)


def test_the_page_on_containers_fails_a_job_at_the_same_codes() -> None:
    """Who writes a Job of their own is told the codes of our manifests."""
    page = " ".join((DOCS / "how-to" / "run-in-a-container.md").read_text().split())
    [said] = re.findall(r"`FailJob` for ([\d, ]+ and \d+)", page)
    assert {int(code) for code in re.findall(r"\d+", said)} == outcomes.FINAL - {outcomes.COMPLETED}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_api_server_has_nothing_against_the_job(name: str) -> None:
    """The rules on a Job that no schema holds are kept."""
    assert job_rules.refusals(job(name)) == []


@pytest.mark.parametrize(("path", "value"), BREAKAGES)
def test_a_job_that_breaks_a_rule_is_refused(path: str, value: Any) -> None:
    """Each of those rules is checked: a Job that breaks it is refused."""
    assert job_rules.refusals(changed(job("claude-kubernetes"), path, value))
