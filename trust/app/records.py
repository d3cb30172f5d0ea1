"""Reading what departments export: CSV or JSON files of records, with the pictures they name.

A CSV has one header row; columns are named by field name or Chinese label. UTF-8 with or without a byte order
mark, or GB 18030, which office programs in China write. Columns of ours, beside the type's own fields:

    authority, 签发机构代码   id or credit code of the issuing authority
    seal, 印章              id of the seal

A photo column names a picture file, looked for beside the CSV and nowhere else.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from issuer.catalogue import Role, TypeProfile
from trust.model.errors import Malformed

MAX_ROWS = 100_000
_MAX_FILE_BYTES = 256 * 1024 * 1024
_AUTHORITY_COLUMNS = ("authority", "签发机构代码")
_SEAL_COLUMNS = ("seal", "印章")


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its number as a person counts (the first after the header is 1), its fields, its picture."""

    row: int
    fields: Mapping[str, str | Sequence[str]]
    authority: str | None
    seal: str | None
    photo: bytes | None
    problem: str | None = None


def read_records(path: Path, profile: TypeProfile) -> list[Record]:
    """Raises `Malformed` where the file as a whole cannot be read; a bad row is a `Record` with a problem."""
    if not path.is_file():
        raise Malformed(f"There is no file {path.name}.", "Check the path.")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise Malformed(f"{path.name} is larger than 256 MiB.", "Split it.")
    text = _decode(path.read_bytes(), path.name)
    rows = _json_rows(text, path.name) if path.suffix.lower() == ".json" else _csv_rows(text, path.name)
    if not rows:
        raise Malformed(f"{path.name} holds no records.", "Check that it is the right file.")
    if len(rows) > MAX_ROWS:
        raise Malformed(f"{path.name} has more than {MAX_ROWS} rows.", "Split it.")
    return [record_from(number, row, profile, path.parent) for number, row in enumerate(rows, 1)]


def record_from(
    number: int, row: Mapping[str, Any] | str, profile: TypeProfile, folder: Path | None
) -> Record:
    """A record from one row; `folder` is where its pictures lie, None where it may name none."""
    if isinstance(row, str):
        return Record(number, {}, None, None, None, row)
    fields = dict(row)
    authority = _take(fields, _AUTHORITY_COLUMNS)
    seal = _take(fields, _SEAL_COLUMNS)
    photo_field = profile.with_role(Role.PHOTO)
    photo = None
    if photo_field is not None and folder is not None:
        name = fields.get(photo_field.name) or fields.get(photo_field.label.zh)
        if isinstance(name, str) and name.strip():
            path = (folder / name.strip()).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file():
                return Record(
                    number,
                    fields,
                    authority,
                    seal,
                    None,
                    f"{photo_field.name}: no such picture beside the file",
                )
            photo = path.read_bytes()
    return Record(number, fields, authority, seal, photo)


def _take(fields: dict[str, Any], columns: Sequence[str]) -> str | None:
    for column in columns:
        if column in fields:
            value = str(fields.pop(column)).strip()
            return value or None
    return None


def _decode(data: bytes, name: str) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Malformed(f"{name} is neither UTF-8 nor GB 18030.", "Export it as UTF-8.")


def _csv_rows(text: str, name: str) -> list[Mapping[str, Any] | str]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [column.strip() for column in next(reader, [])]
        if not any(header) or len(set(header)) != len(header):
            raise Malformed(
                f"{name} has no header row, or a column stands in it twice.", "Mend the first row."
            )
        rows: list[Mapping[str, Any] | str] = []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                rows.append(f"the row has {len(values)} cells, the header {len(header)}")
            else:
                rows.append(dict(zip(header, values, strict=True)))
    except csv.Error as exc:
        raise Malformed(f"{name} is not a CSV file: {exc}.", "Export it again.") from exc
    return rows


def _json_rows(text: str, name: str) -> list[Mapping[str, Any] | str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"{name} is not JSON.", "Export it again.") from exc
    listed = value if isinstance(value, list) else [value]
    return [row if isinstance(row, dict) and _plain(row) else "not an object of texts" for row in listed]


def _plain(row: dict[str, Any]) -> bool:
    return all(
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        for value in row.values()
    )
