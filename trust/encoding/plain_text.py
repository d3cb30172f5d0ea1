"""Text of others made fit to be shown: what would move a cursor, turn the direction of reading or hide is replaced.

A name in a certificate or in a file may hold terminal control sequences, line breaks or the direction marks of
Unicode (UAX #9), by which it would be read as something else than it says.
"""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINERS = "\u200c\u200d"
"""They change how a script is written and not what is read."""


def printable(text: str) -> str:
    """The text with its line breaks; every other character without a shape is replaced."""
    return "".join(ch if ch == "\n" or _has_shape(ch) else _REPLACEMENT for ch in text)


def one_line(text: str, limit: int = 200) -> str:
    """At most `limit` characters on one line."""
    line = "".join(ch if _has_shape(ch) else _REPLACEMENT for ch in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _has_shape(ch: str) -> bool:
    # Cc, Cf, Cs, Co, Cn: controls, formats, halves of pairs, private, unassigned; Zl and Zp break lines.
    kind = unicodedata.category(ch)
    return ch in _JOINERS or not (kind[0] == "C" or kind in ("Zl", "Zp"))
