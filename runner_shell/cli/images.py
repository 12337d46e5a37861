"""`runner-shell images`: build, look at and list the container images."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigurationError
from .options import Json

if TYPE_CHECKING:
    from ..images.engine import Engine
    from ..images.project import Project

images = typer.Typer(help="Build, test and list the container images.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(help="base, claude, langgraph; all unless given.")
]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="podman, buildah or docker.", show_default="the first there is"),
]
Checkout = Annotated[
    Path, typer.Option("--project", help="The checkout of runner-shell.", show_default=".")
]
Tag = Annotated[str, typer.Option(help="The images' tag.", show_default="the project's version")]

HERE = Path()


@images.command()
def build(
    names: Names = None,
    base_image: Annotated[
        str,
        typer.Option(
            help="What the base stands on: an image, `debian` to make one from Debian's packages, "
            "or `auto` for that where the Containerfile's own choice cannot be pulled.",
            show_default="the Containerfile's own",
        ),
    ] = "",
    engine: EngineName = "",
    tag: Tag = "",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take no layer of before.")] = False,
    ca_file: Annotated[
        str,
        typer.Option(
            help="PEM file of certificates to trust while packages are fetched. [SSL_CERT_FILE]",
            show_default=False,
        ),
    ] = "",
    build_option: Annotated[
        list[str] | None,
        typer.Option(
            help="One more option for the engine's `build`; may be given several times. "
            "[IMAGES_BUILD_OPTIONS]",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="URL of the source, for a label.", show_default=False)
    ] = "",
    project: Checkout = HERE,
    output: Annotated[
        str,
        typer.Option(
            help="Where to write what is in each image.", show_default="the checkout's build/images"
        ),
    ] = "",
) -> None:
    """Build the images, and write down what is in each.

    The same checkout, on the same base, makes the same layers. 1 if a build fails.
    """
    import shlex

    building = _building()
    from ..images.catalogue import chosen
    from ..images.engine import Building

    certificates = ca_file or os.environ.get("SSL_CERT_FILE", "")
    options = shlex.split(os.environ.get("IMAGES_BUILD_OPTIONS", ""))
    how = Building(
        cached=not no_cache,
        ca_file=Path(certificates).absolute() if certificates else None,
        options=(*options, *(build_option or ())),
    )
    found = _engine(engine)
    try:
        building.build(
            _project(project, source, output),
            chosen(names or []),
            found,
            how,
            tag=tag,
            base_image=base_image,
            say=lambda text: typer.echo(text, err=True),
        )
    except building.BuildFailed as error:
        typer.echo(f"runner-shell: {error}", err=True)
        raise typer.Exit(1) from None


@images.command("test")
def look(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names, or references such as registry.example/mine:1; all of ours."),
    ] = None,
    engine: EngineName = "",
    tag: Tag = "",
    project: Checkout = HERE,
) -> None:
    """Run built images confined, with a gateway on this machine; 1 if something is wrong.

    Each as its own uid and as one that it does not know, with a read-only root file system and
    without capabilities.
    """
    import asyncio

    from ..images.catalogue import IMAGES, reference

    found = _engine(engine)
    wanted = names or [image.name for image in IMAGES]
    ours = {image.name for image in IMAGES} & set(wanted)
    tag = tag or (_project(project).version if ours else "")
    wrong = 0
    for name in wanted:
        image = reference(name, tag) if name in ours else name
        wrong += asyncio.run(_test(found, image))
    raise typer.Exit(1 if wrong else 0)


@images.command("list")
def list_images(
    engine: EngineName = "", tag: Tag = "", project: Checkout = HERE, json_lines: Json = False
) -> None:
    """List the images that are built: id, size, and what is written down of each."""
    import json

    building = _building()
    at = _project(project)
    rows = [building.summary(at, *one) for one in building.built(at, _engine(engine), tag)]
    for row in rows:
        if json_lines:
            typer.echo(json.dumps(row))
        else:
            size = f"{row['megabytes']} MB" if row["megabytes"] else "size not written down"
            typer.echo(f"{row['image']:<32}  {row['id'][:12]}  {size:>10}  {row['revision'][:12]}")


async def _test(engine: Engine, image: str) -> int:
    """Print what was found, and return how much is wrong."""
    from ..images.checks import check

    typer.echo(image)
    wrong = 0
    async for checked in check(engine, image):
        wrong += bool(checked.problem)
        said = f": {checked.problem}" if checked.problem else ""
        typer.echo(f"  {'wrong' if checked.problem else 'ok':<5}  {checked.what}{said}")
    return wrong


def _building() -> ModuleType:
    try:
        from ..images import building
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"images need {error.name}: install `runner-shell[images]`"
        ) from error
    return building


def _engine(name: str) -> Engine:
    from ..images.engine import find_engine

    return find_engine(name)


def _project(root: Path, source: str = "", output: str = "") -> Project:
    from ..images.project import read_project

    out = Path(output).absolute() if output else None
    return read_project(root.absolute(), os.environ, source=source, output=out)
