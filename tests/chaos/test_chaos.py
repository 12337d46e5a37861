"""Short runs of the fault suite, and that it finds the classic mistakes; `make chaos` is longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, Plan

pytestmark = pytest.mark.slow


def broken(plan: Plan, directory: Path) -> list[str]:
    """Every promise that a run breaks; what happened in it is shown where the test fails."""
    return asyncio.run(Campaign(plan, directory, print).run())


def test_nothing_is_lost_and_nothing_repeated(tmp_path: Path) -> None:
    """Through outages, resets, and processes that are killed on either side, what was journaled is
    stored once, in order; commands are applied at most once and all answered."""
    assert (
        broken(Plan(seed=7, rounds=5, only=("network", "kill_runner", "kill_gateway")), tmp_path)
        == []
    )


def test_a_runner_that_forgets_what_it_sent_is_found(tmp_path: Path) -> None:
    """The suite finds a runner that takes what it has sent for delivered."""
    plan = Plan(seed=4, rounds=25, seconds=90, only=("network",), mutant="forget_on_send")
    assert broken(plan, tmp_path) != []


def test_a_gateway_that_acknowledges_too_early_is_found(tmp_path: Path) -> None:
    """The suite finds a gateway that acknowledges before it has committed, where the run ends."""
    mutant = "acknowledge_before_commit"
    plan = Plan(seed=3, rounds=40, seconds=90, only=("kill_gateway",), mutant=mutant)
    assert broken(plan, tmp_path) != []
