"""Later versions: made, stamped, in the ledger, and believed by our verifier long after everything has run out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.reports import facts_of
from support.world import World

from issuer.archive import sql as archive_sql
from issuer.ecertificates.recording import FIRST_ARCHIVED_AFTER
from keys.custody import KeyPurpose
from keys.suites import Suite
from ledger.log import Appended, AppendRequest, Log
from ledger.proof import check_embedded_receipt
from trust.encoding.commitment import document_commit
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import decode_receipt
from trust.model.actor import OPERATOR, operator
from trust.model.errors import Conflict, TimeStampUnavailable
from trust.model.report import Result, Verdict
from trust.model.status import StatusAct
from trust.pdf.gap import check_gaps
from trust.storage.tables import all_rows
from verifier.checks.versions import version_digests
from verifier.evidence.trust_list import ledger_keys

SUITES = ("sm2", "rsa3072", "p256")


def archive(world: World, pid: bytes) -> bytes:
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [pid])
    assert renewal.error is None, renewal.error
    return world.site.issuer.archiving.file(pid)


@pytest.mark.parametrize("suite", SUITES)
def test_a_later_version_is_the_issued_file_and_an_update_that_verifies(world: World, suite: str) -> None:
    issued, pdf = world.issue(suite=suite)
    world.clock.advance(days=1, hours=1)
    later = archive(world, issued.pid)
    assert later.startswith(pdf)
    assert len(check_gaps(later)) == 2
    for report in (world.verify(later), world.verify_offline(later, world.bundle())):
        assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
        assert facts_of(report)["seal"]["format"] == "PAdES-B-LTA"
        assert [each["size"] for each in facts_of(report)["versions"]] == [len(later)]
    assert world.verify(pdf).verdict is Verdict.PASSED


def test_what_is_due_is_renewed_once_and_again_after_a_year(world: World) -> None:
    archiving = world.site.issuer.archiving
    pids = [world.issue(number)[0].pid for number in (1, 2, 3)]
    assert archiving.count_due(world.clock.now()) == 0
    world.clock.advance(seconds=FIRST_ARCHIVED_AFTER.total_seconds())
    assert [each.pid for each in archiving.due(world.clock.now())] == pids
    assert [each.number for each in archiving.renew_due(OPERATOR, world.clock.now())] == [1, 1, 1]
    assert archiving.count_due(world.clock.now()) == 0
    world.clock.advance(days=364)
    assert archiving.count_due(world.clock.now()) == 0
    world.clock.advance(days=2)
    assert [(each.pid, each.versions) for each in archiving.due(world.clock.now())] == [
        (pid, 1) for pid in pids
    ]
    assert [each.number for each in archiving.renew_due(OPERATOR, world.clock.now())] == [2, 2, 2]


def test_the_round_says_in_the_log_what_it_could_not_renew(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.issue(1)
    world.issue(2)
    world.clock.advance(seconds=FIRST_ARCHIVED_AFTER.total_seconds())
    archiving, pki = world.site.issuer.archiving, world.site.issuer.pki

    def away(*_: object) -> None:
        raise TimeStampUnavailable("The time-stamp authority does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(type(pki), "time_stamp_authority", away)
        archiving.run()
    assert [(each.name, each.__dict__["count"]) for each in caplog.records if each.levelname == "ERROR"] == [
        ("yinzheng.archive", 2)
    ]
    archiving.run()
    assert list(archiving.renew_due(OPERATOR, world.clock.now())) == []


def test_each_version_is_an_entry_whose_receipt_opens_to_that_version(world: World) -> None:
    issued, _ = world.issue()
    world.clock.advance(days=1)
    archive(world, issued.pid)
    world.clock.advance(days=365)
    later = archive(world, issued.pid)
    trust_list = world.site.verifier.checking.online.gather(world.clock.now()).trust_list
    assert trust_list is not None
    versions = world.site.issuer.archiving.versions(issued.pid)
    assert [each.number for each in versions] == [0, 1, 2]
    assert versions[2].parent_sha256 == versions[1].sha256
    for number, gap in enumerate(check_gaps(later)[1:], 1):
        receipt = decode_receipt(world.site.issuer.archiving.receipt(issued.pid, number))
        proven = check_embedded_receipt(receipt.entry, receipt.proof, log_keys=ledger_keys(trust_list))
        assert proven.entry.kind is EntryKind.LATER_VERSION
        assert proven.entry.seq == versions[number].entry_seq
        assert proven.entry.commit == document_commit(
            receipt.openings.content, version_digests(gap), receipt.openings.salts
        )


@pytest.mark.parametrize("suite", SUITES)
def test_a_licence_outlives_every_certificate_that_proved_it(world: World, suite: str) -> None:
    """Seal (3 years), time-stamp authorities (10), issuing CA (15): all run out; the chain of time-stamps holds."""
    issued, _ = world.issue(suite=suite)
    family = Suite.SM2_SM3 if suite == "sm2" else Suite.RSA3072_SHA256
    world.clock.advance(days=1)
    archive(world, issued.pid)
    for _ in range(3):
        world.clock.advance(days=365 * 6)
        world.site.issuer.pki.rotate(OPERATOR, "tsa", family)
        world.site.issuer.pki.service_keys.add("status", KeyPurpose.STATUS_LIST, Suite.P256_SHA256)
        later = archive(world, issued.pid)
    now = world.clock.now()
    seal = world.site.issuer.seals.registry.get(f"chuncheng-market-{suite}")
    assert seal.not_after < now
    report = world.verify_offline(later, world.bundle())
    # The licence itself was for five years: that it has expired is all that can be said against it.
    wrong = [each for each in report.findings if each.result is not Result.PASSED]
    assert [(each.check, each.code) for each in wrong] == [("validity", "EXPIRED")]
    assert facts_of(report)["seal"]["now"] == "expired"
    assert len(facts_of(report)["versions"]) == 4
    assert now - datetime.fromisoformat(facts_of(report)["seal"]["stamped_at"]) > timedelta(days=365 * 18)


def test_a_revoked_seal_leaves_what_was_sealed_before_valid_at_signing(world: World) -> None:
    issued, _ = world.issue()
    world.clock.advance(days=1)
    later = archive(world, issued.pid)
    world.clock.advance(days=1)
    world.site.issuer.seals.revoke(
        operator("second"), "chuncheng-market-sm2", note="key lost", since=world.clock.now()
    )
    world.clock.advance(minutes=1)
    report = world.verify_offline(later, world.bundle())
    assert report.verdict is Verdict.PASSED, report.findings
    assert facts_of(report)["seal"]["now"] == "withdrawn"


def test_a_seal_that_was_compromised_before_it_was_used_is_not_saved_by_its_archive(world: World) -> None:
    world.clock.advance(hours=1)
    issued, _ = world.issue()
    world.clock.advance(days=1)
    later = archive(world, issued.pid)
    since = world.clock.now() - timedelta(days=2)
    world.site.issuer.seals.revoke(operator("second"), "chuncheng-market-sm2", note="key lost", since=since)
    world.clock.advance(minutes=1)
    report = world.verify_offline(later, world.bundle())
    assert (report.verdict, report.code) == (Verdict.FAILED, "SEAL_CERT_REVOKED")


def test_nothing_is_stamped_before_there_is_a_list_made_after_the_seal(world: World) -> None:
    """Our own lists are made at once; the rule is about everybody's."""
    issued, _ = world.issue()
    later = archive(world, issued.pid)
    assert world.verify(later).verdict is Verdict.PASSED


