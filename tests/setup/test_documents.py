"""What the documents for people name is there: modules, files, links, commands, settings, recipes.

Nothing is imported for a name: modules are looked up as files and their attributes in the syntax tree. The records of
decisions (docs/adr) and of changes tell of the past and are left out. The reference of settings is what the code makes.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from trust.app.main import app
from trust.app.settings import described
from trust.app.settings_reference import FILES, READ_BY_COMMANDS, render
from trust.words.language import LANGUAGES, Language

ROOT = Path(__file__).parents[2]
Command = Any  # of the click inside typer, which has no public name
PACKAGES = ("trust", "issuer", "verifier", "ledger", "keys")
DOCUMENTS = sorted(
    str(each.relative_to(ROOT))
    for pattern in ("docs/*.md", "README*.md", "SECURITY.md", "CONTRIBUTING.md", "samples/README.md")
    for each in ROOT.glob(pattern)
)
IN_BOTH_LANGUAGES = (
    "README.md",
    "docs/API.md",
    "docs/OPERATIONS.md",
    "docs/USER-GUIDE.md",
    "docs/SETTINGS.md",
)

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAME = re.compile(rf"(?<![\w./:@-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")
_FILE = re.compile(r"(?<![\w/.…<>~*-])[.\w-]+(?:/[\w.*-]*)+|\b\w+\.py\b|\btest_\w+\b")
_VARIABLE = re.compile(r"\bYINZHENG_[A-Z0-9_]*[A-Z0-9]\b")
_RECIPE = re.compile(r"^make ([a-z][a-z-]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MADE_BY_RUNNING = ("bench/out/",)
_IN_THE_DATA_FOLDER = ("keys/service-secret",)
"""Folders of such names are there as well as here."""


def spans(text: str) -> list[str]:
    """Everything in backticks, on one line each, outside of fenced blocks."""
    found = (span for _, span in _SPAN.findall(_FENCE.sub("", text)))
    return [" ".join(each.replace(r"\|", "|").split()) for each in found]


def typed_lines(text: str) -> Iterator[str]:
    """What blocks of shell say: continued lines put together, without what stands behind a #."""
    for block in _FENCE.findall(text):
        if not block.startswith("```sh\n"):
            continue
        for line in block.replace("\\\n", " ").splitlines()[1:-1]:
            yield re.sub(r"(^|\s)#.*", "", line).strip()


# --- modules and what is in them


@cache
def names_in(path: Path) -> dict[str, ast.AST]:
    return dict(_defined(ast.parse(path.read_text(encoding="utf-8")).body))


def _defined(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((each.asname or each.name, node) for each in node.names)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, node) for each in targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _defined(node.body)


def exists(name: str) -> bool:
    """Whether a dotted name is a package, a module, or what one of them defines."""
    parts = name.split(".")
    place = ROOT
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / f"{parts[0]}.py" if parts else place / "__init__.py"
    if parts and module.is_file():
        parts.pop(0)
    else:
        module = place / "__init__.py"
    if not parts:
        return module.is_file()
    found = names_in(module) if module.is_file() else {}
    for part in parts[:-1]:
        node = found.get(part)
        found = dict(_defined(node.body)) if isinstance(node, ast.ClassDef) else {}
    return parts[-1] in found


def wrong_modules(text: str) -> list[str]:
    return [name for span in spans(text) for name in _NAME.findall(span) if not exists(name)]


# --- files, links, tests


@cache
def file_names() -> frozenset[str]:
    roots = (*PACKAGES, "tests", "bench", "samples", "docs", ".ci")
    return frozenset(each.name for root in roots for each in (ROOT / root).rglob("*.*"))


@cache
def names_of_tests() -> frozenset[str]:
    return frozenset(name for path in (ROOT / "tests").rglob("test_*.py") for name in names_in(path))


def wrong_files(text: str) -> list[str]:
    """Paths in the repository, `gap.py` for short, and tests by name."""
    return [each for each in _FILE.findall(" , ".join(spans(text))) if not _is_there(each.rstrip("."))]


