"""What a person's token is used for: creating a session, reading events, sending commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

REQUEST_SECONDS = 10.0


class Person:
    """Talks to a gateway's REST interface with one token.

    Args:
        url: The gateway's base URL.
        token: The person's token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    @classmethod
    def from_file(cls, url: str, token_file: str) -> Person:
        """Read the token from its file.

        Raises:
            ConfigurationError: No file named, or it cannot be read.
        """
        if not token_file:
            raise ConfigurationError("--token-file is missing: name the file with your token")
        try:
            token = Path(token_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--token-file cannot be read: {error}") from error
        return cls(url, token)

    async def create_session(self, id: str) -> str | None:
        """Create a session and return its runner's token; None where this token cannot.

        Raises:
            ConfigurationError: The gateway cannot be reached, or says that the token is wrong.
        """
        response = await self._request("POST", "/sessions", {"id": id})
        if response.status_code == 201:
            return str(response.json()["runner_token"])
        if response.status_code in (403, 409):
            return None  # a runner's own token, or a session that exists
        raise self._refused(response)

    async def send(self, session: str, command: dict[str, Any]) -> str:
        """Submit a command; returns the refusal's text, or nothing."""
        response = await self._request("POST", f"/sessions/{session}/commands", command)
        return "" if response.is_success else _reason(response)

    async def get(self, path: str) -> Any:
        """Read a JSON resource. Raises as `create_session`."""
        response = await self._request("GET", path)
        if not response.is_success:
            raise self._refused(response)
        return response.json()

    async def events(self, session: str, *, since: int, limit: int) -> list[bytes]:
        """A page of events, empty only at the end. Raises as `create_session`."""
        import msgspec

        path = f"/sessions/{session}/events?since={since}&limit={limit}"
        response = await self._request("GET", path)
        if not response.is_success:
            raise self._refused(response)
        page = msgspec.json.decode(response.content, type=dict[str, list[msgspec.Raw]])
        return [bytes(event) for event in page["events"]]

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        import httpx

        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
                return await client.request(method, self._url + path, headers=headers, json=body)
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise ConfigurationError(
                f"the gateway {self._url} cannot be reached ({what}): is it running, and is "
                "--gateway its base URL?"
            ) from error

    def _refused(self, response: httpx.Response) -> ConfigurationError:
        hint = " (--token-file)" if response.status_code in (401, 403) else ""
        return ConfigurationError(
            f"the gateway {self._url} answered {response.status_code}{hint}: {_reason(response)}"
        )


def _reason(response: httpx.Response) -> str:
    try:
        body = response.json()
    except json.JSONDecodeError:
        return response.text[:200]
    return str(body.get("detail") or body.get("title") or body) if isinstance(body, dict) else ""
