"""The way from the adapter's thread to the main one, and the pressure on it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner_shell.shell.thread import crossing as crossing_module
from runner_shell.shell.thread.crossing import BURST, BURST_SECONDS, REST_EVERY, Crossing, Pressure


async def test_what_is_put_is_taken_in_order_over_many_bursts() -> None:
    """Also where putting goes on while it is taken; between bursts the loop gets its turn."""
    count, taken, turns = BURST * 5, [], []
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def take(number: int) -> None:
        taken.append(number)
        if number == 0:
            loop.call_soon(lambda: turns.append(len(taken)))
        if len(taken) == count:
            done.set()

    crossing = Crossing(loop, take)
    thread = threading.Thread(target=lambda: [crossing.put(number) for number in range(count)])
    thread.start()
    await done.wait()
    thread.join()
    assert taken == list(range(count))
    assert turns[0] <= BURST + 1


async def test_large_things_leave_the_loop_its_turn_too() -> None:
    """However few they are."""
    taken: list[int] = []

    def take(number: int) -> None:
        taken.append(number)
        time.sleep(BURST_SECONDS * 2)

    crossing = Crossing(asyncio.get_running_loop(), take)
    for number in range(4):
        crossing.put(number)
    seen = []
    while len(taken) < 4:
        await asyncio.sleep(0)
        seen.append(len(taken))
    assert seen[-4:] == [1, 2, 3, 4]


async def test_nothing_put_is_forgotten_between_two_wake_ups() -> None:
    """One at a time, each is taken without another one coming after it."""
    news = asyncio.Event()
    crossing: Crossing[int] = Crossing(asyncio.get_running_loop(), lambda _: news.set())
    for number in range(500):
        news.clear()
        await asyncio.to_thread(crossing.put, number)
        await asyncio.wait_for(news.wait(), 1.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may wait does so until something else makes it cross."""
    monkeypatch.setattr(crossing_module, "LINGER_SECONDS", 3600.0)


async def _turns_of_the_loop() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("patient")
async def test_what_may_wait_wakes_nobody_but_for_the_first() -> None:
    """After a pause one is taken at once; to wake the loop for each costs more than they do."""
    taken: list[int] = []
    crossing = Crossing(asyncio.get_running_loop(), taken.append)
    for number in range(5):
        crossing.put_lingering(number)
        await _turns_of_the_loop()
    assert taken == [0]


@pytest.mark.usefixtures("patient")
async def test_what_may_not_wait_takes_along_what_was_put_before() -> None:
    """A question overtakes no text, and waits for none."""
    taken: list[int] = []
    crossing = Crossing(asyncio.get_running_loop(), taken.append)
    crossing.put_lingering(0)
    await _turns_of_the_loop()
    crossing.put_lingering(1)
    crossing.put(2)
    await _turns_of_the_loop()
    assert taken == [0, 1, 2]


@pytest.mark.usefixtures("patient")
async def test_many_that_may_wait_do_not() -> None:
    """A flood is taken as it comes, or it would run into its own pressure."""
    taken: list[int] = []
    crossing = Crossing(asyncio.get_running_loop(), taken.append)
    crossing.put_lingering(0)
    await _turns_of_the_loop()
    for number in range(1, BURST + 1):
        crossing.put_lingering(number)
    await _turns_of_the_loop()
    assert len(taken) == BURST + 1


async def test_nothing_that_lingers_is_forgotten() -> None:
    """From another thread, one at a time: each is taken without another one coming after it."""
    news = asyncio.Event()
    crossing: Crossing[int] = Crossing(asyncio.get_running_loop(), lambda _: news.set())
    for number in range(100):
        news.clear()
        await asyncio.to_thread(crossing.put_lingering, number)
        await asyncio.wait_for(news.wait(), 60.0)


