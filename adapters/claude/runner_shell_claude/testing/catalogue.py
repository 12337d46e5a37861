"""The list of models as the API gives it: pure, a path in, an object out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from .script import Model

PATH = "/v1/models"


def answer(path: str, models: Sequence[Model]) -> dict[str, Any] | None:
    """What is said to a request for the list or for one model; None where there is none.

    Args:
        path: The request's path; what is asked for after a `?` does not matter, as all models stand
            on one page.
        models: All there are.
    """
    path = path.partition("?")[0]
    if path == PATH:
        found = [_shown(model) for model in models]
        ends = {"first_id": models[0].id, "last_id": models[-1].id} if models else {}
        return {"data": found, "has_more": False, **ends}
    name = unquote(path.removeprefix(f"{PATH}/"))
    return next((_shown(one) for one in models if name in (one.id, *one.aliases)), None)


def _shown(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": model.lifecycle,
    }
