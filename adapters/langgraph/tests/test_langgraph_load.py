"""GRAPH, WORKFLOW_CONFIG and what is said when they are wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runner_shell_langgraph import LangGraphSettings
from runner_shell_langgraph.load import load_graph

from runner_shell import ConfigurationError

GRAPHS = """
from dataclasses import dataclass, field
from langgraph.graph import START, StateGraph

@dataclass
class State:
    prompt: str = ""

builder = StateGraph(State)
builder.add_node("node", lambda state: {})
builder.add_edge(START, "node")
graph = builder.compile(name="compiled")
unfinished = StateGraph(State)

def make():
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.mark.parametrize("reference", ["./graphs.py:graph", "some_package.inner:graph"])
def test_a_compiled_graph(project: Path, workspace: Path, reference: str) -> None:
    """A compiled graph is found in a file and in a module."""
    assert load_graph(reference, workspace=workspace).get_name() == "compiled"


def test_a_builder_is_compiled(project: Path, workspace: Path) -> None:
    """A `StateGraph` is compiled."""
    assert "node" in load_graph("./graphs.py:builder", workspace=workspace).nodes


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("graphs.py", "package.module:variable"),
        ("./graphs.py:", "package.module:variable"),
        ("./missing.py:graph", "no file ./missing.py"),
        ("missing_package.inner:graph", "no module 'missing_package' is installed"),
        ("some_package.missing:graph", "cannot be imported: ModuleNotFoundError"),
        ("./graphs.py:grpah", r"its graphs are ./graphs.py:builder, ./graphs.py:graph"),
        ("./graphs.py:make", "is a function, not a compiled graph"),
        ("./graphs.py:State", "not a compiled graph"),
        ("./graphs.py:unfinished", "does not compile"),
        ("./empty.py:graph", "holds no graph at all"),
        ("./broken.py:graph", "cannot be imported: RuntimeError: at import"),
        ("./text.txt:graph", "not a Python file"),
    ],
)
def test_a_wrong_reference_says_what_is_right(
    project: Path, workspace: Path, reference: str, said: str
) -> None:
    """Whatever is wrong with GRAPH is a configuration error with a way out."""
    (project / "empty.py").write_text("")
    (project / "text.txt").write_text("")
    (project / "broken.py").write_text("raise RuntimeError('at import')")
    with pytest.raises(ConfigurationError, match=said):
        load_graph(reference, workspace=workspace)


@pytest.mark.parametrize("reference", ["./graphs.py:graph", "some_package.inner:graph"])
def test_a_graph_in_the_workspace_is_refused(project: Path, reference: str) -> None:
    """A repository's own graph is not run, not even imported, unless a setting allows it."""
    for file in ("graphs.py", "some_package/__init__.py"):
        path = project / file
        path.write_text("import pathlib; pathlib.Path('ran').touch()\n" + path.read_text())
    with pytest.raises(ConfigurationError, match="LANGGRAPH_ALLOW_WORKSPACE_GRAPH=1"):
        load_graph(reference, workspace=project)
    assert not (project / "ran").exists()
    assert load_graph(reference, workspace=project, allow_workspace=True)


def test_a_link_from_or_into_the_workspace_is_refused(project: Path, workspace: Path) -> None:
    """A link between the workspace and the graph changes nothing, in either direction."""
    (workspace / "link.py").symlink_to(project / "graphs.py")
    (workspace / "theirs.py").write_text(GRAPHS)
    (project / "ours.py").symlink_to(workspace / "theirs.py")
    for reference in (f"{workspace}/link.py:graph", "./ours.py:graph"):
        with pytest.raises(ConfigurationError, match="workspace"):
            load_graph(reference, workspace=workspace)


def test_settings_from_the_environment() -> None:
    """The variables have the names that the documentation gives; GRAPH is needed."""
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
    for wrong in ({}, {"GRAPH": "a:b", "WORKFLOW_CONFIG": "[1]"}):
        with pytest.raises(ConfigurationError, match=r"GRAPH|WORKFLOW_CONFIG"):
            LangGraphSettings.from_environment(wrong)


@pytest.mark.parametrize(
    ("config", "has_context", "expected"),
    [
        ({"depth": 3}, False, ({"depth": 3}, None)),
        ({"depth": 3}, True, ({}, {"depth": 3})),
        ({"configurable": {"a": 1}, "context": {"b": 2}}, False, ({"a": 1}, {"b": 2})),
        ({"context": {"b": 2}}, True, ({}, {"b": 2})),
        ({}, False, ({}, None)),
        ({}, True, ({}, {})),
    ],
)
def test_workflow_config(config: object, has_context: bool, expected: object) -> None:
    """WORKFLOW_CONFIG goes to the context where the graph has one, else to `configurable`."""
    settings = LangGraphSettings(graph="a:b", workflow_config=config)
    assert settings.graph_config(has_context=has_context) == expected


@pytest.mark.parametrize("key", ["thread_id", "workspace", "checkpoint_ns", "__pregel_send"])
def test_workflow_config_cannot_take_over(key: str) -> None:
    """A key that the runner or LangGraph sets itself is refused by name."""
    settings = LangGraphSettings(graph="a:b", workflow_config={key: "x"})
    with pytest.raises(ConfigurationError, match=key):
        settings.graph_config(has_context=False)
