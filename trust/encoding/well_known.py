"""Addresses under /.well-known that other deployments fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

BUNDLE_PATH, BUNDLE_TYPE = "/.well-known/ecert/bundle.zip", "application/zip"
