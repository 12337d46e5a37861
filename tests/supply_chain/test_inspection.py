"""A saved image is looked over as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.images.archive import ImageArchive
from runner_shell.images.inspection import Inspection, inspect
from runner_shell.images.labels import labels
from runner_shell.images.lock import Lock, parse

from .support import FACTS, SITE, config, docker_archive, image_files, metadata, oci_archive, tar

LOCK_TEXT = """
version = 1
[[package]]
name = "runner-shell"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "claude-agent-sdk" }]
[[package]]
name = "claude-agent-sdk"
version = "0.2.189"
source = { registry = "x" }
sdist = { url = "https://example.org/claude_agent_sdk-0.2.189.tar.gz", hash = "sha256:aa" }
"""


@pytest.fixture
def lock() -> Lock:
    return parse(LOCK_TEXT)


def save(path: Path, files: dict[str, bytes], **inner: Any) -> Path:
    """An image of one layer with good labels, and more configuration."""
    document = config([tar(files)], **{"Labels": labels(FACTS), **inner})
    return docker_archive(path, [files], document)


def look(path: Path, lock: Lock | None = None) -> Inspection:
    with ImageArchive(path) as image:
        return inspect(image, lock)


def test_an_image_in_order(tmp_path: Path, lock: Lock) -> None:
    """An image that holds what its lock says, with labels and without a secret, has no problem."""
    seen = look(save(tmp_path / "image.tar", image_files()), lock)
    assert list(seen.problems()) == []
    names = {one["name"] for one in json.loads(seen.sbom)["components"]}
    assert names == {"libc6", "libpam0g", "debian", "python", "claude-code", "runner-shell",
                     "claude-agent-sdk"}  # fmt: skip


def test_every_kind_of_problem(tmp_path: Path, lock: Lock) -> None:
    """A package besides the lock, a wrong version, a bad label and a secret are all told."""
    files = image_files()
    del files[f"{SITE}/claude_agent_sdk-0.2.189.dist-info/METADATA"]
    files[f"{SITE}/sdk-2.dist-info/METADATA"] = metadata("claude-agent-sdk", "2")
    files[f"{SITE}/more-1.dist-info/METADATA"] = metadata("more", "1")
    bad = labels(FACTS) | {"org.opencontainers.image.revision": "main"}
    path = save(tmp_path / "image.tar", files, Labels=bad, Env=["A_TOKEN=abc"])
    assert list(look(path, lock).problems()) == [
        "label: org.opencontainers.image.revision is no commit: 'main'",
        "package: claude-agent-sdk is locked at 0.2.189 and installed at 2",
        "package: more is installed and not locked",
        "secret: A_TOKEN in Env",
    ]


def test_what_is_missing_is_told(tmp_path: Path, lock: Lock) -> None:
    """A locked package that is not installed is told."""
    files = image_files()
    del files[f"{SITE}/claude_agent_sdk-0.2.189.dist-info/METADATA"]
    seen = look(save(tmp_path / "image.tar", files), lock)
    assert seen.differences == ("claude-agent-sdk is locked and not installed",)


def test_what_the_base_image_brings_is_listed_and_no_difference(tmp_path: Path, lock: Lock) -> None:
    """Packages outside of our environment are in the bill of materials; the lock is not theirs."""
    files = image_files()
    files["usr/local/lib/python3.13/site-packages/pip-26.dist-info/METADATA"] = metadata(
        "pip", "26"
    )
    seen = look(save(tmp_path / "image.tar", files), lock)
    assert seen.differences == ()
    assert '"pkg:pypi/pip@26"' in seen.sbom


def test_without_a_lock_there_are_no_differences(tmp_path: Path) -> None:
    """An image that somebody built on ours is looked over without a lock."""
    files = image_files() | {f"{SITE}/more-1.dist-info/METADATA": metadata("more", "1")}
    seen = look(save(tmp_path / "image.tar", files))
    assert list(seen.problems()) == []
    assert '"pkg:pypi/more@1"' in seen.sbom


def test_both_forms_have_the_same_bill_of_materials(tmp_path: Path, lock: Lock) -> None:
    """How an image was saved changes nothing in its bill of materials."""
    document = config([tar(image_files())], Labels=labels(FACTS))
    paths = [
        save_as(tmp_path / f"{number}.tar", [image_files()], document)
        for number, save_as in enumerate((docker_archive, oci_archive))
    ]
    assert len({look(path, lock).sbom for path in paths}) == 1


def test_an_image_without_labels_is_told(tmp_path: Path) -> None:
    """An image that does not say when it was built is refused: its document would have no time."""
    with pytest.raises(ConfigurationError, match="created is no time"):
        look(save(tmp_path / "image.tar", image_files(), Labels=None))


def test_the_command(tmp_path: Path) -> None:
    """It writes the bill of materials and ends with 0, or 1 for a problem, or 2 for no image."""
    lock, bill = tmp_path / "uv.lock", tmp_path / "sbom.cdx.json"
    lock.write_text(LOCK_TEXT)
    good = command(save(tmp_path / "good.tar", image_files()), "--lock", lock, "--sbom", bill)
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(bill.read_text())["bomFormat"] == "CycloneDX"
    bad = command(save(tmp_path / "bad.tar", image_files(), Env=["A_TOKEN=abc"]))
    assert (bad.returncode, bad.stdout) == (1, "secret: A_TOKEN in Env\n")
    none = command(lock)
    assert (none.returncode, none.stdout) == (2, "")
    assert "cannot be read as a saved image" in none.stderr


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner_shell.images.inspection", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
