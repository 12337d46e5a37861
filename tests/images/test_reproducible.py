"""The same checkout on the same base makes the same layers, and only what was locked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from tarfile import TarFile, TarInfo

import pytest
from containers import PROJECT, ROOT, call, engine, ours
from real_processes import RUNNER_SHELL

from runner_shell.images import building

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
            *("--engine", engine().program, f"--build-option=--secret=id=uv,src={secret}"),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path / "cache")},  # also where packages are kept
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in names:
        if engine().name == "docker":  # whose builder leaves files the time at which they came
            assert files(f"runner-shell/{name}:{tag}") == files(ours(name)), name
        else:
            first = written_down(PROJECT.output, name, "layers.json")
            assert written_down(tmp_path / "out", name, "layers.json") == first, name
        image = f"runner-shell/{name}:{tag}"
        history = call("image", "inspect", image).stdout
        archive = tmp_path / f"{name}.tar"
        subprocess.run(engine().save(image, archive), capture_output=True, check=True)
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


def files(image: str) -> list[dict[str, object]]:
    """What is in each layer of an image, but for the times."""
    layers = []
    with building.saved(engine(), image) as archive:
        for number in range(len(archive.layers)):
            with archive.layer(number) as layer:
                layers.append({one.name: seen(layer, one) for one in layer})
    return layers


def seen(layer: TarFile, member: TarInfo) -> object:
    """Whose a file is, what may be done with it, and what it holds."""
    content = layer.extractfile(member) if member.isreg() else None
    digest = hashlib.file_digest(content, "sha256").hexdigest() if content is not None else ""
    return (member.type, member.mode, member.uid, member.gid, member.linkname, digest)


def contains(path: Path, wanted: bytes) -> bool:
    """Whether a file has these bytes anywhere; it is read in pieces that overlap."""
    with path.open("rb") as file:
        rest = b""
        while piece := file.read(1 << 22):
            if wanted in rest + piece:
                return True
            rest = piece[-len(wanted) :]
    return False
