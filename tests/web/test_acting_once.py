"""`Idempotency-Key`, `ETag` and `If-Match`: what is sent twice is done once, and nobody decides by an old state."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pytest
from fastapi.testclient import TestClient
from support.world import FOOD, World

from issuer.ecertificates import sql as ecertificates_sql
from trust.app.site import create_app
from trust.model.actor import OPERATOR, SCOPES
from trust.model.errors import ChangedSince, Conflict
from trust.model.status import Status, StatusAct


class Client:
    def __init__(self, world: World, client: TestClient) -> None:
        self.world, self.client = world, client
        self.key = world.site.admin.access.clients.create_api_key(
            OPERATOR, "market", authority_id="chuncheng-market", scopes=SCOPES, days=30
        )

    def ask(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)

    def act(self, pid: str, act: str, reason: str, **headers: str) -> Any:
        body = {"reason": reason} | ({"fields": FOOD} if act == "replace" else {})
        return self.ask(
            "POST", f"/certificates/{pid}/{act}", json=body, key=secrets.token_hex(8), headers=headers
        )


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with TestClient(create_app(world.site), raise_server_exceptions=False) as made:
        yield Client(world, made)


@pytest.fixture
def pid(world: World) -> str:
    return world.issue()[0].pid.hex()


def test_a_tag_changes_with_the_answer_and_only_then(client: Client, pid: str) -> None:
    first = client.ask("GET", f"/certificates/{pid}")
    again = client.ask("GET", f"/certificates/{pid}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    suspended = client.act(pid, "suspend", "penalty")
    after = client.ask("GET", f"/certificates/{pid}", headers={"If-None-Match": first.headers["etag"]})
    assert after.status_code == 200
    assert after.headers["etag"] == suspended.headers["etag"] != first.headers["etag"]
    found = client.ask("POST", "/certificates/lookup", json={"identifier": after.json()["identifier"]})
    assert found.headers["etag"] == after.headers["etag"]


@pytest.mark.parametrize("act", ["suspend", "reinstate", "revoke", "replace"])
def test_nobody_acts_on_what_has_changed_since(client: Client, pid: str, act: str) -> None:
    old = client.ask("GET", f"/certificates/{pid}").headers["etag"]
    client.act(pid, "suspend", "penalty")
    size = client.world.site.ledger.log.size
    refused = client.act(pid, act, "penalty", **{"If-Match": old})
    assert (refused.status_code, refused.json()["code"]) == (412, "PRECONDITION_FAILED")
    now = client.ask("GET", f"/certificates/{pid}")
    assert now.json()["status"] == "SUSPENDED"
    assert client.world.site.ledger.log.size == size
    if act != "suspend":
        done = client.act(pid, act, "penalty", **{"If-Match": f'"other", {now.headers["etag"]}'})
        assert done.status_code in (200, 201), done.text


@pytest.mark.parametrize("given", ['W/"{}"', "nonsense", '""', ""])
def test_what_is_no_strong_tag_matches_nothing(client: Client, pid: str, given: str) -> None:
    tag = client.ask("GET", f"/certificates/{pid}").headers["etag"]
    assert client.act(pid, "suspend", "x", **{"If-Match": given.format(tag.strip('"'))}).status_code == 412
    assert client.act(pid, "suspend", "x", **{"If-Match": "*"}).status_code == 200


def test_a_state_that_came_back_is_another(stored_world: World) -> None:
    """Between reading and acting, somebody suspended and reinstated: VALID, as before, and not the same."""
    statuses = stored_world.site.issuer.statuses
    seen, _ = stored_world.issue()
    with stored_world.site.stores.register.read() as connection:
        row = ecertificates_sql.get_ecertificate(connection, pid=seen.pid)
    for act in (StatusAct.SUSPEND, StatusAct.REINSTATE):
        stored_world.clock.advance(seconds=1)
        statuses.change(OPERATOR, seen.pid, act, reason="x")
    now = stored_world.site.issuer.issuing.issued(pid=seen.pid)
    assert now.status is seen.status is Status.VALID
    with pytest.raises(ChangedSince):
        statuses.change(OPERATOR, seen.pid, StatusAct.SUSPEND, reason="x", expected=seen)
    with pytest.raises(Conflict), stored_world.site.stores.register.write() as connection:
        ecertificates_sql.claim_for_operation(connection, row, 1)
    statuses.change(OPERATOR, seen.pid, StatusAct.SUSPEND, reason="x", expected=now)


def test_an_act_under_one_key_is_carried_out_once(client: Client, pid: str) -> None:
    tag = client.ask("GET", f"/certificates/{pid}").headers["etag"]
    given: dict[str, Any] = {"json": {"reason": "penalty"}, "key": "k" * 16, "headers": {"If-Match": tag}}
    first = client.ask("POST", f"/certificates/{pid}/revoke", **given)
    again = client.ask("POST", f"/certificates/{pid}/revoke", **given)
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json(), first.headers["etag"]) == (again.json(), again.headers["etag"])
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", [None, "k" * 15, "k" * 256, "k" * 15 + "\u00e9"])
def test_issuing_needs_a_key_in_its_form(client: Client, key: str | None) -> None:
    headers = {"Idempotency-Key": key.encode()} if key is not None else {}
    refused = client.ask("POST", "/certificates", json={"type": "FOOD", "fields": FOOD}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "IDEMPOTENCY_KEY")
    assert "Send a fresh random key" in refused.json()["detail"]


def test_a_stamp_under_one_key_is_set_once(client: Client) -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(595, 842)
    plain = io.BytesIO()
    document.save(plain)
    document.close()
    data = json.dumps(
        {"type": "FOOD", "fields": FOOD, "place": {"page": 0, "seal_mm": [150, 60]}}, ensure_ascii=False
    )

    def stamp(premises: str = "") -> Any:
        given = data.replace("示例路", premises) if premises else data
        files = {"file": ("a.pdf", plain.getvalue())}
        return client.ask("POST", "/stamp", files=files, data={"data": given}, key="k" * 16)

    first, again, other = stamp(), stamp(), stamp("另一条路")
    assert first.status_code == 200, first.text
    assert (first.content, first.headers["x-certificate-pid"]) == (
        again.content,
        again.headers["x-certificate-pid"],
    )
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_CONFLICT")


def test_a_seal_is_frozen_once_under_one_key(client: Client) -> None:
    seal = "chuncheng-market-sm2"
    asked: dict[str, Any] = {"json": {"note": "x"}, "key": "k" * 16}
    first, again = (client.ask("POST", f"/seals/{seal}/freeze", **asked) for _ in range(2))
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (200, 200, "true")
    assert client.ask("POST", f"/seals/{seal}/freeze", json={"note": "x"}).status_code == 409
    numbers = [client.ask("POST", f"/seals/{seal}/requests", json={"count": 3}).json() for _ in range(2)]
    assert numbers[0] != numbers[1]
