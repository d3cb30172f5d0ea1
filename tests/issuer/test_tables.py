"""Tables in every form that programs export them, and what is said of those that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.tables import LABELS, as_text, food, table, write

from issuer.catalogue import load_profile
from issuer.ecertificates import table_text
from issuer.ecertificates.records import Record, read_file, read_records
from trust.model.errors import Malformed

FOOD_TYPE = load_profile("FOOD")
CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "tables"


def read(path: Path) -> list[Record]:
    return read_records(path, FOOD_TYPE)


def numbers(records: Sequence[Record]) -> list[tuple[int, object]]:
    assert not [record.problems for record in records if record.problems]
    return [(record.row, record.fields["licence_number"]) for record in records]


def refused(path: Path, code: str) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read(path)
    assert caught.value.code == code, caught.value
    assert caught.value.todo
    assert caught.value.zh
    return caught.value


def codes(record: Record) -> list[tuple[str, str]]:
    assert all(problem.zh for problem in record.problems)
    return [(problem.field, problem.code) for problem in record.problems]


THREE = [(n + 1, f"JY2990101{n:07d}") for n in (1, 2, 3)]


# Encodings, separators, line ends -----------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"", "utf-32-le"),
        (b"", "gb18030"),
        (b"\x84\x31\x95\x33", "gb18030"),
        (b"", "gbk"),
    ],
)
def test_every_encoding_is_read_with_every_separator(
    tmp_path: Path, mark: bytes, encoding: str, separator: str
) -> None:
    text = as_text(table(food(1), food(2), food(3)), separator)
    assert numbers(read(write(tmp_path / "t.csv", mark + text.encode(encoding)))) == THREE


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "~"])
@pytest.mark.parametrize("said", ["sep={}", '"sep={}"', "SEP={}"])
def test_a_sep_line_says_the_separator_and_is_no_row(tmp_path: Path, separator: str, said: str) -> None:
    text = said.format(separator) + "\r\n" + as_text(table(food(1), food(2), food(3)), separator)
    assert numbers(read(write(tmp_path / "t.csv", "\ufeff" + text))) == THREE


@pytest.mark.parametrize("said", ['sep="', "sep=\r", "sep=\n", 'sep=""'])
def test_a_sep_line_that_says_no_separator_is_a_row(tmp_path: Path, said: str) -> None:
    path = write(tmp_path / "t.csv", said + "\r\n" + as_text(table(food(1))))
    with suppress(Malformed):
        assert numbers(read(path))[0][1] == f"JY2990101{1:07d}"


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("tail", ["", "\x1a", "\0", "\0\0\0", "\r\n\x1a", "\r\n\r\n"])
def test_every_line_end_and_tail_is_read(tmp_path: Path, line_end: str, tail: str) -> None:
    text = as_text(table(food(1), food(2), food(3)), line_end=line_end)
    assert numbers(read(write(tmp_path / "t.csv", text + tail))) == THREE


def test_line_ends_may_be_mixed_and_a_line_separator_is_no_line_end(tmp_path: Path) -> None:
    lines = as_text(table(food(1), food(2, holder_name="春城\u2028百味"), food(3)), line_end="\n").split("\n")
    records = read(write(tmp_path / "t.csv", "\r".join(lines[:2]) + "\r\n" + "\n".join(lines[2:])))
    assert numbers(records) == THREE
    assert records[1].fields["holder_name"] == "春城\u2028百味", "the checker names it"


def test_quotation_marks_and_lines_inside_a_cell(tmp_path: Path) -> None:
    rows = table(food(1, holder_name='春城"百味"，餐饮'), food(2, domicile="甲路1号\r\n乙室"), food(3))
    records = read(write(tmp_path / "t.csv", as_text(rows)))
    assert numbers(records) == THREE, "a cell of two lines is in one row of the sheet"
    assert records[0].fields["holder_name"] == '春城"百味"，餐饮'


# Rows and columns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [[], [""], [" ", "\u3000"], [""] * len(LABELS), [""] * 20])
def test_rows_have_the_numbers_of_the_sheet(tmp_path: Path, blank: list[str]) -> None:
    rows = table(food(1), blank, blank, food(2), blank, food(3))
    found = numbers(read(write(tmp_path / "t.csv", as_text(rows))))
    assert [row for row, _ in found] == [2, 5, 7]
    found = numbers(read(write(tmp_path / "t.csv", as_text([blank, *rows]))))
    assert [row for row, _ in found] == [3, 6, 8]


@pytest.mark.parametrize("header_tail", [[], [""], ["", " ", ""]])
@pytest.mark.parametrize("row_tail", [[], [""], ["", "", "", " "]])
def test_columns_without_name_and_content_are_nothing(
    tmp_path: Path, header_tail: list[str], row_tail: list[str]
) -> None:
    rows = table(*([*food(n), *row_tail] for n in (1, 2, 3)), header=[*LABELS, *header_tail])
    assert numbers(read(write(tmp_path / "t.csv", as_text(rows)))) == THREE


def test_a_column_without_a_name_but_with_content_is_named(tmp_path: Path) -> None:
    rows = table(food(1), [*food(2), "", "备用"], food(3), header=[*LABELS, "", ""])
    first, second, third = read(write(tmp_path / "t.csv", as_text(rows)))
    assert codes(second) == [("column L", "NO_NAME")]
    assert not first.problems
    assert not third.problems
    (record,) = read(write(tmp_path / "t.csv", as_text(table([*food(1), "x"]))))
    assert codes(record) == [("column K", "NO_NAME")]


def test_columns_that_the_type_does_not_have_are_named_once(tmp_path: Path) -> None:
    rows = table([*food(1), "y", "x"], header=[*LABELS, "备注", "电话 138-0000"])
    error = refused(write(tmp_path / "t.csv", as_text(rows)), "UNKNOWN_COLUMN")
    assert "K (备注), L" in error.what
    assert "138" not in error.what, "a header may hold anything"
    refused(
        write(tmp_path / "t.csv", as_text(table([*food(1), ""], header=[*LABELS, "住所"]))), "COLUMN_TWICE"
    )


def test_headers_are_read_as_a_person_reads_them(tmp_path: Path) -> None:
    header = [f" {label.replace('（', '(').replace('）', ')')}\n" for label in LABELS]
    header[0] = "\ufeff许可证\u200b编号"
    assert (
        numbers(read(write(tmp_path / "t.csv", as_text(table(food(1), food(2), food(3), header=header)))))
        == THREE
    )


def test_a_named_column_without_content_is_nothing_and_names_once_more_are_told(tmp_path: Path) -> None:
    rows = table(*([*food(n), ""] for n in (1, 2, 3)), header=[*LABELS, "备注"])
    assert numbers(read(write(tmp_path / "t.csv", as_text(rows)))) == THREE
    first, again, second = read(write(tmp_path / "t.csv", as_text([*table(food(1)), *table(food(2))])))
    assert not first.problems
    assert not second.problems
    assert codes(again) == [("row", "UNREADABLE")]


def test_marks_of_forms_are_no_part_of_a_name(tmp_path: Path) -> None:
    header = [
        f"{label}{mark}"
        for label, mark in zip(
            LABELS, ["*", "：", "（必填）", " *", "＊", "", "(选填)", "", "*：", ""], strict=True
        )
    ]
    path = write(tmp_path / "t.csv", as_text(table(food(1), food(2), food(3), header=header)))
    assert numbers(read(path)) == THREE


def test_a_column_that_counts_the_rows_is_nothing(tmp_path: Path) -> None:
    rows = [
        ["序号", *LABELS],
        *([n, *food(n)] for n in (1, 2, 3)),
        *([n, *[""] * len(LABELS)] for n in (4, 5)),
    ]
    assert numbers(read(write(tmp_path / "t.csv", as_text(rows)))) == THREE, (
        "rows that are only numbered are blank"
    )


def test_authorities_and_seals_are_named_in_columns_of_ours(tmp_path: Path) -> None:
    header = [*LABELS, "签发机构代码", "seal"]
    rows = table(
        [*food(1), "'１１９９０１００MB9X100103\u00a0", '="a-sm2"'], [*food(2), "", " "], header=header
    )
    first, second = read(write(tmp_path / "t.csv", as_text(rows)))
    assert (first.authority, first.seal) == ("11990100MB9X100103", "a-sm2")
    assert (second.authority, second.seal) == (None, None)


def test_a_title_above_the_header_is_told_apart(tmp_path: Path) -> None:
    rows = [["云岭省食品经营许可名单"], ["填报单位：示例"], *table(food(1))]
    error = refused(write(tmp_path / "t.csv", as_text(rows)), "NO_HEADER")
    assert "row 3" in error.what
    assert "第 3 行" in error.zh
    refused(write(tmp_path / "t.csv", as_text([food(1), food(2)])), "NO_HEADER")


def test_other_shapes_of_a_table_are_told_apart(tmp_path: Path) -> None:
    turned = as_text(list(zip(LABELS, food(1), food(2), strict=True)))
    error = refused(write(tmp_path / "t.csv", turned), "NO_HEADER")
    assert "Transpose" in error.todo
    assert "JY2990" not in str(error) + error.zh, "what stands there is no name of a column"
    for mark in "，、":
        text = "\n".join(mark.join(map(str, row)) for row in table(food(1)))
        assert mark in refused(write(tmp_path / "t.csv", text), "NO_HEADER").what
    assert ".json" in refused(write(tmp_path / "t.csv", '[{"a": "b"}]'), "NO_HEADER").todo


def test_short_rows_are_read_and_a_row_cut_by_a_line_break_is_not(tmp_path: Path) -> None:
    text = as_text(
        table(
            food(
                1,
            ),
            food(2),
            food(3),
        )
    )
    lines = text.splitlines()
    cut = lines[2].replace("示例路", "示例\r\n路", 1)
    records = read(write(tmp_path / "t.csv", "\r\n".join([*lines[:2], cut, lines[3]])))
    assert [bool(record.problems) for record in records] == [False, True, True, False]
    header = [*LABELS, *[""] * (len(LABELS) - 1)]
    assert (
        numbers(read(write(tmp_path / "t.csv", as_text(table(food(1), food(2), food(3), header=header)))))
        == THREE
    )
    header = [*LABELS, "日常监督管理机构", "投诉举报电话"]
    assert (
        numbers(read(write(tmp_path / "t.csv", as_text(table(food(1), food(2), food(3), header=header)))))
        == THREE
    )


# What cannot be read ------------------------------------------------------------------------------------------


def test_a_byte_that_cannot_be_read_is_named_with_its_row(tmp_path: Path) -> None:
    lines = as_text(table(food(1), food(2), food(3))).encode().split(b"\r\n")
    lines[2] = lines[2][:20] + b"\xe6\x98" + lines[2][20:]
    error = refused(write(tmp_path / "t.csv", b"\r\n".join(lines)), "UNREADABLE_BYTE")
    assert "Row 3 " in error.what
    assert "byte 21 of its line" in error.what
    assert "第 3 行" in error.zh
    odd = as_text(table(food(1))).encode("utf-16")
    assert "UTF-16" in refused(write(tmp_path / "t.csv", odd[:-1]), "UNREADABLE_BYTE").what
    bad = as_text(table(food(1), food(2))).encode("gb18030").replace("百味".encode("gb18030"), b"\xff\xff", 1)
    assert "Row 2 " in refused(write(tmp_path / "t.csv", bad), "UNREADABLE_BYTE").what


@pytest.mark.parametrize(("first", "second"), [("utf-8", "gb18030"), ("gb18030", "utf-8")])
@pytest.mark.parametrize("row", [2, 3, 4])
@pytest.mark.parametrize("mark", [False, True])
def test_a_file_in_two_encodings_is_refused_at_the_row(
    tmp_path: Path, first: str, second: str, row: int, mark: bool
) -> None:
    lines = as_text(table(food(1), food(2), food(3))).splitlines(keepends=True)
    data = b"".join(line.encode(second if number == row else first) for number, line in enumerate(lines, 1))
    marked = b"\xef\xbb\xbf" if mark and first == "utf-8" else b""
    error = refused(write(tmp_path / "t.csv", marked + data), "TWO_ENCODINGS")
    assert f"before row {row}," in error.what
    assert f"第 {row} 行" in error.zh


@pytest.mark.parametrize("encoding", ["gb18030", "cp1252", "latin-1"])
def test_a_file_that_was_encoded_twice_is_told(tmp_path: Path, encoding: str) -> None:
    garbled = as_text(table(food(1), food(2))).encode().decode(encoding, "replace")
    assert "Row 1" in refused(write(tmp_path / "t.csv", garbled), "ENCODED_TWICE").what


def test_a_cell_that_was_encoded_twice_is_told(tmp_path: Path) -> None:
    whole = "春城云上米线".encode().decode("gb18030")
    _, record = read(write(tmp_path / "t.csv", as_text(table(food(1), food(2, holder_name=whole)))))
    assert codes(record) == [("holder_name", "ENCODED_TWICE")]


def test_a_zero_byte_inside_is_named(tmp_path: Path) -> None:
    text = as_text(table(food(1), food(2), food(3))).replace("JY29901010000002", "JY2990\x00010000002")
    assert "Row 3 " in refused(write(tmp_path / "t.csv", text), "TABLE_DAMAGED").what


@pytest.mark.parametrize("spoilt", ['"春城百味', '春城","百味"x'])
def test_quotation_marks_that_do_not_close_are_named(tmp_path: Path, spoilt: str) -> None:
    lines = as_text(table(food(1), food(2), food(3))).splitlines()
    lines[2] = lines[2].replace("春城百味", spoilt, 1)
    assert "Row 3 " in refused(write(tmp_path / "t.csv", "\n".join(lines)), "QUOTES").what


def packed(*names: str) -> bytes:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")  # of 1980: a test is named by these bytes
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), ".xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"\x09\x08\x10\x00" + bytes(100), ".xls"),
        (b"<html><table><tr><td>1</td></tr></table></html>", "web page"),
        ("\ufeff\r\n <TABLE border=1>".encode("utf-16"), "web page"),
        (b"MIME-Version: 1.0\r\nX-Document-Type: Workbook", "web page"),
        (b'<?xml version="1.0"?><Workbook/>', "XML"),
        (b"%PDF-1.7", "PDF"),
        (b"{\\rtf1}", "RTF"),
        (b"\xff\xd8\xff\xe0", "picture"),
        (packed("content.xml", "mimetype"), ".ods"),
        (packed("Index/Document.iwa"), "Numbers"),
        (packed("xl/workbook.bin"), ".xlsb"),
        (packed("word/document.xml"), "Word"),
        (packed("a.csv"), "ZIP"),
        (packed("xl/workbook.xml")[:-30], "damaged"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["t.csv", "t.xls", "t.xlsx", "t.et", "t.json"])
def test_files_of_other_programs_are_named_by_what_they_are(
    tmp_path: Path, data: bytes, word: str, name: str
) -> None:
    error = refused(write(tmp_path / name, data), "NOT_A_TABLE")
    assert word in error.what
    assert "另存为" in error.zh


@pytest.mark.parametrize("content", ["", "\r\n\r\n", "\ufeff", ",,,\r\n,,\r\n", as_text(table())])
def test_a_table_without_records_is_refused(tmp_path: Path, content: str) -> None:
    refused(write(tmp_path / "t.csv", content), "NO_RECORDS")
    with pytest.raises(Malformed):
        read(tmp_path / "none.csv")


def test_records_of_a_json_file_are_counted_from_one(tmp_path: Path) -> None:
    rows = [dict(zip(LABELS, food(n), strict=True)) for n in (1, 2)]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        path = write(tmp_path / "t.json", json.dumps(rows, ensure_ascii=False), encoding)
        assert [record.row for record in read(path)] == [1, 2]
    error = refused(write(tmp_path / "t.json", '[{"a": "b"},\n{"a" "b"}]'), "NOT_JSON")
    assert "line 2, character 6" in error.what
    (record,) = read(write(tmp_path / "t.json", '[{"licence_number": 5}]'))
    assert codes(record) == [("row", "UNREADABLE")]


def test_more_rows_than_a_sheet_has_are_refused_while_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_text, "_MOST_ROWS", 1000)
    refused(write(tmp_path / "t.csv", as_text(table(food(1))) + "\n" * 1000), "TOO_LARGE")


def test_numbers_whose_end_is_lost_are_refused_in_tables(tmp_path: Path) -> None:
    medical = load_profile("MEDPR")
    header = "执业证书编码,证件号码,医师资格证书编码"
    lost = "111990100000001,990101196801011000,201211199010000000000000"
    other = "111990100000002,990101196801011008,201211199020000000000000"
    whole = "111990100000003,990101196801011008,201211199010000000000003"
    qualification = ("qualification_number", "LOST_DIGITS")
    records = read_records(write(tmp_path / "t.csv", f"{header}\n{lost}\n{other}\n"), medical)
    assert [codes(record) for record in records] == [
        [("holder_code", "LOST_DIGITS"), qualification],
        [qualification],
    ]
    records = read_records(write(tmp_path / "t.csv", f"{header}\n{other}\n{whole}\n"), medical)
    assert [codes(record) for record in records] == [[], []], "one number may end in zeros"


# The published inputs -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not CASES.is_dir(), reason="the published inputs are not here")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("01-excel-unicode-text/unicode-text.csv", 3),
        ("01-excel-unicode-text/unicode-comma.csv", 3),
        ("02-trailing-empty-columns/trailing.csv", 3),
        ("02-trailing-empty-columns/trailing1.csv", 3),
        ("03-row-numbers/blank.csv", 2),
        ("04-semicolon/semi.csv", 3),
        ("04-semicolon/sep.csv", 3),
        ("11-line-endings/cr.csv", 3),
        ("11-line-endings/crlfmix.csv", 3),
        ("11-line-endings/ctrlz.csv", 3),
        ("11-line-endings/nul.csv", 3),
        ("two-equal-rows.csv", 5),
    ],
)
def test_the_published_tables_are_read(name: str, rows: int) -> None:
    records: Any = read_file(CASES / name, FOOD_TYPE).records
    assert len(records) == rows
    assert not [record.problems for record in records if record.problems]


@pytest.mark.skipif(not CASES.is_dir(), reason="the published inputs are not here")
def test_the_published_garbled_tables_are_refused() -> None:
    refused(CASES / "12-wrong-encoding/double.csv", "ENCODED_TWICE")
    refused(CASES / "12-wrong-encoding/mixed.csv", "TWO_ENCODINGS")


@pytest.mark.parametrize(
    ("row", "is_read"),
    [
        ({"a": "b", "c": ["d", "e"]}, True),
        ({"a": []}, True),
        ({"a": ["b", 1]}, False),
        ({"a": 1}, False),
        ({"a": None}, False),
        ({"a": {"b": "c"}}, False),
    ],
)
def test_an_object_holds_texts_and_lists_of_texts(
    tmp_path: Path, row: dict[str, object], is_read: bool
) -> None:
    (record,) = read(write(tmp_path / "t.json", json.dumps([row])))
    assert ({**record.fields} == row and not record.problems) is is_read, record
