"""Pushes of the patron cache: their addresses, and how the bytes of one come in."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from doorctl.accounts.throttle import caller
from doorctl.config.tables import Push as PushLimits
from doorctl.core.errors import (
    DoorctlError,
    PushConflictError,
    PushTooLargeError,
    StoreError,
)
from doorctl.core.ports import WELL, AlarmOnce, EventLog
from doorctl.sync.document import Kind
from doorctl.sync.exchange import MOST_BYTES, Exchange, is_senders, read_exchange
from doorctl.sync.receive import Push, Received, Staging
from doorctl.web.branch_thread import WebsAudit
from doorctl.web.inspection import Inspection
from doorctl.web.listener import HERE
from doorctl.web.push_answers import REFUSALS, REFUSED, BusyError, answer, refusal_of
from doorctl.web.reception import Noting, Reception
from doorctl.web.tls import CERTIFIED

DISCARDED_BYTES = 1024 * 1024
"""How much of a refused body is still read: closing before would reset the connection, and a sender
that is still writing might never see the answer (RFC 9112, section 9.6)."""

FIRST_LINE_S = 5.0
"""Longest wait for a push's first line, half a kilobyte; only then is the push known to be
signed."""

DISCARD_LIMIT_S = 2.0
"""Longest wait for bytes that are only thrown away."""


@dataclass(eq=False)
class Body:
    """The body of one request, chunk by chunk: in time, within bounds, and never whole in memory.

    `limits` bounds the length that it declares; the bytes themselves are counted by their reader.
    Belongs to the event loop.
    """

    request: Request
    limits: PushLimits

    def __post_init__(self) -> None:
        self._ended = False

    async def begin(self, take: Callable[[bytes], bool], limit: asyncio.Timeout) -> None:
        """Hand each chunk to `take` until it returns True or the body ends.

        `limit` is for all chunks; its owner may shorten it. Raises PushTooLargeError where more
        bytes are declared than are taken, else as :meth:`read`.
        """
        most = self.limits.max_bytes
        # The server has checked that it is a number, or that there is none.
        if int(self.request.headers.get("content-length", 0)) > most:
            raise PushTooLargeError(
                f"the push has more than {most} bytes; send changes, or see web.push.max_bytes"
            )
        try:
            async with limit:
                while not self._ended:
                    if take(await self._next(self.limits.chunk_timeout_s)):
                        break
        except (TimeoutError, asyncio.CancelledError):
            self._ended = True
            raise

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand all chunks that are left to `take`; call it after :meth:`begin`.

        Raises TimeoutError where it comes too slowly, ClientDisconnect where the sender went away.
        """
        try:
            async with asyncio.timeout(self.limits.total_timeout_s):
                while not self._ended:
                    if chunk := await self._next(self.limits.chunk_timeout_s):
                        await take(chunk)
        except (TimeoutError, asyncio.CancelledError):
            # A sender that was waited for in vain is not waited for again.
            self._ended = True
            raise

    async def drain(self) -> None:
        """Read what is left and throw it away, so that a sender still writing sees the answer."""
        with suppress(TimeoutError, ClientDisconnect):
            await self.read(lambda _chunk: asyncio.sleep(0))

    async def discard(self) -> None:
        """Throw away what is left, up to a limit, so that the answer arrives."""
        left = DISCARDED_BYTES
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(DISCARD_LIMIT_S):
                while left > 0 and not self._ended:
                    left -= len(await self._next(DISCARD_LIMIT_S))

    async def _next(self, limit_s: float) -> bytes:
        async with asyncio.timeout(limit_s):
            message = await self.request.receive()
        # Once it has ended, the server would wait for the sender to hang up.
        self._ended = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        return chunk


def _address(request: Request) -> str:
    return "" if request.client is None else caller(request.client.host)


ResultT = TypeVar("ResultT")

NONCE_S = 300.0
"""A nonce that is older is replaced when somebody asks for one; monotonic seconds."""

MOST_WAITING = 8
"""Pushes that may wait for their first line at a time; a real sender's comes at once."""

MOST_ADDRESSES = 64
"""Addresses that are remembered: of senders, and of callers who were told nothing."""

UNSIGNED = "only a sender is told; sign the question, as doorctl 0.3 does"


