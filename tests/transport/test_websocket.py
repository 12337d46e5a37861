"""Dialling a real server: certificates, proxies, tokens that end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gateways import TOKEN, Certificates, Dialler, Gateway, certificates, stay
from test_tokens import jwt

from runner_shell.errors import Refused, TransportBroken
from runner_shell.protocol.frames import CloseCode
from runner_shell.testing.faults import FaultProxy
from runner_shell.transport import websocket
from runner_shell.transport.websocket import dial

__all__ = ["certificates"]


# --- certificates ----------------------------------------------------------------------------


async def test_a_ca_of_ones_own(certificates: Certificates) -> None:
    """With RUNNER_CA_FILE's certificates a gateway of a private authority is trusted."""
    gateway = Gateway()
    async with gateway.serving(certificates.server_context()):
        one = Dialler(gateway.address, ca_file=certificates.authority)
        async with one.running():
            await one.until(lambda: one.welcomes)
    assert gateway.tokens == [TOKEN]


@pytest.mark.parametrize("trusted", ["other", "system"])
async def test_a_gateway_that_is_not_trusted(certificates: Certificates, trusted: str) -> None:
    """Another authority's certificate, or the system's alone, is not enough; the token never
    leaves, and the reason says what to do."""
    gateway = Gateway()
    ca_file = certificates.other if trusted == "other" else None
    async with gateway.serving(certificates.server_context()):
        with pytest.raises(TransportBroken, match="RUNNER_CA_FILE") as caught:
            await dial(gateway.address, lambda: TOKEN, ca_file=ca_file)
    assert gateway.tokens == []
    assert TOKEN not in str(caught.value)


async def test_a_certificate_for_another_name(certificates: Certificates) -> None:
    """A trusted certificate counts for the names it holds only."""
    gateway = Gateway()
    async with gateway.serving(certificates.server_context()):
        address = gateway.address.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(TransportBroken):
            await dial(address, lambda: TOKEN, ca_file=certificates.authority)
    assert gateway.tokens == []


