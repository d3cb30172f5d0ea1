"""The state of a running examination: findings, facts, and the translation of exceptions into findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from trust.model.errors import EvidenceUnavailableError, TrustError
from trust.model.report import Finding, Result

T = TypeVar("T")


@dataclass(slots=True)
class Examination:
    """`facts` are JSON values; `data` is the attached file once its seal has passed."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    data: bytes | None = None


def encode_findings(findings: Sequence[Finding]) -> list[list[str]]:
    """The findings as JSON values, to be sent from a worker."""
    return [[f.check, f.result.value, f.code, f.detail] for f in findings]


def decode_findings(encoded: Sequence[Sequence[str]]) -> list[Finding]:
    """The inverse of `encode_findings`. Raises `ValueError` for anything else."""
    if not all(isinstance(text, str) for finding in encoded for text in finding):
        raise ValueError("findings are texts")
    return [Finding(check, Result(result), code, detail) for check, result, code, detail in encoded]


CLOCKS_APART = timedelta(minutes=5)
"""How far two clocks that both count as correct may differ."""


def is_ahead(moment: datetime, verified_at: datetime) -> bool:
    """True if `moment` is so far after the time of this check that one of the two clocks must be wrong."""
    return moment > verified_at + CLOCKS_APART


def check_not_ahead(moment: datetime, verified_at: datetime) -> None:
    """Raises `EvidenceUnavailableError` (TIME_AHEAD): either clock may be the wrong one, so nothing is proven."""
    if is_ahead(moment, verified_at):
        raise EvidenceUnavailableError(
            f"It is dated {moment.isoformat()}, and the time of this check is {verified_at.isoformat()}.",
            "Check the date of this machine.",
            code="TIME_AHEAD",
        )


class Steps:
    """Turns what a check raises into its finding, in one place.

    Unreadable content proves nothing, in particular not that it was changed. A broken PDF is FAILED only if it is known
    to be a licence (`is_licence`), because every issued file can be read.
    """

    def __init__(self, examination: Examination, *, is_licence: bool = False) -> None:
        self._findings = examination.findings
        self.is_licence = is_licence

    def take(self, check: str, step: Callable[[], T]) -> T | None:
        """Returns the step's value and notes PASSED; if it raises, notes FAILED or INDETERMINATE and returns None."""
        try:
            value = step()
        except TrustError as exc:
            self.fail(check, exc)
            return None
        except Exception as exc:  # a parser may raise anything; that means neither "passed" nor "changed"
            detail = f"cannot be read: {type(exc).__name__}"
            self._findings.append(Finding(check, Result.INDETERMINATE, "CANNOT_BE_READ", detail))
            return None
        self._findings.append(Finding(check, Result.PASSED))
        return value

    def fail(self, check: str, exc: TrustError) -> None:
        broken = exc.code == "BROKEN_PDF" and not self.is_licence
        undecided = isinstance(exc, EvidenceUnavailableError) or broken or exc.code in _UNDECIDED
        result = Result.INDETERMINATE if undecided else Result.FAILED
        self._findings.append(Finding(check, result, exc.code, exc.what))


_UNDECIDED = frozenset(
    {
        "NOT_A_PDF",
        "TOO_LARGE",
        "LIMIT_EXCEEDED",
        "ENCRYPTED",
        "PARTIAL_COVER",
        "SIGNATURE_NOT_SUPPORTED",
    }
)
