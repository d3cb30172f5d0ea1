"""Fetching over HTTP from other machines, with limits on time and size, and without following redirects.

There are two kinds of addresses. One in a certificate (`fetch_named`) was written by an outsider, who could point it at
a machine inside our network (server-side request forgery). So only plain http is allowed, because the content is signed
and needs no TLS (RFC 5280 §8 warns that https can be circular here); every IP address of the name must be public; and
the connection goes to the IP address that was checked, not to a second answer of the name server. An address in the
settings (`get`, `post`) was written by the operator and may be anywhere.

There are no redirects, no decompression, and no proxy from the environment.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import httpx2 as httpx

from trust.model.errors import OperationalError

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The range that IANA assigns to networks; local, mapped and translated addresses are outside it (RFC 4291 §2.4)."""


class FetchFailed(OperationalError):
    """Fetching failed, with one of these codes:

    FETCH_ADDRESS, FETCH_UNREACHABLE, FETCH_TOO_SLOW, FETCH_TOO_LARGE, FETCH_STATUS or FETCH_KIND.
    """

    code = "FETCH_UNREACHABLE"


def fetch_named(
    address: str, *, timeout_seconds: float, max_bytes: int, private_hosts: Collection[str] = ()
) -> bytes:
    """Fetches an address from a certificate. `private_hosts` may be in our network. Raises `FetchFailed`."""

    async def fetch() -> bytes:
        url = _url(address, ("http",))
        ip = await _public_address(url, private_hosts)
        host = url.host if url.port is None else f"{url.host}:{url.port}"
        return await _exchange("GET", url.copy_with(host=ip), max_bytes, headers={"Host": host})

    return _run(fetch(), timeout_seconds)


def get(address: str, *, answer_type: str, timeout_seconds: float, max_bytes: int) -> bytes:
    """Fetches an address from the settings; the answer must be of `answer_type`. Raises `FetchFailed`."""

    async def fetch() -> bytes:
        url = _url(address, ("http", "https"))
        headers = {"Accept": answer_type}
        return await _exchange("GET", url, max_bytes, headers=headers, answer_type=answer_type)

    return _run(fetch(), timeout_seconds)


def post(
    address: str,
    body: bytes,
    *,
    content_type: str,
    answer_type: str,
    timeout_seconds: float,
    max_bytes: int,
) -> bytes:
    """Posts a body to an address from the settings; the answer must be of `answer_type`. Raises `FetchFailed`."""

    async def send() -> bytes:
        url = _url(address, ("http", "https"))
        headers = {"Content-Type": content_type, "Accept": answer_type}
        return await _exchange("POST", url, max_bytes, headers=headers, body=body, answer_type=answer_type)

    return _run(send(), timeout_seconds)


def _run(work: Coroutine[None, None, bytes], timeout_seconds: float) -> bytes:
    """Runs `work` with one time limit for everything, including the name server and slow answers. Also works inside a
    running event loop."""

    async def limited() -> bytes:
        async with asyncio.timeout(timeout_seconds):
            return await work

    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(asyncio.run, limited()).result()
        except TimeoutError as exc:
            raise FetchFailed(
                f"There was no answer within {timeout_seconds:g} seconds.", code="FETCH_TOO_SLOW"
            ) from exc


def _url(address: str, schemes: Collection[str]) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise FetchFailed("The address cannot be read.", code="FETCH_ADDRESS") from exc
    if url.scheme not in schemes or not url.host or url.userinfo:
        raise FetchFailed(f"The address is not one of {' or '.join(schemes)}.", code="FETCH_ADDRESS")
    if url.port is not None and not 0 < url.port < 65536:
        raise FetchFailed("The address names a port that there is not.", code="FETCH_ADDRESS")
    return url


async def _public_address(url: httpx.URL, private_hosts: Collection[str]) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or 80, type=1)
    except OSError as exc:
        raise FetchFailed(f"The name server does not know {url.host}.", code="FETCH_UNREACHABLE") from exc
    addresses = [str(each[4][0]) for each in found]
    if url.host not in private_hosts and not all(map(_is_public, addresses)):
        raise FetchFailed(
            f"{url.host} is inside a private network.",
            "If it is to be asked, name it in YINZHENG_CRL_HOSTS.",
            code="FETCH_ADDRESS",
        )
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An address that contains an IPv4 address could lead to a private one.
        if address.ipv4_mapped is not None:
            return _is_public(str(address.ipv4_mapped))
        if address not in _GLOBAL_UNICAST or address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


async def _exchange(
    method: str,
    url: httpx.URL,
    max_bytes: int,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
    answer_type: str | None = None,
) -> bytes:
    received = bytearray()
    headers = {"User-Agent": "yinzheng", "Accept-Encoding": "identity", **headers}
    try:
        async with (
            # Without its own timeouts; `_run` has the limit that counts.
            httpx.AsyncClient(
                verify=_tls(),
                timeout=None,
                trust_env=False,
                follow_redirects=False,
            ) as client,
            client.stream(method, url, content=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"The answer was HTTP {response.status_code}.", code="FETCH_STATUS")
            given = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if answer_type is not None and given != answer_type:
                raise FetchFailed("The answer is of another kind than was asked for.", code="FETCH_KIND")
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > max_bytes:
                    raise FetchFailed(f"The answer is longer than {max_bytes} bytes.", code="FETCH_TOO_LARGE")
    except (httpx.HTTPError, OSError) as exc:
        if isinstance(exc, TimeoutError):
            raise
        raise FetchFailed(
            f"There is no connection ({type(exc).__name__}).", code="FETCH_UNREACHABLE"
        ) from exc
    return bytes(received)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The TLS context, made once, because reading the machine's roots takes longer than a time-stamp."""
    return ssl.create_default_context()
