"""The REST API over real sockets: sessions, commands, requests, state, quotas and retention."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from runner_shell.gateway.quotas import Quotas
from runner_shell.gateway.tokens import Role
from runner_shell.gateway.web import openapi
from runner_shell.protocol.frames import CloseCode

from .site import Site, hear, hear_close, site
from .support import ADMIN, DEADLINE_SECONDS, event, events_frame, hello

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


async def ask(gateway: Site, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and body; every refusal is checked to be a problem object."""
    answer = await gateway.http.request(method, path, **options)
    body = answer.json() if answer.content else None
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["status"] == answer.status_code
        assert body["type"] == f"urn:runner-shell:problem:{body['code']}"
        assert body["title"]
        assert body["detail"]
    return answer.status_code, body


async def emit(gateway: Site, token: str, *events: str, session: str = "s") -> None:
    """Have a runner store these events, and go."""
    async with gateway.dial(token, session) as runner:
        await runner.send(hello(session=session))
        await hear(runner, "welcome")
        await runner.send(events_frame(*events))
        last = (await hear(runner, "ack"))["seq"]
        while last != len(events):
            last = (await hear(runner, "ack"))["seq"]


# --- about the gateway -----------------------------------------------------------------------


async def test_health_needs_neither_token_nor_name() -> None:
    """A probe names a machine by its address; while draining the answer is 503."""
    async with site() as gateway:
        bare = {"Authorization": "", "Host": "10.1.2.3:8765"}
        assert await ask(gateway, "GET", "/health", headers=bare) == (200, {"status": "ok"})
        assert (await ask(gateway, "GET", "/whoami", headers=bare))[0] == 403
        await gateway.core.drain()
        status, problem = await ask(gateway, "GET", "/health", headers=bare)
        assert (status, problem["code"]) == (503, "draining")


async def test_whoami_tells_what_a_token_stands_for() -> None:
    """Name, role, tenant and session."""
    async with site() as gateway:
        assert (await ask(gateway, "GET", "/whoami"))[1] == {
            "name": "ada",
            "role": "admin",
            "tenant": "default",
            "session": None,
        }
        bearer = {"Authorization": f"Bearer {await gateway.create()}"}
        _, runner = await ask(gateway, "GET", "/whoami", headers=bearer)
        assert (runner["role"], runner["session"]) == ("runner", "s")


async def test_the_document_is_served_as_it_is_in_the_reference() -> None:
    """OpenAPI, without a token."""
    async with site() as gateway:
        _, document = await ask(gateway, "GET", "/openapi.json", headers={"Authorization": ""})
        assert document == json.loads(json.dumps(openapi.document()))


# --- sessions --------------------------------------------------------------------------------


async def test_sessions_are_found_by_status_and_metadata() -> None:
    """Alone and together, in pages whose `next` is null at the end."""
    async with site() as gateway:
        for name, metadata in {
            "a": {"team": "x", "level": 3},
            "b": {"team": "y", "level": 3},
            "c": {"team": "x", "on": True},
            "d": {},
        }.items():
            body = {"id": name, "metadata": metadata}
            status, made = await ask(gateway, "POST", "/sessions", json=body)
            assert status == 201
            if name in "ab":
                await emit(gateway, made["runner_token"], event(1), session=name)
        for query, expected in {
            "": "abcd",
            "metadata.team=x": "ac",
            "metadata.level=3": "ab",
            "metadata.on=true": "c",
            "metadata.team=x&metadata.level=3": "a",
            "metadata.none=": "",
            "status=created": "cd",
            "status=disconnected,lost": "ab",
            "status=created&metadata.team=x": "c",
            "status=finished": "",
        }.items():
            _, page = await ask(gateway, "GET", f"/sessions?{query}")
            assert ("".join(info["id"] for info in page["sessions"]), page["next"]) == (
                expected,
                None,
            ), query
            found, after = "", ""
            while after is not None:
                _, page = await ask(gateway, "GET", f"/sessions?{query}&limit=1&after={after}")
                found += "".join(info["id"] for info in page["sessions"])
                after = page["next"]
            assert found == expected
        assert (await ask(gateway, "GET", "/sessions?status=odd"))[0] == 422


