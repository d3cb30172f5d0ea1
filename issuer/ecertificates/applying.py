"""From a record, or from a department's own PDF, to an application: the same for the command line and the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from issuer.authorities.register import Authorities
from issuer.catalogue import TypeProfile, load_profile
from issuer.ecertificates.records import Record, read_picture, record_from
from issuer.sealing.intake import decode_prepared
from trust.model.ecertificate import Application, IssuingAuthority, PlaceOnPage
from trust.model.errors import (
    EvidenceUnavailableError,
    Malformed,
    NotFound,
    ProfileViolation,
)
from trust.sandbox.workers import Sandbox


@dataclass(frozen=True, slots=True)
class Applying:
    """The use case. `sandbox`: workers that look at a department's own PDF."""

    authorities: Authorities
    sandbox: Sandbox

    def find_authority(self, wanted: str | None, profile: TypeProfile) -> IssuingAuthority:
        """The authority with this id or credit code; if none is given, the only one that may issue the type."""
        listed = self.authorities.list()
        if wanted is not None:
            for authority in listed:
                if wanted in (authority.authority_id, authority.uscc):
                    return authority
            raise NotFound(
                "There is no such authority.",
                "List them with `yinzheng authority list`.",
                code="UNKNOWN_AUTHORITY",
                zh="未登记该签发机构，请用 yinzheng authority list 查看已登记的机构。",
            )
        entitled = [a for a in listed if set(a.functions) & set(profile.who_may_issue)]
        if len(entitled) != 1:
            raise Malformed(
                f"{len(entitled)} authorities may issue {profile.short}.",
                "Say which with --authority.",
                code="AUTHORITY",
                zh=f"有 {len(entitled)} 个机构可签发{profile.name.zh}，请用 --authority 指明签发机构。",
            )
        return entitled[0]

    def application_from(
        self,
        record: Record,
        profile: TypeProfile,
        *,
        authority: str | None,
        seal: str | None,
        also: Sequence[str] = (),
        for_abroad: bool = False,
    ) -> Application:
        """The application for a record, with its picture. Raises `RequestError` if no authority is known or the
        record has problems."""
        if record.problems:
            raise ProfileViolation(record.problems)
        found = self.find_authority(record.authority or authority, profile)
        return Application(
            type_short=profile.short,
            authority_id=found.authority_id,
            fields=record.fields,
            seal_id=record.seal or seal,
            photo=read_picture(record),
            row=record.row,
            further_seals=tuple(also),
            for_abroad=for_abroad,
        )

    def stamp_application(
        self,
        pdf: bytes,
        sidecar: Mapping[str, Any],
        *,
        type_short: str | None,
        seal: str | None,
        authority: str | None,
        also: Sequence[str] = (),
        lose_standard: bool = False,
        for_abroad: bool = False,
    ) -> Application:
        """The application for a department's own PDF, which is checked in the sandbox.

        `sidecar` is {"type", "fields": {…}, "place": {"page": -1, "seal_mm": [x, y]}, "authority", "seal",
        "further_seals": […], "lose_standard": true, "for_abroad": true}, of which only `fields` is needed; `seal_mm`
        is the seal's centre from the left and bottom edge of the page as it is shown. Raises `Malformed` with the
        reason's code (ENCRYPTED, ALREADY_SIGNED, …).
        """
        said = {name: value for name, value in sidecar.items() if value is not None}
        _check_sidecar(said)
        profile = load_profile(type_short or str(said.get("type", "")))
        place = _place(said.get("place"))
        wanted_seal, wanted_authority = said.get("seal"), said.get("authority")
        try:
            prepared = self.sandbox.run("check-stampable", {}, [pdf], decode_prepared)
        except EvidenceUnavailableError as exc:
            raise Malformed(exc.what, "Save it anew from its source.", code=exc.code) from exc
        if prepared is not None:
            pdf = prepared
        record = record_from(1, said["fields"], profile, None)
        found = self.find_authority(authority or wanted_authority, profile)
        return Application(
            type_short=profile.short,
            authority_id=found.authority_id,
            fields=record.fields,
            seal_id=seal or wanted_seal,
            source_pdf=pdf,
            place=place,
            row=1,
            further_seals=tuple(also or said.get("further_seals", ())),
            may_lose_standard=lose_standard or said.get("lose_standard", False),
            for_abroad=for_abroad or said.get("for_abroad", False),
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


_SIDECAR: dict[str, tuple[Callable[[object], bool], str]] = {
    "fields": (lambda value: isinstance(value, dict), '{"licence_number": "…", …}'),
    "type": (_is_text, '"FOOD"'),
    "place": (lambda value: isinstance(value, dict), '{"page": -1, "seal_mm": [120, 40]}'),
    "authority": (_is_text, '"…"'),
    "seal": (_is_text, '"…"'),
    "further_seals": (_are_texts, '["…"]'),
    "lose_standard": (_is_truth, "true"),
    "for_abroad": (_is_truth, "true"),
}


def _check_sidecar(sidecar: Mapping[str, Any]) -> None:
    """Raises `Malformed` for anything unknown, because ignoring a wish would give a wrong licence."""
    unknown = sorted(set(sidecar) - set(_SIDECAR))
    if unknown:
        listed, known = ", ".join(map(repr, unknown)), ", ".join(_SIDECAR)
        raise Malformed(
            f"The data beside the PDF names what is not known: {listed}.",
            f"Known are {known}.",
            zh=f"PDF 附带的数据中有不认识的项：{listed}。可用的有：{known}。",
        )
    if "fields" not in sidecar:
        raise Malformed(
            "The data beside the PDF has no fields.",
            'Write {"type": …, "fields": {…}}.',
            zh='PDF 附带的数据没有 fields，请写成 {"type": …, "fields": {…}}。',
        )
    for name, (is_right, example) in _SIDECAR.items():
        if name in sidecar and not is_right(sidecar[name]):
            raise Malformed(
                f'"{name}" in the data beside the PDF is not in its form.',
                f"Write {example}.",
                zh=f"PDF 附带的数据中“{name}”的写法不对，请写成 {example}。",
            )


def _place(raw: Any) -> PlaceOnPage | None:
    match raw:
        case None:
            return None
        case {"page": int(page), "seal_mm": [int() | float() as x, int() | float() as y], **others} if (
            not others
            and not any(isinstance(each, bool) for each in (page, x, y))
            and 0 <= x <= 2000
            and 0 <= y <= 2000
        ):
            return PlaceOnPage(page, float(x), float(y))
        case _:
            raise Malformed(
                "The place of the seal is not in its form.",
                'Write {"page": -1, "seal_mm": [120, 40]}.',
                code="PLACE",
            )
