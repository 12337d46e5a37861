"""The one class a framework plugs in by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from msgspec import Struct

from ..errors import NotSupported
from ..protocol.commands import Command, ReservedCommand
from ..protocol.events import JSON, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from .session import Session
    from .settings import AdapterSettings
    from .turn import Turn


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an adapter can do; a command that needs more is answered `not_supported`.

    Attributes:
        resume: A turn can go on in a next process, from what the adapter saved.
        inject: A user message during a turn may be folded into it; see `Adapter.inject`.
        defer: Questions can be left open over the end of a turn.
        commands: The command types that `handle` carries out, such as `adapter.call`.
    """

    resume: bool = False
    inject: bool = False
    defer: bool = False
    commands: frozenset[str] = frozenset()


class UserMessage(Struct, frozen=True, kw_only=True):
    """A turn begins with what a user said.

    Attributes:
        content: A string, or a list of content blocks.
        attachments: Files that came with it.
    """

    content: JSON
    attachments: tuple[JSON, ...] = ()

    def text(self) -> str:
        """The message as plain text: text blocks joined, other blocks left out."""
        if isinstance(self.content, str):
            return self.content
        if not isinstance(self.content, list):
            return str(self.content)
        texts = (part.get("text") for part in self.content if isinstance(part, dict))
        return "\n".join(text for text in texts if isinstance(text, str))


class Continue(Struct, frozen=True, kw_only=True):
    """A turn goes on without a new message.

    Attributes:
        cause: `answers`: open questions were answered, ask again and have them. `restart`: an
            earlier process died in this turn. `wake`: the adapter called `session.wake()`.
    """

    cause: Literal["answers", "restart", "wake"]


TurnInput: TypeAlias = UserMessage | Continue
EndingOutcome: TypeAlias = Literal[
    "completed", "failed", "interrupted", "waiting", "budget_exhausted"
]


class Ending(Struct, frozen=True):
    """How a turn ended, in the adapter's honest words.

    Attributes:
        outcome: `waiting` leaves deferrable questions open and ends the turn; `budget_exhausted`
            is a failure that the framework's own limit of cost brought about.
        reason: Why, for a person; required by good manners unless completed.
        usage: What the turn used, where known.
    """

    outcome: EndingOutcome
    reason: str = ""
    usage: Usage | None = None


class Adapter(ABC):
    """Turns one framework into events.

    The shell makes one instance per process, in the adapter's own thread and event loop. `open`,
    every `turn` and `close` run there in one task; `interrupt` and `handle` in others. A method
    that blocks delays nothing but the adapter itself.

    Args:
        settings: An instance of `Settings`, filled from the environment.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    Settings: ClassVar[type[AdapterSettings]]

    def __init__(self, settings: AdapterSettings) -> None:
        self.settings = settings

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Give a subclass without settings the empty ones."""
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "Settings"):
            from .settings import AdapterSettings

            cls.Settings = AdapterSettings

    async def open(self, session: Session) -> None:
        """Get ready. Called once before the first turn, and again after a turn that raised.

        Raises:
            ConfigurationError: Something the person must mend; the process exits with 2.
        """

    @abstractmethod
    async def turn(self, turn: Turn) -> Ending:
        """Run one turn: read `turn.input`, emit events, return when the framework is at rest.

        Raises:
            AgentFailed: The agent failed, with a code and whether to retry.
        """

    async def interrupt(self, reason: str) -> bool:
        """Tell the framework to end the running turn soon.

        Returns:
            True where it was told and `turn` will return by itself; False to be cancelled.
        """
        del reason
        return False

    async def inject(self, message: UserMessage) -> bool:
        """Fold a message into the running turn; asked only of adapters with `inject`.

        Cancelled where it takes longer than a share of the grace. Then too, return True if the
        framework has the message; let the cancellation pass if it has not and will not get it.

        Returns:
            True where the framework has it: the turn deals with it, and it is never run again,
            not even where this process dies. False: it becomes the next turn.
        """
        del message
        return False

    async def handle(self, command: Command | ReservedCommand) -> JSON:
        """Carry out a command whose type stands in `capabilities.commands`.

        Raises:
            NotSupported: It cannot; the reply is `command.failed{not_supported}`.
            AgentFailed: It failed; the reply is `command.failed` with this code.
        """
        raise NotSupported(f"{self.name} does not carry out this command: {command.id}")

    async def close(self) -> None:
        """Let everything go. May follow a half-done `open` or `turn`, and may be called twice."""

    @classmethod
    def preflight(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """What would keep this adapter from working here; nothing unless overridden.

        `runner-shell validate` asks before anything runs, in a thread of its own: look for what a
        session would need (a program, a file, a key that is well-formed), start no work, change
        nothing, and return within some seconds.

        Args:
            settings: Filled from the environment; what is wrong with it is told already.
            workspace: Where the agent would work.

        Returns:
            A sentence for each problem: the variable's name first, what is wrong, what would be
            right; never a secret's value.
        """
        del settings, workspace
        return ()

    @classmethod
    def preflight_online(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """What those whom this adapter needs would refuse, such as a key or a model.

        `runner-shell validate --online` asks where `preflight` found nothing, in a thread of its
        own: ask what costs nothing and changes nothing, and return within some seconds.

        Args:
            settings: Filled from the environment.
            workspace: Where the agent would work.

        Returns:
            A sentence for each problem, as from `preflight`.

        Raises:
            NotSupported: There is nobody to ask, and why; this is told, and is no problem.
        """
        raise NotSupported(f"the adapter {cls.name!r} has nobody whom it could ask")

    def describe(self) -> dict[str, JSON]:
        """What `session.started` says of this adapter, such as a model or a graph's name.

        Called once before `open` and again after it; an adapter that asks somebody while it opens
        is announced with the first.
        """
        return {}