async def test_a_session_shows_what_it_has() -> None:
    """Counts, bytes, open requests, when it was seen and when it expires."""
    now = START
    async with site({"wall_clock": lambda: now}) as gateway:
        body = {"id": "s", "retention_seconds": 3600}
        _, made = await ask(gateway, "POST", "/sessions", json=body)
        _, fresh = await ask(gateway, "GET", "/sessions/s")
        assert (fresh["status"], fresh["seen_at"]) == ("created", "")
        assert fresh["expires_at"] == "2026-11-21T13:00:00.000+00:00"
        question = event(1, "request.opened", id="q", key="k", kind="plan", title="?")
        async with gateway.dial(made["runner_token"]) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            await runner.send(events_frame(question))
            await hear(runner, "ack")
            _, shown = await ask(gateway, "GET", "/sessions/s")
            assert (shown["status"], shown["expires_at"]) == ("running", None)
            assert shown["seen_at"] == "2026-11-21T12:00:00.000+00:00"
            assert (shown["last_event"], shown["open_requests"]) == (1, 1)
            assert shown["events_bytes"] == len(question)


async def test_a_deleted_session_is_gone_for_everyone() -> None:
    """Its runner is closed for good, its tokens are worth nothing, its id is free."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            assert await ask(gateway, "DELETE", "/sessions/s") == (204, None)
            assert await hear_close(runner) == CloseCode.SESSION_DELETED
        assert await gateway.refused(token) == 401
        assert (await ask(gateway, "GET", "/sessions/s"))[1]["code"] == "unknown_session"
        assert (await ask(gateway, "DELETE", "/sessions/s"))[0] == 404
        again = await gateway.create()
        await emit(gateway, again, event(1))


async def test_retention_deletes_what_nobody_came_back_to() -> None:
    """Not what has a runner, however old; and never what is kept for ever."""
    now = START
    async with site({"wall_clock": lambda: now}) as gateway:
        tokens = {}
        for name, retention in (("old", 60), ("used", 60), ("kept", None)):
            body = {"id": name, "retention_seconds": retention}
            tokens[name] = (await ask(gateway, "POST", "/sessions", json=body))[1]["runner_token"]
        async with gateway.dial(tokens["used"], "used") as runner:
            await runner.send(hello(session="used"))
            await hear(runner, "welcome")
            now += timedelta(seconds=61)
            assert [key.id for key in await gateway.core.purge()] == ["old"]
            _, page = await ask(gateway, "GET", "/sessions")
            assert [info["id"] for info in page["sessions"]] == ["kept", "used"]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await gateway.core.session(ADMIN, "used")).status == "running":
                pass
        now += timedelta(seconds=61)
        assert [key.id for key in await gateway.core.purge()] == ["used"]


async def test_a_token_can_be_made_for_one_session() -> None:
    """Of any role; its name goes into `by`."""
    async with site() as gateway:
        await gateway.create()
        body = {"role": "operator", "name": "bob"}
        status, made = await ask(gateway, "POST", "/sessions/s/tokens", json=body)
        assert status == 201
        bearer = {"Authorization": f"Bearer {made['token']}"}
        command = {"type": "turn.start", "id": "c", "content": "x"}
        await ask(gateway, "POST", "/sessions/s/commands", json=command, headers=bearer)
        _, shown = await ask(gateway, "GET", "/sessions/s/commands/c", headers=bearer)
        assert shown["command"]["by"] == "bob"
        for wrong in ({}, {"role": "king"}, {"role": "viewer", "more": 1}):
            assert (await ask(gateway, "POST", "/sessions/s/tokens", json=wrong))[0] == 422


# --- commands and requests -------------------------------------------------------------------


async def test_a_command_is_the_same_by_its_id_and_its_content() -> None:
    """By the body's `id` or the header; other content under the same id is refused."""
    async with site() as gateway:
        await gateway.create()
        path = "/sessions/s/commands"
        key = {"Idempotency-Key": "k1"}
        one = {"type": "turn.start", "content": {"a": 1, "b": [2]}}
        taken = {"id": "k1", "seq": 1, "new": True}
        assert await ask(gateway, "POST", path, json=one, headers=key) == (202, taken)
        reordered = {"id": "k1", "content": {"b": [2], "a": 1}, "type": "turn.start"}
        status, again = await ask(gateway, "POST", path, json=reordered)
        assert (status, again) == (202, taken | {"new": False})
        status, conflict = await ask(gateway, "POST", path, json=one | {"content": 2}, headers=key)
        assert (status, conflict["code"]) == (409, "command_conflict")
        assert (await ask(gateway, "POST", path, json=one | {"id": "x"}, headers=key))[0] == 422
        assert (await ask(gateway, "POST", path, json=one))[0] == 422
        assert (await ask(gateway, "GET", "/sessions/s"))[1]["last_command"] == 1


