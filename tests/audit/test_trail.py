"""The audit trail: each act with its row, each refusal with its own, chained, anchored, and nothing editable unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.actors import client_of
from support.cli import Cli
from support.world import World

from issuer.guarding.anchoring import TrailAnchors
from trust.audit import rows as audit_rows
from trust.audit.sql import AuditBatchRow, AuditRow
from trust.audit.trail import Act, AuditEvent
from trust.encoding import merkle
from trust.encoding.digests import sha256
from trust.encoding.entry import EntryKind
from trust.model.actor import OPERATOR, SYSTEM, Permission, operator
from trust.model.errors import NotFound, NotPermitted, StorageError
from trust.model.status import StatusAct
from trust.storage.tables import table_of

AUDIT, BATCHES = table_of(AuditRow), table_of(AuditBatchRow)


def acts(world: World, pid: bytes) -> list[tuple[str, str, str]]:
    """Who did what with which outcome to an e-certificate, oldest first."""
    return [(each.actor, each.action, each.outcome) for each in world.site.admin.access.trail.of(pid)][::-1]


def newest(world: World) -> AuditEvent:
    return world.site.admin.access.trail.list(limit=1)[0]


def findings(world: World) -> list[tuple[int | None, str]]:
    return [(each.number, each.code) for each in world.site.admin.sealer.check().findings]


def sealed(world: World, count: int = 12) -> None:
    """A trail of three batches, of which the first two are anchored."""
    trail, sealer = world.site.admin.access.trail, world.site.admin.sealer
    sealer.seal()
    for batch in range(3):
        for number in range(count):
            trail.note(client_of("chuncheng-market").ref, Act("read-file", f"given {number}", bytes(16)))
        sealer.seal()
        if batch < 2:
            sealer.anchor()


def fails(*_: object) -> None:
    raise StorageError("the disk is full")


# --- Acts and refusals ---


def test_each_act_is_written_down_with_who_did_it(stored_world: World) -> None:
    world = stored_world
    client, clerk = client_of("chuncheng-market"), operator("clerk 7")
    (outcome,) = world.site.issuer.issuing.issue(client, [world.application()])
    assert outcome.issued is not None
    pid = outcome.issued.pid
    statuses = world.site.issuer.statuses
    statuses.change(client, pid, StatusAct.SUSPEND, reason="inspection")
    statuses.change(clerk, pid, StatusAct.REVOKE, reason="penalty")
    world.site.issuer.archiving.renew(clerk, [pid])
    world.site.issuer.looking_up.file(client, pid, 0)
    world.site.issuer.erasing.erase(
        clerk, pid, basis="court-order", requested_by="clerk 7", approved_by="chief"
    )
    assert acts(world, pid) == [
        ("client:abcdefghij", "issue", "issued"),
        ("client:abcdefghij", "suspend", "SUSPENDED"),
        ("operator:clerk 7", "revoke", "REVOKED"),
        ("operator:clerk 7", "archive", "version 1"),
        ("client:abcdefghij", "read-file", "given"),
        ("operator:clerk 7", "erase", "court-order"),
    ]
    first = world.site.admin.access.trail.of(pid)[-1]
    assert (first.organisation, first.name) == ("chuncheng-market", "its system")


def test_a_refusal_is_written_down_and_changes_nothing(world: World) -> None:
    issued, _ = world.issue()
    stranger = client_of("yunling-transport")
    with pytest.raises(NotPermitted):
        world.site.issuer.statuses.change(stranger, issued.pid, StatusAct.REVOKE, reason="penalty")
    assert acts(world, issued.pid)[-1] == ("client:abcdefghij", "revoke", "refused NOT_PERMITTED")
    assert world.site.issuer.issuing.issued(pid=issued.pid).status.value == "VALID"
    seal = "chuncheng-market-sm2"
    with pytest.raises(NotPermitted):
        world.site.issuer.seals.freeze(stranger, seal)
    event = newest(world)
    assert (event.action, event.subject, event.outcome) == ("seal.freeze", seal, "refused NOT_PERMITTED")


def test_who_may_not_is_refused_whatever_the_face(world: World) -> None:
    issued, _ = world.issue()
    nobody = client_of("chuncheng-market")
    nobody = type(nobody)(nobody.kind, nobody.actor_id, nobody.organisation, nobody.name, frozenset())
    site, pid = world.site, issued.pid
    seal = "chuncheng-market-sm2"
    tried: list[Callable[[], object]] = [
        lambda: site.issuer.issuing.issue(nobody, [world.application(2)]),
        lambda: site.issuer.statuses.change(nobody, pid, StatusAct.REVOKE, reason="penalty"),
        lambda: site.issuer.statuses.replace(nobody, pid, world.application(), reason="x"),
        lambda: site.issuer.erasing.erase(
            nobody, pid, basis="court-order", requested_by="a", approved_by="b"
        ),
        lambda: site.issuer.archiving.renew(nobody, [pid]),
        lambda: site.issuer.looking_up.get(nobody, pid),
        lambda: site.issuer.seals.freeze(nobody, seal),
        lambda: site.issuer.seals.using.request_many(nobody, seal, 3),
        lambda: site.issuer.resealing.plan(nobody, seal),
        lambda: site.issuer.compromises.declare(nobody, "issuing-sm2.1", world.clock.now()),
        lambda: site.admin.access.clients.create_api_key(
            nobody, "x", authority_id=None, scopes=["verify"], days=1
        ),
        lambda: site.admin.access.clients.list_api_keys(nobody),
        lambda: site.admin.access.sessions.list_sessions(nobody),
        lambda: site.admin.access.invitations.create_claim_link(nobody, bytes(32)),
        lambda: site.issuer.authorities.add(nobody, world.market),
        lambda: site.verifier.checking.digests(nobody, [bytes(32)], world.clock.now()),
        lambda: list(site.admin.sealer.export(nobody)),
        lambda: site.ledger.key_change.rotate(nobody, "checkpoint"),
        lambda: site.verifier.members.withdraw_anchor(nobody, "00"),
    ]
    size = site.ledger.log.size
    for attempt in tried:
        with pytest.raises(NotPermitted):
            attempt()
    assert site.ledger.log.size == size


def test_an_administrator_of_one_department_administers_no_keys(world: World) -> None:
    bound, clients = client_of("chuncheng-market"), world.site.admin.access.clients
    for attempt in (
        lambda: clients.create_api_key(bound, "x", authority_id=None, scopes=["admin"], days=1),
        lambda: clients.create_api_key(
            bound, "x", authority_id="chuncheng-market", scopes=["verify"], days=1
        ),
        lambda: clients.list_api_keys(bound),
        lambda: clients.revoke_api_key(bound, "k" * 10),
        lambda: world.site.admin.access.sessions.end_sessions(bound, key_id="k" * 10),
        lambda: list(world.site.admin.sealer.export(bound)),
    ):
        with pytest.raises(NotPermitted):
            attempt()


def test_an_act_of_somebody_who_lost_the_right_meanwhile_is_completed_in_their_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, _ = world.issue()
    site = world.site
    clients = site.admin.access.clients
    key = clients.create_api_key(
        OPERATOR, "market", authority_id="chuncheng-market", scopes=["cert.status"], days=9
    )
    client = clients.check_api_key(key, Permission.CHANGE_STATUS)

    with monkeypatch.context() as patched:
        patched.setattr(type(site.ledger.log), "append", fails)
        with pytest.raises(StorageError):
            site.issuer.statuses.change(client, issued.pid, StatusAct.REVOKE, reason="penalty")
    clients.revoke_api_key(OPERATOR, client.actor_id)
    world.outlast_leases()
    assert acts(world, issued.pid)[-1][1] == "issue"
    assert site.issuer.statuses.resume_pending() == 1
    assert acts(world, issued.pid)[-1] == (client.ref.ref, "revoke", "REVOKED")


def test_an_act_that_is_rolled_back_leaves_no_row(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, _ = stored_world.issue()
    site = stored_world.site

    with monkeypatch.context() as patched:
        patched.setattr("issuer.operations.sql.set_done", fails)  # the last statement of the transaction
        with pytest.raises(StorageError):
            site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    assert [action for _, action, _ in acts(stored_world, issued.pid)] == ["issue"]
    stored_world.outlast_leases()
    site.issuer.statuses.resume_pending()
    site.issuer.statuses.resume_pending()
    assert [action for _, action, _ in acts(stored_world, issued.pid)] == ["issue", "revoke"]


def test_what_the_public_does_is_counted_by_the_minute(world: World) -> None:
    trail, pid = world.site.admin.access.trail, bytes(range(16))
    for _ in range(500):
        trail.count("verify:pdf", "PASSED OK", pid)
    world.clock.advance(seconds=61)
    trail.count("verify:pdf", "PASSED OK", pid)
    trail.count("verify:pdf", "FAILED REVOKED", None)
    counted = [(each.pid, each.outcome, each.times) for each in trail.list(actor="public")]
    assert counted == [(pid, "PASSED OK", 501)]
    trail.flush()
    assert {(each.pid, each.times) for each in trail.list(actor="public")} == {(pid, 501), (None, 1)}


def test_counts_that_could_not_be_written_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = world.site.admin.access.trail
    trail.count("verify:pdf", "PASSED OK")

    with monkeypatch.context() as patched:
        patched.setattr(type(trail.database), "write", fails)
        with pytest.raises(StorageError):
            trail.flush()
    trail.count("verify:pdf", "PASSED OK")
    trail.flush()
    assert [each.times for each in trail.list(actor="public")] == [2]


def test_commands_are_written_down_with_the_account(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1)) == 0
    assert cli.run("audit", "list", "--action", "issue", "--json") == 0
    (line,) = cli.lines()
    assert line["actor"].startswith("operator:")
    assert line["outcome"] == "issued"


# --- The chain ---


def test_rows_are_numbered_without_a_gap_and_chained(stored_world: World) -> None:
    sealed(stored_world)
    with stored_world.site.stores.register.read() as connection:
        numbers = list(connection.execute(sa.select(AUDIT.c.number).order_by(AUDIT.c.number)).scalars())
    # The anchors of the ledger write no rows of their own.
    assert numbers == list(range(1, len(numbers) + 1))
    checked = stored_world.site.admin.sealer.check()
    assert checked.findings == ()
    assert checked.rows == len(numbers)
    assert checked.anchored_rows == len(numbers) - 12


def test_an_erasure_takes_the_purposes_and_the_trail_stays_in_order(world: World) -> None:
    trail, pid = world.site.admin.access.trail, bytes(16)
    trail.note(client_of("chuncheng-market").ref, Act("present", "NAMED", pid, purpose="办理延续"))
    world.site.admin.sealer.seal()
    from trust.audit.sql import forget_purposes

    with world.site.stores.register.write() as connection:
        forget_purposes(connection, pid)
    assert [each.purpose for each in trail.of(pid)] == [None]
    assert findings(world) == []


def test_rows_from_before_there_were_macs_are_taken_as_they_are_once(world: World) -> None:
    with world.site.stores.register.write() as connection:
        connection.execute(sa.delete(AUDIT))
        connection.execute(sa.delete(BATCHES))
        old = {"at": 1, "actor": "desk:a", "action": "verify:pdf", "outcome": "PASSED OK", "purpose": "x"}
        connection.execute(sa.insert(AUDIT), [old, old])
    world.site.admin.sealer.seal()
    assert findings(world) == []
    with world.site.stores.register.write() as connection:
        connection.execute(sa.insert(AUDIT), [old])
    world.site.admin.sealer.seal()
    assert findings(world) == [(3, "ADDED")]


def test_very_many_old_rows_are_all_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trust.audit.sealer.BATCH", 5)
    with world.site.stores.register.write() as connection:
        connection.execute(sa.delete(AUDIT))
        connection.execute(sa.delete(BATCHES))
        old = {"at": 1, "actor": "desk:a", "action": "verify:pdf", "outcome": "PASSED OK", "purpose": "x"}
        connection.execute(sa.insert(AUDIT), [old] * 23)
    assert world.site.admin.sealer.seal() == 23
    assert findings(world) == []


def test_rounds_do_not_write_down_what_is_counted_before_its_minute(world: World) -> None:
    trail, sealer = world.site.admin.access.trail, world.site.admin.sealer
    for _ in range(20):
        trail.count("verify:pdf", "PASSED OK")
        sealer.seal()
        world.clock.advance(seconds=1)
    assert trail.list(actor="public") == []
    world.clock.advance(seconds=60)
    sealer.seal()  # nobody comes any more, and it is written down all the same
    assert [each.times for each in trail.list(actor="public")] == [20]


def test_many_processes_anchor_no_more_often_than_one(world: World) -> None:
    trail, sealer, every = world.site.admin.access.trail, world.site.admin.sealer, timedelta(seconds=30)
    anchored = 0
    for _ in range(60):
        trail.note(OPERATOR.ref, Act("read-file", "given"))
        sealer.seal()
        anchored += sealer.anchor(unless_since=every) > 0
        world.clock.advance(seconds=2)
    assert anchored in (4, 5)


def _set(where: int, **values: object) -> Callable[[sa.Connection], object]:
    return lambda c: c.execute(sa.update(AUDIT).where(AUDIT.c.number == where).values(**values))


def _set_batch(where: int, **values: object) -> Callable[[sa.Connection], object]:
    return lambda c: c.execute(sa.update(BATCHES).where(BATCHES.c.id == where).values(**values))


def _delete(*numbers: int) -> Callable[[sa.Connection], object]:
    return lambda c: c.execute(sa.delete(AUDIT).where(AUDIT.c.number.in_(numbers)))


def _delete_batch(*ids: int) -> Callable[[sa.Connection], object]:
    return lambda c: c.execute(sa.delete(BATCHES).where(BATCHES.c.id.in_(ids)))


def _swap(one: int, other: int) -> Callable[[sa.Connection], object]:
    def swap(connection: sa.Connection) -> None:
        for old, new in ((one, -1), (other, one), (-1, other)):
            _set(old, number=new)(connection)

    return swap


def _copy(copied: int, **changes: object) -> Callable[[sa.Connection], object]:
    def copy(connection: sa.Connection) -> None:
        row = dict(connection.execute(sa.select(AUDIT).where(AUDIT.c.number == copied)).one()._mapping)
        connection.execute(sa.insert(AUDIT), [{**row, "id": None, **changes}])

    return copy


def _all(*edits: Callable[[sa.Connection], object]) -> Callable[[sa.Connection], object]:
    return lambda c: [edit(c) for edit in edits]


_NEW = bytes([7]) * 16
# The rows of the batches are asked for at run time: `first` of the batch to begin with, by number from 0.
EDITS: list[tuple[str, Callable[[int], Callable[[sa.Connection], object]], int | None, str]] = [
    ("time", lambda n: _set(n, at=5), 0, "EDITED"),
    ("actor", lambda n: _set(n, actor="operator:other"), 0, "EDITED"),
    ("organisation", lambda n: _set(n, organisation=None), 0, "EDITED"),
    ("name", lambda n: _set(n, actor_name="another"), 0, "EDITED"),
    ("action", lambda n: _set(n, action="download"), 0, "EDITED"),
    ("e-certificate", lambda n: _set(n, pid=_NEW), 0, "EDITED"),
    ("no e-certificate", lambda n: _set(n, pid=None), 0, "EDITED"),
    ("subject", lambda n: _set(n, subject="a-seal"), 0, "EDITED"),
    ("outcome", lambda n: _set(n, outcome="refused"), 0, "EDITED"),
    ("times", lambda n: _set(n, times=9), 0, "EDITED"),
    ("purpose", lambda n: _set(n, purpose="loan"), 0, "EDITED"),
    ("purpose with a salt", lambda n: _set(n, purpose="loan", purpose_salt=_NEW), 0, "EDITED"),
    ("commitment", lambda n: _set(n, purpose_commit=bytes(32)), 0, "EDITED"),
    ("uid", lambda n: _set(n, uid=_NEW), 0, "EDITED"),
    ("mac", lambda n: _set(n, mac=bytes(32)), 0, "EDITED"),
    ("no mac", lambda n: _set(n, mac=None), 0, "ADDED"),
    ("first row gone", lambda n: _delete(n), 0, "MISSING"),
    ("middle row gone", lambda n: _delete(n + 5), 5, "MISSING"),
    ("last row gone", lambda n: _delete(n + 11), 11, "MISSING"),
    ("unsealed", lambda n: _set(n + 3, number=None), 3, "MISSING"),
    ("two exchanged", lambda n: _swap(n, n + 1), 0, "MOVED"),
    ("exchanged over batches", lambda n: _swap(n, n + 12), 0, "MOVED"),
    (
        "one replaced by a copy of another",
        lambda n: _all(_delete(n), _copy(n + 1, uid=_NEW, number=n)),
        0,
        "EDITED",
    ),
    ("added behind the end", lambda n: _copy(n, uid=_NEW, number=9999), 9999 - 10**6, "ADDED"),
    ("added to be sealed", lambda n: _copy(n, uid=_NEW, number=None), None, "EDITED"),
    ("root", lambda n: _set_batch(2, root=bytes(32)), None, "BATCH_EDITED"),
    ("chain", lambda n: _set_batch(2, chain=bytes(32)), None, "BATCH_EDITED"),
    ("time of a batch", lambda n: _set_batch(2, at=5), None, "BATCH_EDITED"),
    ("range of a batch", lambda n: _set_batch(2, last=n + 10), None, "BATCH_EDITED"),
    ("endless batch", lambda n: _set_batch(2, last=10**15), None, "BATCH_EDITED"),
    ("anchor forgotten", lambda n: _set_batch(2, operation_id=None), None, "BATCH_MISSING"),
    ("anchor of another batch", lambda n: _set_batch(2, operation_id=1), None, "BATCH_MISSING"),
    ("batch gone", lambda n: _delete_batch(2), None, "BATCH_MISSING"),
    ("first batch gone", lambda n: _delete_batch(1), None, "BATCH_MISSING"),
    (
        "everything since the first batch gone",
        lambda n: _all(_delete(*range(n, n + 60)), _delete_batch(2, 3, 4)),
        None,
        "BATCH_MISSING",
    ),
]


@pytest.fixture(scope="module")
def chained(template_folder: Path, sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from support.world import world_in

    made = world_in(template_folder, tmp_path_factory.mktemp("trail") / "data", sandbox)
    sealed(made)
    yield made
    made.close()


@pytest.mark.parametrize(("name", "edit", "at", "code"), EDITS, ids=[each[0] for each in EDITS])
def test_each_edit_by_sql_is_found_and_named(
    chained: World, name: str, edit: Callable[[int], Any], at: int | None, code: str
) -> None:
    database = chained.site.stores.register
    assert findings(chained) == []
    with database.read() as connection:
        kept = [dict(row._mapping) for row in connection.execute(sa.select(AUDIT))]
        batches = [dict(row._mapping) for row in connection.execute(sa.select(BATCHES))]
    second = next(each for each in batches if each["id"] == 2)
    try:
        with database.write() as connection:
            edit(second["first"])(connection)
        found = findings(chained)
        number = None if at is None else 9999 if at < 0 else second["first"] + at
        assert (number, code) in found, (name, found)
        assert {each for each, _ in found} <= {None, *range(second["first"], second["first"] + 36), 9999}
    finally:
        with database.write() as connection:
            connection.execute(sa.delete(AUDIT))
            connection.execute(sa.delete(BATCHES))
            connection.execute(sa.insert(AUDIT), kept)
            connection.execute(sa.insert(BATCHES), batches)


def test_thirty_edits_are_tried() -> None:
    assert len(EDITS) >= 30


def test_the_check_names_what_is_wrong_and_ends_with_an_error(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2)) == 0
    assert cli.run("audit", "check", "--json") == 0
    *_, summary = cli.lines()
    assert summary["findings"] == 0
    assert summary["anchored_rows"] == summary["rows"] > 0


# --- The ledger ---


def test_a_batch_is_anchored_once_and_the_entry_names_nobody(stored_world: World) -> None:
    site = stored_world.site
    site.admin.sealer.seal()
    assert site.admin.sealer.anchor() == 1
    assert site.admin.sealer.anchor() == 0  # nothing new
    entries = [entry for _, entry in site.ledger.log.entries() if entry.kind is EntryKind.AUDIT_TRAIL]
    assert [entry.actor for entry in entries] == ["audit"]
    with site.stores.register.read() as connection:
        chain = connection.execute(sa.select(BATCHES.c.chain).where(BATCHES.c.id == 1)).scalar_one()
    assert entries[0].commit == audit_rows.commit_of(bytes(chain))


def test_an_anchor_that_was_cut_off_is_completed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    site = world.site
    site.admin.sealer.seal()

    for where in ("ledger.log.Log.append", "issuer.operations.sql.set_done"):
        with monkeypatch.context() as patched:
            patched.setattr(where, fails)
            with pytest.raises(StorageError):
                site.admin.sealer.anchor()
        assert findings(world) == []
        world.outlast_leases()
        assert (
            TrailAnchors(site.stores.register, site.ledger.log, site.issuer.seals.operations).resume_pending()
            == 1
        )
        site.admin.access.trail.note(OPERATOR.ref, Act("read-file", "given"))
        site.admin.sealer.seal()
    assert sum(entry.kind is EntryKind.AUDIT_TRAIL for _, entry in site.ledger.log.entries()) == 2
    assert site.admin.sealer.check().anchored_rows > 0


# --- Kept elsewhere ---


def test_an_export_can_be_checked_without_the_database(world: World) -> None:
    """As docs/FORMATS.md says, with cbor2 and hashlib alone."""
    import cbor2

    sealed(world)
    rows: list[dict[str, Any]] = []
    chain, batches = bytes(32), 0
    commits = {
        entry.seq: entry.commit
        for _, entry in world.site.ledger.log.entries()
        if entry.kind is EntryKind.AUDIT_TRAIL
    }
    for line in world.site.admin.sealer.export(operator("auditor")):
        line = json.loads(json.dumps(line))
        if "row" in line:
            rows.append(line)
            continue
        leaves = []
        for row in rows[-(line["last"] - line["first"] + 1) :]:
            raw = {
                name: bytes.fromhex(row[name]) if row[name] is not None else None
                for name in ("uid", "pid", "purpose_commit", "mac")
            }
            fields = cbor2.dumps(
                [
                    *(
                        1,
                        raw["uid"],
                        row["at"],
                        row["actor"],
                        row["organisation"],
                        row["name"],
                        row["action"],
                    ),
                    *(raw["pid"], row["subject"], raw["purpose_commit"], row["outcome"], row["times"]),
                ]
            )
            leaves.append(merkle.leaf_hash(cbor2.dumps([1, row["row"], fields, raw["mac"]])))
        root = merkle.root(leaves)
        assert root.hex() == line["root"]
        listed = [1, line["batch"], line["first"], line["last"], line["at"], root, chain]
        chain = sha256(cbor2.dumps(listed))
        assert chain.hex() == line["chain"]
        if line["ledger_index"] is not None:
            batches += 1
            expected = sha256(cbor2.dumps(["yinzheng audit trail", chain]))
            assert commits[line["ledger_index"]] == expected
    assert batches == 2
    assert [row["row"] for row in rows] == list(range(1, len(rows) + 1))


# --- Many hands ---


@pytest.mark.postgres
def test_three_processes_write_and_seal_one_chain(
    postgres_template: tuple[Path, str, str], postgres_server: str, tmp_path: Path
) -> None:
    import shutil

    from support.postgres import make_database
    from support.world import make_world

    template, *urls = postgres_template
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    database, lock = (make_database(postgres_server, url) for url in urls)
    program = [sys.executable, "-m", "support.writing_trail", str(folder), database, lock, "200"]
    running = [
        subprocess.Popen(program, cwd=Path(__file__).parents[1], env=_with_project()) for _ in range(3)
    ]
    assert [each.wait(timeout=120) for each in running] == [0, 0, 0]
    world = make_world(folder, database_url=database, lock_url=lock)
    try:
        world.site.admin.sealer.seal()
        checked = world.site.admin.sealer.check()
        assert checked.findings == ()
        written = world.site.admin.access.trail.list(actor=SYSTEM.ref.ref, actions=["probe"], limit=1000)
        assert len(written) == 600
    finally:
        world.close()


def _with_project() -> dict[str, str]:
    import os

    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root / 'tests'}{os.pathsep}{root}"}


def test_what_waited_long_is_sealed_in_several_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = world.site.admin.sealer
    sealer.seal()
    with world.site.stores.register.read() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(BATCHES)).scalar_one()
    for _ in range(12):
        world.site.admin.access.trail.note(OPERATOR.ref, Act("read-file", "given"))
    with monkeypatch.context() as patched:
        patched.setattr("trust.audit.sealer.BATCH", 5)
        assert sealer.seal() == 12
    with world.site.stores.register.read() as connection:
        sizes = [each.last - each.first + 1 for each in connection.execute(sa.select(BATCHES)).all()[before:]]
    assert sizes == [5, 5, 2]
    assert findings(world) == []


@pytest.mark.postgres
def test_what_is_sealed_during_a_check_is_no_finding(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL another process seals between two statements of the check."""
    from concurrent.futures import ThreadPoolExecutor

    from trust.audit import sql

    trail, sealer, read = stored_world.site.admin.access.trail, stored_world.site.admin.sealer, sql.batches
    sealed(stored_world)

    def meanwhile() -> None:
        trail.note(OPERATOR.ref, Act("read-file", "given"))
        sealer.seal()

    def with_more(connection: sa.Connection) -> Any:
        for batch in read(connection):
            yield batch
            if batch.id == 2:
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(meanwhile).result()
        # As after the last portion: nothing that came since may be seen.
        yield from (batch for batch in read(connection) if batch.last > seen)

    with stored_world.site.stores.register.read() as connection:
        seen = max(batch.last for batch in read(connection))
    monkeypatch.setattr(sql, "batches", with_more)
    assert findings(stored_world) == []


def test_who_reaches_for_what_is_anothers_is_told_nothing_and_written_down(world: World) -> None:
    issued, _ = world.issue()
    stranger = client_of("yunling-transport")
    for attempt in (
        lambda: world.site.issuer.looking_up.get(stranger, issued.pid),
        lambda: world.site.issuer.looking_up.find(stranger, issued.identifier),
        lambda: world.site.issuer.looking_up.file(stranger, issued.pid, 0),
        lambda: world.site.issuer.looking_up.own(stranger, issued.pid, "revoke"),
    ):
        with pytest.raises(NotFound):
            attempt()
    refused = [(action, outcome) for _, action, outcome in acts(world, issued.pid)[1:]]
    assert refused == [*[("read", "refused NOT_FOUND")] * 3, ("revoke", "refused NOT_FOUND")]
