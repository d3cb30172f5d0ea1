"""A service in use, asked whatever its description allows and does not allow (schemathesis).

Ids that are made up lead nowhere, so a part of them are exchanged for those of what is really there: e-certificates,
seals, keys, sessions, reports, codes. Which part depends on what was made up, so that a failure can be repeated.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pypdfium2
import schemathesis
from fastapi import FastAPI
from schemathesis import BaseSchema, CheckFunction, GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from issuer.presenting.presenting import Level
from support.world import FOOD, METRICS_TOKEN, World
from trust.encoding.digests import sha256
from trust.model.actor import HOLDER, OPERATOR, SCOPES
from trust.people.sessions import DESK
from trust.sandbox.lanes import Lane

CHECKS: list[CheckFunction] = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.ignored_auth,
]


@dataclass
class Seeds:
    """What is really there, and keys with the scopes that they are asked for."""

    new_key: Callable[[frozenset[str]], str]
    pids: list[str]
    parameters: dict[str, list[str]]
    code: str
    identifier: str
    pdf: bytes
    page: bytes
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))


def seeds_of(world: World) -> Seeds:
    """Issues what is to be found, in a world of its own."""
    site, access = world.site, world.site.admin.access
    make = access.clients.create_api_key
    spare = make(OPERATOR, "spare", authority_id=None, scopes=["desk"], days=30)

    @functools.cache
    def new_key(scopes: frozenset[str]) -> str:
        # Keys of a department administer nothing.
        authority = None if "admin" in scopes else "chuncheng-market"
        return make(OPERATOR, "asking", authority_id=authority, scopes=sorted(scopes), days=30)

    for _ in range(3):
        access.sessions.open_session(DESK, spare.split("_")[2].encode(), 12)
    issued = [world.issue(number) for number in range(1, 5)]
    site.issuer.archiving.renew(OPERATOR, [issued[0][0].pid])
    report = site.verifier.checking.verify_and_file
    _, filed = report(OPERATOR, issued[0][1], world.clock.now(), lane=Lane.MACHINE)
    shown = site.issuer.presenting.start(HOLDER, issued[0][0].pid, purpose="x", level=Level(1))
    code, _ = site.issuer.presenting.code(shown, world.clock.now())
    pids = [each.pid.hex() for each, _ in issued]
    return Seeds(
        new_key,
        pids,
        {
            "pid": pids,
            "seal_id": ["chuncheng-market-sm2", "chuncheng-market-rsa3072", "chuncheng-market-p256"],
            "code": [filed["report_code"]],
            "key_id": [spare.split("_")[2]],
            "session_id": [each.session_id for each in access.sessions.list_sessions(OPERATOR)],
            "ca": ["seal-ca-SM2-SM3"],
            "name": ["seal-ca-SM2-SM3"],
            "path": [_newest_tile(world)],
            "number": ["0"],
            "seq": ["1"],
        },
        code,
        issued[0][0].identifier,
        issued[0][1],
        _empty_page(),
    )


def _empty_page() -> bytes:
    document, written = pypdfium2.PdfDocument.new(), io.BytesIO()
    document.new_page(595, 842)
    document.save(written)
    document.close()
    return written.getvalue()


def _newest_tile(world: World) -> str:
    tiles = world.site.ledger.ledger_folder / "tile" / "0" / "000.p"
    return f"0/000.p/{max(int(each.name) for each in tiles.iterdir())}"


class Questions:
    """Asks the operations of an app and counts the answers by operation and status.

    Each is asked with a key that has the scopes which it says it needs, or, if `lacks_scopes`, with all the others.
    """

    def __init__(self, app: FastAPI, seeds: Seeds) -> None:
        self.lacks_scopes = False
        self.schema: BaseSchema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
        # The keys are ours: a made-up one would be refused, and nothing behind it reached.
        self.schema.config.generation.with_security_parameters = False
        self.seeds = seeds
        self.answered: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []

    @property
    def asked(self) -> int:
        return self.answered.total()

    def ask_everything(self, examples: int, *, seed: int = 0) -> None:
        """So many cases for each operation, in the order of the description: half of them as it allows."""
        for found in self.schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._ask(operation, mode, -(-examples // 2), seed)

    def _ask(self, operation: Any, mode: GenerationMode, examples: int, seed: int) -> None:
        try:
            cases = operation.as_strategy(generation_mode=mode)
            cases.validate()
        except Exception:
            if mode is GenerationMode.NEGATIVE:
                return  # where anything is allowed, as in a GET without parameters, there is nothing that is not
            raise

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=cases)
        def ask(case: schemathesis.Case[Any]) -> None:
            self._ask_one(operation, case, mode)

        try:
            ask()
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label

    def _ask_one(self, operation: Any, case: schemathesis.Case[Any], mode: GenerationMode) -> None:
        luck = _luck_of(case)
        self._seed(operation, case, luck, mode)
        key = self._key_for(operation)
        is_shown = key is not None and (self.lacks_scopes or luck % 16)
        headers = {"Authorization": f"Bearer {key}"} if is_shown else {}
        response = case.call(headers=headers)
        self.answered[operation.label, response.status_code] += 1
        # Whether a made-up id is refused says nothing once it was exchanged for one that is there.
        excluded: list[CheckFunction] = [openapi_checks.negative_data_rejection] if luck % 4 else []
        try:
            case.validate_response(response, checks=CHECKS, excluded_checks=excluded, headers=headers)
        except FailureGroup as exc:
            self.wrong.append(f"{operation.label}: {exc}"[:1500])

    def _key_for(self, operation: Any) -> str | None:
        if operation.path == "/metrics":
            return None if self.lacks_scopes else METRICS_TOKEN
        ways = operation.definition.raw.get("security", [])
        scopes = frozenset(scope for way in ways for scope in way.get("apiKey", []))
        if not scopes:
            return None
        return self.seeds.new_key(frozenset(SCOPES) - scopes - {"admin"} if self.lacks_scopes else scopes)

    def _seed(self, operation: Any, case: schemathesis.Case[Any], luck: int, mode: GenerationMode) -> None:
        if not luck % 4 and not self.lacks_scopes:
            return
        for name in case.path_parameters or {}:
            if name in self.seeds.parameters:
                there = self.seeds.parameters[name]
                case.path_parameters[name] = there[luck % len(there)]
        if "/requests/" in operation.path:
            case.path_parameters["number"] = "1"
        if mode is GenerationMode.POSITIVE and "If-Match" in (case.headers or {}):
            case.headers["If-Match"] = "*"
        if mode is GenerationMode.POSITIVE and "Idempotency-Key" in (case.headers or {}):
            case.headers["Idempotency-Key"] = f"a fresh key of {next(self.seeds.numbers):06d}"
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            self._seed_body(operation.definition.raw["operationId"], case.body)

    def _seed_body(self, operation: str, body: dict[str, Any]) -> None:
        number = f"JY2990101{next(self.seeds.numbers):07d}"
        if operation == "issueCertificate":
            body.clear()
            body.update({"type": "FOOD", "fields": FOOD | {"licence_number": number}})
        elif operation == "replaceCertificate":
            body.update(
                {"reason": "x", "fields": FOOD, "seal": None, "further_seals": [], "photo_base64": None}
            )
        elif operation == "revokeCertificate":
            body["reason"] = "penalty"
        elif operation == "startPresentation":
            body.update({"pid": self.seeds.pids[0], "purpose": "x"})
        elif operation == "lookUpCertificate":
            body["identifier"] = self.seeds.identifier
        elif operation == "applyForSeal":
            body.clear()
            body.update({"id": f"seal-{number.lower()}", "authority": "chuncheng-market"})
        elif operation == "stampPdf":
            fields = FOOD | {"licence_number": number}
            body.update({"file": self.seeds.page, "data": json.dumps({"type": "FOOD", "fields": fields})})
        elif operation == "verifyDigests":
            body["digests"] = [sha256(self.seeds.pdf).hex()]
        elif "code" in body:
            body["code"] = self.seeds.code
        elif operation == "verify" and "file" in body:
            body["file"] = self.seeds.pdf


def _luck_of(case: schemathesis.Case[Any]) -> int:
    made_up: list[Mapping[str, Any] | Any] = [case.path_parameters, case.query, case.headers, case.body]
    return hashlib.sha256(repr(made_up).encode("utf-8", "replace")).digest()[0]
