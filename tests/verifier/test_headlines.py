"""Every code that is raised anywhere has its row, and its row its words in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate
from support.catalogue import members

import trust.model
from trust.model.report import Finding, Report, Result, Verdict
from trust.words.language import LANGUAGES
from trust.words.refusals import refusal_zh, violation_zh
from verifier.checks.foreign import code_of
from verifier.checks.headlines import HEADLINES, headline_of
from verifier.sentences import remark_words, words_for

_AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_ROOT = Path(trust.model.__file__).parents[2]
_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_WITH_CODES = {"Finding", "not_read", "_Judged", "_Outcome", "Report"}
"""What is called with a code in its place."""


def _literals(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if _CODE.fullmatch(text):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _literals(one)
            yield from _literals(other)


def _codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [each.value for each in node.keywords if each.arg == "code"]
            for value in [*given, *(node.args if called in _WITH_CODES else [])]:
                yield from _literals(value)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "code":
                    yield from _literals(line.value)


def _raised() -> dict[str, set[str]]:
    """Each code, and who raises it: a package, or the rooms of the verifier that judge."""
    found: dict[str, set[str]] = {}
    for package in ("trust", "keys", "ledger", "issuer", "verifier"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            judges = package == "verifier" and path.relative_to(_ROOT / package).parts[0] in _JUDGES
            for code in _codes_in(ast.parse(path.read_text("utf-8"))):
                found.setdefault(code, set()).add("judges" if judges else package)
    return found


def _with_words_of_their_own() -> set[str]:
    """Codes that are raised with a whole sentence in Chinese, which says more than a row could."""
    found: set[str] = set()
    for path in sorted(
        p for name in ("trust", "keys", "ledger", "issuer") for p in (_ROOT / name).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and any(each.arg == "zh" for each in node.keywords):
                # The code is a keyword of an error, and the second value of a violation.
                given = [each.value for each in node.keywords if each.arg == "code"] or node.args[1:2]
                found.update(code for value in given for code in _literals(value))
    return found


_REMARKS = members("remark.")
_JUDGES = ("checks", "evidence", "reports")
_RAISED = _raised()
_WORDED = _with_words_of_their_own()
_TOLD_AS_ERRORS = {"NO_BUNDLE", "NO_ZIP", "REPORT_BAD", "NOT_REPEATABLE"}
"""Of bundles and of reports, not of what is shown."""


def test_there_are_codes_to_look_at() -> None:
    assert len(_RAISED) > 150
    assert {"HASH_FAILURE", "SES_TERM", "BUSY", "SIGNATURE_NOT_SUPPORTED", "IDENTITY_CHECK"} <= set(_RAISED)


@pytest.mark.parametrize("code", sorted(_RAISED))
def test_every_code_has_its_row(code: str) -> None:
    assert code in HEADLINES or code in _REMARKS or refusal_zh(code) or violation_zh(code) or code in _WORDED


@pytest.mark.parametrize("code", sorted(code for code, by in _RAISED.items() if "judges" in by))
def test_every_code_of_the_verifier_has_a_headline(code: str) -> None:
    assert code in HEADLINES or code in _REMARKS or code in _TOLD_AS_ERRORS


@pytest.mark.parametrize("code", sorted(HEADLINES))
def test_every_row_has_its_words_in_both_languages(code: str) -> None:
    for verdict in Verdict:
        report = Report("pdf", _AT, verdict, HEADLINES[code], ())
        zh, en = words_for(report, "zh-CN"), words_for(report, "en")
        assert re.search("[\u4e00-\u9fff]", zh.sentence)
        assert re.search("[a-z]", en.sentence)
        assert not re.search("[\u4e00-\u9fff]", en.sentence + en.advice)
    assert HEADLINES[code] in members("verdict.", ".sentence")


@pytest.mark.parametrize("code", sorted(_REMARKS))
def test_every_remark_has_its_words_in_both_languages(code: str) -> None:
    zh, en = (remark_words(code, language) or "" for language in LANGUAGES)
    assert re.search("[\u4e00-\u9fff]", zh)
    assert re.search("[a-z]", en)
    assert not re.search("[\u4e00-\u9fff]", en)


@pytest.mark.parametrize("indication", [*AdESIndeterminate, *AdESFailure], ids=lambda each: each.name)
def test_every_word_of_the_library_becomes_one_of_ours(indication: AdESIndeterminate | AdESFailure) -> None:
    assert code_of(indication.standard_name) in HEADLINES


@pytest.mark.parametrize("code", ["SIG_CRYPTO_FAILURE", "NOTE_UNSIGNED", "MALFORMED", "NOTE_SIGNATURE_BAD"])
def test_whatever_is_wrong_with_a_receipt_it_is_the_ledger_that_does_not_fit(code: str) -> None:
    assert headline_of(Finding("ledger.receipt", Result.FAILED, code)) == "LEDGER_MISMATCH"


def test_a_forged_list_is_called_forged_and_an_old_one_old() -> None:
    words = {}
    for code in ("TRUST_LIST_BAD", "STATUS_LIST_BAD", "STATUS_STALE"):
        report = Report("pdf", _AT, Verdict.INDETERMINATE, HEADLINES[code], ())
        words[code] = (words_for(report, "zh-CN").sentence, words_for(report, "en").sentence)
    for code in ("TRUST_LIST_BAD", "STATUS_LIST_BAD"):
        assert ("伪造" in words[code][0], "forged" in words[code][1]) == (True, True)
    assert "forged" not in words["STATUS_STALE"][1]


def test_what_is_broken_is_called_changed_only_where_it_was_a_licence() -> None:
    for verdict, changed in ((Verdict.FAILED, True), (Verdict.INDETERMINATE, False)):
        words = words_for(Report("pdf", _AT, verdict, "BROKEN_PDF", ()), "en")
        assert ("or was changed" in words.sentence) is changed
