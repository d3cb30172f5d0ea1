"""Yesterday's lists, put beside today's or shown in their place: a licence that was revoked since never passes."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient
from support.seen import SeenBefore
from support.world import World, world_in

from keys.custody import KeyPurpose
from keys.suites import Suite
from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import signed_note
from ledger.publisher import vkey_of
from ledger.signers import CheckpointKey
from trust.app.site import create_app
from trust.encoding import cose
from trust.encoding.digests import sha256
from trust.encoding.jws import compact, payload_of, signing_input
from trust.encoding.plain_zip import encode_zip
from trust.encoding.trust_list import TYP, decode_trust_list, encode_trust_list
from trust.encoding.well_known import BUNDLE_PATH
from trust.model.actor import OPERATOR, operator
from trust.model.errors import VerificationError
from trust.model.report import Colour, Report, Verdict
from trust.model.status import StatusAct
from trust.sandbox.lanes import Lane
from trust.sandbox.workers import Sandbox
from verifier.checks.verifying import Verifier
from verifier.evidence.bundle import evidence_from_bundle, read_roots, unpack_bundle
from verifier.evidence.seen import NOTHING_SEEN, SeenLists
from verifier.reports.sealed_report import check_sealed_report


@dataclass
class Days:
    """Two bundles with a day between them, in which the licence was revoked."""

    world: World
    pdf: bytes
    old: Path
    new: Path

    def judge(self, bundle: Path, seen: SeenLists = NOTHING_SEEN, *, minutes: float = 0) -> Report:
        """By a machine whose clock is so many minutes ahead."""
        at = self.world.clock.now() + timedelta(minutes=minutes)
        evidence = evidence_from_bundle(bundle, at, seen=seen)
        return Verifier(self.world.site.sandboxes.of[Lane.MACHINE], live=None).verify_bytes(
            self.pdf, evidence, at
        )

    def mixed(self, name: str, *taken_from_old: str, base: Path | None = None, told: bool = False) -> Path:
        """Today's bundle with files of yesterday in it; without `told` whoever did it took the description away."""
        folder = self.world.folder / name
        shutil.copytree(base or self.new, folder)
        for pattern in taken_from_old:
            for file in self.old.glob(pattern):
                shutil.copy2(file, folder / file.relative_to(self.old))
        if not told:
            (folder / "bundle.json").unlink()
        return folder


@pytest.fixture(scope="module")
def days(template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Days]:
    world = world_in(template_folder, tmp_path_factory.mktemp("days") / "data", sandbox)
    try:
        issued, pdf = world.issue(1)
        old = world.bundle()
        world.clock.advance(hours=20)
        world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
        yield Days(world, pdf, old, world.bundle())
    finally:
        world.close()


STATUS = ("status/*",)


def test_both_bundles_say_what_held_when_they_were_made(days: Days) -> None:
    assert days.judge(days.old).code == "OK", "the status list is good for a day"
    assert days.judge(days.new).code == "REVOKED"


@pytest.mark.parametrize("told", [False, True])
def test_yesterdays_status_list_beside_todays_trust_list_does_not_pass(days: Days, told: bool) -> None:
    report = days.judge(days.mixed(f"mixed-{told}", *STATUS, told=told))
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "BUNDLE_MIXED"), report.findings
    assert report.colour is Colour.AMBER


def test_yesterdays_bundle_does_not_pass_once_todays_was_seen(days: Days) -> None:
    seen = SeenBefore()
    assert days.judge(days.old, seen).code == "OK", "nothing newer was seen"
    assert days.judge(days.new, seen).code == "REVOKED"
    report = days.judge(days.old, seen)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "TRUST_LIST_ROLLED_BACK")
    assert days.judge(days.new, seen).code == "REVOKED", "the same again is not older"


