"""The same checkout on the same base makes the same layers, and only what was locked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from containers import PROJECT, ROOT, call
from real_processes import RUNNER_SHELL

pytestmark = pytest.mark.slow

PLANTED = "planted-4f1c9a2be7d05386"


def written_down(folder: Path, name: str, file: str) -> object:
    """What a build wrote down of an image."""
    return json.loads((folder / name / file).read_text())


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("base",), marks=pytest.mark.bounded, id="base"),
        pytest.param(("base", "claude", "langgraph"), id="all"),
    ],
)
def test_a_second_build_makes_the_same_layers(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Without a layer, a package or a file of the first; what it was told in secret is in none."""
    secret = tmp_path / "uv.toml"
    secret.write_text(f"# {PLANTED}\n")
    labels = written_down(PROJECT.output, "base", "labels.json")
    assert isinstance(labels, dict)
    base = labels["org.opencontainers.image.base.name"]
    tag = f"{PROJECT.version}-again"
    (tmp_path / "cache").mkdir()
    done = subprocess.run(
        [
            *(RUNNER_SHELL, "images", "build", *names, "--no-cache", "--tag", tag),
            *("--project", ROOT, "--output", tmp_path / "out", "--base-image", base),
            f"--build-option=--secret=id=uv,src={secret}",
        ],
        env={**os.environ, "TMPDIR": str(tmp_path / "cache")},  # also where packages are kept
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in names:
        first = written_down(PROJECT.output, name, "layers.json")
        assert written_down(tmp_path / "out", name, "layers.json") == first, name
        image = f"runner-shell/{name}:{tag}"
        history = call("image", "inspect", image).stdout
        archive = tmp_path / f"{name}.tar"
        call("save", "--quiet", "--format=docker-archive", "--output", archive, image)
        assert PLANTED not in history
        assert not contains(archive, PLANTED.encode())
        archive.unlink()
    call("rmi", *(f"runner-shell/{name}:{tag}" for name in (*reversed(names), "build")))


def test_adapters_share_the_layers_of_the_base() -> None:
    """An adapter's image is the base's layers and one of its own."""
    base = written_down(PROJECT.output, "base", "layers.json")
    assert isinstance(base, list)
    for name in ("claude", "langgraph"):
        layers = written_down(PROJECT.output, name, "layers.json")
        assert isinstance(layers, list)
        assert layers[:-1] == base


def contains(path: Path, wanted: bytes) -> bool:
    """Whether a file has these bytes anywhere; it is read in pieces that overlap."""
    with path.open("rb") as file:
        rest = b""
        while piece := file.read(1 << 22):
            if wanted in rest + piece:
                return True
            rest = piece[-len(wanted) :]
    return False
