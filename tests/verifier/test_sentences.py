"""Every reason a verdict can have is said in words, in both languages."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.catalogue import members
from support.limits import HANG_SECONDS

import keys.pki.chain
import trust.pdf.gap
import verifier.checks.licence
from trust.app.compose import SERVICE_SANDBOX_JOBS
from trust.model.report import Report, Verdict
from trust.words.language import LANGUAGES
from trust.words.texts import text
from verifier.checks.headlines import HEADLINES as _HEADLINES
from verifier.sentences import seal_words, words_for

_AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_ROOT = Path(trust.pdf.gap.__file__).parents[2]
_SOURCES = [
    *Path(verifier.checks.licence.__file__).parent.glob("*.py"),
    *Path(trust.pdf.gap.__file__).parent.glob("*.py"),
    Path(keys.pki.chain.__file__),
]
_NO_VERDICT = {
    "NO_BUNDLE",
    "NO_ZIP",
    "REPORT_BAD",
    "NOT_REPEATABLE",
}  # of bundles and of reports, not of what is shown
_CODES = {code for path in _SOURCES for code in re.findall(r'code="([A-Z_]+)"', path.read_text("utf-8"))}
_CODES -= _NO_VERDICT
_TOLD = members("verdict.", ".sentence")


def test_there_are_codes_to_look_at() -> None:
    assert {"HASH_FAILURE", "SEAL_PICTURE_DIFFERS", "CERT_EXPIRED", "SES_TERM"} <= _CODES


@pytest.mark.parametrize("code", sorted(_CODES))
def test_each_code_has_a_sentence(code: str) -> None:
    assert _HEADLINES.get(code, code) in _TOLD


@pytest.mark.parametrize("code", sorted(_TOLD))
def test_each_sentence_is_there_in_both_languages(code: str) -> None:
    for language in LANGUAGES:
        assert text(language, f"verdict.{code}.sentence").strip()
        assert text(language, f"verdict.{code}.advice").strip()


def test_workers_that_read_files_of_strangers_know_no_words() -> None:
    # They may open nothing but what was imported for them; a catalogue that is read at first use would be refused.
    jobs = sorted({job.partition(":")[0] for job in SERVICE_SANDBOX_JOBS.values()})
    program = f"import sys, {', '.join(jobs)}; print([m for m in sys.modules if m.startswith('trust.words')])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("now", ["in-force", "expired", "frozen", "withdrawn"])
def test_what_a_seal_is_now_is_told_apart_from_what_it_was(now: str) -> None:
    facts = {
        "seal": {"stamped_at": "2026-11-23T02:00:00+00:00", "now": now},
        "versions": [
            {"stamped_at": "2026-11-24T02:00:00+00:00"},
            {"stamped_at": "2027-11-24T02:00:00+00:00"},
        ],
    }
    zh, en = seal_words(facts, "zh-CN"), seal_words(facts, "en")
    assert [label for label, _ in en] == ["The seal when it was used", "The seal now", "Archived"]
    assert "23 Nov 2026" in en[0][1]
    assert ("stays valid" in en[1][1]) is (now != "in-force")
    assert en[2][1].startswith("2 times, last on 24 Nov 2027")
    assert ("依然有效" in zh[1][1]) is (now != "in-force")
    assert "已归档 2 次，最近于 2027年11月24日" in zh[2][1]


def test_of_a_code_nothing_is_said_about_a_file() -> None:
    assert seal_words({}, "en") == []


def test_each_state_of_a_seal_that_the_verifier_names_has_words() -> None:
    source = inspect.getsource(verifier.checks.licence._seal_now)
    assert set(re.findall(r'"([a-z-]+)"', source)) == members("seal.now.")


def test_further_seals_are_told_with_what_they_are_for() -> None:
    stamped = {"stamped_at": "2026-11-23T02:00:00+00:00", "now": "in-force"}
    facts = {
        "seal": {**stamped, "role": "legal"},
        "further_seals": [
            {**stamped, "role": "personal", "name": "沈青禾", "suite": "SM2-SM3"},
            {**stamped, "role": "abroad", "name": "x", "suite": "RSA3072-SHA256"},
        ],
    }
    chinese, english = dict(seal_words(facts, "zh-CN")), dict(seal_words(facts, "en"))
    assert chinese["责任人名章"] == "沈青禾，2026年11月23日"
    assert "SM2 印章为准" in chinese["供境外核验的印章"]
    assert "in law the authority's seal in SM2 counts" in english["Seal for readers abroad"]


@pytest.mark.parametrize("code", ["REVOKED", "SUSPENDED", "REPLACED"])
def test_what_a_list_does_not_say_is_not_put_as_a_dash(code: str) -> None:
    for language in ("zh-CN", "en"):
        words = words_for(Report("pdf", _AT, Verdict.FAILED, code, ()), language)
        assert "—" not in words.sentence
        facts = {"status": {"changed_at": "2026-11-21T10:00:00+08:00"}}
        dated = words_for(Report("pdf", _AT, Verdict.FAILED, code, (), facts), language)
        assert "2026" in dated.sentence
