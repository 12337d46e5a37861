"""Which versions are in an image: what `/opt/runner-shell/versions.json` says.

`python -m runner_shell.images.versions`, with the Python of an environment, prints what that holds.
It needs the standard library only, so that it runs in any of the images.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution, version

from .bundled import SDK, VERSION_FILE, cli_version

FILE = "/opt/runner-shell/versions.json"
"""Where the document lies in an image."""


def document(
    image: str,
    found: Mapping[str, str],
    *,
    adapter: str = "",
    framework: str = "",
    cli: str = "",
    python: str = "",
) -> str:
    """The versions that matter when somebody asks what ran, as JSON.

    What is not known is left out; the same always reads the same.

    Args:
        image: Which image: `base`, `claude`, `langgraph`.
        found: Versions of installed distributions by normalised name.
        adapter: Name of the adapter's distribution; empty in the base.
        framework: Name of its framework's.
        cli: The bundled CLI's version.
        python: The Python's version.

    Raises:
        KeyError: A distribution is not among those found.
    """
    value = {
        "image": image,
        "runner-shell": found["runner-shell"],
        "adapter": {"name": adapter, "version": found[adapter]} if adapter else None,
        "framework": {"name": framework, "version": found[framework]} if framework else None,
        "cli": cli,
        "python": python,
    }
    return json.dumps({key: item for key, item in value.items() if item}, indent=2) + "\n"


def _bundled_cli() -> str:
    """The version of the CLI in this environment; empty without one."""
    try:
        text = distribution(SDK).read_text(f"../{VERSION_FILE}")
    except PackageNotFoundError:
        return ""
    return cli_version(text or "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the document for this environment; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner_shell.images.versions")
    parser.add_argument("image", help="base, claude, langgraph, or another's name")
    parser.add_argument("--adapter", default="", help="the adapter's distribution")
    parser.add_argument("--framework", default="", help="its framework's distribution")
    given = vars(parser.parse_args(arguments))
    names = filter(None, ("runner-shell", given["adapter"], given["framework"]))
    try:
        found = {name: version(name) for name in names}
    except PackageNotFoundError as error:
        print(f"versions: {error.name} is not installed here", file=sys.stderr)
        return 2
    about = {"cli": _bundled_cli(), "python": platform.python_version()}
    print(document(found=found, **about, **given), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
