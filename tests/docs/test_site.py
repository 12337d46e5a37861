"""The site: built strictly, found by its folders, with no link that leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.site import (  # noqa: E402
    api,
    command_line,
    docstring,
    drawing,
    links,
    navigation,
    source,
)
from runner_shell.link import diagram, states  # noqa: E402

BUILD_SECONDS = 300.0
"""Ends a hang; nothing is judged by it."""


def build(pages: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a site as `make docs` does."""
    strictly = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet")
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--builder", "html", *strictly),
            *("--conf-dir", ROOT / "docs" / "site", pages, out),
        ],
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A small tree of pages: two folders, one of them without a first page."""
    made = tmp_path / "pages"
    for name, text in {
        "README.md": "# Home\n\n[Second](b.md), [inner](inner/page.md)\n",
        "a.md": "# First by name\n",
        "b.md": "# Linked first\n",
        "inner/README.md": "# Inner\n",
        "inner/page.md": '# A page inside\n\n[there](#there)\n\n<a id="there"></a>\n\n## `T`\n',
        "loose/page.md": "# A page in a folder without a first page\n",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def test_contents_come_from_the_folders(pages: Path) -> None:
    """Linked pages and folders stand first, in that order; then the others by name."""
    found = navigation.contents(pages / "README.md")
    assert [str(page.relative_to(pages)) for page in found.linked] == ["b.md", "inner/README.md"]
    assert [str(page.relative_to(pages)) for page in found.others] == ["a.md", "loose/page.md"]


def test_a_new_page_is_found_in_the_navigation(pages: Path, tmp_path: Path) -> None:
    """A page that nobody links to is in every page's sidebar, and on its folder's first page."""
    (pages / "inner" / "zebra.md").write_text("# Zebra crossing\n")
    done = build(pages, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Zebra crossing" in (tmp_path / "out" / "a.html").read_text()
    first = (tmp_path / "out" / "inner" / "README.html").read_text()
    assert "Zebra crossing" in first.partition("<article")[2].partition("</article>")[0]
    assert list(links.problems(tmp_path / "out")) == []


def test_broken_links_fail_the_build(pages: Path, tmp_path: Path) -> None:
    """A link to a page or a heading that is not there is an error, and each one is named."""
    (pages / "a.md").write_text(
        "# A\n\n[page](nowhere.md) [heading](b.md#not-there) [below](#not-here)\n"
    )
    done = build(pages, tmp_path / "out")
    assert done.returncode != 0
    assert [
        name for name in ("nowhere.md", "not-there", "not-here") if name not in done.stderr
    ] == []


def test_what_leads_nowhere_in_a_site_is_found(tmp_path: Path) -> None:
    """Missing pages, missing places, and whatever a browser would fetch from another site."""
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="#here">1</a><a href="b.html#there">2</a>'
        '<a href="b.html#not">3</a><a href="c.html">4</a><a href="https://example.org">5</a>'
        '<script src="https://cdn.example.org/x.js"></script><link rel="next" href="b.html">'
    )
    (tmp_path / "b.html").write_text('<p id="there">B</p>')
    assert list(links.problems(tmp_path)) == [
        "a.html fetches https://cdn.example.org/x.js",
        "a.html links to b.html#not, which is not there",
        "a.html links to c.html, which is not there",
    ]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    """Nothing to check is said, and is no success."""
    assert links.main([str(tmp_path)]) == 2


@pytest.mark.parametrize("made", [api, command_line], ids=["api", "command_line"])
def test_drift_is_found(made: object, tmp_path: Path) -> None:
    """`--check` fails once a page is not what the code says."""
    assert made.main([str(tmp_path)]) == 0  # type: ignore[attr-defined]
    assert made.main(["--check", str(tmp_path)]) == 0  # type: ignore[attr-defined]
    page = next(tmp_path.iterdir())
    page.write_text(page.read_text() + "more\n")
    assert made.main(["--check", str(tmp_path)]) == 1  # type: ignore[attr-defined]


def test_every_public_name_is_in_the_reference() -> None:
    """Whatever can be imported from `runner_shell` has its place on a page."""
    import runner_shell

    pages = api.files()
    places = pages[api.API_FILE] + pages[api.ERRORS_FILE]
    headings = set(re.findall(r"^##+ `(?:runner_shell\.)?(\w+)`$", places, re.MULTILINE))
    assert set(runner_shell.__all__) - headings == set()


def test_every_command_and_option_is_in_the_reference() -> None:
    """The page names every command with every option that its `--help` names."""
    page = command_line.page()
    for command in ("run", "serve", "events", "adapters"):
        assert f"## `runner-shell {command}`" in page
    assert "| `--prompt <str>` | The first message. [PROMPT] |" in page


def test_docstrings_become_lists() -> None:
    """Sections become lists, continued lines are joined, everything else stays."""
    text = """Do it.

    More.

    Args:
        a: One
            two.
        b: Three.

    Returns:
        A thing.
    """
    assert docstring.markdown(text) == (
        "Do it.\n\nMore.\n\n*Arguments:*\n\n* `a` — One two.\n* `b` — Three.\n\n*Returns:* A thing."
    )


def test_overloads_are_all_shown() -> None:
    """A method with overloads shows each of them, and its implementation's docstring once."""
    from runner_shell.adapter import session

    shown = "\n".join(source.entry(source.definition(session, "Session"), 3))
    assert shown.count("async def ask(") == 2
    assert shown.count("Ask a person and wait for the answer.") == 1


