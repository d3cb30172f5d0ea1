"""The program as a process: no crash has the exit code of a verdict, and no character set ends a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.limits import HANG_SECONDS
from support.world import world_in

from trust.sandbox.workers import Sandbox

PROGRAM = Path(sys.executable).with_name("yinzheng")
ROOT = Path(__file__).resolve().parents[2]
VERDICTS = (0, 1, 2, 3)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", **more}


def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=environment(**more),
        capture_output=True,
        check=False,
        timeout=HANG_SECONDS,
    )


@pytest.fixture(scope="module")
def files(
    template_folder: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """What is there to be verified, the bundle for it, and the time at which it is."""
    tmp_path = tmp_path_factory.mktemp("entry")
    world = world_in(template_folder, tmp_path / "data", sandbox)
    _, pdf = world.issue()
    _, rare = world.issue(2, holder_name="𠮷祥示例餐饮有限公司")
    found = {}
    for name, data in {
        "good": pdf,
        "rare": rare,
        "altered": pdf[:11] + bytes((pdf[11] ^ 1,)) + pdf[12:],
        "unread": b"\0nothing\0" * 9,
        "unsealed": b"",
    }.items():
        found[name] = tmp_path / f"{name}.pdf"
        found[name].write_bytes(data)
    found["bundle"] = world.bundle()
    found["missing"] = tmp_path / "missing.pdf"
    found["at"] = Path(world.clock.now().isoformat())
    yield found
    world.close()


def verify(files: dict[str, Path], *names: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    given = [files[name] for name in names]
    return run("verify", "--offline", files["bundle"], "--at", files["at"], "--json", *given, **more)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], 0),
        (["altered"], 1),
        (["unread"], 3),
        (["missing"], 3),
        (["good", "altered"], 1),
        (["altered", "unread"], 1),
        (["unread", "altered", "good"], 1),
        (["missing", "altered"], 1),
        (["good", "unread"], 3),
        (["missing", "good"], 3),
    ],
)
def test_of_several_inputs_none_hides_a_forgery(files: dict[str, Path], names: list[str], code: int) -> None:
    done = verify(files, *names)
    assert done.returncode == code, done.stderr
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [line["input"] for line in lines] == [files[name].name for name in names]


@pytest.mark.parametrize("codes", [(2, 0), (0, 2), (2, 3), (1, 2, 3, 0), (4, 1), ()])
def test_the_worst_of_exit_codes(codes: tuple[int, ...]) -> None:
    from trust.terminal.console import worst_of

    order = [4, 1, 3, 2, 0]
    assert worst_of(codes) == next((code for code in order if code in codes), 0)


@pytest.mark.parametrize(
    "spoil",
    [
        "raise ImportError('a library is missing')",
        "raise MemoryError",
        "raise RecursionError",
        "raise KeyError('x')",
        "raise SystemExit('words')",
        "import sys; sys.modules['typer'] = None",
    ],
)
def test_a_crash_is_never_a_verdict(spoil: str, tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import trust.app.entry as entry
class Failing:
    def find_spec(self, name, path=None, target=None):
        if name == "trust.app.main":
            sys.meta_path.remove(self)
            exec({spoil!r})
sys.meta_path.insert(0, Failing())
sys.argv = ["yinzheng", "--help"]
entry.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(YINZHENG_LANG="en"), capture_output=True, check=False
    )
    assert done.returncode == 4, (done.returncode, done.stderr)


@pytest.mark.parametrize(
    "before",
    ["sys.modules['trust.app.main'] = None", "import trust.app.main; trust.app.main.main = lambda: 1 / 0"],
)
def test_neither_is_what_nobody_foresaw(before: str) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {before}; import trust.app.entry as e; e.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 4, (done.returncode, done.stderr)


def test_a_closed_pipe_is_our_fault(files: dict[str, Path]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = ["verify", "--offline", files["bundle"], "--at", files["at"], files["good"]]
    done = subprocess.run(
        [PROGRAM, *map(str, command)], env=environment(), stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.returncode == 4, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_is_our_fault(files: dict[str, Path], form: tuple[str, ...]) -> None:
    command = ["verify", "--offline", files["bundle"], "--at", files["at"], *form, files["good"]]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, *map(str, command)],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_no_character_set_ends_a_command(files: dict[str, Path], encoding: str, language: str) -> None:
    more = {"PYTHONIOENCODING": encoding, "YINZHENG_LANG": language}
    command = ("verify", "--offline", files["bundle"], "--at", files["at"], files["rare"], files["altered"])
    done = run(*command, **more)
    assert done.returncode == 1, done.stderr.decode(encoding, "replace")
    told = done.stdout.decode(encoding)
    assert files["rare"].name in told
    assert files["altered"].name in told
    listed = run("--help", **more)
    assert listed.returncode == 0, listed.stderr


@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "ascii", "latin-1", "utf-8"])
def test_json_is_whole_in_every_character_set(files: dict[str, Path], encoding: str) -> None:
    """It has the texts of both languages, whichever is set."""
    more = {"PYTHONIOENCODING": encoding}
    machine = json.loads(verify(files, "rare", **more).stdout.decode(encoding))
    assert machine["code"] == "OK"
    assert "𠮷祥示例餐饮有限公司" in json.dumps(machine, ensure_ascii=False)


def test_no_error_of_usage_is_a_verdict_of_failed() -> None:
    for arguments in (
        ("verify",),
        ("no-such-command",),
        ("verify", "--no-such-option"),
        ("verify", "nothing-there"),
    ):
        done = run(*arguments)
        assert done.returncode in (3, 4), (arguments, done.returncode, done.stderr)
