"""The description of the API: complete, without free members, and held against what is really answered."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.testclient import TestClient
from support.described import NotDescribed
from support.routes import api_routes
from support.world import World, world_in

from issuer.http import ecertificates
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.sandbox.workers import Sandbox
from trust.web.description import operations
from verifier.checks import verifying

OF_NO_BODY = {"304"}


@pytest.fixture(scope="module")
def app(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[FastAPI]:
    made = world_in(template_folder, tmp_path_factory.mktemp("described") / "data", sandbox)
    yield create_app(made.site)
    made.close()


@pytest.fixture(scope="module")
def described(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def app_routes(app: FastAPI) -> dict[str, Any]:
    routes = api_routes(app)
    return {each.operation_id: each for each in routes if each.include_in_schema and each.operation_id}


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(world.site), raise_server_exceptions=False) as made:
        yield made


def free_schemas(schema: object, where: str) -> Iterator[str]:
    """Places of schemas that anything fits, or an object with any members."""
    if isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from free_schemas(each, f"{where}/{number}")
    if not isinstance(schema, Mapping):
        return
    if not set(schema) & {"type", "$ref", "anyOf", "oneOf", "const", "enum"}:
        yield where
    if schema.get("type") == "object":
        further = schema.get("additionalProperties")
        if further is None or further is True:
            yield where
        elif isinstance(further, Mapping):
            yield from free_schemas(further, f"{where}/additionalProperties")
    if schema.get("type") == "array" and "items" not in schema:
        yield where
    for name in ("anyOf", "oneOf", "items"):
        if name in schema:
            yield from free_schemas(schema[name], f"{where}/{name}")
    for name, each in schema.get("properties", {}).items():
        yield from free_schemas(each, f"{where}/{name}")


def schemas_of(described: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from described["components"]["schemas"].items()
    for operation in operations(dict(described)):
        name = operation["operationId"]
        yield from ((f"{name} {each['name']}", each["schema"]) for each in operation.get("parameters", []))
        contents = [("body", operation.get("requestBody", {}).get("content", {}))]
        contents += [(status, each.get("content", {})) for status, each in operation["responses"].items()]
        for what, content in contents:
            yield from (
                (f"{name} {what} {media_type}", each["schema"]) for media_type, each in content.items()
            )


def test_no_schema_has_free_members(described: dict[str, Any]) -> None:
    found = [where for name, schema in schemas_of(described) for where in free_schemas(schema, name)]
    assert found == []
    assert list(free_schemas({"type": "object", "properties": {"a": {}}}, "x")) == ["x", "x/a"]


def test_every_route_says_what_it_answers(app_routes: Mapping[str, Any], described: dict[str, Any]) -> None:
    assert {each["operationId"] for each in operations(described)} == set(app_routes)
    for operation in operations(described):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {})
            assert content or status in OF_NO_BODY, operation["operationId"]
            if int(status) >= 400 and operation["operationId"] != "readyz":
                assert list(content) == ["application/problem+json"], operation["operationId"]


def test_examples_are_what_their_schemas_say(described: dict[str, Any]) -> None:
    checked = 0
    for operation in operations(described):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [each.get("content", {}) for each in operation["responses"].values()]
        for each in (each for content in contents for each in content.values() if "example" in each):
            schema = {**each["schema"], "components": described["components"]}
            jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(each["example"])
            checked += 1
    for name, schema in described["components"]["schemas"].items():
        parts = [
            (name, schema),
            *((f"{name} {each}", part) for each, part in schema.get("properties", {}).items()),
        ]
        for where, part in parts:
            for example in part.get("examples", []):
                whole = {**part, "components": described["components"]}
                assert jsonschema_rs.is_valid(whole, example, validate_formats=True), where
                checked += 1
    assert checked > 130


def test_who_needs_a_key_is_told_by_a_security_scheme(described: dict[str, Any]) -> None:
    assert described["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for operation in operations(described):
        names = [each["name"].lower() for each in operation.get("parameters", [])]
        assert "authorization" not in names
        assert ("401" in operation["responses"]) == ("security" in operation), operation["operationId"]
    by_name = {each["operationId"]: each for each in operations(described)}
    assert by_name["issueCertificate"]["security"] == [{"apiKey": ["cert.issue"]}]
    assert by_name["verify"]["security"] == [{"apiKey": ["verify"]}, {}]


def ask(client: TestClient, world: World) -> Any:
    key = world.site.admin.access.clients.create_api_key(
        OPERATOR, "market system", authority_id="chuncheng-market", scopes=["cert.read"], days=30
    )
    pid = world.issue()[0].pid.hex()
    return client.get(f"/api/v1/certificates/{pid}", headers={"authorization": f"Bearer {key}"})


def test_an_answer_that_lost_a_field_is_seen(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ecertificates.ecertificate_json
    monkeypatch.setattr(
        ecertificates,
        "ecertificate_json",
        lambda found: {name: value for name, value in whole(found).items() if name != "status_at"},
    )
    with pytest.raises(NotDescribed, match="status_at"):
        ask(client, world)


def test_an_answer_with_a_field_more_is_seen(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ecertificates.ecertificate_json
    monkeypatch.setattr(ecertificates, "ecertificate_json", lambda found: {**whole(found), "more": 1})
    with pytest.raises(NotDescribed, match="more"):
        ask(client, world)


def test_a_report_that_lost_a_fact_is_seen(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pdf = world.issue()
    whole = verifying._facts_of
    monkeypatch.setattr(
        verifying,
        "_facts_of",
        lambda *given: {name: value for name, value in whole(*given).items() if name != "valid_until"},
    )
    with TestClient(client.app) as raising, pytest.raises(NotDescribed, match="ecertificate"):
        raising.post("/api/v1/verifications", files={"file": ("x.pdf", io.BytesIO(pdf))})


def test_a_status_or_media_type_that_is_not_declared_is_seen(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ecertificates, "private", lambda body: JSONResponse(body, 202))
    with pytest.raises(NotDescribed, match="202"):
        ask(client, world)
    monkeypatch.setattr(ecertificates, "private", lambda body: PlainTextResponse("VALID"))
    with pytest.raises(NotDescribed, match="text/plain"):
        ask(client, world)
