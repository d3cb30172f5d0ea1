"""Composition: the only place where adapters are chosen and parts are connected.

`open_service` opens everything that writes and, on SQLite, takes the data folder's lock; `Service.close` releases it.
Nothing here decides anything about e-certificates.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from issuer.answers.lists import PublishedLists, ReportSigning
from issuer.answers.live_codes import LiveCodeAnswers
from issuer.answers.originals import OriginalAnswers, RegisterNames
from issuer.answers.register import RegisterAnswers
from issuer.archive.archiving import Archiving
from issuer.archive.exporting import Exporting
from issuer.archive.looking_up import LookingUp
from issuer.authorities.register import Authorities
from issuer.catalogue import load_catalogue
from issuer.compromises.compromises import Compromises
from issuer.compromises.resealing import Resealing
from issuer.ecertificates.applying import Applying
from issuer.ecertificates.issuing import Issuing, make_issuing
from issuer.ecertificates.sql import highest_ecertificate_id, pids_of
from issuer.ecertificates.statuses import Statuses
from issuer.erasing.erasing import Erasing
from issuer.guarding.anchoring import TrailAnchors
from issuer.guarding.gaps import leave_gaps
from issuer.guarding.guarding import RegisterGuard
from issuer.guarding.register_check import RegisterChecking, RegisterFinding, check_register
from issuer.guarding.sql import register_version
from issuer.operations.operations import Operations
from issuer.operations.sql import is_anything_held, release
from issuer.pki.identities import SealIdentities
from issuer.pki.ocsp import Ocsp
from issuer.pki.outside_crls import MAX_CRL_BYTES, OutsideCrls
from issuer.pki.outside_tsas import pin_outside_tsa
from issuer.pki.pki import Pki
from issuer.presenting.presenting import Presenting
from issuer.publishing.entries import Members
from issuer.publishing.listed_statuses import ListedStatuses
from issuer.publishing.publishing import Publishing
from issuer.seals.lifecycle import Seals
from issuer.seals.making import SealMaking
from issuer.seals.registry import SealRegistry
from issuer.seals.sql import x509_certs_under
from issuer.seals.using import SealUses
from keys.composite import CompositeKeyProvider
from keys.custody import FileKeyProvider, KeyPurpose
from keys.outside_tsa import MAX_ANSWER_BYTES, QUERY_TYPE, REPLY_TYPE, OutsideTsa
from keys.service_keys import LEDGER_KEYS, ServiceKeys
from keys.service_secret import ServiceSecrets
from ledger.clocks import Asked, accepted_at, second_clocks
from ledger.closing import CLOSED_FILE, read_closed_ledgers
from ledger.keeping import POLICY_FILE, Scrubbing, Witnessing, published_policy, read_policy
from ledger.keychange import KeyChange
from ledger.lockstore import LockStore
from ledger.log import Log, stored_keys
from ledger.outside import MARKED_FILE, LedgerMark, Outside, WitnessMemory
from ledger.publisher import vkey_of
from ledger.signers import CheckpointKey
from ledger.standing import STANDING_FILE, StandingFile
from ledger.statekey import StateKey
from ledger.witness.client import Witnesses
from ledger.witness.policy import Policy
from trust.app.forgetting import forget_erased
from trust.app.keeping import Keeper, make_keeper
from trust.app.settings import OutsideTsaSettings, Settings
from trust.app.stores import Stores, opened_stores
from trust.audit.sealer import Sealer
from trust.audit.trail import Act, Trail
from trust.encoding.well_known import BUNDLE_TYPE
from trust.fetching import fetch_named, get, post
from trust.model.actor import Actor
from trust.model.clock import Clock, Entropy, SystemClock, SystemEntropy
from trust.model.errors import OperationalError
from trust.people.access import Access, open_access
from trust.people.sql import end_everything_open
from trust.sandbox.lanes import SIZES, Lane, Sandboxes
from trust.sandbox.workers import Apart, Sandbox
from trust.storage.folder import create_durably
from trust.storage.sql import Database
from trust.storage.tables import to_micros
from trust.web.sql import prune_answers
from verifier.checking import Checking
from verifier.checks.verifying import SANDBOX_JOBS, Verifier
from verifier.evidence.bundle import MAX_BUNDLE_BYTES
from verifier.evidence.evidence import Evidence
from verifier.gathering import OnlineEvidence
from verifier.membership.keeping import MemberBundles
from verifier.pages.four_properties import four_properties_page
from verifier.reports.filing import Reporting
from verifier.reports.packages import Exported, add_report
from verifier.sight import Sights

_SIGNED_ANY_DAY = frozenset({KeyPurpose.REPORT, KeyPurpose.CHECKPOINT})
"""Purposes that sign even if the clock is in doubt. A report states its clock, so verifying goes on; a checkpoint
has no time, and the clock was checked before its entries were appended."""
_CRL_SECONDS, _BUNDLE_SECONDS = 30.0, 60.0
_ANSWERS_KEPT = timedelta(days=7)
_log = logging.getLogger("yinzheng.keeping")
SERVICE_READING_JOBS = {**SANDBOX_JOBS, "check-stampable": "issuer.sealing.intake:check_stampable_job"}
_DRAWING = {
    # Genuine files are not drawn by a worker that has opened an untrusted copy.
    "draw-page": Apart("trust.pdf.drawing:draw_page_job"),
    "read-copy": "verifier.checks.copies:read_copy_job",
    "compare-copy": "verifier.checks.copies:compare_job",
}
SERVICE_SANDBOX_JOBS = {**SERVICE_READING_JOBS, **_DRAWING}


@dataclass(frozen=True, slots=True)
class Service:
    """All parts of a running service. It implements the facades of all actors."""

    settings: Settings
    clock: Clock
    database: Database
    ledger_database: Database
    log: Log
    lock_store: LockStore
    keys: CompositeKeyProvider
    authorities: Authorities
    pki: Pki
    seals: Seals
    identities: SealIdentities
    outside_crls: OutsideCrls
    ocsp: Ocsp
    applying: Applying
    issuing: Issuing
    statuses: Statuses
    erasing: Erasing
    archiving: Archiving
    compromises: Compromises
    resealing: Resealing
    presenting: Presenting
    publishing: Publishing
    sandboxes: Sandboxes
    checking: Checking
    sights: Sights
    names: RegisterNames
    exporting: Exporting
    looking_up: LookingUp
    sealer: Sealer
    members: Members
    member_bundles: MemberBundles
    reporting: Reporting
    lists: PublishedLists
    access: Access
    key_change: KeyChange
    guard: RegisterGuard
    secrets: ServiceSecrets
    policy: Policy | None
    keeper: Keeper
    is_copy_noticed: bool
    """True if a memory outside the data folder detects when an old copy of the folder is started."""
    _open: contextlib.ExitStack

    @property
    def ledger_folder(self) -> Path:
        return self.settings.data / "ledger"

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox for jobs of the service itself."""
        return self.sandboxes.of[Lane.MACHINE]

    @property
    def verifier(self) -> Verifier:
        return self.checking.verifiers[Lane.MACHINE]

    @property
    def base_url(self) -> str:
        return self.settings.base_url

    @property
    def ledger_size(self) -> Log:
        return self.log

    @property
    def witnessing(self) -> Witnessing | None:
        return self.keeper.witnessing

    def member_files(self) -> Mapping[str, bytes]:
        return self.member_bundles.files()

    def check_register(self) -> Sequence[RegisterFinding]:
        return check_register(self.database, self.log, self.guard, documents=True)[1]

    def export_package(self, actor: Actor, identifier: str) -> Exported:
        issued = self.looking_up.get(actor, self.issuing.named(identifier).pid)
        self.access.trail.note(actor.ref, Act("export-package", "given", issued.pid))
        files = self.exporting.files(issued)
        return add_report(files, issued.identifier, self.clock.now(), self.sandbox, four_properties_page)

    @property
    def report_form_key(self) -> bytes:
        """The key under which pages pass a report from one form to the next."""
        return self.secrets.derive("page-report")

    def evidence(self, at: datetime) -> Evidence:
        return self.checking.online.gather(at)

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_service(
    settings: Settings,
    *,
    create: bool = False,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    sandbox: Sandbox | None = None,
    ask_witnesses: bool = False,
) -> Service:
    """Opens the service. `create` makes what is missing (`yinzheng init`); without it a missing part raises
    `OperationalError`, and a data folder that another process writes to raises `Conflict`.

    A given `sandbox` is used and must be closed by the caller; otherwise the service has its own. `ask_witnesses`:
    before anything is signed, the witnesses of the policy are asked whether they have seen a longer ledger than this
    folder's.
    """
    with contextlib.ExitStack() as stack:
        ground = _open_ground(settings, stack, create, clock or SystemClock(), entropy or SystemEntropy())
        ledger = _open_ledger(ground, stack, is_own_clock=clock is None, ask_witnesses=ask_witnesses)
        _settle(ground, ledger.log)
        return _put_together(ground, ledger, stack, _sandboxes(stack, sandbox))


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the ledger and all use cases stand on."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    stores: Stores
    secrets: ServiceSecrets
    guard: RegisterGuard
    keys: CompositeKeyProvider
    service_keys: ServiceKeys
    authorities: Authorities
    pki: Pki
    trail: Trail
    time_stamps: Sequence[OutsideTsa | None]


