"""Reading departments' exports: tables (CSV, "Unicode text", Excel workbooks) or JSON files of records.

A table has one header row; columns are named by field name or Chinese label. Encodings and separators are described in
`issuer.ecertificates.table_text`, workbooks in `issuer.ecertificates.workbook`. Beside the type's own fields there may
be these columns:

    authority, 签发机构代码   id or credit code of the issuing authority
    seal, 印章              id of the seal

Columns without content are ignored, and so is one that only counts the rows (序号). Rows have the numbers that a
spreadsheet program shows, so the first record of a table is usually in row 2; records of a JSON file are counted from
1.

A photo column names a picture file in the table's folder, with either slash and in any case. It is only opened when
its record is issued, because three hundred pictures do not fit in memory.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from issuer.catalogue import FieldType, Role, TypeProfile
from issuer.catalogue.characters import in_half_width, tidied, without_invisible_ends
from issuer.catalogue.spreadsheets import has_lost_digits, lost_digits, unwrapped
from issuer.ecertificates.drafting import MAX_PHOTO_BYTES
from issuer.ecertificates.table_text import (
    check_is_text,
    check_no_zero,
    decode_table,
    decoded_twice,
    is_garbled,
    split_rows,
)
from issuer.ecertificates.workbook import Cell, is_workbook, read_workbook
from trust.model.errors import Malformed, ProfileViolation, Violation

MAX_ROWS = 100_000
_MAX_FILE_BYTES = 256 * 1024 * 1024
_AUTHORITY_COLUMNS = ("authority", "签发机构代码")
_SEAL_COLUMNS = ("seal", "印章")
_COUNT = "序号"
_HEADER_WITHIN = 20
_PERSONAL_CODES = (FieldType.IDENTITY_NUMBER, FieldType.HOLDER_CODE)


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its number as a spreadsheet program counts, its fields, the path of its picture, and why it cannot be
    read, if it cannot."""

    row: int
    fields: Mapping[str, str | Sequence[str]]
    authority: str | None
    seal: str | None
    picture: Path | None = None
    problems: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Records:
    """All records of a file. `note` tells the user which sheet was read, in Chinese and in English."""

    records: list[Record]
    note: tuple[str, str] | None = None


def read_records(path: Path, profile: TypeProfile) -> list[Record]:
    """The records of a file; an invalid row is a `Record` with its problems. Raises `Malformed` if the file as a
    whole cannot be read."""
    return read_file(path, profile).records


def read_file(path: Path, profile: TypeProfile) -> Records:
    """`read_records`, with a note about the sheet that was read."""
    try:
        if not path.is_file():
            raise Malformed(
                f"There is no file {path.name}.",
                "Check the path.",
                code="NO_FILE",
                zh=f"没有文件 {path.name}，请检查路径。",
            )
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise Malformed(
                f"{path.name} is larger than 256 MiB.",
                "Split it.",
                code="TOO_LARGE",
                zh=f"{path.name} 超过 256 MiB，请拆成几个文件。",
            )
        note = None
        if is_workbook(path):
            sheet = read_workbook(path)
            note = _which_sheet(sheet.title, sheet.others)
            try:
                records = _records_of(sheet.rows, path, profile)
            except Malformed as exc:
                # Say which sheet was read, because the records may be in a later one.
                raise Malformed(
                    f"{note[1]} {exc.what}", exc.todo, code=exc.code, zh=f"{note[0]}{exc.zh}"
                ) from exc
        else:
            records = _text_records(path.read_bytes(), path, profile)
    except OSError as exc:
        raise Malformed(
            f"{path.name} cannot be opened.",
            "Check that you may read it, and that no other program holds it.",
            code="NO_FILE",
            zh=f"无法打开 {path.name}，请检查权限，并关闭正在使用它的程序。",
        ) from exc
    if not records:
        raise Malformed(
            f"{path.name} holds no records.",
            "Check that it is the right file.",
            code="NO_RECORDS",
            zh=f"{path.name} 中没有记录，请确认文件是否正确。",
        )
    if len(records) > MAX_ROWS:
        raise Malformed(
            f"{path.name} has more than {MAX_ROWS} rows.",
            "Split it.",
            code="TOO_LARGE",
            zh=f"{path.name} 超过 {MAX_ROWS} 行，请拆成几个文件。",
        )
    return Records(records, note)


