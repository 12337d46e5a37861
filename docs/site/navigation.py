"""The navigation, made from the folders: a new page appears in it without any list being edited.

A folder's `README.md` is its first page. Below it stand the pages and folders that it links to, in
that order, then the others by name. A folder without a `README.md` gives its pages to the folder
around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

FIRST = "README.md"
_LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


def contents(first: Path) -> list[Path]:
    """The pages that stand directly below a folder's first page.

    Args:
        first: The folder's `README.md`.
    """
    linked = [(first.parent / link).resolve() for link in _LINK.findall(first.read_text())]

    def place(page: Path) -> int:
        links = (at for at, link in enumerate(linked) if _stands_for(page, link))
        return next(links, len(linked))

    return sorted(sorted(_below(first.parent)), key=place)


def _stands_for(page: Path, link: Path) -> bool:
    # A folder stands where the first of its pages is linked.
    return link == page or (page.name == FIRST and link.is_relative_to(page.parent))


def _below(folder: Path) -> Iterator[Path]:
    yield from (page.resolve() for page in folder.glob("*.md") if page.name != FIRST)
    for inner in folder.iterdir():
        if (inner / FIRST).is_file():
            yield (inner / FIRST).resolve()
        elif inner.is_dir():
            yield from _below(inner)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the contents to a folder's first page, where the sidebar finds them."""
    page = Path(app.srcdir) / f"{docname}.md"
    if page.name != FIRST:
        return
    lines = [f"/{below.relative_to(app.srcdir).with_suffix('')}" for below in contents(page)]
    if lines:
        source[0] += "\n".join(["", "", "```{toctree}", ":hidden:", "", *lines, "```", ""])
