"""The LangGraph adapter of runner-shell: any graph as a supervised runner.

Rooms: `adapter` (the turn), `load` (the reference `GRAPH` to a graph), `settings` (the
environment), `inputs` (a user's message to a graph's input), `translate` (stream parts to events),
`requests` (interrupts to questions), `nodes` (what a graph's own code may call), `testing` (a
scripted chat model).
"""

from __future__ import annotations

from .adapter import LangGraphAdapter
from .nodes import emit, progress
from .settings import LangGraphSettings

__all__ = ["LangGraphAdapter", "LangGraphSettings", "emit", "progress"]
