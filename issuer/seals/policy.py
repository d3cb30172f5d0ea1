"""The policy of a seal, that is, its permitted uses (用章授权): encoding and checking.

It is stored as canonical JSON, so that the ledger entry of an authorisation commits to exactly one text.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from issuer.catalogue import load_catalogue
from trust.model.errors import Malformed, NotPermitted
from trust.model.seal import SealPolicy

CHINA = timezone(timedelta(hours=8))
_LARGEST = 10_000_000
_MOST_LISTED = 100


def encode_policy(policy: SealPolicy) -> str:
    """The policy as canonical JSON. Raises `Malformed` for impossible values."""
    known = {profile.short for profile in load_catalogue().values()}
    for short in policy.types or ():
        if short not in known:
            raise Malformed(f"There is no type {short}.", "List them with `yinzheng type list`.")
    for listed in (policy.types, policy.callers):
        if listed is not None and not 0 < len(listed) <= _MOST_LISTED:
            raise Malformed(f"A list in a policy has 1 to {_MOST_LISTED} entries.", "Freeze an unused seal.")
    for number in (policy.per_day, policy.second_approval_above):
        if number is not None and not 0 <= number <= _LARGEST:
            raise Malformed(f"A limit in a policy is 0 to {_LARGEST}.")
    value = {
        "types": sorted(set(policy.types)) if policy.types is not None else None,
        "callers": sorted(set(policy.callers)) if policy.callers is not None else None,
        "per_day": policy.per_day,
        "second_approval_above": policy.second_approval_above,
    }
    stated = {key: each for key, each in value.items() if each is not None}
    return json.dumps(stated, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def decode_policy(text: str) -> SealPolicy:
    return SealPolicy(**json.loads(text))


def check_allows(policy: SealPolicy, seal_id: str, *, type_short: str, caller: str) -> None:
    """Raises `NotPermitted` (SEAL_NOT_AUTHORISED). Limits on the number of uses are checked in `issuer.seals.using`."""
    if policy.types is not None and type_short not in policy.types:
        raise NotPermitted(
            f"The seal {seal_id} may not seal {type_short}.",
            "Use a seal that is authorised for this type.",
            code="SEAL_NOT_AUTHORISED",
        )
    if policy.callers is not None and caller not in policy.callers:
        raise NotPermitted(
            f"The seal {seal_id} may not be used by {caller or 'an unnamed caller'}.",
            "Ask the seal's keeper to authorise this system.",
            code="SEAL_NOT_AUTHORISED",
        )


def day_of(at: datetime) -> int:
    """The date in China at this time, as days since 1970-01-01."""
    return at.astimezone(CHINA).date().toordinal() - datetime(1970, 1, 1, tzinfo=CHINA).date().toordinal()