async def test_ssl_cert_file(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE, which every OpenSSL program knows, counts where RUNNER_CA_FILE is not set."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    gateway = Gateway()
    async with gateway.serving(certificates.server_context()):
        socket = await dial(gateway.address, lambda: TOKEN)
        await socket.close(1000, "")


async def test_a_ca_file_is_read_at_every_dial(certificates: Certificates, tmp_path: Path) -> None:
    """A file that is away for a moment is like a gateway that is away; a replaced one counts."""
    file = tmp_path / "ca.pem"
    gateway = Gateway()
    async with gateway.serving(certificates.server_context()):
        with pytest.raises(TransportBroken):
            await dial(gateway.address, lambda: TOKEN, ca_file=file)
        file.write_bytes(certificates.other.read_bytes())
        with pytest.raises(TransportBroken):
            await dial(gateway.address, lambda: TOKEN, ca_file=file)
        file.write_bytes(certificates.authority.read_bytes())
        socket = await dial(gateway.address, lambda: TOKEN, ca_file=file)
        await socket.close(1000, "")


# --- proxies ---------------------------------------------------------------------------------


class Proxy:
    """An HTTP proxy that carries every CONNECT to one port here.

    Attributes:
        requests: The head of each request.
    """

    def __init__(self, port: int, refuse: bytes = b"") -> None:
        self.requests: list[str] = []
        self.url = ""
        self._port = port
        self._refuse = refuse

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self._refuse:
            writer.write(b"HTTP/1.1 " + self._refuse + b"\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pour(reader, up_writer), _pour(up_reader, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY", "SOCKS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_https_proxy(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY carries a `wss://` connection by CONNECT, with its credentials; the runner's
    token is for the gateway only, inside of TLS."""
    gateway = Gateway()
    async with gateway.serving(certificates.server_context()), Proxy(gateway.port).serving() as way:
        monkeypatch.setenv("HTTPS_PROXY", way.url.replace("//", "//ada:pass%20word@"))
        address = f"wss://gateway.test:{gateway.port}/sessions/s/runner"
        one = Dialler(address, ca_file=certificates.authority)
        async with one.running():
            await one.until(lambda: one.welcomes)
    assert gateway.tokens == [TOKEN]
    (request,) = way.requests
    assert request.startswith(f"CONNECT gateway.test:{gateway.port} HTTP/1.1")
    assert "Proxy-Authorization: Basic YWRhOnBhc3Mgd29yZA==" in request
    assert TOKEN not in request


async def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in NO_PROXY is dialled directly."""
    gateway = Gateway()
    async with gateway.serving(), Proxy(gateway.port).serving() as way:
        monkeypatch.setenv("HTTPS_PROXY", way.url)
        monkeypatch.setenv("NO_PROXY", "gateway.invalid,.corp.invalid")
        for host in ("gateway.invalid", "a.corp.invalid"):
            with pytest.raises(TransportBroken):  # the name means nothing to us
                await dial(f"ws://{host}:{gateway.port}/", lambda: TOKEN)
        assert way.requests == []
        socket = await dial(f"ws://elsewhere.invalid:{gateway.port}/", lambda: TOKEN)
        await socket.close(1000, "")
        assert len(way.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """No proxy reaches our own loopback, so none is asked to."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    gateway = Gateway()
    async with gateway.serving():
        socket = await dial(gateway.address.replace("127.0.0.1", host), lambda: TOKEN)
        await socket.close(1000, "")


async def test_a_proxy_that_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's refusal is worth another try, and is told without the proxy's password."""
    async with Proxy(1, refuse=b"407 Proxy Authentication Required").serving() as way:
        monkeypatch.setenv("HTTPS_PROXY", way.url.replace("//", "//ada:secret-of-ada@"))
        with pytest.raises(TransportBroken, match="407") as caught:
            await dial("wss://gateway.invalid/", lambda: TOKEN)
    assert "secret-of-ada" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["ftp://ada:secret-of-ada@proxy", "socks5://ada:secret@proxy"])
async def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """What no further dial can mend is final: a proxy's address that is wrong, and SOCKS without
    the library for it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(Refused) as caught:
        await dial("wss://gateway.invalid/", lambda: TOKEN)
    assert caught.value.final
    assert "secret" not in str(caught.value)


# --- tokens ----------------------------------------------------------------------------------


async def test_a_token_is_read_at_every_dial() -> None:
    """A rotated token is taken up by the next dial."""
    gateway = Gateway(503, 503)
    given = iter(["first", "second", "third"])
    async with gateway.serving():
        one = Dialler(gateway.address, token=lambda: next(given))
        async with one.running():
            await one.until(lambda: one.welcomes)
    assert gateway.tokens == ["first", "second", "third"]


async def test_a_newer_token_before_the_old_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortly before a JWT's end the connection is made anew, at once, once there is a newer one;
    and not before there is."""
    monkeypatch.setattr("runner_shell.transport.websocket.TOKEN_CHECK_SECONDS", 0.01)
    asked = 0
    old, new = jwt(exp=time.time() + 0.2), jwt(exp=time.time() + 3600)

    def token() -> str:
        nonlocal asked
        asked += 1
        return old if asked < 5 else new

    closed: list[int | None] = []

    async def until_closed(connection: object) -> None:
        await stay(connection)  # type: ignore[arg-type]
        closed.append(connection.close_code)  # type: ignore[attr-defined]

    gateway = Gateway(until_closed)
    async with gateway.serving():
        one = Dialler(gateway.address, token=token)
        async with one.running():
            await one.until(lambda: one.welcomes == 2)
            assert gateway.tokens == [old, new]
            assert closed == [CloseCode.RENEWING]
            assert one.waits == [], "at once, without backing off"


async def test_a_gateway_that_says_the_token_expired() -> None:
    """4101 backs off and dials again, with the token read again."""

    async def expire(connection: object) -> None:
        await connection.close(CloseCode.TOKEN_EXPIRED, "too old")  # type: ignore[attr-defined]

    given = iter(["old", "new"])
    gateway = Gateway(expire)
    async with gateway.serving():
        one = Dialler(gateway.address, token=lambda: next(given))
        async with one.running():
            await one.until(lambda: one.welcomes)
    assert gateway.tokens == ["old", "new"]


async def test_401_for_a_token_that_was_just_replaced() -> None:
    """A 401 for a token that has been replaced meanwhile is tried once more, with the new one."""
    given = iter(["old", "new", "new"])
    gateway = Gateway(401)
    async with gateway.serving():
        one = Dialler(gateway.address, token=lambda: next(given))
        async with one.running():
            await one.until(lambda: one.welcomes)
    assert gateway.tokens == ["old", "new"]


async def test_a_silent_peer_holds_up_no_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was not heard does not answer a goodbye: it is not waited for, or the next dial would."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 3600.0)
    gateway = Gateway()
    async with gateway.serving():
        target = urlsplit(gateway.address)
        assert target.hostname is not None
        assert target.port is not None
        async with FaultProxy((target.hostname, target.port)) as proxy:
            socket = await dial(f"ws://{proxy.address}{target.path}", lambda: TOKEN)
            proxy.black_hole()
            async with asyncio.timeout(60):
                await socket.close(CloseCode.SILENT, "nothing came from the gateway")
            proxy.reset()