@pytest.mark.parametrize("packed", [False, True])
def test_an_older_status_list_does_not_pass_where_the_trust_list_is_the_same(
    days: Days, packed: bool
) -> None:
    """Minutes apart: nothing within such a bundle tells that it is old."""
    world = days.world
    issued, pdf = world.issue(2 + packed)
    old = world.bundle()
    world.clock.advance(minutes=1)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    new = world.bundle()
    assert (old / "trust-list.jws").read_bytes() == (new / "trust-list.jws").read_bytes()
    if packed:
        for folder in (old, new):
            files = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
            folder.with_suffix(".zip").write_bytes(encode_zip(files))
        old, new = old.with_suffix(".zip"), new.with_suffix(".zip")
    here, seen = replace(days, pdf=pdf), SeenBefore()
    assert here.judge(old).code == "OK"
    assert here.judge(new, seen).code == "REVOKED"
    report = here.judge(old, seen)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "LIST_ROLLED_BACK"), report.findings
    assert report.shown == ()


def test_an_older_revocation_list_does_not_count_once_a_newer_was_seen(days: Days) -> None:
    """Yesterday's list of the seal's CA beside everything else of today, on which the seal's certificate is."""
    world = days.world
    _, pdf = world.issue(4, suite="p256")
    world.clock.advance(hours=8)
    world.site.issuer.seals.revoke(
        operator("keeper"), "chuncheng-market-p256", since=world.clock.now() - timedelta(hours=1)
    )
    new = world.bundle()
    here, seen = replace(days, pdf=pdf, new=new), SeenBefore()
    assert {f.name for f in (new / "crls").iterdir()} == {f.name for f in (days.old / "crls").iterdir()}
    before = here.judge(new, seen).code
    old_crls = here.mixed("old-crls", "crls/*.crl")
    assert here.judge(old_crls).code == before, "nothing in the bundle tells that the lists are old"
    report = here.judge(old_crls, seen)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "LIST_ROLLED_BACK"), report.findings


def signed_checkpoint(world: World, size: int, root: bytes) -> str:
    row = world.site.issuer.pki.service_keys.checkpoint_keys()
    keys = [CheckpointKey(world.site.register.keys.open(each.key_id, KeyPurpose.CHECKPOINT)) for each in row]
    origin = world.site.ledger.log.keys.origin
    text = format_checkpoint(Checkpoint(origin=origin, size=size, root=root))
    present = world.site.ledger.log.keys.of_size(size)
    signers = {vkey_of(origin, key): key for key in keys}
    return signed_note(text, [(vkey, signers[vkey].sign(text.encode())) for vkey in present])


@pytest.mark.parametrize(("smaller", "code"), [(0, "TWO_HISTORIES"), (1, "LIST_ROLLED_BACK")])
def test_a_checkpoint_of_another_history_or_an_older_one_is_noticed(
    days: Days, smaller: int, code: str
) -> None:
    """The service's own key signed both: a copy of it was started twice."""
    bundle, seen = days.world.bundle(), SeenBefore()
    days.judge(bundle, seen)
    size = days.world.site.ledger.log.checkpoint().size - smaller
    folder = days.mixed(f"checkpoint-{code}", base=bundle)
    (folder / "checkpoint").write_text(signed_checkpoint(days.world, size, bytes(32)))
    _, days_pdf = days.world.issue(20 + smaller)
    report = replace(days, pdf=days_pdf).judge(folder, seen)
    assert code in [finding.code for finding in report.findings], report.findings
    assert report.verdict is not Verdict.PASSED


def test_a_checkpoint_that_the_ledger_did_not_sign_or_that_is_older_than_the_lists_is_noticed(
    days: Days,
) -> None:
    world = days.world
    _, pdf = world.issue(30)
    bundle, here = world.bundle(), replace(days, pdf=pdf)
    assert here.judge(bundle).code in ("OK", "SEAL_NOT_IN_FORCE", "SEAL_CERT_REVOKED")
    spoilt = here.mixed("spoilt-checkpoint", base=bundle, told=True)
    text = (spoilt / "checkpoint").read_text()
    (spoilt / "checkpoint").write_text(text[:-8] + "AAAA" + text[-4:])
    assert "CHECKPOINT_BAD" in [each.code for each in here.judge(spoilt).findings]
    behind = here.mixed("old-checkpoint", "checkpoint", base=bundle, told=True)
    assert "BUNDLE_MIXED" in [each.code for each in here.judge(behind).findings]


