"""Keys in a folder of their own, and metrics at an address of the operators' own: set up, issued and served so."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.cli import Cli
from support.served import Served, free_port
from support.world import FOR_OPERATORS, METRICS_TOKEN, World

from trust.app.settings import read_settings
from trust.app.site import create_app
from trust.model.errors import Malformed

PRIVATE = re.compile(rb"PRIVATE KEY|service-secret|\.key\.pem")


@pytest.fixture
def apart(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A command line for a data folder that is not there yet, with keys and passphrase elsewhere."""
    monkeypatch.setenv("YINZHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("YINZHENG_KEYS", str(tmp_path / "vault" / "keys"))
    monkeypatch.setenv("YINZHENG_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.setenv("YINZHENG_HOST", "v.chuncheng.example")
    monkeypatch.setenv("YINZHENG_KDF_ROUNDS", "1000")
    monkeypatch.setenv("YINZHENG_LANG", "en")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "passphrase").write_text("kept by somebody else\n")
    (tmp_path / "vault").mkdir()
    return Cli(tmp_path / "data", capsys, monkeypatch)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_keys_and_passphrase_live_apart_from_the_data(
    apart: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, keys = tmp_path / "data", tmp_path / "vault" / "keys"
    market = ("--uscc", "11990100MB9X100103", "--name-zh", "春城市市场监督管理局", "--name-en", "Chuncheng")
    assert apart.run("init") == 0, apart.err
    assert apart.run("authority", "add", "market", *market, "--function", "market-regulation") == 0, apart.err
    assert apart.run("seal", "make", "market-p256", "--authority", "market", "--suite", "P256-SHA256") == 0
    files = tmp_path / "pdf"
    assert apart.run("issue", "FOOD", "--from", apart.csv(1), "--out", files, "--authority", "market") == 0, (
        apart.err
    )
    (licence,) = files.glob("*.pdf")
    metrics = free_port()
    served = Served(
        data, tmp_path / "log", YINZHENG_PASSPHRASE="", YINZHENG_METRICS_LISTEN=f"127.0.0.1:{metrics}"
    )
    served.start()
    try:
        assert served.get("/readyz").json()["parts"]["keys"]
        report = served.post("/api/v1/verifications", files={"file": ("x.pdf", licence.read_bytes())}).json()
        assert report["verdict"] == "PASSED", report
        assert served.get("/metrics").status_code == 404
        served.url = f"http://127.0.0.1:{metrics}"
        assert 'ecert_verifications_total{code="' in served.get("/metrics").text
        assert served.get("/readyz").status_code == 404, "nothing but metrics is there"
    finally:
        served.close()

    assert [file for file in data.rglob("*") if file.is_file() and PRIVATE.search(file.read_bytes())] == []
    assert [file.name for file in data.rglob("*") if PRIVATE.search(file.name.encode())] == []
    assert not (data / "keys").exists()
    assert not (data / "passphrase").exists()
    assert len(list(keys.glob("*.key.pem"))) >= 8
    assert (keys / "service-secret").stat().st_mode & 0o777 == 0o600

    # What looks after a ledger finds them there too.
    for command in (
        ("ledger", "recheck"),
        ("ledger", "recover", "--force"),
        ("ledger", "accept-register", "--yes"),
        ("bundle", str(tmp_path / "bundle.zip")),
        (
            "ledger",
            "recover",
            "--close",
            "v.chuncheng.example/ledger",
            "--begin",
            "v.chuncheng.example/ledger/2",
        ),
        ("ledger", "accept-register", "--yes"),
        ("ledger", "recheck"),
    ):
        assert apart.run(*command) == 0, (command, apart.err)
    assert not (data / "keys").exists()

    # Whoever forgets the setting is told of it, and no second set of keys is made.
    monkeypatch.delenv("YINZHENG_KEYS")
    for forgetful in (("issue", "FOOD", "--from", str(apart.csv(2))), ("init",)):
        assert apart.run(*forgetful) == 4
        assert "YINZHENG_KEYS" in apart.err
        assert not (data / "keys").exists()


def test_metrics_are_given_to_the_operators_token_and_to_nobody_else(world: World) -> None:
    with TestClient(create_app(world.site), client=("127.0.0.1", 1)) as client:
        refused: tuple[dict[str, str], ...] = (
            {},
            {"authorization": "Bearer "},
            {"authorization": METRICS_TOKEN},
            {"authorization": f"Bearer {METRICS_TOKEN[:-1]}"},
            {"authorization": f"Bearer {METRICS_TOKEN}x"},
            {"authorization": f"Basic {METRICS_TOKEN}"},
            {"authorization": "Bearer \xe9\xff"},
        )
        for headers in refused:
            answer = client.get(
                "/metrics", headers={k.encode(): v.encode("latin-1") for k, v in headers.items()}
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), headers
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "ecert_" not in answer.text
        assert "ecert_ledger_size" in client.get("/metrics", headers=FOR_OPERATORS).text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("YINZHENG_METRICS_LISTEN", "9100"),
        ("YINZHENG_METRICS_LISTEN", ":9100"),
        ("YINZHENG_METRICS_LISTEN", "localhost:9100"),
        ("YINZHENG_METRICS_LISTEN", "127.0.0.1:0"),
        ("YINZHENG_METRICS_LISTEN", "127.0.0.1:65536"),
        ("YINZHENG_METRICS_LISTEN", "127.0.0.1:９"),
        ("YINZHENG_METRICS_TOKEN", "short"),
        ("YINZHENG_METRICS_TOKEN", "x" * 201),
        ("YINZHENG_METRICS_TOKEN", "sixteen letters and blanks"),
        ("YINZHENG_METRICS_TOKEN_FILE", "/nowhere/at/all"),
        ("YINZHENG_METRICS_TOKEN_FILE", "/dev/null"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Malformed) as caught:
        read_settings()
    assert caught.value.todo


def test_an_address_and_a_token_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YINZHENG_METRICS_LISTEN", "[::1]:9100")
    (tmp_path / "token").write_text(f"{METRICS_TOKEN}\n")
    monkeypatch.setenv("YINZHENG_METRICS_TOKEN_FILE", str(tmp_path / "token"))
    settings = read_settings()
    assert (settings.metrics_listen, settings.metrics_token) == (("::1", 9100), METRICS_TOKEN)
    assert METRICS_TOKEN not in repr(settings)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_address_that_another_program_has_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("YINZHENG_METRICS_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        assert cli.run("serve", "--port", str(free_port())) == 4
        assert "YINZHENG_METRICS_LISTEN" in cli.err
