"""What Anthropic's API itself says of the key and the models that are set.

Asked only on demand: it takes the package `anthropic`, which a runner does not import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from runner_shell import ConfigurationError, NotSupported

from .environment import is_on
from .settings import ClaudeSettings

if TYPE_CHECKING:
    from anthropic import Anthropic, APIStatusError
    from anthropic.types import ModelInfo

API = "https://api.anthropic.com"
SECONDS = 8.0
"""How long one request may take; it is sent a second time where that may help."""

_ALIASES = frozenset({"best", "default", "fable", "haiku", "inherit", "opus", "opusplan", "sonnet"})
"""What Claude Code itself makes a model's name of."""


class Wanted(NamedTuple):
    """A model that is set.

    Attributes:
        variable: Where.
        name: Its name, as the API knows it.
    """

    variable: str
    name: str


def ask(settings: ClaudeSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """Every problem, a sentence each, that the API has with the key and the models.

    Args:
        settings: What is set.
        environ: The runner's environment.

    Raises:
        ConfigurationError: The package `anthropic` is missing.
        NotSupported: What is set is nothing that this API could be asked about.
    """
    _look_whether_to_ask(settings, environ)
    try:
        import anthropic
    except ImportError:
        raise ConfigurationError(
            "looking at the key and the model online takes the package anthropic: install "
            "runner-shell-claude[online]"
        ) from None
    url = settings.anthropic_base_url or API
    with _client(settings, environ) as client:
        try:
            there = {model.id: model for model in client.models.list(limit=1000)}
            yield from _missing(wanted(settings, environ), there, client, url)
        except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
            yield f"{_credentials(settings, environ)}: {url} answered {_said(error)}"
        except anthropic.NotFoundError as error:
            raise NotSupported(f"{url} has no list of models to look at") from error
        except anthropic.APIStatusError as error:
            yield f"ANTHROPIC_BASE_URL: {url} answered {_said(error)}: ask again later"
        except anthropic.APIConnectionError as error:
            cause = error.__cause__ or error
            yield (
                f"ANTHROPIC_BASE_URL: {url} cannot be reached ({cause}): is this its base URL, "
                "and does the network let it through?"
            )


def wanted(settings: ClaudeSettings, environ: Mapping[str, str]) -> list[Wanted]:
    """The models that are set, with the names that the API knows. Pure.

    Args:
        settings: What is set.
        environ: The runner's environment.
    """
    found = [Wanted("CLAUDE_OPTIONS", str(settings.options.get("model") or ""))]
    if not found[0].name:
        variable = "CLAUDE_MODEL" if environ.get("CLAUDE_MODEL") else "LLM_MODEL"
        found = [Wanted(variable, settings.model)]
    if not found[0].name:
        found = [Wanted("ANTHROPIC_MODEL", environ.get("ANTHROPIC_MODEL", ""))]
    fallbacks = settings.fallback_model.split(",")
    found += [Wanted("CLAUDE_FALLBACK_MODEL", name) for name in fallbacks]
    for agent in settings.agents.values():
        found.append(Wanted("CLAUDE_AGENTS", str(agent.get("model") or "")))
    return [one for each in found if (one := _resolved(each, environ)).name]


def _resolved(given: Wanted, environ: Mapping[str, str]) -> Wanted:
    """Without what only Claude Code understands: its aliases, and the mark of a long context."""
    name = _plain(given.name)
    if name.lower() not in _ALIASES:
        return given._replace(name=name)
    variable = f"ANTHROPIC_DEFAULT_{name.upper()}_MODEL"
    return Wanted(variable, _plain(environ.get(variable, "")))


def _plain(name: str) -> str:
    return name.strip().removesuffix("[1m]")


def _look_whether_to_ask(settings: ClaudeSettings, environ: Mapping[str, str]) -> None:
    """Look whether Claude Code itself would ask this API, by a key that is known here.

    Raises:
        NotSupported: It would not.
    """
    for provider in ("CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_BEDROCK"):
        if is_on(environ.get(provider)):
            raise NotSupported(f"{provider} is set, and only Anthropic's own API can be asked")
    if not _credentials(settings, environ):
        raise NotSupported(
            "neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TOKEN is set, and nothing else can be "
            "looked at: a subscription's token is for Claude Code alone"
        )


def _credentials(settings: ClaudeSettings, environ: Mapping[str, str]) -> str:
    """The names of the variables by which the API is asked; empty without one."""
    key = ["ANTHROPIC_API_KEY"] if settings.anthropic_api_key else []
    token = ["ANTHROPIC_AUTH_TOKEN"] if environ.get("ANTHROPIC_AUTH_TOKEN") else []
    return " and ".join(key + token)


def _client(settings: ClaudeSettings, environ: Mapping[str, str]) -> Anthropic:
    """A client that says what Claude Code would say: the key, the token, or both."""
    from anthropic import Anthropic

    given: dict[str, Any] = {}
    token = environ.get("ANTHROPIC_AUTH_TOKEN")
    if settings.anthropic_api_key is not None:
        given["api_key"] = settings.anthropic_api_key.get_secret_value()
        given["default_headers"] = {"Authorization": f"Bearer {token}"} if token else None
    else:
        given["auth_token"] = token
    url = settings.anthropic_base_url or API
    return Anthropic(base_url=url, timeout=SECONDS, max_retries=1, **given)


def _missing(
    several: list[Wanted], there: Mapping[str, ModelInfo], client: Anthropic, url: str
) -> Iterator[str]:
    """The models that are not there, or not any more."""
    from anthropic import NotFoundError

    for variable, name in dict.fromkeys(several):
        try:
            model = there.get(name) or client.models.retrieve(name)
        except NotFoundError:
            near = ", ".join(get_close_matches(name, there) or list(there)[:3])
            instead = f"; there is {near}" if near else ""
            yield f"{variable} is {name!r}, which {url} does not know{instead}"
            continue
        if getattr(model, "lifecycle", "") == "retired":  # which gateways do not tell
            yield f"{variable} is {name!r}, which was retired: take another model"


def _said(error: APIStatusError) -> str:
    """A status and what the API says of it."""
    match error.body:
        case {"error": {"message": str(message)}}:
            return f"{error.status_code}: {message}"
        case _:
            return str(error.status_code)
