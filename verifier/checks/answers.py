"""Decoding what readers answer, without the libraries that readers need, so that those who ask start fast.

A reader may have been taken over by the file that it read: its answer is decoded strictly, and comparing the seal's
picture is another worker's job.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

from trust.model.errors import OperationalError, TrustError
from verifier.checks.seal_on_page import SealOnPage
from verifier.checks.steps import Examination, Steps, decode_findings

PICTURE = "seal.picture"
"""Name of the check that the page shows the seal's own picture."""
_MOST_SEEN = 4096
Compare = Callable[[SealOnPage], None]
"""Returns if both show the same picture.

Raises `VerificationError` (SEAL_PICTURE_DIFFERS, SEAL_NOT_SHOWN, SES_MALFORMED).
"""


class ComparedBefore:
    """Calls `compare` only for pairs that have not agreed before: a seal shows the same picture on every file."""

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._agree: set[tuple[bytes, bytes, int]] = set()
        self._lock = threading.Lock()

    def __call__(self, seal: SealOnPage) -> None:
        key = seal.key
        with self._lock:
            if key in self._agree:
                return
        self._compare(seal)
        with self._lock:
            if len(self._agree) >= _MOST_SEEN:
                self._agree.clear()
            self._agree.add(key)


def decode_examination(answer: dict[str, Any], compare: Compare) -> Examination:
    """Decodes the answer of `examine_pdf_job` and calls `compare` for every seal picture in it."""
    found = Examination(
        decode_findings(answer["findings"]),
        dict(answer["facts"]),
        base64.b64decode(answer["data"]) if answer["data"] is not None else None,
    )
    for shown, drawing, picture, width_mm in answer["pictures"]:
        seal = SealOnPage(
            base64.b64decode(shown), bytes.fromhex(drawing), base64.b64decode(picture), width_mm
        )
        try:
            compare(seal)
        except OperationalError:
            raise  # the comparing worker cannot work; says nothing about the file
        except TrustError as exc:
            _undo_from_picture(found, exc)
            break
    return found


def _undo_from_picture(found: Examination, exc: TrustError) -> None:
    """Records the failed picture and drops every result of a later check, as if examination had stopped there."""
    checks = [each.check for each in found.findings]
    del found.findings[checks.index(PICTURE) :]
    Steps(found).fail(PICTURE, exc)
    found.facts.pop("ledger", None)
    found.data = None


def decode_texts(answer: dict[str, Any]) -> list[str]:
    """The texts in the answer of a job that reads codes. Raises `ValueError` for anything else."""
    texts = answer["texts"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a list of texts")
    return texts
