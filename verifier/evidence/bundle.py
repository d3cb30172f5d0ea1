"""Offline bundles: everything that is needed to verify without a network, in a folder or in one zip file.

    trust-list.jws      trust list, signed by a root
    roots.json          the roots' public keys, for comparing their fingerprints with the published ones
    status/<n>.cwt      status lists
    status/<n>.tlog-proof  for each the receipt of the ledger entry that anchors it
    crls/<sha256>.crl   revocation lists of every CA in the trust list
    checkpoint          the ledger's newest signed checkpoint, made after the lists
    bundle.json         when it was made, when the next of each list is due, and SHA-256 of each file; not signed
    members/<id>/…      the same of every other deployment in the trust list (its own members left out)

What is missing or out of date is recorded as a finding, not raised: the checks that need it will say INDETERMINATE.
So are parts that do not belong together: a status list that was due to be replaced before another list of the bundle
was made (an old list put beside new ones), and files that differ from `bundle.json` (an incomplete copy). So are
lists older than those seen before (`verifier.evidence.seen`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from ledger.checkpoint import Checkpoint
from ledger.logkeys import check_log_checkpoint
from ledger.text import decode_utf8
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import decode_zip
from trust.encoding.status_list import StatusList
from trust.encoding.trust_list import TrustedMember, TrustList
from trust.model.answers import LedgerAnchor
from trust.model.errors import EvidenceUnavailableError, Malformed, TrustError, VerificationError
from trust.model.report import Finding, Result
from verifier.evidence.evidence import (
    NO_MEMBERS,
    Evidence,
    ListedStatus,
    Member,
    check_anchor,
    check_status_list,
)
from verifier.evidence.members import ListedMembers, missing, narrow
from verifier.evidence.revocation import signed_lists
from verifier.evidence.seen import NOTHING_SEEN, Mark, Marks, SeenLists, worth_keeping
from verifier.evidence.trust_list import check_trust_list, check_trust_list_age, ledger_keys, signing_root

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MEMBERS = "members"
TRUST_LIST = "trust-list.jws"
_SKEW = timedelta(minutes=1)


class BundleFiles(Protocol):
    """Reads the files of a bundle by their names."""

    def read(self, name: str) -> bytes:
        """The file's content. Raises OSError (FileNotFoundError) if there is no such file."""

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
    """Opens a bundle, a folder or a zip file. Raises `EvidenceUnavailableError` (NO_BUNDLE) or `Malformed`."""
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
    """Lists whose signatures are good. Whether they are still in date depends on the time asked about (`evidence`)."""

    compact: bytes
    trust_list: TrustList
    lists: Mapping[int, tuple[StatusList, LedgerAnchor]]
    crls: Sequence[bytes]
    problems: Sequence[Finding]
    seal_certs: frozenset[str]
    """SHA-256 (hex) of the certificates of its seals."""
    root: bytes
    """The root (DER) that signed the trust list."""
    marks: Marks
    """The mark of each list whose signature is good."""

    def evidence(self, at: datetime) -> Evidence:
        try:
            check_trust_list_age(self.trust_list, at)
        except TrustError as exc:
            return Evidence.without_list(_problem("trust-list", exc))
        status = ListedStatus(self.lists)
        return Evidence(self.trust_list, self.crls, status, None, online=False, problems=self.problems)


