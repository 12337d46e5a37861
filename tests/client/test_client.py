"""The client against a real gateway over real sockets, with real sessions behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runner_shell import commands, events
from runner_shell.client import (
    CommandRefused,
    GatewayClient,
    RequestRefused,
    SessionClient,
    SessionInfo,
    SessionLost,
)
from runner_shell.errors import RemoteProtocolError, TransportBroken, TransportClosed
from runner_shell.gateway import core
from runner_shell.gateway.app import Gateway
from runner_shell.gateway.server import serve
from runner_shell.gateway.tokens import Principal, Role
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.testing.hosting import TENANT, HostedSession, host

ASK = {"ask": {"title": "Deploy?", "options": ["yes", "no"], "key": "k"}}


class Names:
    """A token is the name of a role."""

    async def authenticate(self, token: str) -> Principal | None:
        if token not in list(Role):
            return None
        return Principal(name=f"a-{token}", role=Role(token), tenant=TENANT)


@asynccontextmanager
async def hosted(
    *actions: dict[str, Any], role: str = "admin", interactive: bool = True
) -> AsyncIterator[tuple[SessionClient, HostedSession]]:
    """A session that plays actions, and a client of the gateway that holds it."""
    prompt = json.dumps(actions) if actions else ""
    async with (
        host(ScriptedAdapter, prompt=prompt, interactive=interactive) as session,
        serve(Gateway(session.core, Names())) as url,
        GatewayClient(url, role, patience_seconds=0.0) as gateway,
    ):
        yield gateway.session(session.id), session


async def committed(session: SessionClient, type: str) -> None:
    """Wait until the gateway has an event of this type; the shell shows it earlier."""
    async with aclosing(session.follow(types=[type])) as following:
        await anext(following)


def answering(
    routes: dict[str, Any], read_token: Any = lambda: "t", **options: Any
) -> tuple[GatewayClient, list[Request]]:
    """A client of a gateway whose answers are literal: a response, an error, or a list of them."""
    asked: list[Request] = []

    async def answer(request: Request) -> Response:
        asked.append(request)
        given = routes[request.url.path]
        one = given.pop(0) if isinstance(given, list) else given
        if isinstance(one, Exception):
            raise one
        if isinstance(one, int):
            headers = {"Retry-After": "0"}
            return JSONResponse({"detail": f"said {one}", "code": "word"}, one, headers=headers)
        return one if isinstance(one, Response) else JSONResponse(one)

    methods = ["GET", "POST", "DELETE"]
    app = Starlette(routes=[Route(path, answer, methods=methods) for path in routes])
    transport = httpx.ASGITransport(app)
    return GatewayClient("http://gateway/", read_token, transport=transport, **options), asked


async def test_a_session_from_its_start_to_its_end() -> None:
    """Created, started, followed, and waited for: all by the client, over real sockets."""
    async with hosted() as (session, _):
        receipt = await session.start_turn(json.dumps([{"say": "hello there"}]), id="mine")
        assert (receipt.id, receipt.new) == ("mine", True)
        text = ""
        async with aclosing(session.follow()) as following:
            async for event in following:
                if isinstance(event.payload, events.BlockDelta):
                    text += event.payload.text
                if event.type == "turn.finished":
                    break
        assert text == "hello there"
        await session.end()
        finished = await session.wait()
        assert finished.outcome == "completed"
        assert (await session.wait()).outcome == "completed", "at once, once it has ended"
        stored = [event.data async for event in session.events()]
        assert [msgspec.json.decode(data)["seq"] for data in stored] == [*range(1, len(stored) + 1)]


async def test_the_same_command_twice_is_one() -> None:
    """Handed in again under its id, a command changes nothing and gets the same number."""
    async with hosted() as (session, behind):
        first = await session.start_turn("[]", id="once")
        second = await session.start_turn("[]", id="once")
        assert (first.seq, first.new) == (second.seq, True)
        assert not second.new
        await session.end()
        await session.wait()
        assert behind.types().count("turn.started") == 1


async def test_questions_are_found_and_answered() -> None:
    """Open requests are listed, in one session and over all, and gone once answered."""
    async with hosted(ASK, interactive=False) as (session, behind):
        await committed(session, "request.opened")
        (asked,) = await session.requests()
        assert (asked.session, asked.request.title) == (session.id, "Deploy?")
        assert asked.request.options == ("yes", "no")
        await session.answer(asked.request.id, "yes")
        assert (await session.wait()).outcome == "completed"
        assert await session.requests() == []
        closed = behind.of_type("request.closed")[0]
        assert (closed["answer"], closed["by"]) == ("yes", "a-admin")


async def test_a_reply_is_waited_for() -> None:
    """`call` gives the result of what was carried out, and raises what was not."""
    async with hosted() as (session, _):
        echo = commands.AdapterCall(id="a", method="echo", params={"x": 1})
        assert await session.call(echo) == {"x": 1}
        with pytest.raises(CommandRefused) as caught:
            await session.call({"type": "request.answer", "request": "none", "answer": "yes"})
        assert caught.value.code == "unknown_request"


async def test_a_reply_that_does_not_come() -> None:
    """A deadline ends the waiting, and says whose reply it was."""
    client, _ = answering({"/sessions/s/commands/c": {"command": {}, "reply": None}})
    async with client:
        with pytest.raises(TimeoutError, match="no reply to command 'c'"):
            await client.session("s").reply("c", timeout_seconds=0.0)


async def test_interrupt_and_stop() -> None:
    """Both reach the runner, with their reason."""
    async with hosted({"say": "working"}, {"delay": 600}) as (session, behind):
        await behind.wait_for("block.delta")
        await session.interrupt("enough")
        await behind.wait_for("turn.finished", outcome="interrupted")
        await session.stop("done")
        assert (await session.wait()).outcome == "stopped"


async def test_what_a_role_may_not() -> None:
    """A refusal carries the gateway's words and status, and is not tried again."""
    async with hosted(role="viewer") as (session, _):
        with pytest.raises(RequestRefused, match="may not") as caught:
            await session.stop()
        assert (caught.value.code, caught.value.final) == (403, True)


