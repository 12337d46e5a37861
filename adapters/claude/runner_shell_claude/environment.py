"""The CLI's environment: only what it needs. Pure.

The SDK hands the runner's whole environment to the CLI, and the CLI to every tool. A variable can
be blanked there but not taken out, so everything that is not on the list is blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_NAMES = frozenset(
    {
        "ALL_PROXY",
        "COLORTERM",
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


def blanked(environ: Mapping[str, str], passed: Iterable[str]) -> dict[str, str]:
    """The variables to blank, as the SDK's `env` option takes them.

    Args:
        environ: The runner's environment.
        passed: Names that the CLI and its tools are to have too.
    """
    allowed = _NAMES | set(passed)
    prefixes = _PREFIXES + tuple(
        prefix
        for switch, prefixes in _PROVIDERS.items()
        if _on(environ.get(switch))
        for prefix in prefixes
    )
    return {
        name: ""
        for name in environ
        if name in _RUNNERS_OWN
        or not (name in allowed or name.upper() in _NAMES or name.startswith(prefixes))
    }


def _on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")
