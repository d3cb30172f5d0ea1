"""The view of a report that the verdict template shows.

The view is made from the same JSON that machines get, so that page and API cannot differ. If the object is not what
was sealed, none of its data is shown (type, issuer, fields), and only the checks that decided: showing genuine parts
would lend credibility to the rest.

A verdict has no address. To show it again in the other language or to save it as JSON, the page carries the report in
a form, authenticated and valid for a quarter of an hour; a report that is not ours or is too old is not shown.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trust.model.errors import NotFound
from trust.model.report import Result, Verdict, is_as_sealed
from trust.words.language import Language
from trust.words.purposes import shown_purpose
from trust.words.texts import show_time, text
from trust.words.values import show_value
from verifier.sentences import check_name, not_checked_words, seal_words

_GOOD_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Line:
    """A label and its value; `state` is PASSED, FAILED, INDETERMINATE, NOT_CHECKED or empty."""

    label: str
    value: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class VerdictView:
    colour: str
    headline: str
    sentence: str
    advice: str
    type_name: str
    issuer: str
    fields: Sequence[Line]
    checks: Sequence[Line]
    not_checked: Sequence[str]
    notes: Sequence[str]
    about: Sequence[Line]
    technical: Sequence[Line]
    report_code: str
    """The code under which the report was filed; empty if it was not filed."""
    portrait: str
    """The holder's photograph (JPEG, base64); empty if there is none to show."""
    withheld: bool
    """True if the object contains data that is not shown because the object cannot be trusted."""


def view_of(
    report: Mapping[str, Any],
    language: Language,
    *,
    issuers_en: Mapping[str, str],
    types: Mapping[str, tuple[str, str]],
    checked_by: str = "",
    purpose: str = "",
    portrait: str | None = None,
) -> VerdictView:
    """The view of a report.

    `issuers_en`: English names by authority; `types`: Chinese and English names by short name; `purpose`: the purpose
    of a desk's check.
    """
    words = report["messages"][language]
    facts = report["facts"]
    believed = _is_believed(report)
    ecertificate = (facts.get("ecertificate") or {}) if believed else {}
    return VerdictView(
        colour=report["colour"],
        headline=words["headline"],
        sentence=words["sentence"],
        advice=words["advice"],
        type_name=_type_name(ecertificate, language, types),
        issuer=_issuer(ecertificate, language, issuers_en),
        fields=_fields(report, language, portrait) if believed else [],
        checks=_checks(report, language, believed),
        not_checked=[not_checked_words(name, language) for name in report["not_checked"]] if believed else [],
        notes=_notes(facts.get("presentation") or {}, language, purpose),
        about=_about(report, language, checked_by, believed),
        technical=_technical(report, language),
        report_code=report.get("report_code") or "",
        portrait=portrait if believed and portrait else "",
        withheld=not believed and report["colour"] != "grey",
    )


# --- A report that a page carries ---


