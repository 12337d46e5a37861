"""A graph that runs on a LangGraph server: here one that answers as such a server does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langgraph_recording import Recorder
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings

from runner_shell import ConfigurationError, UserMessage, events

KEY = "sesame-4b1d"
STEP = "11111111-1111-1111-1111-111111111111"
CHECKPOINT = {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c1", "checkpoint_map": {}}
DRAWN = {
    "nodes": [
        {"id": "__start__", "type": "schema", "data": "__start__"},
        {"id": "agent", "type": "runnable", "data": {"id": ["x"], "name": "agent"}},
    ],
    "edges": [{"source": "__start__", "target": "agent"}],
}


class LangGraphServer(ThreadingHTTPServer):
    """A server with one assistant that says hello.

    Attributes:
        runs: What runs were asked for, with the thread's id.
        keys: The keys that came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: LangGraphServer

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Read the assistant or the thread."""
        self.server.keys.add(self.headers["x-api-key"])
        if "/graph" in self.path:
            self._say(200, DRAWN)
        elif "/schemas" in self.path:
            self._say(200, {"input_schema": {"properties": {"messages": {"type": "array"}}}})
        else:
            self._say_state()

    def do_POST(self) -> None:
        """Run the assistant, or read the thread with its sub-graphs."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "/state" in self.path:
            self._say_state()
            return
        self.server.runs.append((self.path.split("/")[2], body))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event, data in _parts():
            self.wfile.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def _say_state(self) -> None:
        """A thread begins with its first run."""
        if self.server.runs:
            self._say(200, _state())
        else:
            self._say(404, {"detail": "Thread not found"})

    def _say(self, status: int, content: Any) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


def _parts() -> Iterator[tuple[str, Any]]:
    meta = {"langgraph_node": "agent", "langgraph_checkpoint_ns": f"agent:{STEP}"}
    yield "metadata", {"run_id": "r1"}
    yield "tasks", {"id": STEP, "name": "agent", "input": {}, "triggers": []}
    for text, place in (("Hel", None), ("lo", None), ("", "last")):
        chunk = {"type": "AIMessageChunk", "id": "m1", "content": text, "chunk_position": place}
        yield "messages", [chunk, meta]
    yield "tasks", {"id": STEP, "name": "agent", "error": None, "result": {}, "interrupts": []}
    yield "values", {"messages": [{"type": "ai", "content": "Hello"}]}
    config = {"configurable": CHECKPOINT}
    yield "checkpoints", {"config": config, "metadata": {"source": "loop", "step": 1}, "next": []}


def _state() -> dict[str, Any]:
    return {
        "values": {"messages": []},
        "next": [],
        "tasks": [],
        "checkpoint": CHECKPOINT,
        "metadata": {"source": "loop", "step": 1, "parents": {}},
        "created_at": "2026-11-30T00:00:00Z",
        "parent_checkpoint": None,
    }


@pytest.fixture
def server() -> Iterator[LangGraphServer]:
    """The server, running."""
    made = LangGraphServer()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


async def test_a_remote_graph(server: LangGraphServer, tmp_path: Path) -> None:
    """Messages, steps, states and checkpoints cross as a local graph's do; the key crosses not."""
    recorder = Recorder(tmp_path)
    adapter = LangGraphAdapter(
        LangGraphSettings(langgraph_url=server.url, langgraph_api_key=KEY, workflow_id="helper")
    )
    await adapter.open(recorder.session())
    ending = await recorder.turn(adapter, UserMessage(content="hi"))
    again = await recorder.turn(adapter, UserMessage(content="and again"))
    await adapter.close()

    assert (ending.outcome, again.outcome) == ("completed", "completed")
    assert "".join(delta.text for delta in recorder.of(events.BlockDelta)[:2]) == "Hello"
    assert [step.name for step in recorder.of(events.StepStarted)][:1] == ["agent"]
    assert recorder.of(events.StateSnapshot)
    assert [saved.id for saved in recorder.of(events.CheckpointSaved)][:1] == ["c1"]
    assert recorder.open_things() == []
    (thread, run), (other, _) = server.runs
    assert thread == other, "a session is one thread"
    assert run["assistant_id"] == "helper"
    assert run["input"]["messages"][0]["content"] == "hi"
    assert server.keys == {KEY}
    nodes = adapter.describe()["nodes"]
    assert [node["id"] for node in nodes] == ["__start__", "agent"]
    assert KEY not in repr(recorder.events) + repr(recorder.runs) + repr(adapter.describe())


async def test_a_remote_graph_needs_a_name(tmp_path: Path) -> None:
    """LANGGRAPH_URL alone does not say which of its graphs."""
    adapter = LangGraphAdapter(LangGraphSettings(langgraph_url="http://127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match="needs WORKFLOW_ID"):
        await adapter.open(Recorder(tmp_path).session())


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """A server that cannot be reached fails preflight, and is named."""
    url = "http://127.0.0.1:1"
    adapter = LangGraphAdapter(LangGraphSettings(langgraph_url=url, workflow_id="helper"))
    with pytest.raises(ConfigurationError, match=url):
        await adapter.open(Recorder(tmp_path).session())
