"""A branch that is reached over NATS: it has no address, it listens where it has connected to.

What a server could tell a sender falsely is met by the branch's signature: it is of this request,
whose name is new, and of this reply. A server, or a client that listens on the branch's subject,
can keep a reply back, and no more.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from nats import errors

from doorctl.extras.fleet.connection import LOST, why_lost
from doorctl.extras.fleet.messages import (
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

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from doorctl.extras.fleet.connection import Connection, SharedConnection
    from doorctl.extras.fleet.messages import Question
    from doorctl.sync.signing import VerifyKey

ANSWER_S: Final = HOLD_S + 5.0
"""Longest wait for the answer to a piece, before it is sent again."""

TRIES: Final = 3
"""In the longest silence that is borne, a piece is sent at least so often."""

AGAIN_S: Final = 0.2
"""Rest after an answer that brought nothing on, so that no liar keeps this machine busy."""

UNSIGNED: Final = (
    "what answers for it is not the branch, or has another key; see public_key_file of its "
    "sync.targets"
)


class NatsBranch(AskedBranch):
    """One branch over NATS; `key` is the public half of what it signs its replies with.

    All branches of a run share a connection. A request that broke off is taken up where it was.
    """

    def __init__(
        self, name: str, connection: SharedConnection, key: VerifyKey, **usual: Any
    ) -> None:
        super().__init__(name, **usual)
        self._connection, self._key = connection, key
        self._unanswered: dict[str, str] = {}

    def replied(self, request: Request, silence_s: float, total_s: float) -> Reply | Failed:
        """See `AskedBranch.replied`."""
        question, pieces = question_of(secrets.token_hex(16), request)
        if question.size:
            # Of the same content, sent again because no reply came.
            same = question.method + question.path + question.sha256
            name = self._unanswered.setdefault(same, question.name)
            question, _ = question_of(name, request)
        asking = _Asking(self.name, request, question, pieces, silence_s)
        try:
            reply = self._connection.within(total_s, asking.over)
        except LOST as error:
            return Away(why_lost(error, "sync.nats"))
        self._unanswered.clear()
        said = read_reply(question, self.name, reply.headers, reply.data, self._key)
        return Refused(UNSIGNED) if said is None else said


class _Asking:
    """One request on its way; `silence_s` is the longest time in which nothing gets on."""

    def __init__(
        self, branch: str, request: Request, question: Question, pieces: int, silence_s: float
    ) -> None:
        self._branch, self._request, self._question = branch, request, question
        self._pieces, self._silence_s = pieces, silence_s

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
                    headers=headers_of_piece(self._question, number),
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