@dataclass(frozen=True, slots=True)
class CarriedReports:
    """Encodes authenticated reports for a form's hidden field, and decodes them."""

    key: bytes

    def seal(self, report: Mapping[str, Any], at: datetime) -> str:
        until = int((at + _GOOD_FOR).timestamp())
        payload = json.dumps({"until": until, "report": report}, ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode()

    def open(self, carried: str, at: datetime) -> dict[str, Any]:
        """The carried report. Raises `NotFound` (RESULT_GONE) if it is not ours or too old."""
        gone = NotFound("The result is no longer at hand.", "Check again.", code="RESULT_GONE")
        try:
            data = base64.b64decode(carried, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise gone from exc
        mac, payload = data[:32], data[32:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise gone
        value = json.loads(payload)
        if at.timestamp() > value["until"]:
            raise gone
        report: dict[str, Any] = value["report"]
        return report

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self.key, payload, "sha256")


# --- Parts of the view ---


def _is_believed(report: Mapping[str, Any]) -> bool:
    findings = ((each["check"], Result(each["result"])) for each in report["findings"])
    return is_as_sealed(Verdict(report["verdict"]), findings)


def _type_name(
    ecertificate: Mapping[str, Any], language: Language, types: Mapping[str, tuple[str, str]]
) -> str:
    known_zh, known_en = types.get(str(ecertificate.get("type")), ("", ""))
    zh = ecertificate.get("type_name_zh") or known_zh
    en = ecertificate.get("type_name_en") or known_en
    return str((en if language == "en" else zh) or zh or en)


def _issuer(ecertificate: Mapping[str, Any], language: Language, issuers_en: Mapping[str, str]) -> str:
    zh = ecertificate.get("issuer_name_zh") or ""
    en = ecertificate.get("issuer_name_en") or issuers_en.get(str(ecertificate.get("issuer")), "")
    return str((en if language == "en" else zh) or zh)


def _fields(report: Mapping[str, Any], language: Language, portrait: str | None) -> list[Line]:
    fields = [_field(shown, language) for shown in report["shown"]]
    if (report["facts"].get("ecertificate") or {}).get("photo_sha256") and not portrait:
        # The photograph is not available here but the page shows one, so tell the reader to compare it.
        fields.insert(0, Line(text(language, "verdict.photo"), text(language, "verdict.photo_on_page")))
    return fields


def _field(shown: Mapping[str, str], language: Language) -> Line:
    label = shown["label_en"] if language == "en" else shown["label_zh"]
    return Line(label, show_value(shown["value"], language))


def _checks(report: Mapping[str, Any], language: Language, believed: bool) -> list[Line]:
    if report["colour"] == "grey":
        return []
    lines = []
    for finding in report["findings"]:
        state = finding["result"]
        if not believed and state == "PASSED":
            continue
        kind, _, number = finding["check"].partition(".")
        name = (
            check_name(finding["check"], language)
            or check_name(kind, language)
            or text(language, "verdict.other_check")
        )
        if number.isdigit():
            name = f"{name} {number}"
        lines.append(Line(name, text(language, f"result.{state}"), state))
    return sorted(lines, key=lambda line: line.state == "PASSED")  # failures first


def _notes(presentation: Mapping[str, Any], language: Language, wanted: str) -> list[str]:
    if not presentation:
        return []
    notes = []
    purpose = shown_purpose(str(presentation["purpose"]), language)
    if presentation["code_state"] in ("FRESH", "REPEAT"):
        notes.append(text(language, "verdict.shown_for", purpose=purpose))
        if presentation.get("audience"):
            notes.append(text(language, "verdict.shown_to", audience=str(presentation["audience"])))
        if wanted and wanted != purpose:
            notes.append(text(language, "verdict.other_purpose", purpose=wanted))
        if int(presentation["level"]) < 2:
            notes.append(text(language, f"verdict.level.{int(presentation['level'])}"))
    if presentation["code_state"] == "REPEAT":
        notes.append(text(language, "verdict.repeat"))
    if presentation["code_state"] == "USED" and presentation["used_at"]:
        at = datetime.fromisoformat(presentation["used_at"])
        notes.append(text(language, "verdict.used_at", at=show_time(at, language)))
    return notes


def _about(report: Mapping[str, Any], language: Language, checked_by: str, believed: bool) -> list[Line]:
    lines = []
    if believed:
        lines += [Line(label, value) for label, value in seal_words(report["facts"], language)]
    freshness = report["freshness"] if believed else None
    if freshness:
        key = "verdict.status_online" if freshness["online"] else "verdict.status_listed"
        as_of = show_time(datetime.fromisoformat(freshness["as_of"]), language)
        lines.append(Line(text(language, "verdict.status_as_of"), text(language, key, at=as_of)))
    anchor = (report["facts"].get("status") or {}).get("ledger") if believed else None
    if anchor and anchor["witnesses"]:
        lines.append(Line(text(language, "verdict.witnessed"), ", ".join(anchor["witnesses"])))
    verified_at = show_time(datetime.fromisoformat(report["verified_at"]), language)
    lines.append(Line(text(language, "verdict.verified_at"), verified_at))
    kind = f"kind.{report['kind']}"
    lines.append(Line(text(language, "verdict.what"), text(language, kind)))
    if checked_by:
        lines.append(Line(text(language, "verdict.checked_by"), checked_by))
    if report.get("report_code"):
        lines.append(Line(text(language, "verdict.report_code"), report["report_code"]))
    return lines


def _technical(report: Mapping[str, Any], language: Language) -> list[Line]:
    facts = report["facts"]
    values = [
        ("verdict.code", f"{report['verdict']} / {report['code']}"),
        ("verdict.indication", " / ".join(filter(None, (report["indication"], report["sub_indication"])))),
        ("verdict.sha256", facts.get("sha256")),
        (
            "verdict.identifier",
            (facts.get("ecertificate") or {}).get("identifier") if _is_believed(report) else None,
        ),
    ]
    return [Line(text(language, key), str(value)) for key, value in values if value]
