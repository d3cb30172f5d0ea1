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
from collections.abc import Callable, Mapping, Sequence
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


class _Pool:
    """The certificates of a list, each once and in a fixed order, because a thousand seals share the same few."""

    def __init__(self, certs: Sequence[bytes]) -> None:
        self.certs = certs
        self._places = {cert: place for place, cert in enumerate(certs)}

    def place(self, cert: bytes) -> int:
        return self._places[cert]

    def cert(self, place: Any) -> bytes:
        index = _number(place)
        if index not in range(len(self.certs)):
            raise ValueError("a certificate that is not there")
        return self.certs[index]


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


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise TypeError("not a list")
    return raw


@dataclass(frozen=True, slots=True)
class _Form:
    """How a value is written as JSON and read again. Reading raises ValueError, TypeError or LookupError."""

    write: Callable[[Any, _Pool], Any]
    read: Callable[[Any, _Pool], Any]


def _plain(read: Callable[[Any], Any], write: Callable[[Any], Any] = lambda value: value) -> _Form:
    return _Form(lambda value, _: write(value), lambda raw, _: read(raw))


def _optional(form: _Form) -> _Form:
    """None is written as null."""
    return _Form(
        lambda value, pool: None if value is None else form.write(value, pool),
        lambda raw, pool: None if raw is None else form.read(raw, pool),
    )


def _many(form: _Form) -> _Form:
    return _Form(
        lambda values, pool: [form.write(each, pool) for each in values],
        lambda raw, pool: tuple(form.read(each, pool) for each in _list(raw)),
    )


def _row(make: Callable[..., Any], *fields: tuple[str, _Form]) -> _Form:
    """An object that is written as a list of the values of its fields, in this order."""

    def read(raw: Any, pool: _Pool) -> Any:
        values = zip(fields, _list(raw), strict=True)
        return make(**{name: form.read(value, pool) for (name, form), value in values})

    return _Form(lambda made, pool: [form.write(getattr(made, name), pool) for name, form in fields], read)


def _object(make: Callable[..., Any], *members: tuple[str, str, _Form]) -> _Form:
    """An object that is written as one: name in JSON, name of the field, form. Unknown names are ignored."""
    return _Form(
        lambda made, pool: {key: form.write(getattr(made, name), pool) for key, name, form in members},
        lambda raw, pool: make(**{name: form.read(raw[key], pool) for key, name, form in members}),
    )


def _chain_of(raw: Any, pool: _Pool) -> tuple[bytes, ...]:
    if not raw:
        raise ValueError("a list of certificates without the first")
    return tuple(pool.cert(each) for each in _list(raw))


def _interval(raw: Any, pool: _Pool) -> tuple[datetime, datetime | None]:
    since, until = _list(raw)
    return _time(since), _MAYBE_TIME.read(until, pool)


_TEXT, _NUMBER, _BYTES = _plain(_text), _plain(_number), _plain(_bytes, _b64)
_TEXTS = _many(_TEXT)
_TIME = _plain(_time, datetime.isoformat)
_MAYBE_TIME, _MAYBE_NUMBER, _MAYBE_TEXT, _MAYBE_TEXTS = map(_optional, (_TIME, _NUMBER, _TEXT, _TEXTS))
_HEX = _plain(bytes.fromhex, bytes.hex)
_CERT = _Form(lambda cert, pool: pool.place(cert), lambda raw, pool: pool.cert(raw))
_CERTS = _Form(lambda certs, pool: [pool.place(each) for each in certs], _chain_of)
_INTERVAL = _Form(
    lambda pair, pool: [_TIME.write(pair[0], pool), _MAYBE_TIME.write(pair[1], pool)], _interval
)
_STATUS_LISTS = _plain(
    lambda raw: {int(number): _text(address) for number, address in raw.items()},
    lambda lists: {str(number): address for number, address in lists.items()},
)
_STATE = (("state", "state", _plain(TrustState)), ("since", "since", _MAYBE_TIME))
_TERM = (("not_before", "not_before", _TIME), ("not_after", "not_after", _TIME))
_NAMES = (("name_zh", "name_zh", _TEXT), ("name_en", "name_en", _TEXT))
_CHAIN = (("suite", "suite", _TEXT), ("certs", "certs", _CERTS), ("root", "root", _CERT))

