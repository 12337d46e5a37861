"""Which builds are made, in which order, with what; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from .catalogue import BASE, BUILD, Image, reference
from .project import Project

Labels = Callable[[Image], Mapping[str, str]]


class Build(Struct, frozen=True, kw_only=True):
    """One image to be built.

    Attributes:
        name: The image's name; `build` for the one that packages are added with.
        containerfile: What says how.
        context: The directory whose files it may copy.
        target: The stage to build.
        tags: What the image is called afterwards.
        arguments: Build arguments.
        labels: What the image says of itself.
        iid_file: Where its id is written.
        epoch: The time that its files and it bear, in seconds since 1970.
    """

    name: str
    containerfile: Path
    context: Path
    target: str = ""
    tags: tuple[str, ...]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    iid_file: Path
    epoch: int


def plan(
    project: Project,
    images: Sequence[Image],
    *,
    tag: str,
    labels: Labels,
    base_image: str = "",
) -> tuple[Build, ...]:
    """The builds that make these images, each after those that it stands on.

    Args:
        project: What they are made from.
        images: Which, the base first where it is among them.
        tag: Their tag; an adapter's image stands on the base of the same tag.
        labels: What an image says of itself.
        base_image: What the base stands on; the Containerfile's own choice unless given.
    """
    builds: list[Build] = []
    for image in images:
        if image == BASE:
            given = {"SOURCE_DATE_EPOCH": str(project.epoch)}
            given |= {"BASE_IMAGE": base_image} if base_image else {}
            builds += [_build(project, image, tag, labels, given, stage) for stage in (BUILD, "")]
        else:
            given = {
                "RUNNER_BASE": reference(BASE.name, tag),
                "RUNNER_BUILD": reference(BUILD, tag),
            }
            builds.append(_build(project, image, tag, labels, given))
    return tuple(builds)


def context(project: Project, image: Image) -> Path:
    """The directory whose files an image's build may copy."""
    return project.output / image.name / "context"


def _build(
    project: Project,
    image: Image,
    tag: str,
    labels: Labels,
    arguments: Mapping[str, str],
    stage: str = "",
) -> Build:
    name = stage or image.name
    return Build(
        name=name,
        containerfile=project.containerfile(image.name),
        context=context(project, image),
        target=stage,
        tags=(reference(name, tag),),
        arguments=arguments,
        labels=labels(image),
        iid_file=project.output / name / "iid",
        epoch=project.epoch,
    )