# --- diagrams ------------------------------------------------------------------------------------

TABLES = [
    (states.RunnerState, states.RUNNER_TABLE),
    (states.GatewayState, states.GATEWAY_TABLE),
]


@pytest.mark.parametrize(("names", "table"), TABLES)
def test_a_diagram_is_read_as_it_was_written(names: Any, table: Any) -> None:
    """Every state and every transition of the link's tables, and nothing else."""
    read = drawing.read(diagram.diagram(names, table))
    assert read is not None
    assert read.names == {state.name: state.value for state in names}
    assert read.edges == [
        (state.name, after.name, trigger.value) for (state, trigger), after in table.items()
    ]


@pytest.mark.parametrize(("names", "table"), TABLES)
def test_a_drawing_shows_every_state_and_cause(names: Any, table: Any) -> None:
    """It is well-formed, has an arrow for each transition, and no box lies upon another."""
    read = drawing.read(diagram.diagram(names, table))
    assert read is not None
    drawn = ElementTree.fromstring(drawing.svg(read))  # noqa: S314 — made here
    svg = "{http://www.w3.org/2000/svg}"
    said = {text.text for text in drawn.iter(f"{svg}text")}
    assert {state.value for state in names} | {why for _, _, why in read.edges} == said
    arrows = [path for path in drawn.iter(f"{svg}path") if path.get("marker-end")]
    assert len(arrows) == len(table)
    boxes = [
        [float(box.get(name, "")) for name in ("x", "y", "width")]
        for box in drawn.iter(f"{svg}rect")
    ]
    width = float(drawn.get("viewBox", "").split()[2])
    for x, y, wide in boxes:
        assert 0 <= x <= x + wide <= width
        others = [left for left, top, _ in boxes if top == y and left > x]
        assert all(x + wide < left for left in others)


def test_what_is_no_state_diagram_is_left_as_it_is() -> None:
    """Another kind of diagram shows its lines; a line that is none of ours is told."""
    assert drawing.read("flowchart LR\n a --> b") is None
    with pytest.raises(ValueError, match="no line of a state diagram"):
        drawing.read("stateDiagram-v2\n note left of A")


def test_the_site_shows_pictures(tmp_path: Path) -> None:
    """The page of the link's states has drawings and none of their lines."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "README.md").write_text(f"# Home\n\n```mermaid\n{diagram.diagram(*TABLES[0])}\n```\n")
    done = build(pages, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "out" / "README.html").read_text()
    assert 'aria-label="States: away, greeting' in page
    assert "stateDiagram" not in page
