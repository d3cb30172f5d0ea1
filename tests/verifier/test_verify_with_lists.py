"""Revocation lists at the command line, beside the anchors of files of others."""

from __future__ import annotations

from pathlib import Path

from asn1crypto import pem
from support.cli import Cli
from support.producers import Producer, contract


def test_lists_are_given_at_the_command_line(cli: Cli) -> None:
    made = Producer("ecdsa")
    signer = made.new_signer(issuer=made.ca)
    file, anchor = cli.folder / "signed.pdf", cli.folder / "root.pem"
    file.write_bytes(made.sign(contract(), signer=signer))
    anchor.write_bytes(pem.armor("CERTIFICATE", made.root.der))

    def lists() -> list[str | Path]:
        given: list[str | Path] = []
        for number, der in enumerate(made.crls()):
            path = cli.folder / f"{number}.crl"
            path.write_bytes(pem.armor("X509 CRL", der) if number else der)
            given += ["--crl", path]
        return given

    assert cli.run("verify", file, "--trust-anchor", anchor) == 2
    assert cli.run("verify", file, "--trust-anchor", anchor, *lists()) == 0, cli.out
    made.revoked.append(signer.cert.serial_number)
    assert cli.run("verify", file, "--trust-anchor", anchor, *lists()) == 2
    assert "SEAL_CERT_REVOKED" in cli.out
    assert cli.run("verify", file, *lists()) == 3
    assert "--trust-anchor" in cli.err
    (cli.folder / "0.crl").write_bytes(b"no list")
    assert cli.run("verify", file, "--trust-anchor", anchor, "--crl", cli.folder / "0.crl") == 3
    assert "not a revocation list" in cli.err
