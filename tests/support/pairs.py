"""Two acts on one certificate at the same moment, and what must be so afterwards. Used by test_pairs.py, and as a
process of its own, several of which act together:

    python -m support.pairs FOLDER DATABASE_URL LOCK_URL      with tests/ and the project in the path

A process reads orders as JSON, a line each (`{"act": …, "pid": …, "number": …}`), carries each out when the line comes,
with the keeper's rounds beside it, and answers with one line: "" or the code of the refusal, or what went wrong.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from issuer.archive.sql import LaterVersionRow
from issuer.ecertificates.sql import DocumentRow, ECertificateRow, HolderRow
from issuer.operations.sql import OperationRow
from support.world import World, make_world
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.entry import EntryKind
from trust.model.actor import OPERATOR
from trust.model.errors import TrustError
from trust.model.status import StatusAct
from trust.storage import tables
from trust.web.statuses import row_of

SEAL, OTHER_SEAL = "chuncheng-market-sm2", "chuncheng-market-p256"


@dataclass(frozen=True)
class Subject:
    """The certificate that is acted upon."""

    pid: bytes
    number: int


def _change(act: StatusAct, reason: str) -> Callable[[World, Subject], None]:
    def change(world: World, subject: Subject) -> None:
        world.site.issuer.statuses.change(OPERATOR, subject.pid, act, reason=reason)

    return change


def _issue(world: World, subject: Subject) -> None:
    (outcome,) = world.try_issue(world.application(subject.number, seal=SEAL))
    if outcome.error is not None:
        raise outcome.error


def _replace(world: World, subject: Subject) -> None:
    application = world.application(subject.number, seal=SEAL, premises="云岭省春城市示例路12号")
    outcome = world.site.issuer.statuses.replace(
        OPERATOR, subject.pid, replace(application, replaces=subject.pid), reason="moved"
    )
    if outcome.error is not None:
        raise outcome.error


def _erase(world: World, subject: Subject) -> None:
    world.site.issuer.erasing.erase(
        OPERATOR, subject.pid, basis="court-order", requested_by="clerk", approved_by="chief"
    )


def _archive(world: World, subject: Subject) -> None:
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [subject.pid])
    if renewal.error is not None:
        raise renewal.error


def _reseal(world: World, subject: Subject) -> None:
    (result,) = world.site.issuer.resealing.reseal(OPERATOR, [subject.pid], SEAL, OTHER_SEAL)
    if result.error is not None:
        raise result.error


ACTS: Mapping[str, Callable[[World, Subject], None]] = {
    "issue": _issue,
    "replace": _replace,
    "suspend": _change(StatusAct.SUSPEND, "complaint"),
    "reinstate": _change(StatusAct.REINSTATE, "settled"),
    "revoke": _change(StatusAct.REVOKE, "cancelled"),
    "erase": _erase,
    "archive": _archive,
    "reseal": _reseal,
}
BEFORE: Mapping[str, str] = {"reinstate": "suspend", "erase": "revoke"}
"""The act without which this one would be refused at once."""


def prepare(world: World, number: int, acts: tuple[str, ...]) -> Subject:
    """A new certificate in a state in which the acts are allowed, as far as there is one."""
    issued, _ = world.issue(number)
    subject = Subject(issued.pid, number)
    for needed in sorted({BEFORE[act] for act in acts if act in BEFORE}, reverse=True):
        ACTS[needed](world, subject)
    return subject


def act_on(world: World, act: str, subject: Subject) -> str:
    """ "" if the act was carried out, the code of a refusal, or what went wrong, which begins with "wrong"."""
    try:
        ACTS[act](world, subject)
    except TrustError as exc:
        if row_of(exc).api >= 500:
            return f"wrong: {row_of(exc).api} {exc.code} {exc.what}"
        return exc.code
    except Exception as exc:
        return f"wrong: {type(exc).__name__}: {exc}"
    return ""


def go_round(world: World) -> str:
    """One turn of the keeper's rounds; what went wrong in it, if anything."""
    for resume in world.site.keeper.resume:
        try:
            resume()
        except TrustError as exc:
            if row_of(exc).api >= 500:
                return f"wrong in a round: {exc.code} {exc.what}"
        except Exception as exc:
            return f"wrong in a round: {type(exc).__name__}: {exc}"
    return ""


