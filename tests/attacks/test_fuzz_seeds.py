"""The cases that fuzzing kept: each is made again from the genuine files of this run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attacks.fuzz import Fuzzer, read_seeds
from attacks.genuine import make_genuine
from support.world import make_world

from keys import asn1


def test_what_fuzzing_kept_still_holds(template_folder: Path, tmp_path: Path) -> None:
    asn1.register()
    shutil.copytree(template_folder, tmp_path / "data")
    world = make_world(tmp_path / "data")
    try:
        fuzzer = Fuzzer(make_genuine(world))
        seeds = read_seeds()
        ends = {fuzzer.run(case) for case in seeds}
    finally:
        world.close()
    assert len(seeds) > 50
    assert len(ends) > 30, "they lead to as many places as when they were found"


def test_the_fuzzer_would_see_a_false_pass(
    template_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import attacks.fuzz

    asn1.register()
    shutil.copytree(template_folder, tmp_path / "data")
    world = make_world(tmp_path / "data")
    try:
        fuzzer = Fuzzer(make_genuine(world))
        genuine = fuzzer.genuine.licence
        monkeypatch.setattr(attacks.fuzz, "mutated", lambda data, chance, others: genuine)
        # A whole licence, where another file was changed.
        with pytest.raises(AssertionError, match="passed"):
            list(map(fuzzer.run, range(200)))
    finally:
        world.close()
