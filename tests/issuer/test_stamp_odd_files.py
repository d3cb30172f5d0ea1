"""Odd PDFs of departments at the command line: sealed and verified, or refused in words that fit."""

from __future__ import annotations

import io
import json

import pytest
from pyhanko.pdf_utils.writer import copy_into_new_writer
from support import odd_pdfs
from support.cli import Cli
from support.world import FOOD

from trust.pdf.reading import open_pdf

_CASES = {
    "hybrid": odd_pdfs.hybrid,
    "byte-order mark": odd_pdfs.AROUND["a byte-order mark"],
    "zeros": odd_pdfs.AROUND["zeros after the end"],
    "free entry": odd_pdfs.FREE["a free entry of generation 0"],
    "begins with 1": odd_pdfs.LOOSE["a table that begins with 1"],
}


@pytest.fixture
def sidecar(cli: Cli) -> str:
    path = cli.folder / "data.json"
    path.write_text(json.dumps({"type": "FOOD", "fields": FOOD}), encoding="utf-8")
    return str(path)


def test_odd_files_are_stamped_and_verify(cli: Cli, sidecar: str) -> None:
    for name, make in _CASES.items():
        file, out = cli.folder / "letter.pdf", cli.folder / f"{name}.pdf"
        file.write_bytes(make())
        assert cli.run("stamp", file, "--from", sidecar, "--out", out) == 0, (name, cli.err)
        assert cli.run("verify", out) == 0, (name, cli.out)
        sidecar_of_next = json.loads((cli.folder / "data.json").read_text("utf-8"))
        number = sidecar_of_next["fields"]["licence_number"]
        sidecar_of_next["fields"]["licence_number"] = f"{number[:-1]}{(int(number[-1]) + 1) % 10}"
        (cli.folder / "data.json").write_text(json.dumps(sidecar_of_next), encoding="utf-8")


@pytest.mark.parametrize("user", ["", "secret"])
def test_a_protected_file_is_refused_by_what_protects_it(cli: Cli, sidecar: str, user: str) -> None:
    writer = copy_into_new_writer(open_pdf(odd_pdfs.letter()))
    writer.encrypt("owner", user)
    out = io.BytesIO()
    writer.write(out)
    file = cli.folder / "letter.pdf"
    file.write_bytes(out.getvalue())
    assert cli.run("stamp", file, "--from", sidecar, "--out", cli.folder / "out.pdf") == 3
    assert ("takes a password to open" if user else "owner password") in " ".join(cli.err.split())
