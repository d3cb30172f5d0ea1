"""Settings: read once from the environment and the command line into a frozen value.

Each field of `_Environment` is a variable with its texts, from which `trust.app.settings_reference` makes
docs/SETTINGS.md and docs/SETTINGS.zh-CN.md.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from keys.custody import KeyPurpose
from keys.pki.importing import read_certs
from keys.suites import TOKEN_SUITES, Suite
from ledger.clockguard import DAYS_WITHOUT_A_WORD
from ledger.keeping import KeepingSettings
from trust.model.errors import KeyUnavailable, Malformed

MAX_HOST = 24
DEFAULT_HOST = "v.yinzheng.example"
ORIGIN_FILE = "origin"
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{15,199}[A-Za-z0-9\-._~+/=]", re.ASCII)


class Part(Enum):
    """The parts of the reference in their order, each with its heading in Chinese and in English."""

    DATA = ("数据与账本", "Data and ledger")
    NAMES = ("名称与地址", "Names and addresses")
    KEYS = ("密钥与口令", "Keys and passphrases")
    TOKEN = ("密码设备（PKCS #11）", "A token (PKCS #11)")
    ROUNDS = ("定时工作与对外询问", "Rounds, and whom the service asks")
    SERVING = ("对外服务", "Serving")
    COMMAND = ("命令行", "The command line")


def _setting(
    default: object,
    part: Part,
    zh: str,
    en: str,
    *,
    unset: tuple[str, str] | None = None,
    alias: str | None = None,
    gt: float | None = None,
    ge: float | None = None,
) -> Any:
    """A variable with its texts for the reference. `unset` (Chinese, English): what holds if it is not set, if the
    default does not say it all."""
    words: dict[str, JsonValue] = {"part": part.name, "zh": zh, "en": en}
    if unset is not None:
        words |= {"unset_zh": unset[0], "unset_en": unset[1]}
    return Field(default, validation_alias=alias, gt=gt, ge=ge, json_schema_extra={"words": words})


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="YINZHENG_", extra="ignore")

    data: Path = _setting(
        Path("yinzheng-data"),
        Part.DATA,
        "数据目录，相对于当前目录；命令的 `--data` 优先",
        "data folder, relative to the current one; a command's `--data` wins",
    )
    database_url: str | None = _setting(
        None,
        Part.DATA,
        "PostgreSQL 数据库，如 `postgresql+psycopg://…`；libpq 认的写法都可以，含多台主机",
        "PostgreSQL, such as `postgresql+psycopg://…`; what libpq takes, several hosts too",
        unset=("数据目录中的 SQLite", "SQLite files in the data folder"),
        alias="DATABASE_URL",
    )
    lock_url: str | None = _setting(
        None,
        Part.DATA,
        "账本锁定存储的数据库，应在另一台机器上",
        "database of the ledger's lock store; have it on another machine",
        unset=("数据目录中的文件", "a file in the data folder"),
    )
    ledger_mark: Path | None = _setting(
        None,
        Part.DATA,
        "另一块盘上的文件（写全路径），保存最新的已签名检查点，由此可知数据目录是否被换成了旧的副本",
        "file on another disk, by its whole path, that keeps the newest signed checkpoint: with it yesterday's copy of"
        " the data folder is told from today's",
    )
    host: str | None = _setting(
        None,
        Part.NAMES,
        f"二维码中的主机名，至多 {MAX_HOST} 个字符；建立数据目录时记下",
        f"host name in codes, at most {MAX_HOST} characters; written down when the data folder is made",
        unset=(
            f"数据目录记下的，否则 `{DEFAULT_HOST}`",
            f"what the data folder remembers, else `{DEFAULT_HOST}`",
        ),
    )
    base_url: str | None = _setting(
        None,
        Part.NAMES,
        "服务的地址，各类列表在其下公布；写入数字证书，在 `yinzheng init` 之前设定",
        "address of the service, under which lists are published; X.509 certificates name it: to be set before"
        " `yinzheng init`",
        unset=("`https://<主机名>`", "`https://<host>`"),
    )
    origin: str | None = _setting(
        None,
        Part.NAMES,
        "账本的名称",
        "name of the ledger",
        unset=(
            "数据目录记下的（接替已关闭账本的），否则 `<主机名>/ledger`",
            "what the data folder remembers, where a ledger took over from a closed one; else `<host>/ledger`",
        ),
    )
    documents: Path | None = _setting(
        None,
        Part.DATA,
        "证照文件的目录；几台主机共用一个数据库时，须为各主机都挂载的同一个目录；设定后运行 `yinzheng init` 建立",
        "folder of the files of e-certificates; several hosts on one database need one that all of them mount;"
        " `yinzheng init` makes it",
        unset=("`<数据目录>/documents`", "`<data>/documents`"),
    )
    keys: Path | None = _setting(
        None,
        Part.KEYS,
        "私钥和服务秘密的目录，可与数据放在不同的盘上；在 `yinzheng init` 之前设定",
        "folder of the private keys and the service secret, which may be on another disk than the data; to be set"
        " before `yinzheng init`",
        unset=("`<数据目录>/keys`", "`<data>/keys`"),
    )
    passphrase: str | None = _setting(
        None,
        Part.KEYS,
        "密钥文件的口令",
        "passphrase of the key files",
        unset=("从下一项的文件读取", "read from the file of the next row"),
    )
    passphrase_file: Path | None = _setting(
        None,
        Part.KEYS,
        "存放口令的文件",
        "file that holds it",
        unset=("`<数据目录>/passphrase`", "`<data>/passphrase`"),
    )
    kdf_rounds: int = _setting(
        300_000,
        Part.KEYS,
        "由口令导出密钥的轮数（PBKDF2），用于新的密钥文件；只在试验时调低",
        "rounds that derive a key from the passphrase (PBKDF2), for new key files; fewer are for trials only",
    )
    pkcs11_module: Path | None = _setting(
        None,
        Part.TOKEN,
        "密码设备的动态库",
        "shared library of the token",
        unset=("没有密码设备，密钥都在文件中", "no token: keys in files"),
    )
    pkcs11_token: str = _setting(
        "",
        Part.TOKEN,
        "设备的标签；设了动态库就必须有",
        "label of the token; needed beside the library",
    )
    pkcs11_pin: str | None = _setting(
        None,
        Part.TOKEN,
        "用户 PIN",
        "its user PIN",
        unset=("从下一项的文件读取", "read from the file of the next row"),
    )
    pkcs11_pin_file: Path | None = _setting(
        None,
        Part.TOKEN,
        "存放 PIN 的文件",
        "file that holds it",
        unset=("`<数据目录>/token-pin`", "`<data>/token-pin`"),
    )
    pkcs11_keeps: str = _setting(
        "seal",
        Part.TOKEN,
        "哪些用途的新密钥在设备中生成，以逗号分隔，每项为用途或 `用途:套件`，如 `seal, checkpoint:Ed25519`；"
        "SM2 密钥只能在文件中",
        "new keys that are made in the token: purposes, with commas, each alone or as `purpose:suite`, such as"
        " `seal, checkpoint:Ed25519`; SM2 keys live in files",
    )
    witness_every: float = _setting(
        10,
        Part.ROUNDS,
        "每隔多少秒请见证方签名一轮",
        "seconds between rounds to the witnesses",
        gt=0,
    )
    witness_limit: float = _setting(
        3600,
        Part.ROUNDS,
        "多少秒达不到法定数，就不再入账",
        "seconds without a quorum of witnesses after which nothing is appended",
        gt=0,
    )
    witness_http: str = _setting(
        "",
        Part.ROUNDS,
        "可以不经 TLS 询问的见证方主机，以逗号分隔",
        "hosts whose witnesses may be asked without TLS, with commas",
    )
    crl_hosts: str = _setting(
        "",
        Part.ROUNDS,
        "内网中可以取撤销列表的主机，以逗号分隔",
        "hosts in a private network whose revocation lists may be fetched, with commas",
    )
    time_stamps: str = _setting(
        "own",
        Part.ROUNDS,
        "依次向谁申请时间戳，以逗号分隔：`own`（自己的），或外部机构的地址、一个空格和一个 PEM 文件"
        "（它的证书在前，其上各级和根在后）",
        "who is asked for time-stamps, in this order, with commas: `own`, or the address of an authority outside, a"
        " blank, and a PEM file: its certificate, those above it, the root",
    )
    time_stamp_wait: float = _setting(
        5,
        Part.ROUNDS,
        "外部时间戳机构多少秒不答，就算停了",
        "seconds until a time-stamp authority outside counts as down",
        gt=0,
    )
    scrub_every: float = _setting(
        600,
        Part.ROUNDS,
        "每隔多少秒把整个账本重读一遍",
        "seconds between two readings of the whole ledger",
        gt=0,
    )
    clock_gap: float = _setting(
        DAYS_WITHOUT_A_WORD,
        Part.ROUNDS,
        "账本最后一条之后多少天，若无第二时钟印证，本机时钟就要运维人员确认",
        "days after the last entry of the ledger after which a clock that no second clock confirms needs an"
        " operator's word",
        ge=1,
    )
    proxies: str = _setting(
        "",
        Part.SERVING,
        "前置代理的地址或网段，以逗号分隔；来访地址（`X-Forwarded-For`）只信它们说的",
        "addresses or networks of proxies in front, with commas: they say for whom they ask (`X-Forwarded-For`);"
        " nobody else does",
    )
    user: str | None = _setting(
        None,
        Part.SERVING,
        "由 root 启动 `yinzheng serve` 时，打开端口后改用的用户",
        "the user that `yinzheng serve` becomes, once its port is open, when root starts it",
        unset=("仍是 root，并在日志中警告", "it stays root, and warns"),
    )
    rate_per_minute: int = _setting(
        6000,
        Part.SERVING,
        "一个客户端（API 密钥，无密钥者按网段）每分钟可提出的签发、加盖、查询与核验请求数，按进程计；`0` 不限",
        "requests to issue, stamp, look up or verify that one client (an API key, or the network of who has none)"
        " may make a minute, counted by each process; `0`: as many as it likes",
        ge=0,
    )
    metrics_listen: str | None = _setting(
        None,
        Part.SERVING,
        "对任何人回答 `/metrics` 的地址和端口，如 `127.0.0.1:9100`",
        "address and port at which `/metrics` is answered to anybody, such as `127.0.0.1:9100`",
    )
    metrics_token: str | None = _setting(
        None,
        Part.SERVING,
        "凭它可在公开地址上取 `/metrics` 的令牌，16 至 200 个字符",
        "bearer token that gets `/metrics` at the public address, 16 to 200 characters",
        unset=("从下一项的文件读取", "read from the file of the next row"),
    )
    metrics_token_file: Path | None = _setting(
        None,
        Part.SERVING,
        "存放令牌的文件",
        "file that holds it",
    )
    lang: str | None = _setting(
        None,
        Part.COMMAND,
        "命令用的语言：`zh-CN` 或 `en`",
        "language of the commands: `zh-CN` or `en`",
        unset=("按 `LC_ALL`、`LANG`", "by `LC_ALL`, `LANG`"),
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable in the reference, with its meaning and what holds if it is not set, by language."""

    variable: str
    part: Part
    default: object
    meaning: dict[str, str]
    unset: dict[str, str]


