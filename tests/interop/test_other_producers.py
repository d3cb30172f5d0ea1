"""Signed PDFs made by programs of others: accepted under the foreign profile with their level, and refused spoiled."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.limits import HANG_SECONDS
from support.producers import Party, Producer, contract

from trust.model.report import Verdict, decide
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN

pytestmark = pytest.mark.interop
JARS = [
    Path("/usr/share/java") / f"{name}.jar"
    for name in ("itext5", "pdfbox2", "fontbox2", "commons-logging", "bcprov", "bcpkix", "bcutil")
]
BY_JAVA = {
    # file: the level of each signature in it
    "itext-B-B": ["PAdES-B-B"],
    "itext-B-T": ["PAdES-B-T"],
    "itext-B-LT": ["PAdES-B-LT"],
    "itext-B-LTA": ["PAdES-B-LTA", "RFC3161"],
    "itext-twice": ["PAdES-B-T", "PAdES-B-T"],
    "pdfbox-B-B": ["PAdES-B-B"],
    "pdfbox-B-T": ["PAdES-B-T"],
    "pdfbox-pkcs7": ["PKCS7-B-B"],
    "pdfbox-over-itext": ["PAdES-B-LT", "PAdES-B-LT"],
}


class Signed:
    """What others signed with the keys of a producer of ours, by name."""

    def __init__(self, made: Producer, folder: Path) -> None:
        self.made, self._folder = made, folder

    def pdf(self, name: str) -> bytes:
        return (self._folder / f"{name}.pdf").read_bytes()

    def judge(self, pdf: bytes, *, days: int = 0) -> Examination:
        at = self.made.at + timedelta(days=days, minutes=10)
        return examine_pdf(
            pdf, trust_list=None, anchors=[self.made.root.der], crls=self.made.crls(at), verified_at=at
        )

    def verdict(self, pdf: bytes, *, days: int = 0) -> tuple[Verdict, str]:
        return decide(self.judge(pdf, days=days).findings, REQUIRED_FOREIGN)


@pytest.fixture(scope="module", params=["rsa", "ecdsa"])
def by_java(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    java = shutil.which("java")
    if java is None or not all(jar.exists() for jar in JARS):
        pytest.skip("needs java and Debian's libitext5-java, libpdfbox2-java and libbcpkix-java")
    made, folder = Producer(request.param), tmp_path_factory.mktemp("java")
    (folder / "input.pdf").write_bytes(contract())
    (folder / "signer.key").write_bytes(_pkcs8(made.signer))
    (folder / "tsa.key").write_bytes(_pkcs8(made.tsa))
    for kind, ders in (
        ("chain", [made.signer.der, made.ca.der, made.root.der]),
        ("tsa", [made.tsa.der, made.root.der]),
        ("crl", made.crls()),
    ):
        for number, der in enumerate(ders):
            (folder / f"{kind}-{number}.der").write_bytes(der)
    source = Path(__file__).with_name("SignPdf.java")
    classpath = ":".join(map(str, JARS))
    run = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-cp", classpath, str(source), str(folder)],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return Signed(made, folder)


@pytest.mark.parametrize("name", BY_JAVA)
def test_what_java_libraries_sign_passes_with_its_level(by_java: Signed, name: str) -> None:
    found = by_java.judge(by_java.pdf(name))
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK"), found.findings
    assert [each["format"] for each in found.facts["signatures"]] == BY_JAVA[name]
    assert "Contract seal" in found.facts["signatures"][0]["signer"]


@pytest.mark.parametrize("name", BY_JAVA)
def test_the_same_files_spoiled_do_not_pass(by_java: Signed, name: str) -> None:
    pdf = by_java.pdf(name)
    # Inside /Contents stands what no signature covers, such as the CMS's own list of digest algorithms.
    for at in range(20, min(pdf.index(b"/ByteRange"), pdf.index(b"/Contents")), 41):
        spoilt = pdf[:at] + bytes((pdf[at] ^ 1,)) + pdf[at + 1 :]
        assert by_java.verdict(spoilt)[0] is not Verdict.PASSED, at
    assert by_java.verdict(pdf + b"\n% and more\n")[0] is not Verdict.PASSED


def test_archived_files_outlive_the_certificates_and_others_do_not(by_java: Signed) -> None:
    assert by_java.verdict(by_java.pdf("itext-B-LTA"), days=650) == (Verdict.PASSED, "OK")
    for name in ("itext-B-B", "pdfbox-pkcs7"):
        assert by_java.verdict(by_java.pdf(name), days=750)[0] is Verdict.INDETERMINATE


def _pkcs8(party: Party) -> bytes:
    return party.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
