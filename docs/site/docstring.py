"""Docstrings as Markdown: paragraphs stay, a section such as `Args:` becomes a list."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Source):[ ]*(.*)$", re.MULTILINE)
_ITEM = re.compile(r"^(?P<name>\*{0,2}[\w.]+): (?P<text>.+?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_SHOWN = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Raises": "Raises",
    "Returns": "Returns",
    "Yields": "Yields",
    "Source": "Source",
}


def markdown(text: str) -> str:
    """The docstring as Markdown, without its indentation."""
    text = inspect.cleandoc(text)
    cut = [*_SECTION.finditer(text)]
    ends = [*(found.start() for found in cut), len(text)]
    parts = [text[: ends[0]]]
    for found, end in zip(cut, ends[1:], strict=True):
        body = f"{found[2]}\n{text[found.end() : end]}"
        parts.append("\n".join(_section(found[1], body)))
    return "\n\n".join(part.strip() for part in parts if part.strip())


def summary(text: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def _section(name: str, body: str) -> Iterator[str]:
    body = inspect.cleandoc(body)
    items = [*_ITEM.finditer(body)]
    if not items:
        yield f"*{_SHOWN[name]}:* {' '.join(body.split())}"
        return
    yield f"*{_SHOWN[name]}:*\n"
    for item in items:
        yield f"* `{item['name']}` — {' '.join(item['text'].split())}"