def described() -> list[Setting]:
    """All variables that are read here, in order."""
    return [_described(name, each) for name, each in _Environment.model_fields.items()]


def _described(name: str, of: FieldInfo) -> Setting:
    words = of.json_schema_extra["words"] if isinstance(of.json_schema_extra, dict) else None
    assert isinstance(words, dict), f"{name} has no words"
    said = {key: str(text) for key, text in words.items()}
    alias = of.validation_alias
    return Setting(
        variable=alias if isinstance(alias, str) else f"YINZHENG_{name.upper()}",
        part=Part[said["part"]],
        default=of.default,
        meaning={"zh-CN": said["zh"], "en": said["en"]},
        unset={"zh-CN": said.get("unset_zh", ""), "en": said.get("unset_en", "")},
    )


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A PKCS #11 token, and which new keys are made in it."""

    module: Path
    label: str
    pin: str | None = field(repr=False)
    pin_file: Path
    keeps: frozenset[tuple[KeyPurpose, Suite]]

    def read_pin(self) -> str:
        """The PIN of the token. Raises `KeyUnavailable` if there is none."""
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
    """An outside time-stamp authority: its address, and the file with its certificates."""

    url: str
    certs_file: Path

    def read_certs(self) -> list[bytes]:
        """Its certificates (DER), the signing one first. Raises `Malformed`."""
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
    """The time-stamp authorities in order of preference; None is our own."""
    time_stamp_wait: timedelta = timedelta(seconds=5)
    documents: Path | None = None
    """The folder of the files of e-certificates if it is not in the data folder."""
    keys: Path | None = None
    """The folder of the keys if it is not in the data folder."""
    clock_gap: timedelta = timedelta(days=DAYS_WITHOUT_A_WORD)
    metrics_listen: tuple[str, int] | None = None
    """The address and port for metrics."""
    metrics_token: str | None = field(default=None, repr=False)
    rate_per_minute: int = 6000
    proxies: tuple[str, ...] = ()
    """The addresses and networks of trusted proxies."""
    user: str | None = None
    ledger_mark: Path | None = None

    @property
    def documents_folder(self) -> Path:
        """The folder with the files of e-certificates."""
        return self.documents or self.data / "documents"

    @property
    def keys_folder(self) -> Path:
        """The folder with the encrypted private keys and the service secret."""
        return self.keys or self.data / "keys"

    def read_passphrase(self) -> bytes:
        """The passphrase of the key files. Raises `KeyUnavailable` if there is none."""
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


