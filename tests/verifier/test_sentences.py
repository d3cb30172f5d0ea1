"""Every reason a verdict can have is said in words, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import keys.pki.chain
import trust.pdf.gap
import verifier.examine
from verifier.sentences import _SENTENCES
from verifier.verifying import _HEADLINES

_SOURCES = [
    *Path(verifier.examine.__file__).parent.glob("*.py"),
    *Path(trust.pdf.gap.__file__).parent.glob("*.py"),
    Path(keys.pki.chain.__file__),
]
_NO_VERDICT = {"NO_BUNDLE"}  # said before anything is verified: the folder is not a bundle
_CODES = {code for path in _SOURCES for code in re.findall(r'code="([A-Z_]+)"', path.read_text("utf-8"))}
_CODES -= _NO_VERDICT


def test_there_are_codes_to_look_at() -> None:
    assert {"HASH_FAILURE", "SEAL_PICTURE_DIFFERS", "CERT_EXPIRED", "SES_TERM"} <= _CODES


@pytest.mark.parametrize("code", sorted(_CODES))
def test_each_code_has_a_sentence(code: str) -> None:
    assert _HEADLINES.get(code, code) in _SENTENCES


@pytest.mark.parametrize("code", sorted(_SENTENCES))
def test_each_sentence_is_there_in_both_languages(code: str) -> None:
    for sentence, advice in _SENTENCES[code]:
        assert sentence.strip()
        assert advice.strip()
