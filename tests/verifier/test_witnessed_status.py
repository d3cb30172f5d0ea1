"""A status list says who has seen the ledger that anchors it, as soon as a quorum of the trust list's witnesses has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.witness_world import POST_QUANTUM_KEY, WITNESS_KEY
from support.world import START, World, make_world

from ledger.keeping import POLICY_FILE, published_policy
from ledger.note import Note, NoteSignature, SignerKey, format_note, parse_note
from ledger.witness.policy import Group, Policy, PolicyWitness, format_policy
from trust.model.errors import Malformed
from trust.model.report import Report, Result, Verdict
from trust.sandbox.workers import Sandbox
from verifier.evidence.bundle import evidence_from_bundle

POLICY = Policy(
    witnesses=(
        PolicyWitness(name="one", vkey=WITNESS_KEY.vkey, url="https://w.example.org"),
        PolicyWitness(name="pq", vkey=POST_QUANTUM_KEY.vkey),
    ),
    groups=(Group(name="both", threshold=2, members=("one", "pq")),),
    quorum="both",
)


@pytest.fixture
def world(template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[World]:
    shutil.copytree(template_folder, tmp_path / "data")
    (tmp_path / "data" / POLICY_FILE).write_bytes(format_policy(POLICY))
    made = make_world(tmp_path / "data", sandbox=sandbox)
    yield made
    made.close()


def cosign(world: World, *keys: SignerKey, spoil: bool = False) -> None:
    """Publishes the newest checkpoint with a line of each witness."""
    note = parse_note(world.site.ledger.log.checkpoint_note())
    lines = []
    for key in keys:
        line = key.cosign(note.text, time=int(START.timestamp()))
        line = line[:-1] + bytes((line[-1] ^ 1,)) if spoil else line
        lines.append(NoteSignature(name=key.vkey.name, key_id=key.vkey.key_id, signature=line))
    world.site.ledger.log.cosigned(format_note(Note(text=note.text, signatures=(*note.signatures, *lines))))


def judged(world: World, pdf: bytes) -> tuple[Report, list[str], Result | None]:
    """The report, the witnesses that it names, and what it says of them."""
    report = world.verify_offline(pdf, world.bundle())
    status: Any = report.facts.get("status") or {}
    result = next((each.result for each in report.findings if each.check == "status.witnessed"), None)
    return report, status.get("ledger", {}).get("witnesses", []), result


def test_a_status_is_witnessed_once_the_quorum_has_cosigned(world: World) -> None:
    _, pdf = world.issue(1)
    report, witnesses, result = judged(world, pdf)
    assert (report.verdict, witnesses, result) == (Verdict.PASSED, [], Result.NOT_CHECKED)
    world.site.ledger.log.publish()
    cosign(world, WITNESS_KEY)
    assert judged(world, pdf)[1:] == ([], Result.NOT_CHECKED), "one of two"
    cosign(world, WITNESS_KEY, POST_QUANTUM_KEY)
    report, witnesses, result = judged(world, pdf)
    assert (report.verdict, witnesses, result) == (Verdict.PASSED, ["w.example.org"], Result.PASSED)
    assert world.verify(pdf).verdict is Verdict.PASSED


def test_a_forged_line_of_a_witness_is_noticed(world: World) -> None:
    _, pdf = world.issue(1)
    bundle = world.bundle()
    world.site.ledger.log.publish()
    proof = next((bundle / "status").glob("*.tlog-proof"))
    cosign(world, WITNESS_KEY, POST_QUANTUM_KEY)
    again = world.bundle()
    good = (again / "status" / proof.name).read_text()
    name = "w.example.org"
    lines = [line for line in good.splitlines(keepends=True) if not line.startswith(f"— {name} ")]
    forged = [line for line in good.splitlines(keepends=True) if line.startswith(f"— {name} ")]
    assert len(forged) == 2
    spoilt = forged[0][:-10] + ("A" if forged[0][-10] != "A" else "B") + forged[0][-9:]
    (again / "status" / proof.name).write_text("".join([*lines, spoilt, forged[1]]))
    report = world.verify_offline(pdf, again)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "STATUS_LIST_FORGED")
    (again / "status" / proof.name).write_text("".join(lines))
    report = world.verify_offline(pdf, again)
    assert report.verdict is Verdict.PASSED, "a line that was taken away is one that is not there yet"


def test_the_trust_list_says_who_the_witnesses_are_and_not_where(world: World) -> None:
    text = published_policy(POLICY)
    assert "https://" not in text
    assert "both" in text
    assert format_policy(Policy(witnesses=(PolicyWitness(name="\udcff", vkey=WITNESS_KEY.vkey),)))
    with pytest.raises(Malformed, match="not UTF-8"):
        published_policy(Policy(witnesses=(PolicyWitness(name="\udcff", vkey=WITNESS_KEY.vkey),)))
    listed = evidence_from_bundle(world.bundle(), START).trust_list
    assert listed is not None
    assert listed.witness_policy == text
