"""The navigation, made from the folders: a new page appears in it without any list being edited.

A folder's `README.md` is its first page. Below it stand the pages and folders that it links to, in
that order, then the others by name. A folder without a `README.md` gives its pages to the folder
around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sphinx.application import Sphinx

FIRST = "README.md"
_LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


class Contents(NamedTuple):
    """The pages that stand directly below a folder's first page.

    Attributes:
        linked: Those to which the first page leads, in its order.
        others: The rest, by name.
    """

    linked: list[Path]
    others: list[Path]


def contents(first: Path) -> Contents:
    """What stands below the `README.md` of a folder."""
    links = [(first.parent / link).resolve() for link in _LINK.findall(first.read_text())]
    place: dict[Path, int] = {}
    for page in sorted(_below(first.parent)):
        place[page] = next(
            (at for at, link in enumerate(links) if _stands_for(page, link)), len(links)
        )
    pages = sorted(place, key=lambda page: place[page])
    cut = sum(at < len(links) for at in place.values())
    return Contents(pages[:cut], pages[cut:])


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
    """Append the contents to a folder's first page, where the sidebar finds them.

    What the page does not lead to by itself is also shown at its end.
    """
    page = Path(app.srcdir) / f"{docname}.md"
    if page.name != FIRST:
        return
    found = contents(page)
    for pages, options in ((found.linked, ":hidden:"), (found.others, ":maxdepth: 1")):
        if pages:
            names = [f"/{one.relative_to(app.srcdir).with_suffix('')}" for one in pages]
            source[0] += "\n".join(["", "", "```{toctree}", options, "", *names, "```", ""])