async def test_who_am_i_and_sessions() -> None:
    """A client learns its own rights, and finds sessions."""
    async with (
        host(ScriptedAdapter, interactive=True) as session,
        serve(Gateway(session.core, Names())) as url,
        GatewayClient(f"{url}/", "operator") as gateway,
    ):
        await session.wait_for("session.started")
        assert (await gateway.whoami()).role == "operator"
        assert [info.id async for info in gateway.sessions()] == [session.id]
        assert (await gateway.session(session.id).info()).status == "running"


async def test_state_and_tokens() -> None:
    """What the adapter saved can be read, and more tokens be made for a session."""
    async with hosted({"save": {"a": 1}}, interactive=False) as (session, _):
        await session.wait()
        assert await session.state() == {"a": 1}
        assert (await session.issue_token("viewer")).startswith("rs_")


# --- answers that are literal --------------------------------------------------------------------


async def test_a_busy_gateway_is_asked_again() -> None:
    """503 is tried again within the patience; what is not repeatable is sent once."""
    me = {"name": "a", "role": "admin"}
    created = [503, {"id": "s", "runner_token": "t"}]
    client, asked = answering({"/whoami": [503, 429, me], "/sessions": created})
    async with client:
        assert (await client.whoami()).name == "a"
        assert len(asked) == 3
        with pytest.raises(RequestRefused, match="said 503") as caught:
            await client.create_session()
        assert (caught.value.problem, caught.value.final) == ("word", False)


async def test_the_token_is_asked_for_at_each_request() -> None:
    """A token that is replaced while the client runs is taken up; it stands in the header alone."""
    tokens = iter(["one", "two"])
    me = {"name": "a", "role": "admin"}
    client, asked = answering({"/whoami": me}, read_token=lambda: next(tokens))
    async with client:
        await client.whoami()
        await client.whoami()
    assert [one.headers["authorization"] for one in asked] == ["Bearer one", "Bearer two"]
    assert all("one" not in str(one.url) for one in asked)


