"""Lists in pages: whole, without doubles, by key, and the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from support.world import World

from trust.app.site import create_app
from trust.model.actor import OPERATOR, SCOPES
from trust.model.errors import Malformed
from trust.people.sessions import DESK
from trust.web.paging import cut, read_cursor, read_numbers

SEAL = "chuncheng-market-sm2"
LISTS = (
    ("/access/keys", "keys"),
    ("/access/sessions", "sessions"),
    ("/seals", "seals"),
    (f"/seals/{SEAL}/history", "events"),
    (f"/seals/{SEAL}/uses", "uses"),
    ("/types", "items"),
    ("/certificates/{pid}/versions", "items"),
)


class Lists:
    def __init__(self, world: World, client: TestClient) -> None:
        self.world, self.client = world, client
        access = world.site.admin.access
        self.key = access.clients.create_api_key(
            OPERATOR, "for all", authority_id=None, scopes=SCOPES, days=30
        )
        for number in range(1, 4):
            access.sessions.open_session(DESK, self.key.split("_")[2].encode(), 12)
            access.clients.create_api_key(
                OPERATOR, f"key {number}", authority_id=None, scopes=["desk"], days=1
            )
            self.pid = world.issue(number)[0].pid.hex()
        assert world.site.issuer.archiving.renew(OPERATOR, [bytes.fromhex(self.pid)])[0].error is None

    def get(self, path: str, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.get(f"/api/v1{path.format(pid=self.pid)}", params=query, headers=headers)

    def walk(self, path: str, member: str, limit: int) -> Iterator[list[Any]]:
        """Page after page, by the links of the headers."""
        answer = self.get(path, limit=limit)
        while True:
            assert answer.status_code == 200, answer.text
            yield answer.json()[member]
            cursor = answer.json()["next_cursor"]
            assert ("link" in answer.headers) == (cursor is not None)
            if cursor is None:
                return
            target, rel = answer.headers["link"].split("; ")
            assert rel == 'rel="next"'
            answer = self.client.get(target.strip("<>"), headers={"Authorization": f"Bearer {self.key}"})


@pytest.fixture
def lists(stored_world: World) -> Iterator[Lists]:
    with TestClient(create_app(stored_world.site), raise_server_exceptions=False) as client:
        yield Lists(stored_world, client)


def test_pages_are_the_list_in_its_order(lists: Lists) -> None:
    for path, member in LISTS:
        whole = lists.get(path).json()
        assert whole["next_cursor"] is None
        assert len(whole[member]) >= 2, path
        for limit in (1, 2, len(whole[member])):
            pages = list(lists.walk(path, member, limit))
            assert [each for page in pages for each in page] == whole[member], (path, limit)
            assert all(len(page) == limit for page in pages[:-1])
    asks_the_database_for_one_page_and_no_more(lists)


def asks_the_database_for_one_page_and_no_more(lists: Lists) -> None:
    asked: list[tuple[str, Any]] = []
    engine = lists.world.site.stores.register._readers

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    for path, member in (each for each in LISTS if each[0] != "/types"):
        cursor = lists.get(path, limit=1).json()["next_cursor"]
        sa.event.listen(engine, "before_cursor_execute", note)
        assert len(lists.get(path, limit=1, after=cursor).json()[member]) == 1
        sa.event.remove(engine, "before_cursor_execute", note)
        paged = [each for each in asked if " LIMIT " in each[0]]
        assert paged, path
        # SQLite always gets an offset; it is none.
        assert all(parameters[-1] == 0 for text, parameters in paged if "OFFSET" in text), paged
        asked.clear()


def test_what_comes_in_meanwhile_shifts_no_page(lists: Lists) -> None:
    walk = lists.walk(f"/seals/{SEAL}/uses", "uses", 2)
    first = next(walk)
    newest, _ = lists.world.issue(9)
    rest = [use for page in walk for use in page]
    assert [use["pid"] for use in rest][-1] == newest.pid.hex()
    assert not [use for use in rest if use in first]
    lists.world.clock.advance(days=2)
    since = lists.world.clock.now()
    pids = [lists.world.issue(number)[0].pid.hex() for number in (7, 8)]
    answer = lists.get(f"/seals/{SEAL}/uses", since=since.isoformat(), limit=1)
    assert [use["pid"] for use in answer.json()["uses"]] == pids[:1]
    assert "since=" in answer.headers["link"]
    more = lists.get(f"/seals/{SEAL}/uses", since=since.isoformat(), after=answer.json()["next_cursor"])
    assert [use["pid"] for use in more.json()["uses"]] == pids[1:]


def test_a_department_pages_through_its_own_seals_only(lists: Lists) -> None:
    lists.key = lists.world.site.admin.access.clients.create_api_key(
        OPERATOR, "transport", authority_id="yunling-transport", scopes=["seal"], days=1
    )
    pages = list(lists.walk("/seals", "seals", 1))
    assert [seal["id"] for page in pages for seal in page] == ["yunling-transport-sm2"]


@pytest.mark.parametrize("after", ["x", "é", "AA", "%00", "LTE", "MSwxLDE", "OTk5OTk5OTk5OTk5OTk5OTk5OQ", ""])
def test_what_is_no_cursor_is_refused(world: World, after: str) -> None:
    key = world.site.admin.access.clients.create_api_key(
        OPERATOR, "all", authority_id=None, scopes=SCOPES, days=1
    )
    with TestClient(create_app(world.site)) as client:
        headers = {"Authorization": f"Bearer {key}"}
        for path in (f"/seals/{SEAL}/history", f"/seals/{SEAL}/uses", "/access/sessions"):
            refused = client.get(f"/api/v1{path}", params={"after": after}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) in ((422, "CURSOR"), (422, "MALFORMED")), (
                path
            )
        for limit in ("0", "201", "-1", "x"):
            refused = client.get("/api/v1/seals", params={"limit": limit}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (422, "VALIDATION_FAILED")


def test_a_cursor_is_the_key_of_the_last_item() -> None:
    assert cut([1, 2], 2, str) == ([1, 2], None)
    page, cursor = cut([1, 2, 3], 2, str)
    assert (list(page), read_cursor(cursor), read_numbers(cursor)) == ([1, 2], "2", (2,))
    with pytest.raises(Malformed):
        read_numbers(cursor, 2)
