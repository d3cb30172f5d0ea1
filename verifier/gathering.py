"""Evidence of this moment: the lists that are published now, and the register itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from trust.encoding.trust_list import TrustList
from verifier.evidence.evidence import NO_MEMBERS, Evidence
from verifier.evidence.trust_list import check_trust_list
from verifier.membership.keeping import MemberBundles
from verifier.ports import Lists, Register


@dataclass(frozen=True, slots=True)
class OnlineEvidence:
    """Trust list, CRLs and register of one deployment, as of now. `lists` and `register` are its answers."""

    lists: Lists
    register: Register
    members: MemberBundles
    _checked: dict[tuple[bytes, ...], TrustList] = field(default_factory=dict)

    def _trust_list(self, at: datetime) -> TrustList:
        """Checked once for each list that is published."""
        compact, roots = self.lists.newest(at), self.lists.roots()
        known = self._checked.get((compact, *roots))
        if known is None:
            known = check_trust_list(compact, roots)
            self._checked.clear()
            self._checked[(compact, *roots)] = known
        return known

    def gather(self, at: datetime) -> Evidence:
        """What a question that is asked at `at` is judged by."""
        trust_list = self._trust_list(at)
        members = self.members.source(trust_list, at) if trust_list.members else NO_MEMBERS
        crls = tuple(self.lists.crls(at))
        return Evidence(trust_list, crls, self.register, self.register, online=True, members=members)
