"""What was seen of lists, kept in memory: `verifier.evidence.seen.SeenLists` for tests."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.evidence.seen import Marks, newest


class SeenBefore:
    def __init__(self) -> None:
        self.known: dict[bytes, Marks] = {}

    def marks(self, roots: Sequence[bytes]) -> Marks:
        return newest(*(self.known.get(root, {}) for root in roots))

    def note(self, root: bytes, marks: Marks) -> None:
        self.known[root] = newest(self.known.get(root, {}), marks)
