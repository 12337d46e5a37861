"""The gateway as people reach it: uvicorn, HTTP and WebSocket, with literal JSON."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.gateway import server
from runner_shell.gateway.app import MAX_BODY_BYTES, Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import dev_server, serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT
from runner_shell.gateway.tokens import Role, issue
from runner_shell.protocol.frames import MAX_FRAME_BYTES, CloseCode

from .site import V1, Site, hear, hear_close, site
from .support import event, events_frame, hello

# --- a session's life ------------------------------------------------------------------------


async def test_a_session_from_its_creation_to_its_ending() -> None:
    """Create, dial, emit, command, read: every byte and number as promised."""
    async with site() as gateway:
        runner_token = await gateway.create()
        command = {"type": "turn.start", "id": "c1", "content": "hello"}
        early = await gateway.http.post("/sessions/s/commands", json=command)
        assert (early.status_code, early.json()) == (202, {"id": "c1", "seq": 1, "new": True})
        async with gateway.dial(runner_token) as runner:
            assert runner.subprotocol == V1
            await runner.send(hello())
            assert (await hear(runner, "welcome"))["epoch"] == 1
            (first,) = (await hear(runner, "commands"))["commands"]
            assert (first["id"], first["seq"], first["by"]) == ("c1", 1, "ada")
            again = await gateway.http.post("/sessions/s/commands", json=command)
            assert again.json() == {"id": "c1", "seq": 1, "new": False}
            odd = event(1).replace(": ", ":   ")
            ending = event(2, "session.finished", outcome="completed")
            await runner.send(events_frame(odd, ending))
            assert (await hear(runner, "ack"))["seq"] == 2
            page = await gateway.http.get("/sessions/s/events", params={"since": 0, "limit": 1})
            assert page.content == b'{"events":[' + odd.encode() + b'],"next":1}'
        shown = (await gateway.http.get("/sessions/s")).json()
        assert (shown["status"], shown["finished"]["outcome"]) == ("finished", "completed")
        rest = await gateway.http.get("/sessions/s/events", params={"since": 1})
        assert [found["seq"] for found in rest.json()["events"]] == [2]
        only = await gateway.http.get("/sessions/s/events", params={"types": "log,warning"})
        assert [found["seq"] for found in only.json()["events"]] == [1]


async def test_sessions_are_created_with_metadata_and_listed() -> None:
    """Without an id there is a random one; the metadata is kept as it is."""
    metadata = {"title": "T", "labels": ["a"]}
    async with site() as gateway:
        made = await gateway.http.post("/sessions", json={"metadata": metadata})
        name = made.json()["id"]
        shown = (await gateway.http.get(f"/sessions/{name}")).json()
        assert shown["metadata"] == metadata
        await gateway.create("zz")
        listed = (await gateway.http.get("/sessions", params={"after": name})).json()
        assert [info["id"] for info in listed["sessions"]] == ["zz"]


async def test_a_redial_replaces_and_a_newer_process_supersedes() -> None:
    """Over real sockets the close codes arrive."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as old, gateway.dial(token) as again:
            await old.send(hello())
            await hear(old, "welcome")
            await again.send(hello(epoch=1))
            await hear(again, "welcome")
            assert await hear_close(old) == CloseCode.REPLACED
            async with gateway.dial(token) as new:
                await new.send(hello(instance="two"))
                await hear(new, "welcome")
                assert await hear_close(again) == CloseCode.SUPERSEDED


# --- the upgrade -----------------------------------------------------------------------------


async def test_an_upgrade_needs_a_good_token_of_this_session_s_runner() -> None:
    """401 without a good one, 403 for another role, session or tenant, 404 for no session."""
    async with site() as gateway:
        good = await gateway.create()
        other = await gateway.create("other")
        assert await gateway.refused(None) == 401
        assert await gateway.refused(good + "x") == 401
        assert await gateway.refused(None, headers={"Authorization": f"Basic {good}"}) == 401
        for role in set(Role) - {Role.RUNNER}:
            assert await gateway.refused(await gateway.token(role)) == 403
        assert await gateway.refused(other) == 403
        assert await gateway.refused(good, "gone") == 403
        assert await gateway.refused(await gateway.token(Role.RUNNER, "gone"), "gone") == 404
        elsewhere = await gateway.token(Role.RUNNER, "s", tenant="elsewhere")
        assert await gateway.refused(elsewhere) == 404


