"""The trust list: who may seal what with which keys and when, signed by a root that verifiers pin.

A compact JWS (RFC 7515), ES256, typ "ecert-trust-list+jwt", kid = SHA-256 of the root's public key (hex, 16
digits). Payload, times in RFC 3339:

    {"format":"yinzheng-trust-list-1","seq":7,"issued_at":…,"next_update":…,"valid_until":…,
     "hosts":["V.CHUNCHENG.EXAMPLE"],                        hosts that may stand in codes of ours
     "ledger":{"origin":…,"keys":[[vkey, from_size, until_size or null]…],"witnesses":policy (C2SP tlog-policy) or ""},
     "authorities":[{"id":…,"uscc":…,"name_zh":…,"name_en":…,"types":["FOOD"]}],
     "types":[{"short":…,"type_code":…,"version":1,"name_zh":…,"name_en":…,
               "fields":[[name, GB/T 36903 name, label zh, label en, disclosure level]…]}],
     "x509":[DER base64…],                                   every certificate once; elsewhere its place in here
     "seals":[{"id":…,"authority":…,"name":…,"suite":…,"certs":[place…],"root":place,
               "not_before":…,"not_after":…,"idle":[[from, until or null]…],"state":…,"since":…}],
     "makers":[{"suite":…,"certs":[…],"root":…,"state":…,"since":…}],                 who makes seals (制章者)
     "tsas":[{"suite":…,"certs":[…],"root":…,"state":…,"since":…}],
     "keys":[{"kid":hex,"suite":…,"spki":base64,"use":"present"|"status"|"report",
              "not_before":…,"not_after":…,"state":…,"since":…}],
     "status_lists":{"1":"https://…/status/1"},
     "anchors":[{"name_zh":…,"name_en":…,"cert":place,"not_before":…,"not_after":…,"state":…,"since":…}],
     "members":[{"id":…,"name_zh":…,"name_en":…,"address":"https://…","roots":[base64…],"hosts":[…],
                 "uses":["seal","present","report"],"divisions":["53"] or null,"type_codes":[…] or null,
                 "not_before":…,"not_after":… or null,"state":…,"since":…}]}

A ledger key signs checkpoints of from_size <= size < until_size. A key under another name than `origin` belongs to a
closed ledger that this one continues (`ledger.closing`); it proves the receipts of old files. `witnesses` says who
cosigns checkpoints. A seal or key may do only what its entry says; a key with `types` signs for these types only.
`state` is active, retired or compromised; `since` says from when a retired or compromised one counts as such. `certs`
start with the end entity and leave out the root. `idle` are intervals in which the seal was frozen or reported lost;
uses of it in them do not count.

`anchors` are outside CAs (DER) under which files signed by others are judged; those are never e-certificates of ours.

`members` are other deployments. Each has its own trust list, signed by its own roots (SubjectPublicKeyInfo); this list
says whether it is trusted and for what (`verifier.evidence.members`). ETSI TS 119 612 §5.3.13 has similar pointers to
other trust lists. A member's own members are not members here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trust.model.errors import Malformed

FORMAT = "yinzheng-trust-list-1"
TYP = "ecert-trust-list+jwt"
MAX_BYTES = 32 * 1024 * 1024


class TrustState(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"
    COMPROMISED = "compromised"


@dataclass(frozen=True, slots=True)
class Trusted:
    """The common part of every pinned key. From `since` on, one that is not active is not trusted."""

    state: TrustState
    since: datetime | None

    def is_good_at(self, at: datetime) -> bool:
        return self.state is TrustState.ACTIVE or (self.since is not None and at < self.since)


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    authority_id: str
    uscc: str
    name_zh: str
    name_en: str
    types: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrustedField:
    name: str
    gb: str
    label_zh: str
    label_en: str
    level: int


@dataclass(frozen=True, slots=True)
class TrustedType:
    short: str
    type_code: str
    version: int
    name_zh: str
    name_en: str
    fields: Sequence[TrustedField]


@dataclass(frozen=True, slots=True)
class TrustedSeal(Trusted):
    seal_id: str
    authority_id: str
    name: str
    suite: str
    certs: Sequence[bytes]
    root: bytes
    not_before: datetime
    not_after: datetime
    idle: Sequence[tuple[datetime, datetime | None]] = ()

    def is_in_force(self, at: datetime) -> bool:
        """True if `at` is in the seal's term and the seal was neither frozen nor reported lost then."""
        return self.not_before <= at <= self.not_after and not any(
            since <= at and (until is None or at < until) for since, until in self.idle
        )


