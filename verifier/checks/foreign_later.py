"""Checking that only evidence, time-stamps and further signatures were added to a PDF after another's signature.

A signature may be followed by updates that leave what was signed unchanged (ISO 32000-2 §12.8.2.2). A later signer,
who is responsible for the change, may change the document's metadata (/Info, XMP). If the update has no signer, or
the first signer allowed no changes (DocMDP with P 1), only the date of the change and the program may differ, because
every tool that adds evidence writes those.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.sign import diff_analysis
from pyhanko.sign.diff_analysis import (
    FormUpdatingRule,
    ModificationLevel,
    StandardDiffPolicy,
    SuspiciousModification,
)
from pyhanko.sign.diff_analysis.policy_api import DiffResult
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from trust.model.errors import VerificationError
from trust.pdf.reading import Opened
from verifier.checks.widgets import shown_by_nobody

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP = "{adobe:ns:meta/}"
_AROUND = frozenset({f"{_RDF}RDF", f"{_XMP}xmpmeta"})
_TOOLKIT = f"{_XMP}xmptk"
_OF_THE_UPDATE = frozenset(
    {
        "{http://ns.adobe.com/xap/1.0/}ModifyDate",
        "{http://ns.adobe.com/xap/1.0/}MetadataDate",
        "{http://ns.adobe.com/pdf/1.3/}Producer",
        "/ModDate",
        "/Producer",
    }
)
"""Properties that a program writes about itself when it saves a file."""


class _SameInfo(diff_analysis.DocInfoRule):
    """/Info may be rewritten with the same content."""

    def apply(self, old: Any, new: Any) -> Iterator[Any]:
        before, after = (_info(each) for each in (old, new))
        if before != after:
            names = ", ".join(
                sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            )
            raise SuspiciousModification(f"/Info was changed: {names}")
        yield from super().apply(old, new)


class _SameMetadata(diff_analysis.MetadataUpdateRule):
    """The XMP packet may be rewritten with the same content."""

    def apply(self, old: Any, new: Any) -> Iterator[Any]:
        if _packet(old) != _packet(new):
            raise SuspiciousModification("The XMP metadata was changed")
        yield from super().apply(old, new)


def _info(revision: Any) -> dict[str, str]:
    """The entries of /Info in this revision. The library's trailer would resolve them in the newest one instead."""
    trailer = revision.trailer_view
    found = trailer.raw_get("/Info") if "/Info" in trailer else {}
    if isinstance(found, generic.IndirectObject):
        found = revision.get_object(generic.Reference(found.idnum, found.generation, revision))
    return {str(key): repr(found[key]) for key in found if str(key) not in _OF_THE_UPDATE}


def _packet(revision: Any) -> list[str]:
    """The properties of the XMP packet as sorted text."""
    if "/Metadata" not in revision.root:
        return []
    stream = revision.root["/Metadata"]
    if not isinstance(stream, generic.StreamObject):
        return [repr(stream)]
    packet = stream.read_data(DecodePurpose.XMP_METADATA)
    if b"<!" in packet.replace(b"\0", b"").replace(b"<!--", b""):
        raise SuspiciousModification("The XMP metadata declare something")
    try:
        root = ElementTree.fromstring(packet)  # noqa: S314 — it has no declarations, so no entity expands
    except ElementTree.ParseError as exc:
        raise SuspiciousModification("The XMP metadata cannot be read") from exc
    properties: list[str] = []
    _collect([root], properties)
    return sorted(each for each in properties if not each.startswith(f"{_RDF}about="))


def _collect(elements: Iterable[ElementTree.Element], properties: list[str]) -> None:
    """Collects the properties of descriptions; any element beside or around them counts as a property too."""
    for element in elements:
        described = element.tag == f"{_RDF}Description"
        if not described and element.tag not in _AROUND:
            properties.append(_canonical(element))
            continue
        properties += [
            f"{name}={value}"
            for name, value in element.attrib.items()
            if name not in _OF_THE_UPDATE | {_TOOLKIT}
        ]
        texts = (element.text, *(each.tail for each in element))
        properties += [text.strip() for text in texts if text and text.strip()]
        if described:
            properties += [_canonical(each) for each in element if each.tag not in _OF_THE_UPDATE]
        else:
            _collect(element, properties)


