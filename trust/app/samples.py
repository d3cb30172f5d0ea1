"""The sample data of the source tree: registering its authorities and reading its records.

The samples are dated 2025. `dated` moves the dates that a department would set on the day of sealing, so that the demo
looks the same on any day: the day of issue becomes today, and dates that depend on it move too.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import typst

from issuer.catalogue import Role, TypeProfile
from issuer.ecertificates.records import Record, read_records
from issuer.rendering.fonts import typst_fonts
from keys.suites import Suite
from trust.app.compose import Site
from trust.model.actor import OPERATOR
from trust.model.ecertificate import IssuingAuthority
from trust.model.errors import Malformed

RECORDS = (
    ("FOOD", "food.csv", "chuncheng-market"),
    ("ROADTP", "roadtp.csv", "yunling-transport"),
    ("MEDPR", "medpr.csv", "chuncheng-health"),
    ("APPROVAL", "approval.csv", "chuncheng-development"),
)
PDFS = (
    ("approval-letter", "chuncheng-development"),
    ("road-permit-table", "yunling-transport"),
)


@dataclass(frozen=True, slots=True)
class SampleAuthority:
    authority: IssuingAuthority
    second_line: str
    diameter_mm: float
    suite: Suite


def find_samples() -> Path:
    """The folder `samples` of the source tree. Raises `Malformed` if the installation does not have it."""
    for folder in (Path.cwd() / "samples", Path(__file__).resolve().parents[2] / "samples"):
        if (folder / "authorities.toml").is_file():
            return folder
    raise Malformed("The sample data is not here.", "Run the demo in the source folder.")


def read_authorities(folder: Path) -> list[SampleAuthority]:
    listed = tomllib.loads((folder / "authorities.toml").read_text(encoding="utf-8"))["authorities"]
    return [
        SampleAuthority(
            IssuingAuthority(a["key"], a["uscc"], a["name"]["zh"], a["name"]["en"], tuple(a["functions"])),
            a["second_line"],
            float(a["diameter_mm"]),
            Suite(a["suite"]),
        )
        for a in listed
    ]


def register_authorities(site: Site, folder: Path) -> list[SampleAuthority]:
    """Registers each authority and makes a seal in its suite, for SM2 also one in RSA. Idempotent."""
    listed = read_authorities(folder)
    for sample in listed:
        site.issuer.authorities.add(OPERATOR, sample.authority)
        for suite in dict.fromkeys(
            (sample.suite, Suite.RSA3072_SHA256 if sample.suite is Suite.SM2_SM3 else sample.suite)
        ):
            site.issuer.seals.make(
                OPERATOR,
                seal_id(sample.authority.authority_id, suite),
                sample.authority.authority_id,
                suite,
                second_line=sample.second_line,
                diameter_mm=sample.diameter_mm,
            )
    return listed


def seal_id(authority_id: str, suite: Suite) -> str:
    return f"{authority_id}-{suite.value.split('-')[0].lower()}"


def read_sample(path: Path, profile: TypeProfile, today: date) -> list[Record]:
    """The records of a sample file, dated so that each is issued `today`."""
    return [_dated_record(record, profile, today) for record in read_records(path, profile)]


def read_ready_made(folder: Path, name: str, today: date) -> tuple[bytes, dict[str, Any]]:
    """A department's own PDF, dated `today` and laid out from its source, and the data for `stamp`."""
    sidecar = json.loads((folder / "pdf" / f"{name}.json").read_text(encoding="utf-8"))
    issued_on = date.fromisoformat(sidecar["fields"]["issued_on"])
    source = (folder / "pdf" / f"{name}.typ").read_text(encoding="utf-8")
    pdf = typst.compile(
        dated(source, issued_on, today).encode(), font_paths=typst_fonts(), ignore_system_fonts=True
    )
    fields = {key: _dated_value(value, issued_on, today) for key, value in sidecar["fields"].items()}
    return pdf, {**sidecar, "fields": fields}


_DATE = re.compile(r"(?<!\d)(\d{4})([年/-])(\d{1,2})([月/-])(\d{1,2})(?!\d)")


def dated(text: str, was: date, now: date) -> str:
    """`text` with its dates moved by the distance from `was` to `now`. A date that ends a term of whole years from
    `was` ends the same term from `now`."""

    def moved(found: re.Match[str]) -> str:
        year, first, month, second, day = found.groups()
        then = date(int(year), int(month), int(day))
        follows = then + timedelta(days=1)
        if (follows.month, follows.day) == (was.month, was.day):
            new = _years_on(now, follows.year - was.year)
        else:
            new = then + (now - was)
        wide = "02d" if len(month) == 2 else "d"
        return f"{new.year}{first}{new.month:{wide}}{second}{new.day:{wide}}"

    return _DATE.sub(moved, text).replace(f"〔{was.year}〕", f"〔{now.year}〕")


def _years_on(start: date, years: int) -> date:
    """The last day of a term of `years` years from `start`, as the catalogue counts."""
    try:
        return start.replace(year=start.year + years) - timedelta(days=1)
    except ValueError:  # from 29 February to a year without one
        return date(start.year + years, 2, 28)


def _dated_value(value: str | Sequence[str], was: date, now: date) -> str | list[str]:
    if isinstance(value, str):
        return dated(value, was, now)
    return [dated(each, was, now) for each in value]


def _dated_record(record: Record, profile: TypeProfile, today: date) -> Record:
    known: Mapping[str, Role | None] = {
        column: field.role for column in record.fields if (field := profile.field_named(column)) is not None
    }
    found = [
        _DATE.search(str(v)) for column, v in record.fields.items() if known.get(column) is Role.ISSUED_ON
    ]
    if not found or found[0] is None:
        return record
    was = date(*(int(found[0][part]) for part in (1, 3, 5)))
    fields = {
        column: value if known.get(column) is Role.BIRTH_DATE else _dated_value(value, was, today)
        for column, value in record.fields.items()
    }
    return replace(record, fields=fields)
