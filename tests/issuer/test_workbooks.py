"""Excel workbooks: what a person sees is what is read, and what they cannot see stops the file."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.styles import numbers as formats
from support.tables import LABELS, as_text, food, table, write_workbook

from issuer.catalogue import load_profile
from issuer.ecertificates import workbook
from issuer.ecertificates.records import Record, read_file
from trust.model.errors import Malformed

FOOD_TYPE = load_profile("FOOD")
THREE = [(n + 1, f"JY2990101{n:07d}") for n in (1, 2, 3)]


def read(path: Path) -> list[Record]:
    return read_file(path, FOOD_TYPE).records


def refused(path: Path, code: str) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read(path)
    assert caught.value.code == code, caught.value
    assert caught.value.zh
    return caught.value


def found(path: Path) -> list[tuple[int, object]]:
    records = read(path)
    assert not [record.problems for record in records if record.problems]
    return [(record.row, record.fields["licence_number"]) for record in records]


def one_cell(tmp_path: Path, value: Any, column: str = "投诉举报电话", shown_as: str = "General") -> Record:
    def change(sheet: Any) -> None:
        sheet.cell(2, len(LABELS) + 1).number_format = shown_as

    rows = table([*food(1), value], header=[*LABELS, column])
    (record,) = read(write_workbook(tmp_path / "t.xlsx", rows, change))
    return record


@pytest.mark.parametrize("name", ["t.xlsx", "t.XLSX", "t.csv", "t.xls", "t"])
def test_a_workbook_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    made = write_workbook(tmp_path / "made.xlsx", table(food(1), food(2), food(3)))
    path = made.rename(tmp_path / name)
    assert found(path) == THREE
    assert read_file(path, FOOD_TYPE).note == ("读取工作表“名单”。", "The sheet 名单 is read.")


def test_blank_rows_and_columns_count_and_are_nothing(tmp_path: Path) -> None:
    rows = table(food(1), [], [None] * 30, food(2), food(3), header=[*LABELS, None, " "])
    assert [row for row, _ in found(write_workbook(tmp_path / "t.xlsx", rows))] == [2, 5, 6]
    path = write_workbook(
        tmp_path / "t.xlsx",
        [[], *table(food(1))],
        lambda sheet: sheet.cell(90_000, 3).__setattr__("style", "Note"),
    )
    assert [row for row, _ in found(path)] == [3]


@pytest.mark.parametrize(
    ("value", "shown_as", "text"),
    [
        (12315, "General", "12315"),
        (12315.0, "0", "12315"),
        (12315, "000000", "012315"),
        (12.5, "General", "12.5"),
        (True, "General", "TRUE"),
        ("010-1_x000D_2", "General", "010-1\r2"),
        (date(2025, 1, 6), formats.FORMAT_DATE_YYYYMMDD2, "2025-01-06"),
        (datetime(2025, 1, 6), "m/d/yy", "2025-01-06"),  # noqa: DTZ001 (of a sheet)
        (datetime(2025, 1, 6, 13, 5), "m/d/yy h:mm", "2025-01-06 13:05:00"),  # noqa: DTZ001 (as above)
        (45663, "General", "45663"),
        (0.1 + 0.2, "General", "0.3"),
        (1234.5, "#,##0.00", "1234.50"),
        (-1234.5, "#,##0.00_);[Red](#,##0.00)", "-1234.50"),
        (12, '_ * #,##0.00_ ;_ * \\-#,##0.00_ ;_ * "-"??_ ;_ @_ ', "12.00"),
        (-12, '_ * #,##0.00_ ;_ * \\-#,##0.00_ ;_ * "-"??_ ;_ @_ ', "-12.00"),
        (-5, "000", "-005"),
        (-5, "General", "-5"),
        (12, "[$-804]0;@", "12"),
        ("010-12", '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)', "010-12"),
        ("010-12", "m/d/yyyy;@", "010-12"),
    ],
)
def test_a_cell_is_read_as_it_is_meant(tmp_path: Path, value: Any, shown_as: str, text: str) -> None:
    assert one_cell(tmp_path, value, shown_as=shown_as).fields["complaints_phone"] == text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (990101196801011008, "LOST_DIGITS"),
        (1e15, "LOST_DIGITS"),
        (2.01211e23, "LOST_DIGITS"),
        ("=1+1", "FORMULA"),
    ],
)
def test_a_cell_whose_content_is_lost_is_refused(tmp_path: Path, value: Any, code: str) -> None:
    record = one_cell(tmp_path, value)
    assert [(problem.field, problem.code) for problem in record.problems] == [("complaints_phone", code)]


@pytest.mark.parametrize(
    ("value", "shown_as"),
    [
        (0.125, "0.0%"), (12, "0%"), (100123, '"0"000"-"0000'), (12315, ";;;"), (12315, '""'), (17, '"JY"0000'),
        (1.005, "0.0"), (2.5, "0"), (-2.5, "000"), (12315, "0.0E+0"), (12315, "0,"), (1.5, "# ?/?"), (-5, "0;0"),
        (0, '0;-0;"-"'), (0, "#"), (12, '0"元"'), (12, "[$¥-804]0"), (12, "[DBNum2]0"), (12, "[>9]0;0.0"),
        (12, "0" * 9 + "." + "0" * 99), (12315, "000-00"), ("12315", ";;;"), ("12315", '"0"@'), ("12315", "0;0;0;"),
        ("12315", '@"分机"'),
    ],
)  # fmt: skip
def test_a_cell_that_shows_something_else_is_refused(tmp_path: Path, value: Any, shown_as: str) -> None:
    (problem,) = one_cell(tmp_path, value, shown_as=shown_as).problems
    assert (problem.field, problem.code) == ("complaints_phone", "SHOWN_OTHERWISE")
    assert problem.zh


@pytest.mark.parametrize(
    ("shown_as", "read"),
    [
        ("yyyy/m/d;@", True), ("m/d/yyyy", True), ('[$-804]yyyy"年"m"月"d"日";@', True), ("d-mmm-yy", True),
        ("[DBNum1]yyyy年m月d日", True), ("yyyy-mm", False), ("mmm-yy", False), ('m"月"d"日"', False),
        ('yyyy"年day"', False),
    ],
)  # fmt: skip
def test_a_day_counts_where_the_cell_shows_it(tmp_path: Path, shown_as: str, read: bool) -> None:
    record = one_cell(tmp_path, date(2025, 1, 6), shown_as=shown_as)
    if read:
        assert record.fields["complaints_phone"] == "2025-01-06"
    else:
        assert [(p.field, p.code) for p in record.problems] == [("complaints_phone", "DATE_INCOMPLETE")]


@pytest.mark.parametrize(
    ("number", "is_day"), [(31, True), (14, True), (30, True), (57, False), (58, False), (27, False)]
)
def test_formats_that_excel_in_chinese_writes_by_number_are_known(
    tmp_path: Path, number: int, is_day: bool
) -> None:
    one_cell(tmp_path, 45663, shown_as="[$-1]0")
    form = b'<xf numFmtId="%d"'
    changed = {"xl/styles.xml": lambda data: data.replace(form % 164, form % number)}
    (record,) = read(with_part(tmp_path / "t.xlsx", changed))
    if is_day:
        assert record.fields["complaints_phone"] == "2025-01-06"
    else:
        assert [(p.field, p.code) for p in record.problems] == [("complaints_phone", "DATE_INCOMPLETE")]


def with_part(path: Path, change: dict[str, Any]) -> Path:
    """The workbook with parts changed: name → a function of the old bytes."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, change[name](data) if name in change else data)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_the_stored_result_of_a_formula_counts(tmp_path: Path) -> None:
    rows = table([*food(1), "=1+1"], header=[*LABELS, "投诉举报电话"])
    path = write_workbook(tmp_path / "t.xlsx", rows)
    for stored, text in ((b"<v>12315</v>", "12315"), (b"<v>12315.0</v>", "12315")):
        with_part(path, {SHEET: lambda data, s=stored: data.replace(b"<v></v>", s).replace(b"<v />", s)})
        (record,) = read(path)
        assert record.fields["complaints_phone"] == text
        write_workbook(path, rows)


