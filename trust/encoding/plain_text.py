"""Making untrusted text safe to display by replacing characters that control a terminal, direction or visibility.

A name in a certificate or in a file may contain terminal control sequences, line breaks or direction marks of Unicode
(UAX #9) that make it read as something else.
"""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINERS = "\u200c\u200d"
"""Joiners are kept, because they only change how a script is written."""


def printable(text: str) -> str:
    """The text with its line breaks; every other invisible character is replaced."""
    return "".join(ch if ch == "\n" or _has_shape(ch) else _REPLACEMENT for ch in text)


def one_line(text: str, limit: int = 200) -> str:
    """The text on one line, cut to `limit` characters."""
    line = "".join(ch if _has_shape(ch) else _REPLACEMENT for ch in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _has_shape(ch: str) -> bool:
    # Cc, Cf, Cs, Co, Cn: controls, formats, surrogates, private, unassigned; Zl and Zp break lines.
    kind = unicodedata.category(ch)
    return ch in _JOINERS or not (kind[0] == "C" or kind in ("Zl", "Zp"))
