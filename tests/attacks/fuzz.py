"""Mutation fuzzing of the gate, the examination and the decoders: `python -m attacks.fuzz --minutes 30` in tests/.

Every case is a number: it chooses the file, the mutations and their places, so that a case is kept as a number and made
again from whatever genuine files there are then. What must hold of each:

    a licence with any byte changed is never what was sealed
    a file of others passes only if the bytes that its signature covers are unchanged
    a decoder gives a value or an error of our own tree; nothing takes longer than the sandbox would wait

A case that ends in a way that was not met before is kept in `seeds.txt`, and replayed by the tests.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacks.genuine import Genuine, make_genuine
from support.world import START, make_world

from keys import asn1
from ledger.checkpoint import parse_checkpoint
from ledger.note import parse_note
from ledger.proof import check_detached_receipt
from trust.encoding import codes, cose, kept_evidence, receipt, ses, status_list, trust_list
from trust.encoding.der import element_length
from trust.model.errors import TrustError
from trust.model.report import Result, Verdict, decide
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN

SEEDS = Path(__file__).with_name("seeds.txt")
WALL_SECONDS = 15
_TOKENS = (
    b"/ByteRange [0 1 2 3]", b"/Contents <00>", b"/Type/Sig", b"/JS", b"/OpenAction", b"endobj", b"obj", b"stream",
    b"endstream", b"xref", b"trailer", b"startxref", b"%%EOF", b"<<", b">>", b"[", b"]", b"/Length 999999999", b"null",
    b"/Prev 0", b"/Size 99999999", b"/Kids[2 0 R]", b"/Filter/FlateDecode", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff",
)  # fmt: skip


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """A few changes of the kinds that parsers stumble over."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        span = chance.choice((1, 1, 2, 7, 60, 1000, 70_000))
        match chance.randrange(9):
            case 0:
                data = data[:at] + bytes((chance.randrange(256),)) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + span :]
            case 2:
                data = data[:at] + data[at : at + span] * 2 + data[at + span :]
            case 3:
                data = data[:at] + chance.choice(_TOKENS) + data[at:]
            case 4:
                giver = chance.choice(others)
                start = chance.randrange(len(giver))
                data = data[:at] + giver[start : start + span] + data[at + span :]
            case 5:
                data = _number_changed(data, chance)
            case 6:
                data = data[: at or 1]
            case 7:
                there = chance.randrange(len(data) + 1)
                data = data[:there] + data[at : at + span] + data[there:]
            case _:
                data = data[:at] + chance.randbytes(span) + data[at + span :]
        if not data:
            data = b"%"
    return data


def _number_changed(data: bytes, chance: random.Random) -> bytes:
    numbers = list(re.finditer(rb"(?<![0-9A-F])\d{1,7}(?![0-9A-F])", data))
    if not numbers:
        return data
    chosen = chance.choice(numbers)
    new = chance.choice(
        (b"0", b"1", b"-1", b"4294967296", b"%d" % (int(chosen.group()) + chance.choice((-1, 1, 8))))
    )
    return data[: chosen.start()] + new + data[chosen.end() :]


@dataclass
class Fuzzer:
    """`ends` are the ways in which cases have ended, each with the first case that did."""

    genuine: Genuine
    ends: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._evidence = self.genuine.evidence(online=False)
        self._files = {**self.genuine.files(), "foreign": self.genuine.foreign}
        self._decoders = _decoders(self.genuine)

    def run(self, case: int) -> str:
        """How the case ended. Raises AssertionError for what must not be."""
        chance = random.Random(case)
        if chance.randrange(4):
            name = chance.choice(sorted(self._files))
            return self._examined(name, mutated(self._files[name], chance, list(self._files.values())))
        name = chance.choice(sorted(self._decoders))
        decode, good = self._decoders[name]
        given = mutated(good, chance, [good, self.genuine.licence])
        try:
            decode(given)
        except TrustError as exc:
            return f"{name} {exc.code}"
        except ValueError:
            if name != "der":
                raise
            return f"{name} ValueError"
        return f"{name} ok"

    def _examined(self, name: str, data: bytes) -> str:
        if data == self._files[name]:
            return "unchanged"
        foreign = name == "foreign"
        found = examine_pdf(
            data,
            trust_list=self._evidence.trust_list,
            anchors=[self.genuine.producer.root.der] if foreign else (),
            crls=[*self._evidence.crls, *(self.genuine.producer.crls() if foreign else ())],
            verified_at=START,
        )
        if foreign:
            if decide(found.findings, REQUIRED_FOREIGN)[0] is Verdict.PASSED:
                assert _signed(data) == _signed(self.genuine.foreign), "a changed file of others passed"
        else:
            assert found.data is None, "a changed licence passed"
        return f"{name} {_end(found)}"


