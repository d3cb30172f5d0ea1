"""Making the files of a package for an e-archive 电子档案. No I/O: values in, files out.

`trust.encoding.archive_package` describes the format, and `verifier.checks.archive_package` checks packages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from issuer.archive.archiving import ArchivedVersion
from issuer.catalogue import FieldType, TypeProfile
from issuer.seals.registry import ESeal
from keys.pki.read import read_x509_cert
from ledger.proof import DetachedReceipt, format_detached_receipt, parse_receipt
from trust.encoding.archive_package import (
    EVIDENCE,
    LICENCE,
    METADATA_JSON,
    METADATA_XML,
    Tree,
    encode_metadata,
    receipt_paths,
)
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.receipt import decode_receipt
from trust.model.ecertificate import IssuedECertificate

_FIRST_ACT, _LATER_ACT = "签发", "归档"


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """An e-certificate in the register. `versions` and `receipts` (DER) correspond, the issued file first."""

    issued: IssuedECertificate
    profile: TypeProfile
    seal: ESeal
    versions: Sequence[ArchivedVersion]
    receipts: Sequence[bytes]
    file: bytes
    ledger_origin: str


def package_files(record: ArchivedRecord, evidence: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the package, without report and manifest. `evidence` is an offline bundle, by path in it."""
    files = {LICENCE: record.file}
    for version, der in zip(record.versions, record.receipts, strict=True):
        der_path, text_path = receipt_paths(version.number)
        files[der_path], files[text_path] = der, detached(der).encode()
    files[METADATA_JSON], files[METADATA_XML] = encode_metadata(metadata_tree(record))
    return {**files, **{EVIDENCE + path: data for path, data in evidence.items()}}


def detached(receipt: bytes) -> str:
    """A stored receipt as the text of a .tlog-proof file. Raises `Malformed`."""
    decoded = decode_receipt(receipt)
    return format_detached_receipt(
        DetachedReceipt(entry_bytes=decoded.entry, receipt=parse_receipt(decoded.proof))
    )


def metadata_tree(record: ArchivedRecord) -> Tree:
    """The metadata of the record: the elements of DA/T 46-2009 for which a licence has a value, by their names
    there."""
    issued = record.issued
    data = decode_ecertificate_data(issued.data)
    fields = data.metadata
    return {
        "format": "yinzheng-archive-metadata-1",
        "record": {
            "聚合层次": "文件",
            "来源": {"立档单位名称": _text(fields["ZZBFJG"])},
            "电子文件号": issued.identifier,
            "内容描述": {
                "题名": _text(fields["ZZMC"]),
                "文件编号": _text(fields["ZZBH"]),
                "责任者": _text(fields["ZZBFJG"]),
                "日期": _text(fields["ZZBFRQ"]),
            },
            "电子属性": {
                "格式信息": "PDF",
                "计算机文件名": LICENCE.rpartition("/")[2],
                "计算机文件大小": str(len(record.file)),
            },
            "电子签名": {
                "签名人": record.seal.name,
                "签名算法标识": record.seal.suite.value,
                "证书引证": f"SHA-256 {read_x509_cert(record.seal.cert).sha256.hex()}",
            },
            "机构人员": {
                "机构人员名称": _text(fields["ZZBFJG"]),
                "组织机构代码": _text(fields["ZZBFJGDM"]),
            },
            "业务实体": [_act(issued, version) for version in record.versions],
        },
        "licence": {
            "pid": issued.pid.hex(),
            "type": issued.type_short,
            "type_version": str(issued.type_version),
            "version": str(issued.version),
            "status": issued.status.value,
            "status_at": issued.status_at.isoformat() if issued.status_at else "",
            "required": _required(record.profile, data),
            "fields": dict(fields),
        },
        "ledger": record.ledger_origin,
        "version": [
            {
                "number": str(each.number),
                "level": each.level,
                "sha256": each.sha256.hex(),
                "stamped_at": each.stamped_at.isoformat() if each.stamped_at else "",
                "ledger_index": str(each.entry_seq),
            }
            for each in record.versions
        ],
    }


def _act(issued: IssuedECertificate, version: ArchivedVersion) -> dict[str, Any]:
    if version.stamped_at is None:
        return {"业务行为": _FIRST_ACT, "行为时间": issued.issued_at.isoformat()}
    return {"业务行为": _LATER_ACT, "行为时间": version.stamped_at.isoformat()}


def _required(profile: TypeProfile, data: ECertificateData) -> list[str]:
    """The fields that the type requires, without photographs, which are on the page and in the data at most as a
    digest."""
    if int(profile.version) != data.type_version:
        return []
    return [each.gb for each in profile.fields if each.required and each.type is not FieldType.PHOTO]


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "、".join(value)
