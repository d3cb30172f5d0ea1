"""Holds answers against the OpenAPI description: every one that a test gets from the application through a test client.

An answer has a status that its route declares, a media type that this status has, and, if it is JSON, exactly the
members of the schema. What is answered where there is no route, or not this method, is a problem.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
from fastapi import FastAPI
from fastapi.testclient import TestClient

from trust.encoding import report
from verifier.http.answers import ReportBody
from verifier.reports import shown

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_PAGE = "text/html"


class NotDescribed(AssertionError):
    """An answer of which the description says something else."""


class Description:
    """What `openapi.json` says of answers."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        # Those with fewer parameters first: /certificates/lookup is not a /certificates/{pid}.
        self._paths = [
            (re.compile(_pattern(path)), operations)
            for path, operations in sorted(schema["paths"].items(), key=lambda each: each[0].count("{"))
        ]
        self._validator = functools.cache(self._make_validator)

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: object) -> None:
        """`headers` have names in lower case; `body` is the value if it is JSON. Raises `NotDescribed`."""
        media_type = headers.get("content-type", "").partition(";")[0]
        operation = self._operation(method.lower(), path)
        if operation is None:
            if path.startswith("/api/"):
                self._check_schema(_PROBLEM, body, f"{method} {path} ({status})")
            return
        where = f"{operation['operationId']} ({status})"
        responses = operation["responses"]
        if str(status) not in responses:
            raise NotDescribed(f"{where}: this status is not declared: {body}")
        for name, header in responses[str(status)].get("headers", {}).items():
            self._check_header(name, header, headers.get(name.lower()), where)
        content = responses[str(status)].get("content", {})
        if not content and not media_type:
            return
        if media_type not in content:
            raise NotDescribed(f"{where}: {media_type!r} is not among {sorted(content)}")
        if media_type.endswith("json"):
            self._check_schema(content[media_type]["schema"], body, where)

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        for pattern, operations in self._paths:
            if method in operations and pattern.fullmatch(path):
                found: Mapping[str, Any] = operations[method]
                return found
        return None

    def _check_header(self, name: str, header: Mapping[str, Any], value: str | None, where: str) -> None:
        if value is None and not header.get("required"):
            return
        schema = header.get("schema", {})
        is_number = schema.get("type") == "integer" and value is not None and value.isdigit()
        given: object = int(value) if is_number and value is not None else value
        if not jsonschema_rs.is_valid(schema, given):
            raise NotDescribed(f"{where}: the header {name} is {value!r}")

    def _check_schema(self, schema: Mapping[str, Any], body: object, where: str) -> None:
        wrong = [
            f"{'/'.join(map(str, error.instance_path))}: {error.message}"
            for error in self._validator(schema["$ref"]).iter_errors(body)
        ]
        if wrong:
            raise NotDescribed(f"{where}: {'; '.join(wrong)[:2000]}")

    def _make_validator(self, reference: str) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(
            {"$ref": reference, "components": self.schema["components"]}, validate_formats=True
        )


def _pattern(path: str) -> str:
    parts = re.split(r"(\{\w+\})", path)
    return "".join(_PARAMETERS.get(each, "[^/]+") if each[:1] == "{" else re.escape(each) for each in parts)


_PARAMETERS = {"{path}": ".+", "{encoded}": ".+"}
"""Those that take slashes too."""
_described: dict[str, Description] = {}


def description_of(app: FastAPI) -> Description:
    """Made once in a process: every app of ours has the same routes."""
    if app.title not in _described:
        _described[app.title] = Description(app.openapi())
    return _described[app.title]


def check_answer(app: FastAPI, answer: Any) -> None:
    """`answer` is one of a test client. Raises `NotDescribed`."""
    if app.openapi_url is None or answer.request.method in ("HEAD", "OPTIONS") or answer.is_redirect:
        return
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type == _PAGE or answer.request.url.path == app.openapi_url:
        return
    is_json = media_type.endswith("json")
    body = answer.json() if is_json else None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    request = answer.request
    description_of(app).check(request.method, request.url.path, answer.status_code, headers, body)


def watch_test_clients() -> None:
    """From now on every answer to a test client is held against the description."""
    request = TestClient.request

    @functools.wraps(request)
    def checked(self: TestClient, *given: Any, **named: Any) -> Any:
        answer = request(self, *given, **named)
        if isinstance(self.app, FastAPI):
            check_answer(self.app, answer)
        return answer

    TestClient.request = checked  # type: ignore[method-assign]


def watch_reports() -> None:
    """From now on every report that is made in this process, online or offline, is held against its model."""
    encode = report.encode_report
    validator = jsonschema_rs.Draft202012Validator(ReportBody.model_json_schema(), validate_formats=True)

    @functools.wraps(encode)
    def checked(*given: Any, **named: Any) -> dict[str, Any]:
        value = encode(*given, **named)
        wrong = [
            f"{'/'.join(map(str, error.instance_path))}: {error.message}"
            for error in validator.iter_errors(value)
        ]
        if wrong:
            raise NotDescribed(f"a report of the kind {value['kind']}: {'; '.join(wrong)[:2000]}")
        return value

    # Where the verifier looks it up: it is imported there by name.
    vars(shown)["encode_report"] = checked
