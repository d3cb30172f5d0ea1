"""Gathering online evidence: the lists that are published now, and the register itself."""

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
    """Gathers evidence from one deployment through its ports `lists` and `register`."""

    lists: Lists
    register: Register
    members: MemberBundles
    _checked: dict[tuple[bytes, ...], TrustList] = field(default_factory=dict)

    def _trust_list(self, at: datetime) -> TrustList:
        """The trust list at `at`; each published list is checked only once."""
        compact, roots = self.lists.newest(at), self.lists.roots()
        known = self._checked.get((compact, *roots))
        if known is None:
            known = check_trust_list(compact, roots)
            self._checked.clear()
            self._checked[(compact, *roots)] = known
        return known

    def gather(self, at: datetime) -> Evidence:
        """The evidence for a verification at `at`."""
        with self.lists.together():
            trust_list = self._trust_list(at)
            crls = tuple(self.lists.crls(at))
        members = self.members.source(trust_list, at) if trust_list.members else NO_MEMBERS
        return Evidence(trust_list, crls, self.register, self.register, online=True, members=members)
