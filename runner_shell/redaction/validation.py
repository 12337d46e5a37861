"""Whether a rule is one: well-formed, bounded, prefix-decidable, and true to its examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import get_args

from ..errors import ConfigurationError
from .reach import NAMELESS, placeholder
from .rule import MAX_HEAD, Evidence, Hit, Open, Rule

SHORTEST_ANCHOR = 2
_KINDS = "aZ0_-./ "
_REDACTED = placeholder(NAMELESS) * (MAX_HEAD // len(placeholder(NAMELESS)))
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check(rules: Iterable[Rule]) -> None:
    """Refuse rules that would leak, hold without bound, or depend on how a text is cut.

    Raises:
        ConfigurationError: With every problem of every rule.
    """
    problems: list[str] = []
    names: set[str] = set()
    for rule in rules:
        problems += [f"redaction rule {rule.name!r}: {problem}" for problem in problems_of(rule)]
        if rule.name in names:
            problems.append(f"redaction rule {rule.name!r}: another one has the same name")
        names.add(rule.name)
    if problems:
        raise ConfigurationError(*problems)


def problems_of(rule: Rule) -> list[str]:
    """What is wrong with one rule; empty where nothing is."""
    return _form(rule) or _behaviour(rule)


def _form(rule: Rule) -> list[str]:
    problems = []
    if not _NAME.fullmatch(rule.name):
        problems.append("name it in lower case, with hyphens between words")
    if not rule.anchors:
        problems.append("it needs an anchor: the fixed text that every match begins with")
    if any(len(anchor) < SHORTEST_ANCHOR for anchor in rule.anchors):
        problems.append(f"an anchor needs at least {SHORTEST_ANCHOR} characters")
    if not rule.examples:
        problems.append("it needs an example of what it finds")
    if rule.evidence not in get_args(Evidence):
        problems.append(f"`evidence` is one of {', '.join(get_args(Evidence))}")
    problems += _expression("then", rule.then)
    if rule.run:
        problems += _expression("run", rule.run)
    if rule.before:
        problems += _expression("before", f"[{rule.before}]")
    if not problems:
        problems += _widths(rule)
    return problems


def _expression(field: str, pattern: str) -> list[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        return [f"`{field}` is no regular expression: {error}"]
    return []


def _widths(rule: Rule) -> list[str]:
    problems = []
    if width(rule.then)[1] > MAX_HEAD:
        problems.append(
            f"`then` must be decided within {MAX_HEAD} characters: write `{{20}}` instead of "
            "`{20,}`, and what follows into `run`"
        )
    if rule.run and width(rule.run) != (1, 1):
        problems.append("`run` must describe exactly one character, such as `[A-Za-z0-9]`")
    return problems


def width(pattern: str) -> tuple[int, int]:
    """The fewest and most characters that an expression matches."""
    low, high = import_module("re._parser").parse(pattern).getwidth()
    return int(low), int(high)


def _behaviour(rule: Rule) -> list[str]:
    problems = []
    for example in rule.examples:
        if not matches(rule, example):
            problems.append(f"it does not find its example {example[:24]!r}…")
        elif not all(is_prefix_decidable(rule, text) for text in _followed(rule, example)):
            problems.append(
                f"how much of its example {example[:24]!r}… is a match changes with what follows"
            )
        elif takes_in_a_placeholder(rule, example):
            problems.append("it takes in what was redacted: write `[^\\s\\[]` instead of `\\S`")
    for text in rule.counter_examples:
        if matches(rule, text):
            problems.append(f"it finds its counter-example {text!r}")
    return problems


def matches(rule: Rule, text: str) -> list[Hit]:
    """Every match of one rule in a text."""
    found = []
    for anchor in rule.anchors:
        start = text.find(anchor)
        while start >= 0:
            hit = rule.match(text, start, start + len(anchor), fresh=False, final=True)
            if isinstance(hit, Hit):
                found.append(hit)
            start = text.find(anchor, start + 1)
    return found


def _followed(rule: Rule, example: str) -> Iterator[str]:
    """An example as it is, and with a character of each kind right behind what is found in it."""
    yield example
    for hit in matches(rule, example):
        yield from (example[: hit.end] + character for character in _KINDS)


def takes_in_a_placeholder(rule: Rule, example: str) -> bool:
    """Whether a match goes on into a placeholder: to redact twice would change something."""
    return any(
        found.end > end
        for hit in matches(rule, example)
        for end in range(hit.start, hit.end + 1)
        for found in matches(rule, example[:end] + _REDACTED)
    )


def is_prefix_decidable(rule: Rule, text: str) -> bool:
    """Whether what the rule says of each beginning of a text holds for all of it."""
    for anchor in rule.anchors:
        start = text.find(anchor)
        while start >= 0:
            if not _is_stable(rule, text, start, start + len(anchor)):
                return False
            start = text.find(anchor, start + 1)
    return True


def _is_stable(rule: Rule, text: str, start: int, behind: int) -> bool:
    whole = rule.match(text, start, behind, fresh=False, final=False)
    for length in range(behind, len(text)):
        part = rule.match(text[:length], start, behind, fresh=False, final=False)
        if isinstance(part, Open):
            continue
        if not isinstance(part, Hit):
            return whole is None
        if not isinstance(whole, Hit | Open) or (
            isinstance(whole, Hit) and not _agrees(part, whole, length)
        ):
            return False
    return True


def _agrees(part: Hit, whole: Hit, length: int) -> bool:
    if part.running:
        return part.start == whole.start and whole.end >= length
    return (part.start, part.end) == (whole.start, whole.end)
