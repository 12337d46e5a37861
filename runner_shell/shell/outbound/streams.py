"""The texts that are being streamed, and what they hold back: one timer lets go of it."""

from __future__ import annotations

from collections.abc import Callable

from .safeguard import GuardedStream, Safeguard

Key = tuple[str, str | int]
"""A block (its message and index), or the output of a tool call (empty, and the call)."""

IDLE_SECONDS = 0.1
"""A stream lets go of what is harmless when nothing came for it in this time, or up to twice it."""

Later = Callable[[float, Callable[[], None]], object]


def never(seconds: float, call: Callable[[], None]) -> None:
    """A timer that does not run."""


class Streams:
    """Redacts the texts of open blocks and tool calls, each by itself.

    Args:
        guard: Makes the streams.
        release: Called with what an idle stream lets go of: key, text, and the turn of it.
        later: Calls a function after so many seconds.
    """

    def __init__(
        self,
        guard: Safeguard,
        release: Callable[[Key, str, str], None],
        later: Later = never,
    ) -> None:
        self._guard = guard
        self._release = release
        self._later = later
        self._streams: dict[Key, GuardedStream] = {}
        # The turn of each stream that holds something: fed since the last tick, or before.
        self._fresh: dict[Key, str] = {}
        self._quiet: dict[Key, str] = {}
        self._armed = False

    def feed(self, key: Key, text: str, turn: str) -> str:
        """Take a piece of a text in and return what is safe to show."""
        stream = self._streams.get(key)
        if stream is None:
            path = "block.delta.text" if key[0] or isinstance(key[1], int) else "tool.output.text"
            stream = self._streams[key] = self._guard.stream(path)
        shown = stream.feed(text)
        if stream.waiting:
            self._wait(key, turn)
        return shown

    def finish(self, key: Key) -> str:
        """The text has ended: return what was held back."""
        stream = self._streams.pop(key, None)
        return "" if stream is None else stream.finish()

    def clear(self) -> None:
        """Forget every text."""
        self._streams.clear()
        self.rest()

    def rest(self) -> None:
        """Let nothing go until something comes: the turn is over."""
        self._fresh.clear()
        self._quiet.clear()

    def _wait(self, key: Key, turn: str) -> None:
        self._fresh[key] = turn
        if self._quiet:
            self._quiet.pop(key, None)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._later(IDLE_SECONDS, self._tick)

    def _tick(self) -> None:
        self._armed = False
        idle, self._quiet, self._fresh = self._quiet, self._fresh, {}
        for key, turn in idle.items():
            stream = self._streams.get(key)
            text = "" if stream is None else stream.idle()
            if text:
                self._release(key, text, turn)
        if self._quiet:
            self._arm()
