"""How much one client may ask for in a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from support.world import World

from trust.app import site
from trust.app.settings import read_settings
from trust.model.actor import OPERATOR, PUBLIC, Actor, ActorKind
from trust.web import rate_limits
from trust.web.rate_limits import RateLimited, RateLimits


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def asked_from(host: str | None) -> Request:
    client = (host, 1) if host is not None else None
    return Request({"type": "http", "headers": [], "client": client, "state": {}})


def key(name: str) -> Actor:
    return Actor(ActorKind.CLIENT, name, None, "", frozenset())


def spent(limits: RateLimits, who: Actor, host: str | None = "192.0.2.7") -> str:
    request = asked_from(host)
    limits.spend(request, who)
    found: str = request.state.headers["RateLimit"]
    return found


def test_a_bucket_holds_a_minute_and_fills_evenly() -> None:
    clock = Clock()
    limits = RateLimits(60, clock)
    assert [spent(limits, key("a")) for _ in range(60)][-1] == '"requests";r=0;t=60'
    with pytest.raises(RateLimited) as refused:
        spent(limits, key("a"))
    assert refused.value.retry_after == 1
    clock.at += 1
    assert spent(limits, key("a")) == '"requests";r=0;t=60'
    clock.at += 3600
    assert spent(limits, key("a")) == '"requests";r=59;t=1'


def test_being_refused_costs_nothing_and_says_how_long() -> None:
    clock = Clock()
    limits = RateLimits(2, clock)
    for _ in range(2):
        spent(limits, key("a"))
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            spent(limits, key("a"))
        assert refused.value.retry_after == 30
    clock.at += 30
    spent(limits, key("a"))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.7", "192.0.2.200", True),
        ("192.0.2.7", "192.0.3.7", False),
        ("2001:db8:0:1200::1", "2001:db8:0:12ff::1", True),
        ("2001:db8:0:1200::1", "2001:db8:0:1300::1", False),
    ],
)
def test_who_has_no_key_is_counted_by_network(one: str, other: str, is_same: bool) -> None:
    limits = RateLimits(5, Clock())
    spent(limits, PUBLIC, one)
    assert spent(limits, PUBLIC, other) == f'"requests";r={3 if is_same else 4};t={24 if is_same else 12}'
    assert spent(limits, key("a"), one) == '"requests";r=4;t=12'


@pytest.mark.parametrize("host", [None, "127.0.0.1", "::1", "testclient"])
def test_this_machine_itself_is_not_limited(host: str | None) -> None:
    request, limits = asked_from(host), RateLimits(1, Clock())
    for _ in range(3):
        limits.spend(request, PUBLIC)
    assert not hasattr(request.state, "headers")


def test_no_limit_is_set_by_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(0, Clock())
    for _ in range(3):
        limits.spend(asked_from("192.0.2.7"), key("a"))
    monkeypatch.setenv("YINZHENG_RATE_PER_MINUTE", "0")
    assert read_settings().rate_per_minute == 0


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_MOST_CLIENTS", 3)
    limits = RateLimits(10, Clock())
    for name in ("a", "b", "c", "a", "d"):
        spent(limits, key(name))
    assert list(limits._buckets) == ["key:c", "key:a", "key:d"]


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(site, "RateLimits", lambda per_minute: RateLimits(2, Clock()))
    with TestClient(site.create_app(world.site)) as made:
        yield made


def test_who_asks_too_much_is_told_when_to_come_back(client: TestClient, world: World) -> None:
    make = world.site.admin.access.clients.create_api_key
    first, second = (
        make(OPERATOR, name, authority_id="chuncheng-market", scopes=["cert.read", "verify"], days=1)
        for name in ("one", "two")
    )
    pid = world.issue()[0].pid.hex()
    wrong = {"identifier": "1.2.3"}

    def look_up(api_key: str) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {api_key}"}
        answer = client.post("/api/v1/certificates/lookup", json=wrong, headers=headers)
        assert answer.headers.get("ratelimit-policy") == (
            '"requests";q=2;w=60' if api_key in (first, second) else None
        )
        return answer.status_code, answer.headers.get("ratelimit")

    assert look_up(first) == (404, '"requests";r=1;t=30')
    assert look_up("yz_live_made-up") == (401, None)
    assert look_up(first) == (404, '"requests";r=0;t=60')
    headers = {"Authorization": f"Bearer {first}"}
    refused = client.post("/api/v1/verifications/digests", json={"digests": ["00" * 32]}, headers=headers)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        429,
        "RATE_LIMITED",
        "30",
    )
    assert look_up(second)[0] == 404
    read = client.get(f"/api/v1/certificates/{pid}", headers=headers)
    assert (read.status_code, "ratelimit" in read.headers) == (200, False)
    for path in ("/.well-known/ecert/trust-list.jws", "/status/1", "/ledger/checkpoint", "/api/v1/types"):
        assert "ratelimit" not in client.get(path).headers
