"""What the documentation says is shown by a test is shown by one that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_a_page_names_exists() -> None:
    """By file and name: one that is renamed takes the page along."""
    named = {
        (page.name, *found)
        for page in ROOT.glob("docs/**/*.md")
        for found in re.findall(r"`((?:tests|adapters)/[\w/.]+\.py)::(\w+)", page.read_text())
    }
    assert len(named) > 20
    missing = [
        (page, file, name)
        for page, file, name in sorted(named)
        if not (ROOT / file).is_file()
        or not re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []
