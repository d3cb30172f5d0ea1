"""The client by which a log asks its witnesses: all at once, within a time limit, checking every answer.

The steps of `Witnesses.cosign`:

    1. every address in the policy is sent the checkpoint, with a proof from the size it had last time; one that
       answers 409 with a smaller size is asked once more, with a proof from there
    2. a witness that says that this checkpoint does not continue its own (409 with another size, 422) is asked
       for its checkpoint
    3. that checkpoint is judged: if **this log's own key** signed it, and it is larger than ours or contradicts
       ours, then this log was rolled back or has signed two histories: `HistoryContradicted`, a `LedgerHalted`
    4. the cosignature lines are checked with each witness's key, and appended in the order of the policy

A witness's claim alone does not halt the log: a witness that lies, lost its memory or was taken over counts as failing,
and the quorum decides. Only our own signature is evidence against us.

Addresses must be https. Plain http is allowed to this machine itself (127.0.0.1, ::1, localhost), and to hosts that the
operator has named in `plain_http_hosts`, for private networks. Requests are public and answers are signed, so
eavesdropping and forging gain nothing; but with plain http an attacker in between can suppress a witness's answers,
which the quorum detects and TLS makes harder. Redirects are not followed, answers have a size limit, and proxies and
passwords from the environment are not used.

Several witnesses of the policy at the same address are one server with several keys, which is asked once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import TracebackType
from typing import Any, Final

import httpx2 as httpx

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.note import (
    MAX_NOTE_SIZE,
    Note,
    NoteSignature,
    check_note,
    check_note_signature,
    cosignature_time,
    format_note,
    parse_signature_lines,
)
from ledger.notekeys import VerifierKey
from ledger.text import decode_decimal, decode_utf8, encode_base64
from ledger.witness.policy import Policy, PolicyWitness, check_cosignatures
from trust.encoding.digests import sha256
from trust.encoding.merkle import check_consistency, empty_root
from trust.model.clock import Clock
from trust.model.errors import LedgerHalted, Malformed, VerificationError

ProveConsistency = Callable[[int, int], Sequence[bytes]]

_MAX_ANSWER: Final = 256 * 1024
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_PORT: Final = 65535
_MAX_AHEAD_SECONDS: Final = 3600


class Failure(Enum):
    """Why a witness's cosignature is missing."""

    NO_ADDRESS = "NO_ADDRESS"
    UNREACHABLE = "UNREACHABLE"
    TOO_SLOW = "TOO_SLOW"
    REFUSED = "REFUSED"
    DISAGREES = "DISAGREES"
    BAD_ANSWER = "BAD_ANSWER"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessOutcome:
    """The result for one witness, by its name in the policy: a time in seconds since 1970, or a failure."""

    name: str
    cosigned_at: int | None = None
    failure: Failure | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """The note with all cosignatures received, whether they are enough, and the outcome of each witness."""

    note: str
    is_satisfied: bool
    outcomes: tuple[WitnessOutcome, ...]


class HistoryContradicted(LedgerHalted):
    """A witness has a checkpoint with our own signature that is not part of our history.

    `evidence` is that checkpoint, to be kept as proof; `note` is the one that it contradicts.
    """

    code = "LEDGER_HALTED"

    def __init__(self, what: str, *, evidence: str, note: str, url: str) -> None:
        super().__init__(
            what,
            "Nothing more is signed. Was a backup restored, or is the key used elsewhere? Keep the evidence.",
        )
        self.evidence = evidence
        self.note = note
        self.url = url


class Witnesses:
    """Asks the witnesses of a policy. Threads may share it; their calls run one after another."""

    def __init__(
        self,
        policy: Policy,
        *,
        log_vkeys: Sequence[VerifierKey] | Callable[[], Sequence[VerifierKey]],
        clock: Clock,
        timeout: float = 5.0,
        patience: float = 0.5,
        plain_http_hosts: Collection[str] = (),
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`log_vkeys` are all keys this log ever signed checkpoints with; their signatures are evidence.

        A call of `cosign` takes at most `timeout` seconds, or twice that if a witness disagrees; once the quorum is
        reached, the others get `patience` seconds more. Raises `Malformed` for an address that must not be used. Opens
        no connection yet.
        """
        self._policy = policy
        self._given_vkeys = log_vkeys
        self._clock = clock
        self._timeout = timeout
        self._patience = patience
        self._by_url: dict[str, list[PolicyWitness]] = {}
        for witness in policy.witnesses:
            if witness.url is not None:
                url = _usable_url(witness.url, plain_http_hosts)
                self._by_url.setdefault(url, []).append(witness)
        self._sizes: dict[str, int] = {}
        self._transport = transport
        self._proxy = proxy
        self._turn = threading.Lock()
        self._runner: asyncio.Runner | None = None
        self._http: httpx.AsyncClient | None = None

    @property
    def policy(self) -> Policy:
        return self._policy

    def cosign(self, note: str, prove_consistency: ProveConsistency) -> Cosigned:
        """Asks for the missing cosignatures of `note`, a checkpoint that this log has signed.

        `prove_consistency(old_size, size)` is called in this thread, with 0 < old_size < size; its exceptions pass
        through. Cosignatures already in `note` are checked and kept, and not asked for again. Raises
        `HistoryContradicted`; `Malformed` or `VerificationError` if `note` itself is bad. No event loop may be running
        in this thread.
        """
        parsed = check_note(note, vkeys=self._log_vkeys())
        asking = _Asking(parsed, parse_checkpoint(parsed.text), note, prove_consistency)
        had = check_cosignatures(parsed, self._policy.witnesses)
        with self._turn:
            answers = self._run(self._ask_all(asking, had))
        for answer in answers:
            if answer.theirs is not None:
                self._judge(asking, answer)
        return self._cosigned(asking, had, answers)

    def _log_vkeys(self) -> Sequence[VerifierKey]:
        """Every key the log has ever signed with; read each time, because a log may change its keys."""
        return self._given_vkeys() if callable(self._given_vkeys) else self._given_vkeys

    def close(self) -> None:
        with self._turn:
            if self._runner is not None:
                if self._http is not None:
                    self._runner.run(self._http.aclose())
                self._runner.close()
                self._runner = self._http = None

    def __enter__(self) -> Witnesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Asking: gathers answers without judging them.

    def _run(self, asked: Coroutine[Any, Any, list[_Answer]]) -> list[_Answer]:
        if self._runner is None:
            # One loop for all calls, so that connections stay open between them.
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner.run(asked)

    async def _ask_all(self, asking: _Asking, had: Collection[str]) -> list[_Answer]:
        pending = {
            asyncio.create_task(self._ask(url, witnesses, asking))
            for url, witnesses in self._by_url.items()
            if any(witness.name not in had for witness in witnesses)
        }
        answers: list[_Answer] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        try:
            while pending and (left := until - loop.time()) > 0:
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                answers += [task.result() for task in done]
                cosigned = {name for answer in answers for name in answer.signatures}
                if self._policy.is_satisfied(cosigned | set(had)):
                    until = min(until, loop.time() + self._patience)
        finally:
            await _cancelled(pending)
        return list(await asyncio.gather(*(self._with_theirs(each, asking) for each in answers)))

    async def _ask(self, url: str, witnesses: Sequence[PolicyWitness], asking: _Asking) -> _Answer:
        """Step 1 with one address, and step 4 on its answer."""
        size = asking.checkpoint.size
        old_size = self._sizes.get(url, 0)
        if old_size > size:  # our checkpoint is behind what it cosigned before; its answer will say so
            old_size = 0
        said = await self._post(url, asking.body(old_size))
        if isinstance(said, _Said) and said.status == 409:
            witness_size = _parse_size(said.body)
            if witness_size is not None and witness_size <= size and witness_size != old_size:
                self._sizes[url] = old_size = witness_size
                said = await self._post(url, asking.body(old_size))
        if isinstance(said, _Failed):
            return _failed(url, witnesses, said)
        if said.status != 200:
            disagrees = said.status in (409, 422)
            failure = Failure.DISAGREES if disagrees else Failure.REFUSED
            detail = f"It answers {said.status} to a proof from size {old_size} to {size}."
            return _failed(url, witnesses, _Failed(failure, detail))
        self._sizes[url] = size
        return self._taken(url, witnesses, asking, said.body)

    async def _with_theirs(self, answer: _Answer, asking: _Asking) -> _Answer:
        """Step 2: adds the witness's checkpoint, if it disagrees and shows one."""
        if not answer.disagrees:
            return answer
        origin_hash = sha256(asking.checkpoint.origin.encode()).hex()
        try:
            async with asyncio.timeout(self._timeout):
                said = await self._exchange("GET", f"{answer.url}/{origin_hash}/checkpoint", MAX_NOTE_SIZE)
        except TimeoutError:
            return answer
        if isinstance(said, _Failed) or said.status != 200:
            return answer
        return replace(answer, theirs=said.body)

    def _taken(self, url: str, witnesses: Sequence[PolicyWitness], asking: _Asking, lines: bytes) -> _Answer:
        outcomes: dict[str, WitnessOutcome] = {}
        signatures: dict[str, NoteSignature] = {}
        for witness in witnesses:
            name = witness.name
            try:
                signature = _checked_line(witness.vkey, asking.parsed.text, lines)
                time = cosignature_time(signature.signature)
                self._check_time(time)
            except (Malformed, VerificationError) as exc:
                outcomes[name] = WitnessOutcome(name=name, failure=Failure.BAD_ANSWER, detail=exc.what)
            else:
                outcomes[name] = WitnessOutcome(name=name, cosigned_at=time)
                signatures[name] = signature
        return _Answer(url=url, outcomes=outcomes, signatures=signatures)

    def _check_time(self, time: int) -> None:
        ahead = time - self._clock.now().timestamp()
        if ahead > _MAX_AHEAD_SECONDS:  # the wrong time would stay in receipts for ever
            raise VerificationError(f"The witness's clock is {ahead:.0f} seconds ahead of ours.")

    async def _post(self, url: str, body: bytes) -> _Said | _Failed:
        return await self._exchange("POST", f"{url}/add-checkpoint", _MAX_ANSWER, body)

    async def _exchange(
        self, method: str, url: str, limit: int, body: bytes | None = None
    ) -> _Said | _Failed:
        """Makes one request. Anything the other side does gives an answer or a failure, never an exception."""
        received = b""
        try:
            async with self._client().stream(method, url, content=body) as response:
                async for chunk in response.aiter_raw():  # raw bytes, so that nothing is decompressed
                    received += chunk
                    if len(received) > limit:
                        return _Failed(Failure.BAD_ANSWER, f"An answer of more than {limit} bytes.")
                return _Said(response.status_code, received)
        except Exception as exc:  # also unexpected ones of the library: no answer may stop the log
            return _Failed(Failure.UNREACHABLE, type(exc).__name__)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=self._transport,
                proxy=self._proxy,
                timeout=self._timeout,
                trust_env=False,
                follow_redirects=False,
                headers={"User-Agent": "yinzheng-ledger", "Accept-Encoding": "identity"},
            )
        return self._http

    # Judging: makes no further requests.

    def _judge(self, asking: _Asking, answer: _Answer) -> None:
        """Step 3. Returns if the witness's checkpoint is no evidence against this log."""
        ours = asking.checkpoint
        try:
            theirs = decode_utf8(answer.theirs or b"")
            found = parse_checkpoint(check_note(theirs, vkeys=self._log_vkeys()).text)
        except (Malformed, VerificationError):
            return
        if found.origin != ours.origin:
            return
        if found.size > ours.size:
            what = f"This log has signed a checkpoint of size {found.size}, and now stands at {ours.size}."
        elif not _continues(found, asking):
            what = f"This log has signed another root of size {found.size} than its entries give now."
        else:
            return
        raise HistoryContradicted(what, evidence=theirs, note=asking.note, url=answer.url)

    def _cosigned(self, asking: _Asking, had: Mapping[str, int], answers: Sequence[_Answer]) -> Cosigned:
        got = {name: outcome for answer in answers for name, outcome in answer.outcomes.items()}
        outcomes = tuple(self._outcome(each, had, got) for each in self._policy.witnesses)
        signatures = {name: line for answer in answers for name, line in answer.signatures.items()}
        taken = [
            signatures[each.name]
            for each in self._policy.witnesses
            if each.name in signatures and each.name not in had
        ]
        parsed = asking.parsed
        return Cosigned(
            note=format_note(Note(text=parsed.text, signatures=(*parsed.signatures, *taken))),
            is_satisfied=self._policy.is_satisfied(
                [each.name for each in outcomes if each.cosigned_at is not None]
            ),
            outcomes=outcomes,
        )

    def _outcome(
        self, witness: PolicyWitness, had: Mapping[str, int], got: Mapping[str, WitnessOutcome]
    ) -> WitnessOutcome:
        name = witness.name
        if name in had:
            return WitnessOutcome(name=name, cosigned_at=had[name])
        if witness.url is None:
            return WitnessOutcome(name=name, failure=Failure.NO_ADDRESS)
        return got.get(name) or WitnessOutcome(name=name, failure=Failure.TOO_SLOW)


