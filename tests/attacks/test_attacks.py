"""Every attack against the whole verifier: refused by the check meant for it, in time, and within memory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks.genuine import Genuine, make_genuine
from attacks.samples import ATTACKS, Attack
from support.world import START, make_world

from keys import asn1
from trust.model.report import Report, Result, Verdict
from trust.sandbox.workers import Limits, Sandbox
from verifier.checks.verifying import SANDBOX_JOBS, Verifier
from verifier.evidence.evidence import Evidence

LIMITS = Limits()
_MODEL = Path(__file__).parents[2] / "docs" / "THREAT-MODEL.md"
_FILES = ("single", *(pytest.param(each, marks=pytest.mark.long) for each in ("dual", "archived", "stamped")))


class Measured:
    """A sandbox with one worker, whose peak of memory is read after each file."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(SANDBOX_JOBS, workers=1, limits=LIMITS)
        self.verifier = Verifier(self.sandbox, live=None)
        self.peaks: dict[str, tuple[int, float]] = {}

    def judge(
        self, name: str, genuine: Genuine, data: bytes, *, anchors: tuple[bytes, ...], online: bool
    ) -> Report:
        self.sandbox.warm_up()
        workers = self.sandbox.workers()
        for worker in workers:
            Path(f"/proc/{worker}/clear_refs").write_text("5")  # proc(5): begin the peak anew
        started = time.monotonic()
        report = self.verifier.verify_bytes(data, genuine.evidence(online=online), START, anchors=anchors)
        seconds = time.monotonic() - started
        self.peaks[name] = (max(map(_peak_of, workers)), seconds)
        return report


def _peak_of(worker: int) -> int:
    """The most memory that a worker had, in KiB."""
    try:
        status = Path(f"/proc/{worker}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0  # it was ended by a limit, and cannot have had more than the limit


@pytest.fixture(scope="module")
def genuine(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genuine]:
    asn1.register()
    folder = tmp_path_factory.mktemp("attacks") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder)
    yield make_genuine(world)
    world.close()


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    made = Measured()
    yield made
    made.sandbox.close()
    slowest = sorted(made.peaks.items(), key=lambda each: -each[1][1])[:5]
    hungriest = sorted(made.peaks.items(), key=lambda each: -each[1][0])[:5]
    print("\nslowest:", [(name, round(seconds, 2)) for name, (_, seconds) in slowest])
    print("most memory:", [(name, f"{peak // 1024} MiB") for name, (peak, _) in hungriest])


def within_limits(measured: Measured, name: str) -> None:
    peak, seconds = measured.peaks[name]
    assert peak * 1024 <= LIMITS.memory_bytes
    assert seconds < LIMITS.wall_seconds + 3


def first_objection(report: Report) -> str:
    return next((each.check for each in report.findings if each.result is not Result.PASSED), "")


@pytest.mark.parametrize("version", _FILES)
def test_what_attackers_start_from_is_genuine(genuine: Genuine, measured: Measured, version: str) -> None:
    data = genuine.files()[version]
    for online in (False, True):
        report = measured.judge(version, genuine, data, anchors=(), online=online)
        assert report.verdict is Verdict.PASSED, report.findings
    within_limits(measured, version)


def test_the_file_of_others_is_good(genuine: Genuine, measured: Measured) -> None:
    report = judged(genuine, measured, "foreign", genuine.foreign)
    assert report.verdict is Verdict.PASSED, report.findings


def judged(genuine: Genuine, measured: Measured, name: str, data: bytes) -> Report:
    """As a file of others: with its anchor, and its revocation lists beside ours."""
    import dataclasses

    class WithLists(Genuine):
        def evidence(self, *, online: bool) -> Evidence:
            found = genuine.evidence(online=online)
            return dataclasses.replace(found, crls=(*found.crls, *genuine.producer.crls()))

    given = WithLists(**{f.name: getattr(genuine, f.name) for f in dataclasses.fields(Genuine)})
    return measured.judge(name, given, data, anchors=(genuine.producer.root.der,), online=False)


@pytest.mark.parametrize("version", _FILES)
@pytest.mark.parametrize("each", [a for a in ATTACKS if a.profile == "licence"], ids=lambda a: a.name)
def test_an_attack_on_a_licence_is_refused(
    genuine: Genuine, measured: Measured, each: Attack, version: str
) -> None:
    pdf = genuine.files()[version]
    data = each.make(genuine, pdf)
    assert data != pdf
    report = measured.judge(f"{each.name} {version}", genuine, data, anchors=(), online=version == "single")
    assert report.verdict is not Verdict.PASSED
    assert first_objection(report) in each.checks, report.findings
    assert not report.shown
    within_limits(measured, f"{each.name} {version}")


@pytest.mark.parametrize("each", [a for a in ATTACKS if a.profile == "foreign"], ids=lambda a: a.name)
def test_an_attack_on_a_file_of_others_is_refused(genuine: Genuine, measured: Measured, each: Attack) -> None:
    data = each.make(genuine, genuine.foreign)
    report = judged(genuine, measured, each.name, data)
    if each.checks:
        assert report.verdict is not Verdict.PASSED
        assert first_objection(report) in each.checks, report.findings
    within_limits(measured, each.name)
    as_ours = measured.judge(f"{each.name} as ours", genuine, data, anchors=(), online=True)
    assert as_ours.verdict is not Verdict.PASSED
    within_limits(measured, f"{each.name} as ours")


@pytest.mark.parametrize("each", [a for a in ATTACKS if a.profile == "anything"], ids=lambda a: a.name)
def test_anything_else_is_refused(genuine: Genuine, measured: Measured, each: Attack) -> None:
    data = each.make(genuine, b"")
    for online in (False, True):
        report = measured.judge(each.name, genuine, data, anchors=(), online=online)
        assert report.verdict is not Verdict.PASSED
        assert first_objection(report) in each.checks, report.findings
        within_limits(measured, each.name)


def test_the_threat_model_names_every_class() -> None:
    model = _MODEL.read_text("utf-8")
    for kind in {each.kind for each in ATTACKS}:
        assert f"| {kind} |" in model, kind
