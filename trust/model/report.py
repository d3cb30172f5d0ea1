"""The result of a verification: findings, a verdict and a report (in the terms of EN 319 102-1 for seals).

A finding answers one question. The verdict is the worst of them: PASSED only if every required check passed and none
failed; a check that could not be made gives INDETERMINATE. The headline `code` is that of the first finding, in the
fixed order of the checks, that decided the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    PASSED = "PASSED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"


class Result(StrEnum):
    PASSED = "PASSED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"
    NOT_CHECKED = "NOT_CHECKED"


class Colour(StrEnum):
    """The colour of a verdict, which is always shown with an icon and a word."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    GREY = "grey"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names the question (`seal.signature`), `code` the reason; `detail` is for experts."""

    check: str
    result: Result
    code: str = "OK"
    detail: str = ""


_COLOURS = {
    "OK": Colour.GREEN,
    "SUSPENDED": Colour.AMBER,
    "REPLACED": Colour.AMBER,
    "CODE_EXPIRED": Colour.AMBER,
    "CODE_USED": Colour.AMBER,
    "NOT_OURS": Colour.GREY,
    "UNREADABLE": Colour.GREY,
    "NOT_A_PDF": Colour.GREY,
    "TOO_LARGE": Colour.GREY,
    "KIND_HEIC": Colour.GREY,
    "KIND_OFD": Colour.GREY,
    "KIND_OFFICE": Colour.GREY,
    "KIND_PACKED": Colour.GREY,
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the status in the verdict is, and until when its source is valid."""

    as_of: datetime
    next_update: datetime | None
    online: bool


BETWEEN_VALUES = "；"
"""The separator between values of a list, the same as on the page, so that people can compare them."""


@dataclass(frozen=True, slots=True)
class ShownField:
    """One field for a person to compare with the paper or the page."""

    name: str
    label_zh: str
    label_en: str
    value: str


@dataclass(frozen=True, slots=True)
class Report:
    """`kind` is pdf, printed-code, live-code or nothing; `facts` are the machine's details, no sentences."""

    kind: str
    verified_at: datetime
    verdict: Verdict
    code: str
    findings: Sequence[Finding]
    facts: Mapping[str, object] = field(default_factory=dict)
    shown: Sequence[ShownField] = ()
    freshness: Freshness | None = None
    not_checked: Sequence[str] = ()

    @property
    def colour(self) -> Colour:
        if self.is_passed_of_others:
            return Colour.AMBER  # green is for e-certificates only; here a person must check the signer
        if self.code in _COLOURS:
            return _COLOURS[self.code]
        return Colour.RED if self.verdict is Verdict.FAILED else Colour.AMBER

    @property
    def is_passed_of_others(self) -> bool:
        """True for a signed PDF of others that passed, which is no licence of ours or of a member of the trust list."""
        return self.verdict is Verdict.PASSED and self.facts.get("profile") == "foreign"

    @property
    def was_read(self) -> bool:
        """False if there was nothing to judge, which gives exit code 3 and a grey page."""
        return self.colour is not Colour.GREY


LICENCE_CHECKS = frozenset({"status", "validity", "code.live"})
"""Checks of what has become of an e-certificate since it was issued, and of how it is shown."""


def is_as_sealed(verdict: Verdict, findings: Iterable[tuple[str, Result]]) -> bool:
    """True if the object is what was sealed: whatever is wrong is a fact about the licence or its showing.

    `findings`: checks with their results. Only then may anything of the object's own data be shown or believed: what
    stands in a changed object would lend it credit, and anyone can write a public id.
    """
    wrong = {check for check, result in findings if result in (Result.FAILED, Result.INDETERMINATE)}
    return wrong <= LICENCE_CHECKS and (verdict is Verdict.PASSED or bool(wrong))


def decide(findings: Sequence[Finding], required: Sequence[str]) -> tuple[Verdict, str]:
    """Verdict and headline code. A required check without a finding counts as not made, so it is not passed."""
    for finding in findings:
        if finding.result is Result.FAILED:
            return Verdict.FAILED, finding.code
    for finding in findings:
        if finding.result is Result.INDETERMINATE:
            return Verdict.INDETERMINATE, finding.code
    passed = {finding.check for finding in findings if finding.result is Result.PASSED}
    if not passed or not passed.issuperset(required):
        return Verdict.INDETERMINATE, "NOT_PROVEN"
    return Verdict.PASSED, "OK"
