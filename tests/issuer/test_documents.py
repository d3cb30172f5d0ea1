"""Files of e-certificates: each stored once, none without a row, no row without a file."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support import odd_pdfs
from support.old_folders import put_files_into_register
from support.world import World

from issuer.ecertificates import sql
from issuer.ecertificates.documents import Documents, StoredFiles
from issuer.ecertificates.kinds import DocumentKind
from issuer.ecertificates.tidying import Tidying
from issuer.sealing.pdf import prepare_stampable
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.errors import StorageError
from trust.model.report import Verdict
from trust.model.status import StatusAct
from trust.storage import tables
from trust.storage.objects import FolderObjects

ROLES = {"requested_by": "clerk 7", "approved_by": "head of records"}


def files_of(world: World) -> list[Path]:
    return sorted(path for path in (world.folder / "documents").rglob("*") if path.is_file())


def large_documents(world: World) -> list[str]:
    """Kinds of the documents in the register that are large enough to be a PDF."""
    with world.site.stores.register.read() as connection:
        rows = tables.all_rows(connection, sql.DocumentRow)
    return [row.kind for row in rows if len(row.content) > 50_000]


def tidying(world: World) -> Tidying:
    return Tidying(world.site.stores.register, world.site.issuer.issuing.documents)


def stamp(world: World, page: bytes, number: int = 1) -> tuple[bytes, bytes]:
    """The public id and the issued file of a department's page, as prepared for its seal."""
    asked = dataclasses.replace(world.application(number), source_pdf=page)
    (outcome,) = world.try_issue(asked)
    assert outcome.issued is not None, outcome.error
    return outcome.issued.pid, world.site.issuer.issuing.issued_file(outcome.issued.pid)


def test_a_licence_is_stored_once_in_a_file_of_its_own(stored_world: World) -> None:
    issued, pdf = stored_world.issue()
    (path,) = files_of(stored_world)
    assert path.read_bytes() == pdf
    assert issued.pid.hex() not in str(path)
    assert large_documents(stored_world) == []


def test_the_page_of_a_department_is_a_part_of_the_same_file(world: World) -> None:
    page = prepare_stampable(odd_pdfs.letter()).pdf
    pid, pdf = stamp(world, page)
    assert [path.read_bytes() for path in files_of(world)] == [pdf]
    assert large_documents(world) == []
    with world.site.stores.register.read() as connection:
        row = sql.get_ecertificate(connection, pid=pid)
        kept = world.site.issuer.issuing.documents.get(connection, row.id or 0, DocumentKind.SOURCE)
    assert kept == page
    assert pdf.startswith(page)


def test_a_page_that_the_file_does_not_begin_with_has_a_file_of_its_own(world: World) -> None:
    documents = world.site.issuer.issuing.documents
    stored = documents.write({5: b"%PDF anew"}, {5: b"%PDF as it came"})
    assert sorted(stored.contents.values()) == [b"%PDF anew", b"%PDF as it came"]
    with world.site.stores.register.write() as connection:
        documents.refer(connection, stored, [5])
        assert documents.get(connection, 5, DocumentKind.SOURCE) == b"%PDF as it came"
        assert documents.get(connection, 5, DocumentKind.ISSUED) == b"%PDF anew"


def revoked(world: World, number: int = 1) -> bytes:
    issued, _ = world.issue(number)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    return issued.pid


def test_an_erasure_deletes_the_file_and_no_other(stored_world: World) -> None:
    _, kept = stored_world.issue(2)
    pid = revoked(stored_world)
    stored_world.site.issuer.erasing.erase(OPERATOR, pid, basis="retention-expired", **ROLES)
    assert [path.read_bytes() for path in files_of(stored_world)] == [kept]


