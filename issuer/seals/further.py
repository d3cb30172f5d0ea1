"""Choosing the further seals of a document, beside the authority's own, and their places on the page.

A seal's role follows from the seal itself: a square one is a person's name seal; one in another algorithm than the
national one is for readers abroad. Only the authority's own seal counts in law, so with further seals it must be in the
national algorithm, and it is set first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from issuer.catalogue import TypeProfile
from issuer.sealing.placing import EDGE_MM
from issuer.sealing.use import SealPlace
from issuer.seals.registry import ESeal, SealRegistry
from keys.suites import Suite
from trust.model.ecertificate import Application
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.seal import SealRole, SealShape
from trust.pdf.further import FurtherField, further_fields

_POINTS_PER_MM = 72 / 25.4
_APART_MM = 4


@dataclass(frozen=True, slots=True)
class FurtherSeal:
    role: SealRole
    seal: ESeal


def choose_further(
    registry: SealRegistry, application: Application, profile: TypeProfile, legal: ESeal
) -> list[FurtherSeal]:
    """The further seals of a document: those that the request names, and for any other role that the type requires, the
    authority's newest active seal.

    Raises `NotFound`, `Malformed` (one role twice, or the first seal's own role), `Conflict` (the legal seal does not
    allow further ones).
    """
    chosen: dict[SealRole, ESeal] = {}
    for seal_id in application.further_seals:
        seal = registry.get(seal_id)
        role = role_of(seal)
        if role is SealRole.LEGAL or role in chosen:
            raise Malformed(
                f"The seal {seal_id} cannot be a further one.",
                "Name at most one name seal and one seal in RSA or P-256.",
                code="FURTHER_SEAL",
            )
        chosen[role] = seal
    for role in profile.further_seals:
        if role not in chosen:
            chosen[role] = _newest(registry, application.authority_id, role)
    if chosen and role_of(legal) is not SealRole.LEGAL:
        raise Conflict(
            "Only a seal in SM2 can be followed by others.",
            "Seal with the authority's seal in SM2 first.",
            code="FURTHER_SEAL",
        )
    return [FurtherSeal(role, chosen[role]) for role in SealRole if role in chosen]


def role_of(seal: ESeal) -> SealRole:
    if seal.shape is SealShape.SQUARE:
        return SealRole.PERSONAL
    return SealRole.LEGAL if seal.suite is Suite.SM2_SM3 else SealRole.ABROAD


def _newest(registry: SealRegistry, authority_id: str, role: SealRole) -> ESeal:
    found = [seal for seal in registry.active_of(authority_id) if role_of(seal) is role]
    if not found:
        what = "name seal of a person" if role is SealRole.PERSONAL else "seal for readers abroad"
        raise NotFound(
            f"This type needs a {what}, and the authority {authority_id} has none in use.",
            "Make one with `yinzheng seal make`, square or with another suite.",
            code="UNKNOWN_SEAL",
        )
    return max(found, key=lambda seal: (seal.not_before, seal.seal_id))


def encode_further(further: Sequence[FurtherSeal]) -> bytes:
    """The seals with their roles, as stored with the draft."""
    return json.dumps([each.seal.seal_id for each in further]).encode()


def decode_further(registry: SealRegistry, stored: bytes | None) -> list[FurtherSeal]:
    found = [registry.get(seal_id) for seal_id in json.loads(stored or b"[]")]
    return [FurtherSeal(role_of(seal), seal) for seal in found]


def fields_for(further: Sequence[FurtherSeal], place: SealPlace) -> list[FurtherField]:
    """The empty signature fields that are made with the first seal. A name seal is to the left of the authority's.

    Raises `Conflict` (NAME_SEAL_PLACE) if the page has no room for it, or is shown turned or scaled.
    """
    if any(each.role is SealRole.PERSONAL for each in further) and not _is_simple(place):
        raise Conflict(
            "A name seal cannot be set on a page that is shown turned, scaled, or from below its edge.",
            "Save the PDF anew with upright pages.",
            code="NAME_SEAL_PLACE",
        )
    boxes: dict[SealRole, tuple[int, int, int, int]] = {}
    for each in further:
        if each.role is SealRole.PERSONAL:
            width, height = each.seal.width_mm * _POINTS_PER_MM, each.seal.height_mm * _POINTS_PER_MM
            right = place.left - _APART_MM * _POINTS_PER_MM
            bottom = (place.bottom + place.top - height) / 2
            edge = place.shown.box[0] + EDGE_MM * _POINTS_PER_MM
            if right - width < edge:
                raise Conflict(
                    "There is no room for the name seal beside the authority's.",
                    "Place the authority's seal further to the right.",
                    code="NAME_SEAL_PLACE",
                )
            boxes[each.role] = SealPlace(place.page, right - width, bottom, right, bottom + height).box
    return further_fields([SealRole.LEGAL, *(each.role for each in further)], boxes)


def _is_simple(place: SealPlace) -> bool:
    """True if `trust.pdf.further` can place name seals there: it supports upright pages and whole, positive points
    only."""
    return place.shown.is_plain and min(place.shown.box) >= 0
