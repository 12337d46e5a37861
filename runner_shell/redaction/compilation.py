"""Makes patterns of secrets and rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .patterns import Anchor, Literal
from .reach import Reach
from .registry import Secret, bare_name, placeholder_name

if TYPE_CHECKING:
    from .rule import Rule

NAMELESS = "SECRET"
"""What a secret is called whose name holds one."""


def literals(secrets: Iterable[Secret], known: Sequence[Secret]) -> list[Literal]:
    """Every form of every secret, once.

    Args:
        secrets: Whose forms are wanted.
        known: All secrets: a name that holds the value of one is not shown.
    """
    found: dict[str, Literal] = {}
    telling = names_that_tell(known)
    for secret in secrets:
        name = NAMELESS if secret.name in telling else placeholder_name(secret.name)
        for literal in _literals(secret, f"[REDACTED:{name}]"):
            found.setdefault(literal.text, literal)
    return list(found.values())


def _literals(secret: Secret, placeholder: str) -> Iterable[Literal]:
    from .forms import beside_name, forms  # Base64, JSON, HTML: not before the first text

    match secret.reach:
        case Reach.EVERYWHERE:
            return [Literal(form, placeholder) for form in forms(secret.value)]
        case Reach.WHOLE_WORD:
            return [Literal(secret.value, placeholder, 0, True)]
        case Reach.BESIDE_NAME:
            found = beside_name(bare_name(secret.name), secret.value)
            return [Literal(text, placeholder, offset, True) for text, offset in found]
        case Reach.IGNORED:
            return []


def names_that_tell(secrets: Sequence[Secret]) -> set[str]:
    """The names that hold a secret's value, and so would show it in a placeholder."""
    names = {secret.name for secret in secrets}
    together = "\0".join(placeholder_name(name) for name in names)
    values = [
        secret.value
        for secret in secrets
        if secret.reach is not Reach.BESIDE_NAME and secret.value in together
    ]
    return {name for name in names if any(value in placeholder_name(name) for value in values)}


def anchors(rules: Iterable[Rule]) -> list[Anchor]:
    """The rules' beginnings, each with the rules that have it."""
    found: dict[str, Anchor] = {}
    for rule in rules:
        for text in rule.anchors:
            found.setdefault(text, Anchor(text)).rules.append(rule)
    return list(found.values())