def at_once(world: World, acts: tuple[str, ...], subject: Subject) -> list[str]:
    """What came of each act; the last answer is that of the keeper's rounds beside them."""
    started = threading.Barrier(len(acts) + 1)

    def one(act: str) -> str:
        started.wait()
        return act_on(world, act, subject)

    def rounds() -> str:
        started.wait()
        return go_round(world)

    with ThreadPoolExecutor(len(acts) + 1) as pool:
        beside = pool.submit(rounds)
        return [*pool.map(one, acts), beside.result()]


def contradictions(world: World, subject: Subject) -> list[str]:
    """What does not agree about the certificate and the versions that replace it, once everything is done."""
    site, found = world.site, []
    operation, certificate = tables.table_of(OperationRow), tables.table_of(ECertificateRow)
    with site.stores.register.read() as connection:
        rows = [connection.execute(sa.select(certificate).where(certificate.c.pid == subject.pid)).one()]
        while newer := connection.execute(
            sa.select(certificate).where(certificate.c.replaces_id == rows[-1].id)
        ).all():
            rows += newer
            if len(newer) > 1:
                found.append(f"{len(newer)} versions replace one")
        in_force = 0
        for row in rows:
            if row.pending_operation is not None:
                found.append("an act is still under way")
            if row.step not in ("ISSUED", "ERASED"):
                found.append(f"its step is {row.step}")
            acts = connection.execute(sa.select(operation).where(operation.c.ecertificate_id == row.id)).all()
            found += [
                f"the {each.kind} is not done" for each in acts if not each.done or each.entry_seq is None
            ]
            entries = [
                site.ledger.log.proven_entry(each.entry_seq) for each in acts if each.entry_seq is not None
            ]
            if sorted(entry.kind.name for entry in entries) != sorted(each.kind for each in acts):
                found.append("the ledger says otherwise")
            if row.step == "ERASED":
                found += _left_of(connection, row.id)
            else:
                ref = ecertificate_ref(bytes(row.pid), bytes(row.ref_salt))
                if not site.register.guard.is_status_of(ref, dict(row._mapping)):
                    found.append("its status is not that of the ledger")
                in_force += row.status in ("VALID", "SUSPENDED")
            kinds = [entry.kind for entry in entries]
            if (EntryKind.REPLACED in kinds) != (len(rows) > 1 and row is not rows[-1]):
                found.append("replaced without a newer version, or the other way round")
        if in_force > 1:
            found.append(f"{in_force} versions are in force")
    return found


def _left_of(connection: sa.Connection, ecertificate_id: int) -> list[str]:
    left = []
    for kind in (DocumentRow, HolderRow, LaterVersionRow):
        table = tables.table_of(kind)
        wanted = (
            sa.select(sa.func.count()).select_from(table).where(table.c.ecertificate_id == ecertificate_id)
        )
        if count := connection.execute(wanted).scalar_one():
            left.append(f"{count} of {table.name} are left after an erasure")
    return left


def main() -> None:
    folder, database, lock = Path(sys.argv[1]), *sys.argv[2:4]
    world = make_world(folder, database_url=database, lock_url=lock)
    stop = threading.Event()
    wrong: list[str] = []

    def rounds() -> None:
        while not stop.wait(1.0):
            if what := go_round(world):
                wrong.append(what)

    beside = threading.Thread(target=rounds)
    beside.start()
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = act_on(world, order["act"], Subject(bytes.fromhex(order["pid"]), order["number"]))
        print(json.dumps([answer, *wrong]), flush=True)
    stop.set()
    beside.join()
    world.close()


if __name__ == "__main__":
    main()
