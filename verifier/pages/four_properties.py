"""The printable report on the four properties of an archived record."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from trust.words.language import Language
from trust.words.texts import show_time, text
from verifier.checks.archive_package import check_name


def four_properties_page(report: dict[str, Any], language: Language) -> str:
    """The printable report as one self-contained HTML page, from its JSON."""
    from trust.web.assets import make_templates

    return (
        make_templates(["verifier.pages"])
        .get_template("four_properties.html")
        .render(
            report=report,
            language=language,
            t=partial(text, language),
            name_of=lambda check: check_name(check, language),
            checked_at=show_time(datetime.fromisoformat(report["checked_at"]), language),
        )
    )
