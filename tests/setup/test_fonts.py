"""The fonts that pages are set in are the files that were compared with the published originals."""

from __future__ import annotations

import re
from hashlib import sha256

from setup.newer_releases import ROOT

from issuer.rendering import fonts


def test_every_font_is_the_one_that_was_compared() -> None:
    table = (ROOT / "docs" / "DEPENDENCIES.md").read_text("utf-8")
    written = dict(re.findall(r"^\| (Noto\S+) \| \S+ \| `([0-9a-f]{64})` \|$", table, re.MULTILINE))
    assert len(fonts.typst_fonts().families()) > 6
    folders = [fonts._folder(package) for package in fonts._PACKAGES]
    found = {
        file.name: sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in folder.rglob("*")
        if file.suffix in (".otf", ".ttf", ".ttc", ".otc")
    }
    assert found == written
    assert len(found) == 7
