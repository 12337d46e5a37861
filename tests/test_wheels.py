"""What people install: the wheels, built and tried in an environment of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = ("runner_shell", "runner_shell_langgraph", "runner_shell_claude")
FRAMEWORKS = r"^\s*(?:from|import)\s+(langgraph|langchain|claude_agent_sdk|anthropic)\b"
BUILD_SECONDS = 300


def uv() -> list[str]:
    """How to call uv here; the tests are skipped where it is nowhere."""
    brought = [ROOT / ".tools" / place / "uv" for place in ("venv/bin", "target/bin", "wheel")]
    found = next((str(path) for path in brought if path.exists()), shutil.which("uv"))
    if found is not None:
        return [found]
    if find_spec("uv") is None:
        pytest.skip("uv is neither in .tools nor on the PATH")
    return [sys.executable, "-m", "uv"]


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command without this project's own environment."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        list(map(str, command)),
        env={**kept, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", **variables},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three wheels by their distribution's name, built from a copy of what is here."""
    out = tmp_path_factory.mktemp("wheels")
    copy = tmp_path_factory.mktemp("source") / "project"
    # The build would otherwise write beside what others are reading.
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist"))
    built = run(*uv(), "build", "--all-packages", "--wheel", "--out-dir", out, copy)
    assert built.returncode == 0, built.stderr
    return {path.name.split("-")[0]: path for path in out.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the core's and the LangGraph adapter's wheels, and what they need."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    made = run(*uv(), "venv", "--python", sys.executable, environment)
    assert made.returncode == 0, made.stderr
    python = environment / "bin" / "python"
    chosen = (f"{wheels['runner_shell']}[gateway,testing]", wheels["runner_shell_langgraph"])
    done = run(*uv(), "pip", "install", "--python", python, *chosen)
    assert done.returncode == 0, done.stderr
    return environment / "bin"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and nothing else."""
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


def installed_run(*command: str | Path, home: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run something that was installed, from its own home."""
    return subprocess.run(
        list(map(str, command)),
        env=home,
        cwd=home["HOME"],
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_contents(wheels: dict[str, Path], distribution: str) -> None:
    """A wheel holds its package, typed, and its licence: no tests, docs or other packages."""
    with ZipFile(wheels[distribution]) as wheel:
        names = wheel.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = wheel.read(metadata).decode()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {distribution, metadata.partition("/")[0]}
    assert f"{distribution}/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names), names
    assert "License-Expression: Apache-2.0" in text
    assert not [name for name in names if "/tests/" in name or Path(name).name.startswith("test_")]


def test_the_core_has_no_framework(wheels: dict[str, Path]) -> None:
    """No module of the core wheel imports a framework, and none is among its requirements."""
    with ZipFile(wheels["runner_shell"]) as wheel:
        for name in wheel.namelist():
            if name.endswith(".py"):
                found = re.search(FRAMEWORKS, wheel.read(name).decode(), re.MULTILINE)
                assert found is None, f"{name} imports {found and found[1]}"
            elif name.endswith("/METADATA"):
                required = re.findall(r"^Requires-Dist: (.*)", wheel.read(name).decode(), re.M)
    plain = [one for one in required if "extra ==" not in one]
    assert not [one for one in plain if re.match(r"lang|claude|anthropic|runner-shell", one)]
    assert any(one.startswith("websockets") for one in plain)


def test_adapters_are_found(installed: Path, home: dict[str, str]) -> None:
    """`pip install` is enough: the adapters of both wheels are listed."""
    done = installed_run(installed / "runner-shell", "adapters", home=home)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["echo", "langgraph", "scripted"]


def test_the_first_command(installed: Path, home: dict[str, str]) -> None:
    """The README's first command works as installed, with nothing else around it."""
    command = ("run", "--adapter", "echo", "--prompt", "hi")
    done = installed_run(installed / "runner-shell", *command, home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hi\n" in done.stdout


def test_an_adapter_is_checked(installed: Path, home: dict[str, str]) -> None:
    """`check` works as installed, with the extra `testing`."""
    done = installed_run(installed / "runner-shell", "check", "echo", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "promises hold, 0 do not" in done.stdout


def test_what_a_container_starts(installed: Path, home: dict[str, str]) -> None:
    """`python -m runner_shell` without settings says what is missing: 2."""
    done = installed_run(installed / "python", "-m", "runner_shell", home=home)
    assert done.returncode == 2
    assert "RUNNER_ADAPTER is not set" in done.stderr


def test_a_graph(installed: Path, home: dict[str, str], tmp_path: Path) -> None:
    """The installed adapter runs a graph that lies outside of the workspace."""
    (tmp_path / "graph.py").write_text(
        "from langgraph.graph import END, START, MessagesState, StateGraph\n"
        "from langchain_core.messages import AIMessage\n"
        "def answer(state):\n"
        "    return {'messages': [AIMessage('hello from a graph')]}\n"
        "graph = (StateGraph(MessagesState).add_node('answer', answer)\n"
        "    .add_edge(START, 'answer').add_edge('answer', END).compile())\n"
    )
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    command = ("run", "--adapter", "langgraph", "--prompt", "hi", "--workspace", workspace)
    graph = {"GRAPH": f"{tmp_path}/graph.py:graph"}
    done = installed_run(installed / "runner-shell", *command, home=home | graph)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello from a graph" in done.stdout


def test_the_version_is_one(installed: Path, home: dict[str, str]) -> None:
    """The package says the version that it was installed as."""
    look = "import importlib.metadata as m, runner_shell; "
    look += "print(runner_shell.__version__ == m.version('runner-shell'))"
    assert installed_run(installed / "python", "-c", look, home=home).stdout == "True\n"
