"""Fuzzing that watches which lines are reached (libFuzzer, by way of Atheris): `make fuzz`, or in tests/

    python -m attacks.guided --minutes 20               every door, two at once, twenty minutes in all
    python -m attacks.guided --minutes 10 --door gap

Each door of `doors.py` is entered in a process of its own, beginning from genuine bytes. What is found is printed as a
Python literal, to stand in `FOUND` of `test_doors.py` from then on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
_WATCHED = ["trust", "keys", "ledger", "verifier", "asn1crypto"]
_LONGEST = {"gap": 300_000, "plain-pdf": 300_000}
_AT_ONCE = 2
_LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--door", action="append")
    options.add_argument("--corpus", type=Path, help="where what was learnt is kept and taken up again")
    options.add_argument("--inside", help=argparse.SUPPRESS)
    chosen, rest = options.parse_known_args()
    if chosen.inside:
        enter_for_ever(chosen.inside, rest)
    if rest:
        options.error(f"not understood: {' '.join(rest)}")
    if find_spec("atheris") is None:
        options.error("atheris is not installed: `make fuzz` installs it")
    with tempfile.TemporaryDirectory() as name:
        corpus = chosen.corpus or Path(name) / "corpus"
        doors = write_genuine(corpus, Path(name))
        unknown = set(chosen.door or ()) - set(doors)
        if unknown:
            options.error(f"no such door: {', '.join(sorted(unknown))}; there are {', '.join(doors)}")
        wanted = chosen.door or doors
        seconds = max(1, round(60 * chosen.minutes * min(_AT_ONCE, len(wanted)) / len(wanted)))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = sum(pool.map(lambda door: run(door, corpus / door, Path(name), seconds), wanted))
    print(f"{found} found" if found else "Nothing found.")
    return 1 if found else 0


def enter_for_ever(name: str, arguments: list[str]) -> None:
    """In the child: libFuzzer takes over and does not come back."""
    sys.path[:0] = [str(ROOT), str(HERE.parents[1])]
    import atheris

    with atheris.instrument_imports(include=_WATCHED):
        from attacks.doors import DOORS

    door = DOORS[name]

    def enter(data: bytes) -> None:
        door.enter(data)

    atheris.Setup([sys.argv[0], *arguments], enter)
    atheris.Fuzz()


def write_genuine(corpus: Path, folder: Path) -> list[str]:
    """The genuine bytes of every door, each in a folder of the corpus."""
    from attacks.doors import DOORS
    from attacks.genuine import make_genuine
    from attacks.genuine_parts import genuine_parts
    from support.world import make_world

    from keys import asn1

    asn1.register()
    world = make_world(folder / "data")
    try:
        parts = genuine_parts(make_genuine(world), folder / "seals")
    finally:
        world.close()
    for door in DOORS:
        (corpus / door).mkdir(parents=True, exist_ok=True)
        for number, good in enumerate(parts[door]):
            (corpus / door / f"genuine-{number}").write_bytes(good)
    return list(DOORS)


def run(door: str, corpus: Path, folder: Path, seconds: int) -> int:
    """How many inputs broke the door: none, or the first."""
    stop = folder / f"{door}-"
    command = [
        sys.executable, "-m", "attacks.guided", "--inside", door, str(corpus), f"-max_total_time={seconds}",
        f"-max_len={_LONGEST.get(door, 20_000)}", f"-artifact_prefix={stop}", *_LIMITS,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=HERE.parents[1], text=True, errors="replace", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    numbers = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    broken = sorted(folder.glob(f"{door}-*"))
    print(f"{door}: {numbers[0] if numbers else '?'} inputs, {len(list(corpus.iterdir()))} ways", flush=True)
    if done.returncode == 0 and not broken:
        return 0
    print(done.stdout[-3000:], flush=True)
    for each in broken:
        print(f'    ("{door}", {each.read_bytes()!r}),', flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
