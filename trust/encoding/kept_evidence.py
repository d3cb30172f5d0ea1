"""Kept evidence: everything that a verification used besides the object, so that it can be repeated later.

    {"format":"yinzheng-evidence-1","trust_list":7,"crls":[SHA-256 hex…],
     "member":{"id":…,"trust_list":SHA-256 hex|null}|null,     the member that the object belongs to, and its trust list
     "status":{"status","as_of","next_update","online","reason","changed_at",      the answer of the status source
               "anchor":[entry, appended_at, as of size, checkpoint's size, witnesses…]|null}
             |{"error":code,"what":…} | null,                                       it had no answer; it was not asked
     "file":{"pid":hex|null,"erased":true|false}|null,                              the register's answer (digest)
     "problems":[[check, result, code, detail]…]}

Our trust lists are stored under their numbers, all other lists once under their digests. With a member, the lists, the
status and the problems are the member's. Nothing here comes from the object itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trust.model.errors import Malformed
from trust.model.report import Finding, Freshness, Result
from trust.model.status import Status

FORMAT = "yinzheng-evidence-1"


@dataclass(frozen=True, slots=True)
class KeptAnchor:
    """The ledger entry that anchors a status list, as in `trust.model.answers.LedgerAnchor`."""

    index: int
    appended_at: datetime
    as_of_size: int
    checkpoint_size: int
    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """The answer of the status source; `error` is (code, what) if it had none."""

    status: Status | None
    freshness: Freshness | None
    reason: str | None = None
    changed_at: datetime | None = None
    error: tuple[str, str] | None = None
    anchor: KeptAnchor | None = None


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """The public id of the e-certificate that the register issued this file for, or None. `erased`: its data were
    erased."""

    pid: bytes | None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class KeptMember:
    """A deployment's id in our trust list, and the SHA-256 of its own trust list, or None if that was missing."""

    member_id: str
    trust_list: bytes | None


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """`crls` are the SHA-256 of revocation lists; `trust_list` is a number, or None if there was no list."""

    trust_list: int | None
    crls: Sequence[bytes]
    status: StatusAnswer | None
    file: FileAnswer | None
    problems: Sequence[Finding] = ()
    member: KeptMember | None = None


def encode_kept_evidence(kept: KeptEvidence) -> bytes:
    value = {
        "format": FORMAT,
        "trust_list": kept.trust_list,
        "crls": [each.hex() for each in kept.crls],
        "status": _encode_status(kept.status) if kept.status is not None else None,
        "file": {"pid": kept.file.pid.hex() if kept.file.pid else None, "erased": kept.file.erased}
        if kept.file is not None
        else None,
        "member": _encode_member(kept.member) if kept.member is not None else None,
        "problems": [[f.check, f.result.value, f.code, f.detail] for f in kept.problems],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode_kept_evidence(encoded: bytes) -> KeptEvidence:
    """The inverse of `encode_kept_evidence`. Raises `Malformed`."""
    try:
        raw = json.loads(encoded)
        if raw["format"] != FORMAT:
            raise Malformed("Kept evidence is in a format that this version does not know.")
        return KeptEvidence(
            raw["trust_list"],
            tuple(bytes.fromhex(each) for each in raw["crls"]),
            _decode_status(raw["status"]) if raw["status"] is not None else None,
            FileAnswer(
                bytes.fromhex(raw["file"]["pid"]) if raw["file"]["pid"] else None, raw["file"]["erased"]
            )
            if raw["file"] is not None
            else None,
            tuple(
                Finding(check, Result(result), code, detail)
                for check, result, code, detail in raw["problems"]
            ),
            _decode_member(raw["member"]) if raw["member"] is not None else None,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        raise Malformed("Kept evidence is not in its format.") from exc


def _encode_member(member: KeptMember) -> dict[str, Any]:
    return {"id": member.member_id, "trust_list": member.trust_list.hex() if member.trust_list else None}


def _decode_member(raw: dict[str, Any]) -> KeptMember:
    return KeptMember(raw["id"], bytes.fromhex(raw["trust_list"]) if raw["trust_list"] else None)


def _encode_status(answer: StatusAnswer) -> dict[str, Any]:
    if answer.error is not None:
        code, what = answer.error
        return {"error": code, "what": what}
    assert answer.status is not None
    assert answer.freshness is not None
    fresh = answer.freshness
    return {
        "status": answer.status.value,
        "as_of": fresh.as_of.isoformat(),
        "next_update": fresh.next_update.isoformat() if fresh.next_update else None,
        "online": fresh.online,
        "reason": answer.reason,
        "changed_at": answer.changed_at.isoformat() if answer.changed_at else None,
        "anchor": _encode_anchor(answer.anchor) if answer.anchor else None,
    }


def _decode_status(raw: dict[str, Any]) -> StatusAnswer:
    if "error" in raw:
        return StatusAnswer(None, None, error=(raw["error"], raw["what"]))
    until, changed_at = raw["next_update"], raw["changed_at"]
    fresh = Freshness(
        datetime.fromisoformat(raw["as_of"]), datetime.fromisoformat(until) if until else None, raw["online"]
    )
    changed = datetime.fromisoformat(changed_at) if changed_at else None
    anchor = _decode_anchor(raw["anchor"]) if raw["anchor"] else None
    return StatusAnswer(Status(raw["status"]), fresh, raw["reason"], changed, anchor=anchor)


def _encode_anchor(anchor: KeptAnchor) -> list[int | str]:
    at = anchor.appended_at.isoformat()
    return [anchor.index, at, anchor.as_of_size, anchor.checkpoint_size, *anchor.witnesses]


def _decode_anchor(raw: Sequence[Any]) -> KeptAnchor:
    index, appended_at, as_of_size, checkpoint_size, *witnesses = raw
    at = datetime.fromisoformat(appended_at)
    return KeptAnchor(index, at, as_of_size, checkpoint_size, tuple(map(str, witnesses)))
