"""The package that hands a licence over to an e-archive 电子档案: one zip file with all the evidence to check it.

    file/licence.pdf                      the newest version of the file; every earlier one is its beginning
    receipts/<n>.der, <n>.tlog-proof      the ledger receipt of version n, as stored and as a detached text
    metadata.json, metadata.xml           the description of the record, with the same content twice (see below)
    evidence/…                            an offline bundle (`verifier.evidence.evidence`)
    report/four-properties.json, .zh-CN.html, .en.html      四性: what was checked before hand-over
    manifest.json                         every other file: path, size, SHA-256, SM3

A set of files has exactly one zip encoding (`trust.encoding.plain_zip`). The manifest is RFC 8785 JSON:

    {"files":[{"path":…,"sha256":hex,"size":…,"sm3":hex}…],"format":"yinzheng-archive-package-1",
     "identifier":…,"made_at":RFC 3339}

It detects files that were lost or damaged on the way. It is not signed, because the seal in the file and the receipts
prove who made the licence.

The metadata are a tree of texts, lists and named parts. Names in Chinese are elements of DA/T 46-2009; names in Latin
letters are the fields of GB/T 36903 (ZZ…, CZ…, KZ_…) or our own. The JSON is indented by one space, and the XML is
derived from it, so it is unique too. What the archive itself assigns (档号, 保管期限, …) is left out.

    {"record":{"聚合层次":"文件",…}}   ↔   <record><聚合层次>文件</聚合层次>…</record>
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import rfc8785

from trust.encoding.digests import sha256, sm3
from trust.encoding.plain_zip import decode_zip, encode_zip
from trust.model.errors import Malformed

FORMAT = "yinzheng-archive-package-1"
MANIFEST, LICENCE = "manifest.json", "file/licence.pdf"
METADATA_JSON, METADATA_XML = "metadata.json", "metadata.xml"
EVIDENCE, REPORT = "evidence/", "report/four-properties"
MAX_PACKAGE_BYTES = 256 * 1024 * 1024
MAX_VERSIONS = 200

_ELEMENT = re.compile(r"[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_\u4e00-\u9fff]*")

Tree = Mapping[str, Any]
"""Named parts, each of which is a text, another tree, or a list of these."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """The manifest's entry for one file."""

    path: str
    size: int
    sha256: str
    sm3: str


@dataclass(frozen=True, slots=True)
class Manifest:
    identifier: str
    made_at: datetime
    files: Sequence[ListedFile]


@dataclass(frozen=True, slots=True)
class Package:
    """`files` are all but the manifest, by path; paths of files with a wrong zip checksum are in `damaged`."""

    manifest: Manifest
    files: Mapping[str, bytes]
    damaged: Sequence[str]
    size: int


def receipt_paths(number: int) -> tuple[str, str]:
    """The paths of a version's receipt, as DER and as a detached text."""
    return f"receipts/{number}.der", f"receipts/{number}.tlog-proof"


def encode_package(files: Mapping[str, bytes], identifier: str, made_at: datetime) -> bytes:
    """The zip of these files and their manifest. Raises `Malformed` for a name that is not allowed."""
    listed: list[dict[str, str | int]] = [
        {"path": path, "size": len(data), "sha256": sha256(data).hex(), "sm3": sm3(data).hex()}
        for path, data in sorted(files.items())
    ]
    manifest = rfc8785.dumps(
        {"format": FORMAT, "identifier": identifier, "made_at": made_at.isoformat(), "files": listed}
    )
    return encode_zip({**files, MANIFEST: manifest})


def decode_package(data: bytes) -> Package:
    """Decodes a package. Raises `Malformed` (NO_PACKAGE, TOO_LARGE, ENCRYPTED) if it cannot be opened safely.

    Digests are not compared here; `verifier.checks.archive_package` does that as a check of its own.
    """
    try:
        unzipped = decode_zip(data, max_bytes=MAX_PACKAGE_BYTES)
    except Malformed as exc:
        if exc.code != "NO_ZIP":
            raise
        raise _no_package(exc.what) from exc
    found = dict(unzipped.files)
    if MANIFEST not in found:
        raise _no_package("The file holds no manifest that can be read.")
    return Package(decode_manifest(found.pop(MANIFEST)), found, unzipped.damaged, len(data))


def decode_manifest(encoded: bytes) -> Manifest:
    try:
        match json.loads(encoded):
            case {
                "format": "yinzheng-archive-package-1",
                "identifier": str(name),
                "made_at": str(at),
                "files": list(listed),
            }:
                made_at = datetime.fromisoformat(at)
                files = tuple(
                    ListedFile(str(each["path"]), int(each["size"]), str(each["sha256"]), str(each["sm3"]))
                    for each in listed
                )
            case _:
                raise _no_package("The manifest is not in its format.")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        raise _no_package("The manifest cannot be read.") from exc
    if made_at.tzinfo is None:
        raise _no_package("The time in the manifest has no zone.")
    return Manifest(name, made_at, files)


def encode_metadata(tree: Tree) -> tuple[bytes, bytes]:
    """JSON and XML of the metadata. Raises `Malformed` for a name that cannot be an element's."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', *_element("metadata", tree, 0)]
    return _dump(tree), ("\n".join(lines) + "\n").encode()


def decode_metadata(encoded: bytes) -> dict[str, Any]:
    """The tree of `metadata.json`. Raises `Malformed` for anything but the canonical encoding."""
    try:
        tree = json.loads(encoded)
        if isinstance(tree, dict) and _dump(tree) == encoded:
            return tree
    except (ValueError, TypeError, RecursionError) as exc:
        raise Malformed("The metadata cannot be read.") from exc
    raise Malformed("The metadata are not in their form.")


def _dump(tree: Tree) -> bytes:
    """The JSON with names in the order of the description, because people read it too."""
    return json.dumps(tree, ensure_ascii=False, indent=1).encode() + b"\n"


def _element(name: str, value: Any, depth: int) -> list[str]:
    if not _ELEMENT.fullmatch(name):
        raise Malformed("A part of the metadata has a name that is no element's.")
    indent = "  " * depth
    match value:
        case Mapping():
            inner = [line for key, part in value.items() for line in _element(key, part, depth + 1)]
            return [f"{indent}<{name}>", *inner, f"{indent}</{name}>"]
        case str():
            return [f"{indent}<{name}>{escape(value)}</{name}>"]
        case list() | tuple():
            return [line for each in value for line in _element(name, each, depth)]
        case _:
            raise Malformed("A part of the metadata is neither text nor list nor named parts.")


def _no_package(what: str) -> Malformed:
    return Malformed(what, "Choose a file that `yinzheng archive export` made.", code="NO_PACKAGE")
