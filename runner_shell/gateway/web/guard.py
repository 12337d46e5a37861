"""Keeps requests out that a browser was tricked into, before anything else looks at them."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import HttpRefusal, answer, deny

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_HOST = "*"


class HostGuard:
    """Refuses what names an unknown host, or comes from a page of another origin.

    The host is checked because a name that someone else's DNS points at this machine makes a page
    of theirs "the same origin" as the gateway.

    Args:
        app: What is guarded.
        allowed_hosts: Names without a port; `"*"` allows every name.
        allowed_origins: Origins besides the request's own host, such as `https://team.example`.
        open_paths: What anyone may ask for; probes name a machine by its address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
        allowed_origins: Collection[str] = (),
        open_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._open_paths = frozenset(open_paths)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] in ("http", "websocket") and not self._is_open(scope):
            objection = self._objection(Headers(scope=scope))
            if objection:
                await deny(answer(HttpRefusal(403, objection)), scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path.removeprefix(scope.get("root_path", "")) in self._open_paths

    def _objection(self, headers: Headers) -> str:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._knows_host(hosts[0]):
            return "this gateway has another name; it must be told the names it is reached by"
        for origin in headers.getlist("origin"):
            if not self._knows_origin(origin.lower(), hosts[0].lower()):
                return "pages of this origin may not call the gateway"
        return ""

    def _knows_host(self, host: str) -> bool:
        if ANY_HOST in self._hosts:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name.lower() in self._hosts

    def _knows_origin(self, origin: str, host: str) -> bool:
        return origin in (f"http://{host}", f"https://{host}") or origin in self._origins
