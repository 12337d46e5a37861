"""Replaces secrets in text, as a stream: text in, text out, with a bounded hold-back.

This version replaces known values exactly as they are; `Registry` is where more forms and rules
come in. It is pure: it reads no environment and no file.
"""

from __future__ import annotations

from .redactor import Redactor, Stream
from .registry import MINIMUM_LENGTH, Registry

__all__ = ["MINIMUM_LENGTH", "Redactor", "Registry", "Stream"]
