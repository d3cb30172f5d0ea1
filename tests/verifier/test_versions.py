"""What may follow a sealed licence: our own update with evidence, to the byte, and nothing else."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from support.reports import facts_of
from support.world import World, make_world, world_in

from keys.suites import Suite
from trust.encoding.digests import digest
from trust.model.actor import OPERATOR
from trust.model.report import Report, Verdict
from trust.pdf.gap import check_gaps
from trust.pdf.reading import open_pdf
from trust.pdf.update import CONTENTS_HEX_DIGITS, DocumentEvidence, encode_update, read_version
from trust.sandbox.workers import Sandbox


@pytest.fixture(scope="module")
def world(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[World]:
    made = world_in(template_folder, tmp_path_factory.mktemp("versions") / "data", sandbox)
    yield made
    made.close()


@pytest.fixture(scope="module")
def files(world: World) -> tuple[bytes, bytes, bytes]:
    """The issued file and two later versions."""
    issued, pdf = world.issue()
    archiving, found = world.site.issuer.archiving, [pdf]
    for days in (1, 365):
        world.clock.advance(days=days)
        (renewal,) = archiving.renew(OPERATOR, [issued.pid])
        assert renewal.error is None
        found.append(archiving.file(issued.pid))
    return found[0], found[1], found[2]


@pytest.fixture(scope="module")
def bundle(world: World, files: tuple[bytes, bytes, bytes]) -> Path:
    return world.bundle()


@pytest.fixture
def judge(world: World, bundle: Path) -> Callable[[bytes], Report]:
    return lambda data: world.verify_offline(data, bundle)


def stamp(world: World, data: bytes, head: bytes, tail: bytes) -> bytes:
    """What somebody does who can get time-stamps of the trusted authority for anything."""
    tsa = world.site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
    token = tsa.stamp(digest("sm3", data, head, tail), "sm3").hex().upper().encode()
    return b"".join((data, head, b"<", token.ljust(CONTENTS_HEX_DIGITS, b"0"), b">", tail))


def evidence_in(data: bytes) -> DocumentEvidence:
    return read_version(data, open_pdf(data)).evidence


def updated(world: World, data: bytes, change: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> bytes:
    """A stamped update, changed before it was stamped. Changes keep lengths, so that all offsets stay right."""
    head, tail = encode_update(read_version(data, open_pdf(data)), DocumentEvidence())
    changed = change(head, tail)
    assert (len(changed[0]), len(changed[1])) == (len(head), len(tail)), "offsets have to stay right"
    assert changed != (head, tail)
    return stamp(world, data, *changed)


def test_both_versions_pass(files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]) -> None:
    for number, data in enumerate(files):
        report = judge(data)
        assert report.verdict is Verdict.PASSED, report.findings
        assert len(facts_of(report).get("versions", ())) == number


def test_an_update_that_carries_no_new_evidence_passes(
    world: World, files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    """The control of the tests below: without the change, the same update is good."""
    head, tail = encode_update(read_version(files[2], open_pdf(files[2])), DocumentEvidence())
    assert judge(stamp(world, files[2], head, tail)).verdict is Verdict.PASSED


CHANGES: dict[str, Callable[[bytes, bytes], tuple[bytes, bytes]]] = {
    "the field has a place on the page": lambda head, tail: (
        head.replace(b"/Rect [ 0 0 0 0 ]", b"/Rect [ 0 0 9 9 ]"),
        tail,
    ),
    "the form loses a flag": lambda head, tail: (head.replace(b"/SigFlags 3", b"/SigFlags 1"), tail),
    "the form names other fields": lambda head, tail: (head.replace(b"/Fields [", b"/Fielde ["), tail),
    "the field has another name": lambda head, tail: (head.replace(b"/T (Archive3)", b"/T (Archive4)"), tail),
    "a comment stands between objects": lambda head, tail: (
        head.replace(b"endobj\n", b"endobj%", 1),
        tail,
    ),
    "the time-stamp is called a signature": lambda head, tail: (
        head,
        tail.replace(b"/Type /DocTimeStamp", b"/Type /Sig         "),
    ),
    "another catalogue": lambda head, tail: (
        head,
        re.sub(rb"/Root (\d*)(\d) 0 R", lambda m: b"/Root %b%d 0 R" % (m[1], (int(m[2]) + 1) % 10), tail),
    ),
    "another table before": lambda head, tail: (head, tail.replace(b"/Prev ", b"/Prfv ")),
    "another line end": lambda head, tail: (head, tail.replace(b"> ]\n/Prev", b"> ] /Prev")),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_stamped_update_of_another_form_is_refused(
    world: World,
    files: tuple[bytes, bytes, bytes],
    judge: Callable[[bytes], Report],
    change: Callable[[bytes, bytes], tuple[bytes, bytes]],
) -> None:
    report = judge(updated(world, files[2], change))
    assert report.verdict is Verdict.FAILED, report.findings
    assert report.code in ("ALTERED", "BROKEN_PDF")


def test_a_hidden_object_in_a_stamped_update_is_refused(
    world: World, files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    """Bytes that no table names: a reader that repairs files would find them."""
    data = files[0]
    evidence = evidence_in(files[1])
    head, tail = encode_update(read_version(data, open_pdf(data)), evidence)
    assert judge(stamp(world, data, head, tail)).verdict is Verdict.PASSED
    grown = read_version(data + b"\n", open_pdf(data + b"\n"))
    report = judge(stamp(world, data + b"\n", *encode_update(grown, evidence)))
    assert (report.verdict, report.code) == (Verdict.FAILED, "ALTERED")


def test_a_changed_page_under_a_time_stamp_is_refused(
    world: World, files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(files[0]))
    page, _ = writer.find_page_for_modification(0)
    page.get_object()["/Rotate"] = generic.NumberObject(180)
    writer.update_container(page.get_object())
    out = io.BytesIO()
    writer.write(out)
    data = out.getvalue()
    evidence = evidence_in(files[1])
    report = judge(stamp(world, data, *encode_update(read_version(data, open_pdf(data)), evidence)))
    assert report.verdict is Verdict.FAILED
    assert report.code == "ALTERED"


def test_a_version_whose_issued_part_is_changed_is_refused(
    files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    at = files[1].index(b"/ViewerPreferences")
    assert judge(files[1][:at] + b"/ViewerPreferencez" + files[1][at + 18 :]).verdict is Verdict.FAILED


@pytest.mark.parametrize("part", [0.05, 0.3, 0.55, 0.8, 0.95, 0.999])
def test_each_byte_of_an_update_counts(
    files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report], part: float
) -> None:
    begins, ends = len(files[0]), len(files[1])
    at = begins + int((ends - begins) * part)
    changed = files[1][:at] + bytes([files[1][at] ^ 1]) + files[1][at + 1 :]
    assert judge(changed).verdict is not Verdict.PASSED


def test_every_digit_of_the_time_stamp_counts(
    files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    _, start, end, _ = check_gaps(files[1])[1].byte_range
    used = start + 1 + 2 * len(check_gaps(files[1])[1].cms)
    for at in [*range(start, used, max(1, (used - start) // 40)), used + 1, end - 1]:
        digit = files[1][at : at + 1]
        other = b"1" if digit != b"1" else b"2"
        assert judge(files[1][:at] + other + files[1][at + 1 :]).verdict is not Verdict.PASSED, at


def test_a_time_stamp_of_an_authority_nobody_knows_decides_nothing(
    world: World, files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report], tmp_path: Path
) -> None:
    other = make_world(tmp_path / "other")
    try:
        evidence = evidence_in(files[1])
        update = encode_update(read_version(files[0], open_pdf(files[0])), evidence)
        report = judge(stamp(other, files[0], *update))
    finally:
        other.close()
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "UNKNOWN_TIME_STAMP")


def test_a_time_stamp_over_another_file_is_refused(
    world: World, files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    evidence = evidence_in(files[1])
    head, tail = encode_update(read_version(files[0], open_pdf(files[0])), evidence)
    tsa = world.site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
    token = tsa.stamp(digest("sm3", b"another"), "sm3").hex().upper().encode()
    data = files[0] + head + b"<" + token.ljust(CONTENTS_HEX_DIGITS, b"0") + b">" + tail
    report = judge(data)
    assert (report.verdict, report.code) == (Verdict.FAILED, "BAD_SEAL")


def test_one_update_taken_out_of_two_is_refused(
    files: tuple[bytes, bytes, bytes], judge: Callable[[bytes], Report]
) -> None:
    issued, first, second = files
    assert judge(issued + second[len(first) :]).verdict is Verdict.FAILED
    assert judge(second + second[len(first) :]).verdict is Verdict.FAILED


def test_stale_lists_outside_are_made_up_for_by_those_inside_but_not_for_the_last_time_stamp(
    world: World, files: tuple[bytes, bytes, bytes], bundle: Path, tmp_path: Path
) -> None:
    """Without fresh lists of the time-stamp's own authority nobody knows whether it still is believed."""
    stale = tmp_path / "bundle"
    stale.mkdir()
    for path in bundle.rglob("*"):
        if path.is_file() and not path.name.startswith("tsa-root-SM2"):
            target = stale / path.relative_to(bundle)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    report = world.verify_offline(files[1], stale)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "STATUS_STALE")
    for path in (stale / "crls").glob("seal-*"):
        path.unlink()
    (stale / "crls" / "tsa.crl").write_bytes((bundle / "crls" / "tsa-root-SM2-SM3.crl").read_bytes())
    assert world.verify_offline(files[1], stale).verdict is Verdict.PASSED
    assert world.verify_offline(files[0], stale).verdict is Verdict.INDETERMINATE
