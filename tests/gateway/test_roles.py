"""Who may call what: every role at every endpoint, over the application itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import SessionKey
from runner_shell.gateway.tokens import Role, issue
from runner_shell.gateway.web.reference import endpoint_mark
from runner_shell.gateway.web.rest import ENDPOINTS, Endpoint, http_endpoints, names_session
from runner_shell.protocol.catalogue import COMMANDS

TENANT = "tenant"

EXPECTED = {
    "health": "runner viewer operator approver admin",
    "openapi": "runner viewer operator approver admin",
    "whoami": "runner viewer operator approver admin",
    "create": "admin",
    "sessions": "viewer operator approver admin",
    "session": "viewer operator approver admin",
    "delete": "admin",
    "issue": "admin",
    "events": "viewer operator approver admin",
    "live": "viewer operator approver admin",
    "submit": "operator approver admin",
    "commands": "viewer operator approver admin",
    "command": "viewer operator approver admin",
    "requests": "viewer operator approver admin",
    "all_requests": "viewer operator approver admin",
    "state": "viewer operator approver admin",
    "runner": "",
}
"""Written by hand: a change of the table must be meant."""

BODIES: dict[str, dict[str, Any]] = {
    "create": {"id": "new"},
    "issue": {"role": "viewer"},
    "submit": {"type": "turn.start", "id": "c", "content": "hello"},
}


class Callers:
    """An application with two sessions, and a client for each kind of token."""

    def __init__(self, store: SqliteStore, client: httpx.AsyncClient) -> None:
        self._store = store
        self._client = client

    async def call(
        self, endpoint: Endpoint, role: Role, bound: str | None, session: str = "mine"
    ) -> int:
        """The status that a caller with such a token gets."""
        token, record = issue(role, TENANT, bound)
        await self._store.put_token(record)
        path = endpoint.path.format(session=session, command="c")
        # Only the head of a stream that would not end: who may is decided before.
        method = "HEAD" if endpoint.operation == "live" else endpoint.method
        answer = await self._client.request(
            method,
            path,
            json=BODIES.get(endpoint.operation),
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.status_code


@asynccontextmanager
async def callers() -> AsyncIterator[Callers]:
    async with SqliteStore(":memory:") as store:
        for name in ("mine", "other"):
            await store.create_session(SessionKey(TENANT, name), created_at="", metadata={})
        app = Gateway(store=store).asgi()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Callers(store, client)


@pytest.mark.parametrize("endpoint", http_endpoints(), ids=lambda row: row.operation)
async def test_each_role_may_call_what_the_table_says(endpoint: Endpoint) -> None:
    """Every role but those listed here gets 403, whatever else is right or wrong."""
    may = EXPECTED[endpoint.operation].split()
    for role in Role:
        async with callers() as gateway:
            bound = "mine" if role is Role.RUNNER else None
            status = await gateway.call(endpoint, role, bound)
            assert (status != 403) == (role.value in may), (role, status)
            assert status != 401


@pytest.mark.parametrize("endpoint", http_endpoints(), ids=lambda row: row.operation)
async def test_a_bound_token_is_good_for_its_session_only(endpoint: Endpoint) -> None:
    """In another session, and in what concerns no single one, it gets 403."""
    if endpoint.right in ("none", "any"):
        return
    for role in Role:
        async with callers() as gateway:
            assert await gateway.call(endpoint, role, "mine", session="other") == 403
            status = await gateway.call(endpoint, role, "mine")
            may = role.value in EXPECTED[endpoint.operation].split() and names_session(endpoint)
            assert (status != 403) == may, (role, status)


async def test_a_command_needs_what_its_type_needs() -> None:
    """Every role with every type of command."""
    operations = {"turn.start", "turn.interrupt", "session.end", "session.stop"}
    fields: dict[str, dict[str, Any]] = {
        "turn.start": {"content": "x"},
        "request.answer": {"request": "q", "answer": True},
        "settings.update": {"settings": {}},
        "adapter.call": {"method": "m"},
        "files.rewind": {"turn": "t"},
    }
    (submit,) = [row for row in http_endpoints() if row.operation == "submit"]
    async with callers() as gateway:
        for role in Role:
            for kind in (*COMMANDS, "not.known"):
                body = {"type": kind, "id": f"{role.value}.{kind}", **fields.get(kind, {})}
                BODIES["submit"] = body
                status = await gateway.call(submit, role, "mine")
                may = role in (Role.APPROVER, Role.ADMIN) or (
                    role is Role.OPERATOR and kind in operations
                )
                assert status == (202 if may else 403), (role, kind)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda row: row.operation)
def test_the_page_of_roles_says_the_same(endpoint: Endpoint) -> None:
    """The table that people read has a mark exactly where a call is let through."""
    may = "runner" if endpoint.operation == "runner" else EXPECTED[endpoint.operation]
    assert {role.value for role in Role if endpoint_mark(role, endpoint)} == set(may.split())


async def test_without_a_token_only_what_is_public_answers() -> None:
    """Everything else is 401, whether there is such a session or not."""
    async with SqliteStore(":memory:") as store:
        transport = httpx.ASGITransport(app=Gateway(store=store).asgi())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for endpoint in http_endpoints():
                answer = await client.request(endpoint.method, endpoint.path)
                assert (answer.status_code == 401) == (endpoint.right != "none")
