"""What signature fields show on a page, and which of it no signer is responsible for.

What a later signature shows is acceptable only if its signer is judged as well. A document time-stamp has no signer
who vouches for a page: anyone who can get one could lay a picture over what was signed. An empty field that was added
afterwards has no signer either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.fields import enumerate_sig_fields

_HIDDEN = 2
"""Annotation flag (ISO 32000-2, table 167). NoView does not count as hidden, because some viewers ignore it."""

Shown = tuple[str, int, str]
"""A field's name, its object number, and the /SubFilter of its value ("" if empty)."""


def shown_by_nobody(revision: Any) -> frozenset[Shown]:
    """The fields that show something in a revision without a signer: empty ones and document time-stamps.

    `revision` is a PdfFileReader or one of its historical resolvers.
    """
    found = set()
    untyped: Any = enumerate_sig_fields
    for name, _, ref in untyped(revision):
        field = ref.get_object()
        filled_by = str(field["/V"]["/SubFilter"]) if "/V" in field else ""
        if filled_by in ("", "/ETSI.RFC3161") and is_shown(field):
            found.add((str(name), int(ref.idnum), filled_by))
    return frozenset(found)


def is_shown(field: Any) -> bool:
    """True if a viewer may show something for a field: one of its widgets has an area and is not hidden."""
    return any(_takes_place(widget) for widget in _widgets(field))


def _widgets(field: Any) -> Iterator[Any]:
    yield field
    if "/Kids" in field:
        for kid in field["/Kids"]:
            yield kid.get_object()


def _takes_place(widget: Any) -> bool:
    try:
        if "/Rect" not in widget or int(widget.get("/F", 0)) & _HIDDEN:
            return False
        x1, y1, x2, y2 = (float(each) for each in widget["/Rect"])
    except (TypeError, ValueError, PdfError):
        return True  # some viewer may show even a malformed rectangle
    return (x2 - x1) * (y2 - y1) != 0