async def test_who_wakes_the_loop_after_a_while_lets_it_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What crosses alone is on its way at once; where much crosses, who puts it goes on."""
    now, yielded = 100.0, []
    monkeypatch.setattr(crossing_module, "monotonic", lambda: now)
    monkeypatch.setattr(crossing_module, "sched_yield", lambda: yielded.append(now))
    crossing: Crossing[int] = Crossing(asyncio.get_running_loop(), lambda _: None)
    for wait in (1.0, 0.0001, 0.0001, crossing_module.QUIET_SECONDS * 2):
        now += wait
        crossing.put(1)
        await _turns_of_the_loop()
    assert yielded == pytest.approx([101.0, now])


async def test_draining_takes_everything_now() -> None:
    """At the end of a session nothing waits for the loop."""
    taken: list[int] = []
    crossing = Crossing(asyncio.get_running_loop(), taken.append)
    for number in range(BURST * 2):
        crossing.put(number)
    crossing.drain()
    assert taken == list(range(BURST * 2))


def test_putting_after_the_loop_is_closed_is_harmless() -> None:
    """A stuck adapter may go on when the process is on its way out."""
    loop = asyncio.new_event_loop()
    loop.close()
    Crossing(loop, lambda _: None).put(1)


async def waits(pressure: Pressure) -> bool:
    """Whether an awaited emit waits now."""
    task = asyncio.ensure_future(_await_gate(pressure))
    for _ in range(4):
        await asyncio.sleep(0)
    waiting = not task.done()
    task.cancel()
    return waiting


async def _await_gate(pressure: Pressure) -> None:
    await pressure.gate()


async def test_pressure_rises_at_the_high_mark_and_falls_at_the_low_one() -> None:
    """In between it stays what it was."""
    pressure = Pressure(high_bytes=100, low_bytes=50)
    seen = []
    for backlog in (0, 99, 100, 51, 50, 99):
        pressure.update(backlog)
        seen.append(await waits(pressure))
    assert seen == [False, False, True, True, False, False]


async def test_what_still_crosses_counts_as_pressure() -> None:
    """Else an adapter that never rests would fill the memory before anyone looked."""
    pressure = Pressure(high_bytes=100, low_bytes=50)
    pressure.emitted(60)
    pressure.emitted(60)
    assert await waits(pressure)
    pressure.taken(60)
    pressure.update(60)
    assert await waits(pressure)
    pressure.taken(60)
    pressure.update(0)
    assert not await waits(pressure)


async def test_many_small_events_are_pressure_too() -> None:
    """While they cross: an ending comes behind them."""
    pressure = Pressure(high_crossing=4)
    crossing: list[int] = []
    pressure.watch(crossing)
    for number in range(5):
        pressure.emitted(1)
        crossing.append(number)
    crossing.pop()
    seen = []
    for _ in range(3):
        seen.append(await waits(pressure))
        crossing.pop()
        pressure.update(0)
    assert seen == [True, True, False]


async def test_lifted_pressure_lets_as_much_again_go_until_it_is_restored() -> None:
    """Who waits already goes on; what does not heed its interrupt waits again."""
    pressure = Pressure(high_bytes=100, low_bytes=50)
    pressure.update(200)
    waiting = asyncio.ensure_future(_await_gate(pressure))
    await asyncio.sleep(0)
    pressure.lift()
    await asyncio.wait_for(waiting, 1.0)
    pressure.update(250)
    pressure.emitted(49)
    assert not await waits(pressure)
    pressure.emitted(1)
    assert await waits(pressure)
    pressure.update(150)
    assert not await waits(pressure)
    pressure.restore()
    assert await waits(pressure)


async def test_waiting_tasks_of_other_loops_are_let_go() -> None:
    """The adapter's loop is another thread's."""
    pressure = Pressure(high_bytes=100, low_bytes=50)
    pressure.update(100)
    waiting = asyncio.ensure_future(asyncio.to_thread(asyncio.run, _await_gate(pressure)))
    while not pressure._waiting:  # noqa: ASYNC110 — it is another thread's
        await asyncio.sleep(0.001)
    pressure.update(0)
    await asyncio.wait_for(waiting, 1.0)


async def test_awaited_emits_give_other_tasks_a_turn() -> None:
    """Without pressure, one in so many."""
    pressure = Pressure()
    others: list[int] = []
    asyncio.get_running_loop().call_soon(others.append, 1)
    for _ in range(REST_EVERY):
        await pressure.gate()
    assert others == [1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["backlog", "emitted", "taken", "lift", "restore"]),
            st.integers(0, 120),
        ),
        max_size=40,
    )
)
@example([("emitted", 60), ("backlog", 40)])
def test_what_stays_low_needs_no_update(steps: list[tuple[str, int]]) -> None:
    """To ask first changes nothing: neither who waits nor what merges."""
    asks, does_not = (
        Pressure(high_bytes=100, low_bytes=50, high_crossing=10, high_events=90, low_events=40)
        for _ in range(2)
    )
    for what, amount in steps:
        for pressure in (asks, does_not):
            match what:
                case "backlog":
                    if pressure is does_not or not pressure.stays_low(amount, amount):
                        pressure.update(amount, amount)
                case "lift" | "restore":
                    getattr(pressure, what)()
                case _:
                    getattr(pressure, what)(amount)
        assert (asks.on, asks.merging) == (does_not.on, does_not.merging)
