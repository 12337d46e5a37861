"""The LangGraph adapter of runner-shell: any graph as a supervised runner.

Rooms: `adapter` (the contract), `run` (one turn), `opened` (a graph that can run), `settings` (the
environment); `load`, `reference`, `manifest`, `remote` (from the settings to a graph);
`checkpoints`, `schema_types`, `turn_record` (what a next process goes on from); `inputs` (a user's
message to a graph's input); `translate`, `pieces`, `states`, `values` (stream parts to events);
`requests`, `breakpoints` (interrupts to questions); `history` (commands); `describe`, `failures`,
`meter`, `threads`, `tracing`; `nodes` (what a graph's own code may call), `testing` (a scripted
chat model).
"""

from __future__ import annotations

from .adapter import LangGraphAdapter
from .nodes import emit, progress
from .settings import LangGraphSettings

__all__ = ["LangGraphAdapter", "LangGraphSettings", "emit", "progress"]