def record_from(
    number: int, row: Mapping[str, Any] | str, profile: TypeProfile, folder: Path | None
) -> Record:
    """A record from one row. `folder` contains its pictures; None if it may not name any."""
    if isinstance(row, str):
        return Record(number, {}, None, None, problems=(_unreadable(row, "该记录应为字段与文字的对象"),))
    fields = dict(row)
    authority = _take(fields, _AUTHORITY_COLUMNS)
    seal = _take(fields, _SEAL_COLUMNS)
    photo_field = profile.with_role(Role.PHOTO)
    if photo_field is None or folder is None:
        return Record(number, fields, authority, seal)
    for column in (photo_field.name, photo_field.label.zh):
        name = fields.get(column)
        if isinstance(name, str) and name.strip():
            found = _find_picture(folder, unwrapped(name.strip()))
            if found is None:
                return Record(number, fields, authority, seal, problems=(_no_picture(photo_field.name),))
            # Use the name as written in the folder, so that `Photos\X.JPG` and `photos/x.jpg` give the same request.
            fields[column] = found.relative_to(folder).as_posix()
            return Record(number, fields, authority, seal, found)
    return Record(number, fields, authority, seal)


def read_picture(record: Record) -> bytes | None:
    """The bytes of the record's picture, or None. Raises `ProfileViolation` if it is too large, without reading it."""
    if record.picture is None:
        return None
    try:
        with record.picture.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MAX_PHOTO_BYTES:
                return file.read(MAX_PHOTO_BYTES + 1)
    except OSError as exc:
        raise ProfileViolation([_no_picture("photo")]) from exc
    megabytes, most = f"{size / 1e6:.1f} MB", f"{MAX_PHOTO_BYTES / 1e6:.0f} MB"
    raise ProfileViolation(
        [
            Violation(
                "photo",
                "TOO_LARGE",
                f"a photograph of {megabytes}",
                f"make it smaller: at most {most}, 413 × 578 pixels are enough",
                f"照片有 {megabytes}，请缩小到 {most} 以内（413 × 578 像素即可）",
            )
        ]
    )


# --- text files ---


def _text_records(data: bytes, path: Path, profile: TypeProfile) -> list[Record]:
    is_json = path.suffix.lower() == ".json"
    check_is_text(data, path.name)
    columns = _columns_of(profile)
    text = decode_table(data, path.name, lambda text: _begins_as(text, columns, is_json))
    if is_json:
        return [
            record_from(number, row, profile, path.parent)
            for number, row in enumerate(_json_rows(text, path.name), 1)
        ]
    check_no_zero(text, path.name)
    rows = split_rows(text, path.name, lambda cells: sum(_plain_name(cell) in columns for cell in cells))
    return _with_cuts(_records_of(rows, path, profile), rows)


def _begins_as(text: str, columns: Mapping[str, str], is_json: bool) -> bool:
    beginning = _plain_name(text[:4096])
    return any(column in beginning for column in columns) or (is_json and beginning[:1] in ("{", "["))


def _json_rows(text: str, name: str) -> list[Mapping[str, Any] | str]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as exc:
        raise Malformed(
            f"{name} is not JSON: it breaks off or errs in line {exc.lineno}, character {exc.colno}.",
            "Export it again.",
            code="NOT_JSON",
            zh=f"{name} 不是 JSON：第 {exc.lineno} 行第 {exc.colno} 个字符处有误或中断，请重新导出。",
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise Malformed(
            f"{name} is not JSON.", "Export it again.", code="NOT_JSON", zh=f"{name} 不是 JSON，请重新导出。"
        ) from exc
    listed = value if isinstance(value, list) else [value]
    return [row if isinstance(row, dict) and _plain(row) else "not an object of texts" for row in listed]


def _plain(row: dict[str, Any]) -> bool:
    return all(
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        for value in row.values()
    )


# --- tables ---


def _columns_of(profile: TypeProfile) -> dict[str, str]:
    """The names that a header cell may contain, with the field or column that each one means."""
    named = {field.name: field.name for field in profile.fields}
    named |= {_plain_name(field.label.zh): field.name for field in profile.fields}
    named |= {_plain_name(column): _AUTHORITY_COLUMNS[0] for column in _AUTHORITY_COLUMNS}
    named |= {_plain_name(column): _SEAL_COLUMNS[0] for column in _SEAL_COLUMNS}
    return named | {_COUNT: _COUNT}


def _plain_name(cell: Cell) -> str:
    """A header without differences that people ignore: blanks, line breaks, width of brackets, and the marks of
    forms (`姓名*`, `姓名：`, `姓名（必填）`)."""
    if isinstance(cell, Malformed):
        return ""
    text = unicodedata.normalize("NFKC", unwrapped(cell.strip()))
    text = "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf"))
    return text.strip("*:").removesuffix("(必填)").removesuffix("(选填)").strip("*:")


