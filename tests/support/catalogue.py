"""The rows of the catalogue of words, for tests that hold codes against them."""

from __future__ import annotations

import re

from trust.words.texts import load_texts

OF_REPORTS = re.compile(
    r"verdict\.(headline\.|[A-Z]|unnamed_issuer)|(reason|check|remark|not_checked|seal|signer)\.|package\.(property|check)\."
)
"""How keys of what reports say begin; all others that both languages have are asked for by pages."""
REFUSALS = ("refusal.", "violation.")
"""Families that only Chinese has: the English words stand where each refusal is made."""


def members(family: str, ending: str = "") -> set[str]:
    """What stands between `family` and `ending` in the keys that are of this form; in Chinese, which has every key."""
    keys = [key for key in load_texts("zh-CN") if key.startswith(family) and key.endswith(ending)]
    assert keys, f"no key is of the form {family}…{ending}"
    return {key.removeprefix(family).removesuffix(ending) for key in keys}
