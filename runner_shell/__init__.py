"""A framework-agnostic shell that runs AI agents as supervised processes and loses nothing.

What stands here is public; the modules behind it are loaded when a name is first used, so that
importing `runner_shell` costs nothing on the start path.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter.contract import (
        Adapter,
        Capabilities,
        Continue,
        Ending,
        TurnInput,
        UserMessage,
    )
    from .adapter.session import Answer, Request, Session
    from .adapter.settings import AdapterSettings
    from .adapter.turn import MessageWriter, Turn
    from .adapter.workspace import Workspace
    from .errors import (
        AgentFailed,
        ConfigurationError,
        NotSupported,
        RunnerError,
        TurnOver,
    )
    from .protocol import commands, events

__all__ = [
    "Adapter",
    "AdapterSettings",
    "AgentFailed",
    "Answer",
    "Capabilities",
    "ConfigurationError",
    "Continue",
    "Ending",
    "MessageWriter",
    "NotSupported",
    "Request",
    "RunnerError",
    "Session",
    "Turn",
    "TurnInput",
    "TurnOver",
    "UserMessage",
    "Workspace",
    "commands",
    "events",
]

__version__ = "0.1.0"

_HOME = {
    "contract": ("Adapter", "Capabilities", "Continue", "Ending", "TurnInput", "UserMessage"),
    "session": ("Answer", "Request", "Session"),
    "settings": ("AdapterSettings",),
    "turn": ("MessageWriter", "Turn"),
    "workspace": ("Workspace",),
}
_MODULE_OF = {name: f".adapter.{module}" for module, names in _HOME.items() for name in names}
_ERRORS = ("AgentFailed", "ConfigurationError", "NotSupported", "RunnerError", "TurnOver")


def __getattr__(name: str) -> Any:
    if name in ("commands", "events"):
        return import_module(f".protocol.{name}", __name__)
    if name in _ERRORS:
        return getattr(import_module(".errors", __name__), name)
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
