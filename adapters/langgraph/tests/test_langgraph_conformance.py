"""The LangGraph adapter passes the suite that outside adapters subclass."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from runner_shell_langgraph import LangGraphAdapter

from runner_shell.testing.conformance import AdapterConformance

SCENARIOS = Path(__file__).with_name("langgraph_scenarios.py")


class TestLangGraph(AdapterConformance):
    """Every scenario, in the real shell."""

    adapter = LangGraphAdapter
    environment: ClassVar[dict[str, str]] = {"GRAPH": f"{SCENARIOS}:graph"}
    says = "says"
    runs_long = "waits"
    asks = "asks"
    fails = "fails"
    uses_tool = "calls"
    entry_point = "langgraph"
