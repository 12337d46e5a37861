"""Makes patterns of secrets and rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .patterns import Anchor, Literal
from .reach import NAMELESS, Reach, placeholder
from .registry import Secret, bare_name, placeholder_name

if TYPE_CHECKING:
    from .rule import Rule


def literals(secrets: Iterable[Secret], known: Sequence[Secret]) -> list[Literal]:
    """Every form of every secret, once.

    Args:
        secrets: Whose forms are wanted.
        known: All secrets: a name that holds the value of one is not shown.
    """
    found: dict[str, Literal] = {}
    names = {secret.name: placeholder(placeholder_name(secret.name)) for secret in known}
    telling = that_tell(names.values(), known)
    for secret in secrets:
        shown = names[secret.name]
        for literal in _literals(secret, placeholder(NAMELESS) if shown in telling else shown):
            first = found.setdefault(literal.text, literal)
            if first.whole_word and not literal.whole_word:
                found[literal.text] = literal  # one value is another's name and value
    return list(found.values())


def _literals(secret: Secret, shown: str) -> Iterable[Literal]:
    from .forms import beside_name, forms  # Base64, JSON, HTML: not before the first text

    match secret.reach:
        case Reach.EVERYWHERE:
            return [Literal(form, shown) for form in forms(secret.value)]
        case Reach.WHOLE_WORD:
            return [Literal(secret.value, shown, 0, True)]
        case Reach.BESIDE_NAME:
            found = beside_name(bare_name(secret.name), secret.value)
            return [Literal(text, shown, offset, True) for text, offset in found]
        case Reach.IGNORED:
            return []


def anchors(rules: Iterable[Rule], known: Sequence[Secret]) -> list[Anchor]:
    """The rules' beginnings, each with the rules that have it.

    Args:
        rules: What unknown secrets look like.
        known: All secrets: a rule whose name holds the value of one has none.
    """
    rules = list(rules)
    telling = that_tell({rule.placeholder for rule in rules}, known)
    found: dict[str, Anchor] = {}
    for rule in rules:
        silent = replace(rule, name=NAMELESS.lower()) if rule.placeholder in telling else rule
        for text in rule.anchors:
            found.setdefault(text, Anchor(text)).rules.append(silent)
    return list(found.values())


def that_tell(placeholders: Iterable[str], secrets: Iterable[Secret]) -> set[str]:
    """The placeholders that hold a secret's value, and so would show it."""
    listed = set(placeholders)
    together = "\0".join(listed)
    values = [
        secret.value
        for secret in secrets
        if secret.reach is not Reach.BESIDE_NAME and secret.value in together
    ]
    return {shown for shown in listed if any(value in shown for value in values)}
