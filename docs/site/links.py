"""Checks a built site: every link leads somewhere, and nothing of another site is fetched.

`python -m docs.site.links FOLDER`. Links to other sites are not followed, so that the check needs
no network; scripts, styles, fonts and pictures of other sites are refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
_NOT_FETCHED = {"canonical", "next", "prev", "index", "search", "author"}


class Page(HTMLParser):
    """What a page links to, fetches and can be linked to.

    Attributes:
        links: The targets of its links.
        fetched: What a browser loads by itself to show it.
        anchors: The ids of its elements.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.anchors: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element says."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        attribute = _FETCHED.get(tag, "")
        if attribute in found and found.get("rel", "") not in _NOT_FETCHED:
            self.fetched.add(found[attribute])


def problems(folder: Path) -> Iterator[str]:
    """A sentence for each link that leads nowhere and each thing that is fetched from elsewhere."""
    root = folder.resolve()
    pages = {file: Page(file.read_text()) for file in sorted(root.rglob("*.html"))}
    for file, page in pages.items():
        shown = file.relative_to(root)
        for target in sorted(page.fetched):
            if urlsplit(target).netloc:
                yield f"{shown} fetches {target}"
        for target in sorted(page.links | page.fetched):
            if not _leads_somewhere(file, target, pages):
                yield f"{shown} links to {target}, which is not there"


def _leads_somewhere(file: Path, target: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return True
    aim = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if aim in pages:
        return unquote(parts.fragment) in pages[aim].anchors
    return aim.is_file()


def main(arguments: Sequence[str]) -> int:
    """Check the folder; returns the exit code."""
    if len(arguments) != 1 or not list(Path(arguments[0]).rglob("*.html")):
        print("usage: python -m docs.site.links FOLDER, where FOLDER has a site", file=sys.stderr)
        return 2
    found = list(problems(Path(arguments[0])))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
