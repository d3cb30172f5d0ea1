"""Opens the issuer: its parts are made and connected here, in two steps, since the ledger stands between them.

    open_register   the guard of the register's rows, the trail, CAs and service keys: what the ledger needs
    open_issuer     the use cases, on the open ledger

The roof chooses the adapters: databases, clocks, keys, sandboxes, and what fetches from outside.
"""

from __future__ import annotations

import hmac
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.issuing import Issuing, make_issuing
from issuer.ecertificates.reading import Reading
from issuer.ecertificates.sql import highest_ecertificate_id, pids_of
from issuer.ecertificates.statuses import Statuses
from issuer.ecertificates.tidying import Tidying
from issuer.erasing.erasing import Erasing, Forget
from issuer.guarding.anchoring import TrailAnchors
from issuer.guarding.gaps import leave_gaps
from issuer.guarding.guarding import RegisterGuard
from issuer.guarding.keeping import RegisterKeeping
from issuer.guarding.sql import register_version
from issuer.operations.operations import Operations
from issuer.operations.sql import is_anything_held, release
from issuer.pki.identities import SealIdentities
from issuer.pki.ocsp import Ocsp
from issuer.pki.outside_crls import Fetch, OutsideCrls
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
from issuer.service import IssuerService
from keys.composite import CompositeKeyProvider
from keys.outside_tsa import OutsideTsa
from keys.service_keys import ServiceKeys
from keys.service_secret import ServiceSecrets
from ledger.log import Log
from trust.audit.trail import Trail
from trust.encoding.trust_list import TrustedLedgerKey
from trust.jobs.queue import TableQueue
from trust.jobs.sql import is_any_job_held, release_jobs
from trust.model.clock import Clock, Entropy
from trust.people.access import Access
from trust.people.sql import end_everything_open
from trust.sandbox.lanes import Lane, Sandboxes
from trust.storage.objects import Objects
from trust.storage.sql import Database

_log = logging.getLogger("yinzheng.keeping")


@dataclass(frozen=True, slots=True)
class Register:
    """The open register: what ledger and use cases stand on."""

    database: Database
    clock: Clock
    entropy: Entropy
    keys: CompositeKeyProvider
    service_keys: ServiceKeys
    secrets: ServiceSecrets
    guard: RegisterGuard
    trail: Trail
    authorities: Authorities
    pki: Pki
    members: Members


def open_register(
    database: Database,
    keys: CompositeKeyProvider,
    secrets: ServiceSecrets,
    clock: Clock,
    entropy: Entropy,
    *,
    host: str,
    base_url: str,
    pin_time_stamps: Callable[[], Sequence[OutsideTsa | None]],
    create: bool,
) -> Register:
    """`create` makes what is missing: CAs, time-stamp authorities, service keys.

    `pin_time_stamps` gives the configured time-stamp authorities, whose certificates it keeps in the register: it is
    called when the guard of the rows is in place.
    """
    guard = database.guard = RegisterGuard(database, secrets.derive("register rows"), clock)
    audit_key = secrets.derive("audit trail")
    trail = Trail(database, clock, entropy, lambda row: hmac.digest(audit_key, row, "sha256"))
    authorities = Authorities(database, clock, trail)
    service_keys = ServiceKeys(database, keys, clock)
    time_stamps = pin_time_stamps()
    pki = Pki(database, keys, clock, base_url, service_keys, authorities, time_stamps)
    if create:
        pki.set_up()
    else:
        pki.set_up_later_keys()
    members = Members(database, clock, host, trail)
    return Register(
        database, clock, entropy, keys, service_keys, secrets, guard, trail, authorities, pki, members
    )


def settle(register: Register, log: Log, *, is_only_process: bool) -> None:
    """Puts right what a process that died or a restored copy left, before anything is written."""
    database = register.database
    if leave_gaps(database, log, register.clock, register.entropy) is not None:
        with database.write() as connection:
            end_everything_open(connection)
    register.guard.attach(log)
    if is_only_process:
        with database.read() as connection:
            is_held = is_anything_held(connection) or is_any_job_held(connection)
        if is_held:
            with database.write() as connection:
                release(connection)
                release_jobs(connection)


@dataclass(frozen=True, slots=True)
class IssuerWindows:
    """What the verifier asks a register (`verifier.ports`)."""

    lists: PublishedLists
    register: RegisterAnswers
    signing: ReportSigning
    live: LiveCodeAnswers
    originals: OriginalAnswers
    names: RegisterNames


@dataclass(frozen=True, slots=True)
class OpenIssuer:
    """The issuer: its facade, its windows for the verifier, and its pending work.

    `resume`: functions that complete pending work, in the order of their first call.
    """

    service: IssuerService
    windows: IssuerWindows
    anchors: TrailAnchors
    resume: Sequence[Callable[[], object]]


