"""Any library system asked over SIP2: Patron Information (63), over TLS or on this machine.

Each question has a connection of its own. A door asks a few times a day: a connection that is
kept would be dead by then behind most firewalls, and finding out would cost the patron the whole
time limit; and an answer that comes too late can't be taken for the next patron's.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from doorctl.access.messages import LibraryAnswer
from doorctl.config.lms import is_this_machine
from doorctl.errors import InputError, LibrarySystemError
from doorctl.masked import Identifier, Masked, Pin
from doorctl.ports import Clock, LibraryReply
from doorctl.sources.sip2_answers import Dialect, meaning, read_patron
from doorctl.sources.sip2_frames import (
    END,
    LONGEST_FRAME_BYTES,
    Information,
    framed,
    information_request,
    login,
    read_information,
    read_login,
    unframed,
    without_trailer,
)
from doorctl.sources.spelling import spelt
from doorctl.sources.time_limit import TimeLimit
from doorctl.sources.trust import unreached

TIMEOUT_S = 2.0
LOGIN, INFORMATION = 0, 1
"""Sequence numbers of a connection's two messages."""

NO_PASSWORD = Masked("")


@dataclass(slots=True)
class _Question:
    """Whether the PIN of one question may have reached the library system."""

    sent: bool = False


class Sip2Library:
    """Ask a SIP2 server; implements `LibrarySystem`. Thread-safe; one connection a question.

    Args:
        host: the server's.
        port: the server's.
        context: how its certificate is checked, see `trusting`; None for plain TCP, which is for
            this machine only (a tunnel's end).
        institution: what is sent as AO; an answer of another one is not believed. Blanks around
            it don't count, and empty is one too.
        clock: for the date of a message, by whatever clock there is.
        user: the login's account; empty for no login.
        password: its password.
        terminal_password: what is sent as AC.
        dialect: what the library means by its classes and flags.
        checksum: whether messages carry a sequence number and a checksum; without them what comes
            on the question's own connection is believed.
        timeout_s: for one question, connection and all, in seconds.

    Raises:
        InputError: it would send PINs to another machine in the clear.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        institution: str,
        clock: Clock,
        user: str = "",
        password: Masked[str] = NO_PASSWORD,
        terminal_password: Masked[str] = NO_PASSWORD,
        dialect: Dialect = Dialect(),  # noqa: B008 - frozen
        checksum: bool = True,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if context is None and not is_this_machine(host):
            raise InputError("another machine is asked over TLS only; see lms.url")
        self._host = host
        self._port = port
        self._context = context
        self._institution = institution.encode()
        self._clock = clock
        self._user = user.encode()
        self._password = password
        self._terminal_password = terminal_password
        self._dialect = dialect
        self._checksum = checksum
        self._limit = TimeLimit(timeout_s, "sip2")

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's; the port says the rest.

        What no card or keypad can say, and so what could end a field, is a no without being sent.
        """
        told = spelt(identifier, pin)
        if told is None:
            return LibraryReply(LibraryAnswer.NO)
        card, digits = (one.encode() for one in told)
        question = _Question()
        try:
            said = self._limit.run(lambda: self._ask(question, card, digits))
            return self._understood(said, row_wanted=row_wanted)
        except LibrarySystemError as error:
            why = str(error)
        except TimeoutError:
            why = "it does not answer in time"
        except EOFError:
            why = "it breaks off in the middle of an answer"
        except OSError as error:
            why = unreached(error)
        except asyncio.LimitOverrunError:
            why = "its answer is too long"
        # Out here nothing of the library's text hangs on it as a context: that may hold an answer.
        raise LibrarySystemError(why, spent=question.sent)

    def close(self) -> None:
        """End its thread; idempotent."""
        self._limit.close()

    def _understood(self, said: Information, *, row_wanted: bool) -> LibraryReply:
        answer = meaning(said)
        if answer is None:
            raise LibrarySystemError("it does not say whether the card is valid", spent=True)
        wanted = row_wanted and answer is LibraryAnswer.YES
        return LibraryReply(answer, read_patron(said, self._dialect) if wanted else None)

    async def _ask(self, question: _Question, card: bytes, pin: bytes) -> Information:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._context, limit=LONGEST_FRAME_BYTES
        )
        try:
            if self._user:
                await self._log_in(reader, writer)
            request = self._request(card, pin)
            question.sent = True
            answer = await self._exchange(reader, writer, request, INFORMATION)
        finally:
            # A polite end of TLS would wait for the other side.
            writer.transport.abort()
        return self._believed(read_information(answer))

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = login(self._user, self._password.reveal().encode())
        accepted = read_login(await self._exchange(reader, writer, request, LOGIN))
        if not accepted:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)

    def _request(self, card: bytes, pin: bytes) -> bytes:
        return information_request(
            at=self._clock.moment().local.strftime("%Y%m%d    %H%M%S"),
            institution=self._institution,
            card=card,
            terminal_password=self._terminal_password.reveal().encode(),
            pin=pin,
        )

    def _believed(self, said: Information | None) -> Information:
        if said is None:
            raise LibrarySystemError("its answer is no whole message 64", spent=True)
        # It may name another of the patron's numbers than the one asked about; FBS puts LN: before.
        if not (said.first(b"AA") or b"").strip():
            raise LibrarySystemError("it does not say about whom it answers", spent=True)
        if (said.first(b"AO") or b"").strip() != self._institution:
            raise LibrarySystemError("another institution answers; see lms.agency", spent=True)
        return said

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: bytes,
        sequence: int,
    ) -> bytes:
        writer.write(framed(message, sequence if self._checksum else None))
        await writer.drain()
        frame = b""
        while not frame:
            # Some servers end a message with CR LF, so a line feed may stand before the next one.
            frame = (await reader.readuntil(END)).strip(b"\r\n")
        answer = unframed(frame, sequence) if self._checksum else without_trailer(frame)
        if answer is None:
            why = (
                "its answer has no right checksum; turn on error detection at the SIP2 server, "
                "or see lms.checksum"
            )
            raise LibrarySystemError(why, spent=True)
        return answer
