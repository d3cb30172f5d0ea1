"""A service whose keys live in a token, all but those of SM2: licences that verify, and a token that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import Cli
from support.token import PIN, RemoteToken, SoftHsm, remote_token
from support.world import MARKET, START, StoppedClock, World, settings_at

from issuer.sealing.pdf import SealInUse
from issuer.seals.registry import ESeal
from issuer.seals.using import SealUses
from keys.custody import KeyPurpose
from keys.suites import TOKEN_SUITES, Suite
from trust.app.compose import open_site
from trust.app.settings import TokenSettings, parse_keeps, read_settings
from trust.model.actor import OPERATOR
from trust.model.errors import KeyUnavailable, Malformed
from trust.model.report import Verdict
from trust.sandbox.workers import Sandbox

EVERYTHING = frozenset((purpose, suite) for purpose in KeyPurpose for suite in TOKEN_SUITES)


def token_world(
    folder: Path, module: Path, token: str, sandbox: Sandbox, keeps: frozenset[tuple[KeyPurpose, Suite]]
) -> World:
    settings = replace(
        settings_at(folder),
        token=TokenSettings(module, token, PIN, folder / "token-pin", keeps),
    )
    clock = StoppedClock(START)
    site = open_site(settings, create=True, clock=clock, sandbox=sandbox)
    site.issuer.authorities.add(OPERATOR, MARKET)
    for suite in (Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256):
        name = suite.value.split("-")[0].lower()
        site.issuer.seals.make(OPERATOR, f"chuncheng-market-{name}", MARKET.authority_id, suite)
    return World(site, clock, folder)


def test_licences_sealed_in_a_token_pass_online_and_offline(
    softhsm: SoftHsm, token: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    world = token_world(tmp_path / "data", softhsm.module, token, sandbox, EVERYTHING)
    try:
        keys = world.site.register.keys
        assert {r.suite for r in keys.records() if keys.place_of(r.key_id) == "file"} == {Suite.SM2_SM3}
        sealed = [
            world.issue(number, suite=suite)[1] for number, suite in enumerate(("rsa3072", "p256", "sm2"))
        ]
        bundle = world.bundle()
        for pdf in sealed:
            assert world.verify(pdf).verdict is Verdict.PASSED
            assert world.verify_offline(pdf, bundle).verdict is Verdict.PASSED
    finally:
        world.close()


@pytest.fixture
def remote(softhsm: SoftHsm, token: str) -> Iterator[RemoteToken]:
    with remote_token(softhsm) as made:
        yield made


def test_a_batch_survives_a_token_that_restarts(
    remote: RemoteToken, token: str, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeps = parse_keeps("seal")
    world = token_world(tmp_path / "data", remote.module, token, sandbox, keeps)
    try:
        issuing = world.site.issuer.issuing
        batch = [world.application(number, seal="chuncheng-market-rsa3072") for number in range(1, 6)]
        using = type(world.site.issuer.seals.using)
        opened = using.open
        count: list[int] = []

        def open_and_lose(self: SealUses, seal: ESeal) -> SealInUse:
            count.append(1)
            in_use = opened(self, seal)
            if len(count) == 3:
                remote.stop()  # keys are open, and then the device is gone
            return in_use

        monkeypatch.setattr(using, "open", open_and_lose)
        with pytest.raises(KeyUnavailable) as caught:
            issuing.issue(OPERATOR, batch)
        assert caught.value.code == "TOKEN_UNAVAILABLE"
        assert len(count) == 5
        size = world.site.ledger.log.publish().size
        assert [entry for entry in world.site.issuer.issuing.issue(OPERATOR, []) if entry.error] == []
        waiting = issuing.resume_unfinished()
        errors = [outcome.error for outcome in waiting if outcome.error is not None]
        assert {type(error) for error in errors} == {KeyUnavailable}
        # Keys in files are not touched by it.
        assert world.issue(9, suite="sm2")[0].identifier
        remote.start()
        done = issuing.resume_unfinished()
        assert [outcome.error for outcome in done] == [None] * len(errors)
        again = issuing.issue(OPERATOR, batch)
        assert all(outcome.error is None and outcome.repeated for outcome in again)
        assert world.site.ledger.log.publish().size == size + 6, "each licence has exactly one entry"
        for outcome in again:
            assert outcome.issued is not None
            assert world.verify(issuing.issued_file(outcome.issued.pid)).verdict is Verdict.PASSED
    finally:
        world.close()


def test_settings_say_what_lives_in_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings(tmp_path).token is None
    monkeypatch.setenv("YINZHENG_PKCS11_MODULE", "/opt/vendor/module.so")
    with pytest.raises(Malformed):
        read_settings(tmp_path)
    monkeypatch.setenv("YINZHENG_PKCS11_TOKEN", "seals")
    monkeypatch.setenv("YINZHENG_PKCS11_KEEPS", "seal, checkpoint:Ed25519")
    settings = read_settings(tmp_path)
    assert settings.token is not None
    assert settings.token.keeps == {
        *((KeyPurpose.SEAL, suite) for suite in TOKEN_SUITES),
        (KeyPurpose.CHECKPOINT, Suite.ED25519),
    }
    with pytest.raises(KeyUnavailable, match="PIN"):
        settings.token.read_pin()
    (tmp_path / "token-pin").write_text("2468\n")
    assert settings.token.read_pin() == "2468"
    monkeypatch.setenv("YINZHENG_PKCS11_PIN", "1357-secret")
    settings = read_settings(tmp_path)
    assert settings.token is not None
    assert settings.token.read_pin() == "1357-secret"
    assert "1357-secret" not in repr(settings)
    for wrong in ("seals", "seal:SM2-SM3", "seal:RSA"):
        with pytest.raises(Malformed):
            parse_keeps(wrong)


def test_the_command_line_makes_keys_where_it_is_told(
    cli: Cli, softhsm: SoftHsm, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = ("keys", "new", "--purpose", "seal", "--label", "a", "--json")
    assert cli.run(*new, "--suite", "P256-SHA256") == 0, cli.err
    assert cli.lines()[0]["provider"] == "file"
    assert "small installations" in cli.err
    assert cli.run(*new, "--suite", "P256-SHA256", "--provider", "pkcs11") == 3
    monkeypatch.setenv("YINZHENG_PKCS11_MODULE", str(softhsm.module))
    monkeypatch.setenv("YINZHENG_PKCS11_TOKEN", token)
    monkeypatch.setenv("YINZHENG_PKCS11_PIN", PIN)
    assert cli.run(*new, "--suite", "P256-SHA256") == 0, cli.err
    (made,) = cli.lines()
    assert made["provider"] == "pkcs11"
    assert not cli.err
    assert cli.run(*new, "--suite", "SM2-SM3", "--provider", "pkcs11") == 4
    assert "no mechanism for SM2-SM3" in cli.err
    assert cli.run(*new, "--suite", "RSA") == 3
    assert cli.run("keys", "list", "--json") == 0
    listed = {line["id"]: line["provider"] for line in cli.lines()}
    assert listed[made["id"]] == "pkcs11"
    assert PIN not in cli.out + cli.err
