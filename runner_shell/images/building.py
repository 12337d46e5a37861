"""Carries a plan out: contexts, builds, and what is written about each image afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tarfile import TarInfo
from typing import Any

import msgspec

from ..errors import ConfigurationError
from . import context, debian_base, inspection, lock, sbom, sizes
from .archive import ImageArchive
from .catalogue import BASE, BUILD, IMAGES, Image, reference
from .engine import Building, Engine
from .labels import Facts, labels
from .lock import Lock
from .plan import Build, plan
from .project import Project
from .requirements import normalised

Say = Callable[[str], None]

DEBIAN = "debian"
"""In place of an image's name: make the base from Debian's packages."""

AUTO = "auto"
"""In place of an image's name: the Containerfile's choice if it can be pulled, else `debian`."""


class BuildFailed(Exception):
    """The engine said no; it has said why, to stderr."""


def build(
    project: Project,
    images: Sequence[Image],
    engine: Engine,
    how: Building,
    *,
    tag: str = "",
    base_image: str = "",
    say: Say,
) -> None:
    """Build images and write down what is in each, in `build/images/NAME`.

    Args:
        project: What they are made from.
        images: Which, the base first where it is among them.
        engine: What builds.
        how: How each is built.
        tag: Their tag; the project's version unless given.
        base_image: What the base stands on: an image, `debian` or `auto`; the Containerfile's own
            choice unless given.
        say: Told each step, for a person.

    Raises:
        ConfigurationError: Something that is needed is missing or wrong.
        BuildFailed: A build failed.
    """
    _check_builder(engine)
    tag = tag or project.version
    base_image = _base(project, engine, base_image, say)
    stands_on = base_image or default_base(project.containerfile(BASE.name).read_text())
    locked = lock.parse((project.root / "uv.lock").read_text())
    digest = _digest(engine, stands_on)
    uv = context.find_uv(project.root, os.environ)
    for image in images:
        say(f"{image.name}: wheels and locked requirements")
        context.make(project, image, uv)
    builds = plan(
        project,
        images,
        tag=tag,
        labels=lambda image: labels(facts(project, image, locked, stands_on, digest)),
        base_image=base_image,
    )
    for one in builds:
        say(f"{one.name}: {one.tags[0]}")
        _carry_out(engine, one, how)
        if one.name != BUILD:
            describe(project, one, engine, locked)


def facts(project: Project, image: Image, locked: Lock, stands_on: str, digest: str) -> Facts:
    """What is known of an image before it is built.

    Args:
        project: What it is made from.
        image: Which.
        locked: What it installs.
        stands_on: What the base stands on.
        digest: The digest of that.
    """
    framework = image.framework and f"{image.framework} {locked.package(image.framework).version}"
    return Facts(
        image=image.name,
        version=project.version,
        created=project.epoch,
        description=image.title,
        revision=project.revision,
        source=project.source,
        base_name=stands_on,
        base_digest=digest,
        adapter=image.adapter and f"{image.distribution} {project.version}",
        framework=framework,
    )


def describe(project: Project, one: Build, engine: Engine, locked: Lock) -> None:
    """Write what an image consists of to its folder: layers, sizes, bill of materials.

    Args:
        project: What it was made from, and where the folder is.
        one: Its build.
        engine: What keeps it.
        locked: What it was installed from.
    """
    folder = project.output / one.name
    wheels = {
        normalised(path.name.partition("-")[0]): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.output.glob("*/context/wheels/*.whl")
    }
    with saved(engine, one.tags[0]) as image:
        found = rows(image)
        layers = image.layers
        bill = sbom.document(inspection.subject(image, locked, wheels=wheels))
    (folder / "labels.json").write_text(json.dumps(dict(sorted(one.labels.items())), indent=2))
    (folder / "layers.json").write_text(json.dumps(layers, indent=2))
    (folder / "size.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
    (folder / "sbom.cdx.json").write_text(bill)


@contextmanager
def saved(engine: Engine, image: str) -> Iterator[ImageArchive]:
    """An image as it is kept, to be read while the block runs.

    Raises:
        BuildFailed: There is no such image.
    """
    with tempfile.TemporaryDirectory(prefix="runner-shell-image-") as directory:
        archive = Path(directory) / "image.tar"
        _run(engine.save(image, archive))
        with ImageArchive(archive) as opened:
            yield opened


def built(project: Project, engine: Engine, tag: str = "") -> Iterator[tuple[Image, str, str]]:
    """The images that are there, each with its reference and its id."""
    for image in IMAGES:
        name = reference(image.name, tag or project.version)
        done = subprocess.run(engine.identify(name), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            yield image, name, done.stdout.strip().removeprefix("sha256:")


def summary(project: Project, image: Image, name: str, id: str) -> dict[str, Any]:
    """What `images list` says of an image; what was written down counts only for this very one."""
    folder = project.output / image.name
    iid = folder / "iid"
    if not (iid.is_file() and iid.read_text().strip().removeprefix("sha256:") == id):
        return {"image": name, "id": id, "megabytes": None, "revision": ""}
    taken = msgspec.json.decode((folder / "size.json").read_bytes(), type=list[sizes.Row])
    said = json.loads((folder / "labels.json").read_text())
    megabytes = round(sizes.total(taken) / sizes.MEGABYTE)
    revision = said.get("org.opencontainers.image.revision", "")
    return {"image": name, "id": id, "megabytes": megabytes, "revision": revision}


def rows(image: ImageArchive) -> list[sizes.Row]:
    """What takes how much of each layer of a saved image."""
    files: list[sizes.Sized] = []
    ledgers: dict[str, str] = {}
    for number in range(len(image.layers)):
        with image.layer(number) as layer:
            for member in filter(TarInfo.isreg, layer):
                path = f"/{member.name.removeprefix('./').lstrip('/')}"
                files.append(sizes.Sized(number, path, member.size))
                stream = layer.extractfile(member) if sizes.is_ledger(path) else None
                if stream is not None:
                    ledgers[path] = stream.read().decode(errors="replace")
    return sizes.rows(files, ledgers)


def _check_builder(engine: Engine) -> None:
    command = engine.builder()
    if command and subprocess.run(command, capture_output=True, check=False).returncode:
        raise ConfigurationError(
            f"{engine.program} cannot build images without its buildx plug-in: install that "
            "(docker-buildx-plugin of Docker's packages, docker-buildx of a distribution's), or "
            "name another engine with --engine"
        )


def _base(project: Project, engine: Engine, wanted: str, say: Say) -> str:
    """What the base is to stand on; empty for the Containerfile's own choice."""
    if wanted == AUTO:
        choice = default_base(project.containerfile(BASE.name).read_text())
        if subprocess.run(engine.pull(choice), capture_output=True, check=False).returncode == 0:
            return ""
        say(f"{choice} cannot be pulled")
        wanted = DEBIAN
    return _debian(project, engine, say) if wanted == DEBIAN else wanted


