"""Examining a PDF: all checks that need only the file, the trust list and the CRLs.

Runs inside the sandbox. The order is cheap first, and nothing is read from the document before the raw-bytes
gate and the seal have passed: a file that fails shows none of its data.

    format → whose is it → gate → structure → seal → chain → time → receipt → data

Status and validity are not judged here, because they need evidence that changes with time. The worker that judges
also draws nothing: the content of each seal's place is returned with the findings, and another worker compares it.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from asn1crypto import core
from pyhanko.pdf_utils.reader import PdfFileReader

from keys import asn1
from keys.sm2 import engine_name
from trust.encoding.cms import SEAL_DATA_OID
from trust.encoding.digests import sha256, sm3
from trust.encoding.trust_list import TrustList, decode_trust_list
from trust.model.errors import EvidenceUnavailableError, TrustError, VerificationError
from trust.model.report import Finding, Result
from trust.model.seal import SealRole
from trust.pdf.data_file import ATTACHMENT_NAME
from trust.pdf.gap import SignedGap, check_gaps
from trust.pdf.reading import Inventory, open_as_viewers_do, open_pdf, take_inventory
from verifier.checks.answers import Compare
from verifier.checks.foreign import examine_foreign
from verifier.checks.licence import Given, examine_licence
from verifier.checks.pdf import quiet_library
from verifier.checks.seal_on_page import SealOnPage
from verifier.checks.seal_picture import compare_here
from verifier.checks.steps import Examination, Steps, encode_findings
from verifier.checks.versions import check_time_stamps, check_versions
from verifier.evidence.revocation import RevocationLists

_MAX_SHOWN = 64
_LOADED_AT_FIRST_USE = (
    "_strptime",
    "encodings.ascii",
    "encodings.utf_16_be",
    "lxml.etree",
    "pyhanko.pdf_utils.filters",
    "pyhanko.pdf_utils.metadata.xmp_xml",
)
"""Loaded once before workers are forked, so that each worker need not load them."""


def prepare() -> None:
    """Imports the modules that load lazily, because the sandbox removes access to files afterwards."""
    for module in _LOADED_AT_FIRST_USE:
        importlib.import_module(module)
    asn1.register()
    engine_name()
    quiet_library()


def examine_pdf_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job. `blobs`: the file, the trust list's payload, the foreign anchors, the CRLs (DER)."""
    quiet_library()
    anchors_end = 2 + int(arguments["anchors"])
    pictures: list[SealOnPage] = []
    examination = examine_pdf(
        blobs[0],
        trust_list=_decoded(blobs[1]) if blobs[1] else None,
        anchors=blobs[2:anchors_end],
        crls=blobs[anchors_end:],
        verified_at=datetime.fromisoformat(arguments["verified_at"]),
        compare=pictures.append,
    )
    return {
        "findings": encode_findings(examination.findings),
        "facts": examination.facts,
        "data": _b64(examination.data) if examination.data is not None else None,
        "pictures": [
            [_b64(each.shown), each.drawing.hex(), _b64(each.picture), each.width_mm] for each in pictures
        ],
    }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@lru_cache(maxsize=4)
def _decoded(payload: bytes) -> TrustList:
    """The decoded trust list, cached between files. Only our own input is cached, never content of a file."""
    return decode_trust_list(payload)


def examine_pdf(
    data: bytes,
    *,
    trust_list: TrustList | None,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
    compare: Compare = compare_here,
) -> Examination:
    """Returns the findings. `compare` checks each seal's picture; by default it draws in this process."""
    asn1.register()
    found = Examination(facts={"sha256": sha256(data).hex(), "sm3": sm3(data).hex(), "size": len(data)})
    if anchors:
        _examine_as_viewers_do(found, Steps(found), data, anchors, crls, verified_at)
        return found
    steps = Steps(found, is_licence=_looks_like_a_licence(data))
    reader = steps.take("file.format", lambda: open_pdf(data))
    inventory = steps.take("file.objects", lambda: take_inventory(reader)) if reader is not None else None
    if reader is None or inventory is None:
        if not steps.is_licence and found.findings[-1].code in ("BROKEN_PDF", "NOT_A_PDF"):
            _look_whose(found, data)
        return found
    found.facts["pages"] = inventory.pages
    if inventory.signature_dictionaries == 0:
        found.findings.append(_NO_SEAL)
        return found
    if trust_list is None:
        steps.fail("seal.issuer", EvidenceUnavailableError("There is no trust list.", code="STATUS_STALE"))
        return found
    shown = _certs_shown(reader)
    if not any(sha256(seal.certs[0]) in shown for seal in trust_list.seals) and (
        shown or not steps.is_licence
    ):
        # The file is from another issuer: "not one of ours" is true, "altered" would not be.
        found.facts["signed_with"] = sorted(each.hex() for each in shown)[:_MAX_SHOWN]
        found.findings.append(
            Finding("seal.issuer", Result.INDETERMINATE, "UNKNOWN_ISSUER", "no listed seal is in the file")
        )
        return found
    if inventory.active_names:
        listed = ", ".join(sorted(inventory.active_names))
        found.findings.append(Finding("file.active-content", Result.FAILED, "ACTIVE_CONTENT", listed))
    if found.findings[-1].result is not Result.PASSED:
        return found
    found.findings.append(Finding("file.active-content", Result.PASSED))
    kinds = (inventory.seals, inventory.signature_dictionaries, inventory.signature_fields)
    if not 1 <= inventory.seals <= len(SealRole) or kinds[1] != kinds[2]:
        detail = "{} seals, {} signatures, {} fields".format(*kinds)
        found.findings.append(Finding("seal.present", Result.FAILED, "SIG_CONSTRAINTS_FAILURE", detail))
        return found
    found.findings.append(Finding("seal.present", Result.PASSED))
    gaps = steps.take("file.gap", lambda: _gaps(data, inventory))
    if gaps is None:
        return found
    given = Given(
        data, reader, gaps[: inventory.seals], trust_list, RevocationLists(crls), verified_at, compare
    )
    if len(gaps) == inventory.seals:
        examine_licence(found, steps, given)
    else:
        _examine_later_version(found, steps, given, gaps[inventory.seals :], crls)
    return found


