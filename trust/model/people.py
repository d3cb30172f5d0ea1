"""Comparing persons' names where an act needs a second person."""

from __future__ import annotations

import re
import unicodedata

from trust.model.errors import Malformed

_PERSON = re.compile(r"(?!\s)[^|\x00-\x1f\x7f]{1,64}(?<!\s)")


def is_same_person(one: str, other: str) -> bool:
    """True if two names differ only in spelling (capitals, full width, spaces), so that they are not two persons."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def as_person(name: str) -> str:
    """The name of somebody who acts, as it is written down. Raises `Malformed` for one that cannot be."""
    if not _PERSON.fullmatch(name):
        raise Malformed("Say who acts, in 1 to 64 characters.")
    return name
