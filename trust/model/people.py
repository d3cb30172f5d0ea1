"""Who is whom, where a second person is asked for."""

from __future__ import annotations

import unicodedata


def is_same_person(one: str, other: str) -> bool:
    """Another way of writing a name (capitals, full width, other spaces) does not make a second person."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