def _records_of(rows: Sequence[Sequence[Cell]], path: Path, profile: TypeProfile) -> list[Record]:
    columns = _columns_of(profile)
    start = next((n for n, row in enumerate(rows) if any(_is_filled(cell) for cell in row)), None)
    if start is None:
        return []
    header = _header(rows, start, columns, path.name, profile)
    counting = {n for n, meaning in enumerate(header) if meaning == _COUNT}
    records = []
    for number, row in enumerate(rows[start + 1 :], start + 2):
        if any(_is_filled(cell) for n, cell in enumerate(row) if n not in counting):
            problems = _row_problems(row, header, rows[start])
            records.append(_table_record(number, row, header, problems, profile, path.parent))
    return _with_lost_digits(records, profile)


def _with_lost_digits(records: list[Record], profile: TypeProfile) -> list[Record]:
    """Marks long numbers as damaged if all in a column end in zeros, because then the spreadsheet stored them as
    rounded numbers. A single one may really end in zeros."""
    for field in profile.fields:
        long = [
            (n, text)
            for n, record in enumerate(records)
            if field.pattern
            and len(text := str(record.fields.get(field.name, "")).strip()) >= 18
            and text.isdigit()
        ]
        if len(long) > 1 and all(has_lost_digits(text) for _, text in long):
            for n, _ in long:
                problems = (*records[n].problems, _lost_digits(field.name))
                records[n] = replace(records[n], problems=problems)
    return records


def _with_cuts(records: Sequence[Record], rows: Sequence[Sequence[str]]) -> list[Record]:
    """Marks pairs of rows that were one row until an unquoted line break in a cell cut it; neither may be issued."""
    start = next((n for n, row in enumerate(rows) if any(map(_is_filled, row))), 0)
    width = len(rows[start]) if rows else 0
    named = max((n for n, cell in enumerate(rows[start], 1) if _is_filled(cell)), default=0) if rows else 0
    cut: set[int] = set()
    for number, (row, following) in enumerate(pairwise(rows[start + 1 :]), start + 2):
        are_filled = any(map(_is_filled, row)) and any(map(_is_filled, following))
        # Two rows with a cell for every named column are complete, with empty cells at their ends left out.
        if are_filled and len(row) + len(following) - 1 == width and min(len(row), len(following)) < named:
            cut |= {number, number + 1}
    problem = _unreadable(
        "a row that a line break in a cell seems to have cut in two (or a note stands between rows)",
        "该行与相邻一行像是被单元格内的换行断成了两行（或混有合计、说明行），请去掉换行或多余的行后重新导出",
    )
    return [replace(r, problems=(*r.problems, problem)) if r.row in cut else r for r in records]


def _is_filled(cell: Cell) -> bool:
    return isinstance(cell, Malformed) or bool(cell.strip(" \t\r\n\u00a0\u3000"))


def _header(
    rows: Sequence[Sequence[Cell]], start: int, columns: Mapping[str, str], name: str, profile: TypeProfile
) -> list[str]:
    """The meaning of each column; "" for one without a name."""
    cells = rows[start]
    header = [columns.get(_plain_name(cell), "") for cell in cells]
    if not any(meaning not in ("", _COUNT) for meaning in header):
        raise _no_header(rows, start, columns, name, profile)
    below = rows[start + 1 :]
    unknown = [
        n
        for n, cell in enumerate(cells)
        if _is_filled(cell) and not header[n] and any(n < len(row) and _is_filled(row[n]) for row in below)
    ]
    if unknown and sum(bool(row) and _plain_name(row[0]) in columns for row in rows[start : start + 8]) > 2:
        raise Malformed(
            f"The names of the columns of {name} stand below each other in its first column.",
            "Turn the table: copy it, paste it with Transpose, and save again.",
            code="NO_HEADER",
            zh=f"{name} 的列名竖排在第一列。请复制整个表格，用“选择性粘贴 → 转置”把列名放到第一行后重新保存。",
        )
    if unknown:
        listed = [f"{_letters(n)}{_quoted(cells[n])}" for n in unknown[:8]]
        more, more_zh = (" …", "等") if len(unknown) > 8 else ("", "")
        raise Malformed(
            f"{profile.short} has no such column: {', '.join(listed)}{more}.",
            "Delete these columns, or give them the names that `yinzheng type show` lists.",
            code="UNKNOWN_COLUMN",
            zh=f"{profile.name.zh}没有这些列：{'、'.join(listed)}{more_zh}。"
            f"请删除这些列，或改成规定的列名（见 yinzheng type show {profile.short}）。",
        )
    for n, meaning in enumerate(header):
        if meaning and meaning in header[:n]:
            pair = f"{_letters(header.index(meaning))}, {_letters(n)}"
            raise Malformed(
                f"Two columns of {name} mean the same: {pair}.",
                "Keep one of them.",
                code="COLUMN_TWICE",
                zh=f"{name} 有两列含义相同：{pair}，请保留一列。",
            )
    return header


