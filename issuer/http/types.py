"""Types of e-certificates over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from issuer.catalogue import load_catalogue
from issuer.catalogue.profile import TypeProfile
from issuer.http.answers import ECertificateTypes
from trust.web.api import API, problems
from trust.web.paging import LINK, USUAL_LIMIT, After, Limit, cut, page_answer, read_cursor


def types_router() -> APIRouter:
    router = APIRouter(prefix=API)

    @router.get(
        "/types",
        operation_id="listTypes",
        tags=["public"],
        response_model=ECertificateTypes,
        responses={**problems(422), 200: {"headers": LINK}},
    )
    def types(request: Request, after: After = None, limit: Limit = USUAL_LIMIT) -> Response:
        """The certificate types and their fields."""
        behind = read_cursor(after) or ""
        found = sorted((each for each in load_catalogue().values() if each.short > behind), key=_short)
        page, cursor = cut(found, limit, _short)
        items = [
            {
                "short": p.short,
                "type_code": p.type_code,
                "version": p.version,
                "name": {"zh-CN": p.name.zh, "en": p.name.en},
                "fields": [
                    {
                        "name": f.name,
                        "gb": f.gb,
                        "type": f.type.value,
                        "required": f.required,
                        "max_length": f.max_length,
                        "choices": list(f.choices),
                        "label": {"zh-CN": f.label.zh, "en": f.label.en},
                    }
                    for f in p.fields
                ],
            }
            for p in page
        ]
        return page_answer(request, "items", items, cursor)

    return router


def _short(profile: TypeProfile) -> str:
    return profile.short
