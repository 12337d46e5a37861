"""What the pages of the images say is what the Containerfiles and the code say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner_shell.images.catalogue import (
    APP,
    ENTRYPOINT,
    GID,
    HEALTH_COMMAND,
    IMAGES,
    PREFIX,
    SCRATCH,
    STATE,
    STOP_SIGNAL,
    TERMINATION_LOG,
    UID,
    WORKSPACE,
    Image,
)

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"


def page(name: str) -> str:
    """The page of an image."""
    return (REFERENCE / f"image-{name}.md").read_text()


def containerfile(name: str) -> str:
    """The Containerfile of an image, its lines joined."""
    text = (ROOT / "images" / name / "Containerfile").read_text().replace("\\\n", " ")
    return " ".join(text.split(" "))


def variables(name: str) -> dict[str, str]:
    """What an image's last stage sets."""
    last = containerfile(name).rpartition("\nFROM ")[2]
    (said,) = re.findall(r"^ENV (.*)$", last, re.MULTILINE)
    return dict(re.findall(r"(\w+)=(\S+)", said))


def test_the_base_s_page_says_what_the_code_says() -> None:
    """User, first process, signal, health command, places."""
    said = page("base")
    for fact in (
        f"`{UID}:{GID}`",
        "`env " + " ".join(ENTRYPOINT[1:]) + "`",
        f"`{STOP_SIGNAL}`",
        f"`{' '.join(HEALTH_COMMAND)}`",
        *(f"`{place}`" for place in (APP, WORKSPACE, STATE, SCRATCH, TERMINATION_LOG, PREFIX)),
    ):
        assert fact in said, fact


def test_the_base_s_page_has_every_variable() -> None:
    """Each `ENV` of the Containerfile, with its value; the path with its own part."""
    said = page("base")
    for name, value in variables("base").items():
        assert f"| `{name}` | `{value.partition(':')[0]}`" in said, name


@pytest.mark.parametrize("image", IMAGES[1:], ids=lambda image: image.name)
def test_an_adapter_s_page_names_its_adapter(image: Image) -> None:
    """What the image starts is what its page says, and what its Containerfile sets."""
    assert variables(image.name) == {"RUNNER_ADAPTER": image.adapter}
    assert f"`RUNNER_ADAPTER` is `{image.adapter}`" in page(image.name)


def test_the_containerfile_says_what_the_code_says() -> None:
    """Entry point, health command and user are written once for engines and once for tests."""
    text = containerfile("base")
    listed = ", ".join(f'"{one}"' for one in ENTRYPOINT)
    assert f"ENTRYPOINT [{listed}]" in text
    assert "CMD [" + ", ".join(f'"{one}"' for one in HEALTH_COMMAND) + "]" in text
    assert f"USER {UID}:{GID}" in text
    assert f"STOPSIGNAL {STOP_SIGNAL}" in text
    assert f"-o {UID} -g {GID} {WORKSPACE} {STATE}" in text


EXAMPLES = re.compile(r"^```dockerfile\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_how_to_extend_is_how_the_examples_do_it() -> None:
    """Each step of the page's Containerfiles that has an example's shape is the example's own."""
    blocks = EXAMPLES.findall((ROOT / "docs/how-to/extend-an-image.md").read_text())
    assert len(blocks) == 4
    graph = (ROOT / "docs/examples/langgraph_image/Containerfile").read_text()
    adapter = (ROOT / "docs/examples/adapter_image/Containerfile").read_text()
    for line in blocks[0].splitlines()[1:]:
        assert line in graph
    for line in ("USER 0", "USER 10001:0", "--mount=type=bind,from=build,source=/usr/local/bin/uv"):
        assert line in blocks[2]
        assert line in adapter
