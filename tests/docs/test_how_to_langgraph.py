"""The pages on LangGraph are true: their graphs run, and do what the text around them says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from runner_shell_langgraph import LangGraphAdapter
from runner_shell_langgraph.settings import LangGraphSettings

from runner_shell.adapter.settings import variables
from runner_shell.testing.hosting import HostedSession, host

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
FILE = re.compile(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Run = Callable[..., AbstractAsyncContextManager[HostedSession]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the graph that a page shows, from the file that it names."""

    @asynccontextmanager
    async def start(page: str, prompt: str, **more: Any) -> AsyncIterator[HostedSession]:
        [(name, code)] = FILE.findall((PAGES / page).read_text())
        (tmp_path / name).write_text(code)
        environment = {"GRAPH": f"{tmp_path / name}:graph", **more.pop("environment", {})}
        async with host(LangGraphAdapter, prompt=prompt, environment=environment, **more) as hosted:
            yield hosted

    return start


async def test_the_first_graph(run: Run) -> None:
    """The first page's graph says what it is scripted to say."""
    async with run("run-a-langgraph-graph.md", "hello") as session:
        assert (await session.end()).outcome == "completed"
        assert session.text() == "Hello from the graph."


async def test_the_first_graph_by_its_manifest(run: Run, tmp_path: Path) -> None:
    """The `langgraph.json` that the page shows names that graph; its `.env` may be there."""
    page = (PAGES / "run-a-langgraph-graph.md").read_text()
    [manifest] = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "langgraph.json").write_text(manifest)
    (tmp_path / ".env").write_text("")
    by = {"GRAPH": str(tmp_path / "langgraph.json"), "WORKFLOW_ID": "support"}
    async with run("run-a-langgraph-graph.md", "hello", environment=by) as session:
        assert (await session.end()).outcome == "completed"


async def test_a_question(run: Run) -> None:
    """The question has what the value says; another answer than its options is refused."""
    async with run("langgraph-questions.md", "the site") as session:
        opened = await session.wait_for("request.opened")
        assert opened["title"] == "Where does the site go?"
        assert (opened["options"], opened["default"]) == (["staging", "production"], "staging")
        await session.send("request.answer", request=opened["id"], answer="the moon")
        refused = await session.wait_for("command.failed")
        assert refused["code"] == "invalid"
        await session.send("request.answer", request=opened["id"], answer="production")
        assert (await session.end()).outcome == "completed"
        assert session.of_type("state.patch", "state.snapshot")
        assert "production" in str(session.of_type("state.patch", "state.snapshot")[-1])


async def test_steps_and_time_travel(run: Run) -> None:
    """The history has a checkpoint between the page's nodes, and a fork runs on from there."""
    async with run("langgraph-checkpoints.md", "go", interactive=True) as session:
        await session.wait_for("turn.finished", outcome="completed")
        saved = await session.wait_for("checkpoint.saved", next=["report"])
        await session.send("state.fork", checkpoint=saved["id"], run=True)
        await session.wait_for("turn.finished", count=2, outcome="completed")
        names = [event["name"] for event in session.of_type("step.started")]
        assert names == ["fetch", "report", "report"]
        await session.send("adapter.call", method="langgraph.history", params={"limit": 100})
        told = await session.wait_for("command.done", count=2)
        assert isinstance(told["result"], list)
        assert ["report"] in [one["next"] for one in told["result"]]


async def test_events_of_its_own(run: Run) -> None:
    """Progress and custom events cross, within the step of their node."""
    async with run("langgraph-events.md", "wheel") as session:
        assert (await session.end()).outcome == "completed"
        [step] = session.of_type("step.started")
        [said] = session.of_type("step.progress")
        assert (said["id"], said["text"], said["fraction"]) == (step["id"], "compiling", 0.5)
        [built] = [one for one in session.of_type("custom") if one["name"] == "acme.built"]
        assert built["data"] == {"target": "wheel"}


def test_its_variables_are_its_settings() -> None:
    """The page's table names the adapter's variables, all and no others."""
    page = (PAGES / "run-a-langgraph-graph.md").read_text()
    table = page.partition("## Every variable")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    read = [name for names in variables(LangGraphSettings).values() for name in names]
    assert sorted(rows) == sorted(read)
