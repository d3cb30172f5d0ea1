"""Opens the verifier: its use cases on the windows of a register (`verifier.ports`).

The roof chooses the windows: those of the issuer of this deployment, or of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trust.audit.trail import Trail
from trust.model.clock import Clock, Entropy
from trust.sandbox.lanes import Sandboxes
from trust.storage.sql import Database
from verifier.checking import Checking
from verifier.checks.verifying import Verifier
from verifier.gathering import OnlineEvidence
from verifier.membership.keeping import MemberBundles
from verifier.ports import Lists, LiveCodes, Names, Originals, Register, ReportSigner, Size
from verifier.reports.filing import Reporting
from verifier.service import VerifierService
from verifier.sight import Sights


@dataclass(frozen=True, slots=True)
class VerifierPorts:
    """The windows through which the verifier asks."""

    lists: Lists
    register: Register
    signer: ReportSigner
    live: LiveCodes
    originals: Originals
    names: Names
    ledger_size: Size


@dataclass(frozen=True, slots=True)
class OpenVerifier:
    """The verifier: its facade, and `resume`, the functions that do its pending work."""

    service: VerifierService
    resume: Sequence[Callable[[], object]]


def open_verifier(
    database: Database,
    ports: VerifierPorts,
    member_bundles: MemberBundles,
    sandboxes: Sandboxes,
    clock: Clock,
    entropy: Entropy,
    trail: Trail,
    *,
    report_form_key: bytes,
) -> OpenVerifier:
    """`report_form_key`: `VerifierService.report_form_key`."""
    reporting = Reporting(database, ports.signer, ports.lists, clock, entropy)
    checking = Checking(
        {lane: Verifier(each, live=ports.live) for lane, each in sandboxes.of.items()},
        OnlineEvidence(ports.lists, ports.register, member_bundles),
        reporting,
        ports.register,
        trail,
    )
    service = VerifierService(
        clock=clock,
        checking=checking,
        reporting=reporting,
        sights=Sights(checking, ports.originals, sandboxes.drawing, clock, trail),
        member_bundles=member_bundles,
        members=member_bundles.entries,
        lists=ports.lists,
        names=ports.names,
        ledger_size=ports.ledger_size,
        report_form_key=report_form_key,
    )
    return OpenVerifier(service, (member_bundles.run, reporting.prune))