def test_an_erasure_deletes_what_crashes_left_of_the_licence_too(stored_world: World) -> None:
    _, kept = stored_world.issue(2)
    pid = revoked(stored_world)
    with stored_world.site.stores.register.read() as connection:
        number = sql.get_ecertificate(connection, pid=pid).id
    documents = stored_world.site.issuer.issuing.documents
    documents.write({number or 0: b"written, and its process killed before the row"}, {})
    (stored_world.folder / "documents" / "0" / f".{number}-00ff.pdf.17.0.tmp").write_bytes(b"half of it")
    erased = stored_world.site.issuer.erasing.erase(OPERATOR, pid, basis="retention-expired", **ROLES)
    assert erased.overwritten
    assert [path.read_bytes() for path in files_of(stored_world)] == [kept]


class Away(FolderObjects):
    """A disk that deletes nothing now."""

    def delete_but(self, beginning: str, kept: Collection[str]) -> None:
        raise StorageError("The disk is away.")


def test_a_file_that_cannot_be_deleted_now_is_deleted_in_a_later_round(stored_world: World) -> None:
    pid = revoked(stored_world)
    erasing = stored_world.site.issuer.erasing
    away = dataclasses.replace(erasing.documents, objects=Away(stored_world.folder / "documents"))
    erased = dataclasses.replace(erasing, documents=away).erase(
        OPERATOR, pid, basis="retention-expired", **ROLES
    )
    assert not erased.overwritten, "the file is still there, and that is said"
    assert len(files_of(stored_world)) == 1, "it is not there, and the erasure is done all the same"
    stored_world.clock.advance(hours=2)
    tidying(stored_world).run()
    assert files_of(stored_world) == []


def test_what_a_crash_left_is_swept_and_nothing_that_is_named(stored_world: World) -> None:
    _, pdf = stored_world.issue()
    (path,) = files_of(stored_world)
    objects = stored_world.site.issuer.issuing.documents.objects
    objects.put_all(
        {"0/1-00ff.pdf": b"left by a crash", "0/99-00ff.pdf": b"of a draft", "x/y.pdf": b"whose?"}
    )
    for each in files_of(stored_world):
        os.utime(each, (1, 1))
    objects.put_all({"0/1-00aa.pdf": b"just written"})
    assert tidying(stored_world).sweep() == 3
    assert [each.read_bytes() for each in files_of(stored_world)] == [b"just written", pdf]
    assert path in files_of(stored_world)


def test_a_row_without_its_file_is_named_and_the_licence_is_not_made_up(world: World) -> None:
    issued, pdf = world.issue()
    other, other_pdf = world.issue(2)
    (path,) = (path for path in files_of(world) if path.read_bytes() == pdf)
    path.unlink()
    with pytest.raises(StorageError) as missing:
        world.site.issuer.issuing.issued_file(issued.pid)
    assert missing.value.code == "OBJECT_MISSING"
    assert world.site.issuer.issuing.issued_file(other.pid) == other_pdf
    assert [(each.table, each.key) for each in world.site.issuer.register.check()] == [
        ("document", "1 issued@")
    ]
    assert world.verify(pdf).verdict is Verdict.PASSED, "who has the file does not need ours"
    with TestClient(create_app(world.site), raise_server_exceptions=False) as client:
        key = world.site.admin.access.clients.create_api_key(
            OPERATOR, "market", authority_id=world.market.authority_id, scopes=["cert.read"], days=1
        )
        got = client.get(
            f"/api/v1/certificates/{issued.pid.hex()}/file", headers={"Authorization": f"Bearer {key}"}
        )
        assert (got.status_code, got.json()["code"]) == (503, "OBJECT_MISSING")


def test_a_file_that_somebody_changed_is_given_to_nobody(world: World) -> None:
    issued, pdf = world.issue()
    (path,) = files_of(world)
    path.write_bytes(pdf.replace(b"%%EOF", b"%%E0F"))
    with pytest.raises(StorageError) as edited:
        world.site.issuer.issuing.issued_file(issued.pid)
    assert edited.value.code == "OBJECT_EDITED"
    (found,) = world.site.issuer.register.check()
    assert (found.table, found.key) == ("document", "1 issued@")


