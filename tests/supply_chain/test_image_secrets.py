"""No secret is in an image: not in its configuration, not in its history, not in any layer."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_shell.images.archive import ImageArchive
from runner_shell.images.secrets import CREDENTIAL_FILES, Allowed, Finding, Scanner
from runner_shell.redaction.rules import DEFAULT_RULES

from .support import docker_archive, image_files, tar

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"  # invented
SECRET = "correct-horse-battery-staple"
CHUNK = 1 << 20


def in_file(content: bytes, path: str = "opt/thing", **options: Any) -> list[str]:
    """What is found in a file."""
    with tarfile.open(fileobj=io.BytesIO(tar({path: content}))) as layer:
        return [one.what for one in Scanner(**options).layer("layer", layer)]


def in_configuration(**config: Any) -> list[Finding]:
    """What is found in a configuration."""
    return sorted(Scanner({"KNOWN": SECRET}).configuration(config))


@pytest.mark.parametrize(
    "rule", [rule for rule in DEFAULT_RULES if not rule.context], ids=lambda rule: rule.name
)
def test_each_format_is_found_in_a_file(rule: Any) -> None:
    """Whatever redaction knows by its format is found in a file, in every example of its rule."""
    assert [example for example in rule.examples if not in_file(example.encode())] == []


@settings(deadline=None, max_examples=15)
@given(st.integers(1, len(TOKEN)))
def test_a_token_over_two_reads_is_found(before: int) -> None:
    """Files are read in pieces, and what lies across two of them is found all the same."""
    content = b"\n" * (CHUNK - before) + TOKEN.encode() + b"\n"
    assert in_file(content) == ["GITHUB_TOKEN"]


def test_a_token_in_a_binary_is_found() -> None:
    """Bytes that are no text hide nothing."""
    assert in_file(bytes(range(256)) + b"\xff" + TOKEN.encode() + b"\x00\xfe") == ["GITHUB_TOKEN"]


def test_a_known_value_is_found_in_any_usual_form() -> None:
    """A value that must not be there is found as it is, and in Base64, whatever its format."""
    known = {"BUILD": SECRET}
    assert in_file(f"x {SECRET} y".encode(), known=known) == ["BUILD"]
    assert in_file(b"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==", known=known) == ["BUILD"]
    assert in_file(SECRET.encode()) == []


def test_a_placeholder_is_no_secret() -> None:
    """What was redacted is not found again, nor does it hide what stands beside it."""
    assert in_file(b"[REDACTED:GITHUB_TOKEN]") == []
    assert in_file(f"[REDACTED:GITHUB_TOKEN] {TOKEN}".encode()) == ["GITHUB_TOKEN"]
    assert in_file(b"\n" * (CHUNK - 9) + b"[REDACTED:GITHUB_TOKEN]") == []


def test_how_a_placeholder_is_cut_changes_nothing() -> None:
    """One that lies across two reads, the beginning of a known value besides, is no finding."""
    known = {"ODD": "abc[REDACTED:GITHUB_KEYS"}
    assert in_file(b"\n" * (CHUNK - 12) + b"abc[REDACTED:GITHUB_TOKEN]\n", known=known) == []


@pytest.mark.parametrize(
    "rule", [rule for rule in DEFAULT_RULES if rule.context], ids=lambda rule: rule.name
)
def test_code_is_no_secret(rule: Any) -> None:
    """What goes by the words around a value counts in settings and labels, and not in code."""
    name = rule.name.replace("-", "_").upper()
    for example in rule.examples:
        assert name not in in_file(example.encode())
        assert name in in_file(example.encode(), "etc/pip.conf")
        found = in_configuration(config={"Labels": {"x": example}})
        assert name in {one.what for one in found}


@pytest.mark.parametrize("pattern", CREDENTIAL_FILES)
def test_a_credential_file_is_found_by_its_name(pattern: str) -> None:
    """A file that holds credentials by its nature is found, unless it is empty."""
    path = pattern.lstrip("/").replace("*/", "root/").replace("*", "x")
    assert in_file(b"machine x", path) == ["CREDENTIAL_FILE"]
    assert in_file(b"", path) == []


def test_what_is_allowed_is_not_found() -> None:
    """A finding with a reason is none, at its path and of its kind only."""
    allowed = [Allowed("opt/*", "GITHUB_TOKEN", "an example")]
    assert in_file(TOKEN.encode(), allowed=allowed) == []
    assert in_file(TOKEN.encode(), "srv/thing", allowed=allowed) == ["GITHUB_TOKEN"]
    key = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n"
    assert in_file(TOKEN.encode() + b"\n" + key, allowed=allowed) == ["PRIVATE_KEY"]


@pytest.mark.parametrize(
    ("config", "where", "what"),
    [
        ({"config": {"Env": ["PATH=/bin", "MY_API_KEY=abcdef"]}}, "Env", "MY_API_KEY"),
        ({"config": {"Env": [f"HARMLESS={TOKEN}"]}}, "Env", "GITHUB_TOKEN"),
        ({"config": {"Labels": {"note": SECRET}}}, "Labels", "KNOWN"),
        ({"config": {"Cmd": ["run", "--token", TOKEN]}}, "Cmd", "GITHUB_TOKEN"),
        ({"config": {"Healthcheck": {"Test": [SECRET]}}}, "Healthcheck", "KNOWN"),
        (
            {"history": [{"created_by": "x"}, {"created_by": "|1 NPM_TOKEN=abc /bin/sh -c npm i"}]},
            "history 2",
            "NPM_TOKEN",
        ),
        ({"history": [{"created_by": f"RUN curl -H 'X: {TOKEN}'"}]}, "history 1", "GITHUB_TOKEN"),
        ({"history": [{"comment": SECRET}]}, "history 1", "KNOWN"),
    ],
)
def test_a_secret_in_the_configuration_is_found(config: Any, where: str, what: str) -> None:
    """Environment, labels, commands, arguments of the build and comments are all looked at."""
    assert Finding(where, what) in in_configuration(**config)


def test_a_clean_configuration() -> None:
    """What an image says that has none is not found: empty values, variables, files, mounts."""
    config = {
        "config": {
            "Env": ["BOT_TOKEN_FILE=/run/token", "API_KEY=", "PATH=/usr/bin", "MAX_TOKENS=5"],
            "Labels": None,
            "Entrypoint": ["/usr/bin/tini", "--", "python", "-m", "runner_shell"],
            "ExposedPorts": {"8080/tcp": {}},
        },
        "history": [
            {"created_by": "RUN --mount=type=secret,id=ca NPM_TOKEN=$NPM_TOKEN npm ci"},
            {"created_by": 'ENV PASSWORD="${PASSWORD}"', "empty_layer": True},
        ],
    }
    assert in_configuration(**config) == []
    assert in_configuration() == []


def test_what_a_later_layer_deletes_is_found(tmp_path: Path) -> None:
    """A secret that is copied in and removed again is in the image, and is found in its layer."""
    layers = [{"root/key": TOKEN.encode()}, {"root/.wh.key": b""}]
    with ImageArchive(docker_archive(tmp_path / "image.tar", layers)) as image:
        (finding,) = Scanner().image(image)
        assert finding == Finding(f"{image.layers[0]}: root/key", "GITHUB_TOKEN")


def test_a_clean_image_has_no_finding(tmp_path: Path) -> None:
    """The files that an image of ours has are no finding."""
    with ImageArchive(docker_archive(tmp_path / "image.tar", [image_files()])) as image:
        assert Scanner().image(image) == []


def test_no_finding_holds_the_secret() -> None:
    """A finding says where and what, and can be printed anywhere."""
    findings = in_configuration(config={"Env": [f"A_TOKEN={TOKEN}"], "Labels": {"x": SECRET}})
    assert findings
    assert not [one for one in findings if TOKEN in repr(one) or SECRET in repr(one)]
