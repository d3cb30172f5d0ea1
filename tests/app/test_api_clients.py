"""Programs that others would write: a client generated from the served description, and the guide's curl commands."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.served import ROOT, Served
from support.world import make_world

from trust.model.actor import OPERATOR, SCOPES

GENERATOR = ROOT / "build" / "client" / "bin" / "openapi-python-client"
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@dataclass(frozen=True)
class Site:
    served: Served
    key: str


@pytest.fixture(scope="module")
def site(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("clients")
    data = folder / "data"
    shutil.copytree(template_folder, data)
    world = make_world(data)
    key = world.service.access.clients.create_api_key(
        OPERATOR, "market", authority_id="chuncheng-market", scopes=SCOPES, days=3 * 365
    )
    world.close()
    served = Served(data, folder / "log").start()
    yield Site(served, key)
    served.close()


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
