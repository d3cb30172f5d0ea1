"""The languages of the product, and dates for display."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from trust.encoding.ecertificate_data import CHINA

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")


def show_date(value: str | None, language: Language) -> str:
    """A date (ISO 8601, in China's time) as 2026年11月21日 or 21 Nov 2026; a dash for none."""
    if not value:
        return "—"
    at = datetime.fromisoformat(value)
    day = at.astimezone(CHINA) if at.tzinfo else at
    if language == "zh-CN":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {day:%b} {day.year}"
