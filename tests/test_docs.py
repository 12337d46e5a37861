"""What the documents say of the tree is true: links lead somewhere, named tests exist."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner_shell.testing.hosting import host

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "adapters").glob("*/*.md"),
        *(ROOT / "images").rglob("*.md"),
    )
)
PACKAGES = sorted(path.parent for path in ROOT.glob("runner_shell/*/**/__init__.py"))
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`((?:tests|adapters)/[\w/.-]+\.py)::(\w+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link in a document names a file that is there."""
    targets = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in targets if not (document.parent / link).exists()] == []


def test_every_promise_names_tests() -> None:
    """Every promise in the README names tests, one at least."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("## What holds today")[2].partition("\n## ")[0]
    promises = section.split("\n- ")[1:]
    assert len(promises) > 10
    assert [promise for promise in promises if not TEST.search(promise)] == []


def test_every_test_that_a_page_names_exists() -> None:
    """A page that says what shows it can be believed; records speak of their own day."""
    pages = [page for page in DOCUMENTS if page.parent.name != "decisions"]
    named = {(page, *test) for page in pages for test in TEST.findall(page.read_text())}
    assert [one for one in named if one[2] not in _tests_in(ROOT / one[1])] == []


@pytest.mark.parametrize("folder", ["how-to", "explanation", "decisions", "reference", "tutorials"])
def test_a_folder_s_first_page_lists_its_pages(folder: str) -> None:
    """Each once: what it does not list is found by nobody who reads the sources."""
    pages = {page.name for page in (ROOT / "docs" / folder).glob("*.md")} - {"README.md"}
    listed = re.findall(r"\]\(([\w.-]+\.md)", (ROOT / "docs" / folder / "README.md").read_text())
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("page", "section", "promise"),
    [("delivery", "The promises", "\n\n**"), ("redaction", "How sure this is", "\n* **")],
)
def test_every_promise_of_a_page_names_tests(page: str, section: str, promise: str) -> None:
    """Every promise of these pages names tests, one at least."""
    text = (ROOT / f"docs/explanation/{page}.md").read_text()
    said = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    promises = said.split(promise)[1:]
    assert len(promises) > 5
    assert [one for one in promises if not TEST.search(one)] == []


def test_the_readme_s_make_targets_exist() -> None:
    """Every `make` target that the README names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert {target for target in named if f"\n{target}:" not in makefile} == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_s_docstring_names_its_rooms(package: Path) -> None:
    """Who opens a folder is told what each file and folder in it is for."""
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    files = (path.stem for path in package.glob("*.py"))
    folders = (path.parent.name for path in package.glob("*/__init__.py"))
    rooms = {name for name in (*files, *folders) if not name.startswith("__")}
    assert {room for room in rooms if f"`{room}`" not in said} == set()


def test_the_project_speaks_of_itself_alone() -> None:
    """No tracked file holds a path of one machine."""
    listed = subprocess.run(
        ["git", "grep", "-lIE", r"(^|[^A-Za-z0-9_.-])/(work|root|farm)/", "--", ".", ":!*.lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == "" or listed.stdout.split() == ["tests/test_docs.py"]


def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


async def test_the_readme_s_adapter_works() -> None:
    """The adapter in the README runs as it stands there."""
    code = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 — our own document
    async with host(names["Shout"], prompt="hello") as session:
        assert (await session.end()).outcome == "completed"
        assert session.text() == "HELLO"