def _signed(pdf: bytes) -> tuple[bytes, bytes]:
    numbers = re.findall(rb"/ByteRange \[([^\]]*)\]", pdf)[-1].split()
    _, start, end, rest = (int(each) for each in numbers)
    return pdf[:start], pdf[end : end + rest]


def _end(found: Examination) -> str:
    first = next((f for f in found.findings if f.result is not Result.PASSED), None)
    return f"{first.check} {first.code} {re.sub('[0-9]+', 'n', first.detail)[:60]}" if first else "passed"


def _decoders(genuine: Genuine) -> dict[str, tuple[Callable[[bytes], Any], bytes]]:
    bundle = genuine.bundle
    status = next((bundle / "status").glob("*.cwt")).read_bytes()
    proof = next((bundle / "status").glob("*.tlog-proof")).read_bytes()
    listed = genuine.evidence(online=False)
    seal = genuine.world.site.issuer.seals.using.open(
        genuine.world.site.issuer.seals.registry.get("chuncheng-market-sm2")
    )
    note = genuine.world.site.ledger.log.checkpoint_note().encode()
    sign1 = cose.decode_sign1(status, max_bytes=1 << 20)
    evidence = kept_evidence.encode_kept_evidence(kept_evidence.KeptEvidence(1, (bytes(32),), None, None))

    def text(decode: Callable[[str], Any]) -> Callable[[bytes], Any]:
        return lambda data: decode(data.decode("utf-8", "replace"))

    return {
        "trust list": (trust_list.decode_trust_list, listed.trust_list_payload),
        "sign1": (lambda data: cose.decode_sign1(data, max_bytes=1 << 20), status),
        "status list": (status_list.decode_status_list, sign1.payload),
        "seal data": (ses.decode_seal, seal.seal_data),
        "receipt": (receipt.decode_receipt, _receipt(genuine.licence)),
        "scanned text": (text(codes.read_scanned_text), b"HTTPS://V.CHUNCHENG.EXAMPLE/Q/ABCDEFGH234567"),
        "note": (text(lambda t: parse_checkpoint(parse_note(t).text)), note),
        "proof": (text(lambda t: check_detached_receipt(t, log_keys=_keys(genuine))), proof),
        "kept evidence": (kept_evidence.decode_kept_evidence, evidence),
        "der": (element_length, seal.seal_data),
    }


def _keys(genuine: Genuine) -> Any:
    from verifier.evidence.trust_list import ledger_keys

    listed = genuine.evidence(online=False).trust_list
    assert listed is not None
    return ledger_keys(listed)


def _receipt(pdf: bytes) -> bytes:
    from trust.pdf.gap import check_gap

    found = asn1.embedded_receipt(check_gap(pdf).cms)
    assert found is not None
    return found


def read_seeds() -> list[int]:
    return [int(line.split()[0]) for line in SEEDS.read_text("utf-8").splitlines() if line and line[0] != "#"]


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--first", type=int, default=None)
    chosen = options.parse_args()
    asn1.register()

    def too_long(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory() as name:
        world = make_world(Path(name) / "data")
        fuzzer = Fuzzer(make_genuine(world))
        case = first = chosen.first if chosen.first is not None else random.SystemRandom().randrange(1 << 40)
        bad: list[dict[str, object]] = []
        slowest, until, told = 0.0, time.monotonic() + 60 * chosen.minutes, time.monotonic()
        while time.monotonic() < until:
            signal.alarm(WALL_SECONDS)
            began = time.perf_counter()
            try:
                fuzzer.ends.setdefault(fuzzer.run(case), case)
            except Exception as exc:  # every one of them is a finding
                bad.append({"case": case, "what": repr(exc)[:300]})
                print("BAD", bad[-1], flush=True)
            signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - began)
            case += 1
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(
                    f"{case - first} cases, {len(fuzzer.ends)} ends, {len(bad)} bad, slowest {slowest:.2f} s",
                    flush=True,
                )
        world.close()
    print(
        json.dumps(
            {"cases": case - first, "bad": bad, "slowest": round(slowest, 2), "ends": len(fuzzer.ends)}
        )
    )
    for end, number in sorted(fuzzer.ends.items()):
        print(f"{number} {end}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