async def test_a_token_in_the_address_is_no_token() -> None:
    """It would end up in logs; only the header counts."""
    async with site() as gateway:
        good = await gateway.create()
        assert await gateway.refused(None, session=f"s/runner?token={good}&x=") == 401
        answer = await gateway.http.get(
            "/sessions", params={"token": good}, headers={"Authorization": ""}
        )
        assert answer.status_code == 401


async def test_an_upgrade_needs_the_subprotocol() -> None:
    """A peer of another version is told so, final, before anything else happens."""
    async with site() as gateway:
        good = await gateway.create()
        assert await gateway.refused(good, subprotocol=None) == 426
        assert await gateway.refused(good, subprotocol="runner-shell.v9") == 426


async def test_unknown_hosts_and_other_origins_are_kept_out() -> None:
    """Neither a page of another site nor a rebound name reaches anything, socket or not."""
    async with site() as gateway:
        good = await gateway.create()
        port = gateway.url.rpartition(":")[2]
        for headers, status in [
            ({"Host": f"evil.example:{port}"}, 403),
            ({"Host": "127.0.0.1.evil.example"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:1"}, 403),
            ({"Origin": gateway.url}, 200),
            ({"Host": f"localhost:{port}"}, 200),
        ]:
            answer = await gateway.http.get("/sessions", headers=headers)
            assert answer.status_code == status, headers
        assert await gateway.refused(good, headers={"Origin": "https://evil.example"}) == 403


async def test_other_names_and_origins_can_be_allowed() -> None:
    """A gateway behind a name of its own is told that name."""
    allowed = {"allowed_hosts": ["gw.example"], "allowed_origins": ["https://ui.example"]}
    async with site(**allowed) as gateway:
        headers = {"Host": "gw.example", "Origin": "https://ui.example"}
        assert (await gateway.http.get("/sessions", headers=headers)).status_code == 200
        assert (await gateway.http.get("/sessions")).status_code == 403


# --- refusals over HTTP ----------------------------------------------------------------------


WRONG: list[tuple[str, str, bytes, int]] = [
    ("GET", "/sessions/gone", b"", 404),
    ("GET", "/sessions/gone/events", b"", 404),
    ("POST", "/sessions/gone/commands", b'{"type":"session.end","id":"c"}', 404),
    ("GET", "/nowhere", b"", 404),
    ("DELETE", "/sessions", b"", 405),
    ("POST", "/sessions", b'{"id":"s"}', 409),
    ("POST", "/sessions", b'{"id":"a/b"}', 422),
    ("POST", "/sessions", b'{"id":7}', 422),
    ("POST", "/sessions", b"{", 400),
    ("POST", "/sessions", b"[1]", 400),
    ("POST", "/sessions", b"[" * 100_000, 400),
    ("POST", "/sessions/s/commands", b"", 422),
    ("POST", "/sessions/s/commands", b'{"type":"turn.start","id":"c"}', 422),
    ("POST", "/sessions/s/commands", b'{"type":"secret.add","name":"n","value":"v"}', 409),
    ("POST", "/sessions/s/commands", b" " * (MAX_BODY_BYTES + 1), 413),
    ("GET", "/sessions/s/events?since=-1", b"", 422),
    ("GET", "/sessions/s/events?limit=many", b"", 422),
]


async def test_what_is_wrong_is_said() -> None:
    """As problem details, with the status that fits."""
    async with site() as gateway:
        await gateway.create()
        for method, path, content, status in WRONG:
            answer = await gateway.http.request(method, path, content=content)
            assert answer.status_code == status, (method, path, content[:50])
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
            assert answer.json()["detail"]


async def test_a_runner_s_token_opens_nothing_but_its_socket() -> None:
    """Not even its own session's events, and least of all an answer."""
    answer = {"type": "request.answer", "id": "a", "request": "q", "answer": True}
    async with site() as gateway:
        bearer = {"Authorization": f"Bearer {await gateway.create()}"}
        for method, path, body in [
            ("GET", "/sessions", None),
            ("GET", "/sessions/s", None),
            ("GET", "/sessions/s/events", None),
            ("POST", "/sessions", {"id": "t"}),
            ("POST", "/sessions/s/commands", answer),
        ]:
            refused = await gateway.http.request(method, path, json=body, headers=bearer)
            assert refused.status_code == 403, path


async def test_an_oversize_frame_ends_the_connection() -> None:
    """Somewhat too large is a breach of the protocol; far too large is not even taken in."""
    async with site() as gateway:
        token = await gateway.create()
        for size, code in [(MAX_FRAME_BYTES + 1, CloseCode.PROTOCOL), (4 * MAX_FRAME_BYTES, 1009)]:
            async with gateway.dial(token) as runner:
                await runner.send(hello())
                await hear(runner, "welcome")
                await runner.send(" " * size)
                assert await hear_close(runner) == code


# --- the server ------------------------------------------------------------------------------


async def test_stopping_tells_runners_to_dial_again_and_leaves_signals_alone() -> None:
    """The close code says so, and no handler of the process was replaced."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with SqliteStore(":memory:") as store:
        _, record = issue(Role.ADMIN, DEFAULT_TENANT)
        core = GatewayCore(store)
        _, runner_token = await core.create_session(record.principal(), "s")
        async with serve(Gateway(core)) as url:
            dial = Site(url, store, httpx.AsyncClient()).dial
            runner = await dial(runner_token)
            await runner.send(hello())
            await hear(runner, "welcome")
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
            closing = asyncio.create_task(hear_close(runner))
        assert await closing == CloseCode.DRAINING
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await dial(runner_token)


async def test_a_taken_port_is_a_wrong_setting() -> None:
    """It is said as such, not as a crash of the server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with SqliteStore(":memory:") as store:
            with pytest.raises(ConfigurationError, match="cannot listen"):
                async with serve(Gateway(GatewayCore(store)), port=taken.getsockname()[1]):
                    pass


async def test_the_development_server_has_an_admin_token_in_a_private_file(tmp_path: Path) -> None:
    """The file is its owner's only and is gone at the end; so is the token's good."""
    file, path = tmp_path / "admin-token", tmp_path / "gateway.db"
    file.write_text("someone else's")
    async with dev_server(store_path=path, token_file=file) as server:
        assert _private_text(file) == server.admin_token
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            assert (await http.get("/sessions", headers=headers)).status_code == 200
    assert "admin-token" not in os.listdir(tmp_path)
    async with (
        dev_server(store_path=path, token_file=file) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
    ):
        assert (await http.get("/sessions", headers=headers)).status_code == 401


async def test_the_token_is_there_before_the_first_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a server that finds its port taken leaves another one's token file alone."""
    file = tmp_path / "admin-token"
    served = server._served

    def begins(*arguments: Any) -> Any:
        assert _private_text(file)
        return served(*arguments)

    monkeypatch.setattr(server, "_served", begins)
    async with dev_server(store_path=":memory:", token_file=file) as running:
        theirs = _private_text(file)
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="cannot listen"):
            async with dev_server(store_path=":memory:", token_file=file, port=port):
                pass
        assert _private_text(file) == theirs


async def test_a_refused_upgrade_is_no_fault_of_the_gateway_s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is answered, and the log has no error for it."""
    async with site() as gateway:
        assert await gateway.refused(None) == 401
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_development_server_creates_the_session_that_an_admin_dials(
    tmp_path: Path,
) -> None:
    """A redial finds it; a runner's token creates nothing."""
    async with (
        dev_server(store_path=":memory:", token_file=tmp_path / "t") as server,
        httpx.AsyncClient() as http,
    ):
        gateway = Site(server.url, SqliteStore(":memory:"), http)
        for epoch in (None, 1):
            async with gateway.dial(server.admin_token, "new") as runner:
                await runner.send(hello(session="new", epoch=epoch))
                assert (await hear(runner, "welcome"))["epoch"] == 1
        token, record = issue(Role.RUNNER, DEFAULT_TENANT, "another")
        await server.core.store.put_token(record)
        assert await gateway.refused(token, "another") == 404


def _private_text(file: Path) -> str:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_text().strip()
