"""The two ways of sealing a page of ours, for tests that have to hold for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from issuer.sealing.pdf import SealsPages, seal_plain
from issuer.sealing.prepared import seal_prepared
from issuer.sealing.use import SealInUse, SealPlace
from keys.tsa import TimeStamper
from support.world import World
from trust.pdf.further import FurtherField


def _insisting(
    pdf: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField] = (),
) -> bytes:
    sealed = seal_prepared(pdf, seal=seal, tsa=tsa, place=place, reason=reason, at=at, further=further)
    assert sealed is not None, "a page of ours was not known"
    return sealed


SEALING: dict[str, SealsPages] = {"prepared": _insisting, "plain": seal_plain}
"""The prepared way here has no other to fall back to; the plain one knows no page."""
WAYS = tuple(SEALING)


def sealing(world: World, way: str | SealsPages) -> World:
    """The same service, in which every page is sealed this way. What is made with it is the given world's too."""
    issuing, seal_page = world.site.issuer.issuing, SEALING[way] if isinstance(way, str) else way
    issuing = replace(issuing, stamping=replace(issuing.stamping, seal_page=seal_page))
    issuer = replace(world.site.issuer, issuing=issuing)
    return replace(world, site=replace(world.site, issuer=issuer))
