"""GRAPH, langgraph.json, WORKFLOW_CONFIG, and what is said when they are wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import find_source, made
from runner_shell_langgraph.settings import GraphConfig

from runner_shell import ConfigurationError

GRAPHS = """
import contextlib
from dataclasses import dataclass, field
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import ServerRuntime

@dataclass
class State:
    prompt: str = ""

builder = StateGraph(State)
builder.add_node("node", lambda state: {})
builder.add_edge(START, "node")
graph = builder.compile(name="compiled")
named = builder.compile(name="second")
unfinished = StateGraph(State)
closed = []

@entrypoint()
async def functional(text: str) -> str:
    return text

def make():
    return builder

def make_with_config(config: RunnableConfig):
    return builder.compile(name=config["configurable"]["name"])

async def make_with_both(config, runtime: ServerRuntime):
    assert runtime.execution_runtime and runtime.store is not None
    return builder.compile(name=config["configurable"]["name"])

@contextlib.contextmanager
def make_within():
    yield graph
    closed.append("sync")

@contextlib.asynccontextmanager
async def make_within_async():
    yield graph
    closed.append("async")

def make_nothing():
    return 3

def make_fail():
    raise OSError("no tools")

def make_much(a, b, c):
    return graph
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a graph in a file and in a package, the process's own; no workspace."""
    (tmp_path / "graphs.py").write_text(GRAPHS)
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(GRAPHS)
    (package / "relative.py").write_text("from .inner import graph")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


def load(reference: str, *, workspace: Path, allow_workspace: bool = False, **settings: Any) -> Any:
    """The graph, made as the adapter makes it; what it opened is closed again."""
    given = LangGraphSettings(
        graph=reference, langgraph_allow_workspace_graph=allow_workspace, **settings
    )

    async def make() -> Any:
        async with AsyncExitStack() as stack:
            config = {"configurable": {"name": "named"}}
            return await made(find_source(given, workspace), config, stack)

    return asyncio.run(make())


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("./graphs.py:graph", "compiled"),
        ("some_package.inner:graph", "compiled"),
        ("./some_package/relative.py:graph", "compiled"),
        ("./some_package/relative.py", "compiled"),
        ("./graphs.py:builder", "LangGraph"),
        ("./graphs.py:functional", "LangGraph"),
        ("./graphs.py:make", "LangGraph"),
        ("./graphs.py:make_with_config", "named"),
        ("./graphs.py:make_with_both", "named"),
        ("./graphs.py:make_within", "compiled"),
        ("./graphs.py:make_within_async", "compiled"),
    ],
)
def test_every_kind_of_graph(project: Path, workspace: Path, reference: str, name: str) -> None:
    """Graphs, builders, entrypoints and factories of every shape, from files and modules."""
    assert load(reference, workspace=workspace).get_name() == name


def test_what_a_factory_opens_is_closed(project: Path, workspace: Path) -> None:
    """A factory's context is entered once and left when the adapter closes."""
    load("./graphs.py:make_within", workspace=workspace)
    assert sys.modules["runner_shell_graph_graphs"].closed == ["sync"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("./graphs.py:make_fail", None),
        ("./graphs.py:make_much", "a factory takes a config and a runtime at most"),
        ("./graphs.py:unfinished", "Graph must have an entry"),
    ],
)
def test_preflight_calls_no_factory(
    project: Path, workspace: Path, reference: str, said: str | None
) -> None:
    """Preflight compiles a builder and looks at a factory's parameters, but does not call it."""
    settings = LangGraphSettings(graph=reference)
    problems = list(LangGraphAdapter.preflight(settings, workspace=workspace))
    assert len(problems) == (said is not None)
    assert said is None or said in problems[0]


def test_workflow_id_picks_a_variable(project: Path, workspace: Path) -> None:
    """Where GRAPH names a module only, WORKFLOW_ID says which of its graphs."""
    graph = load("./graphs.py", workspace=workspace, workflow_id="named")
    assert graph.get_name() == "second"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("./graphs.py", "names no variable; its graphs are ./graphs.py:builder"),
        ("./graphs.py:", "package.module:variable"),
        ("./missing.py:graph", "no file ./missing.py"),
        ("missing_package.inner:graph", "no module 'missing_package' is installed"),
        ("some_package.missing:graph", "cannot be imported: ModuleNotFoundError"),
        ("./graphs.py:grpah", r"its graphs are ./graphs.py:builder, .*./graphs.py:graph"),
        ("./graphs.py:State", "must be a compiled graph"),
        ("./graphs.py:closed", "is a list and is no graph"),
        ("./graphs.py:make_nothing", "is a function and gave a int"),
        ("./graphs.py:make_fail", r"could not be made: .*graphs\.py:49: OSError: no tools"),
        ("./graphs.py:make_much", "a factory takes a config and a runtime at most"),
        ("./graphs.py:unfinished", "could not be made: .*ValueError: Graph must have an entry"),
        ("./empty.py:graph", "holds no graph at all"),
        ("./broken.py:graph", r"broken\.py:3: RuntimeError: at import"),
        ("./wrong.py:graph", r"wrong\.py:2: SyntaxError"),
        ("./leaves.py:graph", r"leaves\.py:1: SystemExit: 3"),
        ("./text.txt:graph", "not a Python file"),
    ],
)
def test_a_wrong_reference_says_what_is_right(
    project: Path, workspace: Path, reference: str, said: str
) -> None:
    """Whatever is wrong with GRAPH is a configuration error: file, line, cause, a way out."""
    (project / "empty.py").write_text("")
    (project / "text.txt").write_text("")
    (project / "broken.py").write_text(
        "def f():\n    import json; json.loads\n    raise RuntimeError('at import')\nf()"
    )
    (project / "wrong.py").write_text("x = 1\nx = = 2\n")
    (project / "leaves.py").write_text("raise SystemExit(3)")
    with pytest.raises(ConfigurationError, match=said):
        load(reference, workspace=workspace)


