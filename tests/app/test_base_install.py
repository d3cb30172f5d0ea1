"""The base install verifies offline without a server's libraries: a bank or a court needs no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.limits import HANG_SECONDS
from support.product import modules_of_extra_only
from support.world import World

from trust.model.actor import OPERATOR

SERVER_ONLY = sorted(modules_of_extra_only("server"))

PROGRAM = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {SERVER_ONLY!r}:
            raise ImportError(name + " is not in the base install")
sys.meta_path.insert(0, Blocked())
import verifier.checks.examine, verifier.checks.pictures  # what the sandbox imports
from trust.app.main import main
main()
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        timeout=HANG_SECONDS,
    )


def test_a_servers_libraries_are_known_here() -> None:
    known = {
        "alembic",
        "fastapi",
        "pkcs11",
        "psycopg",
        "qrcode",
        "sqlalchemy",
        "starlette",
        "typst",
        "uvicorn",
    }
    assert known < set(SERVER_ONLY)
    assert not {"cbor2", "cryptography", "pyhanko", "typer"} & set(SERVER_ONLY)


def test_the_base_install_verifies_offline(world: World, tmp_path: Path) -> None:
    # `make_world` stands at a fixed time; the program asks the real clock, so the time is given.
    _, pdf = world.issue()
    file = tmp_path / "licence.pdf"
    file.write_bytes(pdf)
    at = world.clock.now().isoformat()
    done = run("verify", "--offline", world.bundle(), "--at", at, file)
    assert done.returncode == 0, done.stderr + done.stdout
    file.write_bytes(pdf[:-1] + b" ")
    assert run("verify", "--offline", world.bundle(), "--at", at, file).returncode == 1


def test_the_base_install_checks_a_package_of_an_archive(world: World, tmp_path: Path) -> None:
    issued, _ = world.issue()
    package = tmp_path / "package.zip"
    package.write_bytes(world.site.packages.export_package(OPERATOR, issued.identifier).package)
    done = run("archive", "check", package)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_base_install_says_what_is_missing_for_the_rest() -> None:
    done = run("type", "list")
    assert done.returncode == 4
    assert "yinzheng[server]" in done.stderr
