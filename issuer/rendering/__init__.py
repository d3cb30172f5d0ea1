"""The human-readable page of an e-certificate (照面), laid out as PDF/A-3a and PDF/UA-1."""

from issuer.rendering.fonts import missing_characters
from issuer.rendering.page import PageData, RenderedPage, SealBox, render
from issuer.rendering.qr import BOX_MM, PrintedCode, fits_printed_code, printed_code

__all__ = [
    "BOX_MM",
    "PageData",
    "PrintedCode",
    "RenderedPage",
    "SealBox",
    "fits_printed_code",
    "missing_characters",
    "printed_code",
    "render",
]
