"""Status that can be proven: a list and its receipt, offline; and an auditor who makes the list again."""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa
from support.producers import Producer, contract
from support.reports import facts_of
from support.world import World

from issuer.publishing.auditing import audit_status_lists
from ledger.proof import check_detached_receipt
from trust.encoding.digests import sha256
from trust.encoding.entry import EntryKind
from trust.model.actor import OPERATOR
from trust.model.report import Verdict
from trust.model.status import StatusAct
from verifier.evidence.bundle import evidence_from_bundle


def test_a_list_is_anchored_and_made_anew_only_when_something_changed(stored_world: World) -> None:
    site, clock = stored_world.site, stored_world.clock
    issued, _ = stored_world.issue()
    first = site.issuer.publishing.status_list(1, clock.now())
    proven = check_detached_receipt(first.proof, log_keys=site.ledger.log.keys)
    assert (proven.entry.kind, proven.entry.commit) == (EntryKind.STATUS_LIST, sha256(first.encoded))
    clock.advance(seconds=30)
    stored_world.issue(2)
    assert site.issuer.publishing.status_list(1, clock.now()) == first, "a new licence changes no list"
    site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.SUSPEND, reason="投诉调查")
    second = site.issuer.publishing.status_list(1, clock.now())
    assert second != first
    clock.advance(minutes=10)
    assert site.issuer.publishing.status_list(1, clock.now()) != second, "an old one is replaced"
    assert audit_status_lists(site.stores.register, site.ledger.log.entries(), site.ledger.log.keys) == (
        3,
        [],
    )


def test_list_and_receipt_prove_offline_what_was_in_force(stored_world: World) -> None:
    issued, pdf = stored_world.issue()
    bundle = stored_world.bundle()
    report = stored_world.verify_offline(pdf, bundle)
    assert report.verdict is Verdict.PASSED
    proof = facts_of(report)["status"]["ledger"]
    assert proof["as_of_size"] <= proof["index"] < proof["checkpoint_size"]
    stored_world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    later = stored_world.bundle()
    for name in ("1.cwt", "1.tlog-proof"):
        mixed = stored_world.folder / f"mixed-{name}"
        shutil.copytree(later, mixed)
        shutil.copy2(bundle / "status" / name, mixed / "status" / name)
        found = stored_world.verify_offline(pdf, mixed)
        assert (found.verdict, found.code) == (Verdict.INDETERMINATE, "STATUS_LIST_FORGED"), (
            "an old half, a new half"
        )


def test_a_list_without_a_receipt_or_with_a_spoiled_one_is_not_believed(stored_world: World) -> None:
    _, pdf = stored_world.issue()
    bundle = stored_world.bundle()
    path = bundle / "status" / "1.tlog-proof"
    text = path.read_bytes()
    for at in range(0, len(text), 7):
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        evidence = evidence_from_bundle(bundle, stored_world.clock.now())
        assert [problem.code for problem in evidence.problems] == ["STATUS_LIST_BAD"], at
    path.unlink()
    assert stored_world.verify_offline(pdf, bundle).verdict is Verdict.INDETERMINATE


def test_a_bad_status_list_says_nothing_of_files_of_others(world: World) -> None:
    made = Producer("ecdsa", world.clock.now())
    world.issue()
    world.site.verifier.members.add_anchor(
        OPERATOR, made.root.der, "城南银行（虚构）", "Chengnan Bank (fictional)"
    )
    bundle = world.bundle()
    contract_of_others = made.sign(contract(), "B-LT")
    (bundle / "status" / "1.cwt").write_bytes(b"spoiled")
    assert evidence_from_bundle(bundle, world.clock.now()).problems
    assert world.verify_offline(contract_of_others, bundle).verdict is Verdict.PASSED


def test_a_crash_between_signing_and_anchoring_anchors_the_same_list(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, at = stored_world.site, stored_world.clock.now()
    stored_world.issue()

    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(type(site.ledger.log), "receipt", cut)
        with pytest.raises(PowerCut):
            site.issuer.publishing.status_list(1, at)
    size = site.ledger.log.size
    site.issuer.publishing.status_list(1, at)
    assert site.ledger.log.size == size, "the entry was there already"
    assert audit_status_lists(site.stores.register, site.ledger.log.entries(), site.ledger.log.keys) == (
        1,
        [],
    )


def test_a_register_that_says_something_else_than_the_ledger_is_found_out(stored_world: World) -> None:
    """A list is made from the ledger; whoever edits the register or the list cannot make it fit."""
    site = stored_world.site
    issued, pdf = stored_world.issue()
    site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    site.issuer.publishing.status_list(1, stored_world.clock.now())
    with site.stores.register.write() as connection:
        connection.execute(sa.text("UPDATE ecertificate SET status = 'VALID'"))
    assert stored_world.verify_offline(pdf, stored_world.bundle()).code == "REVOKED"
    with site.stores.register.write() as connection:
        connection.execute(sa.text("UPDATE ecertificate SET status_index = 5"))
    _, findings = audit_status_lists(site.stores.register, site.ledger.log.entries(), site.ledger.log.keys)
    assert len(findings) == 1
    assert "2 place(s)" in findings[0].what


def test_while_the_ledger_takes_nothing_the_last_list_that_says_the_same_is_given(
    stored_world: World,
) -> None:
    site, clock = stored_world.site, stored_world.clock
    stored_world.issue()
    first = site.issuer.publishing.status_list(1, clock.now())
    site.ledger.log.pause("Too few witnesses.", "Wait.")
    clock.advance(hours=2)
    assert site.issuer.publishing.status_list(1, clock.now()) == first
    site.ledger.log.resume()
    assert site.issuer.publishing.status_list(1, clock.now()) != first
