"""Erasure: the person is gone from the register and its files, and everything that was proven stays proven."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.world import FOOD, MARKET, World

from issuer.ecertificates import sql
from issuer.erasing import sql as erasing_sql
from issuer.erasing.erasing import Erased
from issuer.publishing.auditing import audit_status_lists
from ledger.proof import check_embedded_receipt, format_receipt
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind, decode_entry
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, Malformed, NotFound, NotPermitted
from trust.model.report import Verdict
from trust.model.status import StatusAct

ROLES = {"requested_by": "clerk 7", "approved_by": "head of records"}


def erase(world: World, pid: bytes) -> Erased:
    return world.site.issuer.erasing.erase(OPERATOR, pid, basis="retention-expired", **ROLES)


def revoked(world: World, number: int = 1, **changes: str) -> tuple[bytes, bytes, str]:
    issued, pdf = world.issue(number, **changes)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    return issued.pid, pdf, issued.identifier


def test_what_is_in_force_is_not_erased(stored_world: World) -> None:
    issued, _ = stored_world.issue()
    with pytest.raises(Conflict, match="VALID"):
        erase(stored_world, issued.pid)
    stored_world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.SUSPEND, reason="投诉调查")
    with pytest.raises(Conflict, match="SUSPENDED"):
        erase(stored_world, issued.pid)
    assert stored_world.site.issuer.issuing.issued_file(issued.pid)


@pytest.mark.parametrize(
    "changes",
    [
        {"basis": "because"},
        {"requested_by": ""},
        {"approved_by": "clerk 7"},
        {"approved_by": "x" * 65},
        {"requested_by": "a|b"},
    ],
)
def test_an_erasure_has_a_legal_basis_and_two_people(stored_world: World, changes: dict[str, str]) -> None:
    pid, _, _ = revoked(stored_world)
    with pytest.raises((Malformed, NotPermitted)):
        stored_world.site.issuer.erasing.erase(OPERATOR, pid, **({"basis": "court-order", **ROLES} | changes))
    assert stored_world.site.issuer.issuing.issued_file(pid)


def test_after_an_erasure_nothing_of_the_person_is_left_and_every_proof_holds(stored_world: World) -> None:
    site = stored_world.site
    issued_at = site.ledger.log.size
    pid, pdf, identifier = revoked(stored_world, 77, holder_name="春城将被遗忘餐饮有限公司")
    kept, kept_pdf = stored_world.issue(78)
    before = [format_receipt(each) for each in site.ledger.log.receipt([issued_at, issued_at + 1])]
    entries = [site.ledger.log.entry(seq) for seq in (issued_at, issued_at + 1)]
    erased = erase(stored_world, pid)
    assert erased.rows["document"] >= 3
    assert erased.rows["holder"] == 1
    entry = decode_entry(site.ledger.log.entry(erased.entry_seq))
    assert (entry.kind, entry.actor) == (EntryKind.ERASED, MARKET.authority_id)
    with pytest.raises(NotFound):
        site.issuer.issuing.issued(pid=pid)
    with pytest.raises(NotFound):
        site.issuer.issuing.issued(identifier=identifier)
    for data, text in zip(entries, before, strict=True):
        check_embedded_receipt(data, text, log_keys=site.ledger.log.keys)
    # The holder's own file still proves itself, and the answer is what it was: revoked.
    assert stored_world.verify(pdf).code == "REVOKED"
    assert stored_world.verify_offline(pdf, stored_world.bundle()).code == "REVOKED"
    assert stored_world.verify(kept_pdf).verdict is Verdict.PASSED
    assert site.issuer.issuing.issued(pid=kept.pid).identifier == kept.identifier
    report = recheck(
        site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
    )
    assert report.findings == ()
    count, findings = audit_status_lists(
        site.stores.register, site.ledger.log.entries(), site.ledger.log.keys
    )
    assert count >= 1
    assert findings == []


def test_the_files_of_the_database_no_longer_hold_a_byte_of_it(world: World) -> None:
    """On SQLite, where the files can be looked at: rows, WAL and free pages."""
    name, number = "春城将被遗忘餐饮有限公司", "JY29901010000077"
    pid, pdf, identifier = revoked(world, 77, holder_name=name)
    with world.site.stores.register.read() as connection:
        row = sql.get_ecertificate(connection, pid=pid)
    secrets = {
        "name": name.encode(),
        "number": number.encode(),
        "identifier": identifier.encode(),
        "ref salt": bytes(row.ref_salt),
        "commit salt": bytes(row.commit_salts)[:16],
        # A page of SQLite's may end in the middle of one of these, not of both.
        "file": next(each for each in (pdf[2000:2064], pdf[2064:2128]) if each in everything(world.folder)),
    }
    assert {what for what, data in secrets.items() if data in everything(world.folder)} == set(secrets)
    erase(world, pid)
    assert {what for what, data in secrets.items() if data in everything(world.folder)} == set()
    assert FOOD["holder_code"]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_erasure_that_a_crash_interrupted_is_completed(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    erasing = stored_world.site.issuer.erasing
    for number, (owner, step) in enumerate(
        [(stored_world.site.ledger.log, "append"), (erasing_sql, "erase_ecertificate")]
    ):
        pid, _, _ = revoked(stored_world, 80 + number)
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, cut)
            with pytest.raises(PowerCut):
                erase(stored_world, pid)
        with pytest.raises(Conflict):
            erase(stored_world, pid)
        stored_world.outlast_leases()
        assert erasing.resume_pending() == 1
        assert erasing.resume_pending() == 0
        with pytest.raises(NotFound):
            stored_world.site.issuer.issuing.issued(pid=pid)


def test_nothing_follows_an_erasure(stored_world: World) -> None:
    pid, _, _ = revoked(stored_world)
    erase(stored_world, pid)
    with pytest.raises(NotFound):
        erase(stored_world, pid)
    with pytest.raises(NotFound):
        stored_world.site.issuer.statuses.change(OPERATOR, pid, StatusAct.REVOKE, reason="cancelled")
