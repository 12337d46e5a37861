"""The served API against its own OpenAPI document, by generated requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT
from runner_shell.gateway.tokens import Role, issue
from runner_shell.gateway.web import openapi
from runner_shell.gateway.web.rest import Endpoint, http_endpoints

EXAMPLES = 15
"""For each endpoint; `--hypothesis-seed` makes a run again."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    missing_required_header,
    unsupported_method,
    ignored_auth,
]


class Served:
    """A gateway in a thread, so that requests can come from outside of its loop."""

    def __init__(self) -> None:
        self.url = ""
        self.token = ""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @contextmanager
    def running(self) -> Iterator[Served]:
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        thread.start()
        assert self._ready.wait(60)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with SqliteStore(":memory:") as store:
            core = GatewayCore(store)
            self.token, record = issue(Role.ADMIN, DEFAULT_TENANT)
            await store.put_token(record)
            await core.create_session(record.principal(), "known")
            async with serve(Gateway(core)) as self.url:
                self._ready.set()
                await self._stop.wait()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served().running() as gateway:
        yield gateway


schema = schemathesis.openapi.from_dict(openapi.document())
# A stream does not end by itself; test_live.py looks at it.
schema = schema.exclude(path_regex="/live$")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case: Any, served: Served) -> None:
    """Whatever is asked: never a 5xx, only documented statuses, types and shapes."""
    if "session" in case.path_parameters and len(case.path_parameters["session"]) % 2:
        case.path_parameters["session"] = "known"
    if "wait" in (case.query or {}) and str(case.query["wait"]).isdigit():
        case.query["wait"] = "0"
    case.call_and_validate(
        base_url=served.url,
        headers={"Authorization": f"Bearer {served.token}"},
        checks=CHECKS,
    )


def test_every_endpoint_is_in_the_document() -> None:
    """The table and the document have the same rows."""
    documented = {
        (method.upper(), path)
        for path, methods in openapi.document()["paths"].items()
        for method in methods
    }
    assert documented == {(row.method, row.path) for row in http_endpoints()}


@pytest.mark.parametrize("endpoint", http_endpoints(), ids=lambda row: row.operation)
def test_wrong_and_unknown_parameters_are_refused(endpoint: Endpoint, served: Served) -> None:
    """422 says which; a misspelt filter is not silently the whole list."""
    path = endpoint.path.format(session="known", command="c")
    queries = ["misspelt=1", "metadata=1"]
    for parameter in endpoint.parameters:
        if parameter.place == "query" and parameter.schema["type"] == "integer":
            low = parameter.schema["minimum"]
            wrong = (
                "x",
                "-1",
                "",
                "1.5",
                "1e3",
                "٣",
                str(10**18),
                *([str(low - 1)] if low else ()),
            )
            queries += [f"{parameter.name}={value}" for value in wrong]
    headers = {"Authorization": f"Bearer {served.token}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as client:
        for query in queries:
            answer = client.request(endpoint.method, f"{path}?{query}")
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), query


def test_what_is_served_is_reachable_without_a_proxy(served: Served) -> None:
    """The fixture really serves; else the tests above would pass by not being reached."""
    answer = httpx.get(f"{served.url}/health", trust_env=False)
    assert answer.json() == {"status": "ok"}
