"""Licences of ours and what they hang under, as programs of others are given them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asn1crypto import cms
from support.ways import WAYS
from support.world import World

from keys import asn1
from trust.encoding.trust_list import TrustedSeal, TrustedTsa
from trust.pdf.gap import SignedGap, check_gap

SUITES = ("sm2", "rsa3072", "p256")
NAMES = tuple(f"{suite}-{way}" for suite in SUITES for way in WAYS)
"""Each suite, sealed each way."""


@dataclass(frozen=True)
class Sealed:
    """A licence and what it hangs under."""

    pdf: bytes
    seal: TrustedSeal
    tsa: TrustedTsa
    crls: tuple[bytes, ...]

    @property
    def gap(self) -> SignedGap:
        return check_gap(self.pdf)

    @property
    def content(self) -> bytes:
        return b"".join(self.gap.signed)

    def signer_info(self) -> cms.SignerInfo:
        asn1.register()
        (info,) = cms.ContentInfo.load(self.gap.cms)["content"]["signer_infos"]
        return info

    def with_changed_page(self) -> bytes:
        """One signed byte is different, in the comment after the header, so that every reader still reads it."""
        assert self.pdf[9:10] == b"%"
        return self.pdf[:11] + bytes((self.pdf[11] ^ 1,)) + self.pdf[12:]


@dataclass(frozen=True)
class Issued:
    world: World
    bundle: Path
    sealed: dict[str, Sealed]
