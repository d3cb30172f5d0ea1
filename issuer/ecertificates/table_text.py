"""Decoding an exported table from bytes to text, and splitting the text into rows.

Programs write tables in many ways: UTF-8, UTF-16 ("Unicode text"), UTF-32, GB 18030 and GBK, with or without a
byte-order mark; commas, semicolons or tabs; a first line `sep=;`. A file must be in one encoding from beginning to end.
Any other is refused with the row, the byte and what to do; no file is read in part, and no character is replaced.

Rows are counted as spreadsheet programs show them: blank ones count, a cell of several lines is in one row, and the
`sep=` line, which programs hide, does not count.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence

from trust.model.errors import Malformed

_MARKS = (  # the longer ones first, because the mark of UTF-32 begins with that of UTF-16
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")  # UTF-32 is also UTF-16 with zeros between
_THREE_BYTES = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}")
_NAMES = {"utf-8": "UTF-8", "gb18030": "GB 18030"}
_MOST_ROWS = 1_048_576
_SEPARATORS = ",;\t|"
_SEP_LINE = re.compile(r'\A"?sep=([^"\r\n])"?(?:\r\n|\n|\r|\Z)', re.IGNORECASE)
_AGAIN = "Save it again as Excel Workbook (.xlsx) or CSV UTF-8."
_AGAIN_ZH = "请在表格软件中另存为“Excel 工作簿 (*.xlsx)”或“CSV UTF-8”后重新提交。"

Known = Callable[[str], bool]
"""Returns whether a text begins like the expected table, that is, contains the name of a column."""


def decode_table(data: bytes, name: str, known: Known) -> str:
    """The text of a table or a JSON file. Raises `Malformed` if it is not in one known encoding throughout."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _tidy_ends(_decode_as(data, encoding, name))
    if b"\0" in data.rstrip(b"\0\x1a"):
        for encoding in _WIDE:
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                continue
            if known(text):
                return _tidy_ends(text)
    try:
        return _tidy_ends(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _tidy_ends(_decode_as(data, _eight_bit_encoding(data, name), name))


def check_no_zero(text: str, name: str) -> None:
    """Raises `Malformed` at the first zero byte inside a text, which shows a damaged file or no text at all."""
    position = text.find("\0")
    if position >= 0:
        row = row_at(text[:position])
        raise Malformed(
            f"Row {row} of {name} holds a zero byte, character {_column(text, position)} of its line: it is damaged.",
            _AGAIN,
            code="TABLE_DAMAGED",
            zh=f"{name} 第 {row} 行（该行第 {_column(text, position)} 个字符）含有空字节，文件已损坏。{_AGAIN_ZH}",
        )


def row_at(before: str) -> int:
    """The number of the row in which the text `before` ends."""
    before = _SEP_LINE.sub("", before)
    row, is_quoted = 1, False
    for matched in re.finditer(r'"|\r\n|\n|\r', before):
        if matched.group() == '"':
            is_quoted = not is_quoted
        elif not is_quoted:
            row += 1
    return row


def split_rows(text: str, name: str, columns_in: Callable[[Sequence[str]], int]) -> list[list[str]]:
    """All rows, with blank ones. The separator is that of `sep=`, or the one that gives most known column names."""
    if matched := _SEP_LINE.match(text):
        return _split(text[matched.end() :], matched.group(1), name)
    beginning = "".join(text[:65_536].splitlines(keepends=True)[:12])
    found = {separator: _most_columns(beginning, separator, columns_in) for separator in _SEPARATORS}
    return _split(text, max(_SEPARATORS, key=lambda separator: found[separator]), name)


def decoded_twice(text: str) -> tuple[str, ...]:
    """The texts that this one may have been before a program decoded its UTF-8 in another encoding."""
    meant = []
    for encoding in ("gb18030", "cp1252", "latin-1"):
        encoded = text.encode(encoding, "ignore")
        meant.append(encoded.decode("utf-8", "ignore"))
    return tuple(meant)


def is_garbled(cell: str) -> bool:
    """True if a cell is Chinese UTF-8 that was decoded as GBK (鏄ュ煄 for 春城). At least four ideographs are
    required, because fewer could fit by chance."""
    if sum("\u3400" <= char <= "\u9fff" for char in cell) < 4:
        return False
    try:
        meant = cell.encode("gb18030").decode("utf-8")
    except UnicodeError:
        return False
    return len(meant) < len(cell) and any("\u3400" <= char <= "\u9fff" for char in meant)


def check_is_text(data: bytes, name: str) -> None:
    """Raises `Malformed` for files of other programs, judging by their content and not by their names."""
    kind = _kind_of(data)
    if kind is not None:
        en, zh = kind
        raise Malformed(
            f"{name} is {en}, which is not read here.",
            "Open it in its program and save it as Excel Workbook (.xlsx) or CSV UTF-8.",
            code="NOT_A_TABLE",
            zh=f"{name} 是{zh}，不能直接读取。请在原软件中打开，另存为“Excel 工作簿 (*.xlsx)”或“CSV UTF-8”后重新提交。",
        )


# --- encodings ---


def _decode_as(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        if encoding == "utf-8":
            _eight_bit_encoding(data, name)  # raises a better error if the encoding changes at some line
        raise _unreadable(data, exc.start, encoding, name) from exc


def _eight_bit_encoding(data: bytes, name: str) -> str:
    """UTF-8 or GB 18030, judged line by line. Raises `Malformed` for a file in both, at the first differing line."""
    begins: dict[str, int] = {}
    for matched in re.finditer(rb"[^\r\n]+", data):
        line = matched.group()
        if line.isascii():
            continue
        is_utf8, is_gb = _is(line, "utf-8"), _is(line, "gb18030")
        if is_utf8 and (not is_gb or len(_THREE_BYTES.findall(line)) >= 2):
            begins.setdefault("utf-8", matched.start())
        elif is_gb and not is_utf8:
            begins.setdefault("gb18030", matched.start())
    if len(begins) == 2:
        (first, _), (second, position) = sorted(begins.items(), key=lambda item: item[1])
        row = row_at(data[:position].decode(first, "replace"))
        raise Malformed(
            f"{name} is written in two encodings: {_NAMES[first]} before row {row}, {_NAMES[second]} in it.",
            "Open both sources, copy the rows into one workbook, and save that as Excel Workbook (.xlsx).",
            code="TWO_ENCODINGS",
            zh=f"{name} 混有两种编码：第 {row} 行之前是 {_NAMES[first]}，该行是 {_NAMES[second]}。"
            "请把两部分分别打开，复制到同一个工作簿，另存为“Excel 工作簿 (*.xlsx)”后重新提交。",
        )
    return next(iter(begins), "gb18030")


def _is(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _unreadable(data: bytes, position: int, encoding: str, name: str) -> Malformed:
    before = data[:position].decode(encoding, "replace")
    row = row_at(before)
    line_begins = max(data.rfind(b"\n", 0, position), data.rfind(b"\r", 0, position)) + 1
    byte = position - line_begins + 1
    shown = _NAMES.get(encoding, encoding.upper())
    return Malformed(
        f"Row {row} of {name} cannot be read: byte {byte} of its line ({position + 1} of the file) is not {shown}.",
        _AGAIN,
        code="UNREADABLE_BYTE",
        zh=f"{name} 第 {row} 行无法读取：该行第 {byte} 个字节（文件第 {position + 1} 个字节）"
        f"不是 {shown} 编码。{_AGAIN_ZH}",
    )


def _tidy_ends(text: str) -> str:
    """The text without byte-order marks at its beginning, and without zero bytes and Ctrl-Z at its end."""
    return text.lstrip("\ufeff").rstrip("\0\x1a")


def _column(text: str, position: int) -> int:
    return position - max(text.rfind("\n", 0, position), text.rfind("\r", 0, position))


# --- rows ---


def _most_columns(beginning: str, separator: str, columns_in: Callable[[Sequence[str]], int]) -> int:
    try:
        rows = list(csv.reader(io.StringIO(beginning, newline=""), delimiter=separator))
    except csv.Error:
        return 0
    return max((columns_in(row) for row in rows), default=0)


def _split(text: str, separator: str, name: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            rows.append(row)
            if len(rows) > _MOST_ROWS:
                raise Malformed(
                    f"{name} has more rows than a sheet can.",
                    "Split it.",
                    code="TOO_LARGE",
                    zh=f"{name} 的行数超过一张工作表的上限，请拆成几个文件。",
                )
    except (csv.Error, TypeError) as exc:
        row_number = len(rows) + 1
        raise Malformed(
            f"Row {row_number} of {name} cannot be divided into cells: a quotation mark is not closed or stands alone.",
            f"Look at the quotation marks of that row. {_AGAIN}",
            code="QUOTES",
            zh=f"{name} 第 {row_number} 行无法分列：引号不成对。请检查该行的引号。{_AGAIN_ZH}",
        ) from exc
    return rows


# --- files of other programs ---


def _kind_of(data: bytes) -> tuple[str, str] | None:
    head = data[:4096]
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            return "a workbook with a password", "带密码的工作簿（请先去掉打开密码）"
        return "a workbook of the old form (.xls, .et)", "旧格式工作簿（.xls 或 WPS 的 .et）"
    if re.match(rb"\x09[\x00\x02\x04\x08]", head):
        return "a workbook of the old form (.xls)", "旧格式工作簿（.xls）"
    begins = re.sub(rb"[\0\xff\xfe\xef\xbb\xbf\s]", b"", head[:1024]).lower()
    if re.match(rb"<(?:html|!doctypehtml|table|meta|head|style|div)|mime-version:", begins):
        return "a web page with a table, whatever its name says", "网页（HTML）表格，只是扩展名像表格文件"
    if begins.startswith((b"<?xml", b"<workbook", b"<uof")):
        return "an XML file", "XML 文件（如 XML 表格 2003）"
    for magic, en, zh in (
        (b"%PDF", "a PDF", " PDF 文件"),
        (b"{\\rtf", "a text document (RTF)", "文字文档（RTF）"),
        (b"\x89PNG", "a picture", "图片"),
        (b"\xff\xd8\xff", "a picture", "图片"),
        (b"Rar!", "a packed file (RAR)", "压缩包（RAR）"),
        (b"7z\xbc\xaf", "a packed file (7z)", "压缩包（7z）"),
        (b"\x1f\x8b", "a packed file (gzip)", "压缩包（gzip）"),
    ):
        if head.startswith(magic):
            return en, zh
    return None


def _kind_of_zip(data: bytes) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            names = packed.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return "a damaged workbook or packed file", "已损坏的工作簿或压缩包"
    if any(name.endswith(".iwa") or name.startswith("Index") for name in names):
        return "a Numbers document", " Numbers 文稿"
    if "xl/workbook.bin" in names:
        return "a binary workbook (.xlsb)", "二进制工作簿（.xlsb）"
    if "content.xml" in names:
        return "an OpenDocument file (.ods)", " OpenDocument 文件（.ods）"
    if any(name.startswith("word/") for name in names):
        return "a Word document", " Word 文档"
    return "a packed file (ZIP)", "压缩包（ZIP）"
