"""The rules that come with the package; each says where its format is from, and how sure that is.

`models`, `tools` of agents, `code_hosts`, `clouds`, `services`, `business`, `operations`, smaller
`platforms`, and what is no one vendor's, `general`, hold one tuple `RULES` each. A new rule needs a
source, an example that it matches, its value from `samples`, and, where something harmless looks
alike, a counter-example; the tests try every split of each.
"""

from __future__ import annotations

from ..rule import Rule
from . import (
    business,
    clouds,
    code_hosts,
    general,
    models,
    operations,
    platforms,
    services,
    tools,
)

DEFAULT_RULES: tuple[Rule, ...] = (
    *models.RULES,
    *tools.RULES,
    *code_hosts.RULES,
    *clouds.RULES,
    *services.RULES,
    *business.RULES,
    *operations.RULES,
    *platforms.RULES,
    *general.RULES,
)

__all__ = ["DEFAULT_RULES"]