@dataclass(frozen=True, slots=True)
class TrustedMaker(Trusted):
    """制章者: a maker, which signs the seal data of seals."""

    suite: str
    certs: Sequence[bytes]
    root: bytes


@dataclass(frozen=True, slots=True)
class TrustedTsa(Trusted):
    suite: str
    certs: Sequence[bytes]
    root: bytes


@dataclass(frozen=True, slots=True)
class TrustedKey(Trusted):
    kid: bytes
    suite: str
    spki: bytes
    use: str
    not_before: datetime
    not_after: datetime
    types: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class TrustedAnchor(Trusted):
    """An outside CA: signatures of its customers are trusted, but are not ours."""

    name_zh: str
    name_en: str
    cert: bytes
    not_before: datetime
    not_after: datetime

    def counts_at(self, at: datetime) -> bool:
        return self.not_before <= at <= self.not_after and self.is_good_at(at)


class MemberUse(StrEnum):
    """What a member's keys are trusted for."""

    SEAL = "seal"
    PRESENT = "present"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class TrustedMember(Trusted):
    """Another deployment, and the limits within which its own trust list is trusted.

    `roots`: its root keys (DER), present and next. `divisions`: prefixes of the administrative division (GB/T 2260) in
    the credit codes of its authorities (GB 32100, places 3 to 8); `type_codes`: types it may issue; None: any. What it
    made before `not_before` or after `not_after` (None: no end) does not count.
    """

    member_id: str
    name_zh: str
    name_en: str
    address: str | None
    roots: Sequence[bytes]
    hosts: Sequence[str]
    uses: Sequence[MemberUse]
    divisions: Sequence[str] | None
    type_codes: Sequence[str] | None
    not_before: datetime
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class TrustedLedgerKey:
    """A key of the ledger as a note vkey, and the sizes of the checkpoints it signs."""

    vkey: str
    from_size: int
    until_size: int | None


@dataclass(frozen=True, slots=True)
class TrustList:
    seq: int
    issued_at: datetime
    next_update: datetime
    valid_until: datetime
    hosts: Sequence[str]
    ledger_origin: str
    ledger_keys: Sequence[TrustedLedgerKey]
    authorities: Sequence[TrustedAuthority]
    types: Sequence[TrustedType]
    seals: Sequence[TrustedSeal]
    makers: Sequence[TrustedMaker]
    tsas: Sequence[TrustedTsa]
    keys: Sequence[TrustedKey]
    status_lists: Mapping[int, str]
    witness_policy: str = ""
    anchors: Sequence[TrustedAnchor] = ()
    members: Sequence[TrustedMember] = ()

    def authority(self, authority_id: str) -> TrustedAuthority | None:
        return next((a for a in self.authorities if a.authority_id == authority_id), None)

    def type(self, short: str, version: int) -> TrustedType | None:
        return next((t for t in self.types if t.short == short and t.version == version), None)

    def key(self, kid: bytes, use: str) -> TrustedKey | None:
        return next((k for k in self.keys if k.kid == kid and k.use == use), None)


