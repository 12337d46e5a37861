"""An image's labels: where it comes from, for people and for registries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import ConfigurationError
from .bundled import SDK

OCI = "org.opencontainers.image."
"""The prefix of the names that OCI's image specification defines ("Annotations")."""

OURS = "runner-shell."
"""The prefix of our own names."""

OWN_LICENCE = "Apache-2.0"
CLI_LICENCE = "LicenseRef-Claude-Code"
"""The vendor's terms, which SPDX lists no id for; see docs/explanation/claude-licence.md."""

_TITLE = "runner-shell/"

_FIELDS = {
    "version": f"{OCI}version",
    "description": f"{OCI}description",
    "revision": f"{OCI}revision",
    "source": f"{OCI}source",
    "base_name": f"{OCI}base.name",
    "base_digest": f"{OCI}base.digest",
    "adapter": f"{OURS}adapter",
    "framework": f"{OURS}framework",
    "cli": f"{OURS}cli",
    "python": f"{OURS}python",
}
"""The labels that are facts of a build as they stand."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?(-dirty)?")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a build.

    Attributes:
        image: Which image: `base`, `claude`, `langgraph`.
        version: Of runner-shell.
        created: When it says it was built, in seconds since 1970: the time of its sources, so that
            the same sources give the same image.
        description: One sentence.
        revision: The commit, with `-dirty` behind it where files differ from it.
        source: The repository's address.
        base_name: The reference of the image that it is built from.
        base_digest: That image's digest.
        adapter: The adapter's distribution and version, such as `runner-shell-claude 0.1.0`.
        framework: The same of the framework.
        cli: The version of the bundled CLI.
        python: The version of Python.
    """

    image: str
    version: str
    created: int
    description: str = ""
    revision: str = ""
    source: str = ""
    base_name: str = ""
    base_digest: str = ""
    adapter: str = ""
    framework: str = ""
    cli: str = ""
    python: str = ""


def labels(facts: Facts) -> dict[str, str]:
    """The labels of an image, sorted; what is not known has none.

    Source: OCI image specification, "Pre-Defined Annotation Keys".
    """
    has_cli = bool(facts.cli) or facts.framework.split(" ")[0] == SDK
    licences = [OWN_LICENCE, CLI_LICENCE] if has_cli else [OWN_LICENCE]
    values = {
        f"{OCI}title": f"{_TITLE}{facts.image}",
        f"{OCI}licenses": " AND ".join(licences),
        f"{OCI}created": rfc3339(facts.created),
        **{label: getattr(facts, name) for name, label in _FIELDS.items()},
    }
    return {name: value for name, value in sorted(values.items()) if value}


def read(found: Mapping[str, str]) -> Facts:
    """The facts that an image's labels tell; the reverse of `labels`.

    Raises:
        ConfigurationError: The image says no time of its build, or none that can be read.
    """
    created = found.get(f"{OCI}created", "")
    if not _is_time(created):
        raise ConfigurationError(f"the image's label {OCI}created is no time: {created!r}")
    return Facts(
        image=found.get(f"{OCI}title", "").removeprefix(_TITLE),
        created=int(datetime.fromisoformat(created).timestamp()),
        **{name: found.get(label, "") for name, label in _FIELDS.items()},
    )


def problems(found: Mapping[str, str], expected: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with the labels of an image: a sentence each, none where all is well.

    Args:
        found: The labels that the image has.
        expected: Those it should have; without them only their form is looked at.
    """
    required = ("title", "version", "licenses", "created")
    wrong = [f"{OCI}{name} is missing" for name in required if not found.get(f"{OCI}{name}")]
    created = found.get(f"{OCI}created", "")
    if created and not _is_time(created):
        wrong.append(f"{OCI}created is no time of RFC 3339: {created!r}")
    digest = found.get(f"{OCI}base.digest", "")
    if digest and not _DIGEST.fullmatch(digest):
        wrong.append(f"{OCI}base.digest is no digest: {digest!r}")
    revision = found.get(f"{OCI}revision", "")
    if revision and not _COMMIT.fullmatch(revision):
        wrong.append(f"{OCI}revision is no commit: {revision!r}")
    wrong += [
        f"{name} is {found.get(name, '')!r} and should be {value!r}"
        for name, value in (expected or {}).items()
        if found.get(name) != value
    ]
    return wrong


def rfc3339(seconds: int) -> str:
    """A time as the labels and the SBOM write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
