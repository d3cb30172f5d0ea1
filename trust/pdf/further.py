"""Further seals on one document: the name seal of the person responsible, and a seal for readers abroad.

The authority's own seal comes first and certifies. It signs over empty fields for the further seals and allows only
filling these (DocMDP, /P 2), and each of them has a /Lock. The last one locks the document, so that nothing may change
after it (ISO 32000-2 §12.8.2.4). Each further seal is one update (§7.5.6), N being the /Size before:

    field        as in the file, and /V; with a picture, also /AP
    N            the picture as a form XObject             if the seal is shown
    N+1          the appearance: the picture, placed       if the seal is shown
    N or N+2     /Sig: /Contents of 65,536 hex digits, ETSI.CAdES.detached, FieldMDP as in the field's /Lock

| role     | field      | on the page                   | /Lock                                    |
|----------|------------|-------------------------------|------------------------------------------|
| LEGAL    | Seal1      | the seal's picture            | –                                        |
| PERSONAL | Signature1 | the name seal's picture       | itself, or all if it is the last         |
| ABROAD   | Seal2      | nowhere: the legal seal shows | all                                      |

As in `trust.pdf.update`, given parts make exactly one update, which the verifier rebuilds and compares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trust.model.errors import Malformed
from trust.model.seal import SealRole
from trust.pdf.update import Version, encode_signed_update

CONTENTS_HEX_DIGITS = 65_536
"""The size of a seal's /Contents: 32 KiB of CMS for certificates, time-stamp and receipt."""
FIELD_OF = {SealRole.LEGAL: "Seal1", SealRole.PERSONAL: "Signature1", SealRole.ABROAD: "Seal2"}
ROLE_OF = {name: role for role, name in FIELD_OF.items()}

_RECTANGLE = re.compile(rb"/Rect \[ (\d{1,5}) (\d{1,5}) (\d{1,5}) (\d{1,5}) \]")
_BOX = re.compile(rb"/BBox \[ ?0 0 (\d{1,5})(?:\.\d{1,6})? (\d{1,5})(?:\.\d{1,6})? ?\]")
_XOBJECT = re.compile(rb"<<\n/Type /XObject\n/Subtype /Form\n[^\0]*?\n>>\nstream\n")
_SIGNED = re.compile(rb"\n/Type /Sig\n[^\0]*?\n/M \(D:(\d{14}Z)\)\n/Reason <((?:[0-9A-F]{2}){1,400})>\n")


class NotAFurtherSeal(Malformed):
    """The bytes or parts are not those of a further seal's update."""

    code = "SIG_CONSTRAINTS_FAILURE"


@dataclass(frozen=True, slots=True)
class FurtherField:
    """A field for a further seal: its place on a page in points (left, bottom, right, top), or none."""

    role: SealRole
    box: tuple[int, int, int, int] | None
    is_last: bool

    @property
    def name(self) -> str:
        return FIELD_OF[self.role]

    @property
    def lock(self) -> bytes:
        """The /Lock dictionary (ISO 32000-2, table 237)."""
        return b"<< /Type /SigFieldLock %b >>" % _what_is_locked(self.name, self.is_last)


def further_fields(
    roles: Sequence[SealRole], boxes: dict[SealRole, tuple[int, int, int, int]]
) -> list[FurtherField]:
    """The fields for the seals after the first one, in their order. Raises `NotAFurtherSeal` for another order."""
    known = list(SealRole)
    if not roles or roles[0] is not SealRole.LEGAL or sorted(set(roles), key=known.index) != list(roles):
        raise NotAFurtherSeal("Seals are set in their order: legal, personal, abroad, each once.")
    return [
        FurtherField(role, boxes.get(role), is_last=role is roles[-1])
        for role in roles
        if role is not SealRole.LEGAL
    ]


def _what_is_locked(name: str, is_last: bool) -> bytes:
    return b"/Action /All /P 1" if is_last else b"/Action /Include /Fields [ (%b) ]" % name.encode("ascii")


@dataclass(frozen=True, slots=True)
class FurtherParts:
    """The parts of an update besides the file before it: the picture as a form XObject (dictionary and stream as
    written; None if nothing is shown), and the values of /M and /Reason as written in the dictionary."""

    picture: bytes | None
    made_at: bytes
    reason: bytes