async def test_a_reply_is_waited_for() -> None:
    """It comes with its command as soon as it is stored; without one the wait ends empty."""
    async with site() as gateway:
        token = await gateway.create()
        for name in ("c1", "c2"):
            command = {"type": "turn.start", "id": name, "content": "x"}
            await ask(gateway, "POST", "/sessions/s/commands", json=command)
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            await runner.send('{"frame":"ack","seq":1}')
            waiting = asyncio.ensure_future(
                ask(gateway, "GET", "/sessions/s/commands/c1?wait=60", timeout=DEADLINE_SECONDS)
            )
            done = event(2, "command.done", command="c1", result=7)
            await runner.send(events_frame(event(1), done))
            status, shown = await waiting
            assert status == 200
            assert (shown["reply"]["result"], shown["reply"]["seq"]) == (7, 2)
            assert shown["command"]["id"] == "c1"
            assert shown["acknowledged"] is True
        _, empty = await ask(gateway, "GET", "/sessions/s/commands/c2?wait=1")
        assert (empty["reply"], empty["acknowledged"]) == (None, False)
        for query, expected in (("limit=1", (["c1"], 1)), ("after=1", (["c2"], None))):
            _, page = await ask(gateway, "GET", f"/sessions/s/commands?{query}")
            names = [each["command"]["id"] for each in page["commands"]]
            assert (names, page["next"]) == expected
        status, problem = await ask(gateway, "GET", "/sessions/s/commands/c3")
        assert (status, problem["code"]) == (404, "unknown_command")
        assert (await ask(gateway, "GET", "/sessions/s/commands/c1?wait=61"))[0] == 422


