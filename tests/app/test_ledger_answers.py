"""What the API says about the ledger while the ledger goes on growing."""

from __future__ import annotations

import base64

import pytest
from fastapi.testclient import TestClient
from support.growing import grow_to
from support.world import World

from issuer.ecertificates import sql
from trust.app.site import create_app
from trust.encoding.merkle import check_consistency
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.people.access import open_access
from trust.people.sql import ClaimLinkRow
from trust.storage import tables
from trust.web.sql import IdempotencyRow


def test_a_consistency_proof_leads_to_the_root_beside_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.site.ledger.log
    grow_to(log, 5)
    old = log.publish()
    grow_to(log, 6)
    log.publish()
    prove = log.consistency

    def prove_and_publish(old_size: int, size: int | None = None) -> list[bytes]:
        """Between one call of the log and the next, another request may publish."""
        proof = prove(old_size, size)
        grow_to(log, log.size + 2)
        log.publish()
        return proof

    monkeypatch.setattr(log, "consistency", prove_and_publish)
    with TestClient(create_app(world.site)) as client:
        found = client.get(f"/api/v1/ledger/consistency?old={old.size}").json()
    check_consistency(
        size1=old.size,
        root1=old.root,
        size2=found["size"],
        root2=base64.b64decode(found["root"]),
        proof=[base64.b64decode(each) for each in found["proof"]],
    )


def test_a_full_queue_is_answered_503_with_the_time_to_come_back(world: World) -> None:
    issued, _ = world.issue()
    world.site.ledger.log.pause("Too few witnesses have cosigned the ledger.", "Look at the witnesses.")
    with TestClient(create_app(world.site)) as client:
        access = open_access(
            world.site.stores.register, world.site.clock, SystemEntropy(), world.site.admin.access.trail
        )
        key = access.clients.create_api_key(
            OPERATOR, "t", authority_id="chuncheng-market", scopes=["cert.status"], days=1
        )
        answer = client.post(
            f"/api/v1/certificates/{issued.pid.hex()}/suspend",
            json={"reason": "inspection"},
            headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "0123456789abcdef"},
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30"), answer.text
        assert world.site.issuer.issuing.issued(pid=issued.pid).status.value == "VALID"
        world.site.ledger.log.resume()
        assert world.site.issuer.statuses.resume_pending() == 1
    assert world.site.issuer.issuing.issued(pid=issued.pid).status.value == "SUSPENDED"


def test_both_trees_and_the_keys_are_served_with_their_caching(world: World) -> None:
    world.issue()
    with TestClient(create_app(world.site)) as client:
        for path in ("/ledger/checkpoint", "/ledger/sm3/checkpoint"):
            answer = client.get(path)
            assert answer.headers["cache-control"] == "public, max-age=2"
            assert answer.text.endswith("\n")
            assert client.head(path).status_code == 200
        for path in ("/ledger/tile/0/000.p/3", "/ledger/sm3/tile/0/000.p/3", "/ledger/keys/1"):
            answer = client.get(path)
            assert "immutable" in answer.headers["cache-control"], path
        plain = client.get("/ledger/tile/entries/000.p/3", headers={"Accept-Encoding": "identity"})
        packed = client.get("/ledger/tile/entries/000.p/3", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.content == plain.content
        assert client.get("/ledger/keys/2").status_code == 404
        assert client.get("/ledger/keys/-1").status_code == 404
        assert client.get("/status/1.tlog-proof").text.startswith("c2sp.org/tlog-proof@v1\nextra ")
        assert client.get("/ledger/sm3/tile/entries/000.p/3").status_code == 404


def test_an_erasure_also_takes_stored_answers_links_and_sessions(stored_world: World) -> None:
    site = stored_world.site
    gone, _ = stored_world.issue(1, holder_code="91990101MA6K1001XL")
    access = open_access(site.stores.register, site.clock, SystemEntropy(), site.admin.access.trail)
    with site.stores.register.read() as connection:
        refs = sql.holder_refs_of(connection, 1)
    with TestClient(create_app(site)) as client:
        key = access.clients.create_api_key(
            OPERATOR, "t", authority_id="chuncheng-market", scopes=["cert.status"], days=1
        )
        answer = client.post(
            f"/api/v1/certificates/{gone.pid.hex()}/revoke",
            json={"reason": "cancelled"},
            headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "0123456789abcdef"},
        )
        assert answer.status_code == 200, answer.text
    access.invitations.create_claim_link(OPERATOR, refs[0])
    erased = site.issuer.erasing.erase(
        OPERATOR, gone.pid, basis="court-order", requested_by="A", approved_by="B"
    )
    assert (erased.rows["idempotency"], erased.rows["claim_link"]) == (1, 1)
    with site.stores.register.read() as connection:
        assert tables.all_rows(connection, IdempotencyRow) == []
        assert tables.all_rows(connection, ClaimLinkRow) == []