def _open_ground(
    settings: Settings, stack: contextlib.ExitStack, create: bool, clock: Clock, entropy: Entropy
) -> _Ground:
    if create:
        _make_data_folder(settings)
    elif not (settings.data / "host").exists():
        raise OperationalError(
            f"{settings.data} is not a data folder.",
            "Run `yinzheng init --data DIR` first.",
            code="NOT_INITIALISED",
        )
    stores = stack.enter_context(opened_stores(settings))
    database = stores.register
    service_secrets = ServiceSecrets(settings.keys_folder)
    guard = database.guard = RegisterGuard(database, service_secrets.derive("register rows"), clock)
    keys = open_keys(settings)
    time_stamps = [
        _outside_tsa(each, database, clock, settings) if each is not None else None
        for each in settings.time_stamps
    ]
    audit_key = service_secrets.derive("audit trail")
    trail = Trail(database, clock, entropy, lambda row: hmac.digest(audit_key, row, "sha256"))
    authorities = Authorities(database, clock, trail)
    service_keys = ServiceKeys(database, keys, clock)
    pki = Pki(database, keys, clock, settings.base_url, service_keys, authorities, time_stamps)
    if create:
        pki.set_up()
    else:
        pki.set_up_later_keys()
    return _Ground(
        settings,
        clock,
        entropy,
        stores,
        service_secrets,
        guard,
        keys,
        service_keys,
        authorities,
        pki,
        trail,
        time_stamps,
    )


