"""What whoever runs graphs counts on: deadlines, tracing, and secrets that stay inside."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_gateway import FakeGateway, running
from langgraph.graph import START, StateGraph
from real_processes import Launcher, free_port
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import Source
from typing_extensions import TypedDict

SECRET = "sesame-9d2e-71f0"


class Text(TypedDict, total=False):
    """One text."""

    prompt: str


# --- deadlines -------------------------------------------------------------------------------


async def keep_alive(gateway: FakeGateway) -> None:
    """Let the gateway be heard, or the runner takes it for gone."""
    while True:
        await gateway.send("heartbeat")
        await asyncio.sleep(0.05)


async def test_a_deadline_ends_a_graph_that_blocks() -> None:
    """A node that never returns costs no heartbeat; the time is up on time, with 124."""
    gateway = FakeGateway(heartbeat_seconds=0.3)
    release = threading.Event()

    def block(state: Text) -> None:
        release.wait()

    def make() -> LangGraphAdapter:
        builder = StateGraph(Text)
        builder.add_node(block)
        builder.add_edge(START, "block")
        adapter = LangGraphAdapter(LangGraphSettings(langgraph_drain_seconds=0.1))
        adapter._source = Source(builder.compile(), "test:graph")
        return adapter

    def beats() -> int:
        return sum(frame["frame"] == "heartbeat" for frame in gateway.frames)

    try:
        async with running(gateway, "go", make=make, timeout_seconds=4.0) as run:
            await gateway.wait_for("step.started")
            keeping = asyncio.ensure_future(keep_alive(gateway))
            before = beats()
            await gateway.until(lambda: beats() >= before + 2)
            verdict = await run.end()
            keeping.cancel()
        assert not release.is_set(), "it ended with the node still at work"
    finally:
        release.set()
    assert (verdict.outcome, verdict.exit_code) == ("timed_out", 124)
    [turn] = [event for event in gateway.events if event["type"] == "turn.finished"]
    assert turn["outcome"] == "timed_out"
    [warning] = [event for event in gateway.events if event["type"] == "warning"]
    assert (warning["code"], "'block'" in warning["message"]) == ("node_not_cancelled", True)


# --- LangSmith -------------------------------------------------------------------------------


class LangSmith(ThreadingHTTPServer):
    """What takes traces.

    Attributes:
        traced: The runs that were told, by their ids.
        keys: The keys that came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.traced: dict[str, dict[str, Any]] = {}
        self.keys: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: LangSmith

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Say that traces are taken as plain JSON."""
        batches = {"size_limit": 100, "size_limit_bytes": 20_000_000}
        threads = {"scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000}
        self._say({"batch_ingest_config": {"use_multipart_endpoint": False, **batches, **threads}})

    def do_POST(self) -> None:
        """Take in a batch of runs."""
        self.server.keys.add(self.headers["x-api-key"])
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for one in (*told.get("post", ()), *told.get("patch", ())):
            self.server.traced.setdefault(one["id"], {}).update(one)
        self._say({})

    def _say(self, content: Any) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


@pytest.fixture
def langsmith() -> Iterator[LangSmith]:
    """It, running."""
    with LangSmith() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def tracing(port: int) -> dict[str, str]:
    """LangSmith's variables, as its documentation names them."""
    return {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{port}",
        "LANGSMITH_API_KEY": SECRET,
    }


@pytest.mark.slow
def test_langsmith_is_told(run: Any, langsmith: LangSmith) -> None:
    """With its variables set a run is traced under the id that the event names, to its end."""
    session = run("real_graphs.py:react", **tracing(langsmith.server_port))
    assert session.end() == 0
    [announced] = [one["data"] for one in session.of("custom") if one["name"] == "langgraph.run"]
    root = langsmith.traced[announced["run_id"]]
    assert root["extra"]["metadata"]["session_id"] == session.id
    children = {run["name"] for run in langsmith.traced.values()} - {root["name"]}
    assert {"agent", "tools"} <= children
    assert langsmith.keys == {SECRET}
    assert SECRET not in session.everything()


@pytest.mark.slow
def test_langsmith_is_not_needed(run: Any) -> None:
    """A LangSmith that does not answer fails no turn, and its key is in no line of the log."""
    session = run("real_graphs.py:react", **tracing(free_port()))
    assert session.end() == 0
    assert session.text().endswith("It is 42.")
    assert SECRET not in session.everything()


# --- secrets ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_databases_password_stays_inside(run: Any, launch: Launcher) -> None:
    """A database that cannot be reached is named, its password nowhere."""
    url = f"postgresql://runner:{SECRET}@127.0.0.1:{free_port()}/agents"
    session = run("real_graphs.py:react", CHECKPOINTER="postgres", CHECKPOINTER_URL=url)
    assert session.end() == 2
    said = session.everything()
    assert "CHECKPOINTER_URL" in said
    assert "127.0.0.1" in said
    assert SECRET not in said
    assert launch.termination()["outcome"] == "failed"


@pytest.mark.slow
def test_a_database_does_not_reach_its_graph(run: Any, tmp_path: Path) -> None:
    """A graph that says the URL, as its own error might, says it without the password."""
    graph = tmp_path / "says.py"
    graph.write_text(SAYS)
    url = f"postgresql://runner:{SECRET}@127.0.0.1/agents"
    session = run(graph, CHECKPOINTER="memory", CHECKPOINTER_URL=url, SAY="CHECKPOINTER_URL")
    assert session.end() == 1
    assert "the graph says:" in session.everything()
    assert SECRET not in session.everything()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["at import", "in a node"])
def test_a_manifests_secrets_stay_inside(run: Any, launch: Launcher, when: str) -> None:
    """A secret of `langgraph.json`'s `env` is redacted in a graph's words, at import too."""
    text = SAYS if when == "in a node" else SAYS.replace("def says(state):", "if True:")
    launch.file("says.py", text)
    graphs = {"says": "./says.py:graph"}
    env = {"SEARCH_API_KEY": SECRET, "SAY": "SEARCH_API_KEY"}
    manifest = launch.file("langgraph.json", json.dumps({"graphs": graphs, "env": env}))
    session = run("", GRAPH=str(manifest))
    assert session.end() == (1 if when == "in a node" else 2)
    assert "the graph says:" in session.everything()
    assert SECRET not in session.everything()


@pytest.mark.slow
def test_configured_secrets_stay_inside(run: Any, tmp_path: Path) -> None:
    """A secret in WORKFLOW_CONFIG is redacted where a graph says it."""
    graph = tmp_path / "says.py"
    graph.write_text(CONFIGURED)
    config = json.dumps({"configurable": {"search": {"apiKey": SECRET}, "depth": 3}})
    session = run(graph, WORKFLOW_CONFIG=config)
    assert session.end() == 0
    assert (
        session.text() == "configured: [REDACTED:WORKFLOW_CONFIG_CONFIGURABLE_SEARCH_API_KEY] it is"
    )
    assert SECRET not in session.everything()


CONFIGURED = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def says(state, config):
    [key] = config["configurable"]["search"].values()
    return {"messages": [AIMessage(f"configured: {key} it is")]}

builder = StateGraph(MessagesState)
builder.add_node(says)
builder.add_edge(START, "says")
graph = builder.compile()
"""

SAYS = """
import os
from langgraph.graph import START, MessagesState, StateGraph

def says(state):
    raise RuntimeError(f"the graph says: {os.environ[os.environ['SAY']]}")

builder = StateGraph(MessagesState)
builder.add_node(says)
builder.add_edge(START, "says")
graph = builder.compile()
"""