def test_files_of_two_licences_exchanged_in_their_rows_are_given_to_nobody(world: World) -> None:
    (one, _), (two, _) = world.issue(1), world.issue(2)
    with world.site.stores.register.write() as connection:
        connection.exec_driver_sql(
            "UPDATE document SET content = (SELECT content FROM document WHERE ecertificate_id = 2"
            " AND kind = 'issued@') WHERE ecertificate_id = 1 AND kind = 'issued@'"
        )
    with pytest.raises(StorageError):
        world.site.issuer.issuing.issued_file(one.pid)
    assert world.site.issuer.issuing.issued_file(two.pid)


def test_one_that_was_stopped_until_its_file_was_swept_writes_it_again(stored_world: World) -> None:
    issuing = stored_world.site.issuer.issuing

    class Stopped(Documents):
        def write(self, issued: dict[int, bytes], sources: dict[int, bytes]) -> StoredFiles:  # type: ignore[override]
            stored = Documents.write(self, issued, sources)
            self.objects.delete(list(stored.contents))
            return stored

    stopped = Stopped(issuing.documents.objects, issuing.documents.queue)
    recording = dataclasses.replace(issuing.recording, documents=stopped)
    with pytest.raises(StorageError):
        dataclasses.replace(issuing, recording=recording).issue(OPERATOR, [stored_world.application(1)])
    assert files_of(stored_world) == []
    stored_world.outlast_leases()
    (outcome,) = stored_world.try_issue(stored_world.application(1))
    assert outcome.issued is not None
    assert stored_world.verify(issuing.issued_file(outcome.issued.pid)).verdict is Verdict.PASSED
    assert stored_world.site.issuer.register.check() == []


def test_files_of_before_are_read_and_moved_out_of_the_register(stored_world: World) -> None:
    pids = [stored_world.issue(number)[0].pid for number in range(1, 21)]
    issuing = stored_world.site.issuer.issuing
    pdfs = [issuing.issued_file(pid) for pid in pids]
    assert put_files_into_register(stored_world) == 20
    shutil.rmtree(stored_world.folder / "documents")
    assert [issuing.issued_file(pid) for pid in pids] == pdfs, "before they are moved"
    hands = [threading.Thread(target=tidying(stored_world).run) for _ in range(3)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert large_documents(stored_world) == []
    assert [issuing.issued_file(pid) for pid in pids] == pdfs
    assert stored_world.site.issuer.register.check() == []
    for path in files_of(stored_world):
        os.utime(path, (1, 1))
    tidying(stored_world).sweep(timedelta(hours=1))
    assert sorted(path.read_bytes() for path in files_of(stored_world)) == sorted(pdfs)


def test_two_equal_requests_at_once_leave_one_licence_and_one_file(stored_world: World) -> None:
    found: list[bytes] = []

    def ask() -> None:
        (outcome,) = stored_world.try_issue(stored_world.application(1))
        assert outcome.issued is not None, outcome.error
        found.append(outcome.issued.pid)

    for _ in range(3):
        hands = [threading.Thread(target=ask) for _ in range(4)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
    assert len(found) == 12
    assert len(set(found)) == 1
    for path in files_of(stored_world):
        os.utime(path, (1, 1))
    tidying(stored_world).sweep(timedelta(hours=1))
    assert len(files_of(stored_world)) == 1


def test_a_folder_of_another_machine_user_is_told_when_it_cannot_be_written(
    world: World, template_folder: Path, tmp_path: Path
) -> None:
    (world.folder / "documents").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match="documents"):
        world.try_issue(world.application(1))
    (world.folder / "documents").unlink()
    world.outlast_leases()
    (outcome,) = world.try_issue(world.application(1))
    assert outcome.issued is not None, "it goes on where it stopped"