def _no_header(
    rows: Sequence[Sequence[Cell]], start: int, columns: Mapping[str, str], name: str, profile: TypeProfile
) -> Malformed:
    number = start + 1
    joined = "".join(cell for cell in rows[start] if isinstance(cell, str))
    for meant in decoded_twice(joined):
        plain = _plain_name(meant)
        if any(column[:4] in plain for column in columns if len(column) >= 4 and not column.isascii()):
            return Malformed(
                f"Row {number} of {name} was saved in a wrong encoding: its UTF-8 was read as another and saved again.",
                "Go back to the file before that, or export it anew as Excel Workbook (.xlsx) or CSV UTF-8.",
                code="ENCODED_TWICE",
                zh=f"{name} 从第 {number} 行起是乱码：曾用错误的编码打开并保存。"
                "请找回原来的文件，或重新导出为“Excel 工作簿 (*.xlsx)”或“CSV UTF-8”。",
            )
    for later, row in enumerate(rows[start + 1 : start + _HEADER_WITHIN], number + 1):
        if sum(_plain_name(cell) in columns for cell in row) >= 2:
            return Malformed(
                f"The names of the columns stand in row {later} of {name}, below other rows.",
                f"Delete the rows above row {later}, and save again.",
                code="NO_HEADER",
                zh=f"{name} 的列名在第 {later} 行，其上还有别的行。请删除第 {later} 行以上的各行后重新保存。",
            )
    for mark in "，、；｜":
        if sum(_plain_name(part) in columns for part in joined.split(mark)) >= 2:
            return Malformed(
                f"The cells of {name} are divided by {mark}, which is a mark of Chinese text and divides none.",
                "Open the source in a spreadsheet and save it as Excel Workbook (.xlsx) or CSV UTF-8.",
                code="NO_HEADER",
                zh=f"{name} 用全角的“{mark}”分列，无法区分内容。"
                "请在表格软件中另存为“Excel 工作簿 (*.xlsx)”或“CSV UTF-8”。",
            )
    if joined.lstrip().startswith(("{", "[")):
        return Malformed(
            f"{name} holds JSON and not a table.",
            "Give it a name that ends in .json.",
            code="NO_HEADER",
            zh=f"{name} 的内容是 JSON，不是表格，请把扩展名改为 .json。",
        )
    some = [field.label.zh for field in profile.fields[:2]]
    return Malformed(
        f"Row {number} of {name} holds no name of a column of {profile.short}.",
        f"Name the columns in the first row ({', '.join(some)} …). Where names are there and look garbled, save it "
        "again as CSV UTF-8.",
        code="NO_HEADER",
        zh=f"{name} 第 {number} 行没有{profile.name.zh}的列名。请在第一行写上列名（{'、'.join(some)}等）；"
        "如果列名显示为乱码，请另存为“CSV UTF-8”。",
    )


def _row_problems(row: Sequence[Cell], header: Sequence[str], names: Sequence[Cell]) -> list[Violation]:
    problems = []
    if [_plain_name(cell) for cell in row if _is_filled(cell)] == [
        _plain_name(cell) for cell in names if _is_filled(cell)
    ]:
        return [_unreadable("the names of the columns once more", "该行重复了列名，请删除该行")]
    for n, cell in enumerate(row):
        if n < len(header) and header[n]:
            if isinstance(cell, Malformed):
                problems.append(Violation(header[n], cell.code, cell.what, cell.todo, cell.zh))
            elif is_garbled(cell):
                problems.append(_garbled(header[n]))
        elif _is_filled(cell):
            column = _letters(n)
            problems.append(
                Violation(
                    f"column {column}",
                    "NO_NAME",
                    f"content in column {column}, which has no name in the first row",
                    "name the column, or delete it",
                    f"{column} 列没有列名却有内容，请补上列名或删除该列",
                )
            )
    return problems