def _read_environment() -> _Environment:
    try:
        return _Environment()
    except ValidationError as exc:
        # Name the variable without its value, which may be a secret.
        names = ", ".join(sorted({_variable_of(each["loc"]) for each in exc.errors()}))
        raise Malformed(
            f"A setting is not in its form: {names}.", "Correct it; docs/SETTINGS.md says what it takes."
        ) from None


def _variable_of(place: tuple[int | str, ...]) -> str:
    """The name of the environment variable that a field is read from."""
    name = str(place[0])
    return name if name.isupper() else f"YINZHENG_{name.upper()}"


def read_settings(data: Path | None = None, language: str | None = None) -> Settings:
    """Reads the settings. `data` and `language` override the environment. Raises `Malformed` for an invalid setting."""
    environment = _read_environment()
    folder = (data or environment.data).resolve()
    remembered = _remembered(folder / "host")
    host = (environment.host or remembered or DEFAULT_HOST).lower()
    if len(host) > MAX_HOST or not host.replace(".", "").replace("-", "").replace(":", "").isalnum():
        raise Malformed(
            f"The host name {host!r} cannot stand in a code.",
            f"Use at most {MAX_HOST} of letters, digits, dots and hyphens.",
        )
    lang = language or environment.lang or os.environ.get("LANG", "")
    return Settings(
        data=folder,
        database_url=environment.database_url or None,  # an empty value counts as not set
        lock_url=environment.lock_url or None,
        host=host,
        base_url=(environment.base_url or f"https://{host}").rstrip("/"),
        origin=environment.origin or _remembered(folder / ORIGIN_FILE) or f"{host}/ledger",
        documents=environment.documents.resolve() if environment.documents else None,
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
        rate_per_minute=environment.rate_per_minute,
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
    """Parses an address and port such as `127.0.0.1:9100` or `[::1]:9100`. Raises `Malformed`."""
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
    """Parses a list such as `https://tsa.example/tsr /etc/yinzheng/tsa.pem, own`. Raises `Malformed`."""
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
    """Parses a list such as `seal, checkpoint:Ed25519`. A purpose alone means every suite that a token can have.

    Raises `Malformed`, also for SM2, which is not supported in tokens.
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
    """A name that is stored in the data folder: the host since `init`, which must not change because printed codes
    contain it, or the name of a ledger that replaced another."""
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
