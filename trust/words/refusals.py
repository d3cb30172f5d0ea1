"""The Chinese texts of refusals, by code. The English text is where each refusal is raised.

In the catalogue (`trust.words.texts`) they are `refusal.<CODE>` for errors and `violation.<CODE>` for fields that were
refused; only zh_CN.po has them.
"""

from __future__ import annotations

from trust.words.texts import find_text


def refusal_zh(code: str) -> str | None:
    """What an error with this code says in Chinese: one sentence what, one what to do. None if it has no row."""
    return find_text("zh-CN", f"refusal.{code}")


def violation_zh(code: str) -> str | None:
    """Why a field was refused, in Chinese, by the code of the rule. None if it has no row."""
    return find_text("zh-CN", f"violation.{code}")
