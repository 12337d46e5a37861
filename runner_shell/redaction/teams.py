"""Rules of a team's own: from a TOML file, or from packages by an entry point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Protocol

from ..errors import ConfigurationError
from ..tables import Table, read_tables
from .rule import Rule
from .validation import check

GROUP = "runner_shell.redaction_rules"
"""The entry-point group; each entry is a sequence of `Rule`."""

_LISTS = {"anchors", "examples", "counter_examples"}
_FLAGS = {"closed", "context"}
_FIELDS = {field.name for field in fields(Rule)}
_REQUIRED = {"name", "anchors", "then", "examples"}


class EntryPoint(Protocol):
    """What `importlib.metadata.entry_points` returns."""

    @property
    def name(self) -> str:
        """Its name."""

    def load(self) -> Any:
        """Import what it names."""


def rules_from_toml(text: str, origin: str) -> tuple[Rule, ...]:
    """The rules in a file: one table `[[rule]]` each, with the fields of `Rule`.

    Args:
        text: The file's content.
        origin: What messages call it.

    Raises:
        ConfigurationError: With every problem of every rule.
    """
    tables = read_tables(text, "rule", origin, "rule", _problems)
    rules = tuple(_rule(table, origin) for table in tables)
    check(rules)
    return rules


def rules_from_entry_points(points: Iterable[EntryPoint]) -> tuple[Rule, ...]:
    """The rules that installed packages bring.

    Args:
        points: The entry points of `GROUP`.

    Raises:
        ConfigurationError: One cannot be imported, or holds something else than valid rules.
    """
    rules: list[Rule] = []
    for point in points:
        try:
            found = tuple(point.load())
        except Exception as error:
            raise ConfigurationError(
                f"the redaction rules {point.name!r} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not all(isinstance(rule, Rule) for rule in found):
            raise ConfigurationError(
                f"the redaction rules {point.name!r} must be a sequence of "
                "runner_shell.redaction.Rule"
            )
        rules += found
    check(rules)
    return tuple(rules)


def _problems(table: Table) -> list[str]:
    unknown = sorted(table.keys() - _FIELDS)
    missing = sorted(_REQUIRED - table.keys())
    problems = [f"there is no field {name!r}" for name in unknown]
    problems += [f"the field {name!r} is missing" for name in missing]
    for name, value in table.items():
        if name in _LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                problems.append(f"{name!r} must be a list of texts")
        elif name in _FLAGS:
            if not isinstance(value, bool):
                problems.append(f"{name!r} must be true or false")
        elif name in _FIELDS and not isinstance(value, str):
            problems.append(f"{name!r} must be a text")
    return problems


def _rule(table: Table, origin: str) -> Rule:
    given: dict[str, Any] = {"vendor": "own", "source": origin, **table}
    given |= {name: tuple(given[name]) for name in _LISTS & given.keys()}
    return Rule(**given)
