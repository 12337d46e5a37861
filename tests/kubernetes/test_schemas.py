"""Every manifest is one that API servers of several versions know, without a field too many."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
from rendered_manifests import OVERLAYS, ROOT, changed, job, overlay, render, write_kustomization

VERSIONS = ("1.31", "1.35", "1.36", "1.37")
"""The oldest in which `podFailurePolicy` is stable, and the three that are supported upstream."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_schemas_know_every_field(name: str, version: str) -> None:
    """Strictly: a field that the version's schema lacks, or a wrong type, is refused."""
    manifests = overlay(name)
    kinds = sorted({manifest["kind"] for manifest in manifests})
    assert kinds == [
        "ConfigMap",
        "Job",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "ServiceAccount",
    ]
    for manifest in manifests:
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


@pytest.mark.parametrize("component", ["scratch", "egress-proxy"])
def test_the_schemas_know_what_components_make(component: str, tmp_path: Path) -> None:
    """With an optional component too."""
    base = ROOT / "overlays" / "claude-kubernetes"
    for manifest in render(write_kustomization(tmp_path, base, [component])):
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/podFailurPolicy", {}),
        ("spec/backoffLimit", "3"),
        ("spec/template/spec/containers/0/env/0/valu", "x"),
        ("spec/template/spec/containers/0/env/0/value", 30),
    ],
)
def test_a_wrong_field_or_type_is_refused(path: str, value: object) -> None:
    """The check would notice: a misspelt field and a number for a text are refused."""
    broken = changed(job("claude-kubernetes"), path, value)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)
