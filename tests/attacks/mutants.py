"""Breaks the product on purpose, in places that a seed chooses, and sees whether a test notices. Run by hand:

    python -m attacks.mutants --copy /tmp/mutants --count 60 [--seed 14] [--only 17] [--budget 240]

from tests/, with a copy of the tree at --copy, which it changes and puts back (`git worktree add /tmp/mutants`).
Each break is one of: a comparison turned round, an answer negated, a `raise` left out, a number moved by one, one half
of a condition dropped. The tests of the places that name the module and the function come first, then those of its
package. One line of JSON each: where, what, and the test that noticed, or none. A place where nobody noticed is
either equivalent, which a person has to say, or lacks a test.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_MEMORY = 8 * 1024**3
"""A loop that no longer ends may not take the machine with it."""
LEAST = 5
"""Places in each package, however small it is."""
_FOLDERS = {
    "trust/app": ("app", "browser"),
    "trust/encoding": ("encoding", "verifier"),
    "trust/storage": ("ledger", "app"),
    "trust/pdf": ("verifier", "issuer"),
    "trust": ("sandbox", "model", "app"),
    "issuer": ("issuer", "app"),
    "verifier": ("verifier", "app"),
    "ledger": ("ledger", "app", "faults"),
    "keys": ("keys", "verifier"),
}
_NEVER = re.compile(r"/(migrations|i18n|static)/|/demo\.py$|/samples\.py$|__init__\.py$")
_SLOW = re.compile(r"tests/(interop|setup|browser|attacks|samples)/")
_OPPOSITE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True)
class Break:
    path: str
    line: int
    where: str
    """The function around it, or nothing."""
    what: str
    span: tuple[int, int]
    """Of the characters that are exchanged."""
    instead: str


def breaks_in(path: Path, root: Path) -> Iterator[Break]:
    text = path.read_text("utf-8")
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    parents: list[str] = []

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def one(node: ast.expr | ast.stmt, what: str, instead: str) -> Break:
        name = str(path.relative_to(root))
        return Break(name, node.lineno, ".".join(parents), what, span(node), instead)

    def walk(node: ast.AST) -> Iterator[Break]:
        named = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else None
        if named is not None:
            parents.append(named.name)
        match node:
            case ast.Compare(ops=[only]) if type(only) in _OPPOSITE:
                turned = ast.Compare(node.left, [_OPPOSITE[type(only)]()], node.comparators)
                yield one(node, "comparison turned round", f"({ast.unparse(turned)})")
            case ast.BoolOp(values=[first, *_]):
                yield one(node, "half of a condition dropped", f"({ast.unparse(first)})")
            case ast.Return(value=ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not())):
                assert node.value is not None
                yield one(node, "answer negated", f"return not ({ast.unparse(node.value)})")
            case ast.Raise():
                yield one(node, "raise left out", "pass")
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                yield one(node, "number moved by one", f"({number + 1})")
        for child in ast.iter_child_nodes(node):
            if not isinstance(
                child, ast.JoinedStr
            ):  # before Python 3.12 places inside have no columns of their own
                yield from walk(child)
        if named is not None:
            parents.pop()

    yield from walk(ast.parse(text))


def chosen(root: Path, seed: str, count: int) -> list[Break]:
    """The same for the same tree and seed. Packages get places by their size, and each at least `LEAST`."""
    packages = ("trust", "issuer", "verifier", "ledger", "keys")
    places = {
        package: [
            place
            for path in sorted((root / package).rglob("*.py"))
            if not _NEVER.search(f"/{path.relative_to(root)}")
            for place in breaks_in(path, root)
        ]
        for package in packages
    }
    whole = sum(len(each) for each in places.values())
    chance = random.Random(seed)
    found: list[Break] = []
    for package in packages[::-1]:
        share = max(LEAST, round(count * len(places[package]) / whole))
        if package == packages[0]:
            share = count - len(found)
        found += chance.sample(places[package], share)
    return found


def tests_for(place: Break, root: Path, seconds: dict[str, float], budget: float) -> list[str]:
    """Files of tests, likeliest first, as many as fit into the budget."""
    module = place.path.removesuffix(".py").replace("/", ".")
    package, _, name = module.rpartition(".")
    folders = next(value for key, value in _FOLDERS.items() if place.path.startswith(key + "/"))
    scored = []
    for file in sorted((root / "tests").rglob("test_*.py")):
        short = str(file.relative_to(root))
        if _SLOW.match(short):
            continue
        text = file.read_text("utf-8")
        score = 40 * (module in text) + 30 * bool(re.search(rf"from {package} import [^\n]*\b{name}\b", text))
        score += sum(10 for part in place.where.split(".") if part and re.search(rf"\b{part}\b", text))
        score += 8 * (name in file.stem) + 3 * (file.parent.name == folders[0])
        score += file.parent.name in folders
        if score:
            scored.append((-score, seconds.get(short, 5.0), short))
    found, used = [], 0.0
    for _, cost, short in sorted(scored):
        if used + cost <= budget:
            found.append(short)
            used += cost
    return found


def try_out(place: Break, copy: Path, tests: list[str], limit: float) -> dict[str, object]:
    file = copy / place.path
    before = file.read_bytes()
    start, end = place.span
    broken = before[:start] + place.instead.encode() + before[end:]
    begun = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=line",
        *tests,
    ]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        file.write_bytes(broken)
        child = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY)),
        )  # fmt: skip
        try:
            said, _ = child.communicate(timeout=limit)
            seen = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
            noticed = (
                seen[0] if seen else "" if child.returncode in (0, 5) else f"exit code {child.returncode}"
            )
            if noticed.startswith("exit"):
                noticed += ": " + said[-300:]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said, _ = child.communicate()
            noticed = "TIME: " + said[-200:]
    finally:
        file.write_bytes(before)
    was = before[start:end].decode()
    return {
        **asdict(place), "was": was, "noticed": noticed, "files": len(tests),
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--copy", type=Path, required=True)
    options.add_argument("--seed", default="14")
    options.add_argument("--count", type=int, default=60)
    options.add_argument("--only", type=int, nargs="*")
    options.add_argument("--list", action="store_true")
    options.add_argument("--seconds", type=Path, help="JSON: seconds of each file of tests")
    options.add_argument("--budget", type=float, default=240)
    options.add_argument("--limit", type=float, default=1800)
    given = options.parse_args()
    seconds = json.loads(given.seconds.read_text()) if given.seconds else {}
    for number, place in enumerate(chosen(given.copy, given.seed, given.count)):
        if given.only and number not in given.only:
            continue
        if given.list:
            print(number, place.path, place.line, place.where, place.what, place.instead)
            continue
        tests = tests_for(place, given.copy, seconds, given.budget)
        print(json.dumps({"number": number, **try_out(place, given.copy, tests, given.limit)}), flush=True)


if __name__ == "__main__":
    main()
