"""`yinzheng issue TYPE --from FILE` as a clerk uses it: equal rows, the output folder, dry runs, pictures."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from PIL import Image
from support.cli import Cli
from support.tables import LABELS, as_text, food, table, write, write_workbook

from issuer.catalogue import TypeProfile, load_profile
from issuer.ecertificates import records
from issuer.ecertificates.records import read_records
from trust.model.actor import OPERATOR
from trust.model.errors import ProfileViolation
from trust.storage import folder

PLACE = "云岭省春城市别处路2号"


def stored(cli: Cli) -> int:
    assert cli.run("ledger", "recheck", "--json") == 0, cli.err
    return int(str(cli.lines()[0]["stored"]))


def table_of(cli: Cli, *rows: list[object]) -> Path:
    return write(cli.folder / "t.csv", as_text(table(*rows)))


def said(cli: Cli) -> str:
    """What the terminal shows, without its line breaks and bars."""
    return " ".join(line for line in cli.err.split() if "━" not in line)


def pdfs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pdf")}


# Equal rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [0, 40])
def test_two_equal_rows_are_one_licence(cli: Cli, far: int) -> None:
    before = stored(cli)
    between = [food(n) for n in range(10, 10 + far)]
    path, out = table_of(cli, food(1), food(2), *between, food(2)), cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", path, "--out", out, "--dry-run") == 0, cli.err
    foreseen = cli.err
    assert cli.run("issue", "FOOD", "--from", path, "--out", out) == 0, cli.err
    assert f"row {far + 4}: repeats row 3; one licence is for both." in cli.err
    assert cli.err.splitlines()[0] == foreseen.splitlines()[0]
    assert f"{far + 2} issued, 0 were issued before, 0 rows refused, 1 rows repeat" in cli.out
    assert len(pdfs(out)) == far + 2
    assert stored(cli) == before + far + 2 + 1, "with the first licence a status list is begun"


def test_equal_rows_say_so_to_machines_and_in_json_files(cli: Cli) -> None:
    rows = [dict(zip(LABELS, food(n), strict=True)) for n in (1, 1, 2)]
    path = write(cli.folder / "t.json", json.dumps(rows, ensure_ascii=False))
    assert cli.run("issue", "FOOD", "--from", path, "--json", "--dry-run") == 0, cli.err
    assert [line["result"] for line in cli.lines()] == ["would-issue", "repeated", "would-issue"]
    assert cli.run("issue", "FOOD", "--from", path, "--json") == 0, cli.err
    first, second, third = cli.lines()
    assert [line["result"] for line in (first, second, third)] == ["issued", "repeated", "issued"]
    assert second["repeats_row"] == 1
    assert second["identifier"] == first["identifier"]
    assert cli.run("issue", "FOOD", "--from", path) == 0
    assert "record 2: repeats record 1" in cli.err, "records of a JSON file have no rows"


def test_rows_that_differ_only_in_what_is_not_seen_are_equal(cli: Cli) -> None:
    twin = food(1, legal_representative="⼭示例", holder_code="９１９９０１０１MA6K1001XL")
    path = table_of(cli, food(1, legal_representative="山示例"), twin)
    assert cli.run("issue", "FOOD", "--from", path) == 0, cli.err
    assert "row 3: repeats row 2" in cli.err


@pytest.mark.parametrize("far", [0, 40])
def test_one_number_with_two_contents_names_the_other_row(
    cli: Cli, far: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = [food(n) for n in range(10, 10 + far)]
    path = table_of(cli, food(1), *between, food(1, premises=PLACE))
    for dry in (["--dry-run"], []):
        assert cli.run("issue", "FOOD", "--from", path, *dry) == 1
        assert f"row {far + 3}: Row 2 has the same number with other content." in cli.err
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("issue", "FOOD", "--from", path) == 1
    assert f"第 {far + 3} 行：与第 2 行编号相同、内容不同" in cli.err


def test_equal_rows_of_a_run_that_was_cut_off(cli: Cli) -> None:
    from support.world import make_world

    before = stored(cli)
    world = make_world(cli.data)
    issuing = world.site.issuer.issuing
    issuing.reserving.reserve(issuing.check(OPERATOR, world.application(1)))
    world.close()
    path, out = table_of(cli, food(1), food(2), food(1)), cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", path, "--out", out, "--resume") == 0, cli.err
    assert "row 4: repeats row 2" in cli.err
    assert len(pdfs(out)) == 2
    assert stored(cli) == before + 2 + 1, "with the first licence a status list is begun"


@pytest.fixture
def health(cli: Cli) -> Cli:
    """With the authority that issues licences with pictures."""
    named = ("--name-zh", "春城市卫生健康委员会", "--name-en", "Chuncheng Health Commission")
    uscc = ("--uscc", "11990100MB9X100290", "--function", "health")
    assert cli.run("authority", "add", "chuncheng-health", *uscc, *named) == 0, cli.err
    made = cli.run("seal", "make", "health", "--authority", "chuncheng-health", "--suite", "P256-SHA256")
    assert made == 0, cli.err
    return cli


def test_two_rows_the_page_refuses_are_both_refused(health: Cli) -> None:
    (health.folder / "bad.jpg").write_bytes(b"no picture")
    (health.folder / "x.jpg").write_bytes(picture())
    path = medical(health.folder, "bad.jpg", "x.jpg")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1], lines[1], lines[2]]), encoding="utf-8")
    assert health.run("issue", "MEDPR", "--from", path, "--dry-run") == 1
    foreseen = said(health)
    assert foreseen.count("[PHOTO_UNREADABLE]") == 2
    assert health.run("issue", "MEDPR", "--from", path) == 1
    assert said(health) == foreseen
    assert "1 issued" in health.out


def test_a_row_behind_one_the_page_refused_gets_the_number(health: Cli) -> None:
    (health.folder / "bad.jpg").write_bytes(b"no picture")
    (health.folder / "x.jpg").write_bytes(picture())
    path = medical(health.folder, "bad.jpg")
    header, line = path.read_text(encoding="utf-8").splitlines()
    lines = [header, line, line.replace("bad.jpg", "x.jpg"), line.replace("bad.jpg", "x.jpg"), line]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert health.run("issue", "MEDPR", "--from", path, "--dry-run") == 1
    foreseen = said(health)
    assert health.run("issue", "MEDPR", "--from", path) == 1
    assert said(health) == foreseen
    assert "row 4: repeats row 3" in foreseen
    assert "row 5: Row 3 has the same number with other content." in foreseen
    assert "1 issued" in health.out


# The output folder --------------------------------------------------------------------------------------------


def no_folder(cli: Cli, kind: str) -> Path:
    match kind:
        case "a file":
            return write(cli.folder / "pdf", "x")
        case "below a file":
            return write(cli.folder / "file", "x") / "pdf"
        case "read-only":
            return Path("/proc/pdf")
        case "a broken link":
            (cli.folder / "pdf").symlink_to(cli.folder / "nowhere")
            return cli.folder / "pdf"
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["a file", "below a file", "read-only", "a broken link"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_folder_that_cannot_be_written_stops_before_anything_is_sealed(
    cli: Cli, kind: str, dry: list[str]
) -> None:
    before = stored(cli)
    out = no_folder(cli, kind)
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out, *dry) == 3
    assert "cannot be written to" in cli.err
    assert "Nothing was issued" in cli.err
    assert stored(cli) == before
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--json") == 0
    assert cli.lines()[0]["result"] == "issued", "nothing was reserved either"


@pytest.mark.skipif(os.geteuid() == 0, reason="the root user may write everywhere")
def test_a_folder_without_permission_stops_before_anything_is_sealed(cli: Cli) -> None:
    out = cli.folder / "locked"
    out.mkdir(mode=0o500)
    for dry in ([], ["--dry-run"]):
        assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out, *dry) == 3


def test_a_full_disk_stops_before_anything_is_sealed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(cli.folder)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    for dry in ([], ["--dry-run"]):
        assert (
            cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", cli.folder / "p", *dry) == 3
        )
        assert "0 MB are free" in cli.err


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from issuer.commands.out_folder import replace_out, write_out
from trust.model.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
replace_out(folder / "old.pdf", b"before")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
data = bytes(200_000)
for write in (lambda: write_out(folder, "new.pdf", data), lambda: replace_out(folder / "old.pdf", data)):
    try:
        write()
    except StorageError as exc:
        print(exc.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["OUT_FAILED", "OUT_FAILED"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old.pdf": b"before"}


def test_a_dry_run_makes_no_folder_and_folders_above_are_made(cli: Cli) -> None:
    out = cli.folder / "a" / "b"
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out, "--dry-run") == 0, cli.err
    assert not (cli.folder / "a").exists()
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out) == 0, cli.err
    assert len(list(out.iterdir())) == 1, "and nothing of the trial is left"


def test_another_file_of_the_same_name_is_never_written_over(cli: Cli) -> None:
    out = cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out) == 0
    (pdf,) = out.glob("*.pdf")
    issued = pdf.read_bytes()
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--out", out) == 0, (
        "the same bytes may stand"
    )
    pdf.write_bytes(issued + b"\n% of the user")
    before = stored(cli)
    for dry in (["--dry-run"], []):
        assert cli.run("issue", "FOOD", "--from", table_of(cli, food(2), food(1)), "--out", out, *dry) == 3
        assert "stands in" in cli.err
    assert stored(cli) == before
    assert pdf.read_bytes() == issued + b"\n% of the user"
    pdf.unlink()
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(2), food(1)), "--out", out) == 0
    assert pdf.read_bytes() == issued, "what is missing is written again"


def test_a_disk_that_fills_up_meanwhile_loses_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    out, path = cli.folder / "pdf", table_of(cli, *(food(n) for n in range(1, 41)))

    def full(path: Path, mode: str) -> IO[bytes]:
        if len(list(out.glob("*.pdf"))) >= 3 and path.parent == out:
            raise OSError(28, "No space left on device")
        return open(path, mode)

    monkeypatch.setattr(folder, "open", full, raising=False)
    assert cli.run("issue", "FOOD", "--from", path, "--out", out) == 4
    assert "No space left" in said(cli)
    assert "the same command again" in said(cli)
    assert len(list(out.iterdir())) == 3, "no half-written file is left"
    monkeypatch.delattr(folder, "open")
    assert cli.run("issue", "FOOD", "--from", path, "--out", out) == 0, cli.err
    assert len(pdfs(out)) == 40


def test_stamp_and_replace_try_the_place_of_the_file_first(cli: Cli) -> None:
    import pypdfium2

    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1)), "--json") == 0
    identifier = str(cli.lines()[0]["identifier"])
    before = stored(cli)
    blocked = write(cli.folder / "blocked", "x")
    moved = table_of(cli, food(1, premises=PLACE))
    assert cli.run("replace", identifier, "--reason", "迁址", "--from", moved, "--out", blocked) == 3
    assert "cannot be written to" in said(cli)
    document, letter = pypdfium2.PdfDocument.new(), cli.folder / "letter.pdf"
    document.new_page(595, 842)
    document.save(letter)
    document.close()
    fields = dict(zip(LABELS, food(7), strict=True))
    sidecar = write(cli.folder / "d.json", json.dumps({"type": "FOOD", "fields": fields}))
    for out in (blocked / "s.pdf", cli.folder):
        assert cli.run("stamp", letter, "--from", sidecar, "--out", out) == 3
    assert stored(cli) == before


# Dry runs -----------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_a_run_would(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", table_of(cli, food(1), food(2))) == 0
    rows = [
        food(1),
        food(2, premises=PLACE),
        food(3, holder_code="91990101MA6K1001X0"),
        food(4),
        food(4),
        food(5, legal_representative="张\u200b示例"),
        food(4, premises=PLACE),
    ]
    before = stored(cli)
    assert cli.run("issue", "FOOD", "--from", table_of(cli, *rows), "--dry-run") == 1
    foreseen, summed = cli.err, " ".join(cli.out.split())
    assert "7 rows checked, 4 would be refused, 1 rows repeat an earlier one, 1 were issued before" in summed
    assert stored(cli) == before
    assert cli.run("issue", "FOOD", "--from", table_of(cli, *rows)) == 1
    assert cli.err == foreseen
    assert "1 issued, 1 were issued before, 4 rows refused, 1 rows repeat" in " ".join(cli.out.split())


def test_a_dry_run_says_that_an_approval_or_a_limit_stands_against_it(cli: Cli) -> None:
    path = table_of(cli, food(1), food(2), food(3))
    seal = "chuncheng-market-sm2"
    assert cli.run("seal", "authorise", seal, "--per-day", "2") == 0, cli.err
    assert cli.run("issue", "FOOD", "--from", path, "--seal", seal, "--dry-run") == 1
    foreseen = said(cli)
    assert "row 4: The seal chuncheng-market-sm2 has been used 2 times today" in foreseen
    assert cli.run("issue", "FOOD", "--from", path, "--seal", seal) == 1
    assert said(cli) == foreseen
    assert cli.run("seal", "authorise", seal, "--second-approval-above", "2") == 0, cli.err
    path = table_of(cli, food(5), food(6), food(7))
    for dry in (["--dry-run"], []):
        assert cli.run("issue", "FOOD", "--from", path, "--seal", seal, *dry) == 3
        assert "need a second person's approval" in said(cli)


# Workbooks ----------------------------------------------------------------------------------------------------


def test_a_workbook_is_issued_and_says_which_sheet(cli: Cli) -> None:
    path = write_workbook(
        cli.folder / "t.xlsx", table(food(1), [], food(2, holder_code="91990101MA6K1001X0"), food(3))
    )
    out = cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", path, "--out", out) == 1
    assert "The sheet 名单 is read." in cli.err
    assert "row 4 · holder_code" in cli.err
    assert len(pdfs(out)) == 2


# Pictures -----------------------------------------------------------------------------------------------------

PERSON = (
    "执业证书编码,姓名,性别,出生日期,证件号码,医师资格证书编码,医师级别,执业类别,执业范围,主要执业机构,执业地点,"
    "批准日期,有效期至,签发日期,照片"
)


def person(photo: str, number: int = 1) -> str:
    return (
        f"1119901000{number:05d},张示例,女,1968-01-01,990101196801011008,2012111990100000000{number:05d},执业医师,临床,"
        f"内科专业,春城市第一示例医院,云岭省,2025-01-06,长期,2025-01-07,{photo}"
    )


def picture(size: tuple[int, int] = (300, 420)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "grey").save(out, "JPEG")
    return out.getvalue()


def medical(folder: Path, *photos: str) -> Path:
    lines = [PERSON, *(person(photo, number) for number, photo in enumerate(photos, 1))]
    return write(folder / "m.csv", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "written",
    [
        "photos/x.jpg",
        "photos\\x.jpg",
        ".\\photos\\x.jpg",
        "./photos/x.jpg",
        "Photos/X.JPG",
        "PHOTOS\\x.Jpg",
        " photos/x.jpg ",
    ],
)
@pytest.mark.parametrize("stands", ["photos/x.jpg", "photos/X.JPG", "Photos/x.jpg"])
def test_a_picture_is_found_with_either_slash_and_in_any_case(
    tmp_path: Path, written: str, stands: str
) -> None:
    (tmp_path / stands).parent.mkdir()
    (tmp_path / stands).write_bytes(picture())
    (record,) = read_records(medical(tmp_path, written), records_type())
    assert not record.problems
    assert record.fields["photo"] == stands
    assert records.read_picture(record) == picture()


def records_type() -> TypeProfile:
    return load_profile("MEDPR")


@pytest.mark.parametrize(
    "written",
    [
        "../secret.jpg", "..\\secret.jpg", "photos/../../secret.jpg", "/etc/hostname", "C:\\photos\\x.jpg",
        "\\\\server\\x.jpg",
        "x" * 300 + ".jpg",
        "loop.jpg",
        "link.jpg", "linked/secret.jpg", "photos", ".", "none.jpg", "photos/none.jpg", "x.jpg:stream", "photos/dir.jpg",
    ],
)  # fmt: skip
def test_no_picture_is_taken_from_outside_the_folder(tmp_path: Path, written: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(picture())
    folder = tmp_path / "in"
    (folder / "photos" / "dir.jpg").mkdir(parents=True)
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (record,) = read_records(medical(folder, written), records_type())
    assert [(problem.field, problem.code) for problem in record.problems] == [("photo", "NO_PICTURE")]
    assert record.picture is None


def test_two_names_that_differ_in_case_alone_are_not_guessed(tmp_path: Path) -> None:
    for name in ("x.jpg", "X.JPG"):
        (tmp_path / name).write_bytes(picture())
    exact, other = read_records(medical(tmp_path, "X.JPG", "X.jpg"), records_type())
    assert not exact.problems
    assert [problem.code for problem in other.problems] == ["NO_PICTURE"]


def test_a_picture_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "x.jpg").open("wb") as file:
        file.truncate(40_000_000_000)
    (record,) = read_records(medical(tmp_path, "x.jpg"), records_type())
    with pytest.raises(ProfileViolation) as refused:
        records.read_picture(record)
    assert "40000.0 MB" in refused.value.violations[0].found


def test_licences_with_pictures_are_issued(health: Cli) -> None:
    (health.folder / "照片").mkdir()
    (health.folder / "照片" / "张示例.JPG").write_bytes(picture())
    for written in ("照片\\张示例.jpg", "照片/张示例.JPG"):
        path = medical(health.folder, written)
        assert health.run("issue", "MEDPR", "--from", path, "--dry-run") == 0, health.err
        assert health.run("issue", "MEDPR", "--from", path) == 0, health.err
    assert "1 were issued before" in health.out, "it is the same picture, however it is written"
    (health.folder / "big.jpg").write_bytes(picture() + bytes(4_000_000))
    for dry in (["--dry-run"], []):
        assert health.run("issue", "MEDPR", "--from", medical(health.folder, "big.jpg"), *dry) == 1
        assert "row 2 · photo: a photograph of 4.0 MB: make it smaller" in said(health)


MEASURED = """
import resource, sys
from pathlib import Path
from issuer.catalogue import load_profile
from issuer.ecertificates.records import read_picture, read_records
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
records = read_records(Path(sys.argv[1]), load_profile("MEDPR"))
assert len(records) == 300 and not any(r.problems for r in records)
for record in records:
    try:
        read_picture(record)
    except Exception:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("size", [4_000_000, 1_900_000])
def test_three_hundred_pictures_take_no_more_memory_than_a_few(tmp_path: Path, size: int) -> None:
    data = picture() + bytes(size)
    for number in range(300):
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg") if number else (
            tmp_path / "0.jpg"
        ).write_bytes(data)
    path = medical(tmp_path, *(f"{number}.jpg" for number in range(300)))
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000, "kilobytes; all pictures would be a million"
