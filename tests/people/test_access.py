"""Keys, links and sessions: what opens, what does not, and what the database knows of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.actors import trail_of

from trust.app.database import migrate_register
from trust.audit.sql import AuditRow, audit_rows
from trust.audit.trail import Act
from trust.model.actor import OPERATOR, ActorRef, Permission
from trust.model.clock import SystemEntropy
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.people.access import Access, open_access
from trust.people.sessions import DESK, WALLET
from trust.storage.sql import Database
from trust.storage.tables import insert

HOLDER = bytes(range(32))


class HandClock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def forward(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "register.sqlite") as database:
        migrate_register(database)
        yield database


@pytest.fixture
def access(database: Database, clock: HandClock) -> Access:
    return open_access(database, clock, SystemEntropy(), trail_of(database, clock))


def new_key(access: Access, *scopes: str, days: int = 30) -> str:
    return access.clients.create_api_key(
        OPERATOR, "窗口 3", authority_id="cc-scjg", scopes=scopes or ["desk"], days=days
    )


def refusal(access: Access, key: str, scope: str = "desk") -> tuple[str, str]:
    with pytest.raises(NotPermitted) as caught:
        access.clients.check_api_key(key, Permission(scope))
    return caught.value.code, str(caught.value)


# --- API keys ---


def test_a_key_opens_what_its_scopes_say(access: Access) -> None:
    key = new_key(access, "verify", "cert.read")
    caller = access.clients.check_api_key(key, Permission("cert.read"))
    assert (caller.name, caller.organisation, caller.permissions) == (
        "窗口 3",
        "cc-scjg",
        frozenset({"verify", "cert.read"}),
    )
    assert refusal(access, key, "admin")[0] == "NOT_PERMITTED"


def test_an_unknown_a_wrong_an_expired_and_a_revoked_key_are_told_the_same(
    access: Access, clock: HandClock
) -> None:
    good, ended, revoked = new_key(access), new_key(access, days=1), new_key(access)
    access.clients.revoke_api_key(OPERATOR, revoked.split("_")[2])
    clock.forward(days=1)
    wrong = good[:-1] + ("a" if good[-1] != "a" else "b")
    unknown = "yz_live_" + "a" * 10 + "_" + good.rsplit("_", 1)[1]
    answers = {
        refusal(access, key) for key in (ended, revoked, wrong, unknown, "", "yz_live_x", good.upper())
    }
    assert [code for code, _ in answers] == ["UNAUTHENTICATED"]
    assert access.clients.check_api_key(f" {good}\n", Permission("desk"))


def test_a_key_has_160_secret_bits_and_is_stored_as_a_hash_only(access: Access, database: Database) -> None:
    key = new_key(access)
    assert len(key.rsplit("_", 1)[1]) == 32
    with database.read() as connection:
        stored = " ".join(map(str, connection.execute(sa.text("SELECT * FROM api_key")).one()))
    assert key.rsplit("_", 1)[1] not in stored
    assert key.rsplit("_", 1)[1] not in repr(access.clients.list_api_keys(OPERATOR))


def test_a_list_of_keys_says_which_are_revoked(access: Access, clock: HandClock) -> None:
    first = new_key(access)
    clock.forward(seconds=1)
    new_key(access, "verify")
    access.clients.revoke_api_key(OPERATOR, first.split("_")[2])
    access.clients.revoke_api_key(OPERATOR, first.split("_")[2])
    assert [(key.scopes, key.revoked_at is not None) for key in access.clients.list_api_keys(OPERATOR)] == [
        (("desk",), True),
        (("verify",), False),
    ]


def test_what_cannot_be_a_key_is_refused(access: Access) -> None:
    for label, scopes, days in (
        ("", ["desk"], 1),
        ("x", [], 1),
        ("x", ["root"], 1),
        ("x", ["desk"], 0),
        ("a\nb", ["desk"], 1),
    ):
        with pytest.raises(Malformed):
            access.clients.create_api_key(OPERATOR, label, authority_id=None, scopes=scopes, days=days)
    with pytest.raises(NotFound):
        access.clients.revoke_api_key(OPERATOR, "nobody")


# --- Claim links ---


def test_a_claim_link_opens_its_holders_wallet_once(access: Access) -> None:
    token = access.invitations.create_claim_link(OPERATOR, HOLDER)
    session = access.sessions.check_session(access.invitations.use_claim_link(token.lower()), WALLET)
    assert session.subject == HOLDER
    with pytest.raises(NotFound) as caught:
        access.invitations.use_claim_link(token)
    assert caught.value.code == "LINK_USED_UP"


def test_a_claim_link_ends_with_its_days(access: Access, clock: HandClock) -> None:
    token = access.invitations.create_claim_link(OPERATOR, HOLDER, days=2)
    clock.forward(days=2)
    with pytest.raises(NotFound):
        access.invitations.use_claim_link(token)


def test_of_many_that_use_a_claim_link_at_once_one_gets_in(access: Access) -> None:
    token = access.invitations.create_claim_link(OPERATOR, HOLDER)
    opened: list[str] = []

    def use() -> None:
        with contextlib.suppress(NotFound):
            opened.append(access.invitations.use_claim_link(token))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


# --- Sessions ---


def test_a_session_is_good_for_its_kind_and_its_hours(access: Access, clock: HandClock) -> None:
    token = access.sessions.open_session(WALLET, HOLDER, 2)
    assert access.sessions.check_session(token, WALLET).subject == HOLDER
    with pytest.raises(NotPermitted):
        access.sessions.check_session(token, DESK)
    clock.forward(hours=2)
    with pytest.raises(NotPermitted):
        access.sessions.check_session(token, WALLET)


def test_a_closed_session_is_closed(access: Access) -> None:
    token = access.sessions.open_session(WALLET, HOLDER, 2)
    access.sessions.close_session(token)
    access.sessions.close_session(token)
    with pytest.raises(NotPermitted):
        access.sessions.check_session(token, WALLET)


def test_a_desk_session_ends_with_the_key_that_opened_it(access: Access) -> None:
    key = new_key(access)
    token = access.sessions.exchange_desk_key(key)
    assert access.sessions.desk(access.sessions.check_session(token, DESK).subject).name == "窗口 3"
    access.clients.revoke_api_key(OPERATOR, key.split("_")[2])
    with pytest.raises(NotPermitted):
        access.sessions.check_session(token, DESK)


def test_a_key_without_the_scope_opens_no_desk(access: Access) -> None:
    with pytest.raises(NotPermitted):
        access.sessions.exchange_desk_key(new_key(access, "verify"))


def test_a_form_token_belongs_to_its_form_and_its_session(access: Access) -> None:
    one, other = (
        access.sessions.check_session(access.sessions.open_session(WALLET, HOLDER, 1), WALLET)
        for _ in range(2)
    )
    one.check_form_token("show", one.form_token("show"))
    for token in (one.form_token("stop"), other.form_token("show"), "", "é"):
        with pytest.raises(NotPermitted) as caught:
            one.check_form_token("show", token)
        assert caught.value.code == "FORM_EXPIRED"


# --- Audit ---


def test_the_trail_tells_what_was_done_to_one_and_by_one(access: Access, clock: HandClock) -> None:
    pid, other = bytes(16), bytes([1]) * 16
    for actor, at_pid in (("desk:a", pid), ("public", pid), ("desk:a", other)):
        access.trail.note(ActorRef(actor), Act("verify:pdf", "PASSED OK", at_pid, purpose="window"))
        clock.forward(seconds=1)
    assert [event.actor for event in access.trail.of(pid)] == ["public", "desk:a"]
    assert [event.pid for event in access.trail.by("desk:a", since=clock.now() - timedelta(minutes=1))] == [
        other,
        pid,
    ]
    assert access.trail.by("desk:a", since=clock.now()) == []
    assert access.trail.of(pid, actions=["download"]) == []


def test_the_trail_is_read_from_an_instant_on(access: Access) -> None:
    with access.trail.database.write() as connection:
        for at in (10, 20, 30):
            insert(connection, AuditRow(at=at, actor="counter 3", action="look", outcome="OK"))
    with access.trail.database.read() as connection:
        assert [row.at for row in audit_rows(connection, actor="counter 3", since=20)] == [30, 20]
        assert [row.at for row in audit_rows(connection, actor="counter 3", since=31)] == []
        assert [row.at for row in audit_rows(connection, actor="counter 3", limit=1)] == [30]
        assert audit_rows(connection, actor="counter 4") == []


def test_ending_a_session_that_is_not_there_is_refused(access: Access) -> None:
    with pytest.raises(NotFound):
        access.sessions.end_sessions(OPERATOR, session_id="nobody's")
    with pytest.raises(NotFound):
        access.sessions.end_sessions(OPERATOR, key_id="nobody's")
