"""The one timer that looks after every connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner_shell.gateway.runner.rounds import SLOT_SECONDS, Rounds

from .support import DEADLINE_SECONDS


def clock() -> float:
    return asyncio.get_running_loop().time()


class Guest:
    """Notes its visits."""

    def __init__(self, then: Callable[[Guest], None] = lambda guest: None) -> None:
        self.slot: int | None = None
        self.visits: list[float] = []
        self._then = then
        self.was_there = asyncio.Event()

    def visit(self) -> None:
        self.visits.append(clock())
        self.was_there.set()
        self._then(self)


async def _visited(*guests: Guest) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*[guest.was_there.wait() for guest in guests])


async def test_each_is_visited_once_and_never_too_early() -> None:
    """In the order of their times, whatever order they asked in."""
    rounds, order = Rounds(clock), []
    guests = [Guest(order.append) for _ in range(5)]
    due = [clock() + SLOT_SECONDS * (5 - 2 * (number % 3)) for number in range(5)]
    for guest, when in zip(guests, due, strict=True):
        rounds.visit(guest, when)
    await _visited(*guests)
    for guest, when in zip(guests, due, strict=True):
        assert len(guest.visits) == 1
        assert guest.visits[0] >= when
    slots = [int(due[guests.index(guest)] / SLOT_SECONDS) for guest in order]
    assert slots == sorted(slots)


async def test_the_earliest_visit_that_was_asked_for_is_made() -> None:
    """A later one changes nothing, an earlier one takes its place."""
    rounds, guest = Rounds(clock), Guest()
    for seconds in (3600.0, 0.0, 7200.0):
        rounds.visit(guest, clock() + seconds)
    await _visited(guest)
    assert len(guest.visits) == 1
    assert guest.slot is None  # nothing is left of the other two


async def test_who_is_forgotten_is_not_visited() -> None:
    """Not even where it is forgotten by another's visit in the same round."""
    rounds = Rounds(clock)
    guests: list[Guest] = []

    def forget_the_others(guest: Guest) -> None:
        for other in guests:
            rounds.forget(other)

    guests += [Guest(forget_the_others) for _ in range(3)]
    due = clock()
    for guest in guests:
        rounds.visit(guest, due)
    last = Guest()
    rounds.visit(last, due + 2 * SLOT_SECONDS)
    await _visited(last)
    assert sum(len(guest.visits) for guest in guests) == 1


async def test_who_is_always_due_keeps_nobody_from_their_turn() -> None:
    """Asking for a visit at a time that has passed is answered in a later round, not at once."""
    rounds = Rounds(clock)
    greedy = Guest(lambda guest: rounds.visit(guest, 0.0))
    other = Guest()
    rounds.visit(greedy, 0.0)
    rounds.visit(other, clock() + 3 * SLOT_SECONDS)
    await _visited(greedy, other)
    rounds.forget(greedy)
    assert len({int(when / SLOT_SECONDS) for when in greedy.visits}) == len(greedy.visits)


async def test_a_visit_that_fails_takes_no_other_s_away() -> None:
    """The loop is told, and the others of the same round are visited."""
    rounds, told = Rounds(clock), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def fail(guest: Guest) -> None:
        raise ArithmeticError("a fault")

    guests = [Guest(fail) for _ in range(3)]
    due = clock()
    for guest in guests:
        rounds.visit(guest, due)
    await _visited(*guests)
    assert [type(each["exception"]) for each in told] == [ArithmeticError] * 3