@dataclass(frozen=True, slots=True)
class _Asking:
    """The checkpoint to be cosigned."""

    parsed: Note
    checkpoint: Checkpoint
    note: str
    prove_consistency: ProveConsistency

    def proof(self, old_size: int) -> Sequence[bytes]:
        size = self.checkpoint.size
        return self.prove_consistency(old_size, size) if 0 < old_size < size else ()

    def body(self, old_size: int) -> bytes:
        lines = [f"old {old_size}", *map(encode_base64, self.proof(old_size))]
        return ("\n".join(lines) + "\n\n" + self.note).encode()


@dataclass(frozen=True, slots=True)
class _Said:
    """An HTTP answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Failed:
    """No HTTP answer, or one that is not read further."""

    failure: Failure
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The result for one address: an outcome for each witness there, the lines of those that cosigned (checked),
    and, if it disagrees, the checkpoint it shows (not checked)."""

    url: str
    outcomes: Mapping[str, WitnessOutcome]
    signatures: Mapping[str, NoteSignature] = field(default_factory=dict)
    disagrees: bool = False
    theirs: bytes | None = None


def _failed(url: str, witnesses: Sequence[PolicyWitness], why: _Failed) -> _Answer:
    outcomes = {
        each.name: WitnessOutcome(name=each.name, failure=why.failure, detail=why.detail)
        for each in witnesses
    }
    return _Answer(url=url, outcomes=outcomes, disagrees=why.failure is Failure.DISAGREES)


