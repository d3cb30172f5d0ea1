"""Types of e-certificates over HTTP."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from issuer.catalogue import load_catalogue
from issuer.http.answers import ECertificateTypes
from trust.web.api import API, problems


def types_router() -> APIRouter:
    router = APIRouter(prefix=API)

    @router.get(
        "/types",
        operation_id="listTypes",
        tags=["public"],
        response_model=ECertificateTypes,
        responses=problems(),
    )
    def types() -> Response:
        """The certificate types and their fields."""
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
            for p in load_catalogue().values()
        ]
        return JSONResponse({"items": items})

    return router
