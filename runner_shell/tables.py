"""Lists that people write in TOML: a table `[[kind]]` for each entry, and all mistakes told."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from .errors import ConfigurationError

Table = dict[str, Any]


def read_tables(
    text: str, kind: str, origin: str, called: str, problems: Callable[[Table], Iterable[str]]
) -> list[Table]:
    """The tables of one kind; each has been checked.

    Args:
        text: The file's content.
        kind: The name between the brackets.
        origin: What messages call the file.
        called: What messages call an entry.
        problems: What is wrong with one.

    Raises:
        ConfigurationError: With every problem of every entry.
    """
    try:
        tables = tomllib.loads(text).get(kind, [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{origin} is no TOML: {error}") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{origin}: write each {called} as a table [[{kind}]]")
    found = [
        f"{origin}, {called} {number}: {problem}"
        for number, table in enumerate(tables, 1)
        for problem in problems(table)
    ]
    if found:
        raise ConfigurationError(*found)
    return tables
