"""Which images there are, and what they promise to whoever runs or extends them."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ConfigurationError

UID, GID = 10001, 0
"""Who an image runs as; a platform may choose another uid, never another group."""

PREFIX = "/opt/runner-shell"
"""Where the environment lies that everything is installed into."""

APP = "/app"
"""The working directory, from which graphs are imported: part of the image, never of a volume."""

WORKSPACE, STATE, SCRATCH = "/workspace", "/state", "/tmp"  # noqa: S108 — the container's own
"""What may be written; each is a volume or a tmpfs where the root file system is read-only."""

TERMINATION_LOG = "/dev/termination-log"

ENTRYPOINT = ("/usr/bin/env", "--block-signal=TERM,INT", "python", "-m", "runner_shell")
"""No init stands before the guardian: see docs/decisions/0060."""

HEALTH_COMMAND = ("python", "-m", "runner_shell.control")
STOP_SIGNAL = "SIGTERM"

REPOSITORY = "runner-shell"
"""What stands before an image's name."""


class Image(NamedTuple):
    """One image.

    Attributes:
        name: Its name behind `runner-shell/`, and its directory in `images/`.
        distribution: The distribution whose locked closure it holds.
        title: What it is, in a few words.
        adapter: The adapter that it starts unless told otherwise; none in the base.
        framework: The distribution that the adapter is for.
    """

    name: str
    distribution: str
    title: str
    adapter: str = ""
    framework: str = ""


BASE = Image("base", "runner-shell", "runner-shell: the shell and git")

IMAGES: tuple[Image, ...] = (
    BASE,
    Image(
        name="claude",
        distribution="runner-shell-claude",
        title="runner-shell with Claude Code",
        adapter="claude",
        framework="claude-agent-sdk",
    ),
    Image(
        name="langgraph",
        distribution="runner-shell-langgraph",
        title="runner-shell with LangGraph",
        adapter="langgraph",
        framework="langgraph",
    ),
)

BUILD = "build"
"""The name of the image that packages are added with: a stage of the base's Containerfile."""


def chosen(names: tuple[str, ...] | list[str]) -> tuple[Image, ...]:
    """The images of these names in the order of their builds, the base first; all for none.

    Raises:
        ConfigurationError: There is no such image.
    """
    known = {image.name for image in IMAGES}
    problems = [
        f"there is no image {name!r}: {', '.join(sorted(known))}"
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigurationError(*problems)
    return tuple(image for image in IMAGES if not names or image.name in names)


def reference(name: str, tag: str) -> str:
    """How an image is called: `runner-shell/base:0.1.0`."""
    return f"{REPOSITORY}/{name}:{tag}"