@dataclass(frozen=True, slots=True)
class _OpenLedger:
    log: Log
    policy: Policy | None
    witnessing: Witnessing | None
    is_copy_noticed: bool


def _open_ledger(
    ground: _Ground, stack: contextlib.ExitStack, *, is_own_clock: bool, ask_witnesses: bool
) -> _OpenLedger:
    settings, clock, stores = ground.settings, ground.clock, ground.stores
    data, origin = settings.data, settings.origin
    policy = read_policy(data / POLICY_FILE)
    # Only this machine's clock is compared with others; a clock that was passed in is not.
    asked_for_time: Asked | None = None
    others = (
        second_clocks(
            stores.ledger, ground.time_stamps, (lambda: asked_for_time) if policy is not None else None
        )
        if is_own_clock
        else []
    )
    outside: list[Outside] = []
    if settings.ledger_mark is not None:
        outside.append(LedgerMark(settings.ledger_mark, data / MARKED_FILE))
    witnesses = memory = None
    if policy is not None:
        witnesses = stack.enter_context(
            Witnesses(
                policy,
                log_vkeys=lambda: [key.vkey for key in stored_keys(stores.ledger, origin).keys],
                clock=clock,
                plain_http_hosts=settings.plain_http_witnesses,
            )
        )
        if ask_witnesses:
            memory = WitnessMemory(witnesses)
            outside.append(memory)
    log = stack.enter_context(
        Log(
            database=stores.ledger,
            lock_store=stores.lock,
            folder=data / "ledger",
            origin=origin,
            signers=checkpoint_keys(ground.service_keys),
            clock=clock,
            is_cosigned=policy is not None,
            find_signer=lambda vkey: next(
                (key for key in checkpoint_keys(ground.service_keys) if vkey_of(origin, key) == vkey), None
            ),
            second_clocks=others,
            accepted_at=lambda: accepted_at(data),
            clock_limit=settings.clock_gap,
            state_key=StateKey(ground.secrets.derive("ledger state")),
            standing_file=StandingFile(data / STANDING_FILE, ground.secrets.derive("ledger standing")),
            outside=outside,
        )
    )
    witnessing = Witnessing(log, witnesses, clock, settings.keeping) if witnesses is not None else None
    if witnessing is not None:
        asked_for_time = Asked(witnessing.witnesses, log.checkpoint_note, log.consistency)
    is_remembered = settings.lock_url is not None or settings.ledger_mark is not None
    return _OpenLedger(log, policy, witnessing, is_remembered or (memory is not None and memory.answered))


