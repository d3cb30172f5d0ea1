"""`python -m trust.app.settings_reference`: makes docs/SETTINGS.md and docs/SETTINGS.zh-CN.md from the code.

There is a row for each field of the settings (`trust.app.settings.described`) with its texts, and for the few variables
that commands read by themselves. `tests/setup/test_documents.py` compares the files with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from trust.app.settings import Part, Setting, described
from trust.words.language import LANGUAGES, Language

FILES: dict[Language, str] = {"zh-CN": "SETTINGS.zh-CN.md", "en": "SETTINGS.md"}

READ_BY_COMMANDS = (
    Setting(
        variable="YINZHENG_SEEN",
        part=Part.COMMAND,
        default=None,
        meaning={
            "zh-CN": "离线核验（`yinzheng verify --offline`、`yinzheng verify-many`）记住见过哪些列表的本机目录，"
            "由 root 或专管核验的账户写入",
            "en": "folder of the machine in which `yinzheng verify --offline` and `yinzheng verify-many` remember which"
            " lists they saw; root, or the account that verifies, writes there",
        },
        unset={
            "zh-CN": "`/var/lib/yinzheng/seen`，若有此目录",
            "en": "`/var/lib/yinzheng/seen`, where there is one",
        },
    ),
    Setting(
        variable="XDG_STATE_HOME",
        part=Part.COMMAND,
        default=None,
        meaning={
            "zh-CN": "本用户的同类记录放在其下的 `yinzheng/`",
            "en": "under it, in `yinzheng/`, the same for the user",
        },
        unset={"zh-CN": "`~/.local/state`", "en": "`~/.local/state`"},
    ),
    Setting(
        variable="YINZHENG_WITNESS_URL",
        part=Part.COMMAND,
        default=None,
        meaning={
            "zh-CN": "`yinzheng ledger witness` 的存储所在的 PostgreSQL",
            "en": "PostgreSQL that keeps the memory of `yinzheng ledger witness`",
        },
        unset={"zh-CN": "见证方目录中的 SQLite", "en": "SQLite in the folder of the witness"},
    ),
)
"""Variables that are not settings of the server: read by commands without a server, and by a witness, which has no
data folder."""

_OPENING: dict[Language, str] = {
    "zh-CN": """# 设置

[English](SETTINGS.md)

全部设置都是环境变量，进程启动时读一次；改了要停下再启动。一个都不设也能运行。不设的就不要写：留空与不设不一定相同。
建立数据目录（`yinzheng init`）之前，先定下主机名、地址、数据库和密钥目录。怎么用见[运维](OPERATIONS.zh-CN.md)。

本页由 `python -m trust.app.settings_reference` 从代码生成，请改 `trust/app/settings.py`，不要改这里。
""",
    "en": """# Settings

[中文](SETTINGS.zh-CN.md)

All settings are variables of the environment, read once when a process starts: to change one, stop and start. The
service runs with none of them. Leave out what is not to be set: a variable that is set to nothing may not be the same.
Decide on host name, address, database and keys folder before the data folder is made (`yinzheng init`). How they are
used: [Operations](OPERATIONS.md).

`python -m trust.app.settings_reference` makes this page of the code: change `trust/app/settings.py`, not the page.
""",
}
_COLUMNS: dict[Language, tuple[str, str, str]] = {
    "zh-CN": ("变量", "含义", "不设时"),
    "en": ("variable", "meaning", "if not set"),
}
_NOTHING: dict[Language, str] = {"zh-CN": "无", "en": "none"}


def render(language: Language) -> str:
    """The whole page in Markdown."""
    settings = [*described(), *READ_BY_COMMANDS]
    parts = (_part(part, [each for each in settings if each.part is part], language) for part in Part)
    return "\n".join([_OPENING[language], *parts])


def _part(part: Part, settings: Iterable[Setting], language: Language) -> str:
    zh, en = part.value
    return "\n".join([f"## {zh if language == 'zh-CN' else en}", "", *_table(settings, language), ""])


def _table(settings: Iterable[Setting], language: Language) -> Iterator[str]:
    yield _row(*_COLUMNS[language])
    yield "|---|---|---|"
    for each in settings:
        yield _row(f"`{each.variable}`", each.meaning[language], _without(each, language))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _without(setting: Setting, language: Language) -> str:
    """The text about what holds if the variable is not set."""
    if setting.unset[language]:
        return setting.unset[language]
    return _NOTHING[language] if setting.default in (None, "") else f"`{setting.default}`"


def write(folder: Path) -> None:
    for language in LANGUAGES:
        (folder / FILES[language]).write_text(render(language), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs")
