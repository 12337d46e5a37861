"""Bring uv into `.tools/` and print the path of its executable.

Needs a Python 3.11 and nothing else. In this order: uv on the PATH; a virtual environment and its
pip; the system's pip (where a system Python lacks ensurepip); the wheel fetched from the package
index by the simple JSON interface (where there is no pip at all).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / ".tools"
MINIMUM = (0, 9)


def main() -> int:
    """Print the path of a usable uv; 1 when every way failed."""
    for way in (already_there, on_path, by_venv, by_system_pip, by_index):
        try:
            uv = way()
        except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            print(f"bootstrap: {way.__name__} did not work: {error}", file=sys.stderr)
            continue
        if uv is not None and recent_enough(uv):
            print(uv)
            return 0
    print(
        "bootstrap: could not get uv. Install it (see its documentation) so that `uv` is on the "
        "PATH, then run make again.",
        file=sys.stderr,
    )
    return 1


def already_there() -> Path | None:
    """The uv that an earlier run brought."""
    for candidate in (TOOLS / "venv/bin/uv", TOOLS / "target/bin/uv", TOOLS / "wheel/uv"):
        if candidate.exists():
            return candidate
    return None


def on_path() -> Path | None:
    """A uv that the person installed."""
    found = shutil.which("uv")
    return Path(found) if found else None


def by_venv() -> Path | None:
    """The ordinary way: `python -m venv`, then pip."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", TOOLS / "venv"], check=True, **QUIET)
    subprocess.run([TOOLS / "venv/bin/pip", "install", "--quiet", "uv"], check=True, **QUIET)
    return TOOLS / "venv/bin/uv"


def by_system_pip() -> Path | None:
    """Where `venv` cannot install pip: the interpreter's own pip, into a folder."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        TOOLS / "target",
        "uv",
    ]
    subprocess.run(command, check=True, **QUIET)
    return TOOLS / "target/bin/uv"


def by_index() -> Path | None:
    """Where there is no pip: the wheel itself, checked against the index's hash."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or DEFAULT_INDEX
    request = urllib.request.Request(  # noqa: S310 — the index is https or the person's own choice
        f"{index.rstrip('/')}/uv/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        files = json.load(response)["files"]
    machine = platform.machine()
    system = {"Linux": "manylinux", "Darwin": "macosx"}[platform.system()]
    wheels = [f for f in files if system in f["filename"] and machine in f["filename"]]
    if not wheels:
        raise LookupError(f"no uv wheel for {system} on {machine}")
    wheel = wheels[-1]
    with urllib.request.urlopen(wheel["url"], timeout=300) as response:  # noqa: S310
        content = response.read()
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        raise ValueError("the downloaded wheel does not match the index's hash")
    target = TOOLS / "wheel"
    target.mkdir(parents=True, exist_ok=True)
    archive = target / "uv.whl"
    archive.write_bytes(content)
    with zipfile.ZipFile(archive) as opened:
        name = next(n for n in opened.namelist() if n.endswith("/scripts/uv"))
        (target / "uv").write_bytes(opened.read(name))
    (target / "uv").chmod(0o755)
    archive.unlink()
    return target / "uv"


def recent_enough(uv: Path) -> bool:
    """Whether this uv understands the project's settings."""
    printed = subprocess.run([uv, "--version"], check=True, capture_output=True, text=True).stdout
    numbers = printed.split()[1].split(".")
    return (int(numbers[0]), int(numbers[1])) >= MINIMUM


DEFAULT_INDEX = "https://pypi.org/simple"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

if __name__ == "__main__":
    sys.exit(main())