def open_issuer(
    register: Register,
    log: Log,
    access: Access,
    sandboxes: Sandboxes,
    objects: Objects,
    *,
    host: str,
    base_url: str,
    fetch_crl: Fetch,
    forget: Forget,
    member_files: Callable[[], Mapping[str, bytes]],
    witness_policy: str = "",
    closed_ledgers: Sequence[TrustedLedgerKey] = (),
) -> OpenIssuer:
    """The use cases on an open register and its ledger. `member_files` gives the lists of `register.members`, which the
    verifier keeps."""
    database, clock, entropy, trail = register.database, register.clock, register.entropy, register.trail
    keys, service_keys, pki, guard = register.keys, register.service_keys, register.pki, register.guard
    authorities = register.authorities
    queue = TableQueue(database, clock)
    documents = Documents(objects, queue)
    reading = Reading(database, documents)
    operations = Operations(database, log, clock, trail)
    registry = SealRegistry(database, pids_of)
    uses = SealUses(database, clock, keys, registry, trail)
    seals = Seals(
        database,
        log,
        clock,
        entropy,
        trail,
        authorities,
        registry,
        uses,
        SealMaking(database, clock, keys, authorities, pki),
        operations,
    )
    issuing = make_issuing(
        database,
        documents,
        log,
        operations,
        pki,
        registry,
        uses,
        clock,
        entropy,
        trail,
        host=host,
        holder_key=register.secrets.derive("holder"),
        ids_given_out=_ids_given_out(database, log),
    )
    publishing = Publishing(
        database,
        keys,
        service_keys,
        authorities,
        pki,
        registry,
        load_catalogue(),
        host,
        log,
        register_version,
        ListedStatuses(database, log),
        witness_policy,
        closed_ledgers,
    )
    statuses = Statuses(database, log, entropy, trail, operations, reading, issuing)
    erasing = Erasing(database, documents, log, entropy, trail, operations, forget)
    ocsp = Ocsp(database, clock, keys, x509_certs_under)
    archiving = Archiving(database, documents, log, clock, entropy, pki, ocsp, registry, operations)
    exporting = Exporting(log, clock, registry, reading, archiving, publishing)
    presenting = Presenting(database, clock, entropy, trail, host, register.secrets.derive("live-code"))
    outside_crls = OutsideCrls(database, clock, fetch_crl, trail)
    tidying = Tidying(database, documents)
    anchors = TrailAnchors(database, log, operations)
    service = IssuerService(
        clock=clock,
        base_url=base_url,
        authorities=authorities,
        pki=pki,
        identities=SealIdentities(database, keys, clock, trail),
        outside_crls=outside_crls,
        ocsp=ocsp,
        seals=seals,
        applying=Applying(authorities, sandboxes.of[Lane.MACHINE]),
        issuing=issuing,
        statuses=statuses,
        erasing=erasing,
        compromises=Compromises(database, clock, trail, pki, registry, seals),
        resealing=Resealing(database, documents, clock, registry, uses, reading, statuses),
        archiving=archiving,
        exporting=exporting,
        looking_up=LookingUp(reading, archiving, exporting, trail),
        presenting=presenting,
        publishing=publishing,
        invitations=access.invitations,
        register=RegisterKeeping(database, documents, log, clock, trail, guard),
        drawing=sandboxes.drawing,
        member_files=member_files,
    )
    windows = IssuerWindows(
        PublishedLists(publishing, pki, database),
        RegisterAnswers(database),
        ReportSigning(keys, service_keys),
        LiveCodeAnswers(presenting),
        OriginalAnswers(database, reading),
        RegisterNames(authorities, database),
    )
    resume = (
        guard.resume,
        anchors.resume_pending,
        seals.resume_pending,
        lambda: _carry_on(issuing),
        statuses.resume_pending,
        erasing.resume_pending,
        archiving.run,
        outside_crls.run,
        tidying.run,
    )
    return OpenIssuer(service, windows, anchors, resume)


def _ids_given_out(database: Database, log: Log) -> int:
    """The highest row id that was given out, if a restored register lacks some of them; otherwise 0."""
    given_out = log.last_subject_id
    with database.read() as connection:
        return given_out if highest_ecertificate_id(connection) < given_out else 0


def _carry_on(issuing: Issuing) -> None:
    """Finishes interrupted issues, and logs the number that have to wait, by reason."""
    waiting = Counter(each.error.code for each in issuing.resume_unfinished() if each.error is not None)
    for code, count in waiting.items():
        _log.error("licences wait to be sealed", extra={"code": code, "count": count})
