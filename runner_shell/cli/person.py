"""What a person's token is used for: creating a session, reading events, sending commands."""

from __future__ import annotations

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
        given_by: The options or variables that named the gateway and brought the token.
    """

    def __init__(self, url: str, token: str, *, given_by: tuple[str, str]) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._url_from, self._token_from = given_by

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
                f"{self._url_from} its base URL?"
            ) from error

    def _refused(self, response: httpx.Response) -> ConfigurationError:
        name = self._token_from if response.status_code in (401, 403) else self._url_from
        return ConfigurationError(
            f"{name}: the gateway {self._url} answered {response.status_code}: {_reason(response)}"
        )


def _reason(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    return str(body.get("detail") or body.get("title") or body) if isinstance(body, dict) else ""
