"""One table from the tree of errors to HTTP status codes, for the API and for pages.

The first row that fits counts: the class of the error, and its code where a row names codes. Pages answer people, so a
refusal that a program has to tell from others (422) is simply a bad request there, and they say it in the words under
`error.<words>` of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trust.model import errors
from trust.model.errors import TrustError


@dataclass(frozen=True, slots=True)
class Row:
    """`codes`: those it is for; none means all. `api` and `page`: status codes. `words`: key of the page's text."""

    kind: type[TrustError]
    codes: frozenset[str]
    api: int
    page: int
    words: str


def _row(kind: type[TrustError], *codes: str, api: int, page: int, words: str) -> Row:
    return Row(kind, frozenset(codes), api, page, words)


ROWS: Sequence[Row] = (
    _row(TrustError, "UNAUTHENTICATED", api=401, page=403, words="not_permitted"),
    _row(TrustError, "TOO_LARGE", api=413, page=413, words="too_large"),
    _row(TrustError, "TOO_MANY_AT_ONCE", "RATE_LIMITED", api=429, page=429, words="too_many"),
    _row(TrustError, "IDEMPOTENCY_CONFLICT", api=422, page=409, words="conflict"),
    _row(TrustError, "IDEMPOTENCY_IN_PROGRESS", "CODE_USED", api=409, page=409, words="conflict"),
    _row(TrustError, "CODE_EXPIRED", api=410, page=410, words="gone"),
    _row(errors.ChangedSince, api=412, page=409, words="conflict"),
    _row(errors.NotFound, "LINK_USED_UP", "RESULT_GONE", api=404, page=410, words="gone"),
    _row(errors.NotPermitted, "FORM_EXPIRED", api=403, page=403, words="form_expired"),
    _row(errors.ProfileViolation, api=422, page=400, words="bad_request"),
    _row(errors.Malformed, api=422, page=400, words="bad_request"),
    _row(errors.NotFound, api=404, page=404, words="not_found"),
    _row(errors.Conflict, api=409, page=409, words="conflict"),
    _row(errors.NotPermitted, api=403, page=403, words="not_permitted"),
    _row(errors.RequestError, api=400, page=400, words="bad_request"),
    _row(errors.VerificationError, api=422, page=503, words="unavailable"),
    _row(errors.EvidenceUnavailableError, api=422, page=503, words="unavailable"),
    _row(errors.Busy, api=503, page=503, words="busy"),
    _row(errors.OperationalError, api=503, page=503, words="unavailable"),
)


def row_of(exc: TrustError) -> Row:
    """The row that counts for this error."""
    return next(row for row in ROWS if isinstance(exc, row.kind) and (not row.codes or exc.code in row.codes))
