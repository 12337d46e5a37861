"""Looks a saved image over: its labels, what is in it, and whether a secret is.

`python -m runner_shell.images.inspection IMAGE.tar` prints every problem and exits with 1 where
there is one; `--sbom FILE` writes the bill of materials. Nothing of the image is run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError
from . import debian, labels, lock, sbom
from .archive import ImageArchive
from .contents import ENVIRONMENT, Contents, contents_of
from .distributions import Distribution, differences
from .lock import Installed, Lock
from .secrets import Finding, Scanner
from .target import Target

CLEAN = 0
PROBLEMS = 1
BAD_CONFIGURATION = 2

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""What an image's configuration calls a machine, and what Python does."""


@dataclass(frozen=True)
class Inspection:
    """What was seen.

    Attributes:
        labels: What is wrong with them.
        differences: How the environment differs from the lock.
        findings: What looks like a secret.
        sbom: The bill of materials.
    """

    labels: tuple[str, ...]
    differences: tuple[str, ...]
    findings: tuple[Finding, ...]
    sbom: str

    def problems(self) -> Iterator[str]:
        """Every problem, a line each."""
        yield from (f"label: {one}" for one in self.labels)
        yield from (f"package: {one}" for one in self.differences)
        yield from (f"secret: {one.what} in {one.where}" for one in self.findings)


def inspect(
    image: ImageArchive,
    locked: Lock | None = None,
    *,
    scanner: Scanner | None = None,
    wheels: Mapping[str, str] | None = None,
) -> Inspection:
    """Look a saved image over.

    Args:
        image: The image.
        locked: What it was installed from; without it no differences are looked for, and the bill
            of materials has neither origins nor needs.
        scanner: What looks for secrets; one with the package's own rules by default.
        wheels: SHA-256 of our own wheels by distribution.

    Raises:
        ConfigurationError: The image has no labels to tell when it was built.
    """
    seen = subject(image, locked, wheels=wheels)
    closure = seen.locked
    ours = _ours(seen.contents)
    return Inspection(
        tuple(labels.problems(_labels(image))),
        differences(closure, ours) if locked is not None else (),
        tuple((scanner or Scanner()).image(image)),
        sbom.document(seen),
    )


def subject(
    image: ImageArchive, locked: Lock | None = None, *, wheels: Mapping[str, str] | None = None
) -> sbom.Subject:
    """What a bill of materials is made from; no secrets are looked for.

    Args:
        image: The image.
        locked: What it was installed from; without it the bill has neither origins nor needs.
        wheels: SHA-256 of our own wheels by distribution.

    Raises:
        ConfigurationError: The image has no labels to tell when it was built.
    """
    contents = contents_of(image)
    target = _target(image, contents)
    return sbom.Subject(
        facts=labels.read(_labels(image)),
        contents=contents,
        locked=_closure(locked, _ours(contents), target) if locked is not None else (),
        target=target,
        wheels=wheels or {},
    )


def _labels(image: ImageArchive) -> Mapping[str, str]:
    return image.config.get("config", {}).get("Labels") or {}


def _ours(contents: Contents) -> list[Distribution]:
    return [one for one in contents.distributions if one.place.startswith(ENVIRONMENT)]


def _target(image: ImageArchive, contents: Contents) -> Target:
    architecture: str = image.config.get("architecture", "amd64")
    return Target(
        contents.python or "3.11.0",
        _MACHINES.get(architecture, architecture),
        debian.glibc(contents.packages) or (2, 17),
    )


def _closure(locked: Lock, ours: Sequence[Distribution], target: Target) -> tuple[Installed, ...]:
    roots = lock.roots(locked, {one.name for one in ours})
    return locked.closure(roots, target.markers())


def main(arguments: Sequence[str] | None = None) -> int:
    """Inspect, report, and write what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner_shell.images.inspection")
    parser.add_argument("image", type=Path, help="a saved image")
    parser.add_argument("--lock", type=Path, help="the uv.lock it was installed from")
    parser.add_argument("--sbom", type=Path, help="where to write the bill of materials")
    given = parser.parse_args(arguments)
    try:
        locked = lock.parse(given.lock.read_text()) if given.lock else None
        with ImageArchive(given.image) as image:
            seen = inspect(image, locked)
        if given.sbom:
            given.sbom.write_text(seen.sbom)
    except (ConfigurationError, OSError) as error:
        print(f"inspection: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    problems = list(seen.problems())
    print(*problems or ["labels, packages and secrets: no problem"], sep="\n")
    return PROBLEMS if problems else CLEAN


if __name__ == "__main__":
    sys.exit(main())