def _is_there(name: str) -> bool:
    if "/" not in name:
        return name in file_names() | names_of_tests() or f"{name}.py" in file_names()
    first = name.partition("/")[0]
    if not (ROOT / first).is_dir() or first == ".venv":
        return True  # of the data folder, a package or an address
    if name.startswith(_MADE_BY_RUNNING) or name in _IN_THE_DATA_FOLDER:
        return True
    return any(ROOT.glob(name.rstrip("/")))


def wrong_links(text: str, folder: Path) -> list[str]:
    return [
        target
        for target in _LINK.findall(_FENCE.sub("", text))
        if not target.startswith(("https:", "http:", "mailto:")) and not _leads_somewhere(target, folder)
    ]


def _leads_somewhere(target: str, folder: Path) -> bool:
    path, _, anchor = target.partition("#")
    if not path:
        return True  # within the page: see `wrong_anchors`
    there = folder / path
    return there.exists() and (not anchor or anchor in anchors(there.read_text(encoding="utf-8")))


def anchors(text: str) -> set[str]:
    """The headings of a page as its links name them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_FENCE.sub("", text)))
    return {each.strip().replace(" ", "-") for each in plain}


def wrong_anchors(text: str) -> list[str]:
    inside = [target[1:] for target in _LINK.findall(_FENCE.sub("", text)) if target.startswith("#")]
    return [each for each in inside if each not in anchors(text)]


# --- commands, settings, recipes


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of every command that is named, without `yinzheng`; alternatives (`freeze|unfreeze`) one by one."""
    commands = _subcommands(_top())
    groups = {name for name, command in commands.items() if _subcommands(command)}
    for line in (*spans(text), *typed_lines(text)):
        words = line.removeprefix(".venv/bin/").split()
        if words[:1] == ["yinzheng"]:
            yield from _alternatives(words[1:])
        elif len(words) > 1 and words[0] in groups and re.fullmatch(r"[a-z|-]+", words[1]):
            yield from _alternatives(words)  # `archive check` for short


def _alternatives(words: list[str]) -> Iterator[list[str]]:
    for at, word in enumerate(words):
        if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word) and not words[at - 1].startswith("-"):
            for each in word.split("|"):
                yield from _alternatives([*words[:at], each, *words[at + 1 :]])
            return
    yield words


@cache
def _top() -> Command:
    return get_command(app)


def _subcommands(command: Command) -> dict[str, Command]:
    return getattr(command, "commands", {})


def path_of(words: list[str]) -> tuple[tuple[str, ...], Command]:
    """How far the words name commands, and the command there."""
    command, path = _top(), []
    for word in words:
        if word not in _subcommands(command):
            break
        command = _subcommands(command)[word]
        path.append(word)
    return tuple(path), command


def wrong_commands(text: str) -> list[str]:
    return [" ".join(words) for words in commands_of(text) if not _is_command(words)]


def _is_command(words: list[str]) -> bool:
    path, command = path_of(words)
    rest = words[len(path) :]
    if _subcommands(command) and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        return False
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    asked = [found for word in rest for found in re.findall(r"^\[?(--[a-z][a-z-]*)", word)]
    return set(asked) <= known


def wrong_settings(text: str) -> list[str]:
    known = {each.variable for each in (*described(), *READ_BY_COMMANDS)}
    return [each for each in _VARIABLE.findall(text) if each not in known]


def wrong_recipes(text: str) -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = [name for line in (*spans(text), *typed_lines(text)) for name in _RECIPE.findall(line)]
    return [name for name in asked if not re.search(rf"^{name}:", makefile, re.MULTILINE)]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


