"""A small world for the pages: a service with one department, its seal, and a holder with four licences."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from fastapi import FastAPI

from issuer.ecertificates.issuing import Outcome
from issuer.presenting.presenting import Level
from keys.suites import Suite
from trust.app.compose import Site, open_site
from trust.app.settings import read_settings
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.model.ecertificate import Application, IssuedECertificate, IssuingAuthority
from trust.model.parties import (
    CodeType,
    Holder,
    identity_check_character,
    organisation_check_character,
    uscc_check_character,
)
from trust.model.status import StatusAct
from trust.people.access import Access, open_access

DESK = "政务大厅 3 号窗口"
HOLDER_NAME = "春城百味餐饮管理有限公司"
PERSON = "阿依古丽·买买提"


@dataclass(frozen=True, slots=True)
class World:
    site: Site
    access: Access
    valid: IssuedECertificate
    suspended: IssuedECertificate
    revoked: IssuedECertificate
    others: IssuedECertificate
    holder_ref: bytes
    desk_key: str

    @property
    def app(self) -> FastAPI:
        return create_app(self.site)

    def pdf(self, issued: IssuedECertificate) -> bytes:
        return self.site.issuer.issuing.issued_file(issued.pid)

    def live_code(self, level: Level = Level.MASKED, purpose: str = "窗口办事") -> str:
        """A fresh live code of the valid licence."""
        presentation = self.site.issuer.presenting.start(
            OPERATOR, self.valid.pid, purpose=purpose, level=level
        )
        return self.site.issuer.presenting.code(presentation, self.site.clock.now())[0]


def make_world(folder: Path, host: str = "") -> World:
    """`host` is the address it will be served at over plain HTTP; without it, the service's usual name."""
    settings = replace(read_settings(folder / "data", "en"), kdf_rounds=1000)
    if host:
        settings = replace(settings, host=host, base_url=f"http://{host}", origin=f"{host}/ledger")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        site = open_site(settings, create=True)
    access = open_access(site.stores.register, site.clock, SystemEntropy(), site.admin.access.trail)
    functions = ("market-regulation",)
    authority = IssuingAuthority(
        "cc-scjg",
        _uscc("11530100", "MB9Y0001"),
        "春城市市场监督管理局",
        "Chuncheng Market Regulation Bureau",
        functions,
    )
    site.issuer.authorities.add(OPERATOR, authority)
    site.issuer.seals.make(
        OPERATOR, "cc-scjg-p256", "cc-scjg", Suite.P256_SHA256, second_line="行政许可专用章"
    )
    holder = _uscc("91530100", "MA6K4T0X")
    other = _uscc("91530100", "MA6K4T1X")
    numbers = {"valid": (1, holder), "suspended": (2, holder), "revoked": (3, holder), "others": (4, other)}
    since = site.clock.now().date() - timedelta(days=30)
    applications = [
        Application("FOOD", "cc-scjg", _fields(number, code, since), "cc-scjg-p256")
        for number, code in numbers.values()
    ]
    outcomes = site.issuer.issuing.issue(OPERATOR, applications)
    issued = {name: _issued(outcome) for name, outcome in zip(numbers, outcomes, strict=True)}
    site.issuer.statuses.change(OPERATOR, issued["suspended"].pid, StatusAct.SUSPEND, reason="调查")
    site.issuer.statuses.change(OPERATOR, issued["revoked"].pid, StatusAct.REVOKE, reason="penalty")
    return World(
        site=site,
        access=access,
        holder_ref=site.issuer.issuing.reserving.holder_ref(
            Holder(HOLDER_NAME, holder, CodeType.USCC, on=since)
        ),
        desk_key=access.clients.create_api_key(
            OPERATOR, DESK, authority_id="cc-scjg", scopes=["desk"], days=30
        ),
        **issued,
    )


def issue_doctor(world: World) -> IssuedECertificate:
    """A licence with a photograph, of a department of its own."""
    world.site.issuer.authorities.add(
        OPERATOR,
        IssuingAuthority(
            "cc-wjw",
            _uscc("11530100", "MB9Y0009"),
            "春城市卫生健康委员会",
            "Chuncheng Health Commission",
            ("health",),
        ),
    )
    world.site.issuer.seals.make(OPERATOR, "cc-wjw-p256", "cc-wjw", Suite.P256_SHA256)
    since = (world.site.clock.now().date() - timedelta(days=30)).isoformat()
    fields: dict[str, str | list[str]] = {
        "licence_number": "141530100000123",
        "holder_name": "张样本",
        "gender": "男",
        "birth_date": "1985-06-15",
        "holder_code": _identity_number("99010119850615001"),
        "qualification_number": "202353141530100000123000000",
        "level": "执业医师",
        "category": "临床",
        "practice_scope": ["内科专业", "儿科专业"],
        "main_institution": "春城市示例医院",
        "practice_region": "云岭省",
        "valid_from": since,
        "valid_until": "长期",
        "photo": "doctor.jpg",
        "issued_on": since,
    }
    (outcome,) = world.site.issuer.issuing.issue(
        OPERATOR, [Application("MEDPR", "cc-wjw", fields, "cc-wjw-p256", photo=portrait())]
    )
    return _issued(outcome)


def portrait() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (300, 420), (90, 130, 170)).save(out, "JPEG")
    return out.getvalue()


def _identity_number(body: str) -> str:
    return body + identity_check_character(body)


def _issued(outcome: Outcome) -> IssuedECertificate:
    assert outcome.issued is not None, outcome.error
    return outcome.issued


def _fields(number: int, holder_code: str, since: date) -> dict[str, str | list[str]]:
    return {
        "licence_number": f"JY2530102001234{number}",
        "holder_name": HOLDER_NAME,
        "holder_code": holder_code,
        "legal_representative": PERSON,
        "domicile": "云岭省春城市人民中路1号",
        "premises": "云岭省春城市五华区人民中路1号春城广场B1层08号",
        "business_form": "餐饮服务经营者",
        "business_items": ["热食类食品制售", "冷食类食品制售"],
        "valid_from": since.isoformat(),
        "issued_on": since.isoformat(),
    }


def _uscc(head: str, organisation: str) -> str:
    body = head + organisation + organisation_check_character(organisation)
    return body + uscc_check_character(body)
