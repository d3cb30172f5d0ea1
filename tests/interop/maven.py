"""Programs in Java whose libraries come from Maven: fetched once, compiled once, asked many times."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from threading import Timer

import pytest
from support.limits import HANG_SECONDS

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>judges</groupId><artifactId>judges</artifactId><version>1</version><dependencies>{}</dependencies></project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


class JavaProgram:
    """Skips where there is no Java, no Maven, or no repository to ask."""

    def __init__(self, folder: Path, source: str, libraries: Sequence[str]) -> None:
        java, javac, maven = (shutil.which(name) for name in ("java", "javac", "mvn"))
        if java is None or javac is None or maven is None:
            pytest.skip("needs java, javac and mvn")
        listed = "".join(_DEPENDENCY.format(*library.split(":")) for library in libraries)
        (folder / "pom.xml").write_text(_POM.format(listed))
        fetch = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        fetched = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS)
        if fetched.returncode != 0:
            pytest.skip(f"Maven cannot fetch {', '.join(libraries)}")
        sources = [str(Path(__file__).with_name(name)) for name in (source, "Again.java")]
        compile_it = [javac, "-cp", "lib/*", "-d", ".", *sources]
        subprocess.run(compile_it, cwd=folder, check=True, timeout=HANG_SECONDS)
        self._errors = (folder / "errors").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [java, "-XX:TieredStopAtLevel=1", "-cp", "lib/*:.", "Again", source.removesuffix(".java")],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )

    def run(self, *arguments: str | Path) -> list[str]:
        """The lines that it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        hanging = Timer(HANG_SECONDS, self._process.kill)
        hanging.start()
        try:
            self._process.stdin.write("\t".join(map(str, arguments)) + "\n")
            self._process.stdin.flush()
            lines: list[str] = []
            for line in self._process.stdout:
                if line == "\x04done\n":
                    return lines
                if line.startswith("\x04"):
                    break
                lines.append(line.removesuffix("\n"))
        finally:
            hanging.cancel()
        self._errors.seek(0)
        raise AssertionError(self._errors.read() or "The program ended.")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> JavaProgram:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
