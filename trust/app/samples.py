"""The sample data that comes with the source: registering its authorities and reading its records."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from keys.suites import Suite
from trust.app.compose import Service
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
    """The folder `samples` of the source tree. Raises `Malformed` in an installation without it."""
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


def register_authorities(service: Service, folder: Path) -> list[SampleAuthority]:
    """Each authority with a seal in its own suite, and one in RSA beside an SM2 one. Idempotent."""
    listed = read_authorities(folder)
    for sample in listed:
        service.authorities.add(sample.authority)
        for suite in dict.fromkeys(
            (sample.suite, Suite.RSA3072_SHA256 if sample.suite is Suite.SM2_SM3 else sample.suite)
        ):
            service.seals.make(
                seal_id(sample.authority.authority_id, suite),
                sample.authority.authority_id,
                suite,
                second_line=sample.second_line,
                diameter_mm=sample.diameter_mm,
            )
    return listed


def seal_id(authority_id: str, suite: Suite) -> str:
    return f"{authority_id}-{suite.value.split('-')[0].lower()}"