async def test_a_secret_is_nowhere_to_be_read() -> None:
    """Not among the commands, and it has no id to ask for."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            secret = {"type": "secret.add", "name": "KEY", "value": "hush-hush"}
            taken = await ask(gateway, "POST", "/sessions/s/commands", json=secret)
            assert taken == (202, {"id": None, "seq": 0, "new": True})
            assert (await hear(runner, "commands"))["commands"] == [secret]
        answer = await gateway.http.get("/sessions/s/commands")
        assert answer.json() == {"commands": [], "next": None}


async def test_open_requests_of_all_sessions() -> None:
    """In pages, each with its session, number, time, turn and fields; another tenant has none."""
    async with site() as gateway:
        for name in ("a", "b"):
            token = await gateway.create(name)
            questions = [
                event(n, "request.opened", id=f"{name}{n}", key="k", kind="plan", title="?")
                for n in (1, 2)
            ]
            await emit(gateway, token, *questions, session=name)
        found, after = [], ""
        while after is not None:
            _, page = await ask(gateway, "GET", f"/requests?limit=3&after={after}")
            found += page["requests"]
            after = page["next"]
        assert [each["request"]["id"] for each in found] == ["a1", "a2", "b1", "b2"]
        assert found[0] == {
            "session": "a",
            "seq": 1,
            "time": "2026-11-21T10:00:00.000Z",
            "turn": "t1",
            "request": {
                "type": "request.opened",
                "id": "a1",
                "key": "k",
                "kind": "plan",
                "title": "?",
            },
        }
        _, own = await ask(gateway, "GET", "/sessions/b/requests")
        assert [each["request"]["id"] for each in own["requests"]] == ["b1", "b2"]
        elsewhere = await gateway.token(Role.ADMIN, tenant="elsewhere")
        bearer = {"Authorization": f"Bearer {elsewhere}"}
        assert await ask(gateway, "GET", "/requests", headers=bearer) == (
            200,
            {"requests": [], "next": None},
        )
        assert (await ask(gateway, "GET", "/requests?after=odd"))[0] == 422


async def test_another_tenant_s_session_is_unknown_to_every_endpoint() -> None:
    """As if it were not there, for reading and for writing."""
    async with site() as gateway:
        await gateway.create()
        elsewhere = await gateway.token(Role.ADMIN, tenant="elsewhere")
        bearer = {"Authorization": f"Bearer {elsewhere}"}
        for method, path, body in [
            ("GET", "/sessions/s", None),
            ("DELETE", "/sessions/s", None),
            ("POST", "/sessions/s/tokens", {"role": "admin"}),
            ("GET", "/sessions/s/events", None),
            ("GET", "/sessions/s/events/live", None),
            ("POST", "/sessions/s/commands", {"type": "session.stop", "id": "c"}),
            ("GET", "/sessions/s/commands", None),
            ("GET", "/sessions/s/commands/c", None),
            ("GET", "/sessions/s/requests", None),
            ("GET", "/sessions/s/state", None),
        ]:
            status, problem = await ask(gateway, method, path, json=body, headers=bearer)
            assert (status, problem["code"]) == (404, "unknown_session"), path
        assert (await ask(gateway, "GET", "/sessions", headers=bearer))[1]["sessions"] == []


async def test_state_is_what_the_adapter_saved() -> None:
    """The `session.saved` events, merged."""
    async with site() as gateway:
        token = await gateway.create()
        assert await ask(gateway, "GET", "/sessions/s/state") == (200, {"state": {}})
        await emit(gateway, token, event(1, "session.saved", state={"thread": [1]}))
        assert await ask(gateway, "GET", "/sessions/s/state") == (200, {"state": {"thread": [1]}})


# --- quotas ----------------------------------------------------------------------------------


async def test_a_session_at_its_quota_is_stopped_in_order() -> None:
    """It is told to stop, has room for its endings, and beyond that is closed for good."""
    quotas = Quotas(session_events=3, reserve_events=4)
    async with site({"quotas": quotas}) as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            await runner.send(events_frame(event(1), event(2), event(3)))
            await runner.send(events_frame(event(4)))
            (stop,) = (await hear(runner, "commands"))["commands"]
            assert (stop["type"], stop["by"]) == ("session.stop", "gateway")
            assert "3 events" in stop["reason"]
            await runner.send(events_frame(event(5), event(6)))
            await runner.send(events_frame(event(7, "session.finished", outcome="stopped")))
            while (await hear(runner, "ack"))["seq"] != 7:
                pass
            await runner.send(events_frame(event(8)))
            assert await hear_close(runner) == CloseCode.QUOTA
        assert (await ask(gateway, "GET", "/sessions/s"))[1]["last_event"] == 7
        for fields, code in (
            ({"instance": "two"}, CloseCode.QUOTA),
            ({"epoch": 1}, None),  # the same process may still be stopping
        ):
            async with gateway.dial(token) as runner:
                await runner.send(hello(**fields))
                if code is None:
                    assert (await hear(runner, "welcome"))["acked"] == 7
                    await runner.send(events_frame(event(8)))
                    assert await hear_close(runner) == CloseCode.QUOTA
                else:
                    assert await hear_close(runner) == code


async def test_a_tenant_at_its_quota_gets_no_more_sessions_or_bytes() -> None:
    """Deleting makes room again; another tenant has its own."""
    quotas = Quotas(tenant_sessions=2, tenant_bytes=500)
    async with site({"quotas": quotas}) as gateway:
        token = await gateway.create("a")
        await gateway.create("b")
        status, problem = await ask(gateway, "POST", "/sessions", json={"id": "c"})
        assert (status, problem["code"]) == (403, "quota")
        assert (await ask(gateway, "POST", "/sessions", json={"id": "a"}))[0] == 403
        await emit(gateway, token, event(1, message="x" * 400), event(2), session="a")
        async with gateway.dial(token, "a") as runner:
            await runner.send(hello(session="a", instance="two"))
            assert await hear_close(runner) == CloseCode.QUOTA
        await ask(gateway, "DELETE", "/sessions/a")
        again = await gateway.create("a")
        await emit(gateway, again, event(1), session="a")
        bearer = {"Authorization": f"Bearer {await gateway.token(Role.ADMIN, tenant='other')}"}
        assert (await ask(gateway, "POST", "/sessions", json={}, headers=bearer))[0] == 201
