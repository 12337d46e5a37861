"""Replaces secrets in text, as a stream: text in, text out, with a bounded hold-back.

Known values are found in all the forms they turn up in, unknown ones by rules. It is pure: it
reads no environment and no file; the shell hands in what it read.

Rooms, from the text inwards: `redactor` (texts and values), `stream` (a text that comes in pieces)
with its `spans` and `beginnings` (what ends where another begins), `registry` (the known secrets)
with `forms` (how they turn up), `reach` (how far one is looked for) and `sources` (by which names
they are kept), `keys` (which say that a value is a secret), `rules` with `rule` (what one is),
`validation` and `teams` (those of a team's own); `patterns` and `compilation` (how all of it is
searched for at once); `reference` writes the table of the rules.
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
