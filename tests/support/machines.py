"""State machines for Hypothesis: the life of e-certificates, seals, operations and the ledger, with deaths in between.

Each machine knows what has to be so by a small model of its own. A step may die at a commit: right before it, so that
nothing of it is stored, or right after it, so that nobody hears of it. Then the service is opened again as after a
crash, leases run out, rounds carry on, and the step must have happened whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from issuer.ecertificates.sql import get_ecertificate, next_version_of
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from issuer.operations.sql import delete_operation
from keys.suites import Suite
from ledger.log import Appended, AppendRequest
from support.killed_ledger import OpenLog, Place
from support.pairs import ACTS, SEAL, Subject, contradictions, go_round
from support.world import World
from trust.audit.sql import AuditRow
from trust.audit.trail import Act
from trust.encoding.entry import NO_REF, EntryKind, decode_entry
from trust.model.actor import OPERATOR, operator
from trust.model.errors import Conflict, TrustError
from trust.model.seal import SealPolicy
from trust.storage.sql import Database
from trust.storage.tables import table_of
from trust.web.statuses import row_of

Death = tuple[int, bool] | None
DEATHS: st.SearchStrategy[Death] = st.none() | st.tuples(st.integers(0, 9), st.booleans())
"""No death, or one at this commit from now on: before (False) or after (True) it is durable."""


taken: Counter[str] = Counter()
"""Steps that might die, and deaths: a machine that takes none shows nothing."""


class Died(BaseException):
    """The process is gone: nothing that catches errors sees it."""


@contextmanager
def dying(death: Death) -> Iterator[None]:
    """Inside, the process dies at a commit of whatever database."""
    if death is None:
        yield
        return
    left, is_after = death
    commit = Database._commit

    def counted(database: Database, transaction: sa.RootTransaction) -> None:
        nonlocal left
        left -= 1
        if left == -1 and not is_after:
            transaction.rollback()
            raise Died
        commit(database, transaction)
        if left == -1:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_commit", counted)
        yield


class Service:
    """A service that may die. `open_again` opens the same folder and databases."""

    def __init__(self, open_again: Callable[[], World]) -> None:
        self._open = open_again
        self.world = open_again()

    def restart(self) -> None:
        at = self.world.clock.at
        self.world.close()
        self.world = self._open()
        self.world.clock.at = at
        self.world.outlast_leases()
        assert go_round(self.world) == ""

    def tries(self, act: Callable[[World], object], death: Death) -> str:
        """ "done", "refused" (for a reason of the caller's), or "died"; after that everything is carried on."""
        taken["steps"] += 1
        try:
            with dying(death):
                act(self.world)
        except Died:
            taken["deaths"] += 1
            self.restart()
            return "died"
        except TrustError as exc:
            if row_of(exc).api >= 500:
                raise
            return "refused"
        return "done"


@dataclass
class Licence:
    subject: Subject
    status: str = "VALID"
    versions: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    successor: Licence | None = None


_AFTER = {
    ("VALID", "suspend"): "SUSPENDED",
    ("SUSPENDED", "reinstate"): "VALID",
    ("VALID", "revoke"): "REVOKED",
    ("SUSPENDED", "revoke"): "REVOKED",
    ("VALID", "replace"): "REPLACED",
    ("SUSPENDED", "replace"): "REPLACED",
    ("REVOKED", "erase"): "ERASED",
    ("REPLACED", "erase"): "ERASED",
}


class ECertificates(RuleBasedStateMachine):
    """Issue, suspend, reinstate, revoke, replace, erase, archive, in any order, on several licences."""

    opener: Callable[[], Callable[[], World]]

    @initialize()
    def begin(self) -> None:
        self.service = Service(type(self).opener())
        self.licences: list[Licence] = []
        self.acted: Licence | None = None

    def teardown(self) -> None:
        self.service.world.close()

    @precondition(lambda self: len(self.licences) < 5)
    @rule(death=DEATHS)
    def issue(self, death: Death) -> None:
        number = 1 + len(self.licences)

        def act(world: World) -> None:
            (outcome,) = world.try_issue(world.application(number, seal=SEAL))
            assert outcome.error is None, outcome.error

        if self.service.tries(act, death) == "died":
            act(self.service.world)  # the same request again gives the same licence
        issued, _ = self.service.world.issue(number)
        self._add(issued.pid, number)

    @precondition(lambda self: self.licences)
    @rule(
        which=st.integers(0, 9), name=st.sampled_from(sorted(ACTS.keys() - {"issue", "reseal"})), death=DEATHS
    )
    def act(self, which: int, name: str, death: Death) -> None:
        licence = self.licences[which % len(self.licences)]
        after = _AFTER.get((licence.status, name))
        if (name == "archive" and licence.status != "ERASED") or (name, licence.status) == (
            "replace",
            "REPLACED",
        ):
            after = licence.status
        # The same request gives the same new version, unless that was erased.
        is_repeated = name == "replace" and after == licence.status
        if is_repeated and licence.successor is not None and licence.successor.status == "ERASED":
            after = None
        outcome = self.service.tries(lambda world: ACTS[name](world, licence.subject), death)
        if outcome == "done":
            assert after is not None, (name, licence)
        elif outcome == "refused":
            assert after is None, (name, licence)
        happened = outcome == "done" or (outcome == "died" and self._has_happened(licence, name, after))
        self.acted = licence
        if not happened or is_repeated:
            return
        assert after is not None, (name, licence)
        licence.status = after
        licence.acts[name] += 1
        licence.versions += name == "archive"
        if name == "replace":
            newer = self._newer(licence)
            assert newer is not None
            self._add(newer, licence.subject.number)
            licence.successor = self.acted

    @rule()
    def rounds(self) -> None:
        assert go_round(self.service.world) == ""

    @rule(death=DEATHS)
    def seal_the_trail(self, death: Death) -> None:
        self.service.tries(lambda world: world.site.admin.sealer.seal(), death)

    @rule(death=DEATHS)
    def anchor_the_trail(self, death: Death) -> None:
        self.service.tries(lambda world: world.site.admin.sealer.anchor(), death)

    @rule()
    def check_the_trail(self) -> None:
        assert self.service.world.site.admin.sealer.check().findings == ()

    @rule()
    def restart(self) -> None:
        self.service.restart()

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if (licence := getattr(self, "acted", None)) is None:
            return
        world, pid = self.service.world, licence.subject.pid
        assert self._status(licence) == licence.status
        assert contradictions(world, licence.subject) == []
        trail = world.site.admin.access.trail.of(pid, limit=500)
        written = Counter(each.action for each in trail if not each.outcome.startswith("refused "))
        assert written == licence.acts
        self.acted = None

    def _add(self, pid: bytes, number: int) -> None:
        self.acted = Licence(Subject(pid, number), acts=Counter({"issue": 1}))
        self.licences.append(self.acted)

    def _status(self, licence: Licence) -> str:
        with self.service.world.site.stores.register.read() as connection:
            row = get_ecertificate(connection, pid=licence.subject.pid)
            return "ERASED" if row.step == "ERASED" else row.status

    def _newer(self, licence: Licence) -> bytes | None:
        with self.service.world.site.stores.register.read() as connection:
            row = get_ecertificate(connection, pid=licence.subject.pid)
            newer = next_version_of(connection, row.id or 0)
            return bytes(newer.pid) if newer is not None and newer.step == "ISSUED" else None

    def _has_happened(self, licence: Licence, name: str, after: str | None) -> bool:
        if name == "archive" and after is not None:
            versions = self.service.world.site.issuer.archiving.versions(licence.subject.pid)
            return len(versions) - 1 > licence.versions
        status = self._status(licence)
        assert status in (licence.status, after)
        return status != licence.status


_SEAL_AFTER = {
    ("applied", "approve"): "approved",
    ("applied", "reject"): "rejected",
    ("approved", "make"): "made",
    ("made", "record"): "active",
    ("active", "authorise"): "active",
    ("active", "freeze"): "frozen",
    ("active", "report-lost"): "lost",
    ("frozen", "report-lost"): "lost",
    ("frozen", "unfreeze"): "active",
    ("lost", "unfreeze"): "active",
    **{(state, "revoke"): "revoked" for state in ("made", "active", "frozen", "lost")},
}
_CLERK, _CHIEF = operator("clerk"), operator("chief")
_ON_SEALS: dict[str, Callable[[World, str], object]] = {
    "approve": lambda world, seal: world.site.issuer.seals.approve(_CHIEF, seal),
    "reject": lambda world, seal: world.site.issuer.seals.reject(_CHIEF, seal, note="no"),
    "make": lambda world, seal: world.site.issuer.seals.make_approved(_CLERK, seal),
    "record": lambda world, seal: world.site.issuer.seals.record(_CLERK, seal),
    "authorise": lambda world, seal: world.site.issuer.seals.authorise(_CHIEF, seal, SealPolicy(["FOOD"])),
    "freeze": lambda world, seal: world.site.issuer.seals.freeze(_CLERK, seal),
    "unfreeze": lambda world, seal: world.site.issuer.seals.unfreeze(_CHIEF, seal),
    "report-lost": lambda world, seal: world.site.issuer.seals.report_lost(_CLERK, seal),
    "revoke": lambda world, seal: world.site.issuer.seals.revoke(_CHIEF, seal),
}


class SealLives(RuleBasedStateMachine):
    """Every act on seals in any order; what may seal seals, and what may not does not."""

    opener: Callable[[], Callable[[], World]]

    @initialize()
    def begin(self) -> None:
        self.service = Service(type(self).opener())
        self.states: dict[str, str] = {}
        self.history: dict[str, list[str]] = {}
        self.number = 0

    def teardown(self) -> None:
        self.service.world.close()

    @precondition(lambda self: len(self.states) < 3)
    @rule(death=DEATHS)
    def apply(self, death: Death) -> None:
        seal = f"new-{len(self.states)}"

        def act(world: World) -> None:
            world.site.issuer.seals.apply(
                _CLERK, seal, "chuncheng-market", Suite.P256_SHA256, second_line=f"{len(self.states)}号"
            )

        if self.service.tries(act, death) == "died":
            act(self.service.world)
        self.states[seal], self.history[seal] = "applied", ["apply"]

    @precondition(lambda self: self.states)
    @rule(which=st.integers(0, 9), name=st.sampled_from(sorted(_ON_SEALS)), death=DEATHS)
    def act(self, which: int, name: str, death: Death) -> None:
        seal = sorted(self.states)[which % len(self.states)]
        before, after = self.states[seal], _SEAL_AFTER.get((self.states[seal], name))
        outcome = self.service.tries(lambda world: _ON_SEALS[name](world, seal), death)
        registry = self.service.world.site.issuer.seals.registry
        steps = [each.act.value for each in registry.history(seal)]
        if outcome == "died":
            happened = len(steps) > len(self.history[seal])
        else:
            happened = outcome == "done"
            assert happened == (after is not None), (seal, before, name)
        if happened:
            assert after is not None, (before, name)
            self.states[seal] = after
            self.history[seal].append(name)
        assert registry.application(seal).state.value == self.states[seal]
        assert steps == self.history[seal]

    @precondition(lambda self: self.states)
    @rule(which=st.integers(0, 9))
    def seal_with_it(self, which: int) -> None:
        seal = sorted(self.states)[which % len(self.states)]
        self.number += 1
        world = self.service.world
        (outcome,) = world.try_issue(world.application(self.number, seal=seal))
        assert (outcome.error is None) == (self.states[seal] == "active"), (self.states[seal], outcome.error)

    @rule()
    def restart(self) -> None:
        self.service.restart()

    @invariant()
    def every_step_is_in_the_ledger_once(self) -> None:
        if not getattr(self, "states", None):
            return
        registry = self.service.world.site.issuer.seals.registry
        for seal in self.states:
            entries = [each.entry_seq for each in registry.history(seal)]
            assert None not in entries
            assert len(set(entries)) == len(entries)


def probe_request(number: int) -> AppendRequest:
    """An entry that stands for nothing; its commitment is its number."""
    return AppendRequest(
        operation_id=number,
        kind=EntryKind.SEAL_EVENT,
        actor="probe",
        subject_id=None,
        ref=NO_REF,
        commit=number.to_bytes(32, "big"),
        suite="",
    )


@dataclass(frozen=True)
class _Probe:
    """`issuer.operations.operations.Completing`: an act whose only effect is its row in the trail."""

    operations: Operations

    def request(self, operation: Operation) -> AppendRequest | None:
        return probe_request(operation.operation_id)

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None: ...

    def lock(self, connection: sa.Connection, operations: Sequence[Operation]) -> None: ...

    def finish(self, connection: sa.Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        acts = [
            (each, Act("probe", str(entry.seq), subject=str(each.operation_id))) for each, entry in appended
        ]
        self.operations.write_down_each(connection, acts)

    def let_go(self, connection: sa.Connection, operation: Operation) -> None:
        delete_operation(connection, operation.operation_id)


class OperationLives(RuleBasedStateMachine):
    """Announce, complete, take what nobody has in hand, let go; leases end, processes die."""

    opener: Callable[[], Callable[[], World]]
    KIND = OperationKind.SEAL_EVENT

    @initialize()
    def begin(self) -> None:
        self.service = Service(type(self).opener())
        self.announced: dict[int, Operation] = {}
        self.done: set[int] = set()

    def teardown(self) -> None:
        # What was announced here is no step of a seal, so no round of seals must find it.
        for operation in self.announced.values():
            if operation.operation_id not in self.done:
                self._operations.let_go([operation], self._probe)
        self.service.world.close()

    @property
    def _operations(self) -> Operations:
        return self.service.world.site.issuer.statuses.operations

    @property
    def _probe(self) -> _Probe:
        return _Probe(self._operations)

    @rule(count=st.integers(1, 4))
    def announce(self, count: int) -> None:
        with self._operations.database.write() as connection:
            for _ in range(count):
                made = self._operations.announce(connection, self.KIND, by=OPERATOR.ref, actor="probe")
                self.announced[made.operation_id] = made

    @precondition(lambda self: self.announced.keys() - self.done)
    @rule(death=DEATHS, data=st.data())
    def complete(self, death: Death, data: st.DataObject) -> None:
        open_ones = sorted(self.announced.keys() - self.done)
        chosen = data.draw(st.lists(st.sampled_from(open_ones), min_size=1, unique=True))
        self._dying(
            lambda: self._operations.complete([self.announced[n] for n in chosen], self._probe), death
        )

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def complete_again(self, data: st.DataObject) -> None:
        """As one whose lease ended, and who was stopped and is woken, does."""
        chosen = data.draw(st.sampled_from(sorted(self.done)))
        self._operations.complete([self.announced[chosen]], self._probe)

    @rule(death=DEATHS, is_later=st.booleans())
    def carry_on(self, death: Death, is_later: bool) -> None:
        if is_later:
            self.service.world.outlast_leases()
        self._dying(lambda: self._operations.carry_on((self.KIND,), self._probe), death)

    @precondition(lambda self: self.announced.keys() - self.done)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.announced.keys() - self.done)))
        if self._entry_of(chosen) is None:  # what is in the ledger cannot be taken back
            self._operations.let_go([self.announced.pop(chosen)], self._probe)

    @invariant()
    def each_is_done_once_or_not_at_all(self) -> None:
        if not hasattr(self, "announced"):
            return
        table = table_of(AuditRow)
        with self._operations.database.read() as connection:
            rows = connection.execute(
                sa.select(table.c.subject, table.c.outcome).where(table.c.action == "probe")
            )
            finished = [(int(row.subject), int(row.outcome)) for row in rows.all()]
        done = Counter(number for number, _ in finished)
        assert set(done.values()) <= {1}
        assert self.done <= done.keys()
        self.done = set(done)
        for number, seq in finished:
            entry = self._operations.log.entries_at([seq])[seq]
            assert entry.commit == number.to_bytes(32, "big")

    def _dying(self, work: Callable[[], object], death: Death) -> None:
        taken["steps"] += 1
        try:
            with dying(death):
                work()
        except Died:
            taken["deaths"] += 1
            at = self.service.world.clock.at
            self.service.world.close()
            self.service.world = self.service._open()
            self.service.world.clock.at = at

    def _entry_of(self, number: int) -> int | None:
        commit = number.to_bytes(32, "big")
        found = [entry.seq for _, entry in self._operations.log.entries() if entry.commit == commit]
        return found[0] if found else None


