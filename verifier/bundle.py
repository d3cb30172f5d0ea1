"""Offline bundles: everything that is needed to verify without a network, in a folder or in one zip file.

    trust-list.jws      trust list, signed by a root
    roots.json          the roots' public keys, for comparing their fingerprints with the published ones
    status/<n>.cwt      status lists
    status/<n>.tlog-proof  for each the receipt of the ledger entry that anchors it
    crls/<sha256>.crl   revocation lists of every CA in the trust list
    checkpoint          the ledger's newest signed checkpoint
    bundle.json         when it was made and when the next of each list is due, for people
    members/<id>/…      the same of every other deployment in the trust list (its own members left out)

What is missing or out of date is recorded as a finding, not raised: the checks that need it will say INDETERMINATE.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ledger.text import decode_utf8
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import decode_zip
from trust.encoding.status_list import StatusList
from trust.encoding.trust_list import TrustedMember, TrustList
from trust.model.errors import EvidenceUnavailableError, Malformed, TrustError
from trust.model.report import Finding, Result
from verifier.evidence import (
    NO_MEMBERS,
    Evidence,
    LedgerAnchor,
    ListedStatus,
    Member,
    check_anchor,
    check_status_list,
)
from verifier.members import ListedMembers, missing, narrow
from verifier.trust_list import check_trust_list, check_trust_list_age

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MEMBERS = "members"


class SeenLists(Protocol):
    """What was seen of trust lists before, by their roots (DER): an older one is not believed again."""

    def least_seq(self, roots: Sequence[bytes]) -> int:
        """The highest number seen under these roots; 0 if none was."""

    def note(self, roots: Sequence[bytes], seq: int) -> None: ...


class NothingSeen:
    def least_seq(self, roots: Sequence[bytes]) -> int:
        return 0

    def note(self, roots: Sequence[bytes], seq: int) -> None:
        pass


NOTHING_SEEN: SeenLists = NothingSeen()


class BundleFiles(Protocol):
    """The files of a bundle by their names."""

    def read(self, name: str) -> bytes:
        """Raises OSError (FileNotFoundError) for what is not there."""

    def crls(self) -> Sequence[bytes]: ...

    def member(self, member_id: str) -> BundleFiles: ...


@dataclass(frozen=True, slots=True)
class FolderBundle:
    folder: Path

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def crls(self) -> Sequence[bytes]:
        return tuple(path.read_bytes() for path in sorted((self.folder / "crls").glob("*.crl")))

    def member(self, member_id: str) -> BundleFiles:
        return FolderBundle(self.folder / MEMBERS / member_id)


@dataclass(frozen=True, slots=True)
class PackedBundle:
    files: Mapping[str, bytes]
    prefix: str = ""

    def read(self, name: str) -> bytes:
        try:
            return self.files[self.prefix + name]
        except KeyError as exc:
            raise FileNotFoundError(name) from exc

    def crls(self) -> Sequence[bytes]:
        start = f"{self.prefix}crls/"
        return tuple(data for name, data in sorted(self.files.items()) if name.startswith(start))

    def member(self, member_id: str) -> BundleFiles:
        return replace(self, prefix=f"{self.prefix}{MEMBERS}/{member_id}/")


def find_bundle(path: Path) -> BundleFiles:
    """A bundle at a path: a folder or a zip file. Raises `EvidenceUnavailableError` (NO_BUNDLE), or `Malformed`."""
    if not path.is_file():
        return FolderBundle(path)
    try:
        return unpack_bundle(path.read_bytes())
    except OSError as exc:
        raise no_bundle(path.name) from exc


def unpack_bundle(data: bytes) -> PackedBundle:
    """The bundle in a zip file. Raises `Malformed`."""
    unzipped = decode_zip(data, max_bytes=MAX_BUNDLE_BYTES)
    if unzipped.damaged:
        raise Malformed("A file in the bundle is damaged.", "Fetch the bundle again.", code="NO_ZIP")
    return PackedBundle(unzipped.files)


def no_bundle(name: str) -> EvidenceUnavailableError:
    return EvidenceUnavailableError(
        f"{name} is not an offline bundle.", "Make one with `yinzheng bundle DIR`.", code="NO_BUNDLE"
    )


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """Lists that were signed as they have to be; whether they are still good depends on the moment (`evidence`)."""

    compact: bytes
    trust_list: TrustList
    lists: Mapping[int, tuple[StatusList, LedgerAnchor]]
    crls: Sequence[bytes]
    problems: Sequence[Finding]
    seal_certs: frozenset[str]
    """SHA-256 (hex) of the certificates of its seals."""

    def evidence(self, at: datetime) -> Evidence:
        try:
            check_trust_list_age(self.trust_list, at)
        except TrustError as exc:
            return Evidence.without_list(_problem("trust-list", exc))
        status = ListedStatus(self.lists)
        return Evidence(self.trust_list, self.crls, status, None, online=False, problems=self.problems)


def check_bundle(files: BundleFiles, roots: Sequence[bytes], least_seq: int = 0) -> CheckedBundle:
    """The signatures in a bundle, by pinned roots (DER).

    Raises OSError where there is no trust list, `VerificationError` or `Malformed` where it is not to be believed.
    """
    compact = files.read("trust-list.jws")
    trust_list = check_trust_list(compact, roots, least_seq=least_seq)
    problems: list[Finding] = []
    lists: dict[int, tuple[StatusList, LedgerAnchor]] = {}
    for number in trust_list.status_lists:
        try:
            encoded = files.read(f"status/{number}.cwt")
            proof = files.read(f"status/{number}.tlog-proof")
            listed = check_status_list(encoded, number, trust_list)
            lists[number] = (listed, check_anchor(encoded, listed, decode_utf8(proof), trust_list))
        except OSError:
            continue  # whoever needs the list will find that it is not at hand
        except Exception as exc:  # another's list may hold anything: what cannot be checked is not believed
            what = exc.what if isinstance(exc, TrustError) else f"cannot be read: {type(exc).__name__}"
            problems.append(Finding(f"status-list.{number}", Result.INDETERMINATE, "STATUS_LIST_BAD", what))
    seal_certs = frozenset(sha256(seal.certs[0]).hex() for seal in trust_list.seals)
    return CheckedBundle(compact, trust_list, lists, files.crls(), tuple(problems), seal_certs)


def evidence_from_bundle(
    bundle: Path | BundleFiles,
    at: datetime,
    *,
    roots: Sequence[bytes] = (),
    seen: SeenLists = NOTHING_SEEN,
) -> Evidence:
    """What an offline bundle proves at `at`; see `open_bundle`."""
    return open_bundle(bundle, roots=roots, seen=seen).evidence(at)


def open_bundle(
    bundle: Path | BundleFiles, *, roots: Sequence[bytes] = (), seen: SeenLists = NOTHING_SEEN
) -> OpenBundle:
    """A bundle whose signatures are checked once, for as many questions as there are.

    `roots` are the pinned public keys (DER). Without any, those in the bundle are taken, which is as good as
    the hand that gave it: the caller shows their fingerprints. A trust list that is older than one that was `seen`
    is not believed; that holds for the members too. Raises `EvidenceUnavailableError` if it is no bundle.
    """
    files = find_bundle(bundle) if isinstance(bundle, Path) else bundle
    pinned = tuple(roots) or bundled_roots(files, bundle)
    try:
        return OpenBundle(files, pinned, seen, check_bundle(files, pinned, seen.least_seq(pinned)))
    except OSError as exc:
        raise no_bundle(_name(bundle)) from exc
    except TrustError as exc:
        return OpenBundle(files, pinned, seen, _problem("trust-list", exc))


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """`checked`: the lists, or why there is no trust list to be believed. Members are opened when one is asked for."""

    files: BundleFiles
    roots: Sequence[bytes]
    seen: SeenLists
    checked: CheckedBundle | Finding
    _members: dict[str, CheckedBundle | str] = field(default_factory=dict)

    def evidence(self, at: datetime) -> Evidence:
        if isinstance(self.checked, Finding):
            return Evidence.without_list(self.checked)
        evidence = self.checked.evidence(at)
        if evidence.trust_list is None:
            return evidence
        self.seen.note(self.roots, self.checked.trust_list.seq)
        members = ListedMembers(self.checked.trust_list, _BundledMembers(self, self.checked.trust_list, at))
        return replace(evidence, members=members)

    def member(self, entry: TrustedMember) -> CheckedBundle | str:
        """A member's lists, or why they are not at hand."""
        if entry.member_id not in self._members:
            self._members[entry.member_id] = self._open(entry)
        return self._members[entry.member_id]

    def _open(self, entry: TrustedMember) -> CheckedBundle | str:
        files = self.files.member(entry.member_id)
        try:
            return check_bundle(files, entry.roots, self.seen.least_seq(entry.roots))
        except OSError:
            return f"the lists of {entry.member_id} are not at hand"
        except TrustError as exc:
            return exc.what


