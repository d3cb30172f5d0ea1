"""The standards that a PDF claims (PDF/A, PDF/UA), and what they require when a seal is added.

The claim is in the XMP metadata: `pdfaid:part` and `pdfaid:conformance` (ISO 19005), `pdfuaid:part` (ISO 14289). It is
not checked here whether it is true.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

_ARCHIVAL = "http://www.aiim.org/pdfa/ns/id/"
_ACCESSIBLE = "http://www.aiim.org/pdfua/ns/id/"
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Standards:
    """The claimed `part` of PDF/A with its `level` (A, B, U, E, F or none), and of PDF/UA; 0 if not claimed."""

    part: int = 0
    level: str = ""
    accessible: int = 0

    @property
    def names(self) -> str:
        listed = [f"PDF/A-{self.part}{self.level.lower()}"] if self.part else []
        return ", ".join([*listed, *([f"PDF/UA-{self.accessible}"] if self.accessible else [])])

    @property
    def allows_attachments(self) -> bool:
        """True if our data file may be attached: ISO 19005-1 §6.1.11 and -2 §6.8 forbid it, -3 §6.8 allows any
        attachment, -4 §6.9 in its levels E and F."""
        return self.part in (0, 3) or (self.part >= 4 and self.level in ("E", "F"))

    @property
    def allows_transparency(self) -> bool:
        """True if transparency is allowed, which ISO 19005-1 §6.4 forbids."""
        return self.part != 1


def read_standards(root: Any) -> Standards:
    """The claims of a document, from its catalogue. Unreadable metadata count as no claim."""
    try:
        packet = bytes(root["/Metadata"].data) if "/Metadata" in root else b""
    except Exception:  # a parser may raise anything on hostile input
        return Standards()
    plain = packet.replace(b"\0", b"")
    if not packet or len(packet) > _MOST_BYTES or b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        return Standards()
    try:
        tree = ElementTree.fromstring(packet.strip())  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError):
        return Standards()
    found: dict[str, str] = {}
    for element in tree.iter():
        found.update({name: value.strip() for name, value in element.attrib.items()})
        if isinstance(element.tag, str) and element.text and len(element) == 0:
            found.setdefault(element.tag, element.text.strip())
    return Standards(
        _number(found.get(f"{{{_ARCHIVAL}}}part")),
        found.get(f"{{{_ARCHIVAL}}}conformance", "").upper()[:1],
        _number(found.get(f"{{{_ACCESSIBLE}}}part")),
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 3 else 0


def has_rgb_intent(root: Any) -> bool:
    """True if the output intent of a PDF/A is an RGB profile, so that device RGB colours are defined."""
    try:
        if "/OutputIntents" not in root:
            return False
        listed = root["/OutputIntents"]
        intents = [listed[n] for n in range(len(listed))]
        profiles = [each["/DestOutputProfile"] for each in intents if "/DestOutputProfile" in each]
        return bool(profiles) and all(int(each["/N"]) == 3 for each in profiles)
    except Exception:  # see read_standards
        return False