@pytest.mark.parametrize("word", ["#N/A", "#REF!", "#DIV/0!"])
def test_an_error_word_of_the_spreadsheet_is_refused_by_the_checker(tmp_path: Path, word: str) -> None:
    from issuer.catalogue import check_fields
    from trust.model.errors import ProfileViolation

    record = one_cell(tmp_path, word, "日常监督管理机构")
    with pytest.raises(ProfileViolation) as caught:
        check_fields(FOOD_TYPE, record.fields, today=date(2026, 11, 28), missing_characters=lambda text: ())
    assert [v.code for v in caught.value.violations] == ["SPREADSHEET_ERROR"]


def test_the_first_visible_sheet_with_content_is_read_and_told(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1), food(2), food(3)))
    book = openpyxl.load_workbook(path)
    book.create_sheet("空白", 0)
    hidden = book.create_sheet("隐藏", 0)
    hidden.append(["x"])
    hidden.sheet_state = "hidden"
    book.create_sheet("说明").append(["填表说明"])
    book.save(path)
    assert found(path) == THREE
    assert read_file(path, FOOD_TYPE).note == (
        "读取工作表“名单”；未读取：说明（需要时请把要读的工作表移到最前）。",
        "The sheet 名单 is read; not read: 说明 (move the right one to the front).",
    )
    book.move_sheet("说明", -3)
    book.save(path)
    assert "not read: 名单" in refused(path, "NO_HEADER").what
    empty = openpyxl.Workbook()
    empty.save(path)
    refused(path, "NO_RECORDS")


