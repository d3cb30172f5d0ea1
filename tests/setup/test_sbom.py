"""The lists of what is installed: complete, the same each time, and naming neither a path nor a registry."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from setup.newer_releases import ROOT
from setup.test_locks import read_lock, version_of

PYTHON = ROOT / "build" / "sbom" / "bin" / "python"
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="`make sbom` was not run here")


def listed(out: Path, *locks: Path) -> subprocess.CompletedProcess[str]:
    command = [
        PYTHON,
        ROOT / ".ci" / "sbom.py",
        "--out",
        out,
        "--installed",
        sysconfig.get_path("purelib"),
        *locks,
    ]
    return subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bom")
    done = listed(out, *(ROOT / name for name in LOCKS))
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_listed_with_its_hashes(lists: Path, name: str) -> None:
    bom = json.loads((lists / name).with_suffix(".cdx.json").read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    found = {each["name"]: each for each in bom["components"]}
    locked = read_lock(name)
    assert {each: item["version"] for each, item in found.items()} == {
        each: version_of(requirement) for each, requirement in locked.items()
    }
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text())
    hashes = {block.partition("==")[0]: set(re.findall(r"sha256:(\w+)", block)) for block in blocks}
    assert {
        each: {digest["content"] for digest in item["hashes"] if digest["alg"] == "SHA-256"}
        for each, item in found.items()
    } == hashes
    markers = {
        each: next((p["value"] for p in item.get("properties", ()) if p["name"] == "marker"), None)
        for each, item in found.items()
    }
    assert {each for each, marker in markers.items() if marker} == {
        each for each, requirement in locked.items() if requirement.marker
    }


def test_licences_are_named_where_they_are_known(lists: Path) -> None:
    bom = json.loads((lists / "requirements.cdx.json").read_text())
    named = {each["name"]: json.dumps(each["licenses"]) for each in bom["components"] if "licenses" in each}
    assert len(named) > 0.9 * len(bom["components"])
    assert "MIT" in named["pyhanko"]
    assert "LGPL" in named["psycopg"]


def test_the_same_locks_give_the_same_bytes_and_no_place_is_named(lists: Path, tmp_path: Path) -> None:
    assert listed(tmp_path, *(ROOT / name for name in LOCKS)).returncode == 0
    for name in LOCKS:
        made = (lists / name).with_suffix(".cdx.json").read_bytes()
        assert (tmp_path / name).with_suffix(".cdx.json").read_bytes() == made
        assert re.findall(rb"\w+://[^\"]*", made) == [b"http://cyclonedx.org/schema/bom-1.6.schema.json"]
        assert str(ROOT).encode() not in made
        assert b'"timestamp"' not in made


def test_a_line_that_is_not_understood_is_no_gap_in_the_list(tmp_path: Path) -> None:
    whole = (ROOT / "requirements-fuzz.lock").read_text()
    for spoiled in (
        whole.replace("==", ">="),
        whole.replace("sha256:", "md5:"),
        f"{whole}unpinned\n",
        f"{whole}other==1.0\n",
    ):
        lock = tmp_path / "requirements-fuzz.lock"
        lock.write_text(spoiled)
        done = listed(tmp_path / "out", lock)
        assert done.returncode == 1
        assert "not understood" in done.stderr
        assert not (tmp_path / "out" / "requirements-fuzz.cdx.json").exists()
