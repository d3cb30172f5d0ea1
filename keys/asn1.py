"""Registers the Chinese algorithms with asn1crypto.

asn1crypto keeps its object identifiers in class attributes. For curves it has a public call; for digests
and signature algorithms there is none, so the maps are filled the way pyHanko itself does for ML-DSA.
`register()` is explicit and may be called any number of times, in every process that reads SM2 structures,
the sandbox included.

| name       | object identifier       | source                     |
|------------|-------------------------|----------------------------|
| sm2p256v1  | 1.2.156.10197.1.301     | GB/T 33560                 |
| sm3_sm2    | 1.2.156.10197.1.501     | SM2 signature with SM3     |
| sm3        | 1.2.156.10197.1.401     | SM3 digest                 |

Tools that follow GM/T 0010 (GB/T 35275) use other identifiers for the same algorithms. They are read as equivalent and
never written; in a licence of ours they are still refused, because its frame is rebuilt and compared.

| means      | also written as                                                                            |
|------------|--------------------------------------------------------------------------------------------|
| sm3_sm2    | 1.2.156.10197.1.301.1 (SM2-1, signing), 1.2.156.10197.1.301 (SM2)                          |
| sm3        | 1.2.156.10197.1.401.1 (SM3 without a key)                                                  |
| data       | 1.2.156.10197.6.1.4.2.1                                                                    |
| signedData | 1.2.156.10197.6.1.4.2.2                                                                    |

It also corrects one mistake of asn1crypto (1.5.1): a header whose last octet is 0x80 counts there as an indefinite
length (X.690 §8.1.3.6), although 0x80 may also be the last octet of a definite one, `30 82 3B 80`. The library then
encodes the value again when it is dumped, in a time that doubles with each level: seconds for a seal of such a length.
"""

from __future__ import annotations

import threading
from typing import Any

from asn1crypto import algos, cms, core, keys

from trust.encoding.cms import SEAL_DATA_OID

RECEIPT_OID = "2.25.188304937846211902361047912273940281457"
"""The unsigned CMS attribute with the ledger receipt, in an arc of our own that was made from a UUID."""

NOT_READABLE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""The exceptions that asn1crypto raises for malformed bytes, often late because it parses lazily; AttributeError for
types without a value."""

_lock = threading.Lock()
_registered = False


class _SetOfAny(core.SetOf):  # type: ignore[misc]
    _child_spec = core.Any


def register() -> None:
    """Registers everything. Idempotent, and cheap after the first call."""
    global _registered
    with _lock:
        if _registered:
            return
        keys.NamedCurve.register("sm2p256v1", "1.2.156.10197.1.301", 32)
        _add(algos.DigestAlgorithmId, "1.2.156.10197.1.401", "sm3")
        _add(algos.SignedDigestAlgorithmId, "1.2.156.10197.1.501", "sm3_sm2")
        _add(cms.CMSAttributeType, RECEIPT_OID, "yinzheng_receipt")
        cms.CMSAttribute._oid_specs["yinzheng_receipt"] = _SetOfAny
        _add(cms.CMSAttributeType, SEAL_DATA_OID, "yinzheng_seal_data")
        cms.CMSAttribute._oid_specs["yinzheng_seal_data"] = _SetOfAny
        for named, oid, name in _ALSO:
            _also(named, oid, name)
        for kind in (core.Asn1Value, core.Choice, core.Primitive, core.Sequence, core.SequenceOf):
            _correct_dump(kind)
        _registered = True


_ALSO = (
    (algos.DigestAlgorithmId, "1.2.156.10197.1.401.1", "sm3"),
    (algos.SignedDigestAlgorithmId, "1.2.156.10197.1.301.1", "sm3_sm2"),
    (algos.SignedDigestAlgorithmId, "1.2.156.10197.1.301", "sm3_sm2"),
    (cms.ContentType, "1.2.156.10197.6.1.4.2.1", "data"),
    (cms.ContentType, "1.2.156.10197.6.1.4.2.2", "signed_data"),
)


def _also(kind: Any, oid: str, name: str) -> None:
    """Adds a second identifier for a name; it is read, and the first one is still written."""
    if kind._reverse_map is None:
        kind._reverse_map = {value: key for key, value in kind._map.items()}
    kind._map[oid] = name


def _correct_dump(kind: Any) -> None:
    """Makes `kind.dump` return the bytes that were read where the library would take their length for indefinite."""
    library_dump = kind.dump

    def dump(self: Any, force: bool = False) -> bytes:
        header = self._header
        if force or not header or header[-1] != 0x80 or _is_indefinite(header):
            return bytes(library_dump(self, force=force))
        body = self.chosen.dump() if isinstance(self, core.Choice) else self.contents
        if self._header != header:  # reading the contents showed that the value was changed
            return bytes(library_dump(self))
        return bytes(header + body + self._trailer)

    kind.dump = dump


def _is_indefinite(header: bytes) -> bool:
    """True if the last length in a header, after those of explicit tags, is indefinite (X.690 §8.1.2, §8.1.3)."""
    place, first = 0, 0
    while place < len(header):
        long_tag = header[place] & 0x1F == 0x1F
        place += 1
        while long_tag and place < len(header):
            long_tag = header[place] >= 0x80
            place += 1
        first = header[place] if place < len(header) else 0
        place += 1 + (first & 0x7F if first > 0x80 else 0)
    return first == 0x80


def _add(kind: Any, oid: str, name: str) -> None:
    kind._map[oid] = name
    # The reverse map is made on first use; if it exists already, the name must be added to it too.
    if kind._reverse_map is not None:
        kind._reverse_map[name] = oid


def embedded_receipt(frame: bytes) -> bytes | None:
    """The ledger receipt (DER) in a seal's CMS, or None. Raises ValueError unless it is a CMS with one signer."""
    register()
    try:
        (signer,) = cms.ContentInfo.load(frame)["content"]["signer_infos"]
        carried = [each for each in signer["unsigned_attrs"] if each["type"].dotted == RECEIPT_OID]
        return bytes(carried[0]["values"][0].dump()) if carried else None
    except NOT_READABLE as exc:
        raise ValueError("not the CMS of a seal") from exc
