"""What the verifier asks others for: a register, lists, a signature under its reports.

The issuer answers online (`issuer.answers`), and the roof joins the two; offline a bundle answers. The verifier knows
nobody else, so it can be served on a host of its own.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from trust.encoding.trust_list import TrustedAnchor, TrustedMember, TrustState
from trust.model.answers import FileFact, LiveFact, StatusFact


class StatusSource(Protocol):
    """Where a status comes from: the register online, a signed list offline."""

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        """Raises `EvidenceUnavailableError` where the source cannot say, or no longer."""


class IssuedFiles(Protocol):
    """The register's digests of the files it gave out. Only online.

    Raises `EvidenceUnavailableError` where the register is not believed.
    """

    def pid_of_file(self, sha256: bytes) -> bytes | None: ...

    def is_erased(self, pid: bytes) -> bool:
        """Has what was known about this e-certificate been erased, its digest with it?"""


class KnownFiles(Protocol):
    """The register's answers about many files at once."""

    def files_with(self, digests: Sequence[bytes]) -> Mapping[bytes, FileFact]:
        """What is known of files with these SHA-256; a digest that is not known has no entry.

        Raises `StorageError` (ROW_EDITED) where the register is not believed.
        """


class Register(StatusSource, IssuedFiles, KnownFiles, Protocol):
    """All that is asked of a register."""


class LiveCodes(Protocol):
    """Redeems live codes; only the service that made them can. A code works once."""

    def redeem(self, handle: bytes, verifier: str, at: datetime) -> LiveFact:
        """Raises `Malformed` (NOT_OURS), and `Conflict` or `EvidenceUnavailableError` where nothing can be said now."""


class Lists(Protocol):
    """The lists that this deployment signs."""

    def newest(self, at: datetime) -> bytes:
        """The trust list (compact JWS) that is in force at `at`."""

    def numbered(self, seq: int) -> bytes | None:
        """An earlier trust list (compact JWS), or None where it is not kept."""

    def roots(self) -> Sequence[bytes]:
        """The keys (SubjectPublicKeyInfo, DER) that sign trust lists."""

    def crls(self, at: datetime) -> Sequence[bytes]:
        """The revocation lists (DER) of the CAs under which seals and time-stamps are."""


class ReportSigner(Protocol):
    """Signs reports with a key that stays outside."""

    def sign(self, payload: bytes) -> bytes:
        """The payload as a compact JWS."""


class Originals(Protocol):
    """Files that the register gave out, for those who may see them. Each raises `NotFound`."""

    def authority_of(self, pid: bytes) -> str:
        """The id of the authority that issued it."""

    def issued_file(self, pid: bytes) -> bytes:
        """The issued PDF."""

    def portrait(self, pid: bytes, photo_sha256: str) -> bytes:
        """The holder's photograph as a small JPEG, if it is the one with this digest (hex)."""


class Entries(Protocol):
    """The members in this deployment's own trust list."""

    def list(self) -> Sequence[TrustedMember]: ...

    def get(self, member_id: str) -> TrustedMember:
        """Raises `NotFound`."""

    def put(self, entry: TrustedMember, *, is_new: bool) -> None:
        """Raises `Malformed`, and `Conflict` for an id or a host that is taken."""

    def withdraw(
        self,
        member_id: str,
        state: TrustState,
        since: datetime | None = None,
        *,
        by: str = "operator",
        approved_by: str | None = None,
    ) -> None:
        """From `since` on (now, if not given) the member is not believed. Raises `NotFound`, `NotPermitted`."""

    def anchors(self) -> builtins.list[tuple[str, TrustedAnchor]]:
        """CAs outside under which signed files of others are judged, with the id of each."""

    def add_anchor(self, cert: bytes, name_zh: str, name_en: str, not_after: datetime | None = None) -> str:
        """Adds a CA (DER) and gives its id. Raises `Malformed`, `Conflict`."""

    def withdraw_anchor(self, wanted: str) -> None:
        """From now on nothing is judged under this CA. Raises `NotFound`."""


class Names(Protocol):
    """What authorities and types are called, for people."""

    def authorities_en(self) -> Mapping[str, str]:
        """English names by the authority's id."""

    def types(self) -> Mapping[str, tuple[str, str]]:
        """Chinese and English names by the type's short name."""

    def types_of(self, pids: Collection[bytes]) -> Mapping[bytes, tuple[str, str]]:
        """The same by the public id of an e-certificate; one that is not known has no entry."""


class Size(Protocol):
    """How far a ledger has grown."""

    @property
    def size(self) -> int:
        """Entries that are stored."""

    @property
    def halted(self) -> object | None:
        """Why the ledger has stopped; None while it goes on."""
