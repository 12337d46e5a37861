"""How long to wait before the next dial."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Full jitter: anything between nothing and a ceiling that doubles; the first dial at once.

    Args:
        first_seconds: The first ceiling.
        ceiling_seconds: The last one.
        jitter: A number from 0 up to 1; random unless a test says otherwise.
    """

    def __init__(
        self,
        first_seconds: float = 0.1,
        ceiling_seconds: float = 10.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first_seconds = first_seconds
        self._ceiling_seconds = ceiling_seconds
        self._jitter = jitter
        self._attempts = 0

    def next_seconds(self) -> float:
        """How long to wait now; 0 for the first dial and the first after `reset`."""
        attempt, self._attempts = self._attempts, self._attempts + 1
        if attempt == 0:
            return 0.0
        # The exponent is bounded so that a day of failures does not overflow.
        ceiling = min(self._ceiling_seconds, self._first_seconds * 2.0 ** min(attempt - 1, 30))
        return ceiling * self._jitter()

    def reset(self) -> None:
        """There was acknowledged progress; a connection alone is none."""
        self._attempts = 0