@dataclass(eq=False)
class Pushes:
    """Answer requests about the patron cache; belongs to the event loop.

    A push is on the audit log before it is answered. Where that can't be written there is an alarm,
    and pushes come in all the same; what is missing is written at the next push or start. `worker`
    has the one thread that `reception` and `inspection` belong to. The end of the audit log,
    `record`, is sent to each sender that asks which push is held. `share` keeps how many wrong PINs
    patrons had elsewhere, and returns how many here; `tell_time` takes what time a sender on
    another machine says it is, and may raise DoorctlError.
    """

    reception: Reception
    worker: Executor
    log: EventLog
    record: WebsAudit
    share: Callable[[dict[str, int]], dict[str, int]]
    inspection: Inspection
    tell_time: Callable[[datetime], object] = lambda _said: None

    def __post_init__(self) -> None:
        self.noting = Noting(self.reception, self.worker, self.log, self.record)
        self._failing = {
            refusal.alarm: AlarmOnce(self.log, refusal.alarm, "push")
            for _, refusal in REFUSALS
            if refusal.alarm is not None
        }
        self._renew_nonce()
        self._taking = False
        self._waiting: deque[asyncio.Timeout] = deque()
        self._senders: deque[str] = deque(maxlen=MOST_ADDRESSES)
        self._untold: deque[str] = deque(maxlen=MOST_ADDRESSES)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("/v1/patrons", partial(self.push, kind="snapshot"), methods=["PUT"]),
            Route("/v1/patrons/changes", partial(self.push, kind="changes"), methods=["POST"]),
            Route("/v1/patrons/rehearsal", partial(self.push, kind=None), methods=["POST"]),
            Route("/v1/patrons/epoch", self.epoch, methods=["GET"]),
            Route("/v1/patrons/exchange", self.exchange, methods=["POST"]),
        )

    async def epoch(self, request: Request) -> Response:
        """Say which push is held, to this machine and to senders.

        A sender signs its question or has a certificate. One of doorctl 0.2 does neither: it is
        known by its address once something that it signed has come from there. Any other caller
        gets what a branch that holds nothing says, so that a sender of 0.2 begins with a snapshot.
        """
        if self._nonce_age_s() >= NONCE_S:
            self._renew_nonce()
        if not self._is_known(request):
            self._note(self._untold, request)
            return answer(self._said(Push(0), None) | {"why": UNSIGNED})
        try:
            with suppress(StoreError):
                await self._work(self.inspection.look)
            held = await self._work(self.reception.held)
            patrons = await self._work(self.reception.patrons)
        except REFUSED as err:
            return refusal_of(err).answer(err)
        head = None
        with suppress(StoreError):
            head = await asyncio.to_thread(self.record.head)
        return answer(self._said(held, head) | {"patrons": patrons})

    def _said(self, held: Push, head: str | None) -> dict[str, object]:
        terms = self.reception.terms
        return {
            "epoch": held.epoch,
            "digest": held.digest,
            "audit_head": head,
            "nonce": self._nonce,
            "key_id": terms.seal.key_id,
            "minimum_age": terms.minimum_age,
        }

    def _is_known(self, request: Request) -> bool:
        address, terms = _address(request), self.reception.terms
        if address in HERE or address in self._senders or request.scope.get(CERTIFIED, False):
            return True
        by = request.headers.get("authorization", "")
        return is_senders(by, terms.branch, terms.public_keys)

    def _note(self, addresses: deque[str], request: Request) -> None:
        # One that comes over a transport has none: who is there changes with each request.
        address = _address(request)
        if address and address not in addresses:
            addresses.append(address)

    async def exchange(self, request: Request) -> Response:
        """Tell a sender which part of the audit log it has seen; exchange counts of wrong PINs.

        Each message must hold a new nonce, so none can be replayed; and the sender's time counts
        only by one so new that the message was signed just now.
        """
        terms, message = self.reception.terms, bytearray()
        body = Body(request, terms.limits)

        def take(chunk: bytes) -> bool:
            message.extend(chunk)
            if len(message) > MOST_BYTES:
                raise PushTooLargeError(f"a message has at most {MOST_BYTES} bytes")
            return False

        try:
            await self._begin(body, take)
            exchange = read_exchange(bytes(message), terms.branch, self._nonce, terms.public_keys)
            asked_s = self._nonce_age_s()
            self._renew_nonce()
            self._note(self._senders, request)
            if asked_s < 2 * NONCE_S:
                await self._tell_time(exchange)
            agreed = await asyncio.to_thread(self.noting.compare, exchange.heads)
            here = None
            with suppress(StoreError):
                if exchange.wrong_pins is not None:
                    here = await asyncio.to_thread(self.share, exchange.wrong_pins)
        except StoreError:
            # The writer there raises the alarm, and the sender asks again.
            return await self._refuse(body, BusyError())
        except REFUSED as err:
            return await self._refuse(body, err)
        return answer({"agreed": agreed, "wrong_pins": here})

    async def push(self, request: Request, kind: Kind | None) -> Response:
        """Take the register or its changes; without a kind only report the result, and no alarm."""
        body, staging = Body(request, self.reception.terms.limits), self.reception.staging()
        try:
            # The one place is for pushes with a valid signature: a stranger can't take it.
            if not self._taking:
                await self._begin(body, staging.begin)
                if staging.manifest is not None:
                    self._note(self._senders, request)
            if self._taking:
                raise BusyError
            self._taking = True
            try:
                received = await self._take(body, staging, kind)
            finally:
                self._taking = False
        except REFUSED as err:
            epoch = None if staging.manifest is None else staging.manifest.epoch
            # Its number is the next one's too: who was not told ours could not know of it.
            guessed = isinstance(err, PushConflictError) and _address(request) in self._untold
            quiet = kind is None or guessed
            return await self._refuse(body, err, epoch=epoch, quiet=quiet)
        await body.drain()
        return answer(
            {"epoch": received.epoch, "applied": received.applied, "unchanged": received.unchanged}
        )

    async def _tell_time(self, exchange: Exchange) -> None:
        here = self.reception.clock.boot_time().boot_id
        if exchange.at is not None and exchange.boot != here:
            # A door that can't take it now takes the next run's.
            with suppress(DoorctlError):
                await asyncio.to_thread(self.tell_time, exchange.at)

    def _renew_nonce(self) -> None:
        self._nonce = secrets.token_hex(16)
        self._nonce_made_s = self.reception.clock.monotonic_s()

    def _nonce_age_s(self) -> float:
        return self.reception.clock.monotonic_s() - self._nonce_made_s

    async def _begin(self, body: Body, take: Callable[[bytes], bool]) -> None:
        if len(self._waiting) == MOST_WAITING:
            # A client that has not sent a line by now hardly will; a sender's first line is there
            # at once.
            with suppress(RuntimeError):  # its time is up in this very moment
                self._waiting.popleft().reschedule(asyncio.get_running_loop().time())
        limit = asyncio.timeout(FIRST_LINE_S)
        self._waiting.append(limit)
        try:
            await body.begin(take, limit)
        finally:
            with suppress(ValueError):
                self._waiting.remove(limit)

    async def _take(self, body: Body, staging: Staging, kind: Kind | None) -> Received:
        reception = self.reception
        try:
            received = await self._work(partial(reception.judge, staging.manifest))
            if received is None:
                await body.read(lambda chunk: self._work(partial(staging.feed, chunk)))
                received = await self._work(lambda: reception.settle(staging.finish(), kind))
        finally:
            # Queued behind any job that still reads it: a commit under way comes to its end though
            # the process stops, and stands in the journal.
            self.worker.submit(staging.close)
        result = "rehearsed" if kind is None else "unchanged" if received.unchanged else "applied"
        self.log.emit("push", epoch=received.epoch, result=result)
        if kind is None:
            return received
        if not received.unchanged:
            for failing in self._failing.values():
                failing.tell(None)
            # The round that deletes an unconfirmed register has alarmed it.
            self.log.emit(WELL, kind="patrons_expired")
        for alarm, why in received.warnings.items():
            self.log.emit("alarm", kind=alarm, why=f"push {received.epoch}: {why}")
        # Unchanged ones too: such a push may repeat one that was never recorded.
        await asyncio.to_thread(self.noting.catch_up)
        return received

    async def _refuse(
        self,
        body: Body,
        cause: BaseException,
        *,
        epoch: int | None = None,
        quiet: bool = False,
    ) -> Response:
        refusal = refusal_of(cause)
        self.log.emit("push", epoch=epoch, result=refusal.result)
        if refusal.alarm is not None and not quiet:
            self._failing[refusal.alarm].tell(str(cause), again=True)
        await body.discard()
        return refusal.answer(cause)

    async def _work(self, job: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self.worker, job)
