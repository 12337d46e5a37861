"""A chat model that says what a script says; for tests of graphs, without a key or a network.

```python
model = ScriptedChatModel(
    replies=[
        ScriptedReply(
            reasoning="I should add.",
            tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1"}],
            usage={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        ),
        ScriptedReply("It is 3."),
    ]
)
```
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr


@dataclass(frozen=True)
class ScriptedReply:
    """One reply of a `ScriptedChatModel`.

    Attributes:
        text: What it says.
        reasoning: What it thinks before.
        tool_calls: The tools it calls: `{"name", "args", "id"}`.
        usage: What it says it used.
        error: Raised after everything else was streamed.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    usage: UsageMetadata | None = None
    error: Exception | None = None


class ScriptedChatModel(BaseChatModel):
    """Gives the replies of a script, one per call, streamed in chunks as a provider's.

    Attributes:
        replies: The script. One call too many raises `IndexError`.
        chunk_characters: The size of a chunk of text, reasoning or tool arguments.
        model_name: What the replies' metadata say.
    """

    replies: Sequence[ScriptedReply]
    chunk_characters: int = 4
    model_name: str = "scripted"

    _given: int = PrivateAttr(default=0)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Take the tools as a real model does; the script says which are called."""
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = [chunk.message for chunk in self._stream(messages, stop, run_manager, **kwargs)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        assert isinstance(whole, AIMessageChunk)
        message = AIMessage(
            content=whole.content,
            tool_calls=whole.tool_calls,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._next()
        for message in self._chunks(reply):
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                run_manager.on_llm_new_token(str(message.text), chunk=chunk)
            yield chunk
        if reply.error is not None:
            raise reply.error

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = self._next()
        for message in self._chunks(reply):
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                await run_manager.on_llm_new_token(str(message.text), chunk=chunk)
            yield chunk
        if reply.error is not None:
            raise reply.error

    def _next(self) -> ScriptedReply:
        with self._lock:
            number, self._given = self._given, self._given + 1
        if number >= len(self.replies):
            raise IndexError(f"the script has {len(self.replies)} replies; this is one call more")
        return self.replies[number]

    def _chunks(self, reply: ScriptedReply) -> Iterator[AIMessageChunk]:
        for text in self._cut(reply.reasoning):
            yield AIMessageChunk(content=[{"type": "reasoning", "reasoning": text, "index": 0}])
        for text in self._cut(reply.text):
            # Plain text as most providers send it; blocks once there is reasoning before it.
            block: dict[str, Any] = {"type": "text", "text": text, "index": 1}
            yield AIMessageChunk(content=[block] if reply.reasoning else text)
        for index, call in enumerate(reply.tool_calls):
            name, id = call["name"], call["id"]
            for text in self._cut(json.dumps(call["args"])):
                part = tool_call_chunk(name=name, args=text, id=id, index=index)
                yield AIMessageChunk(content="", tool_call_chunks=[part])
                name = id = None  # they come with the first chunk only
        yield AIMessageChunk(
            content="",
            usage_metadata=reply.usage,
            response_metadata={"model_name": self.model_name},
        )

    def _cut(self, text: str) -> Iterator[str]:
        for start in range(0, len(text), self.chunk_characters):
            yield text[start : start + self.chunk_characters]