@pytest.mark.parametrize("spoil", ["digest", "made_at", "next_update", "crl"])
def test_a_description_that_is_not_of_these_files_is_noticed(days: Days, spoil: str) -> None:
    folder = days.mixed(f"described-{spoil}", told=True)
    told = json.loads((folder / "bundle.json").read_text())
    match spoil:
        case "digest":
            told["files"]["trust-list.jws"] = "00" * 32
        case "made_at":
            told["made_at"] = "2020-01-01T00:00:00+00:00"
        case "next_update":
            told["next_update"]["trust_list"] = "2036-01-01T00:00:00+00:00"
        case "crl":
            told["files"] = {k: "00" * 32 if k.startswith("crls/") else v for k, v in told["files"].items()}
    (folder / "bundle.json").write_text(json.dumps(told))
    assert "BUNDLE_MIXED" in [each.code for each in days.judge(folder).findings]


@pytest.mark.parametrize("minutes", [-6.0, -60.0 * 24 * 400])
def test_what_lies_ahead_is_not_remembered(days: Days, minutes: float) -> None:
    """The clock of this machine is behind, or that of the service was ahead: right lists come again later."""
    days.world.clock.advance(hours=13)  # a new trust list too
    bundle, seen = days.world.bundle(), SeenBefore()
    report = days.judge(bundle, seen, minutes=minutes)
    assert report.code == "CLOCK_BEHIND"
    named = {name.split(" ")[0].split(".")[0] for marks in seen.known.values() for name in marks}
    assert named <= {"crl"}, "made long before"
    days.judge(bundle, seen)
    assert len(seen.marks(read_roots(bundle))) > 3, "once the clock is right"


def test_a_machine_whose_clock_is_ahead_remembers_no_time_but_that_of_the_lists(days: Days) -> None:
    seen = SeenBefore()
    assert days.judge(days.new, seen, minutes=60 * 24 * 400).code == "STATUS_STALE"
    assert seen.known, "stale lists are older than what comes after them"
    bundle = days.world.bundle()
    assert "LIST_ROLLED_BACK" not in [each.code for each in days.judge(bundle, seen).findings]
    assert days.judge(bundle, seen).code == "REVOKED"


def test_a_root_of_a_stranger_beside_ours_plants_no_number(days: Days) -> None:
    """A bundle names its own roots: ours, and one whose owner signs a list with a number beyond all others."""
    folder, seen = days.mixed("two-roots"), SeenBefore()
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    listed = decode_trust_list(payload_of((folder / "trust-list.jws").read_bytes()))
    signed = signing_input(encode_trust_list(replace(listed, seq=2**40)), TYP, sha256(spki))
    der = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    (folder / "trust-list.jws").write_bytes(compact(signed, cose.raw_signature(Suite.P256_SHA256, der)))
    roots = json.loads((folder / "roots.json").read_text())
    roots["roots"].append({"spki": base64.b64encode(spki).decode()})
    (folder / "roots.json").write_text(json.dumps(roots))
    days.judge(folder, seen)
    assert list(seen.known) == [spki], "remembered under the root that signed"
    bundle = days.world.bundle()
    assert days.judge(bundle, seen).code == "REVOKED"
    assert seen.marks(read_roots(bundle))["trust-list"].number < 2**40


def test_a_report_is_not_believed_by_an_older_trust_list_than_one_that_was_seen(days: Days) -> None:
    """The key that signs reports may have been withdrawn since."""
    world, seen = days.world, SeenBefore()
    with TestClient(create_app(world.site)) as client:
        report = client.post("/api/v1/verifications", files={"file": ("x.pdf", days.pdf)}).content
    new, roots = world.bundle(), read_roots(days.old)
    assert check_sealed_report(report, days.old, roots, seen)["code"] == "REVOKED"
    days.judge(new, seen)
    assert check_sealed_report(report, new, roots, seen)["code"] == "REVOKED"
    with pytest.raises(VerificationError) as refused:
        check_sealed_report(report, days.old, roots, seen)
    assert refused.value.code == "TRUST_LIST_ROLLED_BACK"


def test_a_bundle_over_http_belongs_together(days: Days) -> None:
    days.world.clock.advance(minutes=4)
    days.world.issue(40)
    with TestClient(create_app(days.world.site)) as client:
        packed = client.get(BUNDLE_PATH).content
    evidence = evidence_from_bundle(unpack_bundle(packed), days.world.clock.now())
    assert evidence.problems == ()
