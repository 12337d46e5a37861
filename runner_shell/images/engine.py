"""The program that builds, keeps and runs images: podman, buildah or docker. Command lines only."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError
from .plan import Build

ENGINES = ("podman", "buildah", "docker")
"""In the order in which they are looked for: a docker that is installed may have no daemon."""


class Building(NamedTuple):
    """How every build is made.

    Attributes:
        cached: Whether layers of earlier builds may be taken.
        ca_file: Certificates to trust while packages are fetched; not in the image.
        options: More options for the engine's `build`, as they are.
    """

    cached: bool = True
    ca_file: Path | None = None
    options: tuple[str, ...] = ()


class Engine(NamedTuple):
    """One engine.

    Attributes:
        name: `podman`, `buildah` or `docker`.
        program: Where it lies.
    """

    name: str
    program: str

    def builder(self) -> list[str]:
        """The command that fails where what builds is missing; empty if the engine itself does."""
        return [self.program, "buildx", "version"] if self.name == "docker" else []

    def build(self, build: Build, how: Building) -> list[str]:
        """The command that builds an image."""
        command = [self.program, *self._reproducibly(build.epoch)]
        command += ["--file", str(build.containerfile), "--iidfile", str(build.iid_file)]
        if build.target:
            command += ["--target", build.target]
        for tag in build.tags:
            command += ["--tag", tag]
        for name, value in sorted(build.arguments.items()):
            command += ["--build-arg", f"{name}={value}"]
        for name, value in sorted(build.labels.items()):
            command += ["--label", f"{name}={value}"]
        if how.ca_file is not None:
            command += ["--secret", f"id=ca,src={how.ca_file}"]
        if not how.cached:
            command.append("--no-cache")
        return [*command, *how.options, str(build.context)]

    def _reproducibly(self, epoch: int) -> list[str]:
        if self.name == "docker":
            # By its full name: `docker build` may be the older builder, which knows no secrets.
            # What BuildKit adds beside the image holds the time of the build.
            return [
                *("buildx", "build", "--load", "--provenance=false"),
                *("--build-arg", f"SOURCE_DATE_EPOCH={epoch}"),
            ]
        # Docker's format, because OCI's has no place for a health command.
        return ["build", "--format", "docker", "--layers", "--timestamp", str(epoch)]

    def save(self, image: str, archive: Path) -> list[str]:
        """The command that writes an image to a file, as `archive` reads it."""
        if self.name == "buildah":
            return [self.program, "push", "--quiet", image, f"docker-archive:{archive}:{image}"]
        if self.name == "docker":
            return [self.program, "save", "--output", str(archive), image]
        return [
            *(self.program, "save", "--quiet", "--format", "docker-archive"),
            *("--output", str(archive), image),
        ]

    def adopt(self, archive: Path, image: str) -> list[str]:
        """The command that makes an image of a file system's tar archive.

        Raises:
            ConfigurationError: This engine cannot.
        """
        if self.name == "buildah":
            raise ConfigurationError("buildah cannot import a file system: use podman or docker")
        quiet = [] if self.name == "docker" else ["--quiet"]
        return [self.program, "import", *quiet, str(archive), image]

    def pull(self, image: str) -> list[str]:
        """The command that fetches an image from its registry."""
        return [self.program, "pull", "--quiet", image]

    def identify(self, image: str) -> list[str]:
        """The command that prints an image's id; it fails where there is no such image."""
        if self.name == "buildah":
            return [
                self.program,
                "inspect",
                "--type",
                "image",
                "--format",
                "{{.FromImageID}}",
                image,
            ]
        return [self.program, "image", "inspect", "--format", "{{.Id}}", image]

    def digest(self, image: str) -> list[str]:
        """The command that prints the digest by which an image that is here can be named."""
        if self.name == "docker":  # which knows one only of what came from a registry
            return [self.program, "image", "inspect", "--format", "{{.Id}}", image]
        kind = ["inspect", "--type", "image"] if self.name == "buildah" else ["image", "inspect"]
        form = "{{.FromImageDigest}}" if self.name == "buildah" else "{{.Digest}}"
        return [self.program, *kind, "--format", form, image]

    def run(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs a container.

        Raises:
            ConfigurationError: This engine only builds.
        """
        if self.name == "buildah":
            raise ConfigurationError("buildah only builds: running an image needs podman or docker")
        return [self.program, "run", *arguments]


def find_engine(wanted: str = "", which: Callable[[str], str | None] = shutil.which) -> Engine:
    """The engine that is there.

    Args:
        wanted: One of `ENGINES`, or a path to one; the first that is installed unless given.
        which: Where a program lies.

    Raises:
        ConfigurationError: It is not there, or none is.
    """
    if wanted and Path(wanted).name not in ENGINES:
        raise ConfigurationError(f"there is no engine {wanted!r}: {', '.join(ENGINES)}")
    for candidate in (wanted,) if wanted else ENGINES:
        program = which(candidate)
        if program is not None:
            return Engine(Path(candidate).name, program)
    if wanted:
        raise ConfigurationError(f"{wanted} is not installed")
    raise ConfigurationError(f"none of {', '.join(ENGINES)} is installed: `make system-deps` does")
