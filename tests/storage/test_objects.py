"""The duties of `trust.storage.objects.Objects`, on each of its implementations."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trust.model.errors import StorageError
from trust.storage.objects import FolderObjects, ObjectMissing, Objects

ROOT = Path(__file__).resolve().parents[2]
NAME, OTHER = "12/12345-0a1b2c.pdf", "12/12346-ffff.pdf"
CONTENT = b"%PDF-1.7 " + bytes(range(256)) * 400


@pytest.fixture(params=[FolderObjects])
def make_objects(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Objects]:
    """Opens the same objects again and again."""
    return lambda: request.param(tmp_path / "objects")


@pytest.fixture
def objects(make_objects: Callable[[], Objects]) -> Objects:
    return make_objects()


def test_what_is_put_is_there_and_stays_for_others_too(make_objects: Callable[[], Objects]) -> None:
    make_objects().put_all({NAME: CONTENT, OTHER: b""})
    assert make_objects().get(NAME) == CONTENT
    assert make_objects().get(OTHER) == b""
    assert make_objects().has(OTHER)
    assert not make_objects().has("12/none.pdf")


def test_a_content_never_changes_under_its_name(objects: Objects) -> None:
    objects.put_all({NAME: CONTENT})
    objects.put_all({NAME: CONTENT})  # a repeat after a crash
    with pytest.raises(StorageError) as refused:
        objects.put_all({NAME: CONTENT[:-1]})
    assert refused.value.code == "OBJECT_EXISTS"
    assert objects.get(NAME) == CONTENT


def test_a_missing_one_is_told_and_never_empty(objects: Objects) -> None:
    with pytest.raises(ObjectMissing, match=NAME):
        objects.get(NAME)
    with pytest.raises(ObjectMissing):
        objects.renew([NAME])


def test_deleting_twice_is_deleting_once(objects: Objects) -> None:
    objects.put_all({NAME: CONTENT, OTHER: CONTENT})
    objects.delete([NAME])
    objects.delete([NAME, "no/such-folder.pdf"])
    with pytest.raises(ObjectMissing):
        objects.get(NAME)
    assert objects.get(OTHER) == CONTENT


def test_what_begins_so_goes_but_what_is_kept(objects: Objects) -> None:
    names = ["12/12345-aa.pdf", "12/12345-bb.pdf", "12/123456-aa.pdf", "12/1234-aa.pdf", "13/12345-aa.pdf"]
    objects.put_all(dict.fromkeys(names, CONTENT))
    objects.delete_but("12/12345-", {"12/12345-bb.pdf"})
    objects.delete_but("12/12345-", {"12/12345-bb.pdf"})
    objects.delete_but("99/1-", ())
    assert [name for name in names if not objects.has(name)] == ["12/12345-aa.pdf"]


@pytest.mark.parametrize("beginning", ["", "12", "12/", "/12", "../12/1-", "12/.", "12/A"])
def test_a_beginning_that_is_none_deletes_nothing(objects: Objects, beginning: str) -> None:
    objects.put_all({NAME: CONTENT})
    with pytest.raises(StorageError):
        objects.delete_but(beginning, ())
    assert objects.get(NAME) == CONTENT


def test_only_what_is_old_is_told_to_a_sweeper(objects: Objects) -> None:
    objects.put_all({NAME: CONTENT, OTHER: CONTENT})
    assert list(objects.older_than(timedelta(hours=1))) == []
    assert sorted(objects.older_than(timedelta(seconds=-5))) == [NAME, OTHER]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../outside",
            "a/../../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "/a",
            "A",
            "张三",
            "a b",
            "a\0b",
        ),
        *(".hidden", "a/.hidden", "a.pdf/b", "a/b/c/d/e", "x" * 65, "a\n"),
    ],
)
def test_a_name_leads_nowhere_else(objects: Objects, name: str, tmp_path: Path) -> None:
    for use in (
        lambda: objects.put_all({name: CONTENT}),
        lambda: objects.get(name),
        lambda: objects.has(name),
        lambda: objects.delete([name]),
        lambda: objects.renew([name]),
    ):
        with pytest.raises(StorageError):
            use()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_many_hands_store_the_same_and_read_it_whole(make_objects: Callable[[], Objects]) -> None:
    seen: list[bytes] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            mine = make_objects()
            for number in range(30):
                mine.put_all({f"{number}/same.pdf": CONTENT + bytes([number])})
                seen.append(mine.get(f"{number}/same.pdf"))
        except BaseException as exc:
            errors.append(exc)

    hands = [threading.Thread(target=work) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert errors == []
    assert sorted(set(seen)) == [CONTENT + bytes([number]) for number in range(30)]


# --- FolderObjects ---


def test_a_process_killed_while_it_stores_leaves_whole_objects_only(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from trust.storage.objects import FolderObjects\n"
        "store = FolderObjects(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    store.put_all({f'{number % 7}/{number}.pdf': str(number).encode() * 40_000})\n"
        "    print(number, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(60)]
    child.send_signal(signal.SIGKILL)
    told += [int(line) for line in child.communicate()[0].split()]
    store = FolderObjects(tmp_path)
    there = list(store.older_than(timedelta(seconds=-60)))
    assert {f"{number % 7}/{number}.pdf" for number in told} <= set(there)
    for name in there:
        assert store.get(name) == Path(name).stem.encode() * 40_000
    store.clean(timedelta(seconds=-60))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == sorted(there)


def test_a_disk_that_is_full_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path / "objects")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            store.put_all({NAME: CONTENT})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.put_all({NAME: CONTENT})


def test_what_is_deleted_is_overwritten_and_was_nobody_elses_to_read(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path / "objects")
    store.put_all({NAME: CONTENT})
    assert (tmp_path / "objects").stat().st_mode & 0o077 == 0
    os.link(tmp_path / "objects" / NAME, tmp_path / "kept")  # what a disk would still hold
    store.delete([NAME])
    assert (tmp_path / "kept").read_bytes() == bytes(len(CONTENT))


def test_a_chosen_folder_that_is_not_mounted_takes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mnt" / "shared"
    store = FolderObjects(folder, is_marked=True)
    folder.mkdir(parents=True)  # the empty place where it should be mounted
    assert not store.is_there()
    for use in (
        lambda: store.put_all({NAME: CONTENT}),
        lambda: store.get(NAME),
        lambda: store.has(NAME),
        lambda: store.renew([NAME]),
        lambda: store.delete([NAME]),
        lambda: store.delete_but("12/12345-", ()),
        lambda: list(store.older_than(timedelta())),
        lambda: store.clean(timedelta()),
    ):
        with pytest.raises(StorageError) as refused:
            use()
        assert refused.value.code == "DOCUMENTS_NOT_THERE"
    assert list(folder.iterdir()) == []
    store.mark()
    store.mark()
    assert store.is_there()
    store.put_all({NAME: CONTENT})
    assert list(store.older_than(timedelta(seconds=-60))) == [NAME], "the mark is no object"


def test_a_renewed_one_is_not_old(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path)
    store.put_all({NAME: CONTENT, OTHER: CONTENT})
    for name in (NAME, OTHER):
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "12" / ".12345-0a1b2c.pdf.17.0.tmp").write_bytes(b"half")
    store.renew([NAME])
    assert list(store.older_than(timedelta(hours=1))) == [OTHER]


def test_what_is_half_written_goes_when_it_is_old_or_when_its_name_goes(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path)
    store.put_all({NAME: CONTENT})
    half = [tmp_path / "12" / f".{number}-0a1b2c.pdf.17.{number}.tmp" for number in (12345, 12346, 12347)]
    for path in half:
        path.write_bytes(b"half")
    os.utime(half[1], (1, 1))
    store.clean(timedelta(hours=1))
    assert [path.exists() for path in half] == [True, False, True]
    store.delete_but("12/12345-", {NAME})
    assert [path.exists() for path in half] == [False, False, True]
    assert store.get(NAME) == CONTENT
