"""The OpenAPI document, from the table of endpoints and the docstrings of what they answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from ...protocol import docstrings
from ...protocol.events import SessionFinished, Usage
from ..sessions.information import CommandInfo, RequestInfo, SessionInfo
from .problems import MEDIA_TYPE, Problem
from .rest import ENDPOINTS, Endpoint, Parameter, http_endpoints

Schema: TypeAlias = dict[str, Any]

VERSION = "3.1.0"
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{name}"

_EVERY_PROBLEM = (401, 403, 503)
"""What an endpoint that needs a token may always answer."""


@cache
def document() -> Schema:
    """The whole document."""
    paths: Schema = {}
    for endpoint in http_endpoints():
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": VERSION,
        "info": {
            "title": "runner-shell gateway",
            "version": "1",
            "description": "Sessions of agents: their events, their commands, their questions."
            " Runners use the protocol `runner-shell.v1`, which this document does not hold.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint) -> Schema:
    description = endpoint.notes and {"description": endpoint.notes}
    parameters = [*_path_parameters(endpoint.path), *map(_parameter, endpoint.parameters)]
    operation: Schema = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        **(description or {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(endpoint)} if endpoint.body else {}),
        "responses": dict(_responses(endpoint)),
        "security": [] if endpoint.right == "none" else [{"token": []}],
    }
    return operation


def _path_parameters(path: str) -> Iterator[Schema]:
    for name in _PATH_PARAMETER.findall(path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"Id of the {name}.",
            "schema": {"type": "string", "minLength": 1},
        }


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _body(endpoint: Endpoint) -> Schema:
    assert endpoint.body is not None
    required = True
    if isinstance(endpoint.body, str):
        schema: Schema = {
            "type": "object",
            "description": "A command; see commands.schema.json.",
            "properties": {
                "type": {"type": "string"},
                "id": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            },
            "required": ["type"],
        }
    else:
        schema = {"$ref": _REFERENCE.format(name=endpoint.body.__name__)}
        required = any(field.required for field in docstrings.fields(endpoint.body))
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _responses(endpoint: Endpoint) -> Iterator[tuple[str, Schema]]:
    yield str(endpoint.status), _answer(endpoint)
    everywhere = () if endpoint.right == "none" else _EVERY_PROBLEM
    missing = (404,) if "{" in endpoint.path else ()
    for status in sorted({422, *everywhere, *missing, *endpoint.problems}):
        yield (
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
            },
        )


def _answer(endpoint: Endpoint) -> Schema:
    description = {"description": HTTPStatus(endpoint.status).phrase}
    match endpoint.answer:
        case None:
            return description
        case str(media_type):
            kind = "string" if media_type.startswith("text/") else "object"
            return {**description, "content": {media_type: {"schema": {"type": kind}}}}
        case struct:
            schema = {"$ref": _REFERENCE.format(name=struct.__name__)}
            return {**description, "content": {"application/json": {"schema": schema}}}


# --- schemas -----------------------------------------------------------------------------


def structs() -> list[type[msgspec.Struct]]:
    """Everything that is sent or answered, without what these hold."""
    found: dict[type[msgspec.Struct], None] = {Problem: None}
    for row in ENDPOINTS:
        for kind in (row.body, row.answer):
            if isinstance(kind, type):
                found[kind] = None
    return list(found)


def _schemas() -> Schema:
    _, found = msgspec.json.schema_components(structs(), ref_template=_REFERENCE)
    known: dict[str, type[msgspec.Struct]] = {}
    for kind in (*structs(), *_HELD):
        known[kind.__name__] = kind
    for name, schema in found.items():
        if "properties" in schema and name in known:
            _describe(known[name], schema)
    return dict(sorted(found.items()))


def _describe(kind: type[msgspec.Struct], schema: Schema) -> None:
    schema["description"] = docstrings.summary(kind)
    own = set(kind.__annotations__)
    for name, text in docstrings.attributes(kind, own).items():
        if name in schema["properties"]:
            # Beside a reference a description is allowed since this version of OpenAPI.
            schema["properties"][name]["description"] = text


_HELD: tuple[type[msgspec.Struct], ...] = (
    SessionInfo,
    SessionFinished,
    CommandInfo,
    RequestInfo,
    Usage,
)
"""What the others hold."""