# --- langgraph.json --------------------------------------------------------------------------


def manifest(directory: Path, **content: Any) -> Path:
    file = directory / "langgraph.json"
    file.write_text(json.dumps(content))
    return file


BOTH = {
    "one": "./graphs.py:graph",
    "two": {"path": "some_package.inner:named", "description": "a second"},
}


@pytest.mark.parametrize(("id", "name"), [("one", "compiled"), ("two", "second")])
def test_a_manifest_is_found(project: Path, workspace: Path, id: str, name: str) -> None:
    """Without GRAPH the langgraph.json of the process's directory counts; WORKFLOW_ID picks."""
    manifest(project, graphs=BOTH, dependencies=["."])
    assert load("", workspace=workspace, workflow_id=id).get_name() == name


def test_a_manifest_elsewhere(
    project: Path, workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """GRAPH may name a langgraph.json; its paths start from its own directory."""
    other = tmp_path_factory.mktemp("other")
    (other / "agent.py").write_text("from beside import graph")
    (other / "src").mkdir()
    (other / "src/beside.py").write_text(GRAPHS)
    file = manifest(other, graphs={"only": "./agent.py:graph"}, dependencies=["./src"])
    assert load(str(file), workspace=workspace).get_name() == "compiled"


def test_a_manifests_environment(
    project: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are known to the graph; what the operator set stays as it is."""
    (project / ".env").write_text("FROM_FILE=1\nSET=file\n")
    (project / "reads.py").write_text("import os\nassert os.environ['FROM_FILE'] == '1'\n" + GRAPHS)
    monkeypatch.setenv("SET", "operator")
    monkeypatch.setenv("FROM_FILE", "")
    monkeypatch.delenv("FROM_FILE")
    manifest(project, graphs={"only": "./reads.py:graph"}, env=".env")
    load("", workspace=workspace)
    assert os.environ["SET"] == "operator"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"graphs": BOTH}, "has several graphs; set WORKFLOW_ID to one of: one, two"),
        ({"graphs": {}}, "names no graphs"),
        ({"graphs": {"one": 3}}, "'one' must be a reference"),
        ({"graphs": BOTH, "env": ".missing"}, "env names .missing"),
        ({"graphs": BOTH, "env": 3}, "env must be"),
        ({"graphs": BOTH, "dependencies": "x"}, "dependencies must be a list"),
        ({"graphs": BOTH, "dependencies": ["a b"]}, "is no dependency"),
        (
            {"graphs": BOTH, "dependencies": ["no-such-package", "pytest<1", "./gone", "pytest>1"]},
            r"not installed: .*/gone, no-such-package, pytest<1; install",
        ),
    ],
)
def test_a_wrong_manifest(project: Path, workspace: Path, content: Any, said: str) -> None:
    """What is wrong with a langgraph.json, or missing for it, is said."""
    manifest(project, **content)
    with pytest.raises(ConfigurationError, match=said):
        load("", workspace=workspace)


def test_no_manifest(project: Path, workspace: Path) -> None:
    """Without GRAPH and langgraph.json both are named; an unknown id lists the known."""
    with pytest.raises(ConfigurationError, match=r"GRAPH is not set, and there is no langgraph"):
        load("", workspace=workspace)
    (project / "langgraph.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="cannot be read as a JSON object"):
        load("", workspace=workspace)
    manifest(project, graphs=BOTH)
    with pytest.raises(ConfigurationError, match="no such graph; it has: one, two"):
        load("", workspace=workspace, workflow_id="three")


def test_a_manifest_in_the_workspace_is_refused(project: Path) -> None:
    """A repository's langgraph.json sets no variable and runs no code, unless allowed."""
    manifest(project, graphs={"only": "./graphs.py:graph"}, env={"FROM_REPOSITORY": "1"})
    with pytest.raises(ConfigurationError, match="LANGGRAPH_ALLOW_WORKSPACE_GRAPH=1"):
        load("", workspace=project)
    assert "FROM_REPOSITORY" not in os.environ
    assert load("", workspace=project, allow_workspace=True)
    assert os.environ.pop("FROM_REPOSITORY") == "1"


def test_a_manifests_directory_in_the_workspace_is_refused(project: Path, workspace: Path) -> None:
    """A langgraph.json outside of the workspace makes nothing in it importable."""
    (workspace / "beside.py").write_text("")
    manifest(project, graphs=BOTH, dependencies=[str(workspace)])
    with pytest.raises(ConfigurationError, match=r"a dependency of .* lies in the workspace"):
        load("", workspace=workspace, workflow_id="one")


# --- the workspace ---------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["./graphs.py:graph", "some_package.inner:graph"])
def test_a_graph_in_the_workspace_is_refused(project: Path, reference: str) -> None:
    """A repository's own graph is not run, not even imported, unless a setting allows it."""
    for file in ("graphs.py", "some_package/__init__.py"):
        path = project / file
        path.write_text("import pathlib; pathlib.Path('ran').touch()\n" + path.read_text())
    with pytest.raises(ConfigurationError, match="LANGGRAPH_ALLOW_WORKSPACE_GRAPH=1"):
        load(reference, workspace=project)
    assert not (project / "ran").exists()
    assert load(reference, workspace=project, allow_workspace=True)


def test_a_link_from_or_into_the_workspace_is_refused(project: Path, workspace: Path) -> None:
    """A link between the workspace and the graph changes nothing, in either direction."""
    (workspace / "link.py").symlink_to(project / "graphs.py")
    (workspace / "theirs.py").write_text(GRAPHS)
    (project / "ours.py").symlink_to(workspace / "theirs.py")
    for reference in (f"{workspace}/link.py:graph", "./ours.py:graph"):
        with pytest.raises(ConfigurationError, match="workspace"):
            load(reference, workspace=workspace)


def test_settings_from_the_environment() -> None:
    """The variables have the names that the documentation gives."""
    settings = LangGraphSettings.from_environment(
        {
            "GRAPH": "a:b",
            "WORKFLOW_ID": "w",
            "WORKFLOW_CONFIG": '{"depth": 3}',
            "LANGGRAPH_RECURSION_LIMIT": "7",
            "LANGGRAPH_ALLOW_WORKSPACE_GRAPH": "1",
        }
    )
    assert (settings.graph, settings.workflow_config) == ("a:b", {"depth": 3})
    assert (settings.langgraph_recursion_limit, settings.langgraph_allow_workspace_graph) == (
        7,
        True,
    )
    for wrong in ({"CHECKPOINTER": "redis"}, {"WORKFLOW_CONFIG": "[1]"}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            LangGraphSettings.from_environment(wrong)


@pytest.mark.parametrize(
    ("config", "has_context", "expected"),
    [
        ({"depth": 3}, False, ({"depth": 3}, None, 250)),
        ({"depth": 3}, True, ({}, {"depth": 3}, 250)),
        ({"configurable": {"a": 1}, "context": {"b": 2}}, False, ({"a": 1}, {"b": 2}, 250)),
        ({"context": {"b": 2}, "recursion_limit": 7}, True, ({}, {"b": 2}, 7)),
        ({}, False, ({}, None, 250)),
        ({}, True, ({}, {}, 250)),
    ],
)
def test_workflow_config(config: object, has_context: bool, expected: Any) -> None:
    """WORKFLOW_CONFIG goes to the context where the graph has one, else to `configurable`."""
    settings = LangGraphSettings(graph="a:b", workflow_config=config)
    assert settings.graph_config(has_context=has_context) == GraphConfig(*expected)


def test_configured_texts_have_names() -> None:
    """Each text is named by the way to it, in the words of an environment variable."""
    config = {"context": {"accessToken": "a", "tries": 3}, "servers": [{"api-key": "b"}, "c"]}
    assert LangGraphSettings(workflow_config=config).named_values() == [
        ("WORKFLOW_CONFIG_CONTEXT_ACCESS_TOKEN", "a"),
        ("WORKFLOW_CONFIG_SERVERS_API_KEY", "b"),
        ("WORKFLOW_CONFIG_SERVERS", "c"),
    ]


@pytest.mark.parametrize("key", ["thread_id", "workspace", "checkpoint_ns", "__pregel_send"])
def test_workflow_config_cannot_take_over(key: str) -> None:
    """A key that the runner or LangGraph sets itself is refused by name."""
    settings = LangGraphSettings(graph="a:b", workflow_config={key: "x"})
    with pytest.raises(ConfigurationError, match=key):
        settings.graph_config(has_context=False)


@pytest.mark.parametrize("limit", [0, "7", True])
def test_a_wrong_recursion_limit(limit: object) -> None:
    """WORKFLOW_CONFIG's recursion limit is a whole number of at least one."""
    settings = LangGraphSettings(workflow_config={"recursion_limit": limit})
    with pytest.raises(ConfigurationError, match="recursion_limit must be"):
        settings.graph_config(has_context=False)
