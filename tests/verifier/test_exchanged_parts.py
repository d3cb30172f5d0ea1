"""What of a licence can be exchanged as a whole for another genuine part, and that nothing is gained by it.

`docs/FORMATS.md` (no free byte) lists these. Each says the same of the same licence; none can be another licence's.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from asn1crypto import cms
from support.world import World

from keys import asn1
from ledger.proof import format_receipt
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_seal_cms,
)
from trust.encoding.receipt import decode_receipt, encode_receipt
from trust.model.report import Report, Verdict
from trust.pdf.gap import check_gap
from verifier.checks.verifying import checks_of_the_seal


def reframed(pdf: bytes, suite: str, *, receipt: bytes | None = None, token: bytes | None = None) -> bytes:
    """The licence with another receipt or time-stamp token in its seal."""
    gap = check_gap(pdf)
    data = cms.ContentInfo.load(gap.cms)["content"]
    (signer,) = data["signer_infos"]
    certs = [each.chosen.dump() for each in data["certificates"]]
    serial = signer["sid"].chosen["serial_number"].native
    unsigned = {each["type"].dotted: each["values"][0].dump() for each in signer["unsigned_attrs"]}
    frame = encode_seal_cms(
        suite=suite,
        x509_certs=certs,
        sealing_cert=next(
            each.chosen.dump() for each in data["certificates"] if each.chosen.serial_number == serial
        ),
        signed_attrs=b"\x31" + signer["signed_attrs"].dump()[1:],
        signature=signer["signature"].native,
        unsigned_attrs=[
            encode_attribute(SIGNATURE_TIME_STAMP_OID, token or unsigned[SIGNATURE_TIME_STAMP_OID]),
            encode_attribute(asn1.RECEIPT_OID, receipt or unsigned[asn1.RECEIPT_OID]),
        ],
    )
    _, start, end, _ = gap.byte_range
    return pdf[: start + 1] + frame.hex().upper().encode().ljust(end - start - 2, b"0") + pdf[end - 1 :]


def _receipt_of(pdf: bytes) -> bytes:
    found = asn1.embedded_receipt(check_gap(pdf).cms)
    assert found is not None
    return found


def _told(report: Report) -> dict[str, object]:
    """Everything that a report says, but for the file's own digests and the size of the tree in its proof."""
    facts = {key: value for key, value in report.facts.items() if key not in ("sha256", "sm3", "ledger")}
    ledger = report.facts["ledger"]
    assert isinstance(ledger, dict)
    return {
        **facts,
        "ledger": {key: value for key, value in ledger.items() if key not in ("tree_size", "root")},
        "shown": report.shown,
        "verdict": report.verdict,
    }


def test_the_proof_can_be_exchanged_for_a_later_one_of_the_same_entry(world: World) -> None:
    issued, pdf = world.issue(1)
    for number in range(2, 6):
        world.issue(number)
    bundle = world.bundle()
    own = decode_receipt(_receipt_of(pdf))
    later = format_receipt(world.site.ledger.log.prove(issued.entry_seq))
    assert later != own.proof
    exchanged = reframed(pdf, "SM2-SM3", receipt=encode_receipt(replace(own, proof=later)))
    before, after = world.verify_offline(pdf, bundle), world.verify_offline(exchanged, bundle)
    assert after.verdict is Verdict.PASSED, after.findings
    # The same entry, at the same place, in the same log: nothing else is concluded from a proof.
    assert _told(after) == _told(before)
    # Who has the register sees that this is not the file that was given out.
    online = world.verify(exchanged)
    assert (online.verdict, online.code) == (Verdict.FAILED, "ALTERED")


def test_the_proof_of_another_entry_is_none(world: World) -> None:
    _, pdf = world.issue(1)
    other, _ = world.issue(2)
    own = decode_receipt(_receipt_of(pdf))
    spliced = encode_receipt(replace(own, proof=format_receipt(world.site.ledger.log.prove(other.entry_seq))))
    report = world.verify_offline(reframed(pdf, "SM2-SM3", receipt=spliced), world.bundle())
    assert (report.verdict, report.code) == (Verdict.FAILED, "LEDGER_MISMATCH")
    assert next(f.check for f in report.findings if f.result.value == "FAILED") == "ledger.receipt"


def test_a_checkpoint_that_the_log_did_not_sign_proves_nothing(world: World) -> None:
    issued, pdf = world.issue(1)
    world.issue(2)
    own = decode_receipt(_receipt_of(pdf))
    later = format_receipt(world.site.ledger.log.prove(issued.entry_seq))
    note, own_note = later.partition("\n\n")[2], own.proof.partition("\n\n")[2]
    mixed = later.replace(note, note.partition("\n\n")[0] + "\n\n" + own_note.partition("\n\n")[2])
    assert mixed not in (later, own.proof)
    report = world.verify_offline(
        reframed(pdf, "SM2-SM3", receipt=encode_receipt(replace(own, proof=mixed))), world.bundle()
    )
    assert (report.verdict, report.code) == (Verdict.FAILED, "LEDGER_MISMATCH"), (
        "the ledger's fault, not the seal's"
    )


@pytest.mark.parametrize("suite", ["sm2", "rsa3072", "p256"])
def test_the_rewriting_of_these_tests_changes_nothing_by_itself(world: World, suite: str) -> None:
    _, pdf = world.issue(1, suite=suite)
    named = {"sm2": "SM2-SM3", "rsa3072": "RSA3072-SHA256", "p256": "P256-SHA256"}[suite]
    assert reframed(pdf, named) == pdf
    assert "seal.time" in checks_of_the_seal()