def _canonical(element: ElementTree.Element) -> str:
    """The canonical form of the element, without the text that follows it."""
    alone = copy.copy(element)
    alone.tail = None
    return ElementTree.canonicalize(ElementTree.tostring(alone, "unicode"), strip_text=True)


def _policy(field_rules: list[Any], *, same: bool) -> StandardDiffPolicy:
    """The policy that allows added evidence and what `field_rules` allow.

    pyHanko's default policy allows forms to be filled in; a form filled in after signing is not what was signed.
    """
    rules: Any = diff_analysis  # its classes are not fully typed
    evidence = (
        _SameInfo() if same else rules.DocInfoRule(),
        rules.XrefStreamRule(),
        rules.ObjectStreamRule(),
        rules.DSSCompareRule(),
        _SameMetadata() if same else rules.MetadataUpdateRule(),  # type: ignore[no-untyped-call]  # the library's own
    )
    return StandardDiffPolicy(
        global_rules=[
            rules.CatalogModificationRule(),
            *(rule.as_qualified(ModificationLevel.LTA_UPDATES) for rule in evidence),
        ],
        form_rule=FormUpdatingRule(field_rules=field_rules),
    )


_FIELDS: list[Any] = [diff_analysis.SigFieldCreationRule(), diff_analysis.SigFieldModificationRule()]
LATER = _policy(_FIELDS, same=False)
_LATER_OF_CERTIFIED = _policy(_FIELDS, same=True)
ONLY_EVIDENCE = _policy([], same=True)


def check_later(opened: Opened, signature: EmbeddedPdfSignature) -> None:
    """Checks that later updates are ones this signature allows. Raises `VerificationError` (PARTIAL_COVER)."""
    untyped: Any = signature
    certified = signature.docmdp_level is MDPPerm.NO_CHANGES
    untyped.compute_integrity_info(diff_policy=_LATER_OF_CERTIFIED if certified else LATER)
    coverage, result = untyped.coverage, untyped.diff_result
    if coverage is None or coverage.name not in ("ENTIRE_FILE", "ENTIRE_REVISION"):
        raise VerificationError("The signature does not cover a whole revision.", code="PARTIAL_COVER")
    if coverage.name == "ENTIRE_FILE":
        return
    if any(revision > signature.signed_revision for revision in opened.loose) or not _reads_strictly(
        opened, signature.signed_revision
    ):
        raise VerificationError(
            "What was added later is not in order, so it cannot be told what it changes.",
            code="PARTIAL_COVER",
        )
    if not isinstance(result, DiffResult):
        raise VerificationError(f"After the signature was changed: {result}", code="PARTIAL_COVER")
    if not signature.summarise_integrity_info()["docmdp_ok"]:
        raise VerificationError(
            "What was added later is more than the signature allows.", code="PARTIAL_COVER"
        )
    reader = signature.reader
    before = shown_by_nobody(reader.get_historical_resolver(signature.signed_revision))
    if added := shown_by_nobody(reader) - before:
        names = ", ".join(sorted(name for name, _, _ in added))
        raise VerificationError(f"Later something was shown that nobody signs: {names}", code="PARTIAL_COVER")


def _reads_strictly(opened: Opened, signed: int) -> bool:
    """True if strict and tolerant readers read what was added after revision `signed` in the same way."""
    reader: Any = opened.reader
    loosely, reader.strict = reader.strict, True
    try:
        for revision in range(signed + 1, reader.xrefs.total_revisions):
            for ref in reader.xrefs.explicit_refs_in_revision(revision):
                if reader.xrefs.get_historical_ref(ref, revision) is not None:
                    reader.get_object(ref, revision=revision)
    except Exception:  # a parser may raise anything; readers may then disagree
        return False
    finally:
        reader.strict = loosely
    return True
