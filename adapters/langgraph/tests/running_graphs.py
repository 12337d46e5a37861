"""A graph in a real runner, over a socket, at a real gateway."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from real_processes import Launcher, RealGateway, Started, eventually

GRAPHS = Path(__file__).parent


class Running:
    """A runner of one graph, and the session that the gateway has of it."""

    def __init__(
        self, launch: Launcher, gateway: RealGateway, graph: str | Path, **more: str
    ) -> None:
        self.id, token = gateway.create()
        self._gateway = gateway
        self._launch = launch
        self._commands = 0
        self._environment = {
            "RUNNER_ADAPTER": "langgraph",
            "RUNNER_GATEWAY": gateway.url,
            "SESSION_ID": self.id,
            "BOT_TOKEN": token,
            "GRAPH": f"{graph}:graph" if isinstance(graph, Path) else f"{GRAPHS}/{graph}",
            "PYTHONPATH": str(GRAPHS),
            "PROMPT": "one three",
            **more,
        }
        self.process: Started = launch.container(**self._environment)

    def kill(self) -> None:
        """Kill the runner, without a word."""
        os.kill(self.process.runner, signal.SIGKILL)
        self.process.wait()

    def restart(self, **more: str) -> None:
        """Start the next process of the same session, on the same state directory."""
        self.process = self._launch.container(**self._environment | more)

    def end(self) -> int:
        """Wait for the process's own end; its exit code."""
        return self.process.wait()

    def of(self, *types: str) -> list[dict[str, Any]]:
        """The stored events of these types."""
        return [event for event in self._gateway.events(self.id) if event["type"] in types]

    def wait_for(self, type: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event."""
        return self._gateway.wait_for(self.id, type, **fields)

    def several(self, type: str, count: int) -> list[dict[str, Any]]:
        """Wait for this many events of a type."""
        eventually(lambda: len(self.of(type)) >= count, f"{count} of {type}")
        return self.of(type)

    def command(self, type: str, **fields: Any) -> dict[str, Any]:
        """Submit a command as a person would, and wait for its reply."""
        self._commands += 1
        id = f"c{self._commands}"
        self._gateway.command(self.id, id=id, type=type, **fields)
        replies = eventually(lambda: self._replies(id), f"the reply to {type}")
        return replies[0]

    def _replies(self, command: str) -> list[dict[str, Any]]:
        replies = self.of("command.done", "command.failed")
        return [event for event in replies if event["command"] == command]

    def answer(self, title: str, answer: Any) -> dict[str, Any]:
        """Answer the question with this title."""
        request = self.wait_for("request.opened", title=title)
        return self.command("request.answer", request=request["id"], answer=answer)

    def text(self) -> str:
        """All that was said."""
        return "".join(event["text"] for event in self.of("block.delta"))

    def everything(self) -> str:
        """All that left the process: events, logs, what the launcher reads."""
        log = self._launch.termination_log
        said = log.read_text() if log.exists() else ""
        events = self._gateway.ask("GET", f"/sessions/{self.id}/events?limit=1000").text
        return events + self.process.out + self.process.err + said

    def state(self) -> Any:
        """The last state that was told."""
        return self.of("state.snapshot")[-1]["state"]