def check_bundle(files: BundleFiles, roots: Sequence[bytes], seen: Marks | None = None) -> CheckedBundle:
    """Checks the signatures in a bundle with pinned roots (DER), and that no list is older than one `seen` before.

    Raises OSError if there is no trust list, `VerificationError` or `Malformed` if it cannot be trusted.
    """
    seen = seen or {}
    compact = files.read(TRUST_LIST)
    least = seen.get("trust-list", Mark(0, 0))
    trust_list = check_trust_list(compact, roots, least_seq=least.number)
    marks = {"trust-list": Mark(trust_list.seq, _seconds(trust_list.issued_at))}
    if marks["trust-list"].is_older_than(least):
        raise VerificationError(
            "The trust list is older than another of the same number, which was seen before.",
            "Fetch the newest trust list.",
            code="TRUST_LIST_ROLLED_BACK",
        )
    problems: list[Finding] = []
    lists: dict[int, tuple[StatusList, LedgerAnchor]] = {}
    for number in trust_list.status_lists:
        check = f"status-list.{number}"
        try:
            encoded = files.read(f"status/{number}.cwt")
            proof = files.read(f"status/{number}.tlog-proof")
            listed = check_status_list(encoded, number, trust_list)
            anchor = check_anchor(encoded, listed, decode_utf8(proof), trust_list)
        except OSError:
            continue  # a check that needs this list will report that it is missing
        except Exception as exc:  # a list from elsewhere may contain anything; skip what cannot be checked
            what = exc.what if isinstance(exc, TrustError) else f"cannot be read: {type(exc).__name__}"
            problems.append(Finding(check, Result.INDETERMINATE, "STATUS_LIST_BAD", what))
            continue
        name = f"{check} {listed.ledger_origin}"
        marks[name] = Mark(listed.ledger_size, _seconds(listed.issued_at))
        if name in seen and marks[name].is_older_than(seen[name]):
            problems.append(_rolled_back(check, f"status list {number}"))
        else:
            lists[number] = (listed, anchor)
    crls, marks_of_crls = _crls_not_older(files.crls(), trust_list, seen, problems)
    checkpoint = _checkpoint(files, trust_list, seen, problems)
    if checkpoint is not None:
        marks[f"checkpoint {checkpoint.origin}"] = _mark_of(checkpoint)
    if not problems:
        mixed = _what_is_mixed(files, trust_list, lists, checkpoint)
        problems += [Finding("bundle", Result.INDETERMINATE, "BUNDLE_MIXED", what) for what in mixed[:1]]
    seal_certs = frozenset(sha256(seal.certs[0]).hex() for seal in trust_list.seals)
    root = signing_root(compact, roots)
    return CheckedBundle(
        compact, trust_list, lists, crls, tuple(problems), seal_certs, root, {**marks, **marks_of_crls}
    )


def _crls_not_older(
    crls: Sequence[bytes], trust_list: TrustList, seen: Marks, problems: list[Finding]
) -> tuple[Sequence[bytes], dict[str, Mark]]:
    """The lists that are not older than one seen of the same CA, and the mark of each CA's newest list.

    A list that no CA of the trust list signed is kept but makes no mark.
    """
    marks: dict[str, Mark] = {}
    kept = []
    for der, signed in zip(crls, signed_lists(crls, _cas_of(trust_list)), strict=True):
        named = {f"crl.{key}": Mark(0, _seconds(made_at)) for key, made_at in signed.items()}
        for name, mark in named.items():
            marks[name] = max(marks.get(name, mark), mark)
        if not any(name in seen and mark.is_older_than(seen[name]) for name, mark in named.items()):
            kept.append(der)
    if any(name in seen and mark.is_older_than(seen[name]) for name, mark in marks.items()):
        problems.append(_rolled_back("crl", "a revocation list"))
    return tuple(kept), marks


def _cas_of(trust_list: TrustList) -> list[bytes]:
    """The certificates (DER) of all CAs that the trust list names."""
    chains = [(each.certs, each.root) for each in trust_list.seals]
    chains += [(each.certs, each.root) for each in trust_list.makers]
    chains += [(each.certs, each.root) for each in trust_list.tsas]
    found = [cert for certs, root in chains for cert in (*certs[1:], root)]
    return list(dict.fromkeys([*found, *(each.cert for each in trust_list.anchors)]))


def _checkpoint(
    files: BundleFiles, trust_list: TrustList, seen: Marks, problems: list[Finding]
) -> Checkpoint | None:
    """The bundle's checkpoint, or None if it has none that the ledger's keys signed."""
    try:
        note = decode_utf8(files.read("checkpoint"))
    except OSError:
        return None
    except Malformed as exc:
        problems.append(Finding("checkpoint", Result.INDETERMINATE, "CHECKPOINT_BAD", exc.what))
        return None
    try:
        checkpoint = check_log_checkpoint(note, ledger_keys(trust_list))
    except (Malformed, VerificationError) as exc:
        problems.append(Finding("checkpoint", Result.INDETERMINATE, "CHECKPOINT_BAD", exc.what))
        return None
    known, mark = seen.get(f"checkpoint {checkpoint.origin}"), _mark_of(checkpoint)
    if known is not None and mark.contradicts(known):
        what = f"another root of size {checkpoint.size} was seen before"
        problems.append(Finding("checkpoint", Result.INDETERMINATE, "TWO_HISTORIES", what))
    elif known is not None and mark.is_older_than(known):
        problems.append(_rolled_back("checkpoint", "the checkpoint"))
    return checkpoint


