"""The adapter contract as a pytest suite: subclass it, say how your adapter plays each scenario.

```python
from runner_shell.testing.conformance import AdapterConformance


class TestMyAdapter(AdapterConformance):
    adapter = MyAdapter
    environment = {"MY_MODEL": "fake"}
    says = "hello"
    runs_long = "count to a million"
```

The tests are plain functions, so that no plug-in is needed, and run the adapter in a real shell,
joined to a gateway in memory. A scenario that is None has no tests: they are taken out of the
subclass, so that pytest neither collects nor skips them.

Rooms: `suite` (every promise, one test each), `playing` (a session and what a scenario does in
it), `probe` (watches the adapter from inside), `stored`, `declared` and `leftovers` (what is
judged: events, the class, what still runs), `findings` (what is said of it).
"""

from ..order import Finding, check_order
from .findings import ContractBroken
from .playing import Played
from .stored import check_complaints, check_events, check_valid
from .suite import SCENARIO_TESTS, AdapterConformance

__all__ = [
    "SCENARIO_TESTS",
    "AdapterConformance",
    "ContractBroken",
    "Finding",
    "Played",
    "check_complaints",
    "check_events",
    "check_order",
    "check_valid",
]
