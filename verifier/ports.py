"""The verifier's ports: a register, signed lists, a signature on its reports.

Online the issuer implements them (`issuer.answers`) and the roof, `trust.app`, connects the two; offline a bundle does.
The verifier depends on no other package for them, so it can run on a host of its own.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from trust.encoding.trust_list import TrustedAnchor, TrustedMember, TrustState
from trust.model.actor import Actor
from trust.model.answers import FileFact, LiveFact, StatusFact


class StatusSource(Protocol):
    """A source of statuses: the register online, a signed list offline."""

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        """The status at `at`. Raises `EvidenceUnavailableError` if the source does not know it or is out of date."""


class IssuedFiles(Protocol):
    """The register's digests of issued files. Only online.

    Raises `EvidenceUnavailableError` if the register cannot be trusted.
    """

    def pid_of_file(self, sha256: bytes) -> bytes | None: ...

    def is_erased(self, pid: bytes) -> bool:
        """True if the data of this e-certificate were erased, its digests included."""


class KnownFiles(Protocol):
    """The register's answers about many files at once."""

    def files_with(self, digests: Sequence[bytes]) -> Mapping[bytes, FileFact]:
        """Facts on files by their SHA-256; an unknown digest has no entry.

        Raises `StorageError` (ROW_EDITED) if the register cannot be trusted.
        """


class Register(StatusSource, IssuedFiles, KnownFiles, Protocol):
    """Everything that the verifier needs of a register."""


class LiveCodes(Protocol):
    """Redeems live codes; only the service that made them can. A code works once."""

    def redeem(self, handle: bytes, verifier: str, at: datetime) -> LiveFact:
        """Uses the code up and returns what it stands for.

        Raises `Malformed` (NOT_OURS), and `Conflict` or `EvidenceUnavailableError` if there is no answer now.
        """


class Lists(Protocol):
    """The lists that this deployment signs."""

    def together(self) -> AbstractContextManager[None]:
        """Inside, the lists are those of one moment, and what several of them need is read once."""

    def newest(self, at: datetime) -> bytes:
        """The trust list (compact JWS) that is in force at `at`."""

    def numbered(self, seq: int) -> bytes | None:
        """An earlier trust list (compact JWS), or None if it is not stored."""

    def roots(self) -> Sequence[bytes]:
        """The keys (SubjectPublicKeyInfo, DER) that sign trust lists."""

    def crls(self, at: datetime) -> Sequence[bytes]:
        """The revocation lists (DER) of the CAs of seals and time-stamps."""


class ReportSigner(Protocol):
    """Signs reports with a key that the verifier cannot reach."""

    def sign(self, payload: bytes) -> bytes:
        """The payload as a compact JWS."""


class Originals(Protocol):
    """Issued files from the register, for callers who may see them. Each method raises `NotFound`."""

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
        """One member's entry. Raises `NotFound`."""

    def put(self, actor: Actor, entry: TrustedMember, *, is_new: bool) -> None:
        """Adds or replaces an entry. Raises `Malformed`, and `Conflict` if the id or the host is taken."""

    def withdraw(
        self,
        actor: Actor,
        member_id: str,
        state: TrustState,
        since: datetime | None = None,
        *,
        approved_by: str | None = None,
    ) -> None:
        """Stops trusting the member from `since` on (default: now). Raises `NotFound`, `NotPermitted`."""

    def anchors(self) -> builtins.list[tuple[str, TrustedAnchor]]:
        """The outside CAs under which files signed by others are judged, each with its id."""

    def add_anchor(
        self, actor: Actor, cert: bytes, name_zh: str, name_en: str, not_after: datetime | None = None
    ) -> str:
        """Adds a CA (DER) and returns its id. Raises `Malformed`, `Conflict`."""

    def withdraw_anchor(self, actor: Actor, wanted: str) -> None:
        """Stops trusting this CA from now on. Raises `NotFound`."""


class Names(Protocol):
    """Display names of authorities and types."""

    def authorities_en(self) -> Mapping[str, str]:
        """English names by the authority's id."""

    def types(self) -> Mapping[str, tuple[str, str]]:
        """Chinese and English names by the type's short name."""

    def types_of(self, pids: Collection[bytes]) -> Mapping[bytes, tuple[str, str]]:
        """Names of the types by the public id of an e-certificate; an unknown id has no entry."""


class Size(Protocol):
    """The size and state of a ledger."""

    @property
    def size(self) -> int:
        """The number of stored entries."""

    @property
    def halted(self) -> object | None:
        """The reason why the ledger has halted; None while it runs."""