def _what_is_mixed(
    files: BundleFiles,
    trust_list: TrustList,
    lists: Mapping[int, tuple[StatusList, LedgerAnchor]],
    checkpoint: Checkpoint | None,
) -> list[str]:
    """Descriptions of the ways in which the parts of a bundle do not belong together; empty if they do."""
    made_at = max([trust_list.issued_at, *(listed.issued_at for listed, _ in lists.values())])
    found = [
        f"status list {number} was due to be replaced before another list of the bundle was made"
        for number, (listed, _) in lists.items()
        if listed.issued_at + timedelta(seconds=listed.ttl_seconds) < made_at
    ]
    told = _described(files)
    digests = told.get("files") if isinstance(told, dict) else None
    if not isinstance(digests, dict):
        return found  # made by an earlier version, which did not write bundle.json
    if checkpoint is not None and any(each.ledger_size > checkpoint.size for each, _ in lists.values()):
        found.append("the checkpoint is older than a status list")
    # Receipts are left out: they are checked by themselves, and a cosignature added later does no harm.
    names = [TRUST_LIST, "checkpoint", *(f"status/{number}.cwt" for number in lists)]
    for name in names:
        try:
            if name in digests and sha256(files.read(name)).hex() != digests[name]:
                found.append(f"{name} is not the file that bundle.json describes")
        except OSError:
            continue  # a missing file is reported by the check that needs it
    stated = {digest for digest in digests.values() if isinstance(digest, str)}
    if any(sha256(der).hex() not in stated for der in files.crls()):
        found.append("bundle.json does not describe one of the revocation lists")
    if not _are_times(told, trust_list, lists):
        found.append("bundle.json states other times than its lists")
    return found


def _described(files: BundleFiles) -> Any:
    try:
        return json.loads(files.read("bundle.json"))
    except (OSError, ValueError, RecursionError):
        return None


def _are_times(
    told: Mapping[str, Any], trust_list: TrustList, lists: Mapping[int, tuple[StatusList, LedgerAnchor]]
) -> bool:
    """True if the times in bundle.json are those of the lists, and no list is newer than the bundle."""
    ends = {"trust_list": trust_list.next_update}
    ends |= {f"status_list {number}": listed.expires_at for number, (listed, _) in lists.items()}
    try:
        made_at = datetime.fromisoformat(told["made_at"])
        latest = max([trust_list.issued_at, *(listed.issued_at for listed, _ in lists.values())])
        return latest <= made_at + _SKEW and all(
            datetime.fromisoformat(told["next_update"][name]) == end for name, end in ends.items()
        )
    except (KeyError, TypeError, ValueError):
        return False


def _mark_of(checkpoint: Checkpoint) -> Mark:
    return Mark(checkpoint.size, 0, checkpoint.root.hex())


def _rolled_back(check: str, what: str) -> Finding:
    detail = f"a newer one than {what} was seen before"
    return Finding(check, Result.INDETERMINATE, "LIST_ROLLED_BACK", detail)


def _seconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())


def evidence_from_bundle(
    bundle: Path | BundleFiles,
    at: datetime,
    *,
    roots: Sequence[bytes] = (),
    seen: SeenLists = NOTHING_SEEN,
) -> Evidence:
    """The evidence of an offline bundle at the time `at`; see `open_bundle`."""
    return open_bundle(bundle, roots=roots, seen=seen).evidence(at)


