"""Tables as programs write them, made from one good record: rows of cells, then bytes or workbooks."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl

from issuer.catalogue import load_profile
from support.world import FOOD

NAMES = list(FOOD)
LABELS = [load_profile("FOOD").field(name).label.zh for name in NAMES]


def food(number: int = 1, **changes: Any) -> list[Any]:
    """One record, its cells in the order of `LABELS`."""
    return list({**FOOD, "licence_number": f"JY2990101{number:07d}", **changes}.values())


def table(*rows: Sequence[Any], header: Sequence[str | None] = LABELS) -> list[list[Any]]:
    return [list(header), *map(list, rows)]


def as_text(rows: Sequence[Sequence[Any]], separator: str = ",", line_end: str = "\r\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=line_end).writerows(rows)
    return out.getvalue()


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def write_workbook(
    path: Path, rows: Sequence[Sequence[Any]], change: Callable[[Any], None] = lambda sheet: None
) -> Path:
    """`change` does to the sheet what a person did."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "名单"
    for row in rows:
        sheet.append(row)
    change(sheet)
    book.save(path)
    return path
