"""The shell's side of a turn, reduced to a count: what an adapter costs by itself."""

from __future__ import annotations

from collections.abc import Awaitable

from runner_shell.adapter.turn import Done


class Counting:
    """A port that counts what is emitted."""

    def __init__(self) -> None:
        self.events = 0

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        self.events += 1
        return Done()

    def say(self, payload: bytes) -> None: ...

    def save(self, key: str, value: bytes | None) -> None: ...

    def wake(self) -> None: ...

    def learn(self, name: str, value: str) -> None: ...

    async def ask(self, *_: object) -> None:
        raise AssertionError("nobody is there to be asked")
