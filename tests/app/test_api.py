"""The HTTP API: what departments and verifiers get, and what bad input gets."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest
from fastapi.testclient import TestClient
from support.world import FOOD, METRICS_TOKEN, World

from ledger.proof import check_detached_receipt
from trust.app.site import create_app
from trust.encoding.digests import sha256
from trust.encoding.receipt import decode_receipt
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.people.access import open_access
from verifier.evidence.trust_list import ledger_keys

ISSUE_SCOPES = ["cert.issue", "cert.status", "cert.read", "cert.present"]


class Api:
    """A client of the running application, with keys of two departments and of a counter."""

    def __init__(self, world: World) -> None:
        self.world = world
        access = open_access(
            world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
        )
        make = access.clients.create_api_key
        self.market = make(
            OPERATOR, "market system", authority_id="chuncheng-market", scopes=ISSUE_SCOPES, days=30
        )
        self.transport = make(
            OPERATOR, "transport system", authority_id="yunling-transport", scopes=ISSUE_SCOPES, days=30
        )
        self.counter = make(OPERATOR, "counter 3", authority_id=None, scopes=["verify"], days=30)
        self.client = TestClient(create_app(world.site), raise_server_exceptions=False)

    def post(self, path: str, body: Any, *, key: str | None = None, idempotency: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers["Idempotency-Key"] = idempotency or secrets.token_hex(16)
        return self.client.post(path, json=body, headers=headers)

    def get(self, path: str, *, key: str | None = None) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})

    def issue(self, number: int = 1, **changes: str) -> Any:
        fields = {**FOOD, "licence_number": f"JY2990101{number:07d}", **changes}
        return self.post("/api/v1/certificates", {"type": "FOOD", "fields": fields}, key=self.market)

    def verify_file(self, data: bytes) -> Any:
        return self.client.post("/api/v1/verifications", files={"file": ("x.pdf", data)})


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    made = Api(world)
    with made.client:
        yield made


def test_a_department_issues_reads_and_downloads(api: Api) -> None:
    issued = api.issue()
    assert issued.status_code == 201, issued.text
    body = issued.json()
    assert api.get(body["links"]["self"], key=api.market).json() == body
    pdf = api.get(body["links"]["file"], key=api.market)
    assert pdf.headers["content-type"] == "application/pdf"
    report = api.verify_file(pdf.content).json()
    assert (report["verdict"], report["code"], report["indication"]) == ("PASSED", "OK", "TOTAL-PASSED")
    found = api.post("/api/v1/certificates/lookup", {"identifier": body["identifier"]}, key=api.market)
    assert found.json()["pid"] == body["pid"]


def test_the_same_idempotency_key_is_carried_out_once(api: Api) -> None:
    body = {"type": "FOOD", "fields": FOOD}
    first = api.post("/api/v1/certificates", body, key=api.market, idempotency="k" * 20)
    again = api.post("/api/v1/certificates", body, key=api.market, idempotency="k" * 20)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = api.post(
        "/api/v1/certificates",
        {"type": "FOOD", "fields": {**FOOD, "premises": "x"}},
        key=api.market,
        idempotency="k" * 20,
    )
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_CONFLICT")


def test_a_refused_request_may_be_mended_under_the_same_key(api: Api) -> None:
    bad = {"type": "FOOD", "fields": {**FOOD, "holder_code": "WRONG"}}
    refused = api.post("/api/v1/certificates", bad, key=api.market, idempotency="m" * 20)
    assert refused.status_code == 422
    assert any(e["pointer"] == "/fields/holder_code" for e in refused.json()["errors"])
    mended = api.post(
        "/api/v1/certificates", {"type": "FOOD", "fields": FOOD}, key=api.market, idempotency="m" * 20
    )
    assert mended.status_code == 201


def test_keys_open_only_what_they_are_for(api: Api) -> None:
    pid = api.issue().json()["pid"]
    revoke = f"/api/v1/certificates/{pid}/revoke"
    cases: list[tuple[str | None, int]] = [
        (None, 401),
        ("yz_live_nonsense", 401),
        (api.counter, 403),
        (api.transport, 404),
    ]
    for key, status in cases:
        answer = api.post(revoke, {"reason": "penalty"}, key=key)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert api.get(f"/api/v1/certificates/{pid}", key=api.transport).status_code == 404
    foreign = api.post(
        "/api/v1/certificates",
        {"type": "FOOD", "fields": FOOD, "authority": "chuncheng-market"},
        key=api.transport,
    )
    assert foreign.status_code == 403


def test_statuses_change_over_http_and_conflicts_are_409(api: Api) -> None:
    pid = api.issue().json()["pid"]
    base = f"/api/v1/certificates/{pid}"
    assert api.post(f"{base}/suspend", {"reason": "调查"}, key=api.market).json()["status"] == "SUSPENDED"
    assert api.post(f"{base}/suspend", {"reason": "调查"}, key=api.market).status_code == 409
    assert api.post(f"{base}/reinstate", {"reason": "结束"}, key=api.market).json()["status"] == "VALID"
    assert api.post(f"{base}/revoke", {"reason": "whatever"}, key=api.market).status_code == 422
    assert api.post(f"{base}/revoke", {"reason": "cancelled"}, key=api.market).json()["status"] == "REVOKED"


def test_a_replacement_over_http_is_the_next_version(api: Api) -> None:
    pid = api.issue().json()["pid"]
    answer = api.post(
        f"/api/v1/certificates/{pid}/replace",
        {"reason": "迁址", "fields": {**FOOD, "premises": "云岭省新址"}},
        key=api.market,
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["version"] == 2
    assert api.get(f"/api/v1/certificates/{pid}", key=api.market).json()["status"] == "REPLACED"


def test_presentations_start_and_redeem_once(api: Api) -> None:
    pid = api.issue().json()["pid"]
    shown = api.post("/api/v1/presentations", {"pid": pid, "purpose": "核验"}, key=api.market)
    assert shown.status_code == 201, shown.text
    code = {"code": shown.json()["code"]}
    assert api.post("/api/v1/presentations/redeem", code, key=api.counter).json()["code"] == "OK"
    assert api.post("/api/v1/presentations/redeem", code).json()["code"] == "CODE_USED"


def test_a_department_pdf_is_stamped(api: Api) -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(595, 842)
    plain = io.BytesIO()
    document.save(plain)
    document.close()
    data = {"type": "FOOD", "fields": FOOD, "place": {"page": 0, "seal_mm": [150, 60]}}
    answer = api.client.post(
        "/api/v1/stamp",
        files={"file": ("a.pdf", plain.getvalue())},
        data={"data": json.dumps(data)},
        headers={"Authorization": f"Bearer {api.market}"},
    )
    assert answer.status_code == 200, answer.text
    assert api.verify_file(answer.content).json()["code"] == "OK"
    again = api.client.post(
        "/api/v1/stamp",
        files={"file": ("a.pdf", answer.content)},
        data={"data": json.dumps(data)},
        headers={"Authorization": f"Bearer {api.market}"},
    )
    assert (again.status_code, again.json()["code"]) == (422, "ALREADY_SIGNED")


def test_published_files_are_served_with_their_caching(api: Api) -> None:
    size = api.issue().json()["ledger_index"] + 1
    checkpoint = api.get("/ledger/checkpoint")
    assert checkpoint.text.startswith(f"v.chuncheng.example/ledger\n{size}\n")
    entries = api.get(f"/ledger/tile/entries/000.p/{size}")
    assert "immutable" in entries.headers["cache-control"]
    assert api.get(f"/ledger/tile/0/000.p/{size}").content
    assert api.get("/status/1").headers["content-type"] == "application/statuslist+cwt"
    assert api.get("/.well-known/ecert/trust-list.jws").content.count(b".") == 2
    assert api.get("/crl/seal-ca-SM2-SM3.crl").content[:1] == b"\x30"
    assert api.get("/api/v1/ledger/proof?index=2").text.startswith("c2sp.org/tlog-proof@v1\nindex 2\n")
    assert api.get("/api/v1/ledger/consistency?old=2").json()["size"] == size + 1, (
        "the status list is anchored"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/ledger/tile/../../register.sqlite", "/ledger/tile/%2e%2e/%2e%2e/host", "/ledger/tile/0/999", "/ledger/tile/x",
        "/status/99", "/status/abc", "/crl/..%2f..%2fhost.crl", "/crl/none.crl", "/api/v1/certificates/zz",
        "/api/v1/ledger/proof?index=-1", "/api/v1/ledger/proof?index=99999", "/api/v1/ledger/consistency?old=0",
        "/api/v1/nothing",
    ],
)  # fmt: skip
def test_addresses_that_are_not_there_are_problems_never_500(api: Api, path: str) -> None:
    answer = api.get(path, key=api.market)
    assert 400 <= answer.status_code < 500, answer.text


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(5000),
    "text": lambda: b"hello",
    "pdf header only": lambda: b"%PDF-1.7\n",
    "pdf header and eof": lambda: b"%PDF-1.7\nstartxref\n0\n%%EOF\n",
    "deep arrays": lambda: b"%PDF-1.7\n1 0 obj\n" + b"[" * 20000 + b"\nendobj\nstartxref\n9\n%%EOF\n",
    "xref loop": lambda: (
        b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 1/Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF\n"
    ),
    "huge xref": lambda: (
        b"%PDF-1.7\nxref\n0 99999999\n0000000000 65535 f \n"
        b"trailer\n<</Size 99999999/Root 1 0 R>>\nstartxref\n9\n%%EOF\n"
    ),
    "png header": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "jpeg header": lambda: b"\xff\xd8\xff" + bytes(100),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_upload_gets_a_verdict_or_a_problem(api: Api, name: str) -> None:
    answer = api.verify_file(HOSTILE[name]())
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["verdict"] != "PASSED"


def test_an_upload_over_the_limit_is_413(api: Api) -> None:
    answer = api.verify_file(b"%PDF-1.7\n" + bytes(21 * 1024 * 1024))
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"code": 7}', "application/json"),
        (b"x", "text/plain"),
        (b"--x", "multipart/form-data; boundary=x"),
        (b'{"code":"' + b"A" * 9000 + b'"}', "application/json"),
    ],
)
def test_a_malformed_request_is_a_problem_with_a_trace_id(api: Api, body: bytes, content_type: str) -> None:
    answer = api.client.post("/api/v1/verifications", content=body, headers={"content-type": content_type})
    assert answer.status_code in (400, 415, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-trace-id"]


def test_problems_and_logs_repeat_no_personal_data(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    secret = "某某人名字"
    fields = {**FOOD, "holder_code": secret, "legal_representative": secret * 40}
    answer = api.post("/api/v1/certificates", {"type": "FOOD", "fields": fields}, key=api.market)
    assert answer.status_code == 422
    assert secret not in answer.text
    api.client.get("/Q/ABCDEFGH2345")
    api.client.get("/P/ABCDEFGH2345")
    from trust.web.logs import JsonFormatter

    lines = [
        JsonFormatter().format(record) for record in caplog.records if record.name.startswith("yinzheng")
    ]
    assert lines
    assert not any(secret in line or "ABCDEFGH2345" in line for line in lines)


def test_operators_get_health_metrics_and_version(api: Api) -> None:
    api.verify_file(b"x")
    assert api.get("/livez").json() == {"status": "ok"}
    ready = api.get("/readyz")
    assert ready.status_code == 200, ready.text
    metrics = api.get("/metrics", key=METRICS_TOKEN).text
    assert 'ecert_verifications_total{code="' in metrics
    assert "ecert_ledger_size" in metrics
    assert api.get("/version").json()["name"] == "yinzheng"


def test_later_versions_and_their_receipts_are_given_to_their_department(api: Api) -> None:
    body = api.issue().json()
    assert api.world.site.issuer.archiving.renew(OPERATOR, [bytes.fromhex(body["pid"])])[0].error is None
    base = body["links"]["self"]
    issued = api.get(f"{base}/file", key=api.market).content
    assert api.get(f"{base}/file?version=0", key=api.market).content == issued
    later = api.get(f"{base}/file?version=latest", key=api.market).content
    assert later.startswith(issued)
    assert len(later) > len(issued)
    first, second = api.get(body["links"]["versions"], key=api.market).json()["items"]
    assert (first["number"], second["number"], second["level"]) == (0, 1, "PAdES-B-LTA")
    assert second["sha256"] == sha256(later).hex()
    assert api.get(second["links"]["file"], key=api.market).content == later
    trust_list = api.world.site.verifier.checking.online.gather(api.world.clock.now()).trust_list
    assert trust_list is not None
    for version in (first, second):
        receipt = api.get(version["links"]["receipt"], key=api.market)
        assert receipt.headers["content-type"] == "text/plain; charset=utf-8"
        proven = check_detached_receipt(receipt.text, log_keys=ledger_keys(trust_list))
        assert proven.entry.seq == version["ledger_index"]
        der = api.get(version["links"]["receipt"] + "?form=der", key=api.market).content
        assert decode_receipt(der).openings.content
    for path in ("file?version=latest", "versions", "versions/1/receipt"):
        assert api.get(f"{base}/{path}").status_code == 401
        assert api.get(f"{base}/{path}", key=api.counter).status_code == 403
        assert api.get(f"{base}/{path}", key=api.transport).status_code == 404
    for path in ("file?version=2", "versions/2/receipt"):
        assert api.get(f"{base}/{path}", key=api.market).status_code == 404
    for path in (
        "file?version=newest",
        "file?version=-1",
        "versions/-1/receipt",
        "versions/1/receipt?form=x",
    ):
        assert api.get(f"{base}/{path}", key=api.market).status_code == 422


def test_the_openapi_description_names_every_route_once(api: Api) -> None:
    described = api.get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    operations = [o["operationId"] for path in described["paths"].values() for o in path.values()]
    assert len(operations) == len(set(operations))
    for needed in (
        "issueCertificate",
        "verify",
        "redeemPresentation",
        "revokeCertificate",
        "stampPdf",
        "getCheckpoint",
        "listFileVersions",
        "getVersionReceipt",
    ):
        assert needed in operations
