"""Reports that last: code, signature, look-up without personal data, the same check once more."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from support.world import FOOD, World

from issuer.presenting.presenting import Level
from trust.app.site import create_app
from trust.encoding.jws import payload_of
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, EvidenceUnavailableError, NotFound, VerificationError
from trust.model.report import Verdict
from trust.model.status import StatusAct
from verifier.evidence.bundle import read_roots
from verifier.reports.filing import read_code, show_code
from verifier.reports.sealed_report import check_sealed_report


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(world.site)) as made:
        yield made


def report_of(client: TestClient, given: bytes | str) -> dict[str, Any]:
    if isinstance(given, str):
        answer = client.post("/api/v1/verifications", json={"code": given})
    else:
        answer = client.post("/api/v1/verifications", files={"file": ("x.pdf", given)})
    value: dict[str, Any] = answer.json()
    return value


def test_a_report_is_filed_signed_and_says_nothing_about_the_holder(
    client: TestClient, world: World, tmp_path: Path
) -> None:
    _, pdf = world.issue(1)
    report = report_of(client, pdf)
    code = str(report["report_code"])
    bundle = world.bundle()
    signed = check_sealed_report(json.dumps(report).encode(), bundle, read_roots(bundle))
    assert signed == {name: value for name, value in report.items() if name != "report_seal"}
    filed = client.get(f"/api/v1/reports/{code.lower().replace('-', '')}").json()
    assert (filed["report_code"], filed["verdict"], filed["code"]) == (code, "PASSED", "OK")
    page = client.get(f"/r/{code}", headers={"accept-language": "en"})
    assert "Valid at that time" in page.text
    shown = {str(each["value"]) for each in report["shown"]}
    assert shown
    for text in (page.text, json.dumps(filed, ensure_ascii=False)):
        assert not any(value in text for value in [*shown, *FOOD.values()] if len(value) > 3)
    assert client.get("/api/v1/reports/0000-0000-0000").status_code == 404
    missing = client.get("/r/0000-0000-0000", headers={"accept-language": "en"})
    assert (missing.status_code, "no report under this code" in missing.text) == (404, True)
    assert client.get(f"/r?code={code}", follow_redirects=False).headers["location"] == f"/r/{code}"


def test_a_forged_report_is_not_believed(client: TestClient, world: World) -> None:
    _, pdf = world.issue(1)
    report = report_of(client, pdf)
    bundle = world.bundle()
    roots = read_roots(bundle)
    seal = str(report["report_seal"])
    header, payload, signature = seal.split(".")
    listed = (bundle / "trust-list.jws").read_bytes()
    for forged in (
        f"{header}.{payload[:-4]}AAAA.{signature}",
        f"{header}.{payload}.{signature[:-2]}AA",
        listed.decode(),  # signed by a root, and something else
    ):
        with pytest.raises(VerificationError, match="No key of the trust list"):
            check_sealed_report(json.dumps({"report_seal": forged}).encode(), bundle, roots)
    beside = {**report, "verdict": "FAILED"}
    assert check_sealed_report(json.dumps(beside).encode(), bundle, roots)["verdict"] == "PASSED"


def test_the_check_is_repeated_with_the_evidence_of_then(client: TestClient, world: World) -> None:
    issued, pdf = world.issue(1)
    passed = report_of(client, pdf)
    world.clock.advance(hours=1)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.SUSPEND, reason="核查")
    suspended = report_of(client, pdf)
    altered = report_of(client, pdf.replace(b"%%EOF", b"%%EOG", 1))
    world.clock.advance(days=30)
    for report, verdict in ((passed, "PASSED"), (suspended, "FAILED")):
        repeated = world.site.verifier.checking.repeat(OPERATOR, str(report["report_code"]), pdf)
        assert (report["verdict"], repeated.report.verdict.value) == (verdict, verdict)
        assert repeated.is_same
    again = world.site.verifier.checking.repeat(
        OPERATOR, str(altered["report_code"]), pdf.replace(b"%%EOF", b"%%EOG", 1)
    )
    assert (again.report.verdict, again.is_same) == (Verdict.FAILED, True)
    with pytest.raises(Conflict, match="something else"):
        world.site.verifier.checking.repeat(OPERATOR, str(passed["report_code"]), pdf + b"\n")
    payload = json.loads(payload_of(str(passed["report_seal"]).encode()))
    assert payload["report_code"] == passed["report_code"]


@pytest.mark.parametrize("table", ["trust_list", "kept_list"])
def test_a_check_is_not_repeated_without_a_list_of_then(client: TestClient, world: World, table: str) -> None:
    _, pdf = world.issue(1)
    code = str(report_of(client, pdf)["report_code"])
    assert world.site.verifier.checking.repeat(OPERATOR, code, pdf).is_same
    with world.site.stores.register.write() as connection:
        assert connection.execute(sa.text(f"DELETE FROM {table}")).rowcount > 0
    with pytest.raises(EvidenceUnavailableError) as refused:
        world.site.verifier.checking.repeat(OPERATOR, code, pdf)
    assert refused.value.code == "NOT_REPEATABLE"


def test_live_codes_and_what_was_not_read(client: TestClient, world: World) -> None:
    issued, _ = world.issue(1)
    presentation = world.site.issuer.presenting.start(
        OPERATOR, issued.pid, purpose="核验", level=Level.MASKED
    )
    code, _ = world.site.issuer.presenting.code(presentation, world.clock.now())
    report = report_of(client, code)
    filed = world.site.verifier.reporting.find(str(report["report_code"]))
    assert (report["code"], filed.is_repeatable) == ("OK", False)
    with pytest.raises(EvidenceUnavailableError, match="not kept"):
        world.site.verifier.checking.repeat(OPERATOR, filed.code, code)
    nothing = report_of(client, b"\x00")
    assert (nothing["report_code"], nothing["report_seal"]) == (None, None)


def test_erasure_and_time_take_what_was_kept(client: TestClient, world: World) -> None:
    issued, pdf = world.issue(1)
    code = str(report_of(client, pdf)["report_code"])
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    world.site.issuer.erasing.erase(
        OPERATOR, issued.pid, basis="consent-withdrawn", requested_by="a", approved_by="b"
    )
    filed = world.site.verifier.reporting.find(code)
    assert (filed.input_sha256, filed.is_repeatable, filed.verdict) == (None, False, "PASSED")
    world.site.verifier.reporting.prune()
    assert world.site.verifier.reporting.find(code)
    world.clock.advance(days=91)
    world.site.verifier.reporting.prune()
    with pytest.raises(NotFound):
        world.site.verifier.reporting.find(code)


def test_a_report_that_cannot_be_filed_is_given_out_all_the_same(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pdf = world.issue(1)
    monkeypatch.setattr("verifier.reports.sql.FiledReportRow.__table__.name", "nowhere", raising=True)
    report = report_of(client, pdf)
    assert (report["verdict"], report["report_code"]) == ("PASSED", None)


def test_codes_are_read_as_people_write_them() -> None:
    code = "7K3M9QTD2F01"
    assert show_code(code) == "7K3M-9QTD-2F01"
    for typed in ("7k3m-9qtd-2f01", " 7K3M 9QTD 2FOI ", "7K3M-9QTD-2FOL", code):
        assert read_code(typed) == code
    for typed in ("", "7K3M-9QTD-2F0", "7K3M-9QTD-2F0U", "七K3M-9QTD-2F01"):
        with pytest.raises(NotFound):
            read_code(typed)


def test_checks_of_scans_and_of_several_licences_are_filed_and_repeated(
    client: TestClient, world: World
) -> None:
    pages = []
    for number in (1, 2):
        _, pdf = world.issue(number)
        document = pypdfium2.PdfDocument(pdf)
        pages.append(document[0].render(scale=2).to_pil().convert("RGB"))
        document.close()
    for shown, code in ((pages[:1], "COPY_WITH_CODE"), (pages, "SEVERAL_LICENCES")):
        out = io.BytesIO()
        shown[0].save(out, "PDF", resolution=144, save_all=True, append_images=shown[1:])
        report = report_of(client, out.getvalue())
        assert (report["kind"], report["verdict"], report["code"]) == ("scan", "INDETERMINATE", code)
        again = world.site.verifier.checking.repeat(OPERATOR, str(report["report_code"]), out.getvalue())
        assert (again.report.code, again.is_same) == (code, True)
        filed = client.get(f"/api/v1/reports/{report['report_code']}")
        assert not any(value in filed.text for value in FOOD.values() if len(value) > 3)
        page = client.get(f"/r/{report['report_code']}", headers={"accept-language": "zh-CN"})
        assert "扫描件" in page.text
