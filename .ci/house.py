"""Draws the house in docs/ARCHITECTURE.md out of the code: layers from the contracts, rooms from their docstrings.

python .ci/house.py             writes it
python .ci/house.py --check     exit code 1 if what stands there is not what the code says
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "ARCHITECTURE.md"
BEGIN, END = "<!-- drawn by make house: begin -->\n", "<!-- drawn by make house: end -->\n"
PACKAGES = ("issuer", "verifier", "ledger", "keys", "trust")


def layers(name: str) -> list[str]:
    """Of the contract with this name, from the top down."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (found,) = (each["layers"] for each in contracts if each["name"] == name)
    return list(found)


def what_lives_in(path: Path) -> str:
    """The first sentence of its docstring."""
    file = path / "__init__.py" if path.is_dir() else path
    said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split()).rstrip(".")


def rooms(package: str) -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / package).iterdir()):
        is_room = path.suffix == ".py" or (path / "__init__.py").is_file()
        if is_room and not path.name.startswith("__"):
            found.append((f"{package}.{path.stem}", what_lives_in(path)))
    return found


def drawn() -> str:
    """Markdown."""
    lines = ["```", *layers("Every arrow points down"), "```", ""]
    inside = {
        "issuer": "Inside the issuer: faces, windows, acts, things, tools",
        "verifier": "Inside the verifier: faces, asking, keeping, judging, evidence",
        "ledger": "Inside the ledger: faces above the log",
        "keys": "Inside custody: faces above keys",
    }
    for package in PACKAGES:
        lines += [f"### {package}", ""]
        if package in inside:
            shown = [layer for layer in layers(inside[package]) if not layer.startswith("(")]
            lines += ["```", *shown, "```", ""]
        lines += ["| room | what lives there |", "|---|---|"]
        lines += [f"| `{name}` | {said} |" for name, said in rooms(package)]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}{drawn()}{END}{after}"
    if "--check" in sys.argv:
        return int(wanted != text)
    DOCUMENT.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