class LedgerLife(RuleBasedStateMachine):
    """Append, append again, publish, prove; what was acknowledged stays what it was, whatever dies."""

    place: Callable[[], Place]

    @initialize()
    def begin(self) -> None:
        self.at = type(self).place()
        self.open = OpenLog(self.at)
        self.seqs: dict[int, int] = {}
        self.next = 1
        self.size = self.open.log.size

    def teardown(self) -> None:
        self.open.close()

    @rule(count=st.integers(1, 40), death=DEATHS)
    def append(self, count: int, death: Death) -> None:
        numbers = range(self.next, self.next + count)
        self.next += count
        if not self._dying(lambda: self._take(numbers), death):
            # Whole or not at all; the same request again completes it.
            grown = self.open.log.size - self.size
            assert grown == 0 or grown >= count
            self._take(numbers)

    @precondition(lambda self: self.seqs)
    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        self._take([data.draw(st.sampled_from(sorted(self.seqs)))])

    @precondition(lambda self: self.seqs)
    @rule(data=st.data())
    def another_content_is_refused(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.seqs)))
        other = replace(probe_request(number), commit=bytes(32))
        with pytest.raises(Conflict):
            self.open.log.append([other])

    @rule(death=DEATHS)
    def publish(self, death: Death) -> None:
        self._dying(self.open.log.publish, death)

    @precondition(lambda self: self.seqs)
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.seqs)))
        entry = self.open.log.proven_entry(self.seqs[number])
        assert entry.commit == number.to_bytes(32, "big")

    @rule()
    def restart(self) -> None:
        self._open_again()

    @invariant()
    def nothing_that_was_acknowledged_is_lost(self) -> None:
        if not hasattr(self, "open"):
            return
        log = self.open.log
        assert log.size >= self.size
        self.size = log.size
        assert [seq for seq, _ in enumerate(log.entries())] == list(range(self.size))
        for number, seq in list(self.seqs.items())[-3:]:
            assert decode_entry(log.entry(seq)).commit == number.to_bytes(32, "big")

    def _take(self, numbers: Sequence[int]) -> None:
        for number, entry in zip(
            numbers, self.open.log.append([probe_request(n) for n in numbers]), strict=True
        ):
            assert self.seqs.setdefault(number, entry.seq) == entry.seq

    def _dying(self, work: Callable[[], Any], death: Death) -> bool:
        taken["steps"] += 1
        try:
            with dying(death):
                work()
        except Died:
            taken["deaths"] += 1
            self._open_again()
            return False
        return True

    def _open_again(self) -> None:
        self.open.close()
        self.open = OpenLog(self.at)


MACHINES = (ECertificates, SealLives, OperationLives)
