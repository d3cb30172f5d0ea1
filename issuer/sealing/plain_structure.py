"""The structure tree of our own pages (ISO 32000-1 §14.7), and adding the fields of seals to it.

It does what `issuer.sealing.keeping_standards` does for any tagged PDF through pyHanko, but directly for the structure
that our layouts produce:

    catalogue     /StructTreeRoot R, /MarkInfo << /Marked true … >>
    R             /Type, /K [ T 0 R ], /ParentTree << /Nums [ 0 … 0 R, 1 … 0 R, … ] >>, and perhaps /RoleMap and
                  /ParentTreeNextKey
    T             the topmost element: /K, an array of references

Each visible field becomes an element /Form at the end of T, which refers to the widget (OBJR); the widget's
/StructParent is its number in the parent tree (ISO 14289-1 §7.18.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trust.pdf.plain import Entries, PlainPdf, parse_entries, reference, references

_ROOT_NEEDS = {b"Type", b"K", b"ParentTree"}
_ROOT_MAY = _ROOT_NEEDS | {b"RoleMap", b"ParentTreeNextKey"}
_NUMBERS = re.compile(rb"\[ ?((?:\d{1,9} \d{1,10} 0 R ?)*)\]")


@dataclass(frozen=True, slots=True)
class PlainStructure:
    """The root and the topmost element, each with its object number, and the next number of the parent tree."""

    root_number: int
    root: Entries
    top_number: int
    top: Entries
    next_key: int

    def grown(self, page: int, first: int, widgets: Sequence[int]) -> dict[int, Entries]:
        """The changed objects, and the new ones from number `first` on, one for each of the `widgets`.

        The first widget's /StructParent is `next_key`, the second's one more, and so on.
        """
        elements = range(first, first + len(widgets))
        kids = b" ".join(b"%d 0 R" % number for number in [*(references(self.top[b"K"]) or ()), *elements])
        numbers = (_parents(self.root) or b"").strip() + b"".join(
            b" %d %d 0 R" % (self.next_key + n, element) for n, element in enumerate(elements)
        )
        changed: dict[int, Entries] = {
            self.root_number: {
                **self.root,
                b"ParentTree": b"<< /Nums [ %b ] >>" % numbers.strip(),
                b"ParentTreeNextKey": b"%d" % (self.next_key + len(widgets)),
            },
            self.top_number: {**self.top, b"K": b"[ %b ]" % kids},
        }
        for element, widget in zip(elements, widgets, strict=True):
            changed[element] = {
                b"Type": b"/StructElem",
                b"S": b"/Form",
                b"P": b"%d 0 R" % self.top_number,
                b"Pg": b"%d 0 R" % page,
                b"K": b"<< /Type /OBJR /Pg %d 0 R /Obj %d 0 R >>" % (page, widget),
            }
        return changed


def is_tagged(catalogue: Entries) -> bool:
    marks = parse_entries(catalogue.get(b"MarkInfo", b"<< >>"), 0)
    return b"StructTreeRoot" in catalogue and marks is not None and marks[0].get(b"Marked") == b"true"


def read_structure(file: PlainPdf, catalogue: Entries) -> PlainStructure | None:
    """The structure of a tagged file; None if it differs from the one above."""
    root_number = reference(catalogue.get(b"StructTreeRoot"))
    root = file.dictionary(root_number) if root_number is not None else None
    if root_number is None or root is None or not _ROOT_NEEDS <= set(root) <= _ROOT_MAY:
        return None
    tops = references(root[b"K"])
    top = file.dictionary(tops[0]) if tops is not None and len(tops) == 1 else None
    if tops is None or top is None or not {b"S", b"K"} <= set(top) or references(top[b"K"]) is None:
        return None
    numbers = _parents(root)
    declared = root.get(b"ParentTreeNextKey", b"0")
    if numbers is None or not declared.isdigit():
        return None
    keys = [int(each) for each in numbers.split()[::4]]
    if keys != sorted(set(keys)):
        return None
    return PlainStructure(root_number, root, tops[0], top, max([int(declared), *(key + 1 for key in keys)]))


def _parents(root: Entries) -> bytes | None:
    """The content of /Nums in the parent tree, or None."""
    tree = parse_entries(root[b"ParentTree"], 0)
    found = _NUMBERS.fullmatch(tree[0][b"Nums"]) if tree is not None and set(tree[0]) == {b"Nums"} else None
    return found[1] if found is not None else None
