"""Programs that others would write: a client generated from the served description, and the guide's curl commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.served import ROOT, Served

GENERATOR = ROOT / "build" / "client" / "bin" / "openapi-python-client"
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


GUIDES = ("docs/API.md", "docs/API.zh-CN.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Site:
    served: Served
    key: str


@pytest.fixture(scope="module")
def site(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served process, and the API key that the first command of the guide makes."""
    folder = tmp_path_factory.mktemp("clients")
    data = folder / "data"
    shutil.copytree(template_folder, data)
    made = subprocess.run(
        ["bash", "-c", blocks_of(GUIDES[0])[0].replace("cc-market", "chuncheng-market")],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "YINZHENG_DATA": str(data),
            "YINZHENG_PASSPHRASE": "for tests only",
            "YINZHENG_KDF_ROUNDS": "1000",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    (key,) = re.findall(r"yz_live_[a-z2-7]+_[a-z2-7]+", made.stdout)
    served = Served(data, folder / "log").start()
    yield Site(served, key)
    served.close()


def blocks_of(guide: str) -> list[str]:
    return BLOCK.findall((ROOT / guide).read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)")
def test_the_guides_commands_do_what_it_says(site: Site, tmp_path: Path) -> None:
    """All in one shell, in their order. Below each curl command stands the status of its answer."""
    script = "\n".join(blocks_of(GUIDES[0])[1:])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{_CURL}\n{script}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "API": f"{site.served.url}/api/v1", "KEY": site.key},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    answered = re.findall(r"^answered (\d+)$", done.stderr, re.MULTILINE)
    assert len(answered) == script.count("curl ") > 20
    assert answered == re.findall(r"^# (\d{3})$", script, re.MULTILINE)


_CURL = "curl() { command curl -sS --noproxy '*' -w '%{stderr}answered %{http_code}\\n' \"$@\"; }"


def test_both_guides_have_the_same_commands() -> None:
    assert blocks_of(GUIDES[0]) == blocks_of(GUIDES[1])


@pytest.mark.skipif(not GENERATOR.exists(), reason="`make test` installs the generator into build/client")
def test_a_generated_client_issues_reads_back_and_revokes(site: Site, tmp_path: Path) -> None:
    described = site.served.get("/api/v1/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(described), encoding="utf-8")
    answers = [
        media_type
        for path in described["paths"].values()
        for operation in path.values()
        for answer in operation["responses"].values()
        for media_type in answer.get("content", {})
    ]
    # Of files the generator knows one media type.
    files = {each: "application/octet-stream" for each in answers if not each.endswith(("json", "plain"))}
    settings = {"content_type_overrides": files, "post_hooks": []}
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    generate = [
        str(GENERATOR),
        "generate",
        "--path",
        "openapi.json",
        "--meta",
        "none",
        "--output-path",
        "made",
    ]
    made = subprocess.run(
        [*generate, "--config", "settings.json", "--fail-on-warning"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    walk = ROOT / "tests" / "support" / "generated_walk.py"
    done = subprocess.run(
        [GENERATOR.with_name("python"), "-P", walk, site.served.url, site.key],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "is_read_back": True,
        "file": "%PDF-",
        "status": ["VALID", "REVOKED"],
        "codes": ["OK", "REVOKED"],
        "is_of_it": True,
        "refused": [[412, "PRECONDITION_FAILED"], [401, "UNAUTHENTICATED"]],
    }