def _settle(ground: _Ground, log: Log) -> None:
    """What a process that died or a restored copy left is put right, before anything is written."""
    database = ground.stores.register
    if leave_gaps(database, log, ground.clock, ground.entropy) is not None:
        with database.write() as connection:
            end_everything_open(connection)
    ground.guard.attach(log)
    if ground.settings.database_url is None:
        with database.read() as connection:
            is_held = is_anything_held(connection)
        if is_held:
            with database.write() as connection:
                release(connection)  # left by a process that died, because this one is the only one
    ground.keys.before_signing.append(
        lambda purpose: None if purpose in _SIGNED_ANY_DAY else log.check_clock()
    )


def _put_together(
    ground: _Ground, ledger: _OpenLedger, stack: contextlib.ExitStack, sandboxes: Sandboxes
) -> Service:
    settings, clock, entropy, stores = ground.settings, ground.clock, ground.entropy, ground.stores
    keys, service_keys, pki, guard = ground.keys, ground.service_keys, ground.pki, ground.guard
    data, database, service_secrets, log = settings.data, stores.register, ground.secrets, ledger.log
    registry = SealRegistry(pki, pids_of)
    trail = ground.trail
    operations = Operations(database, log, clock, trail)
    seals = Seals(pki, log, entropy, registry, SealUses(pki, registry, trail), SealMaking(pki), operations)
    anchors = TrailAnchors(operations)
    sealer = Sealer(trail, anchors)
    issuing = make_issuing(
        database,
        log,
        operations,
        pki,
        seals,
        clock,
        entropy,
        host=settings.host,
        holder_key=service_secrets.derive("holder"),
        ids_given_out=_ids_given_out(database, log),
    )
    closed = read_closed_ledgers(data / CLOSED_FILE, service_secrets.derive("closed ledgers"))
    presenting = Presenting(issuing, service_secrets.derive("live-code"))
    publishing = Publishing(
        pki,
        seals,
        load_catalogue(),
        settings.host,
        log,
        register_version,
        ListedStatuses(database, log),
        published_policy(ledger.policy) if ledger.policy else "",
        [key for each in closed.values() for key in each],
    )
    statuses = Statuses(issuing, operations)
    erasing = Erasing(issuing, operations, forget_erased)
    ocsp = Ocsp(pki, x509_certs_under)
    lists, register = PublishedLists(publishing, pki, database), RegisterAnswers(database)
    reporting = Reporting(database, ReportSigning(pki), lists, clock, entropy)
    members = Members(database, clock, settings.host, trail)
    member_bundles = MemberBundles(
        database,
        members,
        clock,
        lambda address: get(
            address,
            answer_type=BUNDLE_TYPE,
            timeout_seconds=_BUNDLE_SECONDS,
            max_bytes=MAX_BUNDLE_BYTES,
        ),
    )
    archiving = Archiving(issuing, ocsp, operations)
    outside_crls = OutsideCrls(
        database,
        clock,
        lambda address: fetch_named(
            address,
            timeout_seconds=_CRL_SECONDS,
            max_bytes=MAX_CRL_BYTES,
            private_hosts=settings.private_crl_hosts,
        ),
        trail,
    )
    keeper = make_keeper(
        ledger.witnessing,
        Scrubbing(log, stores.ledger, stores.lock, data / "ledger", clock),
        settings.keeping,
        checking=RegisterChecking(database, log, guard, clock),
        sealer=sealer,
        resume=(
            guard.resume,
            anchors.resume_pending,
            seals.resume_pending,
            lambda: _carry_on(issuing),
            statuses.resume_pending,
            erasing.resume_pending,
            archiving.run,
            outside_crls.run,
            member_bundles.run,
            reporting.prune,
            lambda: _forget_answers(database, clock),
        ),
    )
    stack.callback(_seal_at_the_end, sealer)
    stack.callback(keeper.rounds.close)
    live = LiveCodeAnswers(presenting)
    verifiers = {lane: Verifier(each, live=live) for lane, each in sandboxes.of.items()}
    exporting = Exporting(issuing, archiving, publishing)
    checking = Checking(
        verifiers, OnlineEvidence(lists, register, member_bundles), reporting, register, trail
    )
    return Service(
        settings=settings,
        clock=clock,
        database=database,
        ledger_database=stores.ledger,
        log=log,
        lock_store=stores.lock,
        keys=keys,
        authorities=ground.authorities,
        pki=pki,
        seals=seals,
        identities=SealIdentities(database, keys, clock, trail),
        outside_crls=outside_crls,
        ocsp=ocsp,
        applying=Applying(ground.authorities, sandboxes.of[Lane.MACHINE]),
        issuing=issuing,
        statuses=statuses,
        erasing=erasing,
        archiving=archiving,
        compromises=Compromises(pki, seals),
        resealing=Resealing(issuing, statuses),
        presenting=presenting,
        publishing=publishing,
        sandboxes=sandboxes,
        checking=checking,
        sights=Sights(checking, OriginalAnswers(issuing), sandboxes.drawing, clock, trail),
        names=RegisterNames(ground.authorities, database),
        exporting=exporting,
        looking_up=LookingUp(issuing, archiving, exporting, trail),
        sealer=sealer,
        members=members,
        member_bundles=member_bundles,
        reporting=reporting,
        lists=lists,
        access=open_access(database, clock, entropy, trail),
        key_change=KeyChange(
            log,
            tuple(LEDGER_KEYS),
            lambda: checkpoint_keys(service_keys),
            lambda use: CheckpointKey(
                keys.open(
                    service_keys.add(use, KeyPurpose.CHECKPOINT, LEDGER_KEYS[use]).key_id,
                    KeyPurpose.CHECKPOINT,
                )
            ),
            trail,
        ),
        guard=guard,
        secrets=service_secrets,
        policy=ledger.policy,
        keeper=keeper,
        is_copy_noticed=ledger.is_copy_noticed,
        _open=stack.pop_all(),
    )


