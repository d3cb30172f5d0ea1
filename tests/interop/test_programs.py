"""Programs that everybody has: pdfsig, qpdf, openssl, pyOpenSSL, and a machine without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem
from interop.licences import NAMES, Issued, Sealed
from support.limits import HANG_SECONDS

from keys.pki.read import read_x509_cert
from trust.app import samples

pytestmark = pytest.mark.interop
ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    program = shutil.which(str(command[0]))
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(
        [program, *map(str, command[1:])], capture_output=True, text=True, timeout=HANG_SECONDS, **settings
    )


# pdfsig ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("sm2")])
def test_pdfsig_finds_one_valid_signature_over_the_whole_document(
    issued: Issued, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "licence.pdf"
    path.write_bytes(issued.sealed[name].pdf)
    said = run("pdfsig", path).stdout
    assert said.count("Signature Validation: Signature is Valid.") == 1
    assert "Total document signed" in said
    assert "Signature #2" not in said


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("sm2")])
def test_pdfsig_refuses_a_changed_page(issued: Issued, name: str, tmp_path: Path) -> None:
    path = tmp_path / "licence.pdf"
    path.write_bytes(issued.sealed[name].with_changed_page())
    said = run("pdfsig", path).stdout
    assert "Signature is Valid" not in said
    assert "Digest Mismatch" in said


# qpdf ------------------------------------------------------------------------------------------------------


def test_qpdf_finds_nothing_wrong_in_any_suite(sealed: Sealed, tmp_path: Path) -> None:
    path = tmp_path / "licence.pdf"
    path.write_bytes(sealed.pdf)
    checked = run("qpdf", "--check", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    path.write_bytes(sealed.pdf[: len(sealed.pdf) // 2])
    assert run("qpdf", "--check", path).returncode != 0


@pytest.mark.parametrize("short", [short for short, _, _ in samples.RECORDS])
def test_qpdf_finds_nothing_wrong_in_any_type(issued: Issued, short: str, tmp_path: Path) -> None:
    world = issued.world
    (outcome,) = world.try_issue(world.sample_applications(short)[0])
    assert outcome.issued is not None, outcome.error
    path = tmp_path / "licence.pdf"
    path.write_bytes(world.site.issuer.issuing.issued_file(outcome.issued.pid))
    checked = run("qpdf", "--check", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# openssl ---------------------------------------------------------------------------------------------------


def test_openssl_verifies_the_raw_sm2_signature_and_no_other(issued: Issued, tmp_path: Path) -> None:
    sealed = issued.sealed["sm2-prepared"]
    info = sealed.signer_info()
    signed = b"\x31" + info["signed_attrs"].dump()[1:]
    public = read_x509_cert(sealed.seal.certs[0]).public_key
    (tmp_path / "key.pem").write_bytes(pem.armor("PUBLIC KEY", public))
    (tmp_path / "signature").write_bytes(info["signature"].native)

    def verify(message: bytes, distinguishing_id: str) -> int:
        (tmp_path / "message").write_bytes(message)
        command = "openssl pkeyutl -verify -pubin -inkey key.pem -sigfile signature -in message"
        options = f"-rawin -digest sm3 -pkeyopt distid:{distinguishing_id}"
        return run(*command.split(), *options.split(), cwd=tmp_path).returncode

    assert verify(signed, "1234567812345678") == 0
    assert verify(signed[:-1] + bytes((signed[-1] ^ 1,)), "1234567812345678") != 0
    assert verify(signed, "1234567812345679") != 0


def test_openssl_library_builds_the_chain_of_every_suite(sealed: Sealed) -> None:
    crypto = pytest.importorskip("OpenSSL.crypto", reason="pyOpenSSL is not installed")
    end, *between = (_pyopenssl(crypto, der) for der in sealed.seal.certs)
    store = _store(crypto, sealed.seal.root)
    crypto.X509StoreContext(store, end, between).verify_certificate()
    with pytest.raises(crypto.X509StoreContextError):
        crypto.X509StoreContext(_store(crypto, sealed.tsa.root), end, between).verify_certificate()
    with pytest.raises(crypto.X509StoreContextError):
        crypto.X509StoreContext(store, end, []).verify_certificate()


def test_openssl_library_refuses_a_certificate_with_a_spoiled_signature(sealed: Sealed) -> None:
    crypto = pytest.importorskip("OpenSSL.crypto", reason="pyOpenSSL is not installed")
    der = sealed.seal.certs[0]
    spoiled = _pyopenssl(crypto, der[:-1] + bytes((der[-1] ^ 1,)))
    between = [_pyopenssl(crypto, each) for each in sealed.seal.certs[1:]]
    with pytest.raises(crypto.X509StoreContextError):
        crypto.X509StoreContext(_store(crypto, sealed.seal.root), spoiled, between).verify_certificate()


def _pyopenssl(crypto: Any, der: bytes) -> Any:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def _store(crypto: Any, root: bytes) -> Any:
    from support.world import START

    store = crypto.X509Store()
    store.add_cert(_pyopenssl(crypto, root))
    store.set_time(START)
    return store


# no network ------------------------------------------------------------------------------------------------


def test_the_command_line_verifies_where_there_is_no_network(issued: Issued, tmp_path: Path) -> None:
    """In a network namespace of its own, where not even the loopback is up."""
    if run("unshare", "-n", "true").returncode != 0:
        pytest.skip("this user may not make a network namespace")
    probe = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    assert "unreachable" in run("unshare", "-n", sys.executable, "-c", probe).stderr

    def verify(name: str, pdf: bytes) -> subprocess.CompletedProcess[str]:
        path = tmp_path / name
        path.write_bytes(pdf)
        program = "from trust.app.main import main; main()"
        options = ["verify", "--offline", str(issued.bundle), "--at", "2026-11-23T10:00:00+08:00"]
        return run(
            "unshare", "-n", sys.executable, "-c", program, *options, str(path),
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        )  # fmt: skip

    good = verify("good.pdf", issued.sealed["sm2-prepared"].pdf)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "PASSED OK" in good.stdout
    altered = verify("altered.pdf", issued.sealed["sm2-prepared"].with_changed_page())
    assert altered.returncode == 1, altered.stdout + altered.stderr
    assert "FAILED ALTERED" in altered.stdout
