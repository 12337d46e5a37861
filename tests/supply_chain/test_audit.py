"""The audit with pip-audit itself, against a service on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

FINDING = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "summary": "It is bad.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "bad"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}

KNOWN = {("bad", "1.0"): [FINDING]}


@contextmanager
def osv(known: Mapping[tuple[str, str], Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A service that answers as OSV does: its address, and what it was asked."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = (query["package"]["name"], query["version"])
            asked.append(key)
            found = known.get(key)
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lock(folder: Path, *packages: tuple[str, str]) -> Path:
    """A lock with these packages, and one of our own."""
    text = 'version = 1\n[[package]]\nname = "own"\nversion = "1"\nsource = { editable = "." }\n'
    for name, version in packages:
        text += f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
    path = folder / "uv.lock"
    path.write_text(text)
    return path


def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner_shell.images.audit", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_is_known_is_found(tmp_path: Path) -> None:
    """Each locked version is asked about; what is known is named, with its fix: 1."""
    locked = lock(tmp_path, ("bad", "1.0"), ("bad", "1.1"), ("good", "2.0"))
    with osv(KNOWN) as (url, asked):
        done = audit("--lock", locked, "--service", "osv", "--osv-url", url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "bad 1.0: PYSEC-2026-1 CVE-2026-1 (fixed in 1.1) It is bad.",
        "1 found, 0 ignored, 2 packages with none known, 0 not asked about",
    ]
    assert sorted(asked) == [("bad", "1.0"), ("bad", "1.1"), ("good", "2.0")]


def test_nothing_known(tmp_path: Path) -> None:
    """Where the service knows nothing: 0."""
    with osv({}) as (url, _):
        done = audit("--lock", lock(tmp_path, ("good", "2")), "--service", "osv", "--osv-url", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 packages with none known, 0 not asked" in done.stdout


def test_what_is_ignored(tmp_path: Path) -> None:
    """An entry of the list lets a vulnerability pass until its day, and is shown: 0."""
    ignored = tmp_path / "ignored.toml"
    ignored.write_text(
        '[[ignored]]\nid = "CVE-2026-1"\nreason = "Not called."\nuntil = 9999-12-31\n'
    )
    locked = lock(tmp_path, ("bad", "1.0"))
    with osv(KNOWN) as (url, _):
        options = ("--service", "osv", "--osv-url", url, "--ignored", ignored)
        done = audit("--lock", locked, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ignored until 9999-12-31: bad 1.0" in done.stdout
    assert "Not called." in done.stdout


def test_nobody_there_is_not_nothing_known(tmp_path: Path) -> None:
    """Where the service cannot be reached, it is said of every package: 75."""
    with osv({}) as (url, _):
        pass  # its port is closed again
    locked = lock(tmp_path, *((name, "1") for name in ("a", "b", "c", "d", "e")))
    done = audit("--lock", locked, "--service", "osv", "--osv-url", url)
    assert done.returncode == 75, done.stdout + done.stderr
    assert "could not ask about a, b, c:" in done.stdout
    assert "0 packages with none known, 5 not asked about" in done.stdout


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--lock", "version = 9", "format 9"),
        ("--lock", None, "No such file"),
        ("--ignored", '[[ignored]]\nid = "x"\n', "'reason' is missing"),
    ],
)
def test_what_cannot_be_read(option: str, content: str | None, said: str, tmp_path: Path) -> None:
    """A lock or list that cannot be read ends it before anything is asked: 2."""
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    others = {"--lock": lock(tmp_path), "--ignored": tmp_path / "none"} | {option: path}
    done = audit(*(word for pair in others.items() for word in pair))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