def _table_record(
    number: int,
    row: Sequence[Cell],
    header: Sequence[str],
    problems: list[Violation],
    profile: TypeProfile,
    folder: Path,
) -> Record:
    # Programs leave out empty cells at a row's end. Cells that cannot be read are in `problems` instead.
    fields = {meaning: "" for meaning in header if meaning not in ("", _COUNT)}
    for meaning, cell in zip(header, row, strict=False):
        if meaning in fields and isinstance(cell, str):
            fields[meaning] = cell
    for field in profile.fields:
        # One in eleven identity numbers whose last digits were lost still passes its check. A real one that looks like
        # this can be given in a JSON file.
        if field.type in _PERSONAL_CODES and has_lost_digits(fields.get(field.name, "").strip()):
            problems.append(_lost_digits(field.name))
    record = record_from(number, fields, profile, folder)
    return replace(record, problems=(*problems, *record.problems))


def _take(fields: dict[str, Any], columns: Sequence[str]) -> str | None:
    for column in columns:
        if column in fields:
            value = tidied(unwrapped(str(fields.pop(column)).strip()))
            return in_half_width(without_invisible_ends(value)).removeprefix("'").strip() or None
    return None


def _letters(column: int) -> str:
    """The name of a column in a spreadsheet: A, B, … Z, AA."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _quoted(cell: Cell) -> str:
    """The header in brackets if it looks like a name, otherwise nothing, because a header may contain anything."""
    shown = cell.strip() if isinstance(cell, str) else ""
    return f" ({shown})" if re.fullmatch(r"[^\W\d（）()][^\W\d]*(?:[（(][^\W\d]+[）)])?", shown[:40]) else ""


def _unreadable(found: str, zh: str) -> Violation:
    return Violation("row", "UNREADABLE", found, "mend the row", zh)


def _lost_digits(field: str) -> Violation:
    lost = lost_digits()
    return Violation(field, lost.code, lost.what, lost.todo, lost.zh)


def _garbled(field: str) -> Violation:
    return Violation(
        field,
        "ENCODED_TWICE",
        "text that was read in a wrong encoding and saved so",
        "type it again, or export it anew as Excel Workbook (.xlsx) or CSV UTF-8",
        "是乱码（曾用错误的编码打开并保存），请重新录入，或重新导出为“Excel 工作簿”或“CSV UTF-8”",
    )


def _which_sheet(title: str, others: Sequence[str]) -> tuple[str, str]:
    if not others:
        return f"读取工作表“{title}”。", f"The sheet {title} is read."
    zh = f"读取工作表“{title}”；未读取：{'、'.join(others)}（需要时请把要读的工作表移到最前）。"
    return zh, f"The sheet {title} is read; not read: {', '.join(others)} (move the right one to the front)."


# --- pictures ---


def _find_picture(folder: Path, name: str) -> Path | None:
    """The file that a cell names, with its name as written in the folder; None if there is none, or it is outside
    the folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in parts or any(":" in part or "\0" in part for part in parts):
        return None
    found = folder
    for part in parts:
        step = _in_folder(found, part)
        if step is None:
            return None
        found = step
    try:
        inside = found.resolve()
        is_inside = inside.is_relative_to(folder.resolve()) and inside.is_file()
    except (OSError, RuntimeError):  # circular links, names that no file can have
        return None
    return found if parts and is_inside else None


def _in_folder(folder: Path, name: str) -> Path | None:
    if os.path.exists(folder / name):  # False for names that no file can have
        return folder / name
    try:
        found = [each for each in os.listdir(folder) if _without_case(each) == _without_case(name)]
    except OSError:
        return None
    return folder / found[0] if len(found) == 1 else None


def _without_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _no_picture(field: str) -> Violation:
    return Violation(
        field,
        "NO_PICTURE",
        "a picture that is not in the table's folder",
        "put it there, and name it as photos/name.jpg, without drive and ..",
        "表格所在文件夹中没有这张照片，请放入该文件夹，并写成 photos/名称.jpg（不带盘符和 ..）",
    )
