"""Settings: read once in `main()`, from the environment and the command line, and cut into one frozen value.

| variable                  | meaning                                                      | default             |
|---------------------------|--------------------------------------------------------------|---------------------|
| YINZHENG_DATA             | data folder                                                  | ./yinzheng-data     |
| DATABASE_URL              | PostgreSQL; unset means SQLite files in the data folder      |                     |
| YINZHENG_LOCK_URL         | database of the ledger's lock store, another instance        | file in data folder |
| YINZHENG_LEDGER_MARK      | file on another disk that keeps the newest signed checkpoint |                     |
| YINZHENG_HOST             | host name in codes, at most 24 characters                    | v.yinzheng.example  |
| YINZHENG_BASE_URL         | address under which lists are published                      | https://<host>      |
| YINZHENG_ORIGIN           | name of the ledger                                           | <host>/ledger       |
| YINZHENG_KEYS             | folder of the private keys and the service secret, which     | <data>/keys         |
|                           | may be on another disk than the data                         |                     |
| YINZHENG_PASSPHRASE       | passphrase of the key files                                  |                     |
| YINZHENG_PASSPHRASE_FILE  | file that holds it                                           | <data>/passphrase   |
| YINZHENG_PKCS11_MODULE    | shared library of a token (PKCS #11); unset: keys in files   |                     |
| YINZHENG_PKCS11_TOKEN     | label of the token                                           |                     |
| YINZHENG_PKCS11_PIN       | its user PIN                                                 |                     |
| YINZHENG_PKCS11_PIN_FILE  | file that holds it                                           | <data>/token-pin    |
| YINZHENG_PKCS11_KEEPS     | new keys that are made in the token: purposes, with commas;  | seal                |
|                           | each alone or as purpose:suite                               |                     |
| YINZHENG_WITNESS_EVERY    | seconds between rounds to the witnesses                      | 10                  |
| YINZHENG_WITNESS_LIMIT    | seconds without a quorum after which nothing is appended     | 3600                |
| YINZHENG_WITNESS_HTTP     | hosts whose witnesses may be asked without TLS, with commas  |                     |
| YINZHENG_CRL_HOSTS        | hosts in a private network whose revocation lists may be     |                     |
|                           | fetched, with commas                                         |                     |
| YINZHENG_TIME_STAMPS      | who is asked for time-stamps, in this order, with commas:    | own                 |
|                           | own, or the address of an authority outside, a blank, and a  |                     |
|                           | PEM file: its certificate, those above it, the root          |                     |
| YINZHENG_TIME_STAMP_WAIT  | seconds until an authority outside counts as down            | 5                   |
| YINZHENG_SCRUB_EVERY      | seconds between two readings of the whole ledger             | 600                 |
| YINZHENG_CLOCK_GAP        | days after the last entry of the ledger after which a clock  | 60                  |
|                           | that no second clock confirms needs an operator's word       |                     |
| YINZHENG_METRICS_LISTEN   | address and port at which /metrics is answered to anybody    |                     |
| YINZHENG_METRICS_TOKEN    | bearer token that gets /metrics at the public address        |                     |
| YINZHENG_METRICS_TOKEN_FILE | file that holds it                                         |                     |
| YINZHENG_PROXIES          | addresses or networks of proxies in front, with commas: they |                     |
|                           | say for whom they ask (X-Forwarded-For); nobody else does    |                     |
| YINZHENG_USER             | the user that `serve` becomes when root starts it            |                     |
| YINZHENG_LANG             | zh-CN or en                                                  | from LANG           |
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from keys.custody import KeyPurpose
from keys.pki.importing import read_certs
from keys.suites import TOKEN_SUITES, Suite
from ledger.clockguard import DAYS_WITHOUT_A_WORD
from ledger.keeping import KeepingSettings
from trust.model.errors import KeyUnavailable, Malformed

MAX_HOST = 24
ORIGIN_FILE = "origin"
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{15,199}[A-Za-z0-9\-._~+/=]", re.ASCII)


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="YINZHENG_", extra="ignore")

    data: Path = Path("yinzheng-data")
    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    lock_url: str | None = None
    ledger_mark: Path | None = None
    host: str | None = None
    base_url: str | None = None
    origin: str | None = None
    keys: Path | None = None
    passphrase: str | None = None
    passphrase_file: Path | None = None
    lang: str | None = None
    kdf_rounds: int = 300_000
    pkcs11_module: Path | None = None
    pkcs11_token: str = ""
    pkcs11_pin: str | None = None
    pkcs11_pin_file: Path | None = None
    pkcs11_keeps: str = "seal"
    witness_every: float = Field(default=10, gt=0)
    witness_limit: float = Field(default=3600, gt=0)
    witness_http: str = ""
    crl_hosts: str = ""
    time_stamps: str = "own"
    time_stamp_wait: float = Field(default=5, gt=0)
    scrub_every: float = Field(default=600, gt=0)
    clock_gap: float = Field(default=DAYS_WITHOUT_A_WORD, ge=1)
    proxies: str = ""
    user: str | None = None
    metrics_listen: str | None = None
    metrics_token: str | None = None
    metrics_token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A PKCS #11 token, and which new keys are made in it."""

    module: Path
    label: str
    pin: str | None = field(repr=False)
    pin_file: Path
    keeps: frozenset[tuple[KeyPurpose, Suite]]

    def read_pin(self) -> str:
        """Raises `KeyUnavailable` where there is none."""
        if self.pin:
            return self.pin
        try:
            found = self.pin_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise KeyUnavailable(
                f"The PIN file {self.pin_file} cannot be read.",
                "Set YINZHENG_PKCS11_PIN or YINZHENG_PKCS11_PIN_FILE.",
                code="TOKEN_PIN",
            ) from exc
        if not found:
            raise KeyUnavailable("The PIN file is empty.", "Write the PIN into it.", code="TOKEN_PIN")
        return found