def test_a_crash_before_the_entry_is_carried_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issued, pdf = world.issue()
    archiving = world.site.issuer.archiving

    class Crash(BaseException):
        pass

    append = type(world.site.ledger.log).append

    def crash(log: Log, requests: Sequence[AppendRequest]) -> list[Appended]:
        if any(each.kind is EntryKind.LATER_VERSION for each in requests):
            raise Crash
        return append(log, requests)

    with monkeypatch.context() as patched:
        patched.setattr(type(world.site.ledger.log), "append", crash)
        with pytest.raises(Crash):
            archiving.renew(OPERATOR, [issued.pid])
    assert archiving.file(issued.pid) == pdf, "what is not in the ledger is not given out"
    (refused,) = archiving.renew(OPERATOR, [issued.pid])
    assert isinstance(refused.error, Conflict)
    world.outlast_leases()
    assert archiving.resume_pending() == 1
    assert archiving.resume_pending() == 0
    later = archiving.file(issued.pid)
    assert len(check_gaps(later)) == 2
    assert world.verify(later).verdict is Verdict.PASSED


def test_two_at_once_make_one_version(world: World) -> None:
    issued, _ = world.issue()
    archiving = world.site.issuer.archiving
    lists = archiving._revocation_lists()
    made = [archiving._make(issued.pid, lists) for _ in range(2)]
    archiving._store(OPERATOR, made[0])
    with pytest.raises(Conflict):
        archiving._store(OPERATOR, made[1])
    world.outlast_leases()
    assert archiving.resume_pending() == 1
    assert [each.number for each in archiving.versions(issued.pid)] == [0, 1]


def test_an_erased_licence_has_no_versions_left(world: World) -> None:
    issued, _ = world.issue()
    later = archive(world, issued.pid)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    world.site.issuer.erasing.erase(
        OPERATOR, issued.pid, basis="retention-expired", requested_by="a", approved_by="b"
    )
    with world.site.stores.register.read() as connection:
        assert all_rows(connection, archive_sql.LaterVersionRow) == []
        assert archive_sql.count_due(connection, 1 << 60) == 0
        assert archive_sql.version_with(connection, b"") is None
    assert world.verify(later).verdict is not Verdict.PASSED


def test_a_departments_pdf_is_archived_too(world: World) -> None:
    source = (Path(__file__).parents[2] / "samples/pdf/road-permit-table.pdf").read_bytes()
    application = dataclasses.replace(
        world.application(7, seal="chuncheng-market-rsa3072"), source_pdf=source
    )
    (outcome,) = world.try_issue(application)
    assert outcome.issued is not None, outcome.error
    world.clock.advance(days=1)
    later = archive(world, outcome.issued.pid)
    assert world.verify_offline(later, world.bundle()).verdict is Verdict.PASSED
