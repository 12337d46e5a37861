"""Makes what an image is built from: wheels of this checkout, locked requirements, uv."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigurationError
from . import requirements
from .catalogue import BASE, Image
from .plan import context
from .project import Project

_FETCH_SECONDS = 300


def make(project: Project, image: Image, uv: str) -> Path:
    """Make an image's context anew and return its directory.

    Args:
        project: What the image is built from.
        image: Which.
        uv: The program that builds wheels and reads the lock file, on this machine.

    Raises:
        ConfigurationError: The lock file is out of date, a wheel cannot be built, or uv's own
            cannot be fetched.
    """
    directory = context(project, image)
    shutil.rmtree(directory, ignore_errors=True)
    wheel = _build_wheel(project, image, uv, directory / "wheels")
    wanted = _exported(project, image, uv)
    if image != BASE:
        wanted = requirements.beyond(wanted, _exported(project, BASE, uv))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = requirements.own(image.distribution, wheel.name.split("-")[1], digest)
    (directory / "requirements.txt").write_text(requirements.written([*wanted.values(), own]))
    if image == BASE:
        shutil.copy2(project.root / "images/base/install-locked", directory)
        _bring_uv(project, directory / "uv")
    return directory


def find_uv(root: Path, environment: Mapping[str, str]) -> str:
    """Where uv lies: named by `UV`, on the PATH, or brought into the checkout by `make setup`.

    Raises:
        ConfigurationError: Nowhere.
    """
    brought = [root / ".tools" / place / "uv" for place in ("venv/bin", "target/bin", "wheel")]
    places = [environment.get("UV", ""), shutil.which("uv") or "", *map(str, brought)]
    for place in places:
        if place and os.access(place, os.X_OK):
            return place
    raise ConfigurationError("uv is nowhere: install it, or run `make setup`, which brings it")


def _exported(project: Project, image: Image, uv: str) -> dict[str, str]:
    command = requirements.export_command(uv, image.distribution)
    return requirements.parse(_output(command, project, "the lock file cannot be read"))


def _build_wheel(project: Project, image: Image, uv: str, out: Path) -> Path:
    command = [uv, "build", "--quiet", "--wheel", "--package", image.distribution]
    _output([*command, "--out-dir", str(out)], project, f"{image.distribution} cannot be built")
    (out / ".gitignore").unlink(missing_ok=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def _output(command: Sequence[str], project: Project, problem: str) -> str:
    variables = {"SOURCE_DATE_EPOCH": str(project.epoch), "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        command,
        cwd=project.root,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"{problem}: {done.stderr.strip()}")
    return done.stdout


def _bring_uv(project: Project, program: Path) -> None:
    """Put the locked uv for Linux there; it is fetched once and checked each time."""
    wheel = requirements.uv_wheel((project.root / "uv.lock").read_text())
    kept = project.output / "cache" / wheel.file_name
    if not (kept.is_file() and _hash(kept) == wheel.sha256):
        kept.parent.mkdir(parents=True, exist_ok=True)
        _fetch(wheel.url, kept)
    if _hash(kept) != wheel.sha256:
        kept.unlink()
        raise ConfigurationError(f"{wheel.url} is not what was locked: its hash is another")
    with zipfile.ZipFile(kept) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        program.write_bytes(archive.read(name))
    program.chmod(0o755)


def _fetch(url: str, to: Path) -> None:
    part = to.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as answer, part.open("wb") as file:  # noqa: S310 — https, from the lock file
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, OSError) as error:
        raise ConfigurationError(f"{url} cannot be fetched: {error}") from error
    part.replace(to)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
