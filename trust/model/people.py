"""Acts that need a second person, and how two persons are told apart: by their accounts, however they are written."""

from __future__ import annotations

import re
import unicodedata

from trust.model.errors import Malformed, NotPermitted

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


def check_second_person(first: str, second: str, refusal: str) -> None:
    """Raises `NotPermitted` with the sentence `refusal` unless the two accounts are of two
    persons."""
    if not second.strip() or is_same_person(first, second):
        raise NotPermitted(refusal, "A second person has to.")
