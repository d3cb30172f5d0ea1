"""What was given can be seen and taken back, at once, by command and over HTTP; and who may do what."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from support.cli import Cli
from support.reports import facts_of
from support.world import MARKET, World

from issuer.presenting.presenting import Level
from trust.app.site import create_app
from trust.model.actor import OPERATOR, operator
from trust.model.clock import SystemEntropy
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.model.people import is_same_person
from trust.model.report import Verdict
from trust.model.seal import SealPolicy, SealState
from trust.model.status import StatusAct
from trust.people.access import Access, open_access
from trust.people.sessions import WALLET

SM2 = "chuncheng-market-sm2"


@pytest.fixture
def access(world: World) -> Access:
    return open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )


def key(access: Access, *scopes: str, label: str = "窗口", authority: str | None = None) -> str:
    return access.clients.create_api_key(OPERATOR, label, authority_id=authority, scopes=scopes, days=30)


def bearer(made: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {made}"}


def test_keys_are_listed_and_revoked_over_http_at_once(world: World, access: Access) -> None:
    admin, desk = key(access, "admin", label="管理"), key(access, "desk")
    session = access.sessions.exchange_desk_key(desk)
    desk_id, admin_id = desk.split("_")[2], admin.split("_")[2]
    with TestClient(create_app(world.site)) as client:
        for nobody in ({}, bearer(desk), bearer(key(access, "admin", authority=MARKET.authority_id))):
            for method, path in (("GET", "keys"), ("POST", f"keys/{desk_id}/revoke"), ("GET", "sessions")):
                answer = client.request(method, f"/api/v1/access/{path}", headers=nobody)
                assert answer.status_code in (401, 403), (path, answer.text)
        listed = client.get("/api/v1/access/keys", headers=bearer(admin))
        assert {each["id"]: each["state"] for each in listed.json()["keys"]}[desk_id] == "active"
        assert desk.split("_")[3] not in listed.text
        assert listed.headers["cache-control"] == "no-store"
        (open_one,) = client.get("/api/v1/access/sessions", headers=bearer(admin)).json()["sessions"]
        assert (open_one["kind"], open_one["key"]) == ("desk", desk_id)
        revoked = client.post(f"/api/v1/access/keys/{desk_id}/revoke", headers=bearer(admin))
        assert revoked.json()["state"] == "revoked"
        with pytest.raises(NotPermitted):
            access.sessions.check_session(session, "desk")
        assert client.post(f"/api/v1/access/keys/{admin_id}/revoke", headers=bearer(admin)).status_code == 409
        assert client.post("/api/v1/access/keys/aaaaaaaaaa/revoke", headers=bearer(admin)).status_code == 404


def test_a_session_is_ended_over_http_and_no_other(world: World, access: Access) -> None:
    admin = key(access, "admin")
    one, other = (
        access.sessions.exchange_desk_key(key(access, "desk", label=label)) for label in ("一", "二")
    )
    first = access.sessions.list_sessions(OPERATOR)[0]
    with TestClient(create_app(world.site)) as client:
        path = f"/api/v1/access/sessions/{first.session_id}/end"
        assert client.post(path, headers=bearer(admin)).json() == {"ended": 1}
        assert client.post(path, headers=bearer(admin)).status_code == 404
    open_ones = 0
    for session in (one, other):
        try:
            access.sessions.check_session(session, "desk")
            open_ones += 1
        except NotPermitted:
            pass
    assert open_ones == 1


def test_keys_and_sessions_are_listed_and_ended_by_command(cli: Cli) -> None:
    assert cli.run("access", "new-key", "窗口 3", "--scope", "desk") == 0
    made = cli.out.strip()
    key_id = made.split("_")[2]
    assert cli.run("access", "keys", "--json") == 0
    (listed,) = [json.loads(line) for line in cli.out.splitlines()]
    assert (listed["id"], listed["state"], listed["scopes"]) == (key_id, "active", ["desk"])
    assert made.split("_")[3] not in cli.out
    assert cli.run("access", "sessions") == 0
    assert cli.run("access", "end-session", "0123456789abcdef") == 3
    assert cli.run("access", "end-session", "--key", key_id) == 3
    assert cli.run("access", "revoke-key", key_id) == 0
    assert cli.run("access", "keys") == 0
    assert "revoked" in cli.out
    assert "窗口 3" in cli.out
    assert cli.run("access", "revoke-key", "aaaaaaaaaa") == 3


def test_a_new_claim_link_ends_the_sessions_of_the_old_one(access: Access) -> None:
    holder, other = b"\x01" * 32, b"\x02" * 32
    old = access.invitations.use_claim_link(access.invitations.create_claim_link(OPERATOR, holder))
    somebody_elses = access.invitations.use_claim_link(access.invitations.create_claim_link(OPERATOR, other))
    link = access.invitations.create_claim_link(OPERATOR, holder)
    assert access.sessions.check_session(old, WALLET).subject == holder, (
        "a link that nobody used ends nothing"
    )
    new = access.invitations.use_claim_link(link)
    with pytest.raises(NotPermitted):
        access.sessions.check_session(old, WALLET)
    assert access.sessions.check_session(new, WALLET).subject == holder
    assert access.sessions.check_session(somebody_elses, WALLET).subject == other
    with pytest.raises(NotFound):
        access.invitations.use_claim_link(link)


def test_a_replacement_needs_the_right_to_issue(world: World, access: Access) -> None:
    issued, _ = world.issue()
    body = {"reason": "迁址", "fields": world.application(1, premises="云岭省春城市别处路2号").fields}
    with TestClient(create_app(world.site)) as client:
        path = f"/api/v1/certificates/{issued.pid.hex()}/replace"
        for scopes, status in (
            (["cert.status"], 403),
            (["cert.issue"], 403),
            (["cert.issue", "cert.status"], 201),
        ):
            headers = bearer(key(access, *scopes, authority=MARKET.authority_id))
            answer = client.post(path, json=body, headers={**headers, "Idempotency-Key": "0123456789abcdef"})
            assert answer.status_code == status, (scopes, answer.text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Li Lei", "LI LEI", True), ("Li Lei", " Li  Lei ", True), ("Ｌｉ Ｌｅｉ", "li lei", True),
        ("ﬁnn", "FINN", True), ("李雷", "韩梅梅", False), ("Li Lei", "LiLei", False),
    ],
)  # fmt: skip
def test_one_rule_says_whether_two_are_the_same(world: World, one: str, other: str, same: bool) -> None:
    assert is_same_person(one, other) is same
    issued, _ = world.issue()
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    erase = world.site.issuer.erasing.erase
    if same:
        with pytest.raises(NotPermitted, match="second person"):
            erase(OPERATOR, issued.pid, basis="consent-withdrawn", requested_by=one, approved_by=other)
    else:
        assert erase(OPERATOR, issued.pid, basis="consent-withdrawn", requested_by=one, approved_by=other)


def test_the_limit_above_which_approval_is_needed_counts_over_the_day(world: World) -> None:
    seals, issuing = world.site.issuer.seals, world.site.issuer.issuing
    seals.authorise(operator("reviewer"), SM2, SealPolicy(second_approval_above=3))
    ask = [world.application(number, seal=SM2) for number in range(1, 7)]
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[:2]))
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[2:3]))
    with pytest.raises(NotPermitted) as caught:
        issuing.issue(OPERATOR, ask[3:4])
    assert caught.value.code == "SEAL_NEEDS_APPROVAL"
    assert all(outcome.repeated for outcome in issuing.issue(OPERATOR, ask[:3])), (
        "the same again is no use of the seal"
    )
    number = seals.using.request_many(operator("clerk"), SM2, 2)
    seals.using.approve_many(operator("reviewer"), number)
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[:5], approval=number)), (
        "three of them are old"
    )
    world.clock.advance(days=1)
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, [world.application(7, seal=SM2)]))


def test_requests_at_the_same_time_are_counted_together(world: World) -> None:
    """Each of them was let through before the other had used the seal."""
    seals, issuing = world.site.issuer.seals, world.site.issuer.issuing
    seals.authorise(operator("reviewer"), SM2, SealPolicy(second_approval_above=3))
    ask = [world.application(number, seal=SM2) for number in range(1, 6)]
    for part in (ask[:2], ask[2:4]):
        issuing.check_many(OPERATOR, part, None)
    outcomes = [*issuing.issue_checked(OPERATOR, ask[:2]), *issuing.issue_checked(OPERATOR, ask[2:4])]
    assert [outcome.issued is not None for outcome in outcomes] == [True, True, True, False]
    assert outcomes[-1].error is not None
    assert outcomes[-1].error.code == "SEAL_NEEDS_APPROVAL"
    number = seals.using.request_many(operator("clerk"), SM2, 2)
    seals.using.approve_many(operator("reviewer"), number)
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[3:], approval=number))
    with pytest.raises(NotPermitted):
        issuing.issue(OPERATOR, [world.application(6, seal=SM2)])


def test_an_approval_counts_whatever_was_used_before_there_was_a_limit(world: World) -> None:
    seals, issuing = world.site.issuer.seals, world.site.issuer.issuing
    ask = [world.application(number, seal=SM2) for number in range(1, 9)]
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[:5]))
    world.clock.advance(minutes=1)
    seals.authorise(operator("reviewer"), SM2, SealPolicy(second_approval_above=1))
    number = seals.using.request_many(operator("clerk"), SM2, 2)
    seals.using.approve_many(operator("reviewer"), number)
    assert all(outcome.issued for outcome in issuing.issue(OPERATOR, ask[5:7], approval=number))
    with pytest.raises(NotPermitted):
        issuing.issue(OPERATOR, ask[7:])


def test_a_code_for_one_counter_is_for_no_other_and_not_used_up_by_one(world: World) -> None:
    issued, _ = world.issue()
    shown = world.site.issuer.presenting.start(
        OPERATOR, issued.pid, purpose="窗口办事", level=Level.NAMED, audience="春城政务 3 号窗口"
    )
    code, _ = world.site.issuer.presenting.code(shown, world.clock.now())
    for other in ("", "春城政务 4 号窗口"):
        report = world.verify(code, verifier=other)
        assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "CODE_FOR_ANOTHER")
        assert facts_of(report)["presentation"]["audience"] == "春城政务 3 号窗口"
        assert "ecertificate" not in report.facts
    report = world.verify(code, verifier="春城政务 ３ 号窗口")
    assert report.verdict is Verdict.PASSED
    assert facts_of(report)["presentation"]["audience"] == "春城政务 3 号窗口"
    with pytest.raises(Malformed):
        world.site.issuer.presenting.start(
            OPERATOR, issued.pid, purpose="x", level=Level.NAMED, audience="\u202e"
        )
    with pytest.raises(Malformed):
        world.site.issuer.presenting.start(
            OPERATOR, issued.pid, purpose="x", level=Level.NAMED, audience=" ", ttl=timedelta(seconds=60)
        )


def test_what_reaches_far_back_needs_a_second_person_and_what_holds_from_now_does_not(world: World) -> None:
    seals, clock = world.site.issuer.seals, world.clock
    clock.advance(days=30)
    _, pdf = world.issue()
    clock.advance(days=10)
    at = clock.now()
    for since, approved_by in (
        (at - timedelta(hours=73), None),
        (at - timedelta(days=20), ""),
        (at - timedelta(days=20), "Keeper 1"),
        (at - timedelta(days=20), " keeper  1 "),
    ):
        for act in (seals.report_lost, seals.revoke):
            with pytest.raises(NotPermitted) as caught:
                act(operator("keeper 1"), SM2, since=since, approved_by=approved_by)
            assert caught.value.code == "NEEDS_SECOND_PERSON"
        with pytest.raises(NotPermitted):
            world.site.issuer.compromises.declare(
                operator("keeper 1"), "seal-ca-SM2-SM3", since, approved_by=approved_by
            )
    assert world.verify(pdf).verdict is Verdict.PASSED
    seals.freeze(operator("keeper 1"), SM2)
    seals.unfreeze(operator("keeper 2"), SM2)
    assert (
        seals.report_lost(operator("keeper 1"), SM2, since=at - timedelta(hours=71)).state is SealState.LOST
    )
    assert world.verify(pdf).verdict is Verdict.PASSED
    seals.revoke(operator("keeper 1"), SM2, since=at - timedelta(days=20), approved_by="chief 2")
    assert seals.registry.history(SM2)[-1].detail == "chief 2"
    assert world.verify(pdf).verdict is Verdict.FAILED


def test_over_http_one_key_cannot_reach_far_back(world: World, access: Access) -> None:
    world.clock.advance(days=30)
    since = (world.clock.now() - timedelta(days=10)).isoformat()
    headers = bearer(key(access, "seal", "seal.review", authority=MARKET.authority_id))
    with TestClient(create_app(world.site)) as client:
        for act in ("report-lost", "revoke"):
            answer = client.post(f"/api/v1/seals/{SM2}/{act}", json={"since": since}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "NEEDS_SECOND_PERSON"), answer.text
        assert client.post(f"/api/v1/seals/{SM2}/report-lost", json={}, headers=headers).status_code == 200


def test_commands_that_reach_far_back_name_two_people(cli: Cli) -> None:
    assert cli.run("trust", "compromised", "nobody") == 3
    since = "2020-01-01T00:00:00+08:00"
    assert cli.run("pki", "compromised", "tsa-SM2-SM3", "--since", since, "--by", "甲") == 3
    assert "second person" in cli.err
    two = ("--by", "甲", "--approved-by", "乙")
    assert cli.run("pki", "compromised", "tsa-SM2-SM3", "--since", since, *two) == 0, cli.err
