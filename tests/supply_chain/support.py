"""Saved images and locks, made by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner_shell.images.contents import Contents, contents
from runner_shell.images.labels import Facts
from runner_shell.images.lock import parse
from runner_shell.images.sbom import Subject
from runner_shell.images.target import Target

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "uv.lock"

SITE = "opt/runner-shell/lib/python3.13/site-packages"
EXECUTABLE = f"{SITE}/claude_agent_sdk/_bundled/claude"
WHEEL_HASH = "c" * 64
TARGET = Target("3.13.5", "x86_64", (2, 41))
FACTS = Facts(
    image="claude",
    version="0.1.0",
    created=1_764_547_200,
    description="runner-shell with Claude Code",
    revision="a" * 40,
    base_name="docker.io/library/python:3.13-slim",
    base_digest=f"sha256:{'b' * 64}",
    adapter="runner-shell-claude 0.1.0",
    framework="claude-agent-sdk 0.2.189",
)

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.41-12
Description: GNU C Library
 indented: text, which is no field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libpam0g
Status: install ok installed
Architecture: amd64
Source: pam (1.7.0-5)
Version: 1.7.0-5+b1
"""

OS_RELEASE = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="13"\n'


def metadata(name: str, version: str, *more: str) -> bytes:
    """A `METADATA` file."""
    return "\n".join(
        ("Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more)
    ).encode()


def image_files(**more: bytes) -> dict[str, bytes]:
    """What the files of a small Claude image say."""
    return {
        "var/lib/dpkg/status": STATUS.encode(),
        "usr/lib/os-release": OS_RELEASE.encode(),
        "opt/runner-shell/pyvenv.cfg": b"home = /usr/bin\nversion_info = 3.13.5\n",
        f"{SITE}/runner_shell-0.1.0.dist-info/METADATA": metadata(
            "runner-shell", "0.1.0", "License-Expression: Apache-2.0"
        ),
        f"{SITE}/claude_agent_sdk-0.2.189.dist-info/METADATA": metadata(
            "claude-agent-sdk", "0.2.189", "License: MIT"
        ),
        f"{SITE}/claude_agent_sdk/_cli_version.py": b'__cli_version__ = "2.1.332"\n',
        EXECUTABLE: b"\x7fELF",
        **more,
    }


def image_contents(**more: bytes) -> Contents:
    """What such an image holds; of the CLI the hash is known."""
    return contents(image_files(**{EXECUTABLE: b"d" * 64, **more}))


def subject(**more: bytes) -> Subject:
    """A small Claude image, with our own lock."""
    closure = parse(LOCK.read_text()).closure(["runner-shell-claude"], TARGET.markers())
    return Subject(
        facts=FACTS,
        contents=image_contents(**more),
        locked=closure,
        target=TARGET,
        wheels={"runner-shell": WHEEL_HASH},
    )


def tar(files: Mapping[str, bytes]) -> bytes:
    """A layer with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def config(layers: Sequence[bytes], **inner: Any) -> dict[str, Any]:
    """An image's configuration document."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        "history": [{"created_by": "/bin/sh -c true"}],
    }


def docker_archive(
    path: Path, layers: Sequence[Mapping[str, bytes]], document: Mapping[str, Any] | None = None
) -> Path:
    """What `docker save` writes."""
    packed = [tar(layer) for layer in layers]
    described = json.dumps({**config(packed), **(document or {})}).encode()
    names = [f"{number}/layer.tar" for number in range(len(packed))]
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]
    files = dict(zip(names, packed, strict=True))
    path.write_bytes(
        tar({"manifest.json": json.dumps(manifest).encode(), "config.json": described, **files})
    )
    return path


def oci_archive(
    path: Path,
    layers: Sequence[Mapping[str, bytes]],
    document: Mapping[str, Any] | None = None,
    *,
    nested: bool = False,
) -> Path:
    """What `podman save --format oci-archive` writes; nested, as `docker save` does by now."""
    packed = [tar(layer) for layer in layers]
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, str]:
        digest = _digest(content)
        blobs[f"blobs/{digest.replace(':', '/')}"] = content
        return {"digest": digest}

    described = blob(json.dumps({**config(packed), **(document or {})}).encode())
    zipped = [blob(gzip.compress(layer, mtime=0)) for layer in packed]
    manifest = blob(json.dumps({"config": described, "layers": zipped}).encode())
    if nested:
        manifest = blob(json.dumps({"manifests": [manifest, {"digest": "sha256:absent"}]}).encode())
    path.write_bytes(tar({"index.json": json.dumps({"manifests": [manifest]}).encode(), **blobs}))
    return path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
