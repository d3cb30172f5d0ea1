"""BouncyCastle accepts what we seal, in every suite, and refuses it spoiled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from interop.licences import NAMES, Issued, Sealed
from support.limits import HANG_SECONDS

pytestmark = pytest.mark.interop
JARS = [Path("/usr/share/java") / f"{name}.jar" for name in ("bcprov", "bcpkix", "bcutil")]
SM3, SHA256 = "1.2.156.10197.1.401", "2.16.840.1.101.3.4.2.1"


@dataclass(frozen=True)
class Answers:
    """What BouncyCastle said of each case; one run of Java for all of them."""

    lines: dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def answers(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    cases = {}
    for name, sealed in issued.sealed.items():
        other = issued.sealed["rsa3072-prepared" if name.startswith("sm2") else "sm2-prepared"]
        for case, (content, cms, anchor, tsa_anchor) in _cases(sealed, other).items():
            cases[name, case] = {
                "content.bin": content,
                "seal.cms": cms,
                "anchor.der": anchor,
                "tsa-anchor.der": tsa_anchor,
            }
    return ask(cases, tmp_path_factory.mktemp("bouncycastle"))


def ask(cases: Mapping[tuple[str, str], Mapping[str, bytes]], folder: Path) -> Answers:
    """The files of each case, judged by BouncyCastle."""
    java = shutil.which("java")
    if java is None or not all(jar.exists() for jar in JARS):
        pytest.skip("needs java and Debian's libbcpkix-java")
    places = []
    for (name, case), files in cases.items():
        places.append(folder / f"{name}-{case}")
        for file, data in files.items():
            (places[-1] / file).parent.mkdir(parents=True, exist_ok=True)
            (places[-1] / file).write_bytes(data)
    classpath = ":".join(map(str, JARS))
    source = Path(__file__).with_name("CheckSeal.java")
    run = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-cp", classpath, str(source), *map(str, places)],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return Answers(dict(zip(cases, run.stdout.splitlines(), strict=True)))


def _cases(sealed: Sealed, other: Sealed) -> dict[str, tuple[bytes, bytes, bytes, bytes]]:
    content, cms = sealed.content, sealed.gap.cms
    seal_root, tsa_root = sealed.seal.root, sealed.tsa.root
    info = sealed.signer_info()
    signature = info["signature"].native
    spoiled = signature[:-1] + bytes((signature[-1] ^ 1,))
    message_digest = next(a for a in info["signed_attrs"] if a["type"].native == "message_digest")
    digest = message_digest["values"][0].native
    (token,) = (
        a["values"][0] for a in info["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token"
    )
    imprint = (
        token["content"]["encap_content_info"]["content"].parsed["message_imprint"]["hashed_message"].native
    )
    (stamp_signer,) = token["content"]["signer_infos"]
    stamp_signature = stamp_signer["signature"].native
    return {
        "good": (content, cms, seal_root, tsa_root),
        "content": (content[:-200] + bytes((content[-200] ^ 1,)) + content[-199:], cms, seal_root, tsa_root),
        "signature": (content, cms.replace(signature, spoiled), seal_root, tsa_root),
        "attributes": (content, cms.replace(digest, digest[::-1]), seal_root, tsa_root),
        "anchor": (content, cms, other.seal.root, tsa_root),
        "tsa-anchor": (content, cms, seal_root, seal_root),
        "imprint": (content, cms.replace(imprint, imprint[::-1]), seal_root, tsa_root),
        "stamp-signature": (
            content,
            cms.replace(stamp_signature, stamp_signature[:-1] + bytes((stamp_signature[-1] ^ 1,))),
            seal_root,
            tsa_root,
        ),
    }


@pytest.mark.parametrize("name", NAMES)
def test_bouncycastle_accepts_signature_chain_and_time_stamp(answers: Answers, name: str) -> None:
    word, algorithm, stamped_at = answers.lines[name, "good"].split()
    assert word == "OK"
    assert algorithm == (SM3 if name.startswith("sm2") else SHA256)
    assert stamped_at == "2026-11-23T02:00:00Z"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("spoiled", "blamed"),
    [
        ("content", "signature"),
        ("signature", "signature"),
        ("attributes", "signature"),
        ("anchor", "chain"),
        ("tsa-anchor", "tsa-chain"),
        ("imprint", "imprint"),
        ("stamp-signature", "time-stamp"),
    ],
)
def test_bouncycastle_refuses_what_is_spoiled(answers: Answers, name: str, spoiled: str, blamed: str) -> None:
    assert answers.lines[name, spoiled].startswith(f"REFUSED {blamed} ")
