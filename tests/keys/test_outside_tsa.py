"""Tokens from outside: each check refuses what it is there for, over real HTTP and under another root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core
from support.outside_ca import new_key
from support.outside_tsa import SIGNING_TIME, OtherTsa
from support.plain_http import PlainServer, plain_server
from support.world import START, StoppedClock

from keys.outside_tsa import MAX_ANSWER_BYTES, QUERY_TYPE, REPLY_TYPE, OutsideTsa, TimeStampOrder
from keys.pki.importing import check_time_stamp_chain
from keys.suites import Suite
from trust.fetching import post
from trust.model.errors import Malformed, TimeStampUnavailable

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]
NAMES = [suite.value for suite in SUITES]
IMPRINT = bytes(range(32))


@pytest.fixture(scope="module")
def server() -> Iterator[PlainServer]:
    with plain_server() as made:
        yield made


_made: dict[Suite, OtherTsa] = {}


@pytest.fixture(params=SUITES, ids=NAMES)
def tsa(request: pytest.FixtureRequest, server: PlainServer) -> OtherTsa:
    """An honest one; keys are made once."""
    suite = request.param
    known = _made.get(suite) or _made.setdefault(suite, OtherTsa(suite, StoppedClock(), server, suite.name))
    known.clock.at = START
    known.values, known.attributes = {}, ()
    known.status, known.http_status, known.key = "granted", 200, known.own_key
    known.spoil = lambda token: token
    return known


def reached(tsa: OtherTsa) -> OutsideTsa:
    def ask(url: str, query: bytes) -> bytes:
        return post(
            url,
            query,
            content_type=QUERY_TYPE,
            answer_type=REPLY_TYPE,
            timeout_seconds=5,
            max_bytes=MAX_ANSWER_BYTES,
        )

    return OutsideTsa(tsa.url, (tsa.cert, tsa.ca.cert), tsa.ca.root, tsa.clock, ask)


def refusal(tsa: OtherTsa) -> tuple[str, str]:
    with pytest.raises(TimeStampUnavailable) as caught:
        reached(tsa).stamp(IMPRINT, tsa.suite.digest)
    return caught.value.code, caught.value.what


def test_an_honest_token_is_taken_whatever_its_policy_and_accuracy(tsa: OtherTsa) -> None:
    outside = reached(tsa)
    assert outside.suite == tsa.suite.value
    other = "sha256" if tsa.suite.digest == "sm3" else "sm3"
    for values in (
        {},
        {"accuracy": None},
        {"ordering": None},
        {"policy": "2.999.1", "serial_number": 1 << 150},
    ):
        tsa.values = values
        assert outside.stamp(IMPRINT, tsa.suite.digest)
        assert outside.stamp(IMPRINT, other)
    tsa.status = "granted_with_mods"
    assert outside.stamp(IMPRINT, tsa.suite.digest)


def _set(**values: Any) -> Callable[[OtherTsa], None]:
    return lambda tsa: tsa.values.update(values)


def _flip(token: bytes) -> bytes:
    at = len(token) - 5  # in the signature
    return token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]


def _put(name: str, value: Any) -> Callable[[OtherTsa], None]:
    return lambda tsa: setattr(tsa, name, value)


OTHER_IMPRINT = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
CRITICAL = [{"extn_id": "1.2.3.4", "critical": True, "extn_value": core.OctetString(b"\x05\x00")}]
VERSION_5 = (b"\x02\x01\x03", b"\x02\x01\x05")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_set(message_imprint=OTHER_IMPRINT), "over something else"),
        (_set(nonce=None), "nonce"),
        (_set(nonce=1), "nonce"),
        (_set(gen_time=START - timedelta(seconds=61)), "its time is"),
        (_set(gen_time=START + timedelta(seconds=61)), "its time is"),
        (_set(accuracy={"seconds": 3600}), "less accurate"),
        (_set(extensions=CRITICAL), "critical extension"),
        (_put("attributes", (SIGNING_TIME,)), "other attributes"),
        (_put("status", "rejection"), ""),
        (_put("spoil", _flip), ""),
        (_put("spoil", lambda token: token.replace(*VERSION_5, 1)), "its bytes are not those"),
        (lambda tsa: setattr(tsa, "key", new_key(tsa.suite)), ""),
        (lambda tsa: setattr(tsa.clock, "at", START + timedelta(days=3001)), "outside its term"),
    ],
)
def test_a_token_that_lies_is_refused(tsa: OtherTsa, spoil: Callable[[OtherTsa], None], what: str) -> None:
    spoil(tsa)
    code, said = refusal(tsa)
    assert (code, what in said) == ("TIME_STAMP_BAD", True), said


def test_a_token_of_another_certificate_than_the_pinned_one_is_refused(
    tsa: OtherTsa, server: PlainServer
) -> None:
    other = OtherTsa(tsa.suite, tsa.clock, server, f"{tsa.name}-2")
    outside = OutsideTsa(other.url, (tsa.cert, tsa.ca.cert), tsa.ca.root, tsa.clock, reached(tsa).post)
    with pytest.raises(TimeStampUnavailable) as caught:
        outside.stamp(IMPRINT, tsa.suite.digest)
    assert caught.value.code == "TIME_STAMP_BAD"


def test_one_that_is_away_is_down(tsa: OtherTsa) -> None:
    tsa.http_status = 503
    assert refusal(tsa)[0] == "TIME_STAMP_DOWN"
    gone = OutsideTsa("http://127.0.0.1:1/", (tsa.cert,), tsa.ca.root, tsa.clock, reached(tsa).post)
    with pytest.raises(TimeStampUnavailable) as caught:
        TimeStampOrder(tsa.suite.value, (gone,), tsa.clock).stamp(IMPRINT, tsa.suite.digest)
    assert caught.value.code == "TIME_STAMP_UNAVAILABLE"
    assert "TIME_STAMP_DOWN" in caught.value.what


def test_a_certificate_is_pinned_only_if_it_may_stamp(tsa: OtherTsa) -> None:
    chain = check_time_stamp_chain((tsa.cert, tsa.ca.root, tsa.ca.cert), at=START)
    assert (chain.certs, chain.root, chain.suite) == ((tsa.cert, tsa.ca.cert), tsa.ca.root, tsa.suite)

    def code(cert: bytes, *others: bytes) -> str:
        with pytest.raises(Malformed) as caught:
            check_time_stamp_chain((cert, *others), at=START)
        return caught.value.code

    def other(**how: Any) -> bytes:
        usage = {"usage": {"digital_signature"}, "extended": ["time_stamping"], "is_extended_critical": True}
        made: dict[str, Any] = usage | how
        from support.outside_ca import spki_of

        return tsa.ca.issue(spki_of(tsa.own_key), **made)

    above = (tsa.ca.cert, tsa.ca.root)
    assert code(other(is_extended_critical=False), *above) == "X509_WRONG_USAGE"
    assert code(other(extended=None), *above) == "X509_WRONG_USAGE"
    assert code(other(extended=["time_stamping", "code_signing"]), *above) == "X509_WRONG_USAGE"
    assert code(other(usage={"key_encipherment"}), *above) == "X509_WRONG_USAGE"
    assert code(other(days=(-3, -1)), *above) == "X509_EXPIRED"
    assert code(tsa.cert, tsa.ca.cert) == "X509_CHAIN"
    assert code(tsa.cert, tsa.ca.root) == "X509_CHAIN"
