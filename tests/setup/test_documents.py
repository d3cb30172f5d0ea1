"""The reference of settings is what the code makes, and leaves no variable out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from trust.app.settings import described
from trust.app.settings_reference import FILES, READ_BY_COMMANDS, render
from trust.words.language import LANGUAGES

ROOT = Path(__file__).parents[2]
PACKAGES = ("trust", "issuer", "verifier", "ledger", "keys")
_VARIABLE = re.compile(r"\bYINZHENG_[A-Z0-9_]*[A-Z0-9]\b")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_of_settings_is_what_the_code_makes(language: str) -> None:
    made = render(language)
    assert read(f"docs/{FILES[language]}") == made, "run: .venv/bin/python -m trust.app.settings_reference"


def test_every_setting_has_words_in_both_languages() -> None:
    for each in (*described(), *READ_BY_COMMANDS):
        assert all(each.meaning[language].strip() for language in LANGUAGES), each.variable
        assert len({bool(each.unset[language]) for language in LANGUAGES}) == 1, each.variable
        assert re.search(r"[\u4e00-\u9fff]", each.meaning["zh-CN"]), each.variable
        assert not re.search(r"[\u4e00-\u9fff]", each.meaning["en"]), each.variable


def test_every_variable_that_the_code_reads_stands_in_the_reference() -> None:
    known = {each.variable for each in (*described(), *READ_BY_COMMANDS)}
    named = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in _VARIABLE.findall(node.value)
    }
    assert named - known == set()
    assert "YINZHENG_SEEN" in named
