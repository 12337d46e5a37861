"""An independent pack of rules, for development only: what it finds and ours do not, and why.

The pack brings no examples, so they are made from its expressions, and count where its own scanner
finds them. What kind of gap one is, is read from the expression too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import realistic
from expressions import beginnings, samples, value_of
from kingfisher_sdk import _native

from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.redaction.rules import DEFAULT_RULES

SAMPLES = 6
SHORTEST_BEGINNING = 3
LONG_ANCHOR = 5
"""An anchor of so many characters is in no text by chance."""

REDACTOR = Redactor(SecretRegistry())
Kind = Literal["public", "nearby", "stricter", "unknown"]


@dataclass(frozen=True)
class Gap:
    """A rule of the pack whose texts ours leave.

    Attributes:
        id: The pack's.
        kind: `public`: no secret. `nearby`: the value has no beginning of its own. `stricter`: ours
            finds what the vendor issues, and the text that was made is not like it. `unknown`: a
            beginning that none of ours has.
        begins: What the value begins with, where that is fixed.
        rule: Ours, where it is stricter.
        alike: Those of ours that begin alike.
    """

    id: str
    kind: Kind
    begins: tuple[str, ...] = ()
    rule: str = ""
    alike: frozenset[str] = frozenset()


# --- which kind a gap is --------------------------------------------------------------------------

_PUBLIC = re.compile(r"-(?:id|url|host|domain|name)(?:\.\d+)?$")


def gap(id: str, pattern: str, texts: Sequence[str]) -> Gap:
    """What kind of gap a rule of the pack is, of which ours leave these texts."""
    begins = beginnings(value_of(pattern))
    if id in realistic.TOKENS:
        return Gap(id, "stricter", rule=found_by(realistic.TOKENS[id]))
    if _PUBLIC.search(id) or id in realistic.PUBLIC:
        return Gap(id, "public")
    own = tuple(text for text in begins if len(text) >= SHORTEST_BEGINNING)
    return Gap(id, "unknown" if own else "nearby", own, alike=alike(begins, texts))


def found_by(token: str) -> str:
    """The rule that finds a token whole or in part; empty where none does."""
    place = re.search(r"\[REDACTED:(\w+)\]", REDACTOR.text(f"value = {token} \n"))
    return place[1].lower().replace("_", "-") if place else ""


def alike(begins: Sequence[str], texts: Sequence[str]) -> frozenset[str]:
    """Our rules that begin as a value does, or whose beginning stands in a text."""
    return frozenset(
        rule.name
        for rule in DEFAULT_RULES
        if not rule.context
        for anchor in rule.anchors
        if any(text and (anchor.startswith(text) or text.startswith(anchor)) for text in begins)
        or (len(anchor) >= LONG_ANCHOR and any(anchor in text for text in texts))
    )


# --- the comparison -------------------------------------------------------------------------------


def compare() -> tuple[int, list[Gap]]:
    """How many rules of high confidence could be tried, and those that ours miss."""
    rules = _native.Rules([], True, "high", cache=False)
    scanner = _native.Scanner(rules, False, False, False, None)
    tried, missed = 0, []
    for entry in rules.metadata():
        pattern = rules.detail(entry["id"])["detection_regex"]
        texts = [
            f"value = {text} \n"
            for number in range(SAMPLES)
            if (text := samples(pattern, random.Random(number))) is not None
        ]
        found = [text for text in texts if _finds(scanner, text, entry["id"])]
        if not found:
            continue
        tried += 1
        if all(REDACTOR.text(text) == text for text in found):
            missed.append(gap(entry["id"].partition(".")[2], pattern, found))
    return tried, missed


def _finds(scanner: Any, text: str, id: str) -> bool:
    return any(finding.rule_id == id for finding in scanner.scan_bytes(text.encode()))


# --- the page -------------------------------------------------------------------------------------

_HEAD = """\
# What an independent pack of rules finds beyond ours

<!-- Made by `make docs-gaps`; changes here are lost. -->

`kingfisher-secret-scanner` (Apache-2.0) is a development dependency: an oracle that shares no rule
with ours. Of its {all} rules of high confidence {tried} can be tried with texts made from their
expressions; ours redact {found} of them. What they leave is listed here, by kind.

| {missed} gaps | |
|---|---|
| [formats that we do not know](#formats-that-we-do-not-know) | {unknown} |
| [values without a beginning](#values-without-a-beginning), found by a name nearby | {nearby} |
| [formats of which ours asks more](#formats-of-which-ours-asks-more), and finds | {stricter} |
| [no secrets](#no-secrets) | {public} |
"""

_SECTIONS: tuple[tuple[Kind, str, Callable[[Gap], str]], ...] = (
    (
        "unknown",
        """
## Formats that we do not know

The value has a beginning of its own that none of our rules knows: nothing that we read says what
follows and how long it is, few have such tokens, or ordinary text looks alike. If you have them, [a
rule of your own](../how-to/own-redaction-rules.md) finds them.

| the pack's rule | begins with |
|---|---|
""",
        lambda gap: f"| `{gap.id}` | {', '.join(f'`{text}`' for text in gap.begins)} |",
    ),
    (
        "nearby",
        """
## Values without a beginning

Digits, hexadecimal or letters of some length, a UUID: the pack finds them by the vendor's name
nearby. Ours redact them under a sensitive name (`DATADOG_API_KEY=`, `"password": `), and everywhere
once they are [known](../explanation/redaction.md#known-secrets).

""",
        lambda gap: f"* `{gap.id}`",
    ),
    (
        "stricter",
        """
## Formats of which ours asks more

The text that was made from the pack's expression is shorter than what the vendor issues, or of
other characters. A token as it is issued is found, as a test shows, by the rule beside it.

| the pack's rule | ours |
|---|---|
""",
        lambda gap: f"| `{gap.id}` | `{gap.rule}` |",
    ),
    (
        "public",
        """
## No secrets

Names of accounts, projects and hosts, and keys that vendors mean to stand in pages and apps.

""",
        lambda gap: f"* `{gap.id}`",
    ),
)


def row(gap: Gap) -> str:
    """A gap's line in its section."""
    return next(line(gap) for kind, _, line in _SECTIONS if kind == gap.kind)


def page() -> str:
    """`redaction-gaps.md`."""
    tried, missed = compare()
    of = {kind: [gap for gap in missed if gap.kind == kind] for kind, _, _ in _SECTIONS}
    head = _HEAD.format(
        all=len(_native.Rules([], True, "high", cache=False)),
        tried=tried,
        found=tried - len(missed),
        missed=len(missed),
        **{kind: len(gaps) for kind, gaps in of.items()},
    )
    parts = [intro + "\n".join(map(row, of[kind])) + "\n" for kind, intro, _ in _SECTIONS]
    return head + "".join(parts)


if __name__ == "__main__":
    Path("docs/reference/redaction-gaps.md").write_text(page(), "utf-8")
