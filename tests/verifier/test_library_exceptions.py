"""Whatever a library raises, wherever it raises it: of a file of others it is never held that it was changed.

Each exception type of every library that reads such files is raised at each door by which they are read, for a file
that is good. Only one says something of the file: that a signature does not verify, raised where that is asked.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any
from xml.etree import ElementTree

import asn1crypto.cms
import asn1crypto.crl
import asn1crypto.x509
import cryptography.exceptions
import pyhanko
import pyhanko.pdf_utils.generic
import pyhanko.pdf_utils.reader
import pyhanko.sign.fields
import pyhanko.sign.validation
import pyhanko_certvalidator
import pytest
from pyhanko.pdf_utils.xref import XRefCache
from pyhanko.sign.diff_analysis import StandardDiffPolicy
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.sig_validate import DefaultSignatureValidator
from support.producers import Producer, contract

import trust.pdf.reading
import verifier.checks.foreign
import verifier.checks.foreign_signatures
from trust.model.report import Result
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination


def _modules(package: Any) -> Iterator[Any]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "fontTools" not in found.name and "__main__" not in found.name:
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                continue  # an extra that is not installed


def _makes(kind: type[BaseException]) -> BaseException | None:
    for arguments in (("x",), (), ("x", "y"), ("x", "y", "z")):
        try:
            return kind(*arguments)
        except Exception:
            continue
    return None


@cache
def exception_types() -> dict[str, BaseException]:
    """By their names, one of each."""
    built_in: list[type[Exception]] = [
        ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, AssertionError,
        NotImplementedError, UnicodeDecodeError, ZeroDivisionError, EOFError, OSError, StopIteration, RuntimeError,
        MemoryError, zlib.error, struct.error, ElementTree.ParseError,
    ]  # fmt: skip
    modules = [*_modules(pyhanko), *_modules(pyhanko_certvalidator), cryptography.exceptions]
    found = {each.__name__: each for each in built_in}
    for module in modules:
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Exception) and kind.__module__.split(".")[0] in (
                "pyhanko",
                "pyhanko_certvalidator",
                "cryptography",
            ):
                found[name] = kind
    made = {name: _makes(kind) for name, kind in found.items()}
    made["UnicodeDecodeError"] = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")
    return {name: each for name, each in made.items() if each is not None}


DOORS: dict[str, tuple[Any, str]] = {
    "the reader": (pyhanko.pdf_utils.reader.PdfFileReader, "__init__"),
    "the tables": (trust.pdf.reading, "_library_table"),
    "an object": (pyhanko.pdf_utils.reader.PdfFileReader, "get_object"),
    "the cross-reference": (XRefCache, "get_historical_ref"),
    "the root": (pyhanko.pdf_utils.reader.PdfFileReader, "root_ref"),
    "the fields": (verifier.checks.foreign_signatures, "enumerate_sig_fields"),
    "the definite form": (verifier.checks.foreign_signatures, "definite_form"),
    "a signature": (EmbeddedPdfSignature, "__init__"),
    "the CMS": (asn1crypto.cms.ContentInfo, "load"),
    "a certificate": (asn1crypto.x509.Certificate, "load"),
    "a revocation list": (asn1crypto.crl.CertificateList, "load"),
    "the digest": (EmbeddedPdfSignature, "compute_digest"),
    "the coverage": (EmbeddedPdfSignature, "evaluate_signature_coverage"),
    "the differences": (StandardDiffPolicy, "apply"),
    "the store of evidence": (DocumentSecurityStore, "read_dss"),
    "the signature": (verifier.checks.foreign, "async_validate_pdf_signature"),
    "the time-stamp": (verifier.checks.foreign, "async_validate_pdf_timestamp"),
    "the context": (ValidationContext, "__init__"),
    "the long-term check": (verifier.checks.foreign, "ades_lta_validation"),
    "the mathematics": (DefaultSignatureValidator, "validate_signature"),
}
_SAYS_SOMETHING = {("the mathematics", "InvalidSignature")}


_OF_ARCHIVED_FILES = {"the store of evidence", "the time-stamp", "the long-term check"}


_SHORT_TERM = "the long-term check"


@cache
def good(level: str) -> tuple[Producer, bytes]:
    made = Producer("ecdsa")
    return made, made.sign(contract(), level, signer=made.new_signer(days=(-1, 2)))


def examine(made: Producer, pdf: bytes, days: int) -> Examination:
    at = made.at + timedelta(days=days)
    return examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=made.crls(at), verified_at=at)


def _raising(exc: BaseException) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> Any:
        raise exc

    return raises


def test_there_are_types_to_try() -> None:
    names = set(exception_types())
    assert len(names) > 50
    assert {"PdfReadError", "SignatureValidationError", "CMSExtractionError", "PathBuildingError"} <= names


@pytest.mark.parametrize("door", DOORS)
def test_no_exception_of_a_library_turns_into_failed(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, pdf = good("B-LTA" if door in _OF_ARCHIVED_FILES else "B-B")
    days = 3 if door == _SHORT_TERM else 0
    assert all(f.result is Result.PASSED for f in examine(made, pdf, days).findings)
    owner, name = DOORS[door]
    came_by = False
    for kind, exc in exception_types().items():
        if (door, kind) in _SAYS_SOMETHING:
            continue
        with monkeypatch.context() as patched:
            replaced: Any = _raising(exc)
            if isinstance(inspect.getattr_static(owner, name), property):
                replaced = property(replaced)
            patched.setattr(owner, name, replaced)
            found = examine(made, pdf, days)
        failed = [f for f in found.findings if f.result is Result.FAILED]
        assert not failed, (kind, failed)
        came_by = came_by or any(f.result is Result.INDETERMINATE for f in found.findings)
    # Where the file is in order, nothing is compared or written anew; and tables are read in another way as well.
    assert came_by or door in ("the definite form", "the differences", "the tables")
