"""How far an e-certificate is, and which documents are stored with it."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """DRAFT: reserved. SEALED: its file is stored and may be in the ledger. ISSUED: with its receipt. ERASED: what was
    personal is gone."""

    DRAFT = "DRAFT"
    SEALED = "SEALED"
    ISSUED = "ISSUED"
    ERASED = "ERASED"


class DocumentKind(StrEnum):
    """The documents of an e-certificate. Later versions have further ones, numbered (`issuer.archive.sql`).

    VALUES: the checked record. DATA: what is committed to, with its salts. PHOTO, SOURCE, PLACE: as the department gave
    them. FURTHER: the seals beside the authority's own. FOR_ABROAD: there if time-stamps for abroad were asked for.
    SEALED, ISSUED: the file without and with its receipt. ISSUED_OBJECT, SOURCE_OBJECT: where the file or the page is
    (`issuer.ecertificates.documents`).
    """

    VALUES = "values"
    DATA = "data"
    PHOTO = "photo"
    SOURCE = "source"
    PLACE = "place"
    FURTHER = "further"
    FOR_ABROAD = "for-abroad"
    SEALED = "sealed"
    ISSUED = "issued"
    ISSUED_OBJECT = "issued@"
    SOURCE_OBJECT = "source@"
