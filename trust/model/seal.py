"""The life of an e-seal, and the table of allowed acts.

| from     | act                      | to       |                                                            |
|----------|--------------------------|----------|------------------------------------------------------------|
| –        | apply 申请               | APPLIED  |                                                            |
| APPLIED  | approve 审核             | APPROVED | by another person than the one who applied                 |
| APPLIED  | reject 驳回              | REJECTED | final                                                      |
| APPROVED | make 制作                | MADE     | key, certificate, picture, seal data                       |
| MADE     | record 备案              | ACTIVE   | from now on it may be used                                 |
| ACTIVE   | authorise 用章授权       | ACTIVE   | for what, by whom, how often                               |
| ACTIVE   | freeze 冻结              | FROZEN   |                                                            |
| ACTIVE, FROZEN | report-lost 挂失   | LOST     | may say since when                                         |
| FROZEN, LOST   | unfreeze 解冻      | ACTIVE   |                                                            |
| ACTIVE   | renew 续期               | RENEWED  | when the seal that takes its place is recorded             |
| MADE, ACTIVE, FROZEN, LOST, RENEWED | revoke 注销 | REVOKED | final; may say since when its key was known to others |

The steps are those of the national rules (电子印章管理办法). Expiry is computed from the term and never stored.
Earlier uses of a seal stay valid if it was in force at that time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trust.model.errors import Conflict


class SealState(StrEnum):
    APPLIED = "applied"
    REJECTED = "rejected"
    APPROVED = "approved"
    MADE = "made"
    ACTIVE = "active"
    FROZEN = "frozen"
    LOST = "lost"
    RENEWED = "renewed"
    REVOKED = "revoked"


class SealShape(StrEnum):
    ROUND = "round"
    OVAL = "oval"
    SQUARE = "square"
    UPLOADED = "uploaded"


def seal_code(uscc: str, seal_id: str) -> str:
    """The 13 digits on the lower arc of a round seal (印章编码): the six of the area in its authority's credit code,
    and seven that are derived from the credit code and the seal's id, so that a seal always has the same digits.

    They have the form of the codes of physical seals (area and serial number), but are not such codes, which the police
    assign. A seal with a code assigned by the police is registered as approved artwork.
    """
    serial = int.from_bytes(hashlib.sha256(f"{uscc}/{seal_id}".encode()).digest()[:8], "big") % 10_000_000
    return f"{uscc[2:8]}{serial:07d}"


class SealRole(StrEnum):
    """The role of a seal on one document, in the order in which the seals are set."""

    LEGAL = "legal"  # the authority's seal, the one that counts in law
    PERSONAL = "personal"  # the name seal of the person responsible 电子签名
    ABROAD = "abroad"  # the authority's seal in an algorithm that is supported abroad


class SealAct(StrEnum):
    APPLY = "apply"
    APPROVE = "approve"
    REJECT = "reject"
    MAKE = "make"
    RECORD = "record"
    AUTHORISE = "authorise"
    FREEZE = "freeze"
    REPORT_LOST = "report-lost"
    UNFREEZE = "unfreeze"
    RENEW = "renew"
    REVOKE = "revoke"


_NEXT: dict[tuple[SealState, SealAct], SealState] = {
    (SealState.APPLIED, SealAct.APPROVE): SealState.APPROVED,
    (SealState.APPLIED, SealAct.REJECT): SealState.REJECTED,
    (SealState.APPROVED, SealAct.MAKE): SealState.MADE,
    (SealState.MADE, SealAct.RECORD): SealState.ACTIVE,
    (SealState.ACTIVE, SealAct.AUTHORISE): SealState.ACTIVE,
    (SealState.ACTIVE, SealAct.FREEZE): SealState.FROZEN,
    (SealState.ACTIVE, SealAct.REPORT_LOST): SealState.LOST,
    (SealState.FROZEN, SealAct.REPORT_LOST): SealState.LOST,
    (SealState.FROZEN, SealAct.UNFREEZE): SealState.ACTIVE,
    (SealState.LOST, SealAct.UNFREEZE): SealState.ACTIVE,
    (SealState.ACTIVE, SealAct.RENEW): SealState.RENEWED,
    **{
        (state, SealAct.REVOKE): SealState.REVOKED
        for state in (
            SealState.MADE,
            SealState.ACTIVE,
            SealState.FROZEN,
            SealState.LOST,
            SealState.RENEWED,
        )
    },
}

RESTRICTING = frozenset({SealAct.REJECT, SealAct.FREEZE, SealAct.REPORT_LOST, SealAct.RENEW, SealAct.REVOKE})
"""Acts that only restrict: they take effect at once, even while the ledger takes no entries."""


def next_seal_state(state: SealState, act: SealAct) -> SealState:
    """The state after an act. Raises `Conflict` if the table does not allow it."""
    following = _NEXT.get((state, act))
    if following is None:
        raise Conflict(
            f"A seal that is {state.value} does not take the act {act.value}.",
            "Look at its present state with `yinzheng seal show`.",
        )
    return following


@dataclass(frozen=True, slots=True)
class SealPolicy:
    """用章授权, the authorised uses of a seal. None means without limit.

    `types`: short names of the types it may seal. `callers`: who may request its use (ids of API keys, or "operator"
    for the machine's own command line). `per_day`: uses per day of China's time. `second_approval_above`: a request for
    more documents than this needs a second person.
    """

    types: Sequence[str] | None = None
    callers: Sequence[str] | None = None
    per_day: int | None = None
    second_approval_above: int | None = None
