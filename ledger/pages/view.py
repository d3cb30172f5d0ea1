"""Views for the ledger's pages, made from checkpoints, entries and receipts.

Each signature line under a checkpoint belongs to one of the log's own keys, to a witness in the policy, or to an
unknown key. Lines of the first two are verified before they are shown as such; a line of an unknown key is shown as a
claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.log import Log
from ledger.logkeys import check_log_checkpoint
from ledger.note import NoteSignature, VerifierKey, check_note_signature, cosignature_time, parse_note
from ledger.notekeys import KeyKind
from ledger.proof import Receipt, check_receipt, format_receipt, parse_detached_receipt, parse_receipt
from ledger.publisher import sm3_origin
from ledger.witness.policy import Policy
from trust.encoding import merkle
from trust.encoding.entry import Entry
from trust.model.errors import NotFound, VerificationError
from trust.model.report import Result

OWN, WITNESS, UNKNOWN = "own", "witness", "unknown"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # of the year 9999; a claimed time may be out of range
_COSIGNATURE_SIZES = tuple(8 + kind.signature_size for kind in KeyKind if kind.is_cosignature)


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line under a checkpoint. `who` is OWN, WITNESS or UNKNOWN; `kind` is empty if the key is unknown."""

    who: str
    name: str
    key_id: str
    kind: str
    state: Result
    stated_at: datetime | None


@dataclass(frozen=True, slots=True)
class WitnessRow:
    """A witness of the policy, and the time when it cosigned this checkpoint, or None."""

    name: str
    cosigned_at: datetime | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy's witnesses, which of them cosigned, and if that is enough. `quorum` is empty if none is needed."""

    witnesses: tuple[WitnessRow, ...]
    groups: tuple[GroupRow, ...]
    quorum: str
    is_met: bool


@dataclass(frozen=True, slots=True)
class CheckpointView:
    checkpoint: Checkpoint
    lines: tuple[SignatureLine, ...]
    policy: PolicyView | None
    note: str


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """The view of a pasted receipt; `findings` are (question, answer)."""

    index: int
    origin: str
    size: int
    is_ours: bool
    findings: tuple[tuple[str, Result], ...]

    @property
    def is_good(self) -> bool:
        return self.is_ours and all(result is Result.PASSED for _, result in self.findings)

    @property
    def has_failed(self) -> bool:
        return any(result is Result.FAILED for _, result in self.findings)


def view_checkpoint(note: str, keys: Sequence[VerifierKey], policy: Policy | None) -> CheckpointView:
    """The view of a checkpoint. `keys` are all keys the log ever had. Raises `Malformed` if `note` is no checkpoint."""
    parsed = parse_note(note)
    lines = tuple(_line(parsed.text, each, keys, policy) for each in parsed.signatures)
    shown = None if policy is None else _view_policy(policy, parsed.text, parsed.signatures)
    return CheckpointView(parse_checkpoint(parsed.text), lines, shown, note)


def view_sm3_checkpoint(note: str, origin: str, keys: Sequence[VerifierKey]) -> CheckpointView:
    """As `view_checkpoint`, for the SM3 tree of the log `origin`, which the same keys sign under its own name."""
    name = sm3_origin(origin)
    renamed = [VerifierKey(name=name, public_key=each.public_key, kind=each.kind) for each in keys]
    return view_checkpoint(note, renamed, None)


def read_receipt(text: str) -> tuple[Receipt, bytes | None]:
    """Parses a pasted receipt, and its entry if it contains one. Raises `Malformed`.

    Forms turn line ends into CR LF, and the last line end is often lost in copying; both are repaired.
    """
    tidy = text.replace("\r\n", "\n").strip() + "\n"
    if tidy.partition("\n")[2].startswith("extra "):
        detached = parse_detached_receipt(tidy)
        return detached.receipt, detached.entry_bytes
    return parse_receipt(tidy), None


