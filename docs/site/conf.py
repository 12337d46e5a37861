"""How Sphinx builds the site: `make docs`.

The pages are plain Markdown that reads as well without a site. Nothing here names a page: see
`navigation`. Nothing is fetched while building or reading; fonts are the reader's own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.site import drawing, navigation  # noqa: E402 — the path above must come first
from runner_shell import __version__  # noqa: E402

project = "runner-shell"
author = "the authors of runner-shell"
release = version = __version__
html_title = f"runner-shell {release}"

root_doc = "README"
source_suffix = {".md": "markdown"}
extensions = ["myst_parser"]
exclude_patterns = ["site"]

myst_heading_anchors = 4
myst_enable_extensions = ["smartquotes"]
nitpicky = True

html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Join the navigation, and a front door to the home page."""
    app.add_lexer("mermaid", TextLexer)  # a diagram that `drawing` does not know shows its lines
    app.connect("source-read", _draw)
    app.connect("source-read", _name_places)
    app.connect("source-read", navigation.add_contents)
    app.connect("build-finished", _front_door)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _draw(app: Sphinx, docname: str, source: list[str]) -> None:
    """A diagram becomes a picture: the script by which forges draw it would have to be fetched."""

    def drawn(block: re.Match[str]) -> str:
        diagram = drawing.read(block[1])
        return block[0] if diagram is None else f"```{{raw}} html\n{drawing.svg(diagram)}\n```"

    source[0] = re.sub(r"^```mermaid\n(.*?)^```$", drawn, source[0], flags=re.DOTALL | re.MULTILINE)


def _name_places(app: Sphinx, docname: str, source: list[str]) -> None:
    """A place that a page names in HTML, as forges know it, becomes one that links may lead to."""
    source[0] = re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", source[0], flags=re.MULTILINE)


def _front_door(app: Sphinx, exception: Exception | None) -> None:
    """The home page has the name that a reader of the sources expects; servers expect another."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(
            f"<!doctype html><title>{html_title}</title>"
            f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
            f'<a href="{root_doc}.html">{html_title}</a>\n'
        )
