"""Values of fields for display."""

from __future__ import annotations

import re
from datetime import date

from trust.model.parties import CodeType
from trust.words.language import Language, show_date

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_KINDS_OF_DOCUMENT = {
    kind.zh: words
    for kind, words in {
        CodeType.USCC: "Unified social credit code",
        CodeType.OTHER_ORGANISATION: "Other code of an organisation",
        CodeType.IDENTITY_NUMBER: "Citizen identity number",
        CodeType.PLA_OFFICER: "PLA officer's card",
        CodeType.POLICE_OFFICER: "Armed police officer's card",
        CodeType.PLA_SOLDIER: "PLA soldier's card",
        CodeType.POLICE_SOLDIER: "Armed police soldier's card",
        CodeType.PLA_CIVILIAN: "PLA civilian staff card",
        CodeType.POLICE_CIVILIAN: "Armed police civilian staff card",
        CodeType.DIPLOMATIC_PASSPORT: "Diplomatic passport",
        CodeType.SERVICE_PASSPORT: "Service passport",
        CodeType.PUBLIC_AFFAIRS_PASSPORT: "Passport for public affairs",
        CodeType.PASSPORT: "Ordinary passport",
        CodeType.TAIWAN_PERMIT: "Mainland travel permit for Taiwan residents",
        CodeType.HONG_KONG_MACAO_PERMIT: "Mainland travel permit for Hong Kong and Macao residents",
        CodeType.OTHER_PERSON: "Other document of a person",
    }.items()
}


def show_value(value: str, language: Language) -> str:
    """A date in the usual form, a kind of document in the reader's language; anything else unchanged."""
    if language == "en" and value in _KINDS_OF_DOCUMENT:
        return _KINDS_OF_DOCUMENT[value]
    if _DAY.fullmatch(value):
        try:
            return show_date(date.fromisoformat(value).isoformat(), language)
        except ValueError:
            return value
    return value
