"""Writes the table of the rules from the rules.

`python -m runner_shell.redaction.reference [--check] FOLDER`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from ..protocol import generated
from .rule import Evidence, Rule
from .rules import DEFAULT_RULES

PAGE_FILE = "redaction-rules.md"

_HEAD = """\
# Redaction rules

<!-- Made from the code by `make docs-reference`; changes here are lost. -->

What unknown credentials look like: {count} rules. Every one begins with a fixed text, is decided
within a bounded number of characters, and then goes on as long as the characters fit, so a
credential of any length is found however it is cut, and costs no buffer. Rules marked *context* go
by the name or scheme before a value, the others by the value's own format.

How each format is known: the *vendor*'s page behind the link says it ({vendor} rules); it was
*observed* in the vendor's code, in public examples or in a study of formats ({observed}); or it is
*unconfirmed*: the beginning is known, the length is a guess ({unconfirmed}). More in
[the explanation](../explanation/redaction.md#how-formats-are-known).

A rule is switched off by its name; known secrets are always redacted. How it works, and what it
does not find, says [the explanation](../explanation/redaction.md); how to add your own,
[the guide](../how-to/own-redaction-rules.md).

| rule | of | begins with | then | known | |
|---|---|---|---|---|---|
"""


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {PAGE_FILE: page(DEFAULT_RULES)}


def page(rules: Sequence[Rule]) -> str:
    """`redaction-rules.md`."""
    rows = [_row(rule) for rule in sorted(rules, key=lambda rule: rule.name)]
    return _HEAD.format(count=len(rules), **evidence_counts(rules)) + "\n".join(rows) + "\n"


def evidence_counts(rules: Sequence[Rule]) -> dict[Evidence, int]:
    """How many rules are known in each way."""
    counts = Counter(rule.evidence for rule in rules)
    return {way: counts[way] for way in get_args(Evidence)}


def _row(rule: Rule) -> str:
    shown = ", ".join(_code(anchor) for anchor in rule.anchors[:4])
    more = ", …" if len(rule.anchors) > 4 else ""
    kind = ", context" if rule.context else ""
    source = f"[source]({rule.source}){kind}"
    cells = (f"`{rule.name}`", rule.vendor, shown + more, _code(rule.then), rule.evidence, source)
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    quote = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return quote + pad + text.replace("|", "\\|") + pad + quote


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the folder; returns the exit code."""
    return generated.main(files(), "Write the table of the redaction rules.", arguments)


if __name__ == "__main__":
    sys.exit(main())
