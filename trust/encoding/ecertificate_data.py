"""The data file inside every licence: `ecertificate.json`, attached to the PDF and covered by its seal.

It is RFC 8785 JSON, so that it has exactly one encoding:

    {"format":"yinzheng-ecertificate-1",
     "issuer":"chuncheng-scjg",                    id of the authority in the trust list
     "metadata":{"CZZT":"…","ZZBS":"…","KZ_…":"…"},  GB/T 36903 names; a list where a field repeats
     "pid":"0f…",                                  32 hex digits, the public id
     "salts":{"CZZT":"…",…},                       32 hex digits for each field of metadata
     "status":[1,20811],                           status list and index
     "type":["FOOD",1],                            short name and version of the certificate type
     "version":1}

The content root over `metadata` and `salts` (see `trust.encoding.commitment`) is what the ledger entry and
the printed code commit to. Dates are YYYY-MM-DD; `长期` stands for a term without end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

import rfc8785

from trust.encoding.commitment import FieldValue, content_root
from trust.model.errors import Malformed

FORMAT = "yinzheng-ecertificate-1"
LONG_TERM = "长期"
CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ECertificateData:
    pid: bytes
    issuer: str
    type_short: str
    type_version: int
    version: int
    status_list: int
    status_index: int
    metadata: Mapping[str, FieldValue]
    salts: Mapping[str, bytes]

    @property
    def content(self) -> bytes:
        """The content root, 32 bytes."""
        return content_root(self.metadata, self.salts)

    def validity(self) -> tuple[datetime, datetime | None]:
        """First and last instant of the term in China's time zone; the last is None when long-term."""
        start = _date(self.metadata.get("ZZYXQQSRQ"))
        end = self.metadata.get("ZZYXQJZRQ")
        begins = datetime.combine(start, time.min, CHINA)
        if end == LONG_TERM:
            return begins, None
        return begins, datetime.combine(_date(end), time.max.replace(microsecond=0), CHINA)


def encode_ecertificate_data(data: ECertificateData) -> bytes:
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "issuer": data.issuer,
            "metadata": dict(data.metadata),
            "pid": data.pid.hex(),
            "salts": {name: salt.hex() for name, salt in data.salts.items()},
            "status": [data.status_list, data.status_index],
            "type": [data.type_short, data.type_version],
            "version": data.version,
        }
    )


def decode_ecertificate_data(encoded: bytes) -> ECertificateData:
    """The inverse of `encode_ecertificate_data`. Raises `Malformed` for anything but the canonical encoding."""
    if len(encoded) > MAX_BYTES:
        raise Malformed("The data file of the e-certificate is too large.")
    try:
        raw = json.loads(encoded)
        match raw:
            case {
                "format": "yinzheng-ecertificate-1",
                "issuer": str(issuer),
                "metadata": dict(metadata),
                "pid": str(pid),
                "salts": dict(salts),
                "status": [int(status_list), int(status_index)],
                "type": [str(type_short), int(type_version)],
                "version": int(version),
            }:
                data = ECertificateData(
                    bytes.fromhex(pid),
                    issuer,
                    type_short,
                    type_version,
                    version,
                    status_list,
                    status_index,
                    metadata,
                    {name: bytes.fromhex(salt) for name, salt in salts.items()},
                )
            case _:
                raise Malformed("The data file of the e-certificate is not in its format.")
        for value in metadata.values():
            if not isinstance(value, str) and not (
                isinstance(value, list) and all(isinstance(item, str) for item in value)
            ):
                raise Malformed("The data file of the e-certificate is not in its format.")
        if len(data.pid) != 16 or encode_ecertificate_data(data) != encoded:
            raise Malformed("The data file of the e-certificate is not in its canonical form.")
        data.validity()
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise Malformed("The data file of the e-certificate is not in its format.") from exc
    return data


def _date(value: object) -> date:
    if not isinstance(value, str):
        raise ValueError("not a date")
    return date.fromisoformat(value)
