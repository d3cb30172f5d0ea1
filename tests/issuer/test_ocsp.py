"""OCSP over HTTP, for our own CAs; and what `openssl ocsp` says to the answers."""

from __future__ import annotations

import base64
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asn1crypto import ocsp, pem
from fastapi.testclient import TestClient
from support.ocsp_answers import check_response
from support.world import World

from issuer.pki.pki import family_of
from keys.custody import KeyPurpose, SigningKey
from keys.pki.ocsp import GOOD, UNKNOWN, CertStatus, Revoked, make_request
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.errors import KeyUnavailable

CAS = [("seal-ca-SM2-SM3", "sm2"), ("seal-ca-RSA3072-SHA256", "rsa3072")]


@pytest.fixture
def client(world: World) -> TestClient:
    return TestClient(create_app(world.site))


def seal_root(world: World, seal: str) -> bytes:
    family = family_of(world.site.issuer.seals.registry.get(f"chuncheng-market-{seal}").suite)
    return bytes(world.site.issuer.pki.ca(f"seal-root-{family}").cert)


def certs_of(world: World, ca_id: str, seal: str) -> tuple[bytes, bytes]:
    """The certificates of a seal and of the CA above it."""
    found = world.site.issuer.seals.registry.get(f"chuncheng-market-{seal}")
    return found.cert, bytes(world.site.issuer.pki.issuing_ca(found.suite).cert)