def _ids_given_out(database: Database, log: Log) -> int:
    """The highest row id that was given out, if a restored register lacks some of them; otherwise 0."""
    given_out = log.last_subject_id
    with database.read() as connection:
        return given_out if highest_ecertificate_id(connection) < given_out else 0


def _sandboxes(stack: contextlib.ExitStack, given: Sandbox | None) -> Sandboxes:
    """The sandboxes of all lanes. Workers start with their first job, so an unused lane costs nothing."""
    if given is not None:
        return Sandboxes(dict.fromkeys(Lane, given), given)
    return Sandboxes(
        {
            lane: stack.enter_context(
                Sandbox(
                    SERVICE_READING_JOBS, workers=size.readers, limits=size.limits, niceness=size.niceness
                )
            )
            for lane, size in SIZES.items()
        },
        stack.enter_context(Sandbox(_DRAWING, niceness=5)),
    )


def _forget_answers(database: Database, clock: Clock) -> None:
    """Deletes stored answers to requests with an Idempotency-Key after a week, when no client repeats them any more."""
    with database.write() as connection:
        prune_answers(connection, to_micros(clock.now() - _ANSWERS_KEPT))


def _seal_at_the_end(sealer: Sealer) -> None:
    """Chains what was written down since the last round, as after a command."""
    with contextlib.suppress(OperationalError):  # the next one does
        sealer.trail.flush()
        sealer.seal()


