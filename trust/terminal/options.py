"""Options that many commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from trust.model.errors import Malformed
from trust.terminal.console import t

Data = Annotated[Path | None, typer.Option("--data", help=t("数据目录", "data folder (or YINZHENG_DATA)"))]
Json = Annotated[bool, typer.Option("--json", help=t("输出 JSON", "print JSON for machines"))]

OPERATOR = "operator"
"""The actor of a command if none is named."""
By = Annotated[str, typer.Option("--by", help=t("经办人", "who acts"))]
ApprovedBy = Annotated[
    str | None,
    typer.Option(
        "--approved-by",
        help=t("批准人（追溯超过三天时必填）", "who approves; needed further back than three days"),
    ),
]

E = TypeVar("E", bound=Enum)


def one_of(kind: type[E], text: str, what: str) -> E:
    """The member of an enum with this value. Raises `Malformed`, which lists the allowed values."""
    try:
        return kind(text)
    except ValueError as exc:
        known = ", ".join(str(member.value) for member in kind)
        raise Malformed(f"There is no {what} {text}.", f"Choose one of {known}.") from exc
