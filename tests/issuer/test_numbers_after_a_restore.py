"""After a restore no number is given out a second time, and what was spent stays spent.

A day: a copy in the morning, work until the evening, then the copy comes back: the register alone, or the whole folder
with the later entries out of a mirror.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.sites import CopiedSite
from support.world import World, settings_at

from issuer.guarding import sql as guarding_sql
from issuer.guarding.gaps import follow_ledger
from issuer.guarding.register_check import check_register
from issuer.operations import sql as operations_sql
from issuer.presenting.presenting import Level
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.app.recovering import recover_ledger
from trust.encoding import jws
from trust.encoding.trust_list import decode_trust_list
from trust.model.actor import OPERATOR, operator
from trust.model.clock import SystemEntropy
from trust.model.errors import NotFound, NotPermitted, OperationalError
from trust.model.report import Verdict
from trust.model.status import Status, StatusAct
from trust.people.access import open_access
from trust.sandbox.workers import Sandbox
from trust.storage import tables

_NUMBERS = {
    "e-certificate": "SELECT id FROM ecertificate",
    "public id": "SELECT pid FROM ecertificate",
    "identifier": "SELECT identifier FROM ecertificate",
    "place in a status list": "SELECT status_list || '.' || status_index FROM ecertificate",
    "operation": "SELECT id FROM operation WHERE kind <> 'GAP'",
    "use of a seal": "SELECT id FROM seal_use WHERE seal_id <> ''",
    "approval": "SELECT id FROM seal_approval WHERE seal_id <> ''",
    "CRL": "SELECT ca_id || '.' || number FROM crl",
    "trust list": "SELECT seq FROM trust_list WHERE length(compact) > 0",
}


def numbers(world: World) -> dict[str, set[Any]]:
    with world.site.stores.register.read() as connection:
        found = {name: {row[0] for row in connection.execute(sa.text(s))} for name, s in _NUMBERS.items()}
    certs = (seal.certs[0] for seal in world.site.issuer.seals.registry.list() if seal.certs)
    found["X.509 serial"] = {read_x509_cert(cert).serial for cert in certs}
    return found


def work(world: World, first: int) -> list[bytes]:
    """What a day gives out, of everything that has a number."""
    site = world.site
    pdfs = [world.issue(number)[1] for number in (first, first + 1)]
    site.issuer.seals.make(OPERATOR, f"seal-{first}", world.market.authority_id, Suite.P256_SHA256)
    site.issuer.seals.using.request_many(operator("clerk"), f"seal-{first}", 3)
    world.clock.advance(hours=13)  # time for new lists of every kind
    site.issuer.pki.crls(world.clock.now())
    site.issuer.publishing.trust_list(world.clock.now())
    site.ledger.log.publish()
    return pdfs


@dataclass
class Day:
    site: CopiedSite
    world: World
    morning: dict[str, set[object]]
    evening: dict[str, set[object]]
    spent: str
    spent_at: datetime
    revoked: bytes
    suspended_pid: bytes
    kept: bytes
    session: str
    link: str
    told: str
    """What was said before an operator had looked."""


@pytest.fixture(scope="module", params=["register", "folder"])
def day(
    request: pytest.FixtureRequest,
    template_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
) -> Iterator[Day]:
    tmp_path = tmp_path_factory.mktemp("day")
    data = tmp_path / "data"
    shutil.copytree(template_folder, data)
    site = CopiedSite(tmp_path, settings_at(data), sandbox)
    world = site.open()
    kept_one, kept = world.issue(1)
    revoked, revoked_pdf = world.issue(2)
    suspended, _ = world.issue(3)
    work(world, 4)
    shown = world.site.issuer.presenting.start(OPERATOR, kept_one.pid, purpose="核验", level=Level.MASKED)
    code, _ = world.site.issuer.presenting.code(shown, world.clock.now())
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    link, session = (
        access.invitations.create_claim_link(OPERATOR, b"h" * 32),
        access.sessions.open_session("wallet", b"h" * 32, 100),
    )
    copy = site.copy("morning")
    world = site.open()
    morning, at = numbers(world), world.clock.now()
    assert world.verify(code).verdict is Verdict.PASSED, "used once"
    work(world, 10)
    world.site.issuer.statuses.change(OPERATOR, revoked.pid, StatusAct.REVOKE, reason="penalty")
    world.site.issuer.statuses.change(OPERATOR, suspended.pid, StatusAct.SUSPEND, reason="调查")
    world.site.ledger.log.publish()
    evening = numbers(world)
    mirror = Path(shutil.copytree(data / "ledger", tmp_path / "mirror"))
    if request.param == "register":
        site.restore((copy, "register.sqlite*"))
    else:
        site.restore((copy, "*"))
        recover_ledger(site.settings, mirror)
    world = site.open()
    with pytest.raises(OperationalError) as refused:
        world.verify(revoked_pdf)
    accept(world)
    yield Day(
        site, world, morning, evening, code, at, revoked_pdf, suspended.pid, kept, session, link,
        refused.value.todo,
    )  # fmt: skip
    site.close()


def accept(world: World) -> None:
    """`ledger accept-register`."""
    world.site.register.guard.enrol()
    follow_ledger(world.site.stores.register, world.site.ledger.log, world.clock)


def test_no_number_is_given_out_a_second_time(day: Day) -> None:
    before = numbers(day.world)
    pdfs = work(day.world, 20)
    after = numbers(day.world)
    for name, given in day.evening.items():
        new = after[name] - before[name]
        assert given - day.morning[name] or name == "X.509 serial", f"the day gave out no {name}"
        assert new, f"nothing new of {name}"
        assert not new & given, f"{name} given out twice"
    assert [day.world.verify(pdf).code for pdf in (day.kept, *pdfs)] == ["OK"] * 3
    assert (
        check_register(
            day.world.site.stores.register, day.world.site.ledger.log, day.world.site.register.guard
        )[1]
        == []
    )


def test_lists_after_a_restore_are_newer_than_those_before(day: Day) -> None:
    bundle = day.world.bundle()
    listed = decode_trust_list(jws.payload_of((bundle / "trust-list.jws").read_bytes()))
    assert listed.seq > max(int(str(each)) for each in day.evening["trust list"])
    assert day.world.verify_offline(day.kept, bundle).code == "OK"


def test_what_happened_since_the_copy_holds_and_can_be_gone_on_from(day: Day) -> None:
    world = day.world
    assert "accept-register" in day.told
    assert world.verify(day.revoked).code == "REVOKED"
    assert world.verify_offline(day.revoked, world.bundle()).code == "REVOKED"
    assert world.site.issuer.issuing.issued(pid=day.suspended_pid).status is Status.SUSPENDED
    world.site.issuer.statuses.change(OPERATOR, day.suspended_pid, StatusAct.REINSTATE, reason="查清")
    assert world.site.issuer.issuing.issued(pid=day.suspended_pid).status is Status.VALID
    day.site.close()
    world = day.world = day.site.open()
    assert world.verify(day.revoked).code == "REVOKED"
    assert follow_ledger(world.site.stores.register, world.site.ledger.log, world.clock) == 0
    assert (
        check_register(world.site.stores.register, world.site.ledger.log, world.site.register.guard)[1] == []
    )


def test_what_was_spent_or_opened_before_the_restore_is_not_accepted_again(day: Day) -> None:
    """Asked at the very second at which it was used: a machine may be restored within the life of a code."""
    again = day.world.verify(day.spent, at=day.spent_at)
    assert again.verdict is not Verdict.PASSED
    access = open_access(
        day.world.site.stores.register, day.site.clock, SystemEntropy(), day.world.site.admin.access.trail
    )
    with pytest.raises(NotPermitted):
        access.sessions.check_session(day.session, "wallet")
    with pytest.raises(NotFound):
        access.invitations.use_claim_link(day.link)
    issued, _ = day.world.issue(90)
    presenting = day.world.site.issuer.presenting
    shown = presenting.start(OPERATOR, issued.pid, purpose="核验", level=Level.MASKED)
    code, _ = presenting.code(shown, day.world.clock.now())
    assert day.world.verify(code).verdict is Verdict.PASSED, "new ones work"


def test_both_databases_go_on_behind_the_gap(stored_world: World) -> None:
    site, clock = stored_world.site, stored_world.clock
    stored_world.issue(1)
    site.issuer.seals.using.request_many(operator("clerk"), "chuncheng-market-sm2", 3)
    before = numbers(stored_world)
    operation, ecertificate = site.ledger.log.last_operation_id + 5000, site.ledger.log.last_subject_id + 500
    with site.stores.register.write() as connection:
        at = tables.to_micros(clock.now())
        operations_sql.leave_gap_of_operations(connection, operation, at)
        guarding_sql.leave_gaps(
            connection, last_ecertificate_id=ecertificate, lost=0, secret=b"s" * 32, at=at
        )
    issuing = site.issuer.issuing
    reserving = replace(
        issuing.reserving, ids_given_out=ecertificate if site.stores.register.is_sqlite else 0
    )
    issuing = replace(issuing, reserving=reserving)
    (outcome,) = issuing.issue(OPERATOR, [stored_world.application(2, seal="chuncheng-market-sm2")])
    assert outcome.issued is not None, outcome.error
    site.issuer.seals.using.request_many(operator("clerk"), "chuncheng-market-sm2", 3)
    new = {name: found - before[name] for name, found in numbers(stored_world).items()}
    assert new["e-certificate"] == {ecertificate + 1}
    assert min(new["operation"]) > operation
    for name in ("use of a seal", "approval"):
        assert min(new[name]) > guarding_sql.NUMBERS_LEFT_OUT
    assert check_register(site.stores.register, site.ledger.log, site.register.guard)[1] == []
