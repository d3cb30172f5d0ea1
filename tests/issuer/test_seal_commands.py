"""The registry of seals as keepers meet it: the command line and the API do the same and refuse the same."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.cli import Cli
from support.outside_ca import OutsideCa, requested_key
from support.world import FOOD, START, World

from keys.pki.build import Subject
from keys.suites import Suite
from trust.app.site import create_app
from trust.encoding.ses import decode_seal
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.people.access import open_access

AUTHORITY = "chuncheng-market"


def test_a_seal_is_walked_through_its_life_at_the_command_line(cli: Cli) -> None:
    apply = ("seal", "apply", "window-2", "--authority", AUTHORITY, "--second-line", "行政许可专用章")
    assert cli.run(*apply, "--by", "keeper 1") == 0, cli.err
    assert cli.run("seal", "approve", "window-2", "--by", "keeper 1") == 3
    assert "of their own" in cli.err
    assert cli.run("seal", "record", "window-2") == 3
    for act in (("approve", "--by", "reviewer 1"), ("make", "--by", "maker 1"), ("record",)):
        assert cli.run("seal", act[0], "window-2", *act[1:]) == 0, cli.err
    assert cli.run("seal", "authorise", "window-2", "--type", "FOOD", "--per-day", "1") == 0, cli.err
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2), "--seal", "window-2") == 1
    assert "used 1 times today" in cli.err
    assert cli.run("seal", "uses", "window-2", "--json") == 0
    assert [line["by"] for line in cli.lines()] == ["operator"]
    assert cli.run("seal", "freeze", "window-2", "--note", "调查", "--by", "keeper 2") == 0
    assert cli.run("issue", "FOOD", "--from", cli.csv(3), "--seal", "window-2") == 1
    assert "window-2 is frozen" in cli.err
    assert cli.run("seal", "history", "window-2", "--json") == 0
    assert [line["act"] for line in cli.lines()] == [
        "apply", "approve", "make", "record", "authorise", "freeze",
    ]  # fmt: skip
    assert all(isinstance(line["ledger_index"], int) for line in cli.lines())
    assert cli.run("seal", "history", "window-2") == 0
    assert "调查" in cli.out
    assert cli.run("seal", "list", "--json") == 0
    assert {line["id"]: line["state"] for line in cli.lines()}["window-2"] == "frozen"
    assert cli.run("seal", "revoke", "window-2", "--since", "2020-01-01T00:00:00+08:00") == 0, cli.err
    assert "1 documents" in cli.out
    assert cli.run("ledger", "recheck") == 0


def test_seal_data_can_be_taken_out_for_other_systems(cli: Cli) -> None:
    out = cli.folder / "seal.esl"
    assert cli.run("seal", "show", "chuncheng-market-sm2", "--seal-data", out) == 0, cli.err
    assert decode_seal(out.read_bytes()).info.seal_id == "chuncheng-market-sm2"


def test_a_file_of_many_records_is_one_request(cli: Cli) -> None:
    assert cli.run("seal", "authorise", "chuncheng-market-sm2", "--second-approval-above", "2") == 0
    issue = ("issue", "FOOD", "--from", cli.csv(1, 2, 3))
    assert cli.run(*issue) == 3
    assert "second person" in cli.err
    assert cli.run("seal", "request-many", "chuncheng-market-sm2", "3", "--by", "clerk 1") == 0
    number = str(cli.lines()[0]["approval"])
    assert cli.run("seal", "approve-many", number, "--by", "clerk 1") == 3
    assert cli.run("seal", "approve-many", number, "--by", "reviewer 1") == 0
    assert cli.run(*issue, "--approval", number) == 0, cli.err
    assert "3 issued" in cli.out


@pytest.mark.parametrize("since", ["yesterday", "2026-11-23T08:00:00", "2999-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_meant_changes_nothing(cli: Cli, since: str) -> None:
    assert cli.run("seal", "revoke", "chuncheng-market-sm2", "--since", since) == 3
    assert cli.run("seal", "show", "chuncheng-market-sm2") == 0
    assert '"active"' in cli.out


class Api:
    def __init__(self, world: World) -> None:
        self.client = TestClient(create_app(world.site), raise_server_exceptions=False)
        make = open_access(
            world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
        ).clients.create_api_key
        self.keeper = make(OPERATOR, "keeper", authority_id=AUTHORITY, scopes=["seal", "seal.review"], days=9)
        self.reviewer = make(
            OPERATOR, "reviewer", authority_id=AUTHORITY, scopes=["seal", "seal.review"], days=9
        )
        self.clerk = make(OPERATOR, "clerk", authority_id=AUTHORITY, scopes=["cert.issue", "seal"], days=9)
        self.stranger = make(
            OPERATOR, "other", authority_id="yunling-transport", scopes=["seal", "seal.review"], days=9
        )

    def call(self, method: str, path: str, body: Any = None, *, key: str | None) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers["Idempotency-Key"] = secrets.token_hex(16)
        return self.client.request(method, f"/api/v1/{path}", json=body, headers=headers)


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    made = Api(world)
    with made.client:
        yield made


def test_a_seal_is_walked_through_its_life_over_http(api: Api) -> None:
    asked = {"id": "window-2", "authority": AUTHORITY, "second_line": "行政许可专用章"}
    applied = api.call("POST", "seals", asked, key=api.keeper)
    assert (applied.status_code, applied.json()["state"]) == (201, "applied")
    own = api.call("POST", "seals/window-2/approve", {}, key=api.keeper)
    assert (own.status_code, own.json()["code"]) == (403, "NOT_PERMITTED")
    assert api.call("POST", "seals/window-2/approve", {}, key=api.clerk).status_code == 403
    for act, key in (("approve", api.reviewer), ("make", api.keeper), ("record", api.keeper)):
        assert api.call("POST", f"seals/window-2/{act}", {}, key=key).status_code == 200
    clerk = api.clerk.split("_")[2]
    policy = {"types": ["FOOD"], "callers": [clerk]}
    authorised = api.call("PUT", "seals/window-2/policy", policy, key=api.reviewer)
    assert authorised.json()["policy"]["callers"] == [clerk]
    body = {"type": "FOOD", "fields": {**FOOD, "licence_number": "JY29901010000001"}, "seal": "window-2"}
    issued = api.call("POST", "certificates", body, key=api.clerk)
    assert issued.status_code == 201, issued.text
    (use,) = api.call("GET", "seals/window-2/uses", key=api.keeper).json()["uses"]
    assert (use["pid"], use["by"]) == (issued.json()["pid"], clerk)
    frozen = api.call("POST", "seals/window-2/freeze", {"note": "调查"}, key=api.keeper)
    assert frozen.json()["state"] == "frozen"
    body["fields"] = {**FOOD, "licence_number": "JY29901010000002"}
    refused = api.call("POST", "certificates", body, key=api.clerk)
    assert (refused.status_code, refused.json()["code"]) == (409, "SEAL_NOT_USABLE")
    assert api.call("POST", "seals/window-2/unfreeze", {}, key=api.clerk).status_code == 403
    events = api.call("GET", "seals/window-2/history", key=api.keeper).json()["events"]
    assert [event["act"] for event in events][-2:] == ["authorise", "freeze"]


def test_another_departments_seal_looks_like_none(api: Api) -> None:
    for method, path in (
        ("GET", "seals/chuncheng-market-sm2"),
        ("GET", "seals/chuncheng-market-sm2/history"),
        ("GET", "seals/chuncheng-market-sm2/uses"),
        ("POST", "seals/chuncheng-market-sm2/freeze"),
        ("POST", "seals/chuncheng-market-sm2/requests"),
        ("PUT", "seals/chuncheng-market-sm2/policy"),
    ):
        body = {"count": 3} if path.endswith("requests") else {} if method != "GET" else None
        answer = api.call(method, path, body, key=api.stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_SEAL"), path
        assert api.call(method, path, body, key=None).status_code == 401
    listed = api.call("GET", "seals", key=api.stranger).json()["seals"]
    assert {seal["authority"] for seal in listed} == {"yunling-transport"}
    taken = {"id": "x", "authority": AUTHORITY}
    assert api.call("POST", "seals", taken, key=api.stranger).status_code == 403


def test_an_approval_is_for_the_seal_it_was_asked_for(api: Api) -> None:
    number = api.call("POST", "seals/chuncheng-market-sm2/requests", {"count": 3}, key=api.clerk).json()[
        "approval"
    ]
    wrong = api.call("POST", f"seals/chuncheng-market-rsa3072/requests/{number}/approve", key=api.reviewer)
    assert wrong.status_code == 404
    right = api.call("POST", f"seals/chuncheng-market-sm2/requests/{number}/approve", key=api.reviewer)
    assert right.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("seals", {"id": "UPPER", "authority": AUTHORITY}, 422),
        ("seals", {"id": "x", "authority": AUTHORITY, "suite": "Ed25519"}, 422),
        ("seals", {"id": "x", "authority": AUTHORITY, "suite": "MD5"}, 422),
        ("seals", {"id": "x", "authority": AUTHORITY, "more": 1}, 422),
        ("seals/chuncheng-market-sm2/explode", {}, 404),
        ("seals/chuncheng-market-sm2/unfreeze", {}, 409),
        ("seals/chuncheng-market-sm2/revoke", {"since": "2026-11-23T08:00:00"}, 422),
        ("seals/nobody/freeze", {}, 404),
        (f"seals/chuncheng-market-sm2/requests/{1 << 70}/approve", {}, 422),
    ],
)
def test_bad_requests_get_one_clear_problem(api: Api, path: str, body: Any, status: int) -> None:
    answer = api.call("POST", path, body, key=api.keeper)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"]


def test_a_certificate_from_outside_is_chosen_by_a_key_of_no_department(world: World, api: Api) -> None:
    make = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    ).clients.create_api_key
    operator = make(OPERATOR, "operator", authority_id=None, scopes=["seal"], days=9)
    ca = OutsideCa("outside", Suite.SM2_SM3, START)
    _, request = world.site.issuer.identities.request(OPERATOR, Subject("章", "局"), ca.suite, label="")
    identity = world.site.issuer.identities.import_certificate(
        OPERATOR, ca.issue(requested_key(request)), [ca.cert], [ca.root], label=""
    )
    asked = {"id": "window-2", "authority": AUTHORITY}
    api.call("POST", "seals", asked, key=api.keeper)
    api.call("POST", "seals/window-2/approve", {}, key=api.reviewer)
    body = {"identity": identity.identity_id}
    refused = api.call("POST", "seals/window-2/make", body, key=api.keeper)
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_PERMITTED")
    assert api.call("POST", "seals/window-2/make", {"identity": "0" * 32}, key=operator).status_code == 404
    made = api.call("POST", "seals/window-2/make", body, key=operator)
    assert (made.status_code, made.json()["identity"]) == (200, identity.identity_id)
    assert world.site.issuer.seals.registry.get("window-2").root == ca.root
