"""The end of the socket that asks; standard library only, because a probe runs often.

Exit codes: 0 ready, 1 running but not connected, 2 asked wrongly, 3 no runner answers.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from .address import address_of

READY, NOT_READY, ASKED_WRONGLY, NOBODY = 0, 1, 2, 3
ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024


class NobodyAnswers(Exception):
    """No runner answers there; says why."""


def ask(path: Path, *, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
    """How the runner stands that answers at this socket.

    Raises:
        NobodyAnswers: None runs there, it is somebody else's, or it does not react.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            with address_of(path) as address:
                connection.connect(address)
            answer = _everything(connection)
        except TimeoutError:
            raise NobodyAnswers(f"the runner did not answer within {timeout:g} s") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise NobodyAnswers(f"no runner answers at {path}: {reason}") from error
    if not answer:
        raise NobodyAnswers(f"the runner at {path} answers its own user only, not {os.geteuid()}")
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise NobodyAnswers(f"what answers at {path} is no runner") from error
    if not isinstance(said, dict):
        raise NobodyAnswers(f"what answers at {path} is no runner")
    return said


def exit_code(status: dict[str, Any]) -> int:
    """0 where the runner is connected, else 1."""
    return READY if status.get("connected") is True else NOT_READY


def sentence(status: dict[str, Any]) -> str:
    """The answer in a line for a person."""
    turn = status.get("turn")
    backlog = status.get("backlog_events")
    link = "connected" if status.get("connected") else f"not connected ({status.get('link')})"
    problem = "" if status.get("connected") or not status.get("problem") else status["problem"]
    parts = [
        f"{status.get('session')}: {link}",
        f"epoch {status.get('epoch')}, {status.get('last_acked')} events acknowledged",
        f"{backlog} events ({status.get('backlog_bytes')} bytes) not yet",
        f"in {turn}" if turn else "no turn",
    ]
    return ", ".join(parts) + (f"; {problem}" if problem else "")


def _everything(connection: socket.socket) -> bytes:
    answer = b""
    while len(answer) < MAX_ANSWER_BYTES and (piece := connection.recv(65536)):
        answer += piece
    return answer
