"""What a quota allows, however events are gathered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner_shell.gateway.quotas import Allowance, Quotas, Tally
from runner_shell.gateway.store import EventRow


def _rows(sizes: list[int]) -> list[EventRow]:
    return [EventRow(seq, "", "log", "", b"x" * size) for seq, size in enumerate(sizes, start=1)]


def _spend(quotas: Quotas, rows: list[EventRow], cuts: list[int]) -> tuple[int, list[str], Tally]:
    """How many are stored, what the runner is told, and what the tenant takes then."""
    tally = Tally(1, 2, 20, {})
    allowance = Allowance(quotas, tally, "s", events=2, bytes=20)
    stored, told = 0, []
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        some = rows[start:end]
        allowed, reached = allowance.spend(some)
        stored += allowed
        told += [reached] if reached else []
        if allowed < len(some):
            break
    return stored, told, tally


_limit = st.none() | st.integers(0, 400)


@given(
    sizes=st.lists(st.integers(1, 40), max_size=30),
    cuts=st.sets(st.integers(0, 30)),
    quotas=st.builds(
        Quotas,
        tenant_events=_limit,
        tenant_bytes=_limit,
        session_events=_limit,
        session_bytes=_limit,
        reserve_events=st.integers(0, 12),
        reserve_bytes=st.integers(0, 300),
    ),
)
def test_how_events_are_gathered_makes_no_difference(
    sizes: list[int], cuts: set[int], quotas: Quotas
) -> None:
    """The same ones are stored and the same is told, once, whether they come one by one or not."""
    rows = _rows(sizes)
    one_by_one = _spend(quotas, rows, list(range(1, len(rows))))
    assert _spend(quotas, rows, sorted(cut for cut in cuts if cut <= len(rows))) == one_by_one
    assert len(one_by_one[1]) <= 1


def test_the_reserve_is_what_is_stored_after_the_limit() -> None:
    """What comes before the limit and in the reserve is stored; beyond it nothing is."""
    quotas = Quotas(session_events=5, reserve_events=3)
    stored, told, tally = _spend(quotas, _rows([1] * 20), [])
    assert (stored, told) == (6, ["the session may have 5 events"])
    assert (tally.events, tally.reserves["s"][0]) == (8, 8)
