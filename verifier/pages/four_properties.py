"""The printable report on the four properties of an archived record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trust.words.language import Language
from trust.words.texts import show_time
from verifier.checks.archive_package import check_name


def four_properties_page(report: dict[str, Any], language: Language) -> str:
    """The printable report as one self-contained HTML page, from its JSON."""
    from trust.web.assets import make_templates

    side = 1 if language == "en" else 0
    return (
        make_templates(["verifier.pages"])
        .get_template("four_properties.html")
        .render(
            report=report,
            language=language,
            words=_WORDS,
            side=side,
            name_of=lambda check: check_name(check, language),
            checked_at=show_time(datetime.fromisoformat(report["checked_at"]), language),
        )
    )


_WORDS = {
    "title": ("电子档案四性检测报告", "Report on the four properties of an electronic record"),
    "record": ("证照标识", "Identifier"),
    "checked_at": ("检测时点", "As of"),
    "result": ("结论", "Result"),
    "check": ("检测项", "Check"),
    "detail": ("说明", "Detail"),
    "state": ("证照状态（不影响四性）", "State of the licence (no part of the four properties)"),
    "roots": ("信任根指纹（请与公布的核对）", "Trust roots (compare with the published ones)"),
    "PASSED": ("通过", "passed"),
    "FAILED": ("未通过", "failed"),
    "INDETERMINATE": ("无法确定", "cannot be told"),
    "NOT_CHECKED": ("未检测", "not checked"),
    "note": (
        "每项结果均由程序对移交包实际检测得出；四性名称见 DA/T 70-2018。可用 yinzheng archive check 重新检测。",
        "Every result is that of a check on the package itself; DA/T 70-2018 names the four properties. "
        "`yinzheng archive check` makes the checks again.",
    ),
}
