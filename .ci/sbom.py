"""A list of what is installed, in CycloneDX JSON: one file for each lock file. Run by `make sbom`.

    python .ci/sbom.py --out DIR [--installed SITE-PACKAGES] LOCK…

For each package of a lock: name, version, the SHA-256 of every file that may be installed for it, the marker under
which it is, and the licence that its metadata names, where it is installed at hand. The same locks give the same bytes:
there is no time in the list, its serial number is derived from the lock, and neither a path nor a registry is named.
"""

from __future__ import annotations

import argparse
import re
import tomllib
import uuid
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(?: ; ([^\\]+?))? *\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("locks", nargs="+", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--installed", type=Path, help="where licences are looked up")
    given = options.parse_args()
    found = distributions(path=[str(given.installed)]) if given.installed else iter(())
    installed = {_normal(each.name): each for each in found}
    given.out.mkdir(parents=True, exist_ok=True)
    for lock in given.locks:
        text = JsonV1Dot6(_listed(lock, installed)).output_as_string(indent=2) + "\n"
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if problem is not None:
            raise SystemExit(f"{lock}: not what the schema asks for: {problem}")
        (given.out / f"{lock.stem}.cdx.json").write_text(text, encoding="utf-8")


def _listed(lock: Path, installed: dict[str, Distribution]) -> Bom:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    text = lock.read_text("utf-8")
    components = [_component(*each, installed) for each in _packages(text)]
    bom = Bom(
        serial_number=uuid.UUID(bytes=sha256(text.encode()).digest()[:16], version=4),
        metadata=BomMetaData(component=own),
        components=components,
    )
    bom.metadata.timestamp = None
    bom.register_dependency(own, components)
    return bom


def _packages(lock: str) -> Iterator[tuple[str, str, str | None, list[str]]]:
    """Name, version, marker and digests of each. Raises `SystemExit` for a line that is none of this."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.strip()):
        head, *rest = block.splitlines()
        found = _PACKAGE.match(head)
        digests = [match.group(1) for line in rest if (match := _HASH.search(line))]
        if found is None or not digests or len(digests) != len(rest):
            raise SystemExit(f"not understood: {head!r}")
        yield found.group(1), found.group(2), found.group(3), digests


def _component(
    name: str, version: str, marker: str | None, digests: list[str], installed: dict[str, Distribution]
) -> Component:
    at_hand = installed.get(_normal(name))
    licence = _licence(at_hand) if at_hand is not None and at_hand.version == version else None
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("pypi", name=_normal(name), version=version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else None,
        properties=[Property(name="marker", value=marker)] if marker else None,
    )


def _licence(distribution: Distribution) -> str | None:
    """An SPDX expression where the metadata has one, else the name of a classifier; whole texts are no names."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classified = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or ()
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    if classified:
        return " / ".join(classified)
    written = str(metadata.get("License") or "").strip()
    return written if written and "\n" not in written and len(written) <= 60 else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
