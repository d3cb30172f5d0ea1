"""The error tree.

The class says where the problem is: in the request (`RequestError`), in the evidence (`VerificationError`), undecidable
(`EvidenceUnavailableError`), or in the service (`OperationalError`). There are exactly three translations: HTTP
problems, exit codes of the command line, findings of a report.

Every error has a stable `code` for machines, a text of what was found, and one of what to do. No text may contain a
secret or personal data: name the field and the kind of value, never the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TrustError(Exception):
    """The root of the tree. `code` is stable, `what` says what was found, `todo` what the reader can do.

    `zh` says both in Chinese if the fixed sentence of the code (`trust.words.refusals`) is not specific enough, such as
    for a line, a column or a character.
    """

    code = "ERROR"

    def __init__(self, what: str, todo: str = "", *, code: str | None = None, zh: str = "") -> None:
        super().__init__(f"{what} {todo}".strip())
        self.what = what
        self.todo = todo
        self.zh = zh
        if code is not None:
            self.code = code


class RequestError(TrustError):
    """The caller can fix the problem."""

    code = "BAD_REQUEST"


class Malformed(RequestError):
    """Bytes or text are not in the required format."""

    code = "MALFORMED"


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a request was refused: which field, which rule, what was found (kind, not value).

    `zh` as in `TrustError`.
    """

    field: str
    code: str
    found: str
    todo: str
    zh: str = ""


class ProfileViolation(RequestError):
    """A request violates the rules of its certificate type. Lists every reason at once."""

    code = "VALIDATION_FAILED"

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        listed = "; ".join(f"{v.field}: {v.found} ({v.todo})" for v in self.violations)
        super().__init__(f"{len(self.violations)} field(s) cannot be accepted: {listed}")


class NotFound(RequestError):
    code = "NOT_FOUND"


class Conflict(RequestError):
    """The request contradicts what is recorded (a taken identifier, a state that does not allow it)."""

    code = "STATE_CONFLICT"


class ChangedSince(Conflict):
    """Somebody decided by a state that is no longer so."""

    code = "PRECONDITION_FAILED"

    def __init__(self) -> None:
        super().__init__("This has changed since it was read.", "Read it again and decide anew.")


class NumberTaken(Conflict):
    """The number was issued before with other content; `pid` is that of the e-certificate that has it."""

    code = "ALREADY_ISSUED"

    def __init__(self, what: str, todo: str = "", *, pid: bytes, zh: str = "") -> None:
        super().__init__(what, todo, zh=zh)
        self.pid = pid


class NotPermitted(RequestError):
    code = "NOT_PERMITTED"


class VerificationError(TrustError):
    """Evidence was examined and is bad, so the verdict is FAILED."""

    code = "VERIFICATION_FAILED"


class EvidenceUnavailableError(TrustError):
    """Evidence could not be examined, so the verdict is INDETERMINATE. Not proven is not passed."""

    code = "EVIDENCE_UNAVAILABLE"


class OperationalError(TrustError):
    """The operator of the service must fix the problem."""

    code = "INTERNAL"


class StorageError(OperationalError):
    code = "STORAGE_FAILED"


class KeyUnavailable(OperationalError):
    code = "KEY_UNAVAILABLE"


class ClockDoubted(KeyUnavailable):
    """This machine's clock may be wrong, so no key is used until an operator has checked it."""

    code = "CLOCK_DOUBTED"


class TimeStampUnavailable(OperationalError):
    code = "TIME_STAMP_UNAVAILABLE"


class Busy(OperationalError):
    """A queue is full; the caller can try again in `retry_after` seconds."""

    code = "BUSY"

    def __init__(self, what: str, todo: str = "", *, retry_after: int = 1) -> None:
        super().__init__(what, todo)
        self.retry_after = retry_after


class LedgerBusy(Busy):
    """The queue in front of the ledger is full."""

    code = "UPSTREAM_UNAVAILABLE"


class LedgerHalted(OperationalError):
    """An invariant of the ledger is broken. Signing must stop, because going on could fork its history."""

    code = "LEDGER_HALTED"