def open_bundle(
    bundle: Path | BundleFiles, *, roots: Sequence[bytes] = (), seen: SeenLists = NOTHING_SEEN
) -> OpenBundle:
    """Opens a bundle and checks its signatures once, for any number of verifications.

    `roots` are the pinned public keys (DER). If empty, the bundle's own are used, which is only as trustworthy as
    its source, so the caller shows their fingerprints. A list older than one `seen` before is refused, members'
    lists included. Raises `EvidenceUnavailableError` if it is no bundle.
    """
    files = find_bundle(bundle) if isinstance(bundle, Path) else bundle
    pinned = tuple(roots) or bundled_roots(files, bundle)
    try:
        return OpenBundle(files, pinned, seen, check_bundle(files, pinned, seen.marks(pinned)))
    except OSError as exc:
        raise no_bundle(_name(bundle)) from exc
    except TrustError as exc:
        return OpenBundle(files, pinned, seen, _problem("trust-list", exc))


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """`checked` is the lists, or why the trust list cannot be trusted. Members' lists are opened on demand."""

    files: BundleFiles
    roots: Sequence[bytes]
    seen: SeenLists
    checked: CheckedBundle | Finding
    _members: dict[str, CheckedBundle | str] = field(default_factory=dict)

    def evidence(self, at: datetime) -> Evidence:
        if isinstance(self.checked, Finding):
            return Evidence.without_list(self.checked)
        evidence = self.checked.evidence(at)
        note_seen(self.seen, self.checked, at)
        if evidence.trust_list is None:
            return evidence
        members = ListedMembers(self.checked.trust_list, _BundledMembers(self, self.checked.trust_list, at))
        return replace(evidence, members=members)

    def member(self, entry: TrustedMember) -> CheckedBundle | str:
        """A member's lists, or the reason why they are missing."""
        if entry.member_id not in self._members:
            self._members[entry.member_id] = self._open(entry)
        return self._members[entry.member_id]

    def _open(self, entry: TrustedMember) -> CheckedBundle | str:
        files = self.files.member(entry.member_id)
        try:
            return check_bundle(files, entry.roots, self.seen.marks(entry.roots))
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
        note_seen(self.opened.seen, checked, self.at)
        return member_at(entry, checked, self.own, self.at)


def note_seen(seen: SeenLists, checked: CheckedBundle, at: datetime) -> None:
    """Stores the marks of a bundle's lists. Stale lists count too: any later list must still be newer."""
    if marks := worth_keeping(checked.marks, at):
        seen.note(checked.root, marks)


def member_at(entry: TrustedMember, checked: CheckedBundle, own: TrustList, at: datetime) -> Member:
    """A member's evidence at `at`, narrowed to what our own trust list allows."""
    evidence = checked.evidence(at)
    if evidence.trust_list is None:
        return Member(entry, evidence)
    narrowed = narrow(evidence.trust_list, entry, own)
    evidence = replace(evidence, trust_list=narrowed, members=NO_MEMBERS)
    return Member(entry, evidence, checked.compact, checked.seal_certs)


def bundled_roots(files: BundleFiles, bundle: Path | BundleFiles) -> tuple[bytes, ...]:
    """The root keys (DER) in a bundle. Raises `EvidenceUnavailableError` (NO_BUNDLE) or `Malformed`."""
    try:
        return decode_roots(files.read("roots.json"))
    except OSError as exc:
        raise no_bundle(_name(bundle)) from exc


def read_roots(bundle: Path) -> tuple[bytes, ...]:
    """As `bundled_roots`, for the bundle at a path."""
    return bundled_roots(find_bundle(bundle), bundle)


def decode_roots(encoded: bytes) -> tuple[bytes, ...]:
    """The root keys (DER) in roots.json. Raises `Malformed`."""
    try:
        listed = json.loads(encoded)
        return tuple(base64.b64decode(root["spki"], validate=True) for root in listed["roots"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise Malformed("roots.json of the bundle cannot be read.", "Fetch the bundle again.") from exc


def _name(bundle: Path | BundleFiles) -> str:
    return str(bundle) if isinstance(bundle, Path) else "This"


def _problem(check: str, exc: TrustError) -> Finding:
    return Finding(check, Result.INDETERMINATE, exc.code, exc.what)