def ask(client: TestClient, ca_id: str, request: bytes) -> bytes:
    answer = client.post(
        f"/ocsp/{ca_id}", content=request, headers={"Content-Type": "application/ocsp-request"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/ocsp-response"
    return answer.content


@pytest.mark.parametrize(("ca_id", "seal"), CAS)
def test_a_seal_is_good_until_it_is_revoked(world: World, client: TestClient, ca_id: str, seal: str) -> None:
    cert, issuer = certs_of(world, ca_id, seal)
    request = make_request([cert], issuer, nonce=b"12345678", algorithm="sha256")

    def status() -> CertStatus:
        answer = ask(client, ca_id, request)
        return check_response(answer, cert, issuer, at=world.clock.now(), nonce=b"12345678")

    assert status() is GOOD
    world.clock.advance(minutes=5)
    at = world.clock.now()
    world.site.issuer.seals.revoke(OPERATOR, f"chuncheng-market-{seal}")
    world.clock.advance(minutes=5)
    assert status() == Revoked(at)
    # The root answers for the CA, and for nothing below it.
    root = bytes(
        world.site.issuer.pki.ca(
            f"seal-root-{family_of(world.site.issuer.seals.registry.get(f'chuncheng-market-{seal}').suite)}"
        ).cert
    )
    root_id = ca_id.replace("seal-ca", "seal-root")
    both = make_request([issuer, cert], root, nonce=None, algorithm="sha1")
    answer = ask(client, root_id, both)
    assert check_response(answer, issuer, root, at=world.clock.now()) is GOOD
    assert check_response(answer, cert, root, at=world.clock.now()) is UNKNOWN


def test_get_says_the_same_as_post(world: World, client: TestClient) -> None:
    ca_id, seal = CAS[0]
    cert, issuer = certs_of(world, ca_id, seal)
    request = make_request([cert], issuer, nonce=None, algorithm="sm3")
    answer = client.get(f"/ocsp/{ca_id}/{quote(base64.b64encode(request).decode(), safe='')}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/ocsp-response"
    assert check_response(answer.content, cert, issuer, at=world.clock.now()) is GOOD


def test_what_is_no_request_gets_malformed_request(client: TestClient) -> None:
    ca_id = CAS[0][0]
    answers = [ask(client, ca_id, body) for body in (b"", b"junk", bytes(100_000))]
    answers += [client.get(f"/ocsp/{ca_id}/{text}").content for text in ("!!!", "AAAA", "A" * 9000)]
    for answer in answers:
        assert ocsp.OCSPResponse.load(answer)["response_status"].native == "malformed_request"
    for unknown in ("nobody", "tsa-SM2-SM3"):
        assert client.post(f"/ocsp/{unknown}", content=b"x").status_code == 404


def test_a_responder_is_renewed_in_time_with_the_same_key(world: World, client: TestClient) -> None:
    ca_id, seal = CAS[0]
    cert, issuer = certs_of(world, ca_id, seal)
    request = make_request([cert], issuer, nonce=None, algorithm="sha1")

    def responder() -> tuple[bytes, bytes]:
        (found,) = ocsp.OCSPResponse.load(ask(client, ca_id, request)).basic_ocsp_response["certs"]
        return found.dump(), found.public_key.dump()

    first = responder()
    assert responder() == first
    world.clock.advance(days=21)
    second = responder()
    assert second[0] != first[0]
    assert second[1] == first[1]


def test_a_key_that_is_away_gets_try_later_and_the_log_says_why(
    world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ca_id, seal = CAS[0]
    cert, issuer = certs_of(world, ca_id, seal)

    def away(*_: object) -> None:
        raise KeyUnavailable("The token does not answer.")

    monkeypatch.setattr(type(world.site.register.keys), "open", away)
    answer = ask(client, ca_id, make_request([cert], issuer, nonce=None, algorithm="sha1"))
    assert ocsp.OCSPResponse.load(answer)["response_status"].native == "try_later"
    assert [(each.name, each.__dict__["code"]) for each in caplog.records if each.levelname == "ERROR"] == [
        ("yinzheng.ocsp", "KEY_UNAVAILABLE")
    ]


def test_questions_leave_no_keys_behind(
    world: World, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask, as often as they like: also for a maker of seals, and while a CA's key is away."""
    site = world.site
    cert, issuer = certs_of(world, *CAS[0])
    request = make_request([cert], issuer, nonce=None, algorithm="sha1")
    before = len(site.register.keys.records())
    maker = client.post("/ocsp/seal-maker-SM2-SM3", content=request)
    real = type(site.register.keys).open

    def ca_away(keys: Any, key_id: str, purpose: KeyPurpose) -> SigningKey:
        if purpose is KeyPurpose.ISSUING_CA:
            raise KeyUnavailable("The token does not answer.")
        return real(keys, key_id, purpose)

    monkeypatch.setattr(type(site.register.keys), "open", ca_away)
    answer = ask(client, CAS[0][0], request)
    assert ocsp.OCSPResponse.load(answer)["response_status"].native == "try_later"
    assert maker.status_code == 404
    assert len(site.register.keys.records()) == before


def test_openssl_accepts_the_answers(world: World, client: TestClient, tmp_path: Path) -> None:
    ca_id, seal = CAS[1]
    cert, issuer = certs_of(world, ca_id, seal)
    root = bytes(
        world.site.issuer.pki.ca(
            f"seal-root-{family_of(world.site.issuer.seals.registry.get(f'chuncheng-market-{seal}').suite)}"
        ).cert
    )
    for name, der in (("cert", cert), ("issuer", issuer), ("root", root)):
        (tmp_path / f"{name}.pem").write_bytes(pem.armor("CERTIFICATE", der))

    def openssl(*arguments: str) -> str:
        command = ["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "cert.pem", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def judged() -> str:
        openssl("-reqout", "request.der")
        (tmp_path / "answer.der").write_bytes(ask(client, ca_id, (tmp_path / "request.der").read_bytes()))
        at = str(int(world.clock.now().timestamp()))
        anchors = ("-CAfile", "root.pem", "-verify_other", "issuer.pem", "-attime", at)
        return openssl(
            "-no_nonce",
            "-reqin",
            "request.der",
            "-respin",
            "answer.der",
            *anchors,
            "-validity_period",
            "1000000000",
        )

    said = judged()
    assert "Response verify OK" in said
    assert "cert.pem: good" in said
    assert "WARNING" not in said, "the nonce of the request is in the answer"
    world.site.issuer.seals.revoke(OPERATOR, f"chuncheng-market-{seal}")
    world.clock.at += timedelta(minutes=1)
    assert "cert.pem: revoked" in judged()
