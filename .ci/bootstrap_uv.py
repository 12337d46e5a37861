"""Bring uv into `.tools/` and print the path of its executable.

Needs a Python 3.11 and nothing else. In this order: uv on the PATH; a virtual environment and its
pip; the system's pip (where a system Python lacks ensurepip); the wheel fetched from the package
index (where there is no pip at all).
"""

from __future__ import annotations

import hashlib
import html.parser
import os
import platform
import shutil
import subprocess
import sys
import urllib.parse
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
    page = f"{index.rstrip('/')}/uv/"
    links = Links()
    links.feed(fetch(page).decode())
    system = {"Linux": "manylinux", "Darwin": "macosx"}[platform.system()]
    wheels = [link for link in links.found if system in link and platform.machine() in link]
    if not wheels:
        raise LookupError(f"no uv wheel for {system} on {platform.machine()}")
    address, _, expected = max(wheels, key=version).partition("#sha256=")
    content = fetch(urllib.parse.urljoin(page, address))
    if hashlib.sha256(content).hexdigest() != expected:
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


class Links(html.parser.HTMLParser):
    """Collects the files of an index page: the interface that every index has (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link leads."""
        self.found.extend(value for name, value in attrs if tag == "a" and name == "href" and value)


def fetch(address: str) -> bytes:
    """What lies at an address; it is https, or the person's own choice of an index."""
    request = urllib.request.Request(address, headers={"Accept": "text/html"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=300) as response:  # noqa: S310
        content: bytes = response.read()
    return content


def version(link: str) -> tuple[int, ...]:
    """The version in a wheel's name; nothing for a pre-release."""
    number = link.rpartition("/")[2].split("-")[1]
    return tuple(map(int, number.split("."))) if number.replace(".", "").isdigit() else ()


def recent_enough(uv: Path) -> bool:
    """Whether this uv understands the project's settings."""
    printed = subprocess.run([uv, "--version"], check=True, capture_output=True, text=True).stdout
    numbers = printed.split()[1].split(".")
    return (int(numbers[0]), int(numbers[1])) >= MINIMUM


DEFAULT_INDEX = "https://pypi.org/simple"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

if __name__ == "__main__":
    sys.exit(main())
