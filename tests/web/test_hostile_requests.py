"""Whatever stands in a body, a path or a query: an answer in plain words, never a 500."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from support.pages_browser import Browser
from support.pages_world import World as PagesWorld
from support.producers import contract
from support.routes import api_routes, methods_of
from support.world import FOOD, World

from trust.app.site import create_app
from trust.model.actor import OPERATOR, SCOPES
from trust.model.clock import SystemEntropy
from trust.people.access import open_access

VALUES: dict[str, bytes] = {
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "nested to its end": b"[" * 5000 + b"]" * 5000,
    "half a pair": b'"\\ud800"',
    "a NUL": b'"\\u0000"',
    "no UTF-8": b'"\xff\xfe"',
    "a long number": b"1" * 5000,
    "infinity": b"1e999",
    "NaN": b"NaN",
    "a list": b"[]",
    "null": b"null",
    "true": b"true",
    "an object": b"{}",
    "a long text": b'"' + b"A" * 70_000 + b'"',
    "control characters": b'"\\u001b[2J\\u202e"',
}
IN_PATHS = (
    "0",
    "-1",
    "1e9",
    "9" * 30,
    "%00",
    "%ED%A0%80",
    "%FF",
    "..%2F..",
    "%2e%2e",
    "é",
    "A" * 3000,
    "{x}",
    "%0d%0a",
)


BASES: dict[str, Any] = {
    "type": "FOOD",
    "fields": FOOD,
    "reason": "penalty",
    "level": 1,
    "ttl_seconds": 60,
    "further_seals": [],
    "digests": ["00" * 32],
    "purpose": "窗口办事",
}


@pytest.fixture
def hostile(world: World) -> Iterator[tuple[TestClient, list[str | None], str]]:
    """A client that sees a 500 as an answer, keys that may do everything, and the pid of a certificate."""
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    key = access.clients.create_api_key(
        OPERATOR, "market", authority_id="chuncheng-market", scopes=SCOPES, days=30
    )
    issued, _ = world.issue(1)
    with TestClient(create_app(world.site), raise_server_exceptions=False) as client:
        yield client, [None, key], issued.pid.hex()


def operations(client: TestClient) -> list[tuple[str, APIRoute]]:
    """Methods and routes."""
    assert isinstance(client.app, FastAPI)
    found = [
        (method, route)
        for route in api_routes(client.app)
        for method in sorted(methods_of(route) & {"GET", "POST"})
    ]
    assert len(found) > 60
    return found


def sent(client: TestClient, method: str, path: str, key: str | None, **more: Any) -> int:
    """The status, once it is sure that the answer is one of ours."""
    headers = {"Idempotency-Key": secrets.token_hex(16), **more.pop("headers", {})}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    answer = client.request(method, path, headers=headers, follow_redirects=False, **more)
    assert answer.status_code < 500, (method, path[:80], more, answer.text[:500])
    if answer.headers.get("content-type") == "application/problem+json":
        problem = answer.json()
        assert problem["code"], path
        assert len(answer.content) < 4000, "a problem does not give back what was sent"
    return answer.status_code


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: value, path)


def test_odd_paths_and_queries(hostile: Any) -> None:
    client, keys, pid = hostile
    for method, route in operations(client):
        queries = [each.alias for each in route.dependant.query_params] or [""]
        values = IN_PATHS if "{" in route.path else ("",)
        for key in keys:
            for value in values:
                sent(client, method, filled(route.path, value), key)
            for name in queries:
                for value in IN_PATHS:
                    sent(client, method, f"{filled(route.path, pid)}?{name}={value}", key)


def test_odd_bodies(hostile: Any) -> None:
    client, keys, pid = hostile
    statuses = set()
    for method, route in operations(client):
        if method != "POST":
            continue
        path = filled(route.path, pid)
        for key in keys:
            for kind in (
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "text/csv",
                "",
            ):
                for value in VALUES.values():
                    statuses.add(
                        sent(client, method, path, key, content=value, headers={"Content-Type": kind})
                    )
            for name in fields_of(route):
                base = {each: BASES.get(each, "x") for each in fields_of(route)}
                for value in VALUES.values():
                    text = json.dumps({**base, name: "@"}, ensure_ascii=False).encode().replace(b'"@"', value)
                    statuses.add(
                        sent(
                            client,
                            method,
                            path,
                            key,
                            content=text,
                            headers={"Content-Type": "application/json"},
                        )
                    )
    assert {400, 401, 404, 422} <= statuses, statuses


def test_odd_parts_of_a_stamping(hostile: Any) -> None:
    """The one form of the API: a PDF and, as text, what is to be done with it."""
    client, keys, _ = hostile
    statuses = set()
    for key in keys:
        for value in VALUES.values():
            text = value.decode("utf-8", "replace")
            for data, pdf in ((text, contract()), ("{}", value)):
                files = {"file": ("é\0.pdf", pdf)}
                statuses.add(sent(client, "POST", "/api/v1/stamp", key, data={"data": data}, files=files))
    assert {401, 422} <= statuses, statuses


def fields_of(route: APIRoute) -> list[str]:
    models: list[Any] = [each.field_info.annotation for each in route.dependant.body_params]
    return [name for model in models if hasattr(model, "model_fields") for name in model.model_fields]


FORM = re.compile(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
FIELD = re.compile(r'<(?:input|select|textarea)[^>]*name="([^"]*)"(?:[^>]*value="([^"]*)")?')
ODD_TEXTS = (
    "",
    "\0",
    "\ud800",
    "\u202e\x1b[2J",
    "9" * 5000,
    "-1",
    "1e999",
    "[" * 9000,
    "A" * 70_000,
    "https://elsewhere.example/",
)


def test_odd_forms_of_people_who_are_signed_in(browser: Browser, pages_world: PagesWorld) -> None:
    link = pages_world.access.invitations.create_claim_link(OPERATOR, pages_world.holder_ref)
    assert browser.post(f"/wallet/claim/{link}").status_code == 200
    assert browser.post("/desk/sign-in", data={"key": pages_world.desk_key}).status_code == 200
    pid = pages_world.valid.pid.hex()
    pages = (
        "/",
        "/verify",
        "/desk",
        "/wallet",
        f"/wallet/{pid}",
        f"/wallet/{pid}/show",
        "/ledger",
        "/seals",
        "/trust",
    )
    seen = set()
    for page in pages:
        for action, inside in FORM.findall(browser.get(page).text):
            fields = dict(FIELD.findall(inside))
            for name in fields:
                if "sign-out" in action or (action, name) in seen:
                    continue
                seen.add((action, name))
                for odd in ODD_TEXTS:
                    encoded = odd.encode("utf-8", "surrogatepass")
                    for options in (
                        {"data": {**fields, name: encoded}},
                        {"data": fields, "files": {name: ("é\0\n.pdf", encoded, "x/\u202e")}},
                        {"data": fields, "files": [(name, ("a", encoded))] * 20},
                    ):
                        answer = browser.post(action or page, **options)
                        assert answer.status_code < 500, (action, name, odd[:20], answer.text[:400])
    assert len(seen) > 8, seen
