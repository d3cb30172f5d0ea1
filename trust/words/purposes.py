"""The purposes for which an e-certificate is shown or checked."""

from __future__ import annotations

from trust.words.language import Language
from trust.words.texts import text

PURPOSES = ("window", "inspection", "contract", "bank", "employment", "other")


def shown_purpose(purpose: str, language: Language) -> str:
    """A purpose of our list in the reader's language; any other purpose as its holder wrote it."""
    for name in PURPOSES:
        if purpose == text("zh-CN", f"purpose.{name}"):
            return text(language, f"purpose.{name}")
    return purpose
