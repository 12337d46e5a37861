"""The threads of nodes and tools that are not coroutines: who still runs there.

Such a node cannot be cancelled. It is named to the person instead, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from langchain_core.runnables.config import var_child_runnable_config

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 64
"""More than Python's own limit, because a thread that does not return is lost."""


class NodeThreads(ThreadPoolExecutor):
    """The adapter's default executor: LangGraph and LangChain run what is synchronous there."""

    def __init__(self) -> None:
        super().__init__(MAX_THREADS, thread_name_prefix="node")
        self._running: dict[Future[Any], str] = {}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call, remembering in whose name."""
        future = super().submit(fn, *args, **kwargs)
        self._running[future] = _node_of(fn)
        future.add_done_callback(lambda done: self._running.pop(done, None))
        return future

    def nodes(self) -> list[str]:
        """The nodes whose calls have begun and not returned."""
        return sorted({name for future, name in list(self._running.items()) if future.running()})

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; what runs is never waited for, or a runner could not end."""
        del wait, cancel_futures
        super().shutdown(wait=False, cancel_futures=True)


def _node_of(call: Callable[..., Any]) -> str:
    """The node in whose context a call runs; empty where it is nobody's."""
    run = call.func if isinstance(call, partial) else None
    context = getattr(run, "__self__", None)
    if not isinstance(context, Context):
        return ""
    config = context.get(var_child_runnable_config) or {}
    return str(config.get("metadata", {}).get("langgraph_node", ""))
