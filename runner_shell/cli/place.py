"""Where a command's gateway is and with which token it is asked; its refusals, by those names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from ..errors import (
    ConfigurationError,
    Refused,
    RemoteProtocolError,
    RunnerError,
    TransportBroken,
)
from ..shell.configuration.environment import Settings, read_given, read_token
from .options import in_options

if TYPE_CHECKING:
    from ..client import GatewayClient

T = TypeVar("T")

OURS = ("RUNNER_GATEWAY", "BOT_TOKEN_FILE", "BOT_TOKEN")


class Place(Struct, frozen=True, kw_only=True):
    """A gateway, and the token to ask it with.

    Attributes:
        settings: The gateway's URL and where the token is.
        url_from: The option or variable that named the gateway.
        token_from: The option or variable that brought the token.
    """

    settings: Settings
    url_from: str
    token_from: str

    def client(self, *, patience_seconds: float = 0.0) -> GatewayClient:
        """A client of this gateway, to be opened."""
        from ..client import GatewayClient

        return GatewayClient(
            self.settings.gateway,
            lambda: read_token(self.settings),
            patience_seconds=patience_seconds,
        )

    def problem(self, error: RunnerError) -> ConfigurationError:
        """What the gateway said, as a problem of the option that led there."""
        url = self.settings.gateway.rstrip("/")
        match error:
            case ConfigurationError():
                return error
            case Refused():
                name = self.token_from if error.code in (401, 403) else self.url_from
                return ConfigurationError(
                    f"{name}: the gateway {url} answered {error.code}: {error.reason}"
                )
            case TransportBroken():
                return ConfigurationError(
                    f"{error}: is it running, and is {self.url_from} its base URL?"
                )
            case _:
                return ConfigurationError(f"{self.url_from}: {error}")


def named_by(settings: Settings, *, gateway_typed: bool, token_typed: bool) -> Place:
    """The place that settings name, by the names that were used."""
    token_from = "--token-file" if token_typed else "BOT_TOKEN_FILE"
    return Place(
        settings=settings,
        url_from="--gateway" if gateway_typed else "RUNNER_GATEWAY",
        token_from="BOT_TOKEN" if settings.token_file is None else token_from,
    )


def find_place(
    gateway: str, token_file: str, environment: Mapping[str, str] | None = None
) -> Place:
    """The place that options name or, failing that, variables.

    Raises:
        ConfigurationError: Every problem: what is wrong, and what is missing.
    """
    variables = os.environ if environment is None else environment
    given = {name: variables[name] for name in OURS if name in variables}
    typed = {"RUNNER_GATEWAY": gateway, "BOT_TOKEN_FILE": token_file}
    typed = {name: value for name, value in typed.items() if value}
    settings, problems = read_given(given | typed)
    told = {problem.partition(" ")[0] for problem in problems}
    if not settings.gateway and "RUNNER_GATEWAY" not in told:
        problems.append("RUNNER_GATEWAY is not set: give the base URL of a gateway")
    if not (settings.token or settings.token_file or told & {"BOT_TOKEN_FILE", "BOT_TOKEN"}):
        problems.append("BOT_TOKEN_FILE is not set: name the file with your token")
    if problems:
        raise in_options(ConfigurationError(*problems), typed.keys())
    return named_by(settings, gateway_typed=bool(gateway), token_typed=bool(token_file))


def ask(place: Place, talk: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """Talk to the gateway, and return what came of it.

    Raises:
        ConfigurationError: The gateway is away, refuses, or is none.
    """

    async def talking() -> T:
        async with place.client() as client:
            return await talk(client)

    try:
        return asyncio.run(talking())
    except (Refused, TransportBroken, RemoteProtocolError) as error:
        raise place.problem(error) from error
