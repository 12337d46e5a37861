"""The CLI's environment: only what it needs. Pure.

The SDK hands the runner's whole environment to the CLI, and the CLI to every tool; its options can
blank a variable but not take it out, and a blank `GIT_DIR` or `GIT_SSL_CAINFO` breaks git. So the
CLI is started by a script of two lines that takes them out, which holds names and no values.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

_NAMES = frozenset(
    {
        "ALL_PROXY",
        "AWS_CA_BUNDLE",
        "COLORTERM",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "IS_SANDBOX",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "NODE_EXTRA_CA_CERTS",
        "NO_PROXY",
        "PATH",
        "PIP_CERT",
        "PWD",
        "REQUESTS_CA_BUNDLE",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)

_PREFIXES = ("ANTHROPIC_", "CLAUDE_CODE_", "DISABLE_", "LC_", "XDG_")

_PROVIDERS = {
    "CLAUDE_CODE_USE_VERTEX": ("GOOGLE_", "CLOUD_ML_", "VERTEX_", "GCLOUD_", "CLOUDSDK_"),
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_",),
}
"""What a provider's own client reads, where that provider is in use."""

_RUNNERS_OWN = frozenset({"CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"})


def removed(environ: Mapping[str, str], passed: Iterable[str]) -> list[str]:
    """The variables that the CLI is not to have.

    Args:
        environ: The runner's environment.
        passed: Names that the CLI and its tools are to have too.
    """
    allowed = _NAMES | set(passed)
    prefixes = _PREFIXES + tuple(
        prefix
        for switch, prefixes in _PROVIDERS.items()
        if is_on(environ.get(switch))
        for prefix in prefixes
    )
    return sorted(
        name
        for name in environ
        if name in _RUNNERS_OWN
        or not (name in allowed or name.upper() in _NAMES or name.startswith(prefixes))
    )


def starter(cli: Path, without: Iterable[str]) -> str:
    """A script that runs a CLI without these variables."""
    unset = " ".join(f"-u {shlex.quote(name)}" for name in without)
    return f'#!/bin/sh\nexec env {unset} {shlex.quote(str(cli))} "$@"\n'


def is_on(value: str | None) -> bool:
    """Whether a switch's variable switches it on."""
    return (value or "").strip().lower() in ("1", "true", "yes", "on")
