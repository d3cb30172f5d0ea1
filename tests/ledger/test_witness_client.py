"""How a log asks its witnesses: quorums, retries, liars, forks and rollbacks, over an HTTP that is not there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx2 as httpx
import pytest
from support.ledger_world import SteppingClock
from support.witness_world import LOG_KEY, POST_QUANTUM_KEY, WITNESS_KEY, SmallLog, WitnessWorld

from ledger.note import KeyKind, SignerKey, parse_note, signed_note
from ledger.witness.client import Cosigned, Failure, HistoryContradicted, Witnesses
from ledger.witness.policy import Group, Policy, PolicyWitness, check_cosigned_checkpoint
from ledger.witness.witness import Answer
from trust.model.errors import LedgerHalted, Malformed, NotFound, VerificationError

LOG = SmallLog()
Handler = Callable[[httpx.Request], httpx.Response]


class Server(httpx.AsyncBaseTransport):
    """All hosts of the tests: real witnesses, and handlers that a test puts in front of them."""

    def __init__(self) -> None:
        self.witnesses: dict[str, WitnessWorld] = {}
        self.instead: dict[str, Handler] = {}
        self.slow: dict[str, float] = {}
        self.requests: list[tuple[str, str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        host = request.url.host
        first = body.decode().partition("\n")[0]
        self.requests.append((host, request.url.path, first))
        await asyncio.sleep(self.slow.get(host, 0))
        if host in self.instead:
            return self.instead[host](request)
        return answer_of(self.witnesses[host], request)

    def asked(self, host: str) -> list[str]:
        """The first lines of the requests to a host; the path where there is no body."""
        return [first or path for asked, path, first in self.requests if asked == host]


def answer_of(world: WitnessWorld, request: httpx.Request) -> httpx.Response:
    if request.method == "POST":
        assert request.url.path == "/w/add-checkpoint"
        return response(world.witness.add_checkpoint(request.content))
    prefix, origin_hash, last = request.url.path.rsplit("/", 2)
    assert (prefix, last) == ("/w", "checkpoint")
    note = world.witness.latest(origin_hash)
    return said(404 if note is None else 200, (note or "").encode())


def said(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
    """An answer whose body has not been read yet, as it comes from a network."""
    return httpx.Response(status, stream=httpx.ByteStream(body), headers=headers)


def response(answer: Answer) -> httpx.Response:
    return said(answer.status, answer.body, {"Content-Type": answer.content_type})


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server()
        self.clock = SteppingClock()
        self.asking: list[Witnesses] = []
        self.keys: dict[str, tuple[SignerKey, ...]] = {}

    def add(self, *names: str, post_quantum: bool = False) -> None:
        for name in names:
            number = 100 + len(self.keys)
            keys = [SignerKey(name=f"{name}.example", seed=bytes([number]) * 32, kind=KeyKind.COSIGNATURE)]
            if post_quantum:
                keys.append(
                    SignerKey(name=f"{name}.example", seed=bytes([number]) * 32, kind=KeyKind.ML_DSA_44)
                )
            self.keys[name] = tuple(keys)
            self.server.witnesses[name] = WitnessWorld(self.folder / f"{name}.db", keys=keys)

    def policy(self, threshold: int) -> Policy:
        witnesses = tuple(
            PolicyWitness(
                name=name if key.kind is KeyKind.COSIGNATURE else f"{name}-pq",
                vkey=key.vkey,
                url=f"https://{name}/w",
            )
            for name, keys in self.keys.items()
            for key in keys
        )
        names = tuple(each.name for each in witnesses)
        return Policy(
            witnesses=witnesses,
            groups=(Group(name="enough", threshold=threshold, members=names),),
            quorum="enough",
        )

    def ask(self, threshold: int = 1, *, timeout: float = 5, policy: Policy | None = None) -> Witnesses:
        made = Witnesses(
            policy or self.policy(threshold),
            log_vkeys=[LOG_KEY.vkey],
            clock=self.clock,
            timeout=timeout,
            patience=0.2,
            transport=self.server,
        )
        self.asking.append(made)
        return made

    def close(self) -> None:
        for asking in self.asking:
            asking.close()
        for world in self.server.witnesses.values():
            world.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.close()


def failures(cosigned: Cosigned) -> dict[str, Failure | None]:
    return {each.name: each.failure for each in cosigned.outcomes}


# Asking ---------------------------------------------------------------------------------------------------------


def test_every_witness_cosigns_and_the_lines_stand_in_the_order_of_the_policy(world: World) -> None:
    world.add("a", "b", "c")
    world.server.slow = {"a": 0.1}
    asking = world.ask(3)
    for size in (0, 1, 5, 5, 9):
        note = LOG.note(size)
        cosigned = asking.cosign(note, LOG.prove)
        assert cosigned.is_satisfied
        assert cosigned.note.startswith(note)
        lines = parse_note(cosigned.note).signatures
        assert [each.name for each in lines] == [LOG_KEY.name, "a.example", "b.example", "c.example"]
        found = check_cosigned_checkpoint(cosigned.note, asking.policy, log_vkeys=[LOG_KEY.vkey])
        assert found.cosigned_at == {each.name: each.cosigned_at for each in cosigned.outcomes}
    assert world.server.asked("b") == ["old 0", "old 0", "old 1", "old 5", "old 5"], "sizes are remembered"


def test_a_witness_with_two_keys_is_asked_once_and_its_lines_count_apart(world: World) -> None:
    world.add("a", post_quantum=True)
    asking = world.ask(2)
    cosigned = asking.cosign(LOG.note(5), LOG.prove)
    assert cosigned.is_satisfied
    assert failures(cosigned) == {"a": None, "a-pq": None}
    assert len(world.server.requests) == 1
    check_cosigned_checkpoint(cosigned.note, asking.policy, log_vkeys=[LOG_KEY.vkey])


def test_two_of_three_are_enough_when_one_is_away(world: World) -> None:
    world.add("a", "b", "c")

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    world.server.instead = {"b": away}
    cosigned = world.ask(2).cosign(LOG.note(5), LOG.prove)
    assert cosigned.is_satisfied
    assert failures(cosigned) == {"a": None, "b": Failure.UNREACHABLE, "c": None}
    world.server.instead["c"] = away
    assert not world.ask(2).cosign(LOG.note(6), LOG.prove).is_satisfied


def test_a_new_process_learns_the_witnesss_size_from_it_and_asks_once_more(world: World) -> None:
    world.add("a")
    world.ask().cosign(LOG.note(5), LOG.prove)
    assert world.ask().cosign(LOG.note(9), LOG.prove).is_satisfied
    assert world.server.asked("a") == ["old 0", "old 0", "old 5"]


def test_a_witness_that_another_process_brought_forward_is_asked_from_there(world: World) -> None:
    world.add("a")
    one, other = world.ask(), world.ask()
    for size, asking in ((5, one), (7, other), (9, one)):
        assert asking.cosign(LOG.note(size), LOG.prove).is_satisfied


def test_a_witness_that_keeps_moving_is_not_asked_for_ever(world: World) -> None:
    world.add("a")
    sizes = iter(range(1, 100))
    world.server.instead = {
        "a": lambda _: response(
            Answer(status=409, body=b"%d\n" % next(sizes), content_type="text/x.tlog.size")
        )
    }
    cosigned = world.ask().cosign(LOG.note(50), LOG.prove)
    assert failures(cosigned) == {"a": Failure.DISAGREES}
    assert world.server.asked("a")[:2] == ["old 0", "old 1"]
    assert len(world.server.asked("a")) == 3, "and once for the checkpoint it has"


def test_cosignatures_that_are_there_are_kept_and_not_asked_for(world: World) -> None:
    world.add("a", "b")
    world.server.instead = {"b": lambda _: said(503)}
    asking = world.ask(2)
    first = asking.cosign(LOG.note(5), LOG.prove)
    assert failures(first) == {"a": None, "b": Failure.REFUSED}
    world.server.instead.clear()
    second = asking.cosign(first.note, LOG.prove)
    assert second.is_satisfied
    assert second.note.startswith(first.note)
    assert second.outcomes[0] == first.outcomes[0]
    assert len(world.server.asked("a")) == 1
    check_cosigned_checkpoint(second.note, asking.policy, log_vkeys=[LOG_KEY.vkey])


def test_a_witness_without_an_address_is_not_asked(world: World) -> None:
    world.add("a")
    (witness,) = world.policy(1).witnesses
    silent = PolicyWitness(name="silent", vkey=WITNESS_KEY.vkey)
    policy = Policy(witnesses=(witness, silent), quorum="a")
    cosigned = world.ask(policy=policy).cosign(LOG.note(5), LOG.prove)
    assert failures(cosigned) == {"a": None, "silent": Failure.NO_ADDRESS}


# Time -----------------------------------------------------------------------------------------------------------


def test_the_whole_takes_no_longer_than_the_time_limit(world: World) -> None:
    world.add("a", "b")
    world.server.slow = {"a": 60, "b": 60}
    started = time.monotonic()
    cosigned = world.ask(1, timeout=0.3).cosign(LOG.note(5), LOG.prove)
    assert time.monotonic() - started < 20
    assert failures(cosigned) == {"a": Failure.TOO_SLOW, "b": Failure.TOO_SLOW}
    assert cosigned.note == LOG.note(5)


def test_an_answer_that_drips_does_not_outlast_the_time_limit(world: World) -> None:
    world.add("a")

    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.05)
            yield b"x"

    world.server.instead = {"a": lambda _: httpx.Response(200, content=drip())}
    started = time.monotonic()
    assert failures(world.ask(timeout=0.4).cosign(LOG.note(5), LOG.prove)) == {"a": Failure.TOO_SLOW}
    assert time.monotonic() - started < 20


def test_once_there_are_enough_a_slow_witness_holds_nothing_up(world: World) -> None:
    world.add("a", "b")
    world.server.slow = {"b": 60}
    started = time.monotonic()
    cosigned = world.ask(1, timeout=30).cosign(LOG.note(5), LOG.prove)
    assert time.monotonic() - started < 20
    assert cosigned.is_satisfied
    assert failures(cosigned) == {"a": None, "b": Failure.TOO_SLOW}


def test_a_quick_liar_does_not_shorten_the_time_of_the_honest(world: World) -> None:
    world.add("liar", "honest")
    world.server.slow = {"honest": 0.6}
    world.server.instead = {"liar": lambda _: said(200, "— liar.example AAAAAAAA\n".encode())}
    assert world.ask(1, timeout=30).cosign(LOG.note(5), LOG.prove).is_satisfied


# What is not taken ----------------------------------------------------------------------------------------------


def line_by(key: SignerKey, text: str, *, at: int = 1) -> str:
    return parse_lines(signed_note(text, [(key.vkey, key.cosign(text, time=at))]))


def answering(status: int, body: bytes, headers: dict[str, str], _: httpx.Request) -> httpx.Response:
    return said(status, body, headers)


def parse_lines(note: str) -> str:
    return note.rpartition("\n\n")[2]


def test_no_answer_of_a_witness_raises_or_counts_unless_it_is_a_good_line(world: World) -> None:
    world.add("a")
    ours, (key,) = parse_note(LOG.note(5)).text, world.keys["a"]
    other = parse_note(LOG.note(6)).text
    future = int(world.clock.now().timestamp()) + 7200
    good = line_by(key, ours)
    bodies: dict[Failure, Sequence[tuple[int, bytes]]] = {
        Failure.BAD_ANSWER: [
            (200, b""),
            (200, b"\n"),
            (200, b"\xff\n"),
            (200, good[:-1].encode()),
            (200, (good + "\n").encode()),
            (200, (good + "x\n").encode()),
            (200, line_by(key, other).encode()),
            (200, line_by(POST_QUANTUM_KEY, ours).encode()),
            (200, line_by(key, ours, at=future).encode()),
            (200, parse_lines(LOG.note(5)).encode()),
            (200, good.encode() * 2000),
        ],
        Failure.REFUSED: [
            (status, good.encode()) for status in (201, 204, 301, 302, 307, 400, 403, 404, 500)
        ],
        Failure.DISAGREES: [
            (409, b""),
            (409, b"5"),
            (409, b"05\n"),
            (409, b"-1\n"),
            (409, b"0\n"),
            (409, b"6\n"),
            (409, b"\xff\n"),
            (409, b"9" * 5000 + b"\n"),
            (422, b""),
        ],
    }
    for failure, answers in bodies.items():
        for status, body in answers:
            headers = {"Location": "https://elsewhere/", "Content-Encoding": "gzip"}
            world.server.instead = {"a": partial(answering, status, body, headers)}
            cosigned = world.ask().cosign(LOG.note(5), LOG.prove)
            assert failures(cosigned) == {"a": failure}, (status, body[:40])
            assert cosigned.note == LOG.note(5)
            assert not cosigned.is_satisfied
    assert not world.server.asked("elsewhere")


def test_lines_of_strangers_are_left_out(world: World) -> None:
    world.add("a")
    text, (key,) = parse_note(LOG.note(5)).text, world.keys["a"]
    body = line_by(POST_QUANTUM_KEY, text) + line_by(key, text)
    world.server.instead = {"a": lambda _: said(200, body.encode())}
    cosigned = world.ask().cosign(LOG.note(5), LOG.prove)
    assert [each.name for each in parse_note(cosigned.note).signatures] == [LOG_KEY.name, "a.example"]


def test_a_note_that_the_log_did_not_sign_is_not_sent(world: World) -> None:
    world.add("a")
    stranger = SmallLog(keys=[SignerKey(name=LOG_KEY.name, seed=b"\x01" * 32)])
    with pytest.raises(VerificationError):
        world.ask().cosign(stranger.note(5), LOG.prove)
    with pytest.raises(Malformed):
        world.ask().cosign("no note", LOG.prove)
    assert not world.server.requests


def test_a_proof_that_cannot_be_made_is_the_callers_to_know(world: World) -> None:
    world.add("a", "b")
    asking = world.ask()
    asking.cosign(LOG.note(5), LOG.prove)

    def broken(old_size: int, size: int) -> Sequence[bytes]:
        raise NotFound(f"No proof from {old_size} to {size}.")

    with pytest.raises(NotFound):
        asking.cosign(LOG.note(9), broken)
    assert asking.cosign(LOG.note(9), LOG.prove).is_satisfied


# Forks and rollbacks --------------------------------------------------------------------------------------------


def contradicted(asking: Witnesses, note: str, prove: Callable[[int, int], Sequence[bytes]]) -> str:
    with pytest.raises(LedgerHalted) as halted:
        asking.cosign(note, prove)
    assert isinstance(halted.value, HistoryContradicted)
    assert halted.value.code == "LEDGER_HALTED"
    assert halted.value.note == note
    assert halted.value.url == "https://a/w"
    return halted.value.evidence


@pytest.mark.parametrize("same_process", [True, False])
def test_a_log_that_was_rolled_back_stops_on_its_own_larger_checkpoint(
    world: World, same_process: bool
) -> None:
    world.add("a", "b")
    before = world.ask(2)
    before.cosign(LOG.note(9), LOG.prove)
    world.server.instead = {"b": lambda _: said(503)}
    evidence = contradicted(before if same_process else world.ask(1), LOG.note(5), LOG.prove)
    assert evidence.startswith(parse_note(LOG.note(9)).text)
    assert evidence == world.server.witnesses["a"].witness.latest(origin_hash())


def test_a_log_with_another_history_stops_on_its_own_signature(world: World) -> None:
    world.add("a")
    world.ask().cosign(LOG.note(7), LOG.prove)
    fork = SmallLog("another", fork_at=3)
    for size in (7, 8, 20):
        evidence = contradicted(world.ask(), fork.note(size), fork.prove)
        assert evidence.startswith(parse_note(LOG.note(7)).text)


def test_evidence_counts_although_the_quorum_is_met_without_its_witness(world: World) -> None:
    world.add("a", "b", "c")
    fork = SmallLog("another", fork_at=3)
    world.ask(3).cosign(LOG.note(7), LOG.prove)
    for name in ("b", "c"):
        world.server.witnesses[name].close()
        world.server.witnesses[name] = WitnessWorld(world.folder / f"{name}-new.db", keys=world.keys[name])
    contradicted(world.ask(2), fork.note(9), fork.prove)


def origin_hash() -> str:
    from ledger.witness.sql import origin_hash as hashed

    return hashed(LOG_KEY.name)


FORGER = SignerKey(name=LOG_KEY.name, seed=b"\x02" * 32)
OTHER_LOG = SignerKey(name="example.org/other", seed=LOG_KEY.seed)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        b"",
        b"\xff",
        b"no note",
        SmallLog(keys=[FORGER]).note(90).encode(),
        SmallLog("another", keys=[FORGER]).note(5).encode(),
        SmallLog(keys=[OTHER_LOG]).note(90).encode(),
        LOG.note(0).encode(),
        LOG.note(3).encode(),
        LOG.note(5).encode(),
        LOG.note(90).replace("\n90\n", "\n91\n").encode(),
        b"x" * 2_000_000,
    ],
)
@pytest.mark.parametrize("status", [409, 422])
def test_a_lying_witness_without_our_signature_stops_nothing(
    world: World, shown: bytes | None, status: int
) -> None:
    world.add("liar", "honest")

    def lie(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return said(status, b"90\n")
        return said(404 if shown is None else 200, shown or b"")

    world.server.instead = {"liar": lie}
    alone = world.ask(policy=Policy(witnesses=world.policy(1).witnesses, quorum="liar"))
    cosigned = alone.cosign(LOG.note(5), LOG.prove)
    assert not cosigned.is_satisfied
    assert failures(cosigned) == {"liar": Failure.DISAGREES, "honest": None}
    assert world.ask(1).cosign(LOG.note(5), LOG.prove).is_satisfied


def test_a_witness_that_lost_its_memory_stops_nothing(world: World) -> None:
    world.add("a")
    asking = world.ask()
    asking.cosign(LOG.note(5), LOG.prove)
    world.server.witnesses["a"].close()
    world.server.witnesses["a"] = WitnessWorld(world.folder / "new.db", keys=world.keys["a"])
    assert asking.cosign(LOG.note(9), LOG.prove).is_satisfied


# Addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://w.example.org", True),
        ("https://w.example.org:8443/a/b/", True),
        ("https://见证.example/", True),
        ("http://127.0.0.1:8410", True),
        ("http://localhost/w", True),
        ("http://[::1]:8410/", True),
        ("http://inner.example/w", True),
        ("http://w.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@w.example.org", False),
        ("https://user:word@w.example.org", False),
        ("https://w.example.org/?a=b", False),
        ("https://w.example.org/#a", False),
        ("https://", False),
        ("https:///w", False),
        ("w.example.org", False),
        ("ftp://w.example.org", False),
        ("file:///w", False),
        ("https://w.example.org:99999999/", False),
        ("https://\udcff/", False),
    ],
)
def test_addresses_are_https_or_this_machine_or_named_by_the_operator(url: str, usable: bool) -> None:
    policy = Policy(witnesses=(PolicyWitness(name="a", vkey=WITNESS_KEY.vkey, url=url),), quorum="a")

    def make() -> None:
        Witnesses(
            policy, log_vkeys=[LOG_KEY.vkey], clock=SteppingClock(), plain_http_hosts=["inner.example"]
        ).close()

    if usable:
        make()
    else:
        with pytest.raises(Malformed):
            make()
