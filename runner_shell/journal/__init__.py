"""What a runner has emitted and accepted, behind one seam.

Rooms: `segments` (how records lie in a file), `recovered` (what a next process has to know) and
`recovery` (which records amount to it), `files` and `lock` (the disk), `durable` (the journal on
disk), `memory` (one that survives every loss of the connection and no loss of the process, and
says so by `durable`), `seam` (what the shell asks).
"""

from __future__ import annotations

from .durable import DurableJournal, open_journal
from .memory import MemoryJournal
from .recovered import INITIAL, CutTurn, Recovered
from .seam import Journal

__all__ = [
    "INITIAL",
    "CutTurn",
    "DurableJournal",
    "Journal",
    "MemoryJournal",
    "Recovered",
    "open_journal",
]