@dataclass(frozen=True, slots=True)
class OutsideTsaSettings:
    """A time-stamp authority outside: where it is asked, and the file with its certificates."""

    url: str
    certs_file: Path

    def read_certs(self) -> list[bytes]:
        """Its certificates (DER), the one that signs first. Raises `Malformed`."""
        try:
            return read_certs(self.certs_file.read_bytes())
        except OSError as exc:
            raise Malformed(
                f"The file {self.certs_file} of a time-stamp authority cannot be read.",
                "Correct YINZHENG_TIME_STAMPS.",
            ) from exc


@dataclass(frozen=True, slots=True)
class Settings:
    data: Path
    database_url: str | None
    lock_url: str | None
    host: str
    base_url: str
    origin: str
    passphrase: str | None = field(repr=False)
    passphrase_file: Path
    language: str
    kdf_rounds: int
    token: TokenSettings | None = None
    keeping: KeepingSettings = field(default_factory=KeepingSettings)
    plain_http_witnesses: tuple[str, ...] = ()
    private_crl_hosts: tuple[str, ...] = ()
    time_stamps: tuple[OutsideTsaSettings | None, ...] = (None,)
    """In the order in which they are asked; None is our own."""
    time_stamp_wait: timedelta = timedelta(seconds=5)
    keys: Path | None = None
    """Where it is not in the data folder."""
    clock_gap: timedelta = timedelta(days=DAYS_WITHOUT_A_WORD)
    metrics_listen: tuple[str, int] | None = None
    """Address and port."""
    metrics_token: str | None = field(default=None, repr=False)
    proxies: tuple[str, ...] = ()
    """Addresses and networks."""
    user: str | None = None
    ledger_mark: Path | None = None

    @property
    def keys_folder(self) -> Path:
        """Private keys, each encrypted, and the service secret."""
        return self.keys or self.data / "keys"

    def read_passphrase(self) -> bytes:
        """The passphrase of the key files. Raises `KeyUnavailable` where there is none."""
        if self.passphrase:
            return self.passphrase.encode()
        try:
            found = self.passphrase_file.read_bytes().strip()
        except OSError as exc:
            raise KeyUnavailable(
                f"The passphrase file {self.passphrase_file} cannot be read.",
                "Set YINZHENG_PASSPHRASE or YINZHENG_PASSPHRASE_FILE, or run `yinzheng init`.",
            ) from exc
        if not found:
            raise KeyUnavailable("The passphrase file is empty.", "Restore it from a backup.")
        return found


def read_settings(data: Path | None = None, language: str | None = None) -> Settings:
    """Raises `Malformed` for a setting that cannot be used. `data` and `language` win over the environment."""
    environment = _Environment()
    folder = (data or environment.data).resolve()
    remembered = _remembered(folder / "host")
    host = (environment.host or remembered or "v.yinzheng.example").lower()
    if len(host) > MAX_HOST or not host.replace(".", "").replace("-", "").replace(":", "").isalnum():
        raise Malformed(
            f"The host name {host!r} cannot stand in a code.",
            f"Use at most {MAX_HOST} of letters, digits, dots and hyphens.",
        )
    lang = language or environment.lang or os.environ.get("LANG", "")
    return Settings(
        data=folder,
        database_url=environment.database_url or None,  # set to nothing is not set
        lock_url=environment.lock_url or None,
        host=host,
        base_url=(environment.base_url or f"https://{host}").rstrip("/"),
        origin=environment.origin or _remembered(folder / ORIGIN_FILE) or f"{host}/ledger",
        keys=environment.keys.resolve() if environment.keys else None,
        passphrase=environment.passphrase,
        passphrase_file=environment.passphrase_file or folder / "passphrase",
        language="zh-CN" if lang.lower().startswith("zh") else "en",
        kdf_rounds=environment.kdf_rounds,
        token=_token(environment, folder),
        keeping=KeepingSettings(
            witness_every=timedelta(seconds=environment.witness_every),
            witness_limit=timedelta(seconds=environment.witness_limit),
            scrub_every=timedelta(seconds=environment.scrub_every),
        ),
        plain_http_witnesses=_listed(environment.witness_http),
        private_crl_hosts=_listed(environment.crl_hosts.lower()),
        time_stamps=parse_time_stamps(environment.time_stamps),
        time_stamp_wait=timedelta(seconds=environment.time_stamp_wait),
        clock_gap=timedelta(days=environment.clock_gap),
        ledger_mark=_mark(environment.ledger_mark, folder),
        metrics_listen=_address(environment.metrics_listen) if environment.metrics_listen else None,
        metrics_token=_metrics_token(environment),
        proxies=tuple(_network(each) for each in _listed(environment.proxies)),
        user=environment.user or None,
    )


