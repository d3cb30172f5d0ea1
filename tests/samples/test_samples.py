"""The samples are what README.md says they are."""

import csv
import importlib.util
import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from issuer.catalogue import CheckedFields, check_fields, load_catalogue, load_profile
from issuer.rendering import missing_characters
from issuer.seals.artwork import round_seal
from trust.app.samples import RECORDS, dated, read_sample
from trust.model.errors import ProfileViolation
from trust.model.parties import UnifiedSocialCreditCode

SAMPLES = Path(__file__).parents[2] / "samples"
TODAY = date(2025, 12, 1)


def rows(name: str) -> list[tuple[int, dict[str, str]]]:
    with (SAMPLES / name).open(encoding="utf-8", newline="") as lines:
        return list(enumerate(csv.DictReader(lines), 2))


GOOD = [(short, line, row) for short in load_catalogue() for line, row in rows(f"{short.lower()}.csv")]
BAD_REASONS = re.findall(
    r"^\| (\d+) \| (\w+) \| (\w+) \|", (SAMPLES / "README.md").read_text(encoding="utf-8"), re.M
)


def check(short: str, raw: dict[str, str]) -> CheckedFields:
    return check_fields(load_profile(short), raw, today=TODAY, missing_characters=missing_characters)


def test_there_are_at_least_sixty_records() -> None:
    assert len(GOOD) >= 60


@pytest.mark.parametrize(
    ("short", "line", "row"), GOOD, ids=lambda v: None if isinstance(v, dict) else str(v)
)
def test_a_sample_record_keeps_every_rule(short: str, line: int, row: dict[str, str]) -> None:
    check(short, row)


def test_numbers_and_codes_are_not_used_twice() -> None:
    for short in load_catalogue():
        checked = [check(s, row) for s, _, row in GOOD if s == short]
        assert len({c.number for c in checked}) == len(checked)
        codes = [holder.code for c in checked for holder in c.holders]
        assert len(set(codes)) == len(codes)


def test_every_code_is_of_an_area_that_does_not_exist() -> None:
    for short, _, row in GOOD:
        for holder in check(short, row).holders:
            start = 2 if holder.code_type.is_organisation else 0
            assert holder.code.startswith("X0EXAMPLE") or holder.code[start : start + 2] == "99"


@pytest.mark.parametrize("hard", ["㐂", "𠮷", "·", "Beispiel", "长期", "|", "；"])
def test_the_hard_cases_are_among_the_samples(hard: str) -> None:
    assert any(hard in value for _, _, row in GOOD for value in row.values())


def test_every_bad_row_is_explained() -> None:
    assert [int(line) for line, _, _ in BAD_REASONS] == [line for line, _ in rows("bad-rows.csv")]


@pytest.mark.parametrize(("line", "field", "code"), BAD_REASONS)
def test_a_bad_row_is_wrong_in_exactly_the_way_that_is_written(line: str, field: str, code: str) -> None:
    row = dict(rows("bad-rows.csv"))[int(line)]
    with pytest.raises(ProfileViolation) as refused:
        check("FOOD", row)
    assert [(reason.field, reason.code) for reason in refused.value.violations] == [(field, code)]


def test_every_type_has_a_sample_authority_that_may_issue_it_and_can_have_a_seal() -> None:
    bodies = tomllib.loads((SAMPLES / "authorities.toml").read_text(encoding="utf-8"))["authorities"]
    assert len(bodies) >= 4
    for body in bodies:
        UnifiedSocialCreditCode(body["uscc"])
        round_seal(body["name"]["zh"], body["second_line"], diameter_mm=body["diameter_mm"])
    functions = {function for body in bodies for function in body["functions"]}
    assert all(functions & set(profile.who_may_issue) for profile in load_catalogue().values())
    assert {body["suite"] for body in bodies} == {"SM2-SM3", "RSA3072-SHA256", "P256-SHA256"}


def test_every_photograph_is_there_and_small() -> None:
    for _, row in rows("medpr.csv"):
        photo = SAMPLES / row["照片"]
        assert photo.stat().st_size < 15_000
        with Image.open(photo) as image:
            image.load()


@pytest.mark.parametrize("name", ["approval-letter", "road-permit-table"])
def test_a_ready_made_pdf_fits_its_sidecar(name: str) -> None:
    sidecar = json.loads((SAMPLES / "pdf" / f"{name}.json").read_text(encoding="utf-8"))
    number = check(sidecar["type"], sidecar["fields"]).number
    document = pypdfium2.PdfDocument(SAMPLES / "pdf" / f"{name}.pdf")
    page = document[sidecar["place"]["page"] + len(document)]
    assert page.get_size() == pytest.approx((595.28, 841.89), abs=0.1)
    text = page.get_textpage()
    assert number in "".join(text.get_text_range().split())
    x, y = (mm * 72 / 25.4 for mm in sidecar["place"]["seal_mm"])
    assert "月" in text.get_text_bounded(x - 60, y - 60, x + 60, y + 60)
    document.close()


def test_the_samples_stay_small() -> None:
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()) < 1_000_000


def test_the_script_makes_the_same_records_again() -> None:
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    make_samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_samples)
    made = {
        "food.csv": make_samples.food_rows(),
        "roadtp.csv": make_samples.road_rows(),
        "medpr.csv": make_samples.medical_rows(),
        "approval.csv": make_samples.approval_rows(),
        "bad-rows.csv": make_samples.bad_rows(),
    }
    assert set(made) == {file.name for file in SAMPLES.glob("*.csv")}
    for name, expected in made.items():
        assert [row for _, row in rows(name)] == expected


@pytest.mark.parametrize(
    ("text", "now", "moved"),
    [
        ("有效期至2030年1月14日", date(2026, 11, 28), "有效期至2031年11月27日"),
        ("2025-01-15 and 2025/1/16", date(2026, 11, 28), "2026-11-28 and 2026/11/29"),
        ("2030-01-14", date(2028, 2, 29), "2033-02-28"),
        ("春发改〔2025〕18号，2012年", date(2027, 3, 1), "春发改〔2027〕18号，2012年"),
        ("990101202501150012", date(2026, 11, 28), "990101202501150012"),
    ],
)
def test_dates_of_samples_move_with_the_day_of_issue(text: str, now: date, moved: str) -> None:
    assert dated(text, date(2025, 1, 15), now) == moved
    assert dated(text, date(2025, 1, 15), date(2025, 1, 15)) == text


@pytest.mark.parametrize("today", [date(2026, 11, 28), date(2028, 2, 29), date(2031, 12, 31)])
def test_every_sample_is_good_on_any_day(today: date) -> None:
    for short, name, _ in RECORDS:
        profile = load_profile(short)
        for record in read_sample(SAMPLES / name, profile, today):
            checked = check_fields(profile, record.fields, today=today, missing_characters=missing_characters)
            assert checked.issued_on == today, (name, record.row)
