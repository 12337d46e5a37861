"""What the pages on images and on Claude Code's licence say is so."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from runner_shell.images import audit
from runner_shell.images.labels import CLI_LICENCE, Facts, labels
from runner_shell.images.vulnerabilities import COULD_NOT_ASK, FOUND, NONE_KNOWN, ignored_from_toml

from .support import ROOT, docker_archive

CHECK = (ROOT / "docs/how-to/check-an-image.md").read_text()
LICENCE = (ROOT / "docs/explanation/claude-licence.md").read_text()
SDK = distribution("claude-agent-sdk")
CHUNK = 1 << 24


def unwrapped(text: str) -> str:
    """Without links' addresses and line ends."""
    return " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).split())


def quotes(start: str) -> list[str]:
    """What the page quotes in the row of its table that begins so."""
    (row,) = (line for line in LICENCE.splitlines() if line.startswith(f"| {start}"))
    return re.findall(r'"([^"]{20,})"', row)


def test_the_sdk_says_what_the_page_quotes() -> None:
    """The readme in the installed wheel has the quoted sentence, and its code is under MIT."""
    (quote,) = quotes("the SDK's readme")
    assert quote in unwrapped(str(SDK.metadata.get_payload()))
    assert SDK.metadata["License"] == "MIT"
    assert (SDK.read_text("licenses/LICENSE") or "").startswith("MIT License")


def test_the_executable_says_what_the_page_quotes() -> None:
    """The notice that the page quotes stands in the bundled executable."""
    (quote,) = quotes("`claude_agent_sdk/_bundled/claude`")
    executable = Path(str(SDK.locate_file("claude_agent_sdk/_bundled/claude")))
    rest, found = b"", False
    with executable.open("rb") as stream:
        while not found and (chunk := stream.read(CHUNK)):
            found = quote.encode() in rest + chunk
            rest = chunk[-len(quote) :]
    assert found


def test_nothing_beside_the_executable_is_a_licence_of_its_own() -> None:
    """The page says that the wheel has no licence beside it; a day it has, the page is wrong."""
    named = [str(file) for file in SDK.files or () if "licen" in str(file).lower()]
    assert [name for name in named if "_bundled" in name] == []
    assert len(named) == 1


def test_every_label_is_on_the_page() -> None:
    """The page names each label that an image can have, and no other."""
    facts: dict[str, Any] = {one.name: "x" for one in fields(Facts)} | {"created": 0}
    section = CHECK.partition("## Labels and versions")[2].partition("\nWhat is not known")[0]
    named = set()
    for row in section.splitlines():
        first = row.partition("|")[2].partition("|")[0]
        if heading := re.search(r"`([\w.-]+\.)` …", first):
            prefix = heading[1]
        else:
            named |= {prefix + name for name in re.findall(r"`([\w.]+)`", first)}
    assert named == set(labels(Facts(**facts)))
    assert f"`{CLI_LICENCE}`" in CHECK
    assert CLI_LICENCE in LICENCE


def test_the_exit_codes_are_the_audit_s() -> None:
    """The page's table has each exit code, and no other."""
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", CHECK, re.MULTILINE)}
    assert codes == {NONE_KNOWN, FOUND, COULD_NOT_ASK, audit.BAD_CONFIGURATION}


def test_the_example_of_an_entry_is_one() -> None:
    """The entry that the page shows can be read."""
    (text,) = re.findall(r"```toml\n(.*?)```", CHECK, re.DOTALL)
    (entry,) = ignored_from_toml(text, "page")
    assert entry.package == "example"


def test_known_values_are_found_as_shown(tmp_path: Path) -> None:
    """The page's function finds a build's own credential in an image, and only there."""
    (code,) = re.findall(r"```python\n(.*?)```", CHECK, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "check-an-image.md", "exec"), names)  # noqa: S102 — our own document
    image = docker_archive(tmp_path / "image.tar", [{"etc/x": b"a-build-s-own-credential"}])
    (found,) = names["findings"](image, MIRROR="a-build-s-own-credential")
    assert found.startswith("MIRROR in sha256:")
    assert found.endswith(": etc/x")
    assert names["findings"](image, MIRROR="another-credential") == []
