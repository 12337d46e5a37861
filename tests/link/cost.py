"""Whether work grows with its amount and no faster, judged by one run against another."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

FEW, MANY = 5_000, 20_000
MOST_GROWTH = 8
"""Four times as much work costs four times as much where it is linear, sixteen times where each
piece looks at all the others."""


def grows_linearly(prepare: Callable[[int], Callable[[], object]]) -> bool:
    """Compare much work with a quarter of it, in CPU time, which a busy machine does not change.

    Args:
        prepare: Makes the work for so many pieces; what it returns is measured.
    """
    few, many = (min(_seconds(prepare(count)) for _ in range(3)) for count in (FEW, MANY))
    return many < MOST_GROWTH * few


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()  # whose own cost goes by what other tests left in memory
    try:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
    finally:
        gc.enable()
