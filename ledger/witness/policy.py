"""Which witnesses count, and how many must have cosigned a checkpoint (C2SP tlog-policy).

A policy is a file of octets, read line by line. A line ends with a newline; its items are separated by spaces and tabs;
a line that is empty or begins with "#" is ignored. The others are

    log <vkey> [<url>]                  a log whose checkpoints are accepted; its key's name is its origin
    witness <name> <vkey> [<url>]       the name is used in this file only; the URL is where to submit
    group <name> any|all|<k> <name>…    has witnessed what at least k of its members have witnessed
    quorum <name>|none                  exactly once: who must have witnessed a checkpoint

A name must be defined once, on an earlier line than it is used, and be a member of at most one group, so that a witness
counts only once. Two lines of the same kind may not have the same public key, not even under different names, because
one key would be counted as two witnesses.

Allowed octets are 09, 0A, 20-7E and 80-FF. Names are compared as octets, not as Unicode characters. (Octets that are
not UTF-8 are kept as Python's surrogate escapes.) A file whose last line has no newline is refused, because it may have
been truncated, "quorum all-three" to "quorum all".

Example, with shortened keys: one log; two of three bodies of the province, and one of another province.

    log example.org/log+3d0e2a11+AaTt…
    witness archives archives.example.org/w+ca29e11f+BKq0… https://archives.example.org/witness
    witness audit    audit.example.org/w+17c51a60+BGL3…    https://audit.example.org/witness
    witness court    court.example.org/w+90b6f0d2+BOx9…    https://court.example.org/witness
    witness neighbour w.example.net+5be27a3c+BIm1…         https://w.example.net
    group   province 2 archives audit court
    group   both all province neighbour
    quorum  both

`check_cosigned_checkpoint` applies a policy to a note. It does not judge whether a witness's time is plausible or
recent; it returns the times.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.checkpointtext import Checkpoint, parse_checkpoint
from ledger.note import Note, check_note_signature, cosignature_time, format_vkey, parse_note, parse_vkey
from ledger.notekeys import KeyKind, VerifierKey
from trust.model.errors import Malformed, VerificationError

MAX_POLICY_SIZE: Final = 1_000_000

_OCTETS: Final = re.compile(rb"[\x09\x0a\x20-\x7e\x80-\xff]*")
_NAME: Final = re.compile(rb"[\x21-\x7e\x80-\xff]+")
_THRESHOLD: Final = re.compile(rb"[1-9][0-9]{0,8}")
_NONE: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLog:
    """A log whose checkpoints are accepted. `vkey.name` is its origin."""

    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWitness:
    """A witness, under its name in the policy, which may differ from the name of its key."""

    name: str
    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group, which has witnessed a checkpoint if at least `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Logs, witnesses, groups in the order of their definition, and the quorum (None requires no witness).

    Making one checks every rule of the module, and raises `Malformed`.
    """

    logs: tuple[PolicyLog, ...] = ()
    witnesses: tuple[PolicyWitness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str | None = None

    def __post_init__(self) -> None:
        draft = _Draft()
        for log in self.logs:
            draft.add_log(log)
        for witness in self.witnesses:
            draft.add_witness(witness)
        for group in self.groups:
            draft.add_group(group)
        draft.set_quorum(_NONE if self.quorum is None else self.quorum)

    def is_satisfied(self, cosigned: Collection[str]) -> bool:
        """True if the quorum is reached when exactly the witnesses of these names have cosigned."""
        if self.quorum is None:
            return True
        witnessed = {each.name for each in self.witnesses if each.name in cosigned}
        for group in self.groups:  # members always come before their group
            if sum(member in witnessed for member in group.members) >= group.threshold:
                witnessed.add(group.name)
        return self.quorum in witnessed

    def log_vkeys(self, origin: str) -> list[VerifierKey]:
        """The keys of the log called `origin`."""
        return [log.vkey for log in self.logs if log.vkey.name == origin]


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedCheckpoint:
    """A checkpoint that its log signed and enough witnesses cosigned.

    `cosigned_at` has, for every known witness that cosigned, by its name in the policy, the time that it states, in
    seconds since 1970.
    """

    checkpoint: Checkpoint
    cosigned_at: Mapping[str, int]


def check_cosigned_checkpoint(
    note: str, policy: Policy, *, log_vkeys: Sequence[VerifierKey] = ()
) -> CosignedCheckpoint:
    """Returns the checkpoint in `note` if a log of the policy signed it and the quorum cosigned it.

    `log_vkeys` are logs that the caller accepts besides those of the policy. Raises `Malformed` if `note` is
    no checkpoint; `VerificationError` with code LOG_ORIGIN_MISMATCH if the log is not a known one,
    NOTE_UNSIGNED if the log has not signed, NOTE_SIGNATURE_BAD if a line of a known log or witness does not
    verify, QUORUM_NOT_MET if too few have cosigned.
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    known_logs = [*(log.vkey for log in policy.logs), *log_vkeys]
    _check_log_signed(parsed, checkpoint.origin, known_logs)
    cosigned_at = check_cosignatures(parsed, policy.witnesses)
    if not policy.is_satisfied(cosigned_at):
        raise VerificationError(
            f"The quorum {policy.quorum} has not cosigned the checkpoint; "
            f"{len(cosigned_at)} of {len(policy.witnesses)} known witnesses have.",
            code="QUORUM_NOT_MET",
        )
    return CosignedCheckpoint(checkpoint=checkpoint, cosigned_at=cosigned_at)


def check_cosignatures(note: Note, witnesses: Sequence[PolicyWitness]) -> dict[str, int]:
    """The times of the cosignatures by witness, in the order of `witnesses`; of several lines of one, the latest
    counts.

    Raises `VerificationError` if a line of one of them does not verify.
    """
    cosigned_at: dict[str, int] = {}
    for witness in witnesses:
        for signature in _signatures_of(note, witness.vkey):
            check_note_signature(witness.vkey, note.text, signature)
            time = cosignature_time(signature)
            cosigned_at[witness.name] = max(time, cosigned_at.get(witness.name, 0))
    return cosigned_at


def parse_policy(data: bytes) -> Policy:
    """Parses the policy in a file's octets. Raises `Malformed`, which names the line."""
    if len(data) > MAX_POLICY_SIZE:
        raise Malformed(f"A policy of {len(data)} bytes; the limit is {MAX_POLICY_SIZE}.")
    draft = _Draft()
    for number, line in _lines(data):
        try:
            _parse_line(line, draft)
        except Malformed as exc:
            raise Malformed(f"Line {number} of the policy: {exc.what}", exc.todo) from exc
    if not draft.has_quorum:
        raise Malformed("The policy has no quorum line.", "End it with “quorum <name>” or “quorum none”.")
    return Policy(
        logs=tuple(draft.logs),
        witnesses=tuple(draft.witnesses),
        groups=tuple(draft.groups),
        quorum=draft.quorum,
    )


def format_policy(policy: Policy) -> bytes:
    """The policy as a file; `parse_policy` gives `policy` back."""
    lines = [
        *(("log", format_vkey(each.vkey), each.url or "") for each in policy.logs),
        *(("witness", each.name, format_vkey(each.vkey), each.url or "") for each in policy.witnesses),
        *(("group", each.name, _format_threshold(each), *each.members) for each in policy.groups),
        ("quorum", _NONE if policy.quorum is None else policy.quorum),
    ]
    return b"".join(" ".join(line).rstrip(" ").encode("utf-8", "surrogateescape") + b"\n" for line in lines)


class _Draft:
    """A policy while it is being read. Enforces every rule about names and keys."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self.has_quorum = False
        self._names: set[str] = set()
        self._members: set[str] = set()

    def add_log(self, log: PolicyLog) -> None:
        _check_url(log.url)
        if log.vkey.kind is KeyKind.COSIGNATURE:
            raise Malformed("A log's key cannot be of the kind that is for cosignatures of witnesses.")
        _check_new_key(log.vkey, [each.vkey for each in self.logs])
        self.logs.append(log)

    def add_witness(self, witness: PolicyWitness) -> None:
        _check_url(witness.url)
        if not witness.vkey.kind.is_cosignature:
            raise Malformed("A witness's key must be of a kind that makes cosignatures.")
        _check_new_key(witness.vkey, [each.vkey for each in self.witnesses])
        self._define(witness.name)
        self.witnesses.append(witness)

    def add_group(self, group: Group) -> None:
        if not 1 <= group.threshold <= len(group.members):
            raise Malformed(f"{group.threshold} of {len(group.members)} members can never be reached.")
        for member in group.members:
            self._check_defined(member)
            if member in self._members:
                raise Malformed(f"{_shown(member)} is a member already: a name stands in one group, once.")
            self._members.add(member)
        self._define(group.name)
        self.groups.append(group)

    def set_quorum(self, name: str) -> None:
        if self.has_quorum:
            raise Malformed("There is a quorum line already.")
        if name != _NONE:
            self._check_defined(name)
            self.quorum = name
        self.has_quorum = True

    def _define(self, name: str) -> None:
        _check_octets(name, "name")
        if name == _NONE or name in self._names:
            raise Malformed(f"The name {_shown(name)} is taken.")
        self._names.add(name)

    def _check_defined(self, name: str) -> None:
        if name not in self._names:
            raise Malformed(f"No witness or group {_shown(name)} is defined on the lines before.")


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not _OCTETS.fullmatch(line):
            raise Malformed(f"Line {number} of the policy: a control character.", "Only tabs are allowed.")
        yield number, line
    if rest:
        raise Malformed(
            f"Line {len(lines) + 1} of the policy does not end with a newline.", "Has the file been cut?"
        )


def _parse_line(line: bytes, draft: _Draft) -> None:
    keyword, *items = line.split() or [b"#"]  # of all white space, only space and tab can occur here
    match keyword, items:
        case b"log", [vkey, *url] if len(url) <= 1:
            draft.add_log(PolicyLog(vkey=_parse_vkey(vkey), url=_parse_url(url)))
        case b"witness", [name, vkey, *url] if len(url) <= 1:
            draft.add_witness(PolicyWitness(name=_text(name), vkey=_parse_vkey(vkey), url=_parse_url(url)))
        case b"group", [name, threshold, *members]:
            draft.add_group(
                Group(
                    name=_text(name),
                    threshold=_parse_threshold(threshold, len(members)),
                    members=tuple(map(_text, members)),
                )
            )
        case b"quorum", [name]:
            draft.set_quorum(_text(name))
        case _ if keyword.startswith(b"#"):
            pass
        case ((b"log" | b"witness" | b"group" | b"quorum"), _):
            raise Malformed(f"{len(items)} items after “{_text(keyword)}”.")
        case _:
            raise Malformed("It begins with neither log, witness, group nor quorum.")


def _parse_vkey(item: bytes) -> VerifierKey:
    try:
        return parse_vkey(item.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Malformed("A key whose name is not UTF-8.") from exc


def _parse_url(items: Sequence[bytes]) -> str | None:
    return _text(items[0]) if items else None


def _parse_threshold(item: bytes, members: int) -> int:
    if item in (b"any", b"all"):
        return 1 if item == b"any" else members
    if not _THRESHOLD.fullmatch(item):
        raise Malformed("A group's threshold is any, all or a decimal number from 1.")
    return int(item)


def _format_threshold(group: Group) -> str:
    if group.threshold == len(group.members):
        return "all"
    return "any" if group.threshold == 1 else str(group.threshold)


def _check_octets(text: str, what: str) -> None:
    try:
        octets = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise Malformed(f"A {what} that stands for no octets.") from exc
    if not _NAME.fullmatch(octets):
        raise Malformed(f"A {what} is empty, or holds a space or a control character.")


def _check_url(url: str | None) -> None:
    if url is not None:
        _check_octets(url, "URL")


def _check_new_key(vkey: VerifierKey, others: Sequence[VerifierKey]) -> None:
    if any(vkey.public_key == other.public_key for other in others):
        raise Malformed("This public key stands on an earlier line already.")


def _check_log_signed(note: Note, origin: str, logs: Sequence[VerifierKey]) -> None:
    if not any(vkey.name == origin for vkey in logs):
        raise VerificationError("The checkpoint is of a log that is not known.", code="LOG_ORIGIN_MISMATCH")
    signed = False
    for vkey in logs:
        for signature in _signatures_of(note, vkey):
            check_note_signature(vkey, note.text, signature)
            # With a key that signs for two logs, one log could pass for the other.
            signed = signed or vkey.name == origin
    if not signed:
        raise VerificationError("The log has not signed the checkpoint.", code="NOTE_UNSIGNED")


def _signatures_of(note: Note, vkey: VerifierKey) -> list[bytes]:
    return [
        each.signature for each in note.signatures if (each.name, each.key_id) == (vkey.name, vkey.key_id)
    ]


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _text(item: bytes) -> str:
    return item.decode("utf-8", "surrogateescape")
