"""Programs in Java whose libraries come from Maven: fetched once, compiled once, asked many times at once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

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
        self._java, self._folder, self._name = java, folder, source.removesuffix(".java")
        listed = "".join(_DEPENDENCY.format(*library.split(":")) for library in libraries)
        (folder / "pom.xml").write_text(_POM.format(listed))
        fetch = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        fetched = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS)
        if fetched.returncode != 0:
            pytest.skip(f"Maven cannot fetch {', '.join(libraries)}")
        compile_it = [javac, "-cp", "lib/*", "-d", ".", str(Path(__file__).with_name(source))]
        subprocess.run(compile_it, cwd=folder, check=True, timeout=HANG_SECONDS)

    def run(self, *arguments: str | Path) -> list[str]:
        """The lines that it prints."""
        done = subprocess.run(
            [self._java, "-XX:TieredStopAtLevel=1", "-cp", "lib/*:.", self._name, *map(str, arguments)],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