def further_parts(picture: bytes | None, made_at: datetime, reason: str) -> FurtherParts:
    return FurtherParts(
        picture,
        made_at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"),
        (b"\xfe\xff" + reason.encode("utf-16-be")).hex().upper().encode("ascii"),
    )


def encode_further_seal(
    before: Version, field: bytes, number: int, parts: FurtherParts
) -> tuple[bytes, bytes]:
    """The bytes of the update before the gap of the seal, and those after it.

    `field` is the dictionary of the empty field, object `number`, as written. Raises `NotAFurtherSeal`.
    """
    name = re.search(rb"/T \(([A-Za-z0-9]+)\)", field)
    rectangle = _RECTANGLE.search(field)
    if name is None or rectangle is None or not field.endswith(b">>"):
        raise NotAFurtherSeal("The field is not in the form that fields for further seals have.")
    is_last = b"/Action /All" in field
    signature = before.size if parts.picture is None else before.size + 2
    bodies: dict[int, bytes] = {}
    shown = b""
    if parts.picture is not None:
        shown = b"\n/AP << /N %d 0 R >>" % (before.size + 1)
    bodies[number] = field[:-2].rstrip() + b"%b\n/V %d 0 R\n>>" % (shown, signature)
    if parts.picture is not None:
        bodies[before.size] = parts.picture
        left, bottom, right, top = (int(each) for each in rectangle.groups())
        bodies[before.size + 1] = appearance(parts.picture, before.size, right - left, top - bottom)
    rest = (
        b"\n/Type /Sig\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.CAdES.detached\n/M (D:%b)\n/Reason <%b>\n"
        b"/Reference [ << /Type /SigRef /TransformMethod /FieldMDP /Data %d 0 R /TransformParams "
        b"<< /Type /TransformParams /V /1.2 %b >> >> ]\n"
        % (parts.made_at, parts.reason, before.root, _what_is_locked(name[1].decode(), is_last))
    )
    return encode_signed_update(before, bodies, signature, CONTENTS_HEX_DIGITS, rest)


def read_further_parts(update: bytes, tail: bytes, before: Version, *, is_shown: bool) -> FurtherParts:
    """The parts of an update from its bytes before and after the gap, to be encoded again and compared. Raises
    `NotAFurtherSeal`."""
    signed = _SIGNED.search(tail)
    if signed is None:
        raise NotAFurtherSeal("The seal's dictionary is not in its form.")
    picture = None
    if is_shown:
        start = update.find(b"\n%d 0 obj\n" % before.size)
        end = update.rfind(b"\nendobj\n%d 0 obj\n" % (before.size + 1))
        if start < 0 or end < start:
            raise NotAFurtherSeal("The seal's picture is not where it should be.")
        picture = update[start + len(b"\n%d 0 obj\n" % before.size) : end]
        if _XOBJECT.match(picture) is None:
            raise NotAFurtherSeal("The seal's picture is not in its form.")
    return FurtherParts(picture, signed[1], signed[2])


def appearance(picture: bytes, image: int, width: int, height: int) -> bytes:
    """An appearance with the picture (a form XObject, object `image`) in the middle of a rectangle, scaled down if it
    is too large, never up.

    Uses whole points, like pyHanko's layout rule, so that a seal looks the same whichever code wrote it.
    """
    box = _BOX.search(picture)
    if box is None or not int(box[1]) or not int(box[2]):
        raise NotAFurtherSeal("The seal's picture has no size.")
    picture_width, picture_height = int(box[1]), int(box[2])
    scale = min(width / picture_width, height / picture_height, 1)
    x, y = (width - picture_width * scale) // 2, (height - picture_height * scale) // 2
    content = b"q %g 0 0 %g %g %g cm /SealPicture Do Q" % (scale, scale, x, y)
    return (
        b"<<\n/Type /XObject\n/Subtype /Form\n/BBox [ 0 0 %d %d ]\n"
        b"/Resources << /XObject << /SealPicture %d 0 R >> >>\n/Length %d\n>>\nstream\n%b\nendstream"
        % (width, height, image, len(content), content)
    )
