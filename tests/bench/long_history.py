"""What a session of a million events costs: storing them, and reading pages of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT, SessionKey
from runner_shell.link.effects import EventsReceived
from runner_shell.link.gateway import GatewayLink
from runner_shell.protocol import codec

from .load_client import PADDING

KEY = SessionKey(DEFAULT_TENANT, "history")
FRAME = 64
PAGE = 100
REPEATS = 200
LOG_EVERY = 10
"""Every tenth event is a line of log: a page of these looks through ten times as many events."""


class Page(NamedTuple):
    """What reading costs at a number of stored events: the median, in milliseconds.

    Attributes:
        events: How many are stored.
        first: The first page.
        last: The last one.
        first_log: The first one of lines of log.
        last_log: The last one of them.
        none: The first one of a type that is nowhere, with which nothing is found.
    """

    events: int
    first: float
    last: float
    first_log: float
    last_log: float
    none: float


class History(NamedTuple):
    """What one long session costs.

    Attributes:
        receiving: CPU µs an event in the link.
        storing: CPU µs an event in the store, the wait for its thread included.
        read: Events read back in a second.
        pages: What a page costs, at several lengths.
    """

    receiving: float
    storing: float
    read: float
    pages: list[Page]


async def measure(largest: int) -> History:
    """Store events up to this many, and read pages at every power of ten from 1,000."""
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder, "gateway.db")) as store:
            await store.create_session(KEY, created_at="2026-11-21T10:00:00Z", metadata={})
            epoch = await store.bump_epoch(KEY, "one")
            link = _welcomed()
            receiving = storing = 0.0
            pages, size, seq = [], 1000, 0
            while size <= largest:
                while seq < size:
                    frame = _frame(seq + 1, min(FRAME, size - seq))
                    began = time.process_time()
                    (received,) = link.receive(frame, 0.0)
                    between = time.process_time()
                    assert isinstance(received, EventsReceived)
                    seq = await store.append_events(KEY, epoch, received.events)
                    receiving += between - began
                    storing += time.process_time() - between
                pages.append(await _pages(store, size))
                size *= 10
            read = await _read_back(store, seq)
            return History(receiving / seq * 1e6, storing / seq * 1e6, read, pages)


def table(history: History) -> str:
    """The report's part about it."""
    lines = [
        f"Taking in and storing a frame of {FRAME} events: {history.receiving:.2f} µs an event in"
        f" the link, {history.storing:.2f} in the store (CPU, the wait for the thread included)."
        f" Read back: {history.read:,.0f} events a second.",
        "",
        f"A page of {PAGE}, median of {REPEATS} readings, in ms. Every tenth event is a line of"
        " log; `types` chooses these, or a type that is nowhere. A page that finds too little ends"
        " after 2,000 frames, and says where the next one begins.",
        "",
        "| events stored | first | last | first of type `log` | last of type `log` | of a type that"
        " is nowhere |",
        "|---|---|---|---|---|---|",
    ]
    for page in history.pages:
        costs = " | ".join(f"{cost:.2f}" for cost in page[1:])
        lines.append(f"| {page.events:,} | {costs} |")
    return "\n".join(lines)


def _welcomed() -> GatewayLink:
    link = GatewayLink(now=0.0)
    hello = b'{"frame":"hello","session":"history","epoch":null,"instance":"i","log":"l"'
    link.receive(hello + b',"next":1,"last_command":0}', 0.0)
    link.welcome(epoch=1, acked=0, now=0.0)
    return link


def _frame(first: int, count: int) -> bytes:
    return codec.join_events([_event(seq) for seq in range(first, first + count)])


def _event(seq: int) -> bytes:
    head = b'{"seq":%d,"time":"2026-11-21T10:00:00.000Z","turn":"t1"' % seq
    if seq % LOG_EVERY == 0:
        return b'%b,"type":"log","message":"%b"}' % (head, PADDING)
    return b'%b,"type":"block.delta","message":"m","index":0,"text":"%b"}' % (head, PADDING)


async def _pages(store: SqliteStore, events: int) -> Page:
    last, last_log = events - PAGE, events - PAGE * LOG_EVERY
    return Page(
        events,
        await _cost(store, 0, None, PAGE),
        await _cost(store, last, None, PAGE),
        await _cost(store, 0, ["log"], PAGE),
        await _cost(store, last_log, ["log"], PAGE),
        await _cost(store, 0, ["nowhere"], 0),
    )


async def _cost(store: SqliteStore, since: int, types: Collection[str] | None, found: int) -> float:
    costs = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        page = await store.read_events(KEY, since=since, limit=PAGE, types=types)
        costs.append(time.perf_counter() - began)
        assert len(page.events) == found
    return sorted(costs)[REPEATS // 2] * 1e3


async def _read_back(store: SqliteStore, events: int) -> float:
    began, since, seen = time.perf_counter(), 0, 0
    while True:
        page = await store.read_events(KEY, since=since, limit=1000)
        seen += len(page.events)
        if page.next is None:
            break
        since = page.next
    assert seen == events
    return seen / (time.perf_counter() - began)
