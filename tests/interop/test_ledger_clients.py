"""Clients that we did not write read our running ledger, at the sizes where trees and tiles change their shape.

Three: Go's transparency log library (the one that guards Go's modules), which reads the published files;
sigstore's and pymerkle's verifiers, which are given the proofs of our API. All go through HTTP on 127.0.0.1, to
a service in another process that is at that size while it is asked. Size 1 is audited as a prefix of the
others: a log of ours never publishes it, because it begins with two entries.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.limits import HANG_SECONDS

# Tests that do not ask for a size come first: the server grows, and each of them reads all that is there.
pytestmark = [
    pytest.mark.interop,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.xdist_group("ledger-clients"),  # one server, which only grows
]
SIZES = (255, 256, 257, 65_536, 65_537, 70_000)
AUDITED = (1, *SIZES)
TILE_WIDTH = 256
GO_PATH = Path("/usr/share/gocode")  # where Debian puts Go libraries


# The server ------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """The service in its process, and what clients remember of it."""

    process: subprocess.Popen[str]
    address: str
    vkey: str
    size: int = 0
    roots: dict[int, str] = field(default_factory=dict)  # by size, as the Go client found them

    @property
    def ledger(self) -> str:
        return f"{self.address}/ledger"

    def grow_to(self, size: int) -> None:
        if size > self.size:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            print("grow", size, file=self.process.stdin, flush=True)
            self.size = json.loads(self.process.stdout.readline())["size"]


@pytest.fixture(scope="module")
def server(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ledger-clients") / "data"
    shutil.copytree(template_folder, folder)
    command = [sys.executable, str(Path(__file__).with_name("ledger_server.py")), str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        hello = process.stdout.readline()
        assert hello, "the server did not start"
        yield Server(process, **json.loads(hello))
        assert process.stdin is not None
        process.stdin.close()  # which ends it
        process.wait(timeout=HANG_SECONDS)


@pytest.fixture(scope="module", params=SIZES)
def grown(request: pytest.FixtureRequest, server: Server) -> Server:
    """The server, at one size after the other. Where the log put in an entry of its own, it is one larger:
    then clients audit the smaller tree in the larger one."""
    server.grow_to(request.param)
    return server


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=HANG_SECONDS) as response:
        data: bytes = response.read()
    return data


# Go --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, compiled against Debian's copy of the library and nothing from the network."""
    go = shutil.which("go")
    if go is None or not (GO_PATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("needs Go and Debian's golang-golang-x-mod-dev")
    program = tmp_path_factory.mktemp("go") / "audit"
    source = Path(__file__).with_name("go") / "audit.go"
    settings = {"GO111MODULE": "off", "GOFLAGS": "", "GOPATH": str(GO_PATH), "CGO_ENABLED": "0"}
    built = subprocess.run(
        [go, "build", "-o", str(program), str(source)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert built.returncode == 0, built.stderr
    return program


def audit(
    client: Path, server: Server, *, url: str = "", vkey: str = "", known: dict[int, str] | None = None
) -> list[str]:
    """The lines that the client prints; the last says AUDITED or REFUSED."""
    sizes = [str(size) for size in AUDITED if size <= server.size]
    remembered = [f"{size}:{root}" for size, root in (known or {}).items()]
    run = subprocess.run(
        [
            str(client),
            *("-url", url or server.ledger),
            *("-vkey", vkey or server.vkey),
            *("-sizes", ",".join(sizes)),
            *("-known", ",".join(remembered)),
        ],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    lines = run.stdout.splitlines()
    assert lines, run.stderr
    assert (run.returncode == 0) == lines[-1].startswith("AUDITED"), run.stdout + run.stderr
    return lines


@contextlib.contextmanager
def altered(server: Server, alter: Callable[[str, bytes], bytes]) -> Iterator[str]:
    """Address of a ledger that is the server's, but for what `alter` makes of its files."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                data = alter(self.path, get(server.ledger + self.path))
            except urllib.error.HTTPError as exc:
                exc.close()
                self.send_error(exc.code)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def flipping(name: str, at: int) -> Callable[[str, bytes], bytes]:
    return lambda path, data: flipped(data, at) if path.startswith(name) else data


def with_line(name: str, number: int, change: Callable[[str], str]) -> Callable[[str, bytes], bytes]:
    def alter(path: str, data: bytes) -> bytes:
        if path != name:
            return data
        lines = data.decode().split("\n")
        lines[number] = change(lines[number])
        return "\n".join(lines).encode()

    return alter


SPOILED: dict[str, tuple[Callable[[str, bytes], bytes], str]] = {
    "a hash of an entry": (flipping("/tile/0/000", 32 * 100), "tiles"),
    "the newest hash": (flipping("/tile/0/", -1), "tiles"),
    "a byte of an entry": (flipping("/tile/entries/000", 40), "entries"),
    "the last byte of the entries": (flipping("/tile/entries/", -1), "entries"),
    "a tile that is short": (lambda path, data: data[:-1] if path.startswith("/tile/0") else data, "tiles"),
    "the size": (with_line("/checkpoint", 1, lambda size: str(int(size) - 1)), "checkpoint"),
    "the root": (with_line("/checkpoint", 2, lambda root: root[1:4] + root[:1] + root[4:]), "checkpoint"),
    "the signature": (with_line("/checkpoint", 4, lambda line: line[:-8] + "AAAAAA=="), "checkpoint"),
    "no signature": (lambda path, data: data.split(b"\n\n")[0] + b"\n\n", "checkpoint"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_go_refuses_a_ledger_with_one_thing_spoiled(go_client: Path, server: Server, what: str) -> None:
    server.grow_to(SIZES[0])
    alter, step = SPOILED[what]
    with altered(server, alter) as url:
        verdict = audit(go_client, server, url=url)[-1]
    assert verdict.startswith(f"REFUSED {step}: "), verdict


def test_go_refuses_another_history_and_another_key(go_client: Path, server: Server) -> None:
    server.grow_to(SIZES[0])
    other_root = base64.b64encode(bytes(32)).decode()
    assert audit(go_client, server, known={200: other_root})[-1].startswith("AUDITED")  # not asked about
    assert audit(go_client, server, known={255: other_root})[-1].startswith("REFUSED history: ")
    other_key = note_vkey(server.vkey.split("+")[0], bytes(32))
    assert audit(go_client, server, vkey=other_key)[-1].startswith("REFUSED checkpoint: ")
    with altered(server, lambda path, data: data) as url:  # the proxy itself is not what is refused
        assert audit(go_client, server, url=url)[-1].startswith("AUDITED")


def note_vkey(name: str, public_key: bytes) -> str:
    typed = b"\x01" + public_key
    key_id = sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
    return f"{name}+{key_id}+{base64.b64encode(typed).decode()}"


def test_go_audits_the_whole_ledger_at_each_size(go_client: Path, grown: Server) -> None:
    *trees, verdict = audit(go_client, grown, known=grown.roots)
    assert verdict.startswith(f"AUDITED size {grown.size} records {grown.size} "), verdict
    found = {int(size): root for _, size, root in (line.split() for line in trees)}
    assert found.keys() == {size for size in AUDITED if size <= grown.size} | {grown.size}
    grown.roots.update(found)


# What the API says, read by hand: none of our code on the client's side --------------------------------------


@dataclass(frozen=True)
class Proof:
    """A c2sp.org/tlog-proof."""

    index: int
    hashes: list[bytes]
    note: str
    size: int
    root: bytes


def inclusion_proof(server: Server, index: int) -> Proof:
    text = get(f"{server.address}/api/v1/ledger/proof?index={index}").decode()
    head, note = text.split("\n\n", 1)
    header, index_line, *hashes = head.split("\n")
    assert header == "c2sp.org/tlog-proof@v1"
    _, size, root, *_ = note.split("\n")
    return Proof(
        int(index_line.removeprefix("index ")),
        [base64.b64decode(line) for line in hashes],
        note,
        int(size),
        base64.b64decode(root),
    )


def consistency_proof(server: Server, old: int) -> tuple[int, bytes, list[bytes]]:
    found = json.loads(get(f"{server.address}/api/v1/ledger/consistency?old={old}"))
    assert found["old_size"] == old
    return found["size"], base64.b64decode(found["root"]), [base64.b64decode(h) for h in found["proof"]]


class Entries:
    """Entries read out of the bundles of a ledger of `size`."""

    def __init__(self, server: Server) -> None:
        self._server, self._size = server, server.size
        self._bundles: dict[int, list[bytes]] = {}

    def __getitem__(self, index: int) -> bytes:
        number = index // TILE_WIDTH
        if number not in self._bundles:
            self._bundles[number] = self._read(number)
        return self._bundles[number][index % TILE_WIDTH]

    def _read(self, number: int) -> list[bytes]:
        assert number < 1000
        width = min(TILE_WIDTH, self._size - number * TILE_WIDTH)
        partial = f".p/{width}" if width < TILE_WIDTH else ""
        data = get(f"{self._server.ledger}/tile/entries/{number:03}{partial}")
        entries = []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            entries.append(data[2:end])
            data = data[end:]
        assert len(entries) == width
        return entries


@pytest.fixture(scope="module")
def entries(grown: Server) -> Entries:
    return Entries(grown)


def sample(size: int) -> list[int]:
    edges = [0, 1, 2, 127, 128, 253, 254, 255, 256, 257, 65_535, 65_536, size // 2, size - 2, size - 1]
    chance = random.Random(size)
    return sorted({*(i for i in edges if i < size), *(chance.randrange(size) for _ in range(20))})


# sigstore --------------------------------------------------------------------------------------------------


def sigstore_entry(proof: Proof, entry: bytes, *, key_id: bytes) -> Any:
    """Our proof in sigstore's words."""
    models = pytest.importorskip("sigstore.models", reason="sigstore is not installed")

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    inner = models._TransparencyLogEntry.from_dict(
        {
            "log_index": str(proof.index),
            "log_id": {"key_id": encoded(key_id)},
            "kind_version": {"kind": "yinzheng", "version": "1"},
            "canonicalized_body": encoded(entry),
            "inclusion_proof": {
                "log_index": str(proof.index),
                "root_hash": encoded(proof.root),
                "tree_size": str(proof.size),
                "hashes": [encoded(each) for each in proof.hashes],
                "checkpoint": {"envelope": proof.note},
            },
        }
    )
    return models.TransparencyLogEntry(inner)


@dataclass(frozen=True)
class SigstoreKey:
    """The ledger's key as sigstore keeps keys."""

    vkey: str

    @property
    def key_id(self) -> bytes:
        return bytes.fromhex(self.vkey.split("+", 2)[1])

    @cached_property
    def keyring(self) -> Any:
        trust = pytest.importorskip("sigstore._internal.trust", reason="sigstore is not installed")
        from sigstore_models.common import v1

        raw = base64.b64decode(self.vkey.split("+", 2)[2])[1:]
        der = Ed25519PublicKey.from_public_bytes(raw).public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return trust.Keyring([
            v1.PublicKey(raw_bytes=base64.b64encode(der), key_details=v1.PublicKeyDetails.PKIX_ED25519)
        ])  # fmt: skip


def test_sigstore_verifies_our_proofs_and_checkpoints_at_each_size(grown: Server, entries: Entries) -> None:
    merkle = pytest.importorskip("sigstore._internal.merkle", reason="sigstore is not installed")
    from sigstore._internal.rekor.checkpoint import verify_checkpoint
    from sigstore.errors import VerificationError

    key = SigstoreKey(grown.vkey)
    for index in sample(grown.size):
        proof = inclusion_proof(grown, index)
        assert (proof.index, proof.size) == (index, grown.size)
        entry = sigstore_entry(proof, entries[index], key_id=key.key_id)
        merkle.verify_merkle_inclusion(entry)
        verify_checkpoint(key.keyring, entry)
        other = sigstore_entry(proof, entries[index] + b"!", key_id=key.key_id)
        with pytest.raises(VerificationError, match="invalid root hash"):
            merkle.verify_merkle_inclusion(other)
    for number in range(len(proof.hashes)):
        hashes = [flipped(h, 7) if n == number else h for n, h in enumerate(proof.hashes)]
        spoiled = Proof(proof.index, hashes, proof.note, proof.size, proof.root)
        with pytest.raises(VerificationError, match="invalid root hash"):
            merkle.verify_merkle_inclusion(sigstore_entry(spoiled, entries[index], key_id=key.key_id))
    other_note = proof.note.replace(f"\n{proof.size}\n", f"\n{proof.size + 1}\n")
    spoiled = Proof(proof.index, proof.hashes, other_note, proof.size, proof.root)
    with pytest.raises(VerificationError, match="invalid signature"):
        verify_checkpoint(key.keyring, sigstore_entry(spoiled, entries[index], key_id=key.key_id))


# pymerkle --------------------------------------------------------------------------------------------------


class Pymerkle:
    """Our proofs in pymerkle's words: its rule says how hashes are joined, and follows from the sizes alone."""

    def __init__(self, entries: Entries) -> None:
        self.library = pytest.importorskip("pymerkle", reason="pymerkle is not installed")
        self._layouts = pytest.importorskip("pymerkle.core", reason="pymerkle is not installed")
        self._hasher = self.library.proof.MerkleHasher("sha256")
        self._entries = entries
        self._roots: dict[tuple[int, int], bytes] = {}

    def inclusion(self, proof: Proof) -> Any:
        rule, _ = self._layouts._inclusion_path_layout(proof.index + 1, proof.size)
        path = [self.leaf(proof.index), *proof.hashes]
        return self.library.InclusionProof("sha256", True, proof.size, proof.index + 1, rule, path)

    def consistency(self, old: int, old_root: bytes, size: int, hashes: list[bytes]) -> Any:
        """RFC 9162 leaves out the old root where the old tree is perfect; and it gives one hash for what stands
        right of the old tree's last subtree, where pymerkle wants that split up along its left edge."""
        rule, subset, ranges = self._layouts._consistency_path_layout(old, size)
        if old == size:
            assert hashes == []
            path = [self.root(start, end) for start, end in ranges]  # RFC 9162 has nothing to prove here
        else:
            seed, right, *rest = [old_root, *hashes] if old.bit_count() == 1 else hashes
            pieces = [self.root(*each) for each in ranges[: len(ranges) - len(rest) - 1]]
            assert self._joined(pieces) == right
            path = [*pieces, seed, *rest]
        return self.library.ConsistencyProof("sha256", True, size, old, rule, subset, path)

    def root(self, start: int, end: int) -> bytes:
        """Root over entries, joined by the rule of RFC 9162: the left side is the largest power of two."""
        if (start, end) not in self._roots:
            if end - start == 1:
                root = self._hasher.hash_buff(self._entries[start])
            else:
                middle = start + (1 << (end - start - 1).bit_length() - 1)
                root = self._hasher.hash_pair(self.root(start, middle), self.root(middle, end))
            self._roots[start, end] = root
        return self._roots[start, end]

    def leaf(self, index: int) -> bytes:
        return self.root(index, index + 1)

    def _joined(self, pieces: list[bytes]) -> bytes:
        found, *rest = pieces
        for each in rest:
            found = self._hasher.hash_pair(found, each)
        return found


@pytest.fixture(scope="module")
def pymerkle(entries: Entries) -> Pymerkle:
    return Pymerkle(entries)


def test_pymerkle_verifies_our_inclusion_proofs_at_each_size(grown: Server, pymerkle: Pymerkle) -> None:
    verify = pymerkle.library.verify_inclusion
    for index in sample(grown.size):
        proof = inclusion_proof(grown, index)
        theirs = pymerkle.inclusion(proof)
        verify(pymerkle.leaf(index), proof.root, theirs, index=index + 1, size=grown.size, algorithm="sha256")
        with pytest.raises(pymerkle.library.InvalidProof):
            verify(pymerkle.leaf(index), flipped(proof.root, 3), theirs)
    for number in range(len(theirs.path)):
        theirs = pymerkle.inclusion(proof)
        theirs.path[number] = flipped(theirs.path[number], 9)
        with pytest.raises(pymerkle.library.InvalidProof):
            verify(pymerkle.leaf(index), proof.root, theirs)


def test_pymerkle_verifies_our_consistency_proofs_at_each_size(grown: Server, pymerkle: Pymerkle) -> None:
    verify = pymerkle.library.verify_consistency
    for old in (each for each in AUDITED if each <= grown.size):
        old_root = pymerkle.root(0, old)
        size, root, hashes = consistency_proof(grown, old)
        assert size == grown.size
        theirs = pymerkle.consistency(old, old_root, size, hashes)
        verify(old_root, root, theirs, prior_size=old, later_size=size, algorithm="sha256")
        for number in range(len(theirs.path)):
            spoiled = pymerkle.consistency(old, old_root, size, hashes)
            spoiled.path[number] = flipped(spoiled.path[number], 9)
            with pytest.raises(pymerkle.library.InvalidProof):
                verify(old_root, root, spoiled)


# Last, because it needs a large tree -------------------------------------------------------------------------


def test_go_refuses_a_hash_spoiled_two_levels_up(go_client: Path, server: Server) -> None:
    server.grow_to(SIZES[-1])
    for level in (1, 2):
        with altered(server, flipping(f"/tile/{level}/000", 5)) as url:
            verdict = audit(go_client, server, url=url)[-1]
        assert verdict.startswith("REFUSED tiles: "), verdict
