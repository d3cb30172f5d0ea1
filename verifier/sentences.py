"""Chooses the texts of a verdict for people: a headline, a sentence and advice, in zh-CN and en.

They are chosen by the report's code, so that pages, the command line and the API say the same. The texts are in the
catalogue (`trust.words.texts`):

    verdict.headline.<colour>                     the verdict in a word or two
    verdict.<CODE>.sentence, .advice, .undated    why, and what to do; undated: for a status of which no day is known
    check.<name>, remark.<CODE>, not_checked.<name>, reason.<reason>, seal.…, signer.…

A sentence may use {date}, {until}, {reason} and {issuer}; an unknown value becomes a dash. A code without a sentence
of its own gets its verdict's sentence; a test ensures that all our codes have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trust.model.report import Report, Result, Verdict
from trust.words.language import LANGUAGES, Language, show_date
from trust.words.texts import find_text, text


@dataclass(frozen=True, slots=True)
class Words:
    """`headline` is the verdict in a word or two; `sentence` says why; `advice` what to do next."""

    headline: str
    sentence: str
    advice: str


_FALLBACK: Mapping[Verdict, str] = {
    Verdict.PASSED: "OK",
    Verdict.FAILED: "BAD_SEAL",
    Verdict.INDETERMINATE: "NOT_PROVEN",
}
"""The code whose sentence a verdict gets if its own code has none."""


_TYPED = {
    "identifier": "TYPED_IDENTIFIER",
    "credit-code": "TYPED_HOLDER",
    "identity-number": "TYPED_HOLDER",
    "report-code": "TYPED_REPORT_CODE",
    "number": "TYPED_NUMBER",
}
"""Texts for typed input that is not a code (`facts["typed"]`)."""


_OF_OTHERS = {"STATUS_STALE": "SIGNER_STATUS_UNKNOWN", "UNKNOWN_ISSUER": "UNKNOWN_SIGNER"}
"""Codes with another text for files signed by others, where a bundle of ours would not help."""


def words_for(report: Report, language: Language) -> Words:
    """The texts of a report. Dates are in China's time and in the usual form of the language."""
    is_foreign = report.is_passed_of_others
    code = _told_as(report)
    if find_text(language, f"verdict.{code}.sentence") is None:
        code = _FALLBACK[report.verdict]
    status: Any = report.facts.get("status") or {}
    ecertificate: Any = report.facts.get("ecertificate") or {}
    presentation: Any = report.facts.get("presentation") or {}
    issuer_zh, issuer_en = ecertificate.get("issuer_name_zh"), ecertificate.get("issuer_name_en")
    values = {
        "date": show_date(status.get("changed_at"), language),
        "until": show_date(ecertificate.get("valid_until") or _valid_until(report), language),
        "reason": find_text(language, f"reason.{status.get('reason')}") or text(language, "reason.unknown"),
        "deployment": _deployment_name(report.facts, language),
        "audience": str(presentation.get("audience") or ""),
        "issuer": (issuer_en if language == "en" else issuer_zh)
        or issuer_zh
        or text(language, "verdict.unnamed_issuer"),
    }
    sentence = text(language, f"verdict.{code}.sentence")
    if not status.get("changed_at"):  # a status list says what holds, and not since when
        sentence = find_text(language, f"verdict.{code}.undated") or sentence
    return Words(
        headline=text(language, f"verdict.headline.{'foreign' if is_foreign else report.colour}"),
        sentence=sentence.format(**values),
        advice=text(language, f"verdict.{code}.advice"),
    )


def _told_as(report: Report) -> str:
    """The code whose words a report gets: its own, unless it says too much or too little for what was checked."""
    code = report.code
    if report.is_passed_of_others:
        code = "FOREIGN_REVOCATION_NOT_CHECKED" if "revocation" in report.not_checked else "FOREIGN"
    if report.facts.get("profile") == "foreign" and _decided_by_signature(report):
        code = _OF_OTHERS.get(code, code)
    if code == "UNREADABLE" and report.kind.endswith("code"):
        code = "CODE_DAMAGED"
    if code == "NOT_OURS" and report.facts.get("typed") in _TYPED:
        code = _TYPED[str(report.facts["typed"])]
    if code == "BROKEN_PDF" and report.verdict is Verdict.INDETERMINATE:
        code = "BROKEN_AND_UNKNOWN"
    return code


