"""The addresses of the patron cache: push all, push changes, ask what is held, and compare."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from doorctl.accounts.throttle import caller
from doorctl.errors import PushTooLargeError, StoreError
from doorctl.ports import EventLog
from doorctl.sync.exchange import MOST_BYTES, read_exchange
from doorctl.sync.manifest import Kind
from doorctl.sync.receive import Received
from doorctl.sync.staging import Opening
from doorctl.web.answers import BUSY, REFUSED, STOPPING, Refusal, answer, refusal_of
from doorctl.web.body import FIRST_LINE_S, Body, Patience
from doorctl.web.certified import CERTIFIED
from doorctl.web.noting import Noting, PushRecord
from doorctl.web.reception import Intake, Reception
from doorctl.web.serving import HERE

ResultT = TypeVar("ResultT")

MOST_WAITING = 8
"""Pushes whose first line may be on its way at a time; that of a sender comes whole, at once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A push that was not taken.

    Args:
        refusal: how it is told.
        epoch: its number, where that is known.
        cause: what was raised.
    """

    refusal: Refusal
    epoch: int | None = None
    cause: Exception | None = None


class Pushes:
    """Answer requests about the patron cache; belongs to the event loop.

    A push is on the audit log before it is answered. Where that can't be written there is an
    alarm, and pushes come in all the same; what is owed is made good at the next push or start.

    Args:
        reception: does the work, on `worker` alone.
        worker: of one thread, so that a database connection can belong to it.
        log: gets one `push` line a push.
        patience: how much, and for how long, a sender may send.
        record: the audit log; its end is told to whoever asks what is held, to be kept there.
        share: keeps how many wrong PINs patrons had elsewhere, and returns how many here.
    """

    def __init__(
        self,
        reception: Reception,
        worker: Executor,
        log: EventLog,
        patience: Patience,
        record: PushRecord,
        *,
        share: Callable[[dict[str, int]], dict[str, int]],
    ) -> None:
        self._share = share
        self._reception = reception
        self._worker = worker
        self._log = log
        self._patience = patience
        self._record = record
        self._noting = Noting(reception, worker, log, record)
        self._nonce = secrets.token_hex(16)
        self._taking = False
        self._waiting: deque[asyncio.Timeout] = deque()

    def catch_up(self) -> None:
        """Put on record what is owed; before the first request, or after the last."""
        self._noting.catch_up()

    async def epoch(self, request: Request) -> Response:
        """Say which push is held; how many patrons are in it is no stranger's business."""
        try:
            held = await self._work(self._reception.held)
        except REFUSED as err:
            return refusal_of(err).answer(err)
        here = request.client is not None and caller(request.client.host) in HERE
        known = here or request.scope.get(CERTIFIED, False)
        return answer(
            {
                "epoch": held.epoch,
                "digest": held.digest,
                **({"patrons": held.patrons} if known else {}),
                "audit_head": await self._audit_head(),
                "nonce": self._nonce,
                "key_id": self._reception.terms.seal.key_id,
            }
        )

    async def exchange(self, request: Request) -> Response:
        """Hear from a sender where the audit log ended, and say up to where it is still that one.

        And hear how many wrong PINs patrons had elsewhere, and say how many here.

        Each message that is taken has to hold a nonce of its own, so none can be said again.
        """
        body, message, terms = Body(request, self._patience), bytearray(), self._reception.terms

        def enough(chunk: bytes) -> bool:
            message.extend(chunk)
            if len(message) > MOST_BYTES:
                raise PushTooLargeError(f"a message has at most {MOST_BYTES} bytes")
            return False

        beginning = await self._beginning(body, enough)
        if isinstance(beginning, Refused):
            return await self._refuse(body, beginning)
        try:
            told = read_exchange(bytes(message), terms.branch, self._nonce, terms.public_keys)
            self._nonce = secrets.token_hex(16)
            agreed = await asyncio.to_thread(self._noting.compare, told.heads)
            here = None
            with suppress(StoreError):
                if told.wrong_pins is not None:
                    here = await asyncio.to_thread(self._share, told.wrong_pins)
        except StoreError:
            # Whoever writes there tells of it, and the sender asks again.
            return await self._refuse(body, Refused(BUSY))
        except REFUSED as err:
            return await self._refuse(body, Refused(refusal_of(err), cause=err))
        return answer({"agreed": agreed, "wrong_pins": here})

    async def snapshot(self, request: Request) -> Response:
        """Take the whole register."""
        return await self._one(request, "snapshot")

    async def changes(self, request: Request) -> Response:
        """Take what has changed since the push before."""
        return await self._one(request, "changes")

    async def rehearsal(self, request: Request) -> Response:
        """Say what would come of a push, and change nothing; no alarm tells of it."""
        return await self._one(request, None)

    async def _one(self, request: Request, kind: Kind | None) -> Response:
        body = Body(request, self._patience)
        # The one place is for those for whom somebody vouches: a stranger holds nobody off.
        terms = self._reception.terms
        opening = Opening(branch=terms.branch, public_keys=terms.public_keys)
        beginning = Refused(BUSY) if self._taking else await self._beginning(body, opening.feed)
        if isinstance(beginning, Refused):
            return await self._refuse(body, beginning)
        if self._taking:
            return await self._refuse(body, Refused(BUSY))
        self._taking = True
        try:
            outcome = await self._outcome(body, beginning, kind)
        finally:
            self._taking = False
        if isinstance(outcome, Refused):
            return await self._refuse(body, outcome, rehearsed=kind is None)
        await body.drain()
        return answer(
            {"epoch": outcome.epoch, "applied": outcome.applied, "unchanged": outcome.unchanged}
        )

    async def _beginning(
        self, body: Body, enough: Callable[[bytes], bool]
    ) -> list[bytes] | Refused:
        if len(self._waiting) == MOST_WAITING:
            # Who has not sent a line by now hardly will; a sender's first line is there at once.
            with suppress(RuntimeError):  # its time is up in this very moment
                self._waiting.popleft().reschedule(asyncio.get_running_loop().time())
        limit = asyncio.timeout(FIRST_LINE_S)
        self._waiting.append(limit)
        try:
            return await body.begin(enough, limit)
        except REFUSED as err:
            return Refused(refusal_of(err), cause=err)
        except asyncio.CancelledError:
            return Refused(STOPPING)
        finally:
            with suppress(ValueError):
                self._waiting.remove(limit)

    async def _outcome(
        self, body: Body, beginning: list[bytes], kind: Kind | None
    ) -> Received | Refused:
        intake = Intake(self._reception)
        try:
            await self._work(intake.open)
            for chunk in beginning:
                await self._work(partial(intake.feed, chunk))
            received = await self._work(intake.judge)
            if received is None:
                await body.read(lambda chunk: self._work(partial(intake.feed, chunk)))
                received = await self._work(partial(intake.settle, kind))
        except REFUSED as err:
            return Refused(refusal_of(err), intake.epoch, err)
        except asyncio.CancelledError:
            # Only a process that stops cancels; the sender is told to come again. A commit under
            # way comes to its end all the same, and stands in the journal.
            return Refused(STOPPING, intake.epoch)
        finally:
            # Behind whatever still reads it, so that a commit under way comes to its end.
            self._worker.submit(intake.close)
        if kind is None:
            self._log.emit("push", epoch=received.epoch, result="rehearsed")
            return received
        self._tell(received)
        # What was unchanged too: whoever is answered that may be repeating what was never noted.
        await asyncio.to_thread(self._noting.catch_up)
        return received

    async def _audit_head(self) -> str | None:
        try:
            return await asyncio.to_thread(self._record.head)
        except StoreError:
            return None

    def _tell(self, received: Received) -> None:
        result = "unchanged" if received.unchanged else "applied"
        self._log.emit("push", epoch=received.epoch, result=result)
        if received.warning is not None:
            why = f"push {received.epoch}: {received.warning}"
            self._log.emit("alarm", kind="push_widened", why=why)

    async def _refuse(self, body: Body, refused: Refused, *, rehearsed: bool = False) -> Response:
        refusal = refused.refusal
        self._log.emit("push", epoch=refused.epoch, result=refusal.result)
        if refusal.alarm is not None and not rehearsed:
            self._log.emit("alarm", kind=refusal.alarm, why=str(refused.cause))
        await body.discard()
        return refusal.answer(refused.cause)

    async def _work(self, job: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)