def _digest(engine: Engine, image: str) -> str:
    """The digest of what the base stands on: named, or as it is kept here; else empty."""
    named = image.rpartition("@")[2] if "@sha256:" in image else ""
    if named:
        return named
    done = subprocess.run(engine.digest(image), capture_output=True, text=True, check=False)
    found = done.stdout.strip()
    return found if done.returncode == 0 and found.startswith("sha256:") else ""


def default_base(containerfile: str) -> str:
    """What a Containerfile stands on unless told otherwise.

    Raises:
        ConfigurationError: It does not say.
    """
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", containerfile, re.MULTILINE)
    if found is None:
        raise ConfigurationError("images/base/Containerfile has no ARG BASE_IMAGE=…")
    return found[1]


def _debian(project: Project, engine: Engine, say: Say) -> str:
    name = debian_base.image()
    say(f"{name}: from Debian's packages")
    with tempfile.TemporaryDirectory(prefix="runner-shell-debian-") as directory:
        archive = Path(directory) / "root.tar"
        mirror = os.environ.get("DEBIAN_MIRROR", "")
        _run(debian_base.command(archive, mirror=mirror), SOURCE_DATE_EPOCH=str(project.epoch))
        _run(engine.adopt(archive, name))
    return name


def _carry_out(engine: Engine, one: Build, how: Building) -> None:
    one.iid_file.parent.mkdir(parents=True, exist_ok=True)
    _run(engine.build(one, how))


def _run(command: Sequence[str], **variables: str) -> None:
    """Run a command whose output is for the person who waits."""
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            env={**os.environ, **variables},
        )
    except FileNotFoundError:
        raise ConfigurationError(
            f"{command[0]} is not installed: `make system-deps` does"
        ) from None
    except subprocess.CalledProcessError as error:
        raise BuildFailed(f"{' '.join(command[:2])} failed with code {error.returncode}") from None
