"""What a runner has emitted and accepted, behind one seam.

`MemoryJournal` keeps it in the process: it survives every loss of the connection and no loss of the
process, and says so by `durable`.
"""

from __future__ import annotations

from .memory import MemoryJournal
from .seam import Journal

__all__ = ["Journal", "MemoryJournal"]