_NO_SEAL = Finding("seal.present", Result.INDETERMINATE, "NO_SEAL", "there is no signature in the file")
"""The finding for a file without signatures, such as a scan: nothing in it proves that it is genuine or not."""
_TRACES = (
    *(core.ObjectIdentifier(oid).dump().hex().upper().encode() for oid in (SEAL_DATA_OID, asn1.RECEIPT_OID)),
    ATTACHMENT_NAME.removesuffix(".json").encode(),
)
"""Bytes that every licence contains: our own OIDs, as they appear in a seal's hex digits, and its data file's name."""


def _looks_like_a_licence(data: bytes) -> bool:
    """True if the bytes show traces of a licence from a service like this one. Affects only the wording of results."""
    return any(trace in data for trace in _TRACES)


def _examine_as_viewers_do(
    found: Examination,
    steps: Steps,
    data: bytes,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    opened = steps.take("file.format", lambda: open_as_viewers_do(data))
    if opened is None:
        return
    inventory = steps.take("file.objects", lambda: take_inventory(opened.reader))
    if inventory is None:
        return
    if opened.before:
        what = f"{opened.before} bytes stand before the beginning that no signature covers"
        found.findings[0] = Finding("file.format", Result.INDETERMINATE, "PARTIAL_COVER", what)
    found.facts["pages"] = inventory.pages
    if inventory.signature_dictionaries == 0:
        found.findings.append(_NO_SEAL)
        return
    examine_foreign(found, steps, opened, inventory, anchors, crls, verified_at)


def _look_whose(found: Examination, data: bytes) -> None:
    """Reports a malformed file as one of an unknown issuer if it is signed; an anchor could then judge it."""
    try:
        opened = open_as_viewers_do(data)
        inventory = take_inventory(opened.reader)
    except TrustError:
        return  # only the findings so far can be reported: it is broken
    found.facts["pages"] = inventory.pages
    if inventory.signature_dictionaries == 0:
        found.findings[:] = [_NO_SEAL]
        return
    found.facts["signed_with"] = sorted(each.hex() for each in _certs_shown(opened.reader))[:_MAX_SHOWN]
    found.findings[:] = [
        Finding("seal.issuer", Result.INDETERMINATE, "UNKNOWN_ISSUER", "no listed seal is in the file")
    ]


def _certs_shown(reader: PdfFileReader) -> frozenset[bytes]:
    """SHA-256 of the certificates in all signatures, without those of time-stamps.

    Empty if any signature cannot be parsed or contains no certificate.
    """
    try:
        each = [
            [sha256(choice.chosen.dump()) for choice in signature.signed_data["certificates"]]
            for signature in reader.embedded_regular_signatures
        ]
        return frozenset(cert for certs in each for cert in certs) if all(each) else frozenset()
    except Exception:  # a parser may raise anything on hostile input; later checks report it
        return frozenset()


def _gaps(data: bytes, inventory: Inventory) -> list[SignedGap]:
    gaps = check_gaps(data)
    if len(gaps) != inventory.signature_dictionaries:
        raise VerificationError("The file holds signatures that cover none of it.", code="FORMAT_FAILURE")
    return gaps


def _examine_later_version(
    found: Examination, steps: Steps, given: Given, later: Sequence[SignedGap], crls: Sequence[bytes]
) -> None:
    """Examines a licence with later versions: first each update, then the licence as it was before them."""
    licence = given.data[: sum(given.gaps[-1].byte_range[2:])]
    versions = steps.take(
        "file.versions", lambda: check_versions(given.data, licence, later, given.trust_list)
    )
    if versions is None:
        return
    stamps = steps.take("archive.time", lambda: check_time_stamps(versions, crls, given.verified_at))
    if stamps is None:
        return
    archived, _ = stamps
    found.facts["versions"] = [
        {"number": number, "size": each.end, "stamped_at": each.stamped_at.isoformat()}
        for number, each in enumerate(versions, 1)
    ]
    reader = steps.take("file.licence", lambda: open_pdf(licence))
    if reader is None:
        return
    lists = RevocationLists(crls, archived)
    examine_licence(found, steps, replace(given, data=licence, reader=reader, lists=lists))
    if "seal" in found.facts:
        found.facts["seal"]["format"] = "PAdES-B-LTA"
