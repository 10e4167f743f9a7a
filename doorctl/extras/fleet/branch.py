"""A branch that is reached over NATS: it has no address, it listens where it has connected to.

What a server could tell a sender falsely is met by the branch's signature: it is of this request,
whose name is new, and of this reply. A server, or a client that listens on the branch's subject,
can keep a reply back, and no more.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from nats import errors

from doorctl.extras.fleet.bodies import LEAST_BYTES
from doorctl.extras.fleet.connection import LOST, why_lost
from doorctl.extras.fleet.left import leave
from doorctl.extras.fleet.messages import (
    MACHINES,
    SHARED,
    Shared,
    headers_of_piece,
    piece_of,
    question_of,
    read_next,
    read_reply,
    subject_of,
)
from doorctl.extras.fleet.transfers import HOLD_S
from doorctl.sources.branches import AskedBranch, Failed, Reply, Request
from doorctl.sync.branch import Away, Refused
from doorctl.sync.packing import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.msg import Msg

    from doorctl.extras.fleet.bodies import Bodies
    from doorctl.extras.fleet.connection import Connection, SharedConnection
    from doorctl.extras.fleet.messages import Question
    from doorctl.sync.signing import VerifyKey

ANSWER_S: Final = HOLD_S + 5.0
"""Longest wait for the answer to a piece, before it is sent again."""

TRIES: Final = 3
"""In the longest silence that is borne, a piece is sent at least so often."""

AGAIN_S: Final = 0.2
"""Rest after an answer that brought nothing on, so that no liar keeps this machine busy."""

WANTS_ROWS: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FAILED_DEPENDENCY})
"""How a branch says that it finds no rows at the server: one of 0.3 does not look for them."""

UNSIGNED: Final = (
    "what answers for it is not the branch, or has another key; see public_key_file of its "
    "sync.targets"
)


class NatsBranch(AskedBranch):
    """One branch over NATS; `key` is the public half of what it signs its replies with.

    All branches of a run share a connection, and what they have left at the server, `bodies`. A
    request that broke off is taken up where it was.
    """

    keeps = True

    def __init__(
        self,
        name: str,
        connection: SharedConnection,
        key: VerifyKey,
        bodies: Bodies,
        **usual: Any,
    ) -> None:
        super().__init__(name, **usual)
        self._connection, self._key, self._bodies = connection, key, bodies
        self._unanswered: dict[str, str] = {}

    def replied(self, request: Request, silence_s: float, total_s: float) -> Reply | Failed:
        """See `AskedBranch.replied`."""
        content = request.content
        try:
            if isinstance(content, Document) and content.body.size >= LEAST_BYTES:
                reply = self._by_shared_rows(request, content, silence_s, total_s)
                if not (isinstance(reply, Reply) and reply.status in WANTS_ROWS):
                    return reply
            return self._asked(request, silence_s, total_s)
        except LOST as error:
            return Away(why_lost(error, "sync.nats"))

    def leave(self, documents: Sequence[Document]) -> bool:
        """See `Branch.leave`."""
        try:
            return self._connection.within(
                self._apply_s, lambda there: leave(there, self._bodies, self.name, documents)
            )
        except LOST:
            return False

    def _by_shared_rows(
        self, request: Request, document: Document, silence_s: float, total_s: float
    ) -> Reply | Failed:
        """Leave the rows at the server, and send the rest."""
        body = document.body
        if not self._connection.within(total_s, lambda there: self._bodies.lies(there, body)):
            return Reply(HTTPStatus.NOT_FOUND, "", b"")
        path = request.path.replace(MACHINES, SHARED, 1)
        own = replace(request, path=path, content=document.head + document.tail)
        shared = Shared(body.packed_sha256, body.size, len(document.head))
        return self._asked(own, silence_s, total_s, shared)

    def _asked(
        self, request: Request, silence_s: float, total_s: float, shared: Shared | None = None
    ) -> Reply | Failed:
        """Ask, and believe what the branch has signed; raises one of `LOST`."""
        question, pieces = question_of(secrets.token_hex(16), request)
        if question.size:
            # Of the same content, sent again because no reply came.
            same = question.method + question.path + question.sha256
            name = self._unanswered.setdefault(same, question.name)
            question, _ = question_of(name, request)
        asking = _Asking(self.name, request, question, pieces, silence_s, shared=shared)
        message = self._connection.within(total_s, asking.over)
        self._unanswered.clear()
        reply = read_reply(question, self.name, message.headers, message.data, self._key)
        return Refused(UNSIGNED) if reply is None else reply


class _Asking:
    """One request on its way; `silence_s` is the longest time in which nothing gets on."""

    def __init__(
        self,
        branch: str,
        request: Request,
        question: Question,
        pieces: int,
        silence_s: float,
        *,
        shared: Shared | None,
    ) -> None:
        self._branch, self._request, self._question = branch, request, question
        self._pieces, self._silence_s, self._shared = pieces, silence_s, shared

    async def over(self, connection: Connection) -> Msg:
        """Send all pieces and return the message that claims to be the reply.

        Raises one of `LOST`; of these TimeoutError where nothing gets on.
        """
        subject, number, furthest = subject_of(self._branch), 0, 0
        until_s = self._until_s()
        while asyncio.get_running_loop().time() < until_s:
            try:
                answer = await connection.client.request(
                    subject,
                    piece_of(self._request.content, number),
                    timeout=min(ANSWER_S, self._silence_s / TRIES),
                    headers=headers_of_piece(self._question, number, self._shared),
                )
            except errors.TimeoutError:
                if connection.refuses(subject):
                    raise errors.AuthorizationError from None
                continue
            wanted = read_next(answer.headers)
            if wanted is None:
                return answer
            number = min(wanted, self._pieces)
            if number > furthest:
                furthest, until_s = number, self._until_s()
            else:
                await asyncio.sleep(AGAIN_S)
        raise TimeoutError

    def _until_s(self) -> float:
        return asyncio.get_running_loop().time() + self._silence_s