def _mark(path: Path | None, folder: Path) -> Path | None:
    if path is None:
        return None
    if not path.is_absolute() or path.resolve().is_relative_to(folder):
        raise Malformed(
            f"YINZHENG_LEDGER_MARK ({path}) has to lie outside the data folder.",
            "Name a file by its whole path, on another disk: it is there to be left out of copies.",
        )
    return path


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise Malformed(
            f"{text!r} in YINZHENG_PROXIES is no address and no network.",
            "Write for example: 127.0.0.1, 10.20.0.0/16",
        ) from exc


def _address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9100`, `[::1]:9100`."""
    host, _, port = text.strip().rpartition(":")
    try:
        found = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        found = None
    if found is None or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise Malformed(
            f"{text!r} in YINZHENG_METRICS_LISTEN is no address and port.",
            "Write for example: 127.0.0.1:9100",
        )
    return str(found), int(port)


def _metrics_token(environment: _Environment) -> str | None:
    token = environment.metrics_token
    if not token and environment.metrics_token_file is not None:
        try:
            token = environment.metrics_token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise Malformed(
                f"The file {environment.metrics_token_file} of the token for metrics cannot be read.",
                "Correct YINZHENG_METRICS_TOKEN_FILE.",
            ) from exc
    elif not token:
        return None
    if not _TOKEN.fullmatch(token):
        raise Malformed(
            "The token for metrics has to be 16 to 200 letters, digits and -._~+/=.",
            "Make one with: openssl rand -hex 24",
        )
    return token


def parse_time_stamps(text: str) -> tuple[OutsideTsaSettings | None, ...]:
    """`https://tsa.example/tsr /etc/yinzheng/tsa.pem, own`. Raises `Malformed`."""
    found: list[OutsideTsaSettings | None] = []
    for item in _listed(text):
        url, _, path = item.partition(" ")
        if item == "own":
            found.append(None)
        elif url.startswith(("http://", "https://")) and path.strip():
            found.append(OutsideTsaSettings(url, Path(path.strip())))
        else:
            raise Malformed(
                f"{item!r} in YINZHENG_TIME_STAMPS is no time-stamp authority.",
                "Write for example: https://tsa.example/tsr /etc/yinzheng/tsa.pem, own",
            )
    if not found:
        raise Malformed("YINZHENG_TIME_STAMPS names nobody.", "Write own, or leave it out.")
    return tuple(found)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _token(environment: _Environment, folder: Path) -> TokenSettings | None:
    if environment.pkcs11_module is None:
        return None
    if not environment.pkcs11_token:
        raise Malformed("The token has no label.", "Set YINZHENG_PKCS11_TOKEN.")
    return TokenSettings(
        module=environment.pkcs11_module,
        label=environment.pkcs11_token,
        pin=environment.pkcs11_pin,
        pin_file=environment.pkcs11_pin_file or folder / "token-pin",
        keeps=parse_keeps(environment.pkcs11_keeps),
    )


def parse_keeps(text: str) -> frozenset[tuple[KeyPurpose, Suite]]:
    """`seal, checkpoint:Ed25519` as pairs. A purpose alone means every suite that a token can hold.

    Raises `Malformed`; SM2 is not in a token's reach, and asking for it is a mistake to be told of.
    """
    found: set[tuple[KeyPurpose, Suite]] = set()
    for item in filter(None, (part.strip() for part in text.split(","))):
        purpose, _, suite = item.partition(":")
        try:
            suites = (Suite(suite),) if suite else TOKEN_SUITES
            found.update((KeyPurpose(purpose), each) for each in suites)
        except ValueError as exc:
            raise Malformed(
                f"{item!r} in YINZHENG_PKCS11_KEEPS is not a purpose or purpose:suite.",
                "Write for example: seal, checkpoint:Ed25519",
            ) from exc
        if suite == Suite.SM2_SM3:
            raise Malformed(
                "No token of PKCS #11 can hold SM2 keys.",
                "Take SM2-SM3 out of YINZHENG_PKCS11_KEEPS; these keys live in files.",
                code="TOKEN_MECHANISM",
            )
    return frozenset(found)


def _remembered(path: Path) -> str | None:
    """The host that `init` wrote down: codes on paper carry it, so it stays what it was. The name of a ledger that was
    begun in the place of another, as well."""
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