def _checked_line(vkey: VerifierKey, text: str, lines: bytes) -> NoteSignature:
    """The line of this key among `lines`. Raises `Malformed` or `VerificationError`."""
    for each in parse_signature_lines(decode_utf8(lines)):
        if (each.name, each.key_id) == (vkey.name, vkey.key_id):
            check_note_signature(vkey, text, each.signature)
            return each
    raise VerificationError("The answer has no line of this witness's key.")


async def _cancelled(tasks: Collection[asyncio.Task[_Answer]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _continues(found: Checkpoint, asking: _Asking) -> bool:
    """True if the tree that was found, which is not larger than ours, is a prefix of ours."""
    ours = asking.checkpoint
    if found.size == 0:
        return found.root == empty_root()
    try:
        check_consistency(
            size1=found.size,
            root1=found.root,
            size2=ours.size,
            root2=ours.root,
            proof=asking.proof(found.size),
        )
    except VerificationError:
        return False
    return True


def _parse_size(body: bytes) -> int | None:
    """The size in the body of a 409 answer; None if it is malformed."""
    try:
        text = decode_utf8(body)
        return decode_decimal(text.removesuffix("\n")) if text.endswith("\n") else None
    except Malformed:
        return None


def _usable_url(text: str, plain_http_hosts: Collection[str]) -> str:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise Malformed("A witness's address is not a URL.") from exc
    plain_is_fine = url.host in _THIS_MACHINE or url.host in plain_http_hosts
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and plain_is_fine)):
        raise Malformed(
            f"The witness's address {text} is not https.",
            "Use https; or name the host among those that are asked by plain http.",
        )
    if url.port is not None and url.port > _MAX_PORT:
        raise Malformed(f"A witness's address has the port {url.port}.")
    if url.userinfo or url.query or url.fragment:
        raise Malformed("A witness's address holds a user, a query or a fragment.")
    return text.rstrip("/")