_AUTHORITY = _object(
    TrustedAuthority,
    ("id", "authority_id", _TEXT),
    ("uscc", "uscc", _TEXT),
    *_NAMES,
    ("types", "types", _TEXTS),
)
_FIELD = _row(
    TrustedField,
    ("name", _TEXT),
    ("gb", _TEXT),
    ("label_zh", _TEXT),
    ("label_en", _TEXT),
    ("level", _NUMBER),
)
_TYPE = _object(
    TrustedType,
    ("short", "short", _TEXT),
    ("type_code", "type_code", _TEXT),
    ("version", "version", _NUMBER),
    *_NAMES,
    ("fields", "fields", _many(_FIELD)),
)
_SEAL = _object(
    TrustedSeal,
    ("id", "seal_id", _TEXT),
    ("authority", "authority_id", _TEXT),
    ("name", "name", _TEXT),
    *_CHAIN,
    *_TERM,
    ("idle", "idle", _many(_INTERVAL)),
    *_STATE,
)
_KEY = _object(
    TrustedKey,
    ("kid", "kid", _HEX),
    ("suite", "suite", _TEXT),
    ("spki", "spki", _BYTES),
    ("use", "use", _TEXT),
    *_TERM,
    ("types", "types", _MAYBE_TEXTS),
    *_STATE,
)
_MEMBER = _object(
    TrustedMember,
    ("id", "member_id", _TEXT),
    *_NAMES,
    ("address", "address", _MAYBE_TEXT),
    ("roots", "roots", _many(_BYTES)),
    ("hosts", "hosts", _TEXTS),
    ("uses", "uses", _many(_plain(MemberUse))),
    ("divisions", "divisions", _MAYBE_TEXTS),
    ("type_codes", "type_codes", _MAYBE_TEXTS),
    ("not_before", "not_before", _TIME),
    ("not_after", "not_after", _MAYBE_TIME),
    *_STATE,
)
_LEDGER_KEY = _row(TrustedLedgerKey, ("vkey", _TEXT), ("from_size", _NUMBER), ("until_size", _MAYBE_NUMBER))
_LEDGER = (
    ("origin", "ledger_origin", _TEXT),
    ("keys", "ledger_keys", _many(_LEDGER_KEY)),
    ("witnesses", "witness_policy", _TEXT),
)
_LIST = (
    ("seq", "seq", _NUMBER),
    ("issued_at", "issued_at", _TIME),
    ("next_update", "next_update", _TIME),
    ("valid_until", "valid_until", _TIME),
    ("hosts", "hosts", _TEXTS),
    ("authorities", "authorities", _many(_AUTHORITY)),
    ("types", "types", _many(_TYPE)),
    ("seals", "seals", _many(_SEAL)),
    ("makers", "makers", _many(_object(TrustedMaker, *_CHAIN, *_STATE))),
    ("tsas", "tsas", _many(_object(TrustedTsa, *_CHAIN, *_STATE))),
    ("keys", "keys", _many(_KEY)),
    ("status_lists", "status_lists", _STATUS_LISTS),
    ("anchors", "anchors", _many(_object(TrustedAnchor, *_NAMES, ("cert", "cert", _CERT), *_TERM, *_STATE))),
    ("members", "members", _many(_MEMBER)),
)
"""The one table of the format; encoding and decoding both follow it."""


def encode_trust_list(listed: TrustList) -> bytes:
    """The JSON payload (not yet signed)."""
    chains: list[TrustedSeal | TrustedMaker | TrustedTsa] = [*listed.seals, *listed.makers, *listed.tsas]
    used = {cert for each in chains for cert in (*each.certs, each.root)}
    pool = _Pool(sorted(used | {each.cert for each in listed.anchors}))
    value = {
        "format": FORMAT,
        "x509": [_b64(der) for der in pool.certs],
        "ledger": {key: form.write(getattr(listed, name), pool) for key, name, form in _LEDGER},
        **{key: form.write(getattr(listed, name), pool) for key, name, form in _LIST},
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
        pool = _Pool([_bytes(der) for der in raw["x509"]])
        values = {name: form.read(raw["ledger"][key], pool) for key, name, form in _LEDGER}
        return TrustList(**values, **{name: form.read(raw[key], pool) for key, name, form in _LIST})
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        raise Malformed("The trust list is not in its format.") from exc
