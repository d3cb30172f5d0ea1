"""The catalogue: what pages, reports and refusals say, in zh-CN and English.

A text is looked up by its key (`verify.title`) in `zh_CN.po` and `en.po` beside this file. They are read once, on
first use, without being compiled. A missing key is a mistake in the code and raises KeyError; `tests/app/test_pages.py`
detects it. For keys that contain a code from elsewhere, `find_text` returns None if there is no text.

Both files have the same keys, except for refusals: their English text is where each is raised (`trust.words.refusals`).
`verifier.sentences` chooses the texts of a verdict, so that pages, API and command line agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files

from trust.encoding.ecertificate_data import CHINA
from trust.words.language import LANGUAGES, Language, show_date

_FILES: Mapping[Language, str] = {"zh-CN": "zh_CN.po", "en": "en.po"}


def text(language: Language, key: str, **values: object) -> str:
    """The text with this key, with its {placeholders} filled in."""
    found = load_texts(language)[key]
    return found.format(**values) if values else found


def find_text(language: Language, key: str) -> str | None:
    """The text under this key as it stands, or None if there is none."""
    return load_texts(language).get(key)


@cache
def load_texts(language: Language) -> Mapping[str, str]:
    """A whole catalogue. An empty translation counts as missing."""
    from babel.messages.pofile import read_po  # imported here: most commands need no text from the catalogue

    with files("trust.words").joinpath(_FILES[language]).open("rb") as file:
        catalogue = read_po(file, locale=language.replace("-", "_"), abort_invalid=True)
    return {str(m.id): str(m.string) for m in catalogue if m.id and m.string}


def as_language(tag: str | None) -> Language | None:
    """Our language for a tag such as `zh-Hans-CN` or `en-GB`, or None."""
    primary = (tag or "").strip().lower().split("-")[0].split("_")[0]
    return "zh-CN" if primary == "zh" else "en" if primary == "en" else None


def preferred_language(accept_language: str) -> Language:
    """The preferred language in an Accept-Language header (RFC 9110 §12.5.4); zh-CN if it names none of ours."""
    ranked: list[tuple[float, Language]] = []
    for part in accept_language.split(",")[:20]:
        tag, _, parameter = part.partition(";")
        language = as_language(tag)
        if language is not None:
            ranked.append((_weight(parameter), language))
    best = max(ranked, key=lambda each: each[0], default=(0.0, LANGUAGES[0]))
    return best[1] if best[0] > 0 else LANGUAGES[0]


def show_time(at: datetime, language: Language) -> str:
    """A time as 2026年11月21日 10:02:11 or 21 Nov 2026 10:02:11, always in China's time."""
    return f"{show_date(at.isoformat(), language)} {at.astimezone(CHINA):%H:%M:%S}"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
