"""Carries a plan out: contexts, builds, and what is written about each image afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigurationError
from . import context, debian_base, sizes
from .catalogue import BASE, BUILD, IMAGES, Image, reference
from .engine import Building, Engine
from .plan import Build, plan
from .project import Project
from .saved import SavedImage

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
    tag = tag or project.version
    base_image = _base(project, engine, base_image, say)
    stands_on = base_image or default_base(project.containerfile(BASE.name).read_text())
    uv = context.find_uv(project.root, os.environ)
    for image in images:
        say(f"{image.name}: wheels and locked requirements")
        context.make(project, image, uv)
    builds = plan(
        project,
        images,
        tag=tag,
        labels=lambda image: labels(project, image, stands_on),
        base_image=base_image,
    )
    for one in builds:
        say(f"{one.name}: {one.tags[0]}")
        _carry_out(engine, one, how)
        if one.name != BUILD:
            describe(project, one, engine)


def labels(project: Project, image: Image, stands_on: str) -> Mapping[str, str]:
    """What an image says of itself.

    Args:
        project: What it is made from.
        image: Which.
        stands_on: What the base stands on.

    Source: OCI image specification, "Pre-Defined Annotation Keys".
    """
    created = datetime.fromtimestamp(project.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {
        "title": reference(image.name, "").rstrip(":"),
        "description": image.title,
        "version": project.version,
        "revision": project.revision,
        "source": project.source,
        "licenses": "Apache-2.0",
        "created": created,
        "base.name": stands_on,
    }
    return {f"org.opencontainers.image.{name}": value for name, value in said.items() if value}


def describe(project: Project, one: Build, engine: Engine) -> None:
    """Write what an image consists of to `build/images/NAME`: its layers and their sizes."""
    folder = project.output / one.name
    with saved(engine, one.tags[0]) as image:
        files, ledgers = _files(image)
        layers = image.layers
    found = sizes.rows(files, ledgers)
    (folder / "labels.json").write_text(json.dumps(dict(sorted(one.labels.items())), indent=2))
    (folder / "layers.json").write_text(json.dumps(layers, indent=2))
    (folder / "size.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))


@contextmanager
def saved(engine: Engine, image: str) -> Iterator[SavedImage]:
    """An image as it is kept, to be read while the block runs.

    Raises:
        BuildFailed: There is no such image.
    """
    with tempfile.TemporaryDirectory(prefix="runner-shell-image-") as directory:
        archive = Path(directory) / "image.tar"
        _run(engine.save(image, archive))
        with SavedImage(archive) as opened:
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
    rows = msgspec.json.decode((folder / "size.json").read_bytes(), type=list[sizes.Row])
    said = json.loads((folder / "labels.json").read_text())
    megabytes = round(sizes.total(rows) / sizes.MEGABYTE)
    revision = said.get("org.opencontainers.image.revision", "")
    return {"image": name, "id": id, "megabytes": megabytes, "revision": revision}


def _files(image: SavedImage) -> tuple[list[sizes.Sized], dict[str, str]]:
    files = [
        sizes.Sized(entry.layer, entry.path, entry.info.size)
        for entry in image.entries()
        if entry.info.isreg()
    ]
    return files, image.texts(sizes.is_ledger)


def _base(project: Project, engine: Engine, wanted: str, say: Say) -> str:
    """What the base is to stand on; empty for the Containerfile's own choice."""
    if wanted == AUTO:
        choice = default_base(project.containerfile(BASE.name).read_text())
        if subprocess.run(engine.pull(choice), capture_output=True, check=False).returncode == 0:
            return ""
        say(f"{choice} cannot be pulled")
        wanted = DEBIAN
    return _debian(project, engine, say) if wanted == DEBIAN else wanted


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
