"""`yinzheng pki` and `yinzheng keys import`: requests out, certificates and keys in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from asn1crypto import pem
from support.cli import Cli
from support.outside_ca import PASSWORD, OutsideCa, new_key, pfx, requested_key, spki_of

from keys.pki.importing import is_pkcs12
from keys.suites import Suite


def test_the_command_line_asks_takes_and_lists(cli: Cli) -> None:
    now = datetime.now(UTC).replace(microsecond=0)  # the command has the machine's clock
    ca = OutsideCa("CFCA-like", Suite.SM2_SM3, now)
    folder = cli.folder
    (folder / "root.pem").write_bytes(pem.armor("CERTIFICATE", ca.root))
    (folder / "ca.pem").write_bytes(pem.armor("CERTIFICATE", ca.cert))
    names = ("--common-name", "行政许可专用章", "--organisation", "春城市市场监督管理局")
    assert cli.run("pki", "csr", *names, "--out", folder / "seal.csr", "--json") == 0, cli.err
    key_id = cli.lines()[0]["key"]
    _, _, request = pem.unarmor((folder / "seal.csr").read_bytes())
    (folder / "seal.pem").write_bytes(pem.armor("CERTIFICATE", ca.issue(requested_key(request))))
    trusted = ("--root", folder / "root.pem", "--chain", folder / "ca.pem", "--json")
    assert cli.run("pki", "import", folder / "seal.pem", "--label", "食品章", *trusted) == 0, cli.err
    assert cli.lines()[0]["key"] == key_id
    identity = str(cli.lines()[0]["id"])
    make = ("seal", "make", "under-cfca", "--authority", "chuncheng-market", "--identity")
    assert cli.run(*make, identity) == 0, cli.err
    assert cli.run("seal", "show", "under-cfca") == 0
    assert json.loads(cli.out)["identity"] == identity
    assert cli.run("seal", "make", "another", *make[3:], identity) == 3
    assert "another seal" in cli.err
    assert cli.run("pki", "import", folder / "ca.pem", *trusted) == 3
    assert "CA" in cli.err
    rsa = OutsideCa("RSA CA", Suite.RSA3072_SHA256, now)
    key = new_key(Suite.P256_SHA256)
    (folder / "seal.p12").write_bytes(pfx(rsa, key, rsa.issue(spki_of(key))))
    assert is_pkcs12((folder / "seal.p12").read_bytes())
    (folder / "rsa-root.der").write_bytes(rsa.root)
    (folder / "password").write_bytes(PASSWORD + b"\n")
    given = ("--root", folder / "rsa-root.der", "--password-file", folder / "password", "--json")
    assert cli.run("keys", "import", folder / "seal.p12", *given) == 0, cli.err
    assert cli.run("pki", "list", "--json") == 0
    assert {line["ca"] for line in cli.lines()} == {"CFCA-like CA", "RSA CA CA"}
