"""What a turn's model calls used."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from runner_shell import events

from .values import added, usage_of


class Meter(BaseCallbackHandler):
    """Sums what every model call used, those included that a graph does not stream.

    Attributes:
        total: The sum, None before the first call that says what it used.
        by_model: The same by the model's name, where it has one.
    """

    run_inline = True

    def __init__(self) -> None:
        self.total: events.Usage | None = None
        self.by_model: dict[str, events.Usage] = {}

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Add one call."""
        for generation in (one for several in response.generations for one in several):
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if not isinstance(message, AIMessage) or (used := usage_of(message)) is None:
                continue
            self.total = added(self.total, used)
            if model := message.response_metadata.get("model_name"):
                self.by_model[str(model)] = added(self.by_model.get(str(model)), used) or used
