"""The command line: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer
from support.cli import Cli
from support.world import FOOD

from trust.model.actor import OPERATOR
from trust.terminal import console


def test_issue_verify_bundle_revoke_and_recheck(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2), "--out", cli.folder / "pdf") == 0, cli.err
    assert "2 issued" in cli.out
    first, second = sorted((cli.folder / "pdf").glob("*.pdf"))
    assert cli.run("verify", first, second) == 0, cli.out
    assert cli.run("bundle", cli.folder / "bundle") == 0
    assert cli.run("verify", "--offline", cli.folder / "bundle", first) == 0, cli.out
    assert cli.run("revoke", first.stem, "--reason", "penalty") == 0
    assert cli.run("verify", first) == 1
    assert "REVOKED" in cli.out
    assert cli.run("verify", first, second, "--json") == 1
    assert [line["verdict"] for line in cli.lines()] == ["FAILED", "PASSED"]
    assert cli.run("ledger", "recheck") == 0
    assert "clean" in cli.out


def test_a_wrong_row_stops_that_row_only_and_is_explained(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2, 3, spoil=2)) == 1
    assert "row 3 · holder_code" in cli.err, "as the sheet counts, with the header in row 1"
    assert "91990101MA6K1001X0" not in cli.err, "values are not repeated"
    assert "2 issued" in cli.out
    assert "1 rows refused" in cli.out
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2, 3), "--json") == 0
    assert [line["result"] for line in cli.lines()] == ["repeated", "issued", "repeated"]


def test_messages_come_in_chinese_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, spoil=1)) == 1
    assert "第 2 行 · 统一社会信用代码：统一社会信用代码校验位不正确" in cli.err.replace("\n", "")
    assert cli.run("verify", cli.csv(1)) == 3
    assert "未能读取" in cli.out


def test_a_dry_run_stores_nothing(cli: Cli) -> None:
    assert cli.run("ledger", "recheck", "--json") == 0
    before = cli.lines()[0]["stored"]
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--dry-run") == 0
    assert cli.run("ledger", "recheck", "--json") == 0
    assert cli.lines()[0]["stored"] == before


def test_exit_codes_say_what_a_verdict_is(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    spoiled = cli.folder / "spoiled.pdf"
    spoiled.write_bytes(pdf.read_bytes()[:-1] + b"x")
    assert cli.run("verify", spoiled) == 1
    assert cli.run("present", pdf.stem, "--purpose", "test", "--json", "--qr", cli.folder / "code.png") == 0
    code = str(cli.lines()[0]["code"])
    assert cli.run("bundle", cli.folder / "bundle") == 0
    assert cli.run("verify", "--offline", cli.folder / "bundle", code) == 2
    assert cli.run("verify", cli.folder / "code.png") == 0, cli.out
    assert cli.run("verify", code) in (0, 1)
    assert cli.run("verify", cli.folder / "nothing.pdf") == 3
    assert cli.run("verify", "--offline", cli.folder, pdf) == 3
    assert cli.run("verify", "--at", "yesterday", pdf) == 3
    assert cli.run("verify", "--nonsense") == 3
    assert code not in cli.out + cli.err


def test_a_pinned_root_must_be_in_the_bundle(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    cli.run("bundle", cli.folder / "bundle")
    assert cli.run("init", "--json") == 0
    roots = cli.lines()[0]["trust_roots"]
    assert isinstance(roots, list)
    assert cli.run("verify", "--offline", cli.folder / "bundle", "--trust-root", roots[0], pdf) == 0
    assert cli.run("verify", "--offline", cli.folder / "bundle", "--trust-root", "00" * 32, pdf) == 3


def test_an_older_bundle_is_not_believed_again(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    assert cli.run("bundle", cli.folder / "old") == 0
    assert cli.run("verify", "--offline", cli.folder / "old", pdf) == 0
    assert cli.run("seal", "make", "another", "--authority", "yunling-transport") == 0, cli.err
    assert cli.run("bundle", cli.folder / "new") == 0
    assert cli.run("verify", "--offline", cli.folder / "new", pdf) == 0
    assert cli.run("verify", "--offline", cli.folder / "old", pdf, "--json") == 2
    (finding,) = (f for f in cli.lines()[0]["findings"] if f["check"] == "trust-list")
    assert finding["code"] == "TRUST_LIST_ROLLED_BACK"
    now = datetime.now(UTC).isoformat()
    assert cli.run("verify", "--offline", cli.folder / "old", "--at", now, pdf) == 0, "asked about a time"
    state = Path(os.environ["XDG_STATE_HOME"]) / "yinzheng" / "seen-lists.json"
    state.write_text("nonsense")
    assert cli.run("verify", "--offline", cli.folder / "old", pdf) == 0, "as on the first day"
    assert "not believed" in cli.err


def test_a_second_writer_is_told_to_wait(cli: Cli) -> None:
    from trust.storage.folder import DataFolderLock

    with DataFolderLock(cli.data):
        assert cli.run("authority", "list") == 3
    assert "in use" in cli.err
    assert cli.run("serve", "--workers", "2") == 3
    assert "PostgreSQL" in cli.err


def test_a_folder_that_was_never_set_up_says_what_to_do(cli: Cli) -> None:
    assert cli.run("authority", "list", "--data", cli.folder / "empty") == 4
    assert "yinzheng init" in cli.err


def plain_pdf() -> bytes:
    document = pypdfium2.PdfDocument.new()
    document.new_page(595, 842)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def encrypted_pdf() -> bytes:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(plain_pdf())))
    writer.encrypt(owner_pass="secret")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def acting_pdf() -> bytes:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(plain_pdf())))
    writer.root["/OpenAction"] = generic.DictionaryObject(
        {
            generic.pdf_name("/S"): generic.pdf_name("/JavaScript"),
            generic.pdf_name("/JS"): generic.pdf_string("x()"),
        }
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_department_pdf_is_stamped_and_bad_ones_are_refused_with_their_reason(cli: Cli) -> None:
    sidecar = cli.folder / "data.json"
    sidecar.write_text(json.dumps({"type": "FOOD", "fields": FOOD}), encoding="utf-8")
    good = cli.folder / "good.pdf"
    good.write_bytes(plain_pdf())
    out = cli.folder / "sealed.pdf"
    cases = {
        "ENCRYPTED": encrypted_pdf(),
        "ACTIVE_CONTENT": acting_pdf(),
        "BROKEN_PDF": plain_pdf()[:-40],
        "NOT_A_PDF": b"hello",
    }
    words = {
        "ENCRYPTED": "encrypted", "ACTIVE_CONTENT": "active content", "BROKEN_PDF": "PDF", "NOT_A_PDF": "not a PDF",
    }  # fmt: skip
    for code, data in cases.items():
        bad = cli.folder / "bad.pdf"
        bad.write_bytes(data)
        assert cli.run("stamp", bad, "--from", sidecar, "--out", out) == 3, code
        assert words[code] in cli.err
        assert not out.exists()
    assert cli.run("stamp", good, "--from", sidecar, "--out", out) == 0, cli.err
    assert cli.run("verify", out) == 0
    assert cli.run("stamp", out, "--from", sidecar, "--out", cli.folder / "twice.pdf") == 3
    assert "already has a signature" in cli.err


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"for_abroad": "true"}, '"for_abroad"'),
        ({"for_abroad": 1}, '"for_abroad"'),
        ({"lose_standard": "no"}, '"lose_standard"'),
        ({"forabroad": True}, "'forabroad'"),
        ({"fields": []}, '"fields"'),
        ({"fields": None}, "no fields"),
        ({"type": 1}, '"type"'),
        ({"seal": ["x"]}, '"seal"'),
        ({"further_seals": "food"}, '"further_seals"'),
        ({"place": [1]}, '"place"'),
        ({"place": {"page": True, "seal_mm": [120, 40]}}, "place of the seal"),
        ({"place": {"page": 0, "seal_mm": [120, False]}}, "place of the seal"),
        ({"place": {"page": 0, "seal_mm": [120, 40], "rotate": 90}}, "place of the seal"),
        ({"seal": "\ud800"}, "sign that is no character"),
        ({"authority": "\udfff"}, "no such authority"),
        ({"further_seals": ["\ud800"]}, "sign that is no character"),
        ([], "no fields"),
        ([{"fields": FOOD}], "no fields"),
    ],
)
def test_data_beside_a_pdf_that_is_not_understood_stops_it(cli: Cli, change: object, word: str) -> None:
    sidecar, good, out = cli.folder / "data.json", cli.folder / "good.pdf", cli.folder / "sealed.pdf"
    whole = {"type": "FOOD", "fields": FOOD, "seal": None, **change} if isinstance(change, dict) else change
    sidecar.write_text(json.dumps(whole), encoding="utf-8")
    good.write_bytes(plain_pdf())
    assert cli.run("stamp", good, "--from", sidecar, "--out", out) in (1, 3)
    assert word in cli.err + cli.out, cli.err + cli.out
    assert not out.exists()


def test_data_beside_a_pdf_that_is_nested_too_deeply_is_refused(cli: Cli) -> None:
    sidecar, good = cli.folder / "data.json", cli.folder / "good.pdf"
    sidecar.write_text('{"fields":' * 100_000, encoding="utf-8")
    good.write_bytes(plain_pdf())
    assert cli.run("stamp", good, "--from", sidecar, "--out", cli.folder / "x.pdf") == 3
    assert "cannot be read" in cli.err


_NO_TEXT = b"\xff\xfe".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "arguments",
    [
        ("revoke", _NO_TEXT, "--reason", "歇业"),
        ("reinstate", _NO_TEXT, "--reason", "歇业"),
        ("revoke", "x", "--reason", _NO_TEXT),
        ("seal", "show", _NO_TEXT),
        ("seal", "history", _NO_TEXT),
        ("seal", "uses", _NO_TEXT),
        ("present", _NO_TEXT),
        ("verify", "--code", _NO_TEXT),
        ("type", "show", _NO_TEXT),
        ("authority", "show", _NO_TEXT),
        ("keys", "retire", _NO_TEXT),
        ("archive", "export", _NO_TEXT, "--out", "x"),
    ],
)
def test_arguments_that_are_no_text_are_refused_in_words(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli.run(*arguments) in (2, 3), cli.err
    assert cli.err.strip()


def test_a_batch_for_a_seal_that_is_no_text_is_refused_in_words(cli: Cli) -> None:
    folder = cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--seal", _NO_TEXT, "--out", folder) == 1
    assert "sign that is no character" in cli.err + cli.out
    rows = cli.folder / "rows.json"
    rows.write_text(
        json.dumps([{**FOOD, "seal": "\ud800"}, {**FOOD, "authority": "\ud800"}]), encoding="utf-8"
    )
    assert cli.run("issue", "FOOD", "--from", rows, "--out", folder) == 1
    assert not list(folder.glob("*.pdf"))


def test_a_replacement_from_a_file(cli: Cli) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--out", cli.folder / "pdf") == 0
    (pdf,) = (cli.folder / "pdf").glob("*.pdf")
    path = cli.csv(1)
    path.write_text(
        path.read_text(encoding="utf-8-sig").replace("11号1幢101室", "12号2幢202室"), encoding="utf-8"
    )
    new = cli.folder / "new"
    assert cli.run("replace", pdf.stem, "--reason", "迁址", "--from", path, "--out", new) == 0, cli.err
    (newer,) = new.glob("*.pdf")
    assert newer.stem.endswith("-v2")
    assert cli.run("verify", pdf) == 1
    assert cli.run("verify", newer) == 0


def test_registries_and_keys_are_listed(cli: Cli) -> None:
    for arguments in (("authority", "list"), ("seal", "list"), ("type", "list"), ("keys", "list")):
        assert cli.run(*arguments, "--json") == 0, cli.err
        assert len(cli.lines()) >= 2
        assert cli.run(*arguments) == 0
    assert cli.run("type", "show", "FOOD") == 0
    assert cli.run("seal", "show", "chuncheng-market-sm2", "--picture", cli.folder / "seal.svg") == 0
    assert (cli.folder / "seal.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "BEGIN" not in cli.out


@pytest.mark.parametrize("content", ["", "\n\n", "a,a\n1,2\n", 'x,"y\n', "\x00\x01"])
def test_a_file_that_is_no_table_is_refused_as_a_whole(cli: Cli, content: str) -> None:
    path = cli.folder / "bad.csv"
    path.write_text(content, encoding="utf-8")
    assert cli.run("issue", "FOOD", "--from", path) == 3
    assert cli.err.strip()


def test_gb18030_exports_are_read(cli: Cli) -> None:
    path = cli.csv(1)
    path.write_bytes(path.read_text(encoding="utf-8-sig").encode("gb18030"))
    assert cli.run("issue", "FOOD", "--from", path) == 0, cli.err


def test_resume_finishes_what_was_interrupted(cli: Cli) -> None:
    from support.world import make_world

    world = make_world(cli.data)
    issuing, before = world.site.issuer.issuing, world.site.ledger.log.size
    issuing.reserving.reserve(issuing.check(OPERATOR, world.application(1)))
    issuing.stamping.seal(issuing.reserving.reserve(issuing.check(OPERATOR, world.application(2))))
    world.close()
    assert cli.run("issue", "--resume", "--json") == 0, cli.err
    assert [line["result"] for line in cli.lines()] == ["issued", "issued"]
    assert cli.run("issue", "--resume") == 0
    assert "Finished 0" in cli.out
    assert cli.run("ledger", "recheck", "--json") == 0
    assert cli.lines()[0]["stored"] == before + 2 + 1, "with the first licence a status list is begun"


def test_a_file_whose_name_is_no_text_is_verified(cli: Cli) -> None:
    odd = os.fsencode(cli.folder) + b"/\xff.txt"
    with open(odd, "wb") as file:
        file.write(b"hello")
    assert cli.run("verify", os.fsdecode(odd)) == 3
    assert cli.run("verify", os.fsdecode(odd), "--json") == 3
    assert cli.lines()[0]["code"] == "NOT_OURS"


def test_text_of_others_is_neither_mark_up_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    console.out.print("a [/x] [red]b\x1b[2J.pdf")
    mark = "\N{REPLACEMENT CHARACTER}"
    assert capsys.readouterr().out.split("\n")[0] == f"a [/x] [red]b{mark}[2J.pdf"
    console.print_table(["name"], [["[/x]\x1b]0;title\x07"]])
    assert f"[/x]{mark}]0;title{mark}" in capsys.readouterr().out


def test_a_licence_number_names_what_it_is_the_only_one_of(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.run("issue", "FOOD", "--from", cli.csv(1, 2), "--out", cli.folder / "pdf") == 0, cli.err
    names = sorted(path.name for path in (cli.folder / "pdf").iterdir())
    assert names == ["FOOD-JY29901010000001.pdf", "FOOD-JY29901010000002.pdf"]
    assert cli.run("suspend", "JY29901010000001", "--reason", "调查") == 0, cli.err
    assert cli.run("reinstate", "ＪＹ29901010000001", "--reason", "调查结束") == 0, cli.err
    assert cli.run("present", names[0]) == 0, cli.err
    assert cli.run("archive", "versions", "JY29901010000001") == 0, cli.err
    assert cli.run("replace", "JY29901010000001", "--reason", "迁址", "--from", moved(cli)) == 0, cli.err
    assert cli.run("present", "JY29901010000001") == 0, "the current version is meant"
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    both = ("--basis", "retention-expired", "--requested-by", "甲", "--approved-by", "乙")
    assert cli.run("erase", "JY29901010000001", *both) == 3
    assert "有 2 份证照使用此编号" in cli.err
    assert cli.err.replace("\n", "").count("1.2.156.3005.2.") == 2
    assert cli.run("present", "JY0") == 3
    assert not [letter for letter in cli.err if letter.isascii() and letter.isalpha()]


def moved(cli: Cli) -> Path:
    path = cli.csv(1)
    words = path.read_text(encoding="utf-8-sig").replace("11号1幢101室", "12号2幢202室")
    path.write_text(words, encoding="utf-8")
    return path


def test_a_table_cuts_no_id(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "_width", 40)
    console.print_table(("identifier", "state"), [("1.2.156.3005.2." * 6, "valid"), ("short", "x" * 50)])
    assert "1.2.156.3005.2." * 6 in (shown := capsys.readouterr().out)
    assert "x" * 50 in shown
