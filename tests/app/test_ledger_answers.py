"""What the API says about the ledger while the ledger goes on growing."""

from __future__ import annotations

import base64

import pytest
from fastapi.testclient import TestClient
from support.growing import grow_to
from support.world import World

from trust.app.http.app import create_app
from trust.encoding.merkle import check_consistency


def test_a_consistency_proof_leads_to_the_root_beside_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.service.log
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
    with TestClient(create_app(world.service)) as client:
        found = client.get(f"/api/v1/ledger/consistency?old={old.size}").json()
    check_consistency(
        size1=old.size,
        root1=old.root,
        size2=found["size"],
        root2=base64.b64decode(found["root"]),
        proof=[base64.b64decode(each) for each in found["proof"]],
    )
