"""The demo graph's numbers, checked against git itself, on repositories of every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from runner_shell import AgentFailed, events

FILE = Path(__file__).parents[2] / "docs/examples/repo_report/graph.py"


def _load() -> Any:
    spec = spec_from_file_location("repo_report_graph", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # type hints look their module up here
    spec.loader.exec_module(module)
    return module


example = _load()


class Repository:
    """A small git repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.path, check=True, capture_output=True
        )
        return done.stdout.decode(errors="replace")

    def write(self, name: str | bytes, content: str | bytes) -> None:
        path = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str = "Change") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def report(self) -> str:
        return (self.path / "REPORT.md").read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


async def run(workspace: Path, answer: Any = "Hot spots") -> list[Any]:
    """Run the graph to its end; returns what its nodes emitted."""
    graph = example.graph.copy(update={"checkpointer": InMemorySaver()})
    config = {"configurable": {"thread_id": "1", "workspace": str(workspace)}}
    emitted: list[Any] = []
    for given in ({"prompt": "go"}, Command(resume=answer)):
        emitted += [part async for part in graph.astream(given, config, stream_mode="custom")]
    return emitted


async def test_the_numbers_are_gits(repository: Repository) -> None:
    """Commits, files, changes and TODOs are those that git and grep count."""
    for number in range(5):
        repository.write("src/hot.py", f"x = {number}\n# TODO: mend\n")
        if number % 2:
            repository.write(f"docs/{number}.md", "text\n")
        repository.commit()
    emitted = await run(repository.path)

    report = repository.report()
    assert f"Commits: {repository.git('rev-list', '--count', 'HEAD').strip()}" in report
    assert f"Tracked files: {len(repository.git('ls-files').splitlines())}" in report
    changes = len(repository.git("log", "--format=%H", "--", "src/hot.py").splitlines())
    assert f"| `src/hot.py` | {changes} |" in report
    assert "| `src` | 1 | 2 | 5 | `.py` 1 |" in report
    assert "| `docs` | 2 | 2 | 2 | `.md` 2 |" in report
    todos = repository.git("grep", "-cE", "TODO|FIXME", "--", "src").strip().rpartition(":")[2]
    assert f"Found: {todos}" in report
    assert "`src/hot.py`, line 2" in report
    [artifact] = [event for event in emitted if isinstance(event, events.ArtifactCreated)]
    assert (artifact.path, artifact.bytes) == ("REPORT.md", len(report.encode()))


@pytest.mark.parametrize("answer", ["Open TODOs", "something else", None])
async def test_the_answer_orders_the_sections(repository: Repository, answer: str | None) -> None:
    """The chosen section comes first; an answer that is none of them counts as the default."""
    repository.write("a", "b\n")
    repository.commit()
    await run(repository.path, answer or {"none": "of them"})
    titles = [line for line in repository.report().splitlines() if line.startswith("## ")]
    assert titles[0] == (f"## {answer}" if answer in example.SECTIONS else "## Hot spots")
    assert len(titles) == 3


async def test_an_empty_repository(repository: Repository) -> None:
    """A repository without commits gets a short report."""
    await run(repository.path)
    assert "No commits yet" in repository.report()


async def test_a_shallow_clone(repository: Repository, tmp_path: Path) -> None:
    """A shallow clone is said to be one."""
    for number in range(3):
        repository.write("a", str(number))
        repository.commit()
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(clone))
    await run(clone)
    assert "Commits: 1 (shallow clone)" in (clone / "REPORT.md").read_text()


async def test_awkward_files(repository: Repository) -> None:
    """Binary files, names that are not UTF-8, and names that are Markdown do no harm."""
    repository.write("image.png", b"\x89PNG\0TODO\n" * 100)
    repository.write(b"caf\xe9/men\xfc.txt", "TODO: eat\n")
    repository.write("a|b`c\nd.txt", "text\n")
    repository.commit()
    await run(repository.path)
    report = repository.report()
    assert "Found: 1" in report
    assert "`caf\N{REPLACEMENT CHARACTER}/men\N{REPLACEMENT CHARACTER}.txt`, line 1" in report
    assert "`a¦bˋc\N{REPLACEMENT CHARACTER}d.txt`" in report


async def test_thousands_of_files(repository: Repository) -> None:
    """Thousands of files are all counted, and the report stays short."""
    for number in range(3_000):
        repository.write(f"many/{number}.txt", "TODO\n")
    repository.commit()
    await run(repository.path)
    report = repository.report()
    assert "Tracked files: 3000" in report
    assert f"Found: {example.MAX_FILES_READ}" in report
    assert len(report) < 5_000


async def test_not_a_repository(tmp_path: Path) -> None:
    """A plain directory fails clearly, even within a repository."""
    Repository(tmp_path / "outer")
    inner = tmp_path / "outer" / "inner"
    inner.mkdir()
    with pytest.raises(AgentFailed, match="not a git repository") as failed:
        await run(inner)
    assert failed.value.code == "not_a_repository"


async def test_a_hostile_repository_runs_nothing(repository: Repository, tmp_path: Path) -> None:
    """Neither hooks nor configured commands run, and no link is followed, to read or to write."""
    mark, outside = tmp_path / "mark", tmp_path / "outside"
    outside.write_text("TODO: a secret\n")
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch {mark}\n")
    command.chmod(0o755)
    repository.write("a.txt", "text\n")
    repository.write(".gitattributes", "* diff=evil filter=evil\n")
    (repository.path / "link.txt").symlink_to(outside)
    (repository.path / "REPORT.md").symlink_to(outside)
    repository.commit()
    settings = ("core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command")
    for name in (*settings, "gpg.program", "core.pager", "filter.evil.clean", "core.sshCommand"):
        repository.git("config", name, str(command))
    repository.git("config", "log.showSignature", "true")

    mark.unlink(missing_ok=True)  # git itself may have run one while this test set it up
    await run(repository.path)
    assert not mark.exists()
    assert "Found: 0" in repository.report()
    assert outside.read_text() == "TODO: a secret\n"
    assert not (repository.path / "REPORT.md").is_symlink()
