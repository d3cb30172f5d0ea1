"""From a record to an issued e-certificate, and what refuses to become one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reports import facts_of
from support.world import FOOD, MARKET, World

from issuer.ecertificates import sql
from issuer.sealing.splice import splice_receipt, take_apart
from ledger.recheck import recheck
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.entry import EntryKind, decode_entry
from trust.model.actor import OPERATOR
from trust.model.ecertificate import Application
from trust.model.errors import Conflict, ProfileViolation
from trust.model.identifiers import parse
from trust.model.report import Verdict
from trust.model.status import Status
from trust.pdf.gap import check_gap
from trust.storage import tables


def test_an_issued_ecertificate_passes_online_and_offline(stored_world: World) -> None:
    issued, pdf = stored_world.issue()
    assert stored_world.verify(pdf).verdict is Verdict.PASSED
    assert stored_world.verify_offline(pdf, stored_world.bundle()).verdict is Verdict.PASSED
    assert str(parse(issued.identifier)) == issued.identifier


@pytest.mark.parametrize("suite", ["sm2", "rsa3072", "p256"])
def test_every_suite_seals_and_passes(each_way: World, suite: str) -> None:
    _, pdf = each_way.issue(suite=suite)
    report = each_way.verify_offline(pdf, each_way.bundle())
    assert report.verdict is Verdict.PASSED, report.findings
    assert str(facts_of(report)["seal"]["suite"]).lower().startswith(suite)


def test_asking_again_issues_nothing_and_gives_the_same(stored_world: World) -> None:
    first, pdf = stored_world.issue()
    size = stored_world.site.ledger.log.size
    (again,) = stored_world.try_issue(stored_world.application(1, seal="chuncheng-market-sm2"))
    assert again.repeated
    assert again.issued == first
    assert stored_world.site.issuer.issuing.issued_file(first.pid) == pdf
    assert stored_world.site.ledger.log.size == size


def test_the_same_number_with_other_content_is_refused(world: World) -> None:
    world.issue()
    (outcome,) = world.try_issue(world.application(1, premises="云岭省春城市别处路2号"))
    assert isinstance(outcome.error, Conflict)
    assert outcome.error.code == "ALREADY_ISSUED"


def test_a_wrong_row_stops_only_itself(stored_world: World) -> None:
    good, bad, better = (stored_world.application(n) for n in (1, 2, 3))
    bad = Application(
        bad.type_short, bad.authority_id, {**bad.fields, "holder_code": "91990101MA6K1001X0"}, row=2
    )
    stored_world.issue(9)  # with the first licence a status list is begun, which is an entry too
    start = stored_world.site.ledger.log.size
    outcomes = stored_world.try_issue(good, bad, better)
    assert [o.issued is not None for o in outcomes] == [True, False, True]
    assert [o.row for o in outcomes] == [1, 2, 3]
    assert stored_world.site.ledger.log.size == start + 2


def test_all_reasons_are_named_at_once_and_no_value_is_repeated(world: World) -> None:
    fields = {
        **FOOD,
        "holder_code": "BAD",
        "issued_on": "2199-01-01",
        "premises": "x" * 500,
        "nonsense": "secret text",
    }
    (outcome,) = world.try_issue(Application("FOOD", MARKET.authority_id, fields))
    assert isinstance(outcome.error, ProfileViolation)
    assert {v.field for v in outcome.error.violations} >= {"holder_code", "issued_on", "premises", "nonsense"}
    assert "secret text" not in str(outcome.error)
    assert "2199" not in str(outcome.error)


def test_a_foreign_authority_may_not_issue(world: World) -> None:
    (outcome,) = world.try_issue(Application("FOOD", "yunling-transport", FOOD))
    assert isinstance(outcome.error, ProfileViolation)
    assert [v.code for v in outcome.error.violations] == ["NOT_ENTITLED"]


def test_an_unknown_type_and_an_unknown_authority_are_refused(world: World) -> None:
    unknown_type, unknown_authority = world.try_issue(
        Application("NOSUCH", MARKET.authority_id, FOOD), Application("FOOD", "nobody", FOOD)
    )
    assert unknown_type.error is not None
    assert unknown_authority.error is not None
    assert unknown_authority.error.code == "UNKNOWN_AUTHORITY"


def test_a_text_too_long_for_the_page_leaves_nothing_behind(world: World) -> None:
    long_items = "；".join(
        ["特殊食品销售（保健食品、特殊医学用途配方食品、婴幼儿配方乳粉、其他婴幼儿配方食品）"] * 40
    )
    (outcome,) = world.try_issue(world.application(1, business_items=long_items))
    assert outcome.error is not None
    with world.site.stores.register.read() as connection:
        assert tables.all_rows(connection, sql.ECertificateRow) == []
        assert tables.all_rows(connection, sql.DocumentRow) == []
    world.issue(1)


@pytest.mark.parametrize("act", ["freeze", "revoke"])
def test_a_seal_that_is_not_active_does_not_seal(world: World, act: str) -> None:
    _, before = world.issue(1)
    world.clock.advance(minutes=1)
    getattr(world.site.issuer.seals, act)(OPERATOR, "chuncheng-market-sm2")
    (outcome,) = world.try_issue(world.application(2, seal="chuncheng-market-sm2"))
    assert outcome.error is not None
    assert outcome.error.code == "SEAL_NOT_USABLE"
    world.clock.advance(minutes=1)
    assert world.verify(before).verdict is Verdict.PASSED, "what it sealed before stays valid at signing time"


def test_an_expired_seal_does_not_seal(world: World) -> None:
    world.clock.advance(days=6 * 365)
    (outcome,) = world.try_issue(world.application(1, seal="chuncheng-market-sm2"))
    assert outcome.error is not None
    assert outcome.error.code == "SEAL_NOT_USABLE"


def test_the_entry_holds_commitments_only(world: World) -> None:
    issued, pdf = world.issue()
    note = world.site.ledger.log.checkpoint_note()
    assert note
    entries = [
        path.read_bytes()
        for path in (world.site.ledger.ledger_folder / "tile" / "entries").rglob("*")
        if path.is_file()
    ]
    data = decode_ecertificate_data(issued.data)
    gap = check_gap(pdf)
    secrets = [issued.pid, issued.identifier.encode(), data.content, take_apart_digest(gap.signed)]
    secrets += [value.encode() for value in FOOD.values()]
    for secret in secrets:
        assert all(secret not in bundle for bundle in entries)


def take_apart_digest(signed: tuple[bytes, bytes]) -> bytes:
    from trust.encoding.digests import digest

    return digest("sha256", *signed)


def test_the_receipt_is_spliced_without_touching_anything_else(each_way: World) -> None:
    _, pdf, sealed = each_way.issue_and_keep_sealed()
    before, after = check_gap(sealed), check_gap(pdf)
    assert before.byte_range == after.byte_range
    assert before.signed == after.signed
    assert len(sealed) == len(pdf)
    assert take_apart(sealed).digests.signature
    with pytest.raises(Conflict):
        take_apart(pdf)


def test_a_receipt_that_does_not_fit_is_refused(each_way: World) -> None:
    _, _, sealed = each_way.issue_and_keep_sealed()
    seal = each_way.site.issuer.seals.registry.get("chuncheng-market-sm2")
    huge = b"\x04\x82\x80\x00" + bytes(0x8000)
    with pytest.raises(Conflict) as refused:
        splice_receipt(sealed, take_apart(sealed), huge, suite="SM2-SM3", sealing_cert=seal.cert)
    assert refused.value.code == "NO_ROOM"


def test_a_replacement_is_the_next_version_and_marks_the_old_one(stored_world: World) -> None:
    from dataclasses import replace

    old, old_pdf = stored_world.issue()
    corrected = replace(stored_world.application(1, premises="云岭省春城市新址路8号"), replaces=old.pid)
    outcome = stored_world.site.issuer.statuses.replace(OPERATOR, old.pid, corrected, reason="迁址")
    assert outcome.issued is not None
    assert outcome.issued.version == 2
    assert parse(outcome.issued.identifier).serial == parse(old.identifier).serial
    assert stored_world.site.issuer.issuing.issued(pid=old.pid).status is Status.REPLACED
    assert stored_world.verify(old_pdf).code == "REPLACED"
    again = stored_world.site.issuer.statuses.replace(OPERATOR, old.pid, corrected, reason="迁址")
    assert again.repeated


def test_entries_of_one_ecertificate_form_a_chain_and_counts_have_no_gap(stored_world: World) -> None:
    from trust.model.status import StatusAct

    stored_world.issue(9)
    start = stored_world.site.ledger.log.size
    issued, _ = stored_world.issue(1)
    stored_world.issue(2)
    site = stored_world.site
    site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.SUSPEND, reason="调查")
    site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    from ledger import sql as ledger_sql

    with site.stores.ledger.read() as connection:
        entries = [
            decode_entry(e.entry_bytes)
            for e in ledger_sql.read_entries(connection, start=start, end=start + 4)
        ]
    assert [e.kind for e in entries] == [
        EntryKind.ISSUED, EntryKind.ISSUED, EntryKind.SUSPENDED, EntryKind.REVOKED,
    ]  # fmt: skip
    assert [e.count for e in entries] == [entries[0].count + n for n in range(4)]
    assert entries[2].prev_ref is not None
    assert entries[2].prev_ref.seq == start
    assert entries[3].prev_ref is not None
    assert entries[3].prev_ref.seq == start + 2
    assert recheck(
        site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
    ).is_clean


def test_identifiers_and_public_ids_do_not_repeat(world: World) -> None:
    outcomes = world.try_issue(*(world.application(n) for n in range(1, 6)))
    issued = [o.issued for o in outcomes if o.issued]
    assert len({i.pid for i in issued}) == len({i.identifier for i in issued}) == 5
    assert len({i.status_index for i in issued}) == 5


def test_a_restart_finds_everything_as_it_was(world: World, tmp_path: Path) -> None:
    from support.world import make_world

    issued, pdf = world.issue()
    folder = world.folder
    world.close()
    opened = make_world(folder)
    try:
        assert opened.site.issuer.issuing.issued_file(issued.pid) == pdf
        assert opened.verify(pdf).verdict is Verdict.PASSED
    finally:
        opened.close()


def test_equal_applications_of_one_request_are_sealed_and_appended_once(stored_world: World) -> None:
    from dataclasses import replace

    stored_world.issue(9)
    size = stored_world.site.ledger.log.size
    one, two = stored_world.application(1), stored_world.application(2)
    outcomes = stored_world.try_issue(
        replace(one, row=2), replace(two, row=3), replace(one, row=4), replace(one, row=5)
    )
    assert [o.repeats_row for o in outcomes] == [None, None, 2, 2]
    assert [o.repeated for o in outcomes] == [False, False, True, True]
    assert outcomes[0].issued == outcomes[2].issued == outcomes[3].issued
    assert stored_world.site.ledger.log.size == size + 2
    other = stored_world.application(1, premises="云岭省春城市别处路2号")
    fresh = stored_world.application(3)
    kept, taken = stored_world.try_issue(replace(fresh, row=7), replace(other, row=8))
    assert kept.issued is not None
    assert taken.error is not None
    assert "before" in taken.error.what, "of another request, which has no rows here"
    first, second = stored_world.try_issue(
        replace(stored_world.application(4), row=2),
        replace(stored_world.application(4, premises="云岭省春城市别处路2号"), row=3),
    )
    assert first.issued is not None
    assert second.error is not None
    assert "Row 2" in second.error.what
