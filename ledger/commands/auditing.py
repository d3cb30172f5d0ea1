"""The sources that `yinzheng ledger audit` reads: a folder, or a server that others run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx2 as httpx

from ledger.audit import AuditReport, audit
from ledger.checkpoint import parse_checkpoint
from ledger.note import parse_note, parse_vkey
from ledger.text import decode_utf8
from ledger.tilefolder import SM3_FOLDER, TileFolder, statement_path
from ledger.tiles import Tile, decode_bundle, decode_hashes, entries_path, tile_path
from ledger.witness.policy import parse_policy
from trust.model.errors import Malformed, StorageError
from trust.terminal import console
from trust.terminal.console import t

_TIMEOUT = 20.0
_MAX_FILE = 256 * 65_537


class HttpFiles:
    """A log's files over HTTP(S), read one by one."""

    def __init__(self, client: httpx.Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def read_checkpoint(self) -> bytes | None:
        return self._get("checkpoint")

    def read_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        width, data = self._tile(tile, tile_path(tile), tile_path(Tile(tile.level, tile.index)))
        return decode_hashes(data, width=width)[: tile.width]

    def read_bundle(self, tile: Tile) -> tuple[bytes, ...]:
        width, data = self._tile(tile, entries_path(tile), entries_path(Tile(0, tile.index)))
        return decode_bundle(data, width=width)[: tile.width]

    def read_statement(self, seq: int) -> str:
        data = self._get(statement_path(seq))
        if data is None:
            raise StorageError(f"{statement_path(seq)} is not there.")
        return decode_utf8(data)

    def _tile(self, tile: Tile, path: str, full_path: str) -> tuple[int, bytes]:
        """The tile, or the full one in its place, because partial tiles may be deleted once it exists."""
        data = self._get(path)
        if data is not None:
            return tile.width, data
        full = None if path == full_path else self._get(full_path)
        if full is None:
            raise StorageError(f"{path} is not there.")
        return 256, full

    def _get(self, path: str) -> bytes | None:
        try:
            answer = self._client.get(self._prefix + path)
        except httpx.HTTPError as exc:
            raise StorageError("The server does not answer.", "Check the address and the network.") from exc
        if answer.status_code == 404:
            return None
        if answer.status_code != 200 or len(answer.content) > _MAX_FILE:
            raise StorageError(f"The server answers {answer.status_code} for {path}.")
        return answer.content


def audit_source(
    source: str, *, vkey: str, policy: Path | None, kept: Path | None, json: bool
) -> AuditReport:
    """Audits the ledger at a folder or address. Raises `Malformed` for a malformed key, policy or checkpoint."""
    log_vkey = parse_vkey(vkey)
    wanted = parse_policy(policy.read_bytes()) if policy else None
    old = parse_checkpoint(parse_note(decode_utf8(kept.read_bytes())).text) if kept else None
    with contextlib.ExitStack() as stack:
        if source.startswith(("https://", "http://")):
            client = stack.enter_context(httpx.Client(timeout=_TIMEOUT, follow_redirects=False))
            prefix = source.rstrip("/") + "/"
            files, sm3_files = HttpFiles(client, prefix), HttpFiles(client, f"{prefix}{SM3_FOLDER}/")
        elif Path(source).is_dir():
            files, sm3_files = TileFolder(Path(source)), TileFolder(Path(source) / SM3_FOLDER)  # type: ignore[assignment]
        else:
            raise Malformed(
                f"{source} is neither a folder nor an address.", "Give a folder, or https://host/ledger."
            )
        advance = stack.enter_context(console.progress(1000, t("审计账本", "auditing"), quiet=json))
        seen = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal seen
            now = done * 1000 // max(1, total)
            advance(now - seen)
            seen = now

        return audit(files, sm3_files, log_vkey=log_vkey, policy=wanted, kept=old, on_progress=on_progress)
