"""Composition: the only place where adapters are chosen and the actors are joined.

`open_site` opens everything that writes and, on SQLite, takes the data folder's lock; `Site.close` releases it. Each
package opens itself (`issuer.opening`, `verifier.opening`, `ledger.opening`, `keys.opening`); nothing here decides
anything about e-certificates.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from issuer.guarding.register_check import RegisterChecking
from issuer.opening import OpenIssuer, Register, open_issuer, open_register, settle
from issuer.pki.outside_crls import MAX_CRL_BYTES
from issuer.pki.outside_tsas import pin_outside_tsa
from issuer.service import IssuerService
from keys.composite import CompositeKeyProvider
from keys.custody import KeyPurpose
from keys.opening import Token
from keys.opening import open_keys as open_custody
from keys.outside_tsa import MAX_ANSWER_BYTES, QUERY_TYPE, REPLY_TYPE, OutsideTsa
from keys.service import KeysService
from keys.service_secret import ServiceSecrets
from ledger.closing import CLOSED_FILE, read_closed_ledgers
from ledger.opening import LedgerPlace, OpenLedger, open_ledger
from ledger.service import LedgerService
from trust.admin.service import AdminService
from trust.app.forgetting import forget_erased
from trust.app.keeping import Keeper, make_keeper
from trust.app.packages import Packages
from trust.app.settings import OutsideTsaSettings, Settings
from trust.app.stores import Stores, opened_stores
from trust.audit.sealer import Sealer
from trust.encoding.well_known import BUNDLE_TYPE
from trust.fetching import fetch_named, get, post
from trust.model.clock import Clock, Entropy, SystemClock, SystemEntropy
from trust.model.errors import OperationalError
from trust.people.access import open_access
from trust.sandbox.lanes import SIZES, Lane, Sandboxes
from trust.sandbox.workers import Apart, Sandbox
from trust.storage.folder import create_durably
from trust.storage.objects import FolderObjects
from trust.storage.sql import Database
from trust.storage.tables import to_micros
from trust.web.sql import prune_answers
from verifier.checks.verifying import SANDBOX_JOBS
from verifier.evidence.bundle import MAX_BUNDLE_BYTES
from verifier.membership.keeping import MemberBundles
from verifier.opening import VerifierPorts, open_verifier
from verifier.service import VerifierService

_SIGNED_ANY_DAY = frozenset({KeyPurpose.REPORT, KeyPurpose.CHECKPOINT})
"""Purposes that sign even if the clock is in doubt. A report states its clock, so verifying goes on; a checkpoint
has no time, and the clock was checked before its entries were appended."""
_CRL_SECONDS, _BUNDLE_SECONDS = 30.0, 60.0
_ANSWERS_KEPT = timedelta(days=7)
SERVICE_READING_JOBS = {**SANDBOX_JOBS, "check-stampable": "issuer.sealing.intake:check_stampable_job"}
_DRAWING = {
    # Genuine files are not drawn by a worker that has opened an untrusted copy.
    "draw-page": Apart("trust.pdf.drawing:draw_page_job"),
    "read-copy": "verifier.checks.copies:read_copy_job",
    "compare-copy": "verifier.checks.copies:compare_job",
}
SERVICE_SANDBOX_JOBS = {**SERVICE_READING_JOBS, **_DRAWING}


@dataclass(frozen=True, slots=True)
class Site:
    """One deployment, open: the facade of each actor, and what the roof itself serves and keeps."""

    settings: Settings
    clock: Clock
    issuer: IssuerService
    verifier: VerifierService
    ledger: LedgerService
    admin: AdminService
    keys: KeysService
    packages: Packages
    register: Register
    stores: Stores
    sandboxes: Sandboxes
    keeper: Keeper
    is_copy_noticed: bool
    """True if a memory outside the data folder detects when an old copy of the folder is started."""
    _open: contextlib.ExitStack

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_site(
    settings: Settings,
    *,
    create: bool = False,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    sandbox: Sandbox | None = None,
    ask_witnesses: bool = False,
) -> Site:
    """Opens the deployment. `create` makes what is missing (`yinzheng init`); without it a missing part raises
    `OperationalError`, and a data folder that another process writes to raises `Conflict`.

    A given `sandbox` is used and must be closed by the caller; otherwise the site has its own. `ask_witnesses`: before
    anything is signed, the witnesses of the policy are asked whether they have seen a longer ledger than this folder's.
    """
    with contextlib.ExitStack() as stack:
        if create:
            _make_data_folder(settings)
            if settings.documents is not None:
                documents_of(settings).mark()
        elif not (settings.data / "host").exists():
            raise OperationalError(
                f"{settings.data} is not a data folder.",
                "Run `yinzheng init --data DIR` first.",
                code="NOT_INITIALISED",
            )
        stores = stack.enter_context(opened_stores(settings))
        is_own_clock, clock = clock is None, clock or SystemClock()
        register = open_register(
            stores.register,
            open_keys(settings),
            ServiceSecrets(settings.keys_folder),
            clock,
            entropy or SystemEntropy(),
            host=settings.host,
            base_url=settings.base_url,
            pin_time_stamps=lambda: [
                _outside_tsa(each, stores.register, clock, settings) if each is not None else None
                for each in settings.time_stamps
            ],
            create=create,
        )
        ledger = open_ledger(
            LedgerPlace(stores.ledger, stores.lock, settings.data, settings.origin),
            register.service_keys,
            register.secrets,
            clock,
            stack,
            keeping=settings.keeping,
            clock_limit=settings.clock_gap,
            time_stamps=register.pki.time_stamps,
            mark=settings.ledger_mark,
            plain_http_witnesses=settings.plain_http_witnesses,
            is_own_clock=is_own_clock,
            ask_witnesses=ask_witnesses,
        )
        # On SQLite this is the only process, so what is held was left by one that died.
        settle(register, ledger.log, is_only_process=settings.database_url is None)
        register.keys.before_signing.append(
            lambda purpose: None if purpose in _SIGNED_ANY_DAY else ledger.log.check_clock()
        )
        return _join(settings, stores, register, ledger, _sandboxes(stack, sandbox), stack)


def _join(
    settings: Settings,
    stores: Stores,
    register: Register,
    ledger: OpenLedger,
    sandboxes: Sandboxes,
    stack: contextlib.ExitStack,
) -> Site:
    clock, database, trail, log = register.clock, register.database, register.trail, ledger.log
    access = open_access(database, clock, register.entropy, trail)
    member_bundles = MemberBundles(database, register.members, clock, _fetch_bundle)
    closed = read_closed_ledgers(settings.data / CLOSED_FILE, register.secrets.derive("closed ledgers"))
    issuer = open_issuer(
        register,
        log,
        access,
        sandboxes,
        documents_of(settings),
        host=settings.host,
        base_url=settings.base_url,
        fetch_crl=lambda address: fetch_named(
            address,
            timeout_seconds=_CRL_SECONDS,
            max_bytes=MAX_CRL_BYTES,
            private_hosts=settings.private_crl_hosts,
        ),
        forget=forget_erased,
        member_files=member_bundles.files,
        witness_policy=ledger.published_policy,
        closed_ledgers=[key for each in closed.values() for key in each],
    )
    verifier = open_verifier(
        database,
        _windows(issuer, ledger),
        member_bundles,
        sandboxes,
        clock,
        register.entropy,
        trail,
        report_form_key=register.secrets.derive("page-report"),
    )
    sealer = Sealer(trail, issuer.anchors)
    keeper = make_keeper(
        ledger.witnessing,
        ledger.scrubbing(),
        settings.keeping,
        checking=RegisterChecking(database, log, register.guard, clock),
        sealer=sealer,
        resume=(*issuer.resume, *verifier.resume, lambda: _forget_answers(database, clock)),
    )
    stack.callback(_seal_at_the_end, sealer)
    stack.callback(keeper.rounds.close)
    return Site(
        settings=settings,
        clock=clock,
        issuer=issuer.service,
        verifier=verifier.service,
        ledger=ledger.service(register.authorities, trail, issuer.service.register.check),
        admin=AdminService(clock, access, sealer, register.authorities),
        keys=KeysService(clock, register.keys),
        packages=Packages(issuer.service, trail, sandboxes.of[Lane.MACHINE]),
        register=register,
        stores=stores,
        sandboxes=sandboxes,
        keeper=keeper,
        is_copy_noticed=settings.lock_url is not None or ledger.is_copy_noticed,
        _open=stack.pop_all(),
    )


def _windows(issuer: OpenIssuer, ledger: OpenLedger) -> VerifierPorts:
    """The verifier asks this deployment's own issuer and ledger."""
    windows = issuer.windows
    return VerifierPorts(
        lists=windows.lists,
        register=windows.register,
        signer=windows.signing,
        live=windows.live,
        originals=windows.originals,
        names=windows.names,
        ledger_size=ledger.log,
    )


def _fetch_bundle(address: str) -> bytes:
    return get(address, answer_type=BUNDLE_TYPE, timeout_seconds=_BUNDLE_SECONDS, max_bytes=MAX_BUNDLE_BYTES)


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


def open_keys(settings: Settings) -> CompositeKeyProvider:
    """The keys of a data folder, in files and in a token if the settings name one. Opens no key."""
    chosen = settings.token
    token = Token(chosen.module, chosen.label, chosen.read_pin, chosen.keeps) if chosen is not None else None
    return open_custody(
        settings.keys_folder, settings.read_passphrase, kdf_rounds=settings.kdf_rounds, token=token
    )


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


def documents_of(settings: Settings) -> FolderObjects:
    """Where files of e-certificates are. A folder that the settings name may be one that hosts mount."""
    return FolderObjects(settings.documents_folder, is_marked=settings.documents is not None)


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
