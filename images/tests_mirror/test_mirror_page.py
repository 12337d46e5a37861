"""The page on signing and mirroring is true: its commands run, with two real registries.

`make test-mirror` has the tools; a test takes `skopeo` and `docker-registry` from PATH.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import tutorial

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "sign-and-mirror-images.md").read_text()
TRIED, _, _ = PAGE.partition("## Let the cluster take the mirror")
IMAGE = "containers-storage:localhost/runner-shell/claude:0.1.0"
START_SECONDS = 60.0
"""Ends a hang; nothing is judged by it."""

CONFIGURATION = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "{address}"}}
log: {{level: error}}
"""


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """A registry at a free port; gives its address."""
    directory.mkdir()
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = directory / "registry.yml"
    configuration.write_text(CONFIGURATION.format(directory=directory / "data", address=address))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        with closing(socket.socket()) as client:
            if client.connect_ex((host, int(port))) == 0:
                return
        assert process.poll() is None, "the registry has ended"
        assert time.monotonic() < deadline, "the registry does not listen"
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory whose tools may speak to a registry without TLS."""
    home = tmp_path / "home"
    (home / ".config" / "containers" / "registries.d").mkdir(parents=True)
    return home


def _allow(home: Path, *addresses: str) -> None:
    entries = "".join(
        f'[[registry]]\nlocation = "{address}"\ninsecure = true\n' for address in addresses
    )
    (home / ".config" / "containers" / "registries.conf").write_text(entries)


def _image(home: Path, name: str) -> str:
    """An image of one file, as skopeo names it."""
    (home / f"{name}.txt").write_text(name)
    with tarfile.open(home / f"{name}.tar", "w") as layer:
        layer.add(home / f"{name}.txt", f"{name}.txt")
    return f"tarball:{name}.tar"


def test_the_page_does_what_it_says(tmp_path: Path, home: Path) -> None:
    """Signed as it is pushed, refused unsigned, mirrored and carried with one digest throughout."""
    with registry(tmp_path / "first") as first, registry(tmp_path / "second") as second:
        _allow(home, first, second)
        names = {
            "registry.example.org": first,
            "mirror.example.net": second,
            IMAGE: _image(home, "built"),
        }
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp_path)}
        with tutorial.Terminal(home, environment) as terminal:
            unsigned = f"docker://{first}/agents/unsigned:0.1.0"
            anything = "--insecure-policy copy --quiet"
            assert terminal.type(f"skopeo {anything} {_image(home, 'unsigned')} {unsigned}") == ""
            for step in tutorial.steps(_replaced(TRIED, names)):
                if isinstance(step, tutorial.WriteFile):
                    (home / step.name).write_text(step.text)
                    continue
                output = terminal.type(step.command)
                assert tutorial.prints(step.output, output), f"{step.command}\n{output}"
                told = "unsigned" in step.command
                assert ("level=fatal" in output) == told, output
            digest = (home / "digest").read_text()
            inspect = "skopeo inspect --format '{{.Digest}}' docker://"
            for place in ("agents/claude", "agents/carried/claude"):
                assert terminal.type(f"{inspect}{second}/{place}:0.1.0").strip() == digest.strip()


def test_another_key_is_refused(tmp_path: Path, home: Path) -> None:
    """A signature by another key is none, at the registry and at the mirror."""
    with registry(tmp_path / "first") as first:
        _allow(home, first)
        names = {"registry.example.org": first, IMAGE: _image(home, "built")}
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp_path)}
        with tutorial.Terminal(home, environment) as terminal:
            for step in tutorial.steps(_replaced(TRIED.partition("## Mirror")[0], names)):
                if isinstance(step, tutorial.WriteFile):
                    (home / step.name).write_text(step.text)
                else:
                    terminal.type(step.command)
            pull = f"skopeo copy docker://{first}/agents/claude:0.1.0 dir:pulled"
            assert "level=fatal" not in terminal.type(pull)
            terminal.type(
                "skopeo generate-sigstore-key --output-prefix b --passphrase-file passphrase"
            )
            terminal.type("mv b.pub agents.pub")
            assert "cryptographic signature verification failed" in terminal.type(pull)


def _replaced(text: str, names: dict[str, str]) -> str:
    for name, real in names.items():
        assert name in text
        text = text.replace(name, real)
    return text
