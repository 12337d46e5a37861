"""What a regular expression tells of the texts it describes: one of them, and how they begin."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

_PARSER: Any = import_module("re._parser")
_LETTERS = "q7Wz3eRt9YxU1iOpA5sDf2GhJ8kLm4ZcV6bNn0TyQ"
NEARBY = 3
"""So many characters of any kind between a name and a value, or more, are a gap."""
MOST_BEGINNINGS = 8


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
        case "ANY":
            return "."
        case "NOT_LITERAL":
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


def value_of(pattern: str) -> Any:
    """The part of an expression that describes the value.

    It is the first group where that comes first, or where a gap of any characters lies before it,
    as in a rule that goes by a name nearby; otherwise it is everything.
    """
    parts = list(_flat(_PARSER.parse(pattern.replace("(?-i:", "(?:"))))
    for place, (kind, value) in enumerate(parts):
        if str(kind) == "SUBPATTERN":
            before = parts[:place]
            by_name = any(map(_is_gap, before))
            return value[-1] if by_name or not any(map(_is_literal, before)) else parts
    return parts


def beginnings(parts: Any) -> list[str]:
    """The fixed texts that a value can begin with; one empty text where there are none."""
    begun = [""]
    for kind, value in _flat(parts):
        further, goes_on = _fixed(str(kind), value)
        begun = [text + more for text in begun for more in further][:MOST_BEGINNINGS]
        if not goes_on:
            break
    return begun


def _flat(parts: Any) -> Iterator[tuple[Any, Any]]:
    """The parts without the groups that capture nothing."""
    for kind, value in parts:
        if str(kind) == "SUBPATTERN" and value[0] is None:
            yield from _flat(value[-1])
        else:
            yield kind, value


def _is_gap(part: tuple[Any, Any]) -> bool:
    return "REPEAT" in str(part[0]) and part[1][0] == 0 and int(part[1][1]) >= NEARBY


def _is_literal(part: tuple[Any, Any]) -> bool:
    return str(part[0]) == "LITERAL"


def _fixed(kind: str, value: Any) -> tuple[list[str], bool]:
    """The fixed texts of one part, and whether they go on with the next part's."""
    match kind:
        case "LITERAL":
            return [chr(value)], True
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return [""], True
        case "IN" if len(value) <= MOST_BEGINNINGS and all(map(_is_literal, value)):
            return [chr(char) for _, char in value], True
        case "SUBPATTERN":
            return beginnings(value[-1]), _goes_on(value[-1])
        case "BRANCH":
            ways = [text for way in value[1] for text in beginnings(way)]
            return ways, all(map(_goes_on, value[1]))
        case "MAX_REPEAT" if value[0] == value[1] and all(once := beginnings(value[2])):
            return [text * int(value[0]) for text in once], False
        case _:
            return [""], False


def _goes_on(parts: Any) -> bool:
    return all(_fixed(str(kind), value)[1] for kind, value in _flat(parts))
