"""Reading an Excel workbook (.xlsx, .xlsm): the values of one sheet, as the person who saved it saw them.

The first visible sheet with content is read, and its name reported. For formulas, the stored result counts. Content
that is not visible, or not shown as it is stored, is refused and never guessed: hidden rows and columns, merged cells,
numbers that are shown differently by their format (`issuer.ecertificates.cell_formats`) or have more than 15 digits,
formulas without a stored result, error values.

The file is a zip of XML files and is not trusted: its size is checked before it is unpacked, document types are refused
(no entity is ever expanded), no picture, macro or outside link is opened, and rows and cells are counted while they are
read.
"""

from __future__ import annotations

import posixpath
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from issuer.ecertificates.cell_formats import number_as_shown, shows_text, text_shown_otherwise
from trust.model.errors import Malformed

_MOST_PARTS = 5_000
_MOST_UNPACKED = 512 * 1024 * 1024
_MOST_ROWS = 1_048_576
_MOST_CELLS = 4_000_000
_CHUNK = 1 << 20
_MOST_OF = (
    (re.compile(rb"<"), 6 * _MOST_CELLS),
    (re.compile(rb"<(?:[\w.-]+:)?c[\s/>]"), _MOST_CELLS),
    (re.compile(rb"<(?:[\w.-]+:)?(?:xf|font|fill|border|dxf|numFmt|cellStyle)[\s/>]"), 200_000),
)
_DOCUMENT_TYPES = tuple(
    mark.encode(encoding)
    for mark in ("<!DOCTYPE", "<!ENTITY")
    for encoding in ("ascii", "utf-16-le", "utf-16-be")
)
# ECMA-376 part 1, 18.8.30: the number formats that Chinese Excel writes as a number only. The library lacks them, and
# would return a date in one of them as a plain number.
_CHINESE_FORMATS = {
    **dict.fromkeys((27, 36, 50, 52, 57), 'yyyy"年"m"月"'),
    **dict.fromkeys((28, 29, 51, 53, 54, 58), 'm"月"d"日"'),
    30: "m-d-yy",
    31: 'yyyy"年"m"月"d"日"',
    **dict.fromkeys((32, 33, 34, 35, 55, 56), 'h"时"mm"分"'),
}
# As in the standard; the library's version lacks the separators between its sections.
_MONEY = {44: '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)'}
_SAVE_AGAIN = "Open it in Excel or WPS and save it again as Excel Workbook (.xlsx)."
_SAVE_AGAIN_ZH = "请在 Excel 或 WPS 中打开，另存为“Excel 工作簿 (*.xlsx)”后重新提交。"

