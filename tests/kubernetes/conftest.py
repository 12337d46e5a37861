"""Kustomizations of somebody's own, on top of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rendered_manifests import ROOT, Manifest, relative, render, write_kustomization


@pytest.fixture
def example(tmp_path: Path) -> list[Manifest]:
    """The example's session, as somebody who copied it and wrote the token has it."""
    directory = tmp_path / "example"
    directory.mkdir()
    for file in (ROOT / "example").iterdir():
        (directory / file.name).write_text(file.read_text())
    kustomization = directory / "kustomization.yaml"
    ours = relative(ROOT, directory)
    moved = re.sub(r"^  - \.\./", f"  - {ours}/", kustomization.read_text(), flags=re.MULTILINE)
    kustomization.write_text(moved)
    (directory / "token").write_text("a-token")
    return render(directory)


@pytest.fixture
def scratch(tmp_path: Path) -> list[Manifest]:
    """A session without a volume."""
    return render(
        write_kustomization(tmp_path, ROOT / "sessions" / "claude-openshift", ["scratch"])
    )
