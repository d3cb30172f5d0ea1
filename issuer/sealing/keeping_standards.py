"""Keeping a department's PDF/A or PDF/UA conforming to its standard when it is sealed.

Before anything is reserved, `lost_by_sealing` says what could not be kept. Then, while sealing:

    PDF/A          the update begins on a new line; file names in both spellings; RGB with its own profile if the
                   output intent is not RGB; in PDF/A-1 a seal without transparency
    no attachment  the data as private data of the catalogue (`trust.pdf.data_file`) if attachments are not allowed
    tagged         the seal's field as a form element of the structure, after everything else, and named in words
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyhanko.pdf_utils import generic

from trust.model.errors import Conflict
from trust.pdf.reading import open_pdf
from trust.pdf.standards import Standards, has_rgb_intent, read_standards

_MOST_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Kept:
    """How the seal's picture must be drawn: `opaque` or not, and its colours with a profile (ICC) or as plain RGB."""

    standards: Standards = field(default_factory=Standards)
    opaque: bool = False
    profile: bytes | None = None


def what_to_keep(root: Any) -> Kept:
    """How the seal must be drawn in the document with this catalogue."""
    standards = read_standards(root)
    if not standards.part:
        return Kept(standards)
    from PIL import ImageCms  # imported here, so that workers that read files load no picture decoder

    profile = (
        None if has_rgb_intent(root) else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    return Kept(standards, opaque=not standards.allows_transparency, profile=profile)


def lost_by_sealing(root: Any) -> str | None:
    """Why a document could not keep conforming to its standard, as text; None if it can."""
    kept = what_to_keep(root)
    if kept.standards.part == 1 and kept.profile is not None:
        return "its colours are not meant for screens (no output intent in RGB)"
    if kept.standards.accessible and not _Structure.found(root):
        return "its structure has no place for the seal"
    return None


def check_standards(pdf: bytes) -> None:
    """Raises `Conflict` (STANDARD_LOST) if the PDF could not keep conforming to its standard."""
    root = open_pdf(pdf).root
    reason = lost_by_sealing(root)
    if reason is not None:
        raise Conflict(
            f"The PDF is {read_standards(root).names} and could not stay so with a seal: {reason}.",
            "Save it as PDF/A-2 or PDF/A-3, or say that it need not stay so (--lose-standard, `lose_standard`).",
            code="STANDARD_LOST",
        )


def is_tagged(root: Any) -> bool:
    return "/StructTreeRoot" in root and "/MarkInfo" in root and bool(root["/MarkInfo"].get("/Marked", False))


def add_to_structure(writer: Any, page: Any, widget_ref: Any) -> bool:
    """Adds the field as the last form element of a tagged document (ISO 14289-1 §7.18.4). False, without changes, if
    the structure has a form that cannot be extended."""
    structure = _Structure.found(writer.root)
    if structure is None:
        return False
    library: Any = generic
    reference = library.DictionaryObject(
        {"/Type": library.NameObject("/OBJR"), "/Pg": page, "/Obj": widget_ref}
    )
    element = writer.add_object(
        library.DictionaryObject(
            {
                "/Type": library.NameObject("/StructElem"),
                "/S": library.NameObject("/Form"),
                "/P": structure.top_ref,
                "/Pg": page,
                "/K": reference,
            }
        )
    )
    if "/K" not in structure.top:
        structure.top["/K"] = element
    elif isinstance(structure.top["/K"], generic.ArrayObject):
        structure.top["/K"].append(element)
        writer.update_container(structure.top["/K"])
    else:
        structure.top["/K"] = library.ArrayObject([structure.top.raw_get("/K"), element])
    writer.update_container(structure.top)
    key = library.NumberObject(structure.next_key)
    parents = structure.parents
    if "/Nums" in parents:
        parents["/Nums"].append(key)
        parents["/Nums"].append(element)
        writer.update_container(parents["/Nums"])
    else:
        leaf = library.DictionaryObject(
            {"/Limits": library.ArrayObject([key, key]), "/Nums": library.ArrayObject([key, element])}
        )
        parents["/Kids"].append(writer.add_object(leaf))
        writer.update_container(parents["/Kids"])
    writer.update_container(parents)
    structure.tree["/ParentTreeNextKey"] = library.NumberObject(structure.next_key + 1)
    writer.update_container(structure.tree)
    widget = widget_ref.get_object()
    widget["/StructParent"] = key
    writer.update_container(widget)
    sheet = page.get_object()
    sheet["/Tabs"] = library.NameObject("/S")
    writer.update_container(sheet)
    return True


@dataclass(frozen=True, slots=True)
class _Structure:
    """The parts of a structure tree that change: its root, the topmost element, the parent tree and its next number."""

    tree: Any
    top: Any
    top_ref: generic.IndirectObject
    parents: Any
    next_key: int

    @classmethod
    def found(cls, root: Any) -> _Structure | None:
        try:
            if not is_tagged(root):
                return None
            tree = root["/StructTreeRoot"]
            kids = tree["/K"]
            first = kids.raw_get(0) if isinstance(kids, generic.ArrayObject) else tree.raw_get("/K")
            top, parents = first.get_object(), tree["/ParentTree"]
            if not isinstance(first, generic.IndirectObject) or "/S" not in top:
                return None
            if ("/Nums" in parents) == ("/Kids" in parents):
                return None
            highest = _highest_key(parents)
            declared = int(tree["/ParentTreeNextKey"]) if "/ParentTreeNextKey" in tree else 0
            return cls(tree, top, first, parents, max(declared, highest + 1))
        except Exception:  # files from outside may have any structure
            return None


def _highest_key(parents: Any) -> int:
    highest, waiting, met = -1, [parents], 0
    while waiting:
        node = waiting.pop()
        met += 1
        if met > _MOST_NODES:
            raise ValueError("the parent tree is too large")
        if "/Nums" in node:
            numbers = node["/Nums"]
            highest = max([highest, *(int(numbers[n]) for n in range(0, len(numbers), 2))])
        if "/Kids" in node:
            kids = node["/Kids"]
            waiting += [kids[n] for n in range(len(kids))]
    return highest
