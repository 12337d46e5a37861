"""Replaces secrets in text, as a stream: text in, text out, with a bounded hold-back.

Known values are found in all the forms they turn up in, unknown ones by rules. It is pure: it
reads no environment and no file; the shell hands in what it read.
"""

from __future__ import annotations

from .reach import Admission, Reach
from .redactor import Prepared, Redactor
from .registry import SecretRegistry
from .rule import Rule
from .stream import RedactingStream

__all__ = [
    "Admission",
    "Prepared",
    "Reach",
    "RedactingStream",
    "Redactor",
    "Rule",
    "SecretRegistry",
]
