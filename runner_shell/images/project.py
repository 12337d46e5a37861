"""What the images are built from: the checkout, its version, and the time that its builds bear."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ..errors import ConfigurationError

INPUTS = ("adapters", "images", "pyproject.toml", "README.md", "runner_shell", "uv.lock")
"""What changes an image; a commit that touches nothing of it leaves the layers as they are."""

EARLIEST = 315_532_800
"""1980, the earliest time that a wheel can bear."""


class Project(Struct, frozen=True, kw_only=True):
    """What a build is made from.

    Attributes:
        root: The checkout.
        version: The version in `pyproject.toml`, which is the images' tag.
        revision: The commit, with `-dirty` behind it where something is not committed; or empty.
        epoch: The time in seconds since 1970 that every file and image bears.
        source: Where the source can be looked at; or empty.
        output: Where what a build leaves is written.
    """

    root: Path
    version: str
    revision: str
    epoch: int
    source: str = ""
    output: Path

    def containerfile(self, name: str) -> Path:
        """The Containerfile of an image."""
        return self.root / "images" / name / "Containerfile"


def read_project(
    root: Path,
    environment: Mapping[str, str],
    *,
    source: str = "",
    output: Path | None = None,
) -> Project:
    """Look at a checkout.

    The time is `SOURCE_DATE_EPOCH`, or that of the last commit that changed what an image is made
    of.

    Args:
        root: The checkout.
        environment: The variables, of which `SOURCE_DATE_EPOCH` counts.
        source: Where the source can be looked at.
        output: Where to write what a build leaves; `build/images` in the checkout unless given.

    Raises:
        ConfigurationError: It is none of this project, or the time is no number.
    """
    for needed in ("pyproject.toml", "uv.lock", "images/base/Containerfile"):
        if not (root / needed).is_file():
            raise ConfigurationError(
                f"{root} has no {needed}: images are built from a checkout of runner-shell; name "
                "one with --project"
            )
    metadata = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return Project(
        root=root,
        version=metadata["version"],
        revision=_revision(root),
        epoch=_epoch(root, environment),
        source=source,
        output=output or root / "build" / "images",
    )


def _epoch(root: Path, environment: Mapping[str, str]) -> int:
    given = environment.get("SOURCE_DATE_EPOCH", "")
    text = given or _git(root, "log", "-1", "--format=%ct", "--", *INPUTS)
    if not text:
        return EARLIEST
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(
            f"SOURCE_DATE_EPOCH is {given!r}: must be whole seconds since 1970"
        )
    return max(int(text), EARLIEST)


def _revision(root: Path) -> str:
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *INPUTS)
    return f"{commit}-dirty" if commit and changed else commit


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing where there is no git, or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