def encode_trust_list(listed: TrustList) -> bytes:
    """The JSON payload (not yet signed)."""

    def state(trusted: Trusted) -> dict[str, Any]:
        return {"state": trusted.state.value, "since": trusted.since.isoformat() if trusted.since else None}

    pool = _Pool(listed)
    value = {
        "format": FORMAT,
        "seq": listed.seq,
        "issued_at": listed.issued_at.isoformat(),
        "next_update": listed.next_update.isoformat(),
        "valid_until": listed.valid_until.isoformat(),
        "hosts": list(listed.hosts),
        "ledger": {
            "origin": listed.ledger_origin,
            "keys": [[k.vkey, k.from_size, k.until_size] for k in listed.ledger_keys],
            "witnesses": listed.witness_policy,
        },
        "authorities": [
            {
                "id": a.authority_id,
                "uscc": a.uscc,
                "name_zh": a.name_zh,
                "name_en": a.name_en,
                "types": list(a.types),
            }
            for a in listed.authorities
        ],
        "types": [
            {
                "short": t.short,
                "type_code": t.type_code,
                "version": t.version,
                "name_zh": t.name_zh,
                "name_en": t.name_en,
                "fields": [[f.name, f.gb, f.label_zh, f.label_en, f.level] for f in t.fields],
            }
            for t in listed.types
        ],
        "x509": [_b64(der) for der in pool.certs],
        "seals": [
            {
                "id": s.seal_id,
                "authority": s.authority_id,
                "name": s.name,
                "suite": s.suite,
                "certs": [pool.place(c) for c in s.certs],
                "root": pool.place(s.root),
                "not_before": s.not_before.isoformat(),
                "not_after": s.not_after.isoformat(),
                "idle": [
                    [since.isoformat(), until.isoformat() if until else None] for since, until in s.idle
                ],
                **state(s),
            }
            for s in listed.seals
        ],
        "makers": [
            {
                "suite": m.suite,
                "certs": [pool.place(c) for c in m.certs],
                "root": pool.place(m.root),
                **state(m),
            }
            for m in listed.makers
        ],
        "tsas": [
            {
                "suite": t.suite,
                "certs": [pool.place(c) for c in t.certs],
                "root": pool.place(t.root),
                **state(t),
            }
            for t in listed.tsas
        ],
        "keys": [
            {
                "kid": k.kid.hex(),
                "suite": k.suite,
                "spki": _b64(k.spki),
                "use": k.use,
                "not_before": k.not_before.isoformat(),
                "not_after": k.not_after.isoformat(),
                "types": list(k.types) if k.types is not None else None,
                **state(k),
            }
            for k in listed.keys
        ],
        "status_lists": {str(number): address for number, address in listed.status_lists.items()},
        "anchors": [
            {
                "name_zh": a.name_zh,
                "name_en": a.name_en,
                "cert": pool.place(a.cert),
                "not_before": a.not_before.isoformat(),
                "not_after": a.not_after.isoformat(),
                **state(a),
            }
            for a in listed.anchors
        ],
        "members": [
            {
                "id": m.member_id,
                "name_zh": m.name_zh,
                "name_en": m.name_en,
                "address": m.address,
                "roots": [_b64(r) for r in m.roots],
                "hosts": list(m.hosts),
                "uses": [use.value for use in m.uses],
                "divisions": list(m.divisions) if m.divisions is not None else None,
                "type_codes": list(m.type_codes) if m.type_codes is not None else None,
                "not_before": m.not_before.isoformat(),
                "not_after": m.not_after.isoformat() if m.not_after else None,
                **state(m),
            }
            for m in listed.members
        ],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode_trust_list(payload: bytes) -> TrustList:
    """Decodes the payload. Signature, roll-back and freshness are not checked here. Raises `Malformed`."""
    if len(payload) > MAX_BYTES:
        raise Malformed("The trust list is too large.")
    try:
        raw = json.loads(payload)
        if raw["format"] != FORMAT:
            raise Malformed("The trust list is in a format that this version does not know.")
        x509 = [_bytes(der) for der in raw["x509"]]
        return TrustList(
            seq=_number(raw["seq"]),
            issued_at=_time(raw["issued_at"]),
            next_update=_time(raw["next_update"]),
            valid_until=_time(raw["valid_until"]),
            hosts=_texts(raw["hosts"]) or (),
            ledger_origin=_text(raw["ledger"]["origin"]),
            ledger_keys=tuple(
                TrustedLedgerKey(_text(vkey), _number(start), None if end is None else _number(end))
                for vkey, start, end in raw["ledger"]["keys"]
            ),
            authorities=tuple(
                TrustedAuthority(
                    _text(a["id"]),
                    _text(a["uscc"]),
                    _text(a["name_zh"]),
                    _text(a["name_en"]),
                    _texts(a["types"]) or (),
                )
                for a in raw["authorities"]
            ),
            types=tuple(
                TrustedType(
                    _text(t["short"]),
                    _text(t["type_code"]),
                    _number(t["version"]),
                    _text(t["name_zh"]),
                    _text(t["name_en"]),
                    tuple(_field(f) for f in t["fields"]),
                )
                for t in raw["types"]
            ),
            seals=tuple(
                TrustedSeal(
                    *_state(s),
                    _text(s["id"]),
                    _text(s["authority"]),
                    _text(s["name"]),
                    _text(s["suite"]),
                    _certs(x509, s["certs"]),
                    _cert(x509, s["root"]),
                    _time(s["not_before"]),
                    _time(s["not_after"]),
                    tuple((_time(since), _time(until) if until else None) for since, until in s["idle"]),
                )
                for s in raw["seals"]
            ),
            makers=tuple(
                TrustedMaker(*_state(m), _text(m["suite"]), _certs(x509, m["certs"]), _cert(x509, m["root"]))
                for m in raw["makers"]
            ),
            tsas=tuple(
                TrustedTsa(*_state(t), _text(t["suite"]), _certs(x509, t["certs"]), _cert(x509, t["root"]))
                for t in raw["tsas"]
            ),
            keys=tuple(
                TrustedKey(
                    *_state(k),
                    bytes.fromhex(k["kid"]),
                    _text(k["suite"]),
                    _bytes(k["spki"]),
                    _text(k["use"]),
                    _time(k["not_before"]),
                    _time(k["not_after"]),
                    _texts(k["types"]),
                )
                for k in raw["keys"]
            ),
            status_lists={int(number): _text(address) for number, address in raw["status_lists"].items()},
            witness_policy=_text(raw["ledger"]["witnesses"]),
            anchors=tuple(
                TrustedAnchor(
                    *_state(a),
                    _text(a["name_zh"]),
                    _text(a["name_en"]),
                    _cert(x509, a["cert"]),
                    _time(a["not_before"]),
                    _time(a["not_after"]),
                )
                for a in raw["anchors"]
            ),
            members=tuple(
                TrustedMember(
                    *_state(m),
                    _text(m["id"]),
                    _text(m["name_zh"]),
                    _text(m["name_en"]),
                    _text(m["address"]) if m["address"] is not None else None,
                    tuple(_bytes(r) for r in m["roots"]),
                    _texts(m["hosts"]) or (),
                    tuple(MemberUse(use) for use in m["uses"]),
                    _texts(m["divisions"]),
                    _texts(m["type_codes"]),
                    _time(m["not_before"]),
                    _time(m["not_after"]) if m["not_after"] else None,
                )
                for m in raw["members"]
            ),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise Malformed("The trust list is not in its format.") from exc


class _Pool:
    """The certificates of a list, each once and in a fixed order, because a thousand seals share the same few."""

    def __init__(self, listed: TrustList) -> None:
        chains: list[TrustedSeal | TrustedMaker | TrustedTsa] = [*listed.seals, *listed.makers, *listed.tsas]
        used = {cert for each in chains for cert in (*each.certs, each.root)}
        self.certs = sorted(used | {each.cert for each in listed.anchors})
        self._places = {cert: place for place, cert in enumerate(self.certs)}

    def place(self, cert: bytes) -> int:
        return self._places[cert]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()  # a lone surrogate could not be encoded again
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a number")
    return value


def _texts(raw: Any) -> tuple[str, ...] | None:
    if raw is None:
        return None
    if not isinstance(raw, list):
        raise TypeError("not a list")
    return tuple(_text(each) for each in raw)


def _field(raw: Sequence[Any]) -> TrustedField:
    name, gb, label_zh, label_en, level = raw
    return TrustedField(_text(name), _text(gb), _text(label_zh), _text(label_en), _number(level))


def _cert(x509: Sequence[bytes], place: Any) -> bytes:
    index = _number(place)
    if index not in range(len(x509)):
        raise ValueError("a certificate that is not there")
    return x509[index]


def _certs(x509: Sequence[bytes], places: Sequence[Any]) -> tuple[bytes, ...]:
    if not places:
        raise ValueError("a list of certificates without the first")
    return tuple(_cert(x509, each) for each in places)


def _state(raw: Mapping[str, Any]) -> tuple[TrustState, datetime | None]:
    return TrustState(raw["state"]), _time(raw["since"]) if raw["since"] else None
