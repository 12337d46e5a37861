"""Rules: ours hold what they promise, a team's own are checked before the first text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.redaction import Redactor, Rule, SecretRegistry
from runner_shell.redaction.reference import evidence_counts
from runner_shell.redaction.rules import DEFAULT_RULES
from runner_shell.redaction.teams import rules_from_entry_points, rules_from_toml
from runner_shell.redaction.validation import check, problems_of

ALL = Redactor(SecretRegistry())
EXPLANATION = Path(__file__).resolve().parents[2] / "docs/explanation/redaction.md"


def test_the_rules_are_valid() -> None:
    """Bounded, prefix-decidable, true to their examples, and no two of a name."""
    check(DEFAULT_RULES)
    assert len(DEFAULT_RULES) >= 60


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.name)
def test_a_rule_says_where_it_comes_from_and_what_it_leaves(rule: Rule) -> None:
    """A source to look up, and counter-examples that no rule finds."""
    assert rule.source.startswith("https://")
    assert rule.counter_examples
    for text in rule.counter_examples:
        assert rule.placeholder not in ALL.text(text)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.name)
def test_a_rule_is_found_inside_of_json_and_shell(rule: Rule) -> None:
    """What stands around a credential does not hide it."""
    for example in rule.examples:
        if rule.context:
            continue  # they go by what stands around
        for text in (f'{{"a": "{example}"}}', f"export A={example};", f"<b>{example}</b>"):
            assert "[REDACTED:" in ALL.text(text)


def test_the_explanation_says_how_many_formats_are_known_in_which_way() -> None:
    """Its table holds today's numbers; a rule that is added without them is noticed."""
    text = EXPLANATION.read_text("utf-8")
    for way, count in evidence_counts(DEFAULT_RULES).items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{way}` |"))
        assert row.endswith(f"| {count} |"), row


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("AstraCS:" + "qWzeRtYxUiOp" * 2 + ":" + "0" * 57 + "3f9a0c7", "3f9a0c7"),
        ("SWMKEY-1-" + "q7Wz3eRt9Y" * 2 + "+/" + "xU1iOpA5sD" * 2 + "T", "A5sDT"),
        ("ghs_1234567_eyJ" + "q7Wz3eRt9Y" * 4 + "." + "xU1iOpA5sD" * 9 + ".TTTTT", "TTTTT"),
        ("?X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2F%2F" + "q7Wz3eRt9Y" * 9 + "%2BTTTTT", "TTTTT"),
        (r"\"-----BEGIN PRIVATE KEY-----\\n" + "q7Wz3eRt9Y" * 6 + r"\\nTTTTT\"", "TTTTT"),
        ("patq7Wz3eRt9YxU1i." + "3f9a0c7e5b1d8264" * 4 + "TTTTT", "TTTTT"),
    ],
)
def test_nothing_is_left_behind_a_separator(text: str, last: str) -> None:
    """Where a credential has several parts, the last one goes as well."""
    assert last in text
    assert last not in ALL.text(text)


# --- rules of a team's own -----------------------------------------------------------------------

OWN = Rule(
    name="acme-key",
    vendor="Acme",
    anchors=("acme_",),
    then=r"[a-z0-9]{12}",
    run=r"[a-z0-9]",
    source="https://acme.example/keys",
    examples=("acme_q7w8e9r0t1y2",),
)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Acme Key"}, "name it in lower case"),
        ({"anchors": ()}, "it needs an anchor"),
        ({"anchors": ("a",)}, "at least 2 characters"),
        ({"then": "[a-z"}, "no regular expression"),
        ({"then": "[a-z0-9]{12,}"}, "must be decided within 512"),
        ({"run": "[a-z]+"}, "exactly one character"),
        ({"examples": ()}, "needs an example"),
        ({"evidence": "rumour"}, "one of vendor, observed, unconfirmed"),
        ({"examples": ("something else",)}, "does not find its example"),
        ({"counter_examples": ("acme_q7w8e9r0t1y2",)}, "finds its counter-example"),
        (
            {"then": "[a-z0-9]{4,8}", "run": ""},
            "changes with what follows",
        ),
        ({"then": r"[a-z0-9]{12}\b", "run": ""}, "changes with what follows"),
        ({"then": "[a-z0-9]{12}(?![a-z])", "run": ""}, "changes with what follows"),
        ({"then": r"(?P<secret>\S{12})", "run": ""}, "takes in what was redacted"),
        ({"run": r"[^\s]"}, "takes in what was redacted"),
    ],
)
def test_a_rule_that_would_leak_or_depend_on_cuts_is_refused(
    changes: dict[str, Any], problem: str
) -> None:
    """And told what would be right."""
    assert problems_of(OWN) == []
    with pytest.raises(ConfigurationError, match=problem):
        check([replace(OWN, **changes)])


def test_rules_from_a_file() -> None:
    """They work beside ours."""
    own = rules_from_toml(
        """
        [[rule]]
        name = "acme-key"
        anchors = ["acme_"]
        then = "[a-z0-9]{12}"
        run = "[a-z0-9]"
        examples = ["acme_q7w8e9r0t1y2"]
        """,
        "rules.toml",
    )
    made = Redactor(SecretRegistry(), (*DEFAULT_RULES, *own))
    token = "ghp_" + "aB3x" * 9
    assert made.text(f"acme_q7w8e9r0t1y2u3 {token}") == (
        "[REDACTED:ACME_KEY] [REDACTED:GITHUB_TOKEN]"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule", "rules.toml is no TOML"),
        ("rule = 1", "write each rule as a table"),
        ("[[rule]]\nnam = 'x'", "rule 1: there is no field 'nam'"),
        ("[[rule]]\nname = 'x'", "the field 'anchors' is missing"),
        (
            "[[rule]]\nname='x'\nanchors='x'\nthen=''\nexamples=['x']",
            "'anchors' must be a list of texts",
        ),
        (
            "[[rule]]\nname='x'\nanchors=['xyz']\nthen=''\nexamples=['x']\nclosed='yes'",
            "'closed' must be true or false",
        ),
    ],
)
def test_a_wrong_file_is_refused(text: str, problem: str) -> None:
    """With its name, the rule's number, and what is wrong."""
    with pytest.raises(ConfigurationError, match=problem):
        rules_from_toml(text, "rules.toml")


class Point:
    """An entry point."""

    name = "acme"

    def __init__(self, found: Sequence[Any] | Exception) -> None:
        self.found = found

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_rules_from_an_entry_point() -> None:
    """What an installed package brings."""
    assert rules_from_entry_points([Point([OWN])]) == (OWN,)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (ImportError("no module"), "'acme' cannot be imported: ImportError: no module"),
        (["text"], "'acme' must be a sequence of"),
        ([replace(OWN, anchors=())], "it needs an anchor"),
    ],
)
def test_wrong_rules_of_an_entry_point_are_refused(
    found: Sequence[Any] | Exception, problem: str
) -> None:
    """With the entry point's name."""
    with pytest.raises(ConfigurationError, match=problem):
        rules_from_entry_points([Point(found)])