@dataclass(frozen=True, slots=True)
class _BundledMembers:
    opened: OpenBundle
    own: TrustList
    at: datetime

    def evidence_of(self, entry: TrustedMember) -> Member:
        checked = self.opened.member(entry)
        if isinstance(checked, str):
            return missing(entry, checked)
        member = member_at(entry, checked, self.own, self.at)
        if member.evidence.trust_list is not None:
            self.opened.seen.note(entry.roots, checked.trust_list.seq)
        return member


def member_at(entry: TrustedMember, checked: CheckedBundle, own: TrustList, at: datetime) -> Member:
    """A member's evidence at a moment, cut down to what our own list allows."""
    evidence = checked.evidence(at)
    if evidence.trust_list is None:
        return Member(entry, evidence)
    narrowed = narrow(evidence.trust_list, entry, own)
    evidence = replace(evidence, trust_list=narrowed, members=NO_MEMBERS)
    return Member(entry, evidence, checked.compact, checked.seal_certs)


def bundled_roots(files: BundleFiles, bundle: Path | BundleFiles) -> tuple[bytes, ...]:
    """The root keys that lie in a bundle. Raises `EvidenceUnavailableError` (NO_BUNDLE), or `Malformed`."""
    try:
        return decode_roots(files.read("roots.json"))
    except OSError as exc:
        raise no_bundle(_name(bundle)) from exc


def read_roots(bundle: Path) -> tuple[bytes, ...]:
    """As `bundled_roots`, of the bundle at a path."""
    return bundled_roots(find_bundle(bundle), bundle)


def decode_roots(encoded: bytes) -> tuple[bytes, ...]:
    """The root keys (DER) in the bytes of roots.json. Raises `Malformed`."""
    try:
        listed = json.loads(encoded)
        return tuple(base64.b64decode(root["spki"], validate=True) for root in listed["roots"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise Malformed("roots.json of the bundle cannot be read.", "Fetch the bundle again.") from exc


def _name(bundle: Path | BundleFiles) -> str:
    return str(bundle) if isinstance(bundle, Path) else "This"


def _problem(check: str, exc: TrustError) -> Finding:
    return Finding(check, Result.INDETERMINATE, exc.code, exc.what)
