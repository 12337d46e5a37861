"""Clean text: the standard library and the installed packages, and what rules find in it."""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.redaction.rules import DEFAULT_RULES

FORMAT = {rule.placeholder for rule in DEFAULT_RULES if not rule.context}


@dataclass
class Found:
    """What was redacted in clean text.

    Attributes:
        characters: How much was read.
        by_rule: How often each placeholder stands in the result.
        where: A file for each.
    """

    characters: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    where: dict[str, str] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        """Millions of characters."""
        return self.characters / 1e6

    @property
    def per_megabyte(self) -> float:
        """All rules together."""
        return self.by_rule.total() / self.megabytes

    @property
    def formats_per_megabyte(self) -> float:
        """Those that go by a format alone."""
        return sum(n for name, n in self.by_rule.items() if name in FORMAT) / self.megabytes


def texts() -> Iterator[tuple[str, str]]:
    """Names and texts of the sources, in a fixed order.

    Our own, a package of rules, and tests of cryptography with keys in them are no clean text.
    """
    for root in (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        for file in sorted(root.rglob("*.py")):
            parts = set(file.relative_to(root).parts)
            if not {"site-packages", "runner_shell", "kingfisher_sdk", "SelfTest"} & parts:
                yield str(file), file.read_text("utf-8", "replace")


def scan() -> Found:
    """Redact clean text and count."""
    redactor, found = Redactor(SecretRegistry()), Found()
    for name, text in texts():
        found.characters += len(text)
        redacted = redactor.text(text)
        if redacted != text:
            for part in redacted.split("[REDACTED:")[1:]:
                placeholder = f"[REDACTED:{part.partition(']')[0]}]"
                if placeholder not in text:
                    found.by_rule[placeholder] += 1
                    found.where.setdefault(placeholder, name)
    return found