def _carry_on(issuing: Issuing) -> None:
    """Finishes interrupted issues, and logs the number that have to wait, by reason."""
    waiting = Counter(each.error.code for each in issuing.resume_unfinished() if each.error is not None)
    for code, count in waiting.items():
        _log.error("licences wait to be sealed", extra={"code": code, "count": count})


def open_keys(settings: Settings) -> CompositeKeyProvider:
    """The keys of a data folder, in files and in a token if the settings name one. Opens no key."""
    folder = settings.keys_folder
    files = FileKeyProvider(folder, settings.read_passphrase, kdf_rounds=settings.kdf_rounds)
    if (token := settings.token) is None:
        return CompositeKeyProvider(files)
    from keys.pkcs11 import Pkcs11KeyProvider  # the library is loaded only if there is a token

    provider = Pkcs11KeyProvider(
        folder / "token", module=token.module, token_label=token.label, pin=token.read_pin
    )
    return CompositeKeyProvider(files, provider, token.keeps)


def _outside_tsa(
    chosen: OutsideTsaSettings, database: Database, clock: Clock, settings: Settings
) -> OutsideTsa:
    pinned = pin_outside_tsa(database, clock, chosen.read_certs())
    return OutsideTsa(
        chosen.url,
        pinned.certs,
        pinned.root,
        clock,
        lambda url, query: post(
            url,
            query,
            content_type=QUERY_TYPE,
            answer_type=REPLY_TYPE,
            timeout_seconds=settings.time_stamp_wait.total_seconds(),
            max_bytes=MAX_ANSWER_BYTES,
        ),
    )


def checkpoint_keys(service_keys: ServiceKeys) -> list[CheckpointKey]:
    """Every key that the ledger has or had. The ledger itself knows which of them sign."""
    return [
        CheckpointKey(service_keys.keys.open(row.key_id, KeyPurpose.CHECKPOINT))
        for row in service_keys.checkpoint_keys()
    ]


def _make_data_folder(settings: Settings) -> None:
    is_new = not (settings.data / "host").exists()
    for folder in (settings.data, settings.data / "lock", *([settings.keys_folder] if is_new else [])):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.passphrase and not settings.passphrase_file.exists():
        create_durably(settings.passphrase_file, secrets.token_urlsafe(32).encode() + b"\n")
        os.chmod(settings.passphrase_file, 0o600)
    if is_new:
        ServiceSecrets(settings.keys_folder, create=True)
        create_durably(settings.data / "host", settings.host.encode() + b"\n")