CHECKS: tuple[Callable[[str], list[str]], ...] = (
    wrong_modules,
    wrong_files,
    wrong_anchors,
    wrong_commands,
    wrong_settings,
    wrong_recipes,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_is_there(document: str, check: Callable[[str], list[str]]) -> None:
    assert not check(read(document))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    assert not wrong_links(read(document), (ROOT / document).parent)


@pytest.mark.parametrize("document", IN_BOTH_LANGUAGES)
def test_both_languages_tell_of_the_same(document: str) -> None:
    """As many sections, and the same commands, settings and recipes."""
    texts = [read(document), read(document.replace(".md", ".zh-CN.md"))]
    en, zh = (
        {
            "sections": len(_HEADING.findall(_FENCE.sub("", text))),
            "commands": {path_of(words)[0] for words in commands_of(text)},
            "settings": set(_VARIABLE.findall(text)),
            "recipes": {name for span in spans(text) for name in _RECIPE.findall(span)},
        }
        for text in texts
    )
    assert en == zh


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (wrong_modules, "`trust.app.nothing_here`", ["trust.app.nothing_here"]),
        (
            wrong_modules,
            "by `trust.model.report.decide` and `ledger.log.Log.forget`",
            ["ledger.log.Log.forget"],
        ),
        (wrong_modules, "`python -m trust.app.settings_reference`, `issuer.ecertificates`", []),
        (wrong_files, "`trust/pdf/gap.py`, `trust/pdf/gone.py`", ["trust/pdf/gone.py"]),
        (wrong_files, "`verifier/checks/foreign*.py`, `keys/service-secret`, `tests/gone/`", ["tests/gone/"]),
        (
            wrong_files,
            "`test_gate.py`, `test_nothing.py`, `test_of_nothing`",
            ["test_nothing.py", "test_of_nothing"],
        ),
        (wrong_anchors, "## Not closed\n[a](#not-closed) [b](#closed)", ["closed"]),
        (wrong_commands, "`yinzheng seal freeze|thaw ID --by NAME`", ["seal thaw ID --by NAME"]),
        (wrong_commands, "`archive due [--at TIME]`, `archive burn`", ["archive burn"]),
        (wrong_commands, "```sh\nyinzheng verify \\\n  --online x.pdf  # no\n```", ["verify --online x.pdf"]),
        (wrong_settings, "`YINZHENG_KEYS`, `YINZHENG_KEY`", ["YINZHENG_KEY"]),
        (wrong_recipes, "`make demo SERVE=1` or `make tea`", ["tea"]),
    ],
)
def test_a_wrong_name_is_found(check: Callable[[str], list[str]], text: str, found: list[str]) -> None:
    assert check(text) == found


# --- the reference of settings


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_of_settings_is_what_the_code_makes(language: Language) -> None:
    made = render(language)
    assert read(f"docs/{FILES[language]}") == made, "run: .venv/bin/python -m trust.app.settings_reference"


def test_every_setting_has_words_in_both_languages() -> None:
    for each in (*described(), *READ_BY_COMMANDS):
        assert all(each.meaning[language].strip() for language in LANGUAGES), each.variable
        assert len({bool(each.unset[language]) for language in LANGUAGES}) == 1, each.variable
        assert re.search(r"[\u4e00-\u9fff]", each.meaning["zh-CN"]), each.variable
        assert not re.search(r"[\u4e00-\u9fff]", each.meaning["en"]), each.variable


def test_every_variable_that_the_code_reads_stands_in_the_reference() -> None:
    known = {each.variable for each in (*described(), *READ_BY_COMMANDS)}
    named = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in _VARIABLE.findall(node.value)
    }
    assert named - known == set()
    assert "YINZHENG_SEEN" in named


# --- the guide, followed


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_works_as_it_stands(language: str, tmp_path: Path) -> None:
    """Its blocks, line by line, where a clone has its samples; the bundle is written instead of fetched."""
    document = "docs/USER-GUIDE.md" if language == "en" else f"docs/USER-GUIDE.{language}.md"
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "YINZHENG_KDF_ROUNDS": "1000",
        "LANG": "C.UTF-8",
    }
    known: dict[str, str] = {}
    for line in typed_lines(read(document)):
        if line.startswith("yinzheng report "):
            continue  # needs what a service filed: tests/app/test_reports.py
        for word, value in known.items():
            line = line.replace(word, value)
        if line.startswith("curl "):
            line = "yinzheng bundle bundle.zip"
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if line == "yinzheng init":
            known["FINGERPRINT"] = re.findall(r"\b[0-9a-f]{64}\b", done.stdout)[0]
        if line.startswith("yinzheng issue ") and "--out" in line:
            again = [*line.split(), "--json"]
            said = subprocess.run(again, cwd=tmp_path, env=environment, capture_output=True, check=True)
            known["IDENTIFIER"] = json.loads(said.stdout.splitlines()[0])["identifier"]
    assert known.keys() == {"FINGERPRINT", "IDENTIFIER"}