def view_receipt(receipt: Receipt, entry_bytes: bytes | None, log: Log) -> ReceiptView:
    """The view of a receipt for an entry; `entry_bytes` is None if there is no such entry. Raises `Malformed`."""
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint).text)
    if checkpoint.origin != log.keys.origin:
        return ReceiptView(receipt.index, checkpoint.origin, checkpoint.size, False, ())
    findings = (
        ("signed", _signed(receipt, log)),
        ("included", _included(receipt, entry_bytes, log)),
        ("continued", _continued(checkpoint, log)),
    )
    return ReceiptView(receipt.index, checkpoint.origin, checkpoint.size, True, findings)


def appended_at(entry: Entry) -> datetime:
    return _EPOCH + timedelta(milliseconds=entry.at_ms)


def _line(
    text: str, signature: NoteSignature, keys: Sequence[VerifierKey], policy: Policy | None
) -> SignatureLine:
    own = _find(keys, signature)
    witnesses = [each for each in policy.witnesses if _find([each.vkey], signature)] if policy else []
    vkey = own or (witnesses[0].vkey if witnesses else None)
    kind, state, stated_at = "", Result.NOT_CHECKED, None
    if vkey is not None:
        kind, state = vkey.kind.name, _verified(vkey, text, signature.signature)
    if own is None and len(signature.signature) in _COSIGNATURE_SIZES:
        stated_at = _stated_at(signature.signature)
    return SignatureLine(
        who=OWN if own else WITNESS if vkey else UNKNOWN,
        name=_shown(witnesses[0].name) if witnesses else signature.name,
        key_id=signature.key_id.hex(),
        kind=kind,
        state=state,
        stated_at=stated_at,
    )


def _find(keys: Sequence[VerifierKey], signature: NoteSignature) -> VerifierKey | None:
    return next(
        (each for each in keys if (each.name, each.key_id) == (signature.name, signature.key_id)), None
    )


def _verified(vkey: VerifierKey, text: str, signature: bytes) -> Result:
    try:
        check_note_signature(vkey, text, signature)
    except VerificationError:
        return Result.FAILED
    return Result.PASSED


def _stated_at(signature: bytes) -> datetime | None:
    seconds = cosignature_time(signature)
    return _EPOCH + timedelta(seconds=seconds) if 0 < seconds <= _LAST_SECOND else None


def _view_policy(policy: Policy, text: str, signatures: Sequence[NoteSignature]) -> PolicyView:
    """The view of the policy. A line that does not verify does not count here; it is shown among the lines as bad."""
    cosigned = {
        witness.name: _stated_at(each.signature)
        for witness in policy.witnesses
        for each in signatures
        if _find([witness.vkey], each) and _verified(witness.vkey, text, each.signature) is Result.PASSED
    }
    return PolicyView(
        witnesses=tuple(WitnessRow(_shown(each.name), cosigned.get(each.name)) for each in policy.witnesses),
        groups=tuple(
            GroupRow(_shown(each.name), each.threshold, tuple(map(_shown, each.members)))
            for each in policy.groups
        ),
        quorum=_shown(policy.quorum or ""),
        is_met=policy.is_satisfied(cosigned),
    )


def _shown(name: str) -> str:
    """A policy's name for display. Names are octets; those that are not UTF-8 cannot be shown and are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _signed(receipt: Receipt, log: Log) -> Result:
    try:
        check_log_checkpoint(receipt.checkpoint, log.keys)
    except VerificationError:
        return Result.FAILED
    return Result.PASSED


def _included(receipt: Receipt, entry_bytes: bytes | None, log: Log) -> Result:
    if entry_bytes is None:
        return Result.FAILED
    try:
        check_receipt(entry_bytes, format_receipt(receipt), log_keys=log.keys)
    except VerificationError:
        return Result.FAILED
    return Result.PASSED


def _continued(checkpoint: Checkpoint, log: Log) -> Result:
    """The finding on whether the receipt's tree is a prefix of the log's."""
    newest = log.checkpoint()
    if checkpoint.size > newest.size:  # another process may have published it
        return Result.INDETERMINATE
    try:
        proof = log.consistency(checkpoint.size, newest.size)
        merkle.check_consistency(
            size1=checkpoint.size,
            root1=checkpoint.root,
            size2=newest.size,
            root2=newest.root,
            proof=proof,
        )
    except (NotFound, VerificationError):
        return Result.FAILED
    return Result.PASSED
