"""`runner-shell check-gateway`: what the protocol's suite found, and the exit code."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from runner_shell.cli.check import check_gateway_at
from runner_shell.cli.place import find_place
from runner_shell.testing.order import Finding

PLACE = {"RUNNER_GATEWAY": "http://gateway.example/", "BOT_TOKEN": "an-admin-token"}
MUST = Finding(rule="ack", contract="MUST acknowledge", happened="it did not", fix="commit first")


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A suite whose findings are literal, in the place of the real one."""
    seen: dict[str, Any] = {"findings": []}

    async def check_gateway(url: str, token: str) -> list[Finding]:
        seen.update(url=url, token=token)
        found: list[Finding] = seen["findings"]
        return found

    module = ModuleType("runner_shell.testing.gateway_conformance")
    vars(module)["check_gateway"] = check_gateway
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def test_a_gateway_that_keeps_the_protocol(
    suite: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """0; the suite is given the address and the token that were named."""
    assert check_gateway_at(find_place("", "", PLACE), json_lines=False) == 0
    assert (suite["url"], suite["token"]) == ("http://gateway.example", "an-admin-token")
    assert "the gateway keeps the protocol" in capsys.readouterr().out


def test_findings(suite: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """1; each finding with its MUST, what happened, and how to fix it, as text and as JSON."""
    suite["findings"] = [MUST]
    assert check_gateway_at(find_place("", "", PLACE), json_lines=False) == 1
    text = capsys.readouterr().out
    for sentence in ("MUST acknowledge", "it did not", "commit first", "1 finding\n"):
        assert sentence in text
    assert check_gateway_at(find_place("", "", PLACE), json_lines=True) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["rule"] == "ack"
