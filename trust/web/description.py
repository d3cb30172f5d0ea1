"""The OpenAPI description of the application: what the framework makes of the routes, and what all have in common.

A route says with `trust.web.api.problems` what it may answer besides; here are the model of those answers, the trace
id that every answer bears, and nothing that the framework only supposes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from trust.web.answers import Problem

SECURITY_SCHEME = "apiKey"
SCOPES_OF_ROUTE = "x-scopes"
"""What a route says of its keys, until it is turned into what OpenAPI 3.1 says of them."""
_SUPPOSED = ("HTTPValidationError", "ValidationError")
"""Models of the framework's own refusals, which `trust.web.problems` replaces."""


def describe(app: FastAPI) -> None:
    """Makes `app.openapi()` the description of what the application answers."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(described())
        return app.openapi_schema

    # As the framework's documentation says to extend the description.
    app.openapi = openapi  # type: ignore[method-assign]


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _SUPPOSED:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    components["schemas"] = dict(sorted(schemas.items()))
    components["headers"] = {
        "TraceId": {
            "description": "names the request in the service's log",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        }
    }
    for operation in operations(schema):
        _complete(operation)
    return schema


def operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of a description."""
    for path in schema["paths"].values():
        yield from (path[method] for method in ("get", "put", "post", "patch", "delete") if method in path)


def _complete(operation: dict[str, Any]) -> None:
    if SCOPES_OF_ROUTE in operation:
        ways = operation.pop(SCOPES_OF_ROUTE)
        operation["security"] = [{SECURITY_SCHEME: way} if way else {} for way in ways]
    responses = operation["responses"]
    supposed = {f"#/components/schemas/{name}" for name in _SUPPOSED}
    for status in [status for status, answer in responses.items() if _schema_of(answer) in supposed]:
        # The route has parameters, and none of them can be refused.
        del responses[status]
    for answer in responses.values():
        answer.setdefault("headers", {})["X-Trace-Id"] = {"$ref": "#/components/headers/TraceId"}
    operation["responses"] = dict(sorted(responses.items()))


def _schema_of(answer: dict[str, Any]) -> str | None:
    found: str | None = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    return found
