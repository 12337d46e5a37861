"""`runner-shell images`, with a program that stands for the engine and notes what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_processes import Launcher

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

DOCKER = """\
#!/bin/sh
echo "$@" >>"$NOTES"
echo "docker: unknown command: docker $1" >&2
exit 1
"""
"""Without plug-ins."""

ENGINE = """\
#!/bin/sh
echo "$@" >>"$NOTES"
case "$*" in
    "image inspect --format {{.Id}} runner-shell/base:"*) echo sha256:0123456789abcdef ;;
    image\\ inspect*) exit 125 ;;
    build*) echo "no space left" >&2; exit 7 ;;
    pull*) exit 125 ;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory with a `podman` of ours; put it first on the PATH."""
    directory = tmp_path / "tools"
    directory.mkdir()
    put(directory / "podman", ENGINE)
    return directory


def put(program: Path, text: str) -> None:
    """Write a program that can be run."""
    program.write_text(text)
    program.chmod(0o755)


def images(
    launch: Launcher, tools: Path, *arguments: str, engine: bool = True
) -> tuple[int, str, str]:
    """Run a command in the checkout; returns code, stdout, stderr."""
    path = f"{tools}:{launch.environment()['PATH']}" if engine else str(launch.directory)
    done = launch.cli(
        *("images", *arguments, "--project", str(ROOT)),
        PATH=path,
        NOTES=str(launch.directory / "notes"),
        UV_CACHE_DIR=str(Path.home() / ".cache/uv"),
        UV_SYSTEM_CERTS="1",
    )
    return done.wait(), done.out, done.err


def test_no_engine_is_bad_configuration(launch: Launcher, tools: Path) -> None:
    """Where none is installed the command says so, and how to get one, with exit code 2."""
    code, _, err = images(launch, tools, "list", engine=False)
    assert code == 2
    assert "none of podman, buildah, docker is installed" in err


def test_docker_without_its_builder_is_bad_configuration(launch: Launcher, tools: Path) -> None:
    """What is missing and how to get it, with exit code 2, before anything is made or built."""
    put(tools / "docker", DOCKER)
    code, _, err = images(launch, tools, "build", "--engine", "docker")
    assert code == 2
    assert "cannot build images without its buildx plug-in: install that" in err
    assert "unknown command" not in err
    assert (launch.directory / "notes").read_text() == "buildx version\n"


def test_an_unknown_image_is_bad_configuration(launch: Launcher, tools: Path) -> None:
    """A wrong name ends with 2 before anything is built."""
    code, _, err = images(launch, tools, "build", "bse")
    assert code == 2
    assert "no image 'bse'" in err


def test_what_is_built_is_listed(launch: Launcher, tools: Path) -> None:
    """Only images that are there, with their ids; a size only where it is known of this one."""
    code, out, _ = images(launch, tools, "list", "--json", "--tag", "9")
    assert code == 0
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert (row["image"], row["id"]) == ("runner-shell/base:9", "0123456789abcdef")
    assert row["megabytes"] is None


def test_a_missing_image_fails_its_test(launch: Launcher, tools: Path) -> None:
    """An image that is not there is a finding, with exit code 1."""
    code, out, _ = images(launch, tools, "test", "somewhere.example/mine:1")
    assert code == 1
    assert "there is no image somewhere.example/mine:1" in out
