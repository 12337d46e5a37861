"""An independent pack of rules, for development only: what it finds and ours do not.

The pack brings no examples, so they are made from its expressions, and count where its own scanner
finds them.
"""

from __future__ import annotations

import random
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from kingfisher_sdk import _native

from runner_shell.redaction import Redactor, SecretRegistry

_PARSER: Any = import_module("re._parser")
_LETTERS = "q7Wz3eRt9YxU1iOpA5sDf2GhJ8kLm4ZcV6bNn0TyQ"
SAMPLES = 6


def samples(pattern: str, chance: random.Random) -> str | None:
    """A text that an expression describes; None where it is not Python's kind of expression."""
    try:
        return _text(_PARSER.parse(pattern.replace("(?-i:", "(?:")), chance)
    except (re.error, OverflowError, KeyError):
        return None


def _text(parts: Any, chance: random.Random) -> str:
    return "".join(_part(str(kind), value, chance) for kind, value in parts)


def _part(kind: str, value: Any, chance: random.Random) -> str:
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL" | "ANY":
            return " "
        case "IN":
            return _one_of(value, chance)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = value
            most = min(int(high), max(int(low), 1) + 3) if int(low) else min(int(high), 1)
            return "".join(_text(inner, chance) for _ in range(chance.randint(int(low), most)))
        case "SUBPATTERN":
            return _text(value[-1], chance)
        case "ATOMIC_GROUP":
            return _text(value, chance)
        case "BRANCH":
            return _text(chance.choice(value[1]), chance)
        case _:
            return ""


def _one_of(allowed: Any, chance: random.Random) -> str:
    letters = [c for c in _LETTERS + "+/=_-.: " if _is_in(c, allowed)]
    if letters:
        return chance.choice(letters)
    kind, value = allowed[0]
    return chr(value if str(kind) == "LITERAL" else value[0] if str(kind) == "RANGE" else 32)


def _is_in(char: str, allowed: Any) -> bool:
    negated, found = False, False
    for kind, value in allowed:
        match str(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found = found or ord(char) == value
            case "RANGE":
                found = found or value[0] <= ord(char) <= value[1]
            case _:
                name = str(value)
                hit = (
                    (char.isalnum() or char == "_") if "WORD" in name
                    else char.isdigit() if "DIGIT" in name else char.isspace()
                )  # fmt: skip
                found = found or (hit != ("NOT" in name))
    return found != negated


def compare() -> tuple[int, dict[str, str]]:
    """How many rules of high confidence could be tried, and those that ours miss, by id."""
    rules = _native.Rules([], True, "high", cache=False)
    scanner = _native.Scanner(rules, False, False, False, None)
    redactor, tried, missed = Redactor(SecretRegistry()), 0, {}
    for entry in rules.metadata():
        detail = rules.detail(entry["id"])
        texts = [
            f"value = {text} \n"
            for number in range(SAMPLES)
            if (text := samples(detail["detection_regex"], random.Random(number))) is not None
        ]
        found = [text for text in texts if _finds(scanner, text, entry["id"])]
        if not found:
            continue
        tried += 1
        if all(redactor.text(text) == text for text in found):
            missed[entry["id"]] = detail["name"]
    return tried, missed


def _finds(scanner: Any, text: str, id: str) -> bool:
    return any(finding.rule_id == id for finding in scanner.scan_bytes(text.encode()))


PAGE = """\
# What an independent pack of rules finds beyond ours

<!-- Made by `make docs-gaps`; changes here are lost. -->

`kingfisher-secret-scanner` (Apache-2.0) is a development dependency: an oracle that shares no rule
with ours. Of its {all} rules of high confidence {tried} can be tried with texts made from their
expressions; ours redact {found} of them. What is listed here they leave: names of accounts and
hosts, which are no secrets; values without a format of their own that stand near a vendor's name;
and formats of smaller vendors.

{missed}
"""


def page() -> str:
    """`redaction-gaps.md`."""
    tried, missed = compare()
    every = len(_native.Rules([], True, "high", cache=False))
    names = ", ".join(f"`{id.partition('.')[2]}`" for id in missed)
    return PAGE.format(all=every, tried=tried, found=tried - len(missed), missed=names + ".")


if __name__ == "__main__":
    Path("docs/reference/redaction-gaps.md").write_text(page(), "utf-8")
