"""Pictures of checked files for counters, beside the fields, and the differences between a copy and the issued file.

    the issued file itself    its page, drawn
    an altered or saved copy  the issued file is found by the code printed on the copy, whose signature is checked; the
                              differences are shown as text and marked on the copy, and the issued file can be had

Both are shown only to a desk of the department that issued the licence, with a key that may read e-certificates.

A holder's photograph (`portrait_of`) is shown to anyone who has the issued file, which contains it too. It comes from
the register and matches the sealed digest.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import NotFound, TrustError
from trust.model.report import Report, Verdict
from trust.pdf.drawing import decode_png
from trust.pdf.limits import MAX_FILE_BYTES
from trust.sandbox.workers import Sandbox
from verifier.checking import Checking, believed_pid
from verifier.checks.answers import decode_texts
from verifier.checks.copies import decode_compared
from verifier.ports import Originals

T = TypeVar("T")
_READ = Permission.READ


@dataclass(frozen=True, slots=True)
class Sight:
    """`png` is base64; `original` is the public id of the issued file if the checked file is a copy of it."""

    png: str
    original: str | None = None
    lines: Sequence[Mapping[str, Any]] = ()
    more: int = 0
    pages: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Sights:
    """`drawing`: the workers that draw pages."""

    checking: Checking
    originals: Originals
    drawing: Sandbox
    clock: Clock
    trail: Trail

    def see(self, caller: Actor, report: Report, given: bytes) -> Sight | None:
        """What this caller may see of a checked file; None if there is nothing to show or the caller may not see it."""
        if report.kind != "pdf" or len(given) > MAX_FILE_BYTES or _READ not in caller.permissions:
            return None
        try:
            pid = believed_pid(report)
            if pid is not None:
                self._check_own(caller, pid)
                return Sight(_base64(self._draw("draw-page", decode_png, given)))
            original = self._original_of(caller, given)
            if original is None:
                return None
            issued = self.originals.issued_file(original)
            found = self._draw("compare-copy", decode_compared, issued, given)
        except TrustError:
            return None  # drawing or finding it failed: show nothing; the verdict is unaffected
        return Sight(_base64(found.png), original.hex(), found.lines, found.more, found.pages)

    def portrait_of(self, report: Mapping[str, Any]) -> str | None:
        """The photograph (JPEG, base64) in the issued file of this report (JSON); None if there is none."""
        ecertificate = report["facts"].get("ecertificate") or {}
        digest, pid = ecertificate.get("photo_sha256"), ecertificate.get("pid")
        is_the_file = any(
            each["check"] == "register.file" and each["result"] == "PASSED" for each in report["findings"]
        )
        if report["kind"] != "pdf" or not is_the_file or not digest or not pid:
            return None
        try:
            return base64.b64encode(self.originals.portrait(bytes.fromhex(pid), digest)).decode()
        except NotFound:
            return None  # erased, or from another service; the file itself shows it

    def original_for(self, caller: Actor, pid: bytes) -> bytes:
        """The issued file, for a caller who may read it. Raises `NotFound`."""
        self._check_own(caller, pid)
        file = self.originals.issued_file(pid)
        self.trail.note(caller.ref, Act("download", "given", pid))
        return file

    def _original_of(self, caller: Actor, given: bytes) -> bytes | None:
        at = self.clock.now()
        for text in self._draw("read-copy", decode_texts, given):
            report = self.checking.verify(text, at) if "/Q/" in text.upper() else None
            pid = (
                believed_pid(report)
                if report is not None and report.verdict is not Verdict.INDETERMINATE
                else None
            )
            if pid is not None:
                self._check_own(caller, pid)
                return pid
        return None

    def _check_own(self, caller: Actor, pid: bytes) -> None:
        authority = self.originals.authority_of(pid)
        if _READ not in caller.permissions or not caller.sees(authority):
            raise NotFound("There is no such e-certificate.", "Check the public id.")

    def _draw(self, job: str, decode: Callable[[dict[str, Any]], T], *files: bytes) -> T:
        return self.drawing.run(job, {"page": 0}, files, decode)


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()