def _decided_by_signature(report: Report) -> bool:
    """True if the deciding finding is about a signature by others, not about a list of ours."""
    undecided = [f for f in report.findings if f.result in (Result.FAILED, Result.INDETERMINATE)]
    return bool(undecided) and undecided[0].check.startswith("signature.")


def messages_of(report: Report) -> dict[str, dict[str, str]]:
    """The texts in both languages, for a report's JSON."""
    found = {language: words_for(report, language) for language in LANGUAGES}
    return {
        language: {"headline": words.headline, "sentence": words.sentence, "advice": words.advice}
        for language, words in found.items()
    }


def check_name(check: str, language: Language) -> str | None:
    """What a check is called: `seal.time` is the time-stamp. None if it has no name for people."""
    return find_text(language, f"check.{check}")


def remark_words(code: str, language: Language) -> str | None:
    """What is told beside a verdict and has no say in it, by the code of its finding; None for any other code."""
    return find_text(language, f"remark.{code}")


def not_checked_words(name: str, language: Language) -> str:
    """What a verdict says nothing about, by its name in `Report.not_checked`."""
    return text(language, f"not_checked.{name}")


def seal_words(facts: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """Labelled texts: the signers of a file of others; a licence's deployment, if not ours; its seal then and now;
    whether it was archived.

    Only for reports whose object is what was sealed. For a code, only the deployment.
    """
    seal: Mapping[str, Any] = facts.get("seal") or {}
    versions: Any = facts.get("versions") or []
    lines = signer_words(facts, language)
    if deployment := _deployment_name(facts, language):
        lines.append((text(language, "seal.label.deployment"), deployment))
    if seal:
        when = show_date(seal.get("stamped_at"), language)
        lines.append((text(language, "seal.label.used"), text(language, "seal.used", when=when)))
    if now := find_text(language, f"seal.now.{seal.get('now')}"):
        lines.append((text(language, "seal.label.now"), now))
    for further in facts.get("further_seals") or []:
        key = f"seal.further.{further.get('role')}"
        if label := find_text(language, f"{key}.label"):
            when = show_date(further.get("stamped_at"), language)
            name, suite = further.get("name"), further.get("suite")
            lines.append((label, text(language, f"{key}.value", name=name, suite=suite, when=when)))
    if versions:
        last = show_date(versions[-1]["stamped_at"], language)
        key = "seal.archived.often" if len(versions) > 1 else "seal.archived.once"
        lines.append(
            (text(language, "seal.label.archived"), text(language, key, count=len(versions), last=last))
        )
    return lines


def signer_words(facts: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """Labelled texts on each signature in a file of others: signer, level, time if proven, and what it shows."""
    unproven = text(language, "signer.time_unproven")
    shows = text(language, "signer.added_picture")
    lines: list[tuple[str, str]] = []
    for signature in facts.get("signatures") or ():
        if signature["format"] == "RFC3161" or not signature["signer"]:
            continue
        when = signature.get("best_time")
        parts = [
            signature["signer"],
            signature["format"],
            show_date(when, language) if when else unproven,
            # What the first signature shows was there when it signed; signers before a later one have not seen its.
            shows if signature["is_shown"] and lines else "",
        ]
        label = text(language, "signer.named" if signature["passed"] else "signer.claimed")
        lines.append((label, " · ".join(filter(None, parts))))
    remarks = [remark_words(code, language) for code in facts.get("remarks") or ()]
    lines += [(text(language, "signer.remark"), remark) for remark in remarks if remark]
    return lines


def _deployment_name(facts: Mapping[str, Any], language: Language) -> str:
    deployment: Mapping[str, Any] = facts.get("deployment") or {}
    return str(deployment.get("name_en" if language == "en" else "name_zh", ""))


def _valid_until(report: Report) -> str | None:
    return next((f.detail for f in report.findings if f.check == "validity" and f.code == "EXPIRED"), None)
