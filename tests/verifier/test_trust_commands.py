"""`yinzheng trust`: other deployments and CAs outside, by address and by file; and our own bundle over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import pem
from fastapi.testclient import TestClient
from support.cli import Cli
from support.plain_http import Answer, PlainServer, plain_server
from support.producers import Producer, contract
from support.world import World, make_neighbour, world_in

from trust.app.site import create_app
from trust.encoding.trust_list import MemberUse, TrustState
from trust.encoding.well_known import BUNDLE_PATH
from trust.model.actor import OPERATOR
from trust.model.status import StatusAct
from trust.sandbox.workers import Sandbox
from verifier.evidence.bundle import unpack_bundle
from verifier.evidence.trust_list import root_fingerprint
from verifier.membership.keeping import Proposal

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@dataclass
class Neighbour:
    world: World
    server: PlainServer

    @property
    def root(self) -> str:
        return root_fingerprint(self.world.site.issuer.publishing.roots()[0])

    def publish(self) -> bytes:
        with TestClient(create_app(self.world.site)) as client:
            given = client.get(BUNDLE_PATH)
        kind = {"Content-Type": given.headers["content-type"]}
        self.server.answers[BUNDLE_PATH] = Answer(given.content, headers=kind)
        return given.content


@pytest.fixture
def neighbour(neighbour_template: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[Neighbour]:
    now = datetime.now(UTC)
    shutil.copytree(neighbour_template, tmp_path / "neighbour")
    world = make_neighbour(tmp_path / "neighbour", sandbox=sandbox, at=now - timedelta(minutes=2))
    with world.site, plain_server() as server:
        yield Neighbour(world, server)


def add(cli: Cli, neighbour: Neighbour, *more: str, source: str | Path | None = None) -> int:
    return cli.run(
        "trust", "add", "jinchuan", "--from", source or neighbour.server.url, "--root", neighbour.root,
        "--name-zh", "锦川电子证照平台", "--name-en", "Jinchuan e-certificates", *more,
    )  # fmt: skip


def test_a_deployment_is_added_by_its_address_and_its_lists_are_renewed(
    cli: Cli, neighbour: Neighbour, tmp_path: Path
) -> None:
    issued, pdf = neighbour.world.issue(1)
    file = tmp_path / "licence.pdf"
    file.write_bytes(pdf)
    neighbour.publish()
    assert cli.run("verify", file) == 2
    assert "UNKNOWN_ISSUER" in cli.out
    assert add(cli, neighbour, "--division", "98", "--json") == 0, cli.err
    (told,) = cli.lines()
    assert (told["id"], told["state"], told["problem"]) == ("jinchuan", "active", None)
    assert told["hosts"] == ["V.JINCHUAN.EXAMPLE"]
    assert told["address"] == neighbour.server.url
    assert cli.run("verify", file) == 0, cli.out
    assert "From another deployment in the trust list: Jinchuan e-certificates" in cli.out
    for bundle in (tmp_path / "bundle", tmp_path / "bundle.zip"):
        assert cli.run("bundle", bundle) == 0
        assert cli.run("verify", "--offline", bundle, file) == 0, cli.out
    neighbour.world.clock.advance(minutes=1)
    neighbour.world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    assert cli.run("verify", file) == 0, "nothing is fetched while something is verified"
    neighbour.publish()
    assert cli.run("trust", "refresh") == 0, cli.err
    assert cli.run("verify", file) == 1
    assert "REVOKED" in cli.out
    assert cli.run("trust", "list") == 0
    assert "jinchuan" in cli.out
    neighbour.server.answers[BUNDLE_PATH] = Answer(status=503)
    assert cli.run("trust", "refresh", "jinchuan") == 4
    assert "HTTP 503" in cli.err
    assert cli.run("verify", file) == 1, "what is kept stays"
    assert cli.run("trust", "compromised", "jinchuan", "--by", "甲", "--approved-by", "乙") == 0
    assert cli.run("verify", file) == 2
    assert "UNKNOWN_ISSUER" in cli.out


def test_a_deployment_is_added_by_a_file_and_changed(
    cli: Cli, neighbour: Neighbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pdf = neighbour.world.issue(1)
    file, packed, folder = tmp_path / "licence.pdf", tmp_path / "theirs.zip", tmp_path / "theirs"
    file.write_bytes(pdf)
    packed.write_bytes(neighbour.publish())
    for name, data in unpack_bundle(packed.read_bytes()).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    assert add(cli, neighbour, source=tmp_path / "nothing.zip") == 3
    assert add(cli, neighbour, source=file) == 3
    assert "zip" in cli.err
    assert add(cli, neighbour, "--use", "everything", source=packed) == 3
    assert add(cli, neighbour, source=packed) == 0, cli.err
    assert cli.run("verify", file) == 0, cli.out
    assert add(cli, neighbour, source=folder) == 3, "it is there already"
    assert add(cli, neighbour, "--use", "present", "--change", source=folder) == 0, cli.err
    assert cli.run("verify", file) == 2
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("trust", "refresh") == 0, "a member without an address is not asked"
    assert cli.run("trust", "refresh", "jinchuan") == 3
    assert "没有地址" in cli.err
    assert cli.run("trust", "refresh", "jinchuan", "--from", packed) == 0, cli.err
    assert cli.run("trust", "retire", "jinchuan") == 0
    assert "retired" in cli.out


def test_lists_are_fetched_when_they_are_due(world: World, neighbour: Neighbour) -> None:
    neighbour.world.clock.at = world.clock.at
    packed = neighbour.publish()
    bundles, asked = world.site.verifier.member_bundles, neighbour.server.asked
    proposal = Proposal("jinchuan", "锦川", "Jinchuan", [neighbour.root], address=f"{neighbour.server.url}/")
    bundles.propose(OPERATOR, proposal, packed, is_new=True)
    bundles.run()
    assert asked == []
    world.clock.advance(minutes=11)
    bundles.run()
    assert [path for path, _ in asked] == [BUNDLE_PATH]
    neighbour.server.answers[BUNDLE_PATH] = Answer(b"<html>", headers={"Content-Type": "text/html"})
    world.clock.advance(minutes=11)
    bundles.run()
    (kept,) = bundles.list()
    assert kept.problem is not None
    assert kept.problem.startswith("FETCH_KIND")
    assert kept.seq is not None
    world.clock.advance(minutes=1)
    bundles.run()
    assert len(asked) == 2, "after a failure it waits two minutes"
    neighbour.publish()
    world.clock.advance(minutes=1)
    bundles.run()
    assert bundles.list()[0].problem is None


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        (
            "en",
            (
                "Jinchuan e-certificates",
                "trusted",
                "9802",
                "seals on files",
                "number 1, issued",
                "Compare them",
            ),
        ),
        ("zh-CN", ("锦川电子证照平台", "受信任", "9802", "文件上的印章", "第 1 号", "逐字比对")),
    ],
)
def test_the_page_says_who_is_trusted_for_what(
    world: World, neighbour: Neighbour, language: str, wanted: tuple[str, ...]
) -> None:
    neighbour.world.clock.at = world.clock.at
    entry = Proposal(
        "jinchuan", "锦川电子证照平台", "Jinchuan e-certificates", [neighbour.root], divisions=["9802"],
        uses=[MemberUse.SEAL],
    )  # fmt: skip
    world.site.verifier.member_bundles.propose(OPERATOR, entry, neighbour.publish(), is_new=True)
    with TestClient(create_app(world.site)) as client:
        page = client.get(f"/trust?lang={language}").text
        for text in wanted:
            assert text in page
        for root in (
            *world.site.issuer.publishing.roots(),
            *neighbour.world.site.issuer.publishing.roots()[:1],
        ):
            fingerprint = root_fingerprint(root)
            assert f"{fingerprint[:8]} {fingerprint[8:16]}" in page
        world.site.verifier.members.withdraw(
            OPERATOR, "jinchuan", TrustState.COMPROMISED, approved_by="second"
        )
        assert {"en": "not trusted", "zh-CN": "已终止信任"}[language] in client.get(
            f"/trust?lang={language}"
        ).text


def test_our_bundle_can_be_fetched_by_anyone(
    cli: Cli, template_folder: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    world = world_in(template_folder, tmp_path / "ours", sandbox)
    _, pdf = world.issue(1)
    with TestClient(create_app(world.site)) as client:
        given = client.get(BUNDLE_PATH)
        assert given.headers["access-control-allow-origin"] == "*"
        again = client.get(BUNDLE_PATH, headers={"If-None-Match": given.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(BUNDLE_PATH).headers["etag"] == given.headers["etag"]
    bundle, file = tmp_path / "bundle.zip", tmp_path / "licence.pdf"
    bundle.write_bytes(given.content)
    file.write_bytes(pdf)
    root = root_fingerprint(world.site.issuer.publishing.roots()[0])
    world.close()
    at = world.clock.now().isoformat()
    assert cli.run("verify", "--offline", bundle, "--trust-root", root, "--at", at, file) == 0, cli.out
    bundle.write_bytes(given.content[:-1])
    assert cli.run("verify", "--offline", bundle, "--at", at, file) == 3
    assert "zip" in cli.err


def test_files_of_others_are_judged_under_a_ca_in_the_trust_list(cli: Cli, tmp_path: Path) -> None:
    made = Producer("ecdsa", at=datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5))
    file, ca, not_ca = tmp_path / "contract.pdf", tmp_path / "ca.pem", tmp_path / "signer.pem"
    file.write_bytes(made.sign(contract(), "B-LT"))
    ca.write_bytes(pem.armor("CERTIFICATE", made.root.der))
    not_ca.write_bytes(pem.armor("CERTIFICATE", made.signer.der))
    assert cli.run("verify", file) == 2
    assert "UNKNOWN_ISSUER" in cli.out
    names = ("--name-zh", "城南银行", "--name-en", "Chengnan Bank")
    assert cli.run("trust", "add-ca", not_ca, *names) == 3
    assert "not that of a CA" in cli.err
    assert cli.run("trust", "add-ca", ca, *names, "--json") == 0, cli.err
    anchor = str(cli.lines()[0]["ca"])
    assert cli.run("trust", "add-ca", ca, *names) == 3
    assert cli.run("verify", file) == 0, cli.out
    assert "Signed" in cli.out
    assert "e-certificate of this system" in cli.out
    assert cli.run("bundle", tmp_path / "bundle") == 0
    assert cli.run("verify", "--offline", tmp_path / "bundle", file) == 0, cli.out
    spoilt = bytearray(file.read_bytes())
    spoilt[200] ^= 1
    (tmp_path / "spoilt.pdf").write_bytes(spoilt)
    assert cli.run("verify", tmp_path / "spoilt.pdf") != 0
    assert cli.run("trust", "list") == 0
    assert "Chengnan Bank" in cli.out
    assert cli.run("trust", "remove-ca", "00") == 3
    assert cli.run("trust", "remove-ca", anchor) == 0
    assert cli.run("verify", file) == 2