async def test_pages_are_joined() -> None:
    """Lists go on behind each page's cursor, to the end."""
    info = {"id": "a", "status": "lost", "unknown": True}
    raw = {"seq": 1, "time": "2026-11-21T10:00:00.000Z", "type": "log", "message": "x"}
    request = {"type": "request.opened", "id": "r", "key": "k", "kind": "input", "title": "?"}
    opened = {"session": "a", "seq": 1, "time": "", "turn": "t", "request": request}
    client, asked = answering(
        {
            "/sessions": [
                {"sessions": [info], "next": "a"},
                {"sessions": [info | {"id": "b"}], "next": None},
            ],
            "/sessions/a/events": [
                {"events": [raw], "next": 1},
                {"events": [raw | {"seq": 2}], "next": None},
            ],
            "/requests": [{"requests": [opened], "next": "x"}, {"requests": [], "next": None}],
        }
    )
    async with client:
        filtered = client.sessions(status=["lost", "created"], metadata={"team": "search"})
        assert [one.id async for one in filtered] == ["a", "b"]
        found = [one.seq async for one in client.session("a").events(types=["log"])]
        assert found == [1, 2]
        assert [one.request.id async for one in client.requests()] == ["r"]
    query = asked[1].query_params
    assert (query["status"], query["metadata.team"], query["after"]) == (
        *("created,lost", "search", "a"),
    )
    assert asked[3].query_params["since"] == "1"
    assert asked[3].query_params["types"] == "log"


async def test_a_lost_session_is_told_of() -> None:
    """Waiting for a session whose runner is gone without a word does not last for ever."""
    client, _ = answering({"/sessions/s": {"id": "s", "status": "lost", "last_event": 7}})
    async with client:
        with pytest.raises(SessionLost, match="the last event is 7"):
            await client.session("s").wait()


async def test_an_answer_that_is_none() -> None:
    """Something that is no gateway is told of as such."""
    client, _ = answering({"/whoami": Response("<html>"), "/health": Response("", 204)})
    async with client:
        await client.health()
        with pytest.raises(RemoteProtocolError, match="is it a gateway's base URL"):
            await client.whoami()


async def test_text_from_something_in_between() -> None:
    """A proxy's error page is shown in part, with its status."""
    client, _ = answering({"/whoami": Response("x" * 500, 403)}, patience_seconds=0.0)
    async with client:
        with pytest.raises(RequestRefused) as caught:
            await client.whoami()
    assert caught.value.code == 403
    assert len(caught.value.reason) == 200


async def test_nobody_there() -> None:
    """A gateway that is not there is told of after the patience, by its address."""
    async with GatewayClient("http://127.0.0.1:1", "t", patience_seconds=0.0) as client:
        with pytest.raises(TransportBroken, match=r"127\.0\.0\.1:1 cannot be reached"):
            await client.create_session()


async def test_a_closed_client_says_so() -> None:
    """Used after its block, a client is no broken connection but a mistake."""
    client, _ = answering({"/whoami": 503})
    async with client:
        pass
    with pytest.raises(TransportClosed):
        await client.whoami()


def test_the_client_knows_what_the_gateway_says_of_a_session() -> None:
    """Every field that our gateway sends of a session is one that the client shows."""
    theirs = {field.name for field in msgspec.structs.fields(core.SessionInfo)}
    ours = {field.name for field in msgspec.structs.fields(SessionInfo)}
    assert theirs <= ours


async def test_two_wait_at_once() -> None:
    """One client serves several tasks."""
    async with hosted() as (session, _):
        waiting = [asyncio.ensure_future(session.wait()) for _ in range(3)]
        await session.end()
        assert {(await one).outcome for one in waiting} == {"completed"}