def test_hidden_rows_and_merged_cells_stop_the_file(tmp_path: Path) -> None:
    rows = table(food(1), food(2), food(3))
    path = tmp_path / "t.xlsx"
    write_workbook(path, rows, lambda sheet: sheet.row_dimensions[3].__setattr__("hidden", True))
    assert ": 3." in refused(path, "HIDDEN_ROWS").what
    flat = {SHEET: lambda data: data.replace(b'<row r="2"', b'<row r="2" ht="0" customHeight="1"')}
    assert ": 2." in refused(with_part(write_workbook(path, rows), flat), "HIDDEN_ROWS").what
    write_workbook(path, rows, lambda sheet: sheet.merge_cells("D2:D4"))
    assert "D2:D4" in refused(path, "MERGED_CELLS").zh
    write_workbook(path, rows, lambda sheet: sheet.row_dimensions[9].__setattr__("hidden", True))
    assert found(path) == THREE, "a hidden row without content hides nothing"
    titled = [["云岭省食品经营许可名单"], *rows]
    write_workbook(path, titled, lambda sheet: sheet.merge_cells("A1:J1"))
    assert "row 2" in refused(path, "NO_HEADER").what, "a merged title is a title"


@pytest.mark.parametrize("how", [b'hidden="1"', b'width="0" customWidth="1"', b'hidden="true" width="9"'])
def test_hidden_columns_stop_the_file_where_they_hold_something(tmp_path: Path, how: bytes) -> None:
    def hide(first: int, last: int) -> Path:
        path = write_workbook(tmp_path / "t.xlsx", table(food(1), food(2)))
        columns = b'<cols><col min="%d" max="%d" %s/></cols><sheetData>' % (first, last, how)
        return with_part(path, {SHEET: lambda data: data.replace(b"<sheetData>", columns)})

    assert "are hidden: C, D." in refused(hide(3, 4), "HIDDEN_COLUMNS").what
    assert len(found(hide(len(LABELS) + 1, 16_384))) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>' + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b'r="2"', b'r="x"'),
    ],
)
def test_a_part_that_is_no_plain_xml_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1), food(2)))
    refused(with_part(path, {SHEET: spoil}), "WORKBOOK_UNREADABLE")


def test_a_document_type_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1)))
    for part in ("[Content_Types].xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels"):
        late = {part: lambda data: b"<!--" + b" " * ((1 << 20) - 9) + b"--><!DOCTYPE a>" + data}
        refused(with_part(write_workbook(path, table(food(1))), late), "WORKBOOK_UNREADABLE")


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
def test_a_document_type_is_found_whatever_the_part_is_called(tmp_path: Path, encoding: str) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1)))
    assert len(found(path)) == 1
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("xl/media/sheet.bin", bytes(100) + "<!DOCTYPE a [<!ENTITY b 'c'>]>".encode(encoding))
    refused(path, "WORKBOOK_UNREADABLE")


def test_what_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(*(food(n) for n in range(1, 40))))
    monkeypatch.setattr(workbook, "_MOST_CELLS", 300)  # cells that are not written count too
    refused(path, "TOO_LARGE")
    monkeypatch.undo()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/bomb.xml", "w") as part:
        for _ in range(520):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 2_000_000
    refused(path, "TOO_LARGE")


@pytest.mark.parametrize(
    ("part", "more"),
    [(SHEET, b"<c/>" * 4_100_000), (SHEET, b"<x:c />" * 4_100_000), (SHEET, b"<q/>" * 24_100_000),
     ("xl/styles.xml", b"<xf/>" * 201_000)],
)  # fmt: skip
def test_cells_and_styles_are_counted_before_they_are_made(tmp_path: Path, part: str, more: bytes) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1)))
    mark = b"</row>" if part == SHEET else b"</cellXfs>"
    refused(with_part(path, {part: lambda data: data.replace(mark, more + mark, 1)}), "TOO_LARGE")


def test_a_row_number_out_of_this_world_does_not_count_up_to_it(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", table(food(1), food(2)))
    far = {SHEET: lambda data: data.replace(b'<row r="3"', b'<row r="99999999999"')}
    refused(with_part(path, far), "TOO_LARGE")


PIECES = [
    b'"',
    b"\r",
    b",",
    b"\xef\xbb\xbf",
    b"\x1a",
    b"\0",
    "春".encode(),
    "城".encode("gbk"),
    b"sep=;\n",
    b"<v>",
    b"1e999",
]


def changed(data: bytes, dice: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(dice.choice([1, 2, 5])):
        at = dice.randrange(len(spoilt))
        match dice.randrange(3):
            case 0:
                spoilt[at] = dice.randrange(256)
            case 1:
                del spoilt[at : at + dice.choice([1, 2, 40])]
            case _:
                spoilt[at:at] = dice.choice(PIECES)
    return bytes(spoilt)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_changed_at_random_is_read_or_refused_and_nothing_else(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    texts = [as_text(table(food(1), food(2))).encode(e) for e in ("utf-8", "utf-16", "gb18030", "utf-32")]
    with zipfile.ZipFile(write_workbook(tmp_path / "t.xlsx", table(food(1), food(2)))) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    for _ in range(60):
        path = tmp_path / dice.choice(["t.csv", "t.xlsx", "t.json"])
        path.write_bytes(changed(dice.choice(texts), dice))
        with suppress(Malformed):
            read(path)
        victim = dice.choice(list(parts))
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in parts.items():
                packed.writestr(name, changed(data, dice) if name == victim else data)
        with suppress(Malformed):
            read(path)