Cell = str | Malformed
"""A cell's text, or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """`rows[n]` is row n + 1 of the sheet; `others` are visible sheets with content that were not read."""

    title: str
    others: tuple[str, ...]
    rows: list[list[Cell]]


def is_workbook(path: Path) -> bool:
    """True if the file is a workbook, judging by its content and not by its name."""
    try:
        with zipfile.ZipFile(path) as packed:
            return "xl/workbook.xml" in packed.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def read_workbook(path: Path) -> Sheet:
    """The first visible sheet with content. Raises `Malformed` if the workbook as a whole is refused."""
    with _translated(path.name):
        _check_package(path)
        import openpyxl  # only installed with the server, and slow to load
        from openpyxl.styles.numbers import BUILTIN_FORMATS

        for number, shown_as in _CHINESE_FORMATS.items():
            BUILTIN_FORMATS.setdefault(number, shown_as)
        BUILTIN_FORMATS.update(_MONEY)
        # Open the files here, because the library would judge a path by its extension.
        with path.open("rb") as one, path.open("rb") as other, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about charts and validations, which are not read
            values = openpyxl.load_workbook(one, read_only=True, data_only=True, keep_links=False)
            formulas = openpyxl.load_workbook(other, read_only=True, data_only=False, keep_links=False)
            return _read(path, values, formulas)


def _read(path: Path, values: Any, formulas: Any) -> Sheet:
    filled = [
        sheet.title
        for sheet in values.worksheets
        if sheet.sheet_state == "visible" and _has_content(sheet, path.name)
    ]
    if not filled:
        raise Malformed(
            f"No visible sheet of {path.name} holds anything.",
            "Check that it is the right file.",
            code="NO_RECORDS",
            zh=f"{path.name} 的可见工作表都是空的，请确认文件是否正确。",
        )
    title = filled[0]
    rows = [
        [_cell(value, formula) for value, formula in zip(value_row, formula_row, strict=False)]
        for value_row, formula_row in zip(
            _rows(values[title], path.name), _rows(formulas[title], path.name), strict=True
        )
    ]
    _check_seen(path, title, rows)
    return Sheet(title, tuple(filled[1:]), rows)


# --- the package ---


def _check_package(path: Path) -> None:
    with zipfile.ZipFile(path) as packed:
        parts = packed.infolist()
        if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
            raise Malformed(
                f"{path.name} is larger unpacked than is read here.",
                "Copy the rows alone into a new workbook, or split it.",
                code="TOO_LARGE",
                zh=f"{path.name} 解压后过大。请只把数据行复制到新的工作簿，或拆成几个文件。",
            )
        for part in parts:
            _check_part(packed, part, path.name)


def _check_part(packed: zipfile.ZipFile, part: zipfile.ZipInfo, file_name: str) -> None:
    """Refuses a document type, an encoding that Excel does not write, and too many cells or styles.

    Excel writes no document types, and entities need one. Names need not tell which parts are XML, so every part is
    searched for a document type, in every encoding that the parser reads. Cells and styles are counted here, because
    the library builds a whole row, and all styles, before it returns the first.
    """
    counts = [0] * len(_MOST_OF)
    is_named_xml = part.filename.lower().endswith((".xml", ".rels", ".vml"))
    with packed.open(part) as stream:
        before = b""
        while chunk := stream.read(_CHUNK):
            window = before + chunk
            is_wide = window[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in window[:64]
            if not before and is_named_xml and is_wide:
                raise ValueError("XML in an encoding that workbooks do not have")
            if any(mark in window for mark in _DOCUMENT_TYPES):
                raise ValueError("XML with a document type")
            for number, (start, most) in enumerate(_MOST_OF):
                counts[number] += len(start.findall(window)) - len(start.findall(before))
                if counts[number] > most:
                    raise _too_many_cells(file_name)
            before = window[-32:]


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except Malformed:
        raise
    except (MemoryError, ImportError):
        raise
    except Exception as exc:  # the library has no error class; a broken part may raise any of twenty
        raise Malformed(
            f"{name} is a damaged workbook, or of a kind that is not read.",
            _SAVE_AGAIN,
            code="WORKBOOK_UNREADABLE",
            zh=f"工作簿 {name} 已损坏或格式特殊，无法读取。{_SAVE_AGAIN_ZH}",
        ) from exc


# --- what a person sees ---


def _check_seen(path: Path, title: str, rows: list[list[Cell]]) -> None:
    hidden, hidden_areas, merged = _hidden_and_merged(path, title)
    hidden = [number for number in hidden if number <= len(rows) and any(rows[number - 1])]
    if hidden:
        listed = ", ".join(map(str, hidden[:8])) + (" …" if len(hidden) > 8 else "")
        raise Malformed(
            f"{len(hidden)} rows of the sheet {title} are hidden, perhaps by a filter: {listed}.",
            "Show all rows (clear the filter), delete those that are not meant, and save again.",
            code="HIDDEN_ROWS",
            zh=f"工作表“{title}”有 {len(hidden)} 行被隐藏（可能是筛选）：第 {listed} 行。"
            "请清除筛选、取消隐藏，删去不需要的行后重新保存。",
        )
    widest = max(map(len, rows), default=0)
    columns = [n for low, high in hidden_areas for n in range(low, min(high, widest) + 1)]
    columns = [n for n in columns if any(row[n - 1] for row in rows if len(row) >= n)]
    if columns:
        listed = ", ".join(map(_letters, columns[:8])) + (" …" if len(columns) > 8 else "")
        raise Malformed(
            f"{len(columns)} columns of the sheet {title} are hidden: {listed}.",
            "Show all columns, delete those that are not meant, and save again.",
            code="HIDDEN_COLUMNS",
            zh=f"工作表“{title}”有 {len(columns)} 列被隐藏：{listed} 列。请取消隐藏，删去不需要的列后重新保存。",
        )
    first = next((n for n, row in enumerate(rows, 1) if sum(bool(cell) for cell in row) > 1), 1)
    merged = [area for area in merged if _last_row(area) >= first]
    if merged:
        listed = ", ".join(merged[:8]) + (" …" if len(merged) > 8 else "")
        raise Malformed(
            f"The sheet {title} has merged cells: {listed}.",
            "Unmerge them, write the value into each row, and save again.",
            code="MERGED_CELLS",
            zh=f"工作表“{title}”有合并单元格：{listed}。请取消合并，把内容填入每一行后重新保存。",
        )


def _hidden_and_merged(path: Path, title: str) -> tuple[list[int], list[tuple[int, int]], list[str]]:
    """Numbers of hidden rows, first and last columns of hidden ranges, merged areas. Zero height or width counts as
    hidden."""
    hidden, columns, merged, number = [], [], [], 0
    with zipfile.ZipFile(path) as packed, packed.open(_part_of(packed, title)) as stream:
        # It has no document type, as `_check_package` has checked.
        for _, element in ElementTree.iterparse(stream):  # noqa: S314
            kind = element.tag.rpartition("}")[2]
            if kind == "row":
                number = int(element.get("r", number + 1))
                if _is_hidden(element, "ht"):
                    hidden.append(number)
                element.clear()
            elif kind == "col":
                if _is_hidden(element, "width"):
                    columns.append((int(element.get("min", "1")), int(element.get("max", "1"))))
            elif kind == "mergeCell":
                merged.append(element.get("ref", ""))
    return hidden, columns, [area for area in merged if ":" in area]


def _is_hidden(element: ElementTree.Element, size: str) -> bool:
    return element.get("hidden") in ("1", "true") or float(element.get(size, "1")) <= 0


def _letters(column: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(column))


def _part_of(packed: zipfile.ZipFile, title: str) -> str:
    workbook = ElementTree.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314 (as above)
    relations = ElementTree.fromstring(packed.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 (as above)
    targets = {each.get("Id"): each.get("Target", "") for each in relations}
    for sheet in workbook.iter():
        if sheet.tag.rpartition("}")[2] == "sheet" and sheet.get("name") == title:
            wanted = next(value for name, value in sheet.attrib.items() if name.endswith("}id"))
            return posixpath.normpath(posixpath.join("/xl", targets[wanted])).lstrip("/")
    raise ValueError("a sheet without its part")


def _last_row(area: str) -> int:
    matched = re.search(r"[0-9]+\Z", area)
    return int(matched.group()) if matched else 0


# --- cells ---


def _rows(sheet: Any, name: str) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # the size as written is often wrong
    cells = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells += len(row)
        if number > _MOST_ROWS or cells > _MOST_CELLS:
            raise _too_many_cells(name)
        yield row


def _too_many_cells(name: str) -> Malformed:
    return Malformed(
        f"{name} holds more rows or cells than are read at once.",
        "Delete empty rows and columns at the end, or split it.",
        code="TOO_LARGE",
        zh=f"{name} 的行或单元格过多。请删除末尾的空行空列，或拆成几个文件。",
    )


def _has_content(sheet: Any, name: str) -> bool:
    return any(
        cell.value is not None and str(cell.value).strip() for row in _rows(sheet, name) for cell in row
    )


def _cell(value: Any, formula: Any) -> Cell:
    if formula.data_type == "f" and value.value is None and value.data_type not in ("s", "str"):
        return Malformed(
            "a formula whose result was never stored",
            "open it in Excel or WPS, save it, and send it again",
            code="FORMULA",
            zh="公式没有保存计算结果，请在 Excel 或 WPS 中打开并保存后重新提交",
        )
    match value.value:
        case None:
            return ""
        case bool(truth):
            return "TRUE" if truth else "FALSE"
        case str(text):
            return _unescaped(text) if shows_text(value.number_format or "") else text_shown_otherwise()
        case int() | float():
            return number_as_shown(value.value, value.number_format or "")
        case date() as moment:  # or its subclass `datetime`
            return _moment(moment, value.number_format or "")
        case other:
            return str(other)


def _moment(moment: date, shown_as: str) -> Cell:
    shown = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.|_.', "", shown_as.partition(";")[0]).lower()
    if not {"y", "d"} <= set(shown):
        return Malformed(
            "a date that the cell shows without its day or year",
            "give the column the format yyyy-mm-dd, look whether the days are right, and save again",
            code="DATE_INCOMPLETE",
            zh="单元格显示的日期缺年或日，请把该列的单元格格式设为日期“yyyy-mm-dd”，核对后重新保存",
        )
    if isinstance(moment, datetime):
        is_day = moment.time() == datetime.min.time()
        return moment.date().isoformat() if is_day else moment.isoformat(" ")
    return moment.isoformat()


def _unescaped(text: str) -> str:
    """The text with escapes such as `_x000D_` decoded, which workbooks use for characters that XML cannot contain."""
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda matched: chr(int(matched.group(1), 16)), text)
