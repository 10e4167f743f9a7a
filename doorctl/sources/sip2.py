"""Any library system asked over SIP2: Patron Information (63), over TLS or on this machine.

Each request has a connection of its own. A door asks a few times a day: most firewalls would have
dropped a connection by then, and finding out would cost the patron the whole time limit. Also, an
answer that comes too late can't be taken for the next patron's.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from doorctl.access.messages import LibraryAnswer, LibraryPatron, LibraryReply
from doorctl.config.network import is_this_machine
from doorctl.core.errors import InputError, LibrarySystemError
from doorctl.core.masked import Identifier, Masked, Pin
from doorctl.core.ports import Clock
from doorctl.sources.asking import spelt, unreached
from doorctl.sources.time_limit import TimeLimit

# 3M Standard Interchange Protocol 2.00. An answer is believed only whole: any other is None here.
# Names and addresses in it stay undecoded bytes, so it does not matter which of the DOS character
# sets they are in, and they are dropped with the frame.

END = b"\r"

LONGEST_FRAME_BYTES = 16_384
"""An answer that lists no items has 0.5 KiB; each field may have 255 bytes."""

INFORMATION_BYTES = 61
"""Fixed part of message 64: number, 14 flags, language, date, six counts of four digits."""

REQUEST_LANGUAGE, NO_SUMMARY = b"000", b" " * 10

DECISIVE = (b"AO", b"AA", b"BL", b"CQ")
"""Fields that decide, so an answer may have each only once."""

_TRAILER = re.compile(rb"AY([0-9])AZ([0-9A-Fa-f]{4})\Z")
_TRAILER_BYTES = 9
_ANY_TRAILER = re.compile(rb"(?:AY[0-9])?(?:AZ[0-9A-Fa-f]{4})?\Z")
_FIXED = re.compile(rb"64[ -~]{14}[ -~]{3}[ -~]{18}[ -~]{24}")
_FIELD = re.compile(rb"[A-Z][A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Information:
    """A whole Patron Information Response (64).

    Args:
        flags: the places, from 1, of the patron status that are set.
        fields: by name, all values of each, in order; undecoded.
    """

    flags: frozenset[int]
    fields: dict[bytes, list[bytes]] = field(repr=False)

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a field, None where it is missing."""
        return self.fields.get(name, [None])[0]


def framed(message: bytes, sequence: int | None) -> bytes:
    """Return a message with sequence number (0 to 9) and checksum, if any, and its end."""
    if sequence is None:
        return message + END
    summed = message + b"AY%dAZ" % sequence
    return summed + b"%04X" % (-sum(summed) & 0xFFFF) + END


def login(user: bytes, password: bytes) -> bytes:
    """Return message 93, in which nothing is encrypted."""
    return b"9300" + _named((b"CN", user), (b"CO", password))


def information_request(
    *, at: str, institution: bytes, card: bytes, terminal_password: bytes, pin: bytes
) -> bytes:
    """Return message 63; `at` is ``YYYYMMDD``, four blanks, ``HHMMSS`` in local time."""
    return (
        b"63"
        + REQUEST_LANGUAGE
        + at.encode("ascii")
        + NO_SUMMARY
        + _named((b"AO", institution), (b"AA", card), (b"AC", terminal_password), (b"AD", pin))
    )


def unframed(frame: bytes, sequence: int) -> bytes | None:
    """Return the message of a frame without its end, if its trailer is right, else None."""
    trailer = _TRAILER.search(frame)
    if trailer is None or trailer[1] != b"%d" % sequence:
        return None
    expected = -int(trailer[2], 16) & 0xFFFF
    return frame[:-_TRAILER_BYTES] if expected in _sums(frame[:-4]) else None


def without_trailer(frame: bytes) -> bytes:
    """Return the message of a frame whose trailer, if it has one, proves nothing."""
    return _ANY_TRAILER.sub(b"", frame, count=1)


def read_login(message: bytes) -> bool | None:
    """Return whether message 94 accepts the account, None where it is not a 94."""
    return {b"941": True, b"940": False}.get(message)


def read_information(message: bytes) -> Information | None:
    """Return what message 64 says, None where it is incomplete or contradicts itself."""
    fixed, named = message[:INFORMATION_BYTES], message[INFORMATION_BYTES:]
    if not _FIXED.fullmatch(fixed) or not named.endswith(b"|"):
        return None
    fields: dict[bytes, list[bytes]] = {}
    for part in named[:-1].split(b"|"):
        name, value = part[:2], part[2:]
        if not _FIELD.fullmatch(name):
            return None
        fields.setdefault(name, []).append(value)
    if any(len(fields.get(name, ())) > 1 for name in DECISIVE):
        return None
    status = fixed[2:16]
    # A flag that is neither blank nor a plain no counts as set: any doubt refuses.
    return Information(
        frozenset(place for place, flag in enumerate(status, 1) if flag not in b" N"), fields
    )


def _named(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"".join(name + value + b"|" for name, value in pairs)


def _sums(text: bytes) -> Sequence[int]:
    """Return the checksums that a server may have made: of bytes, or of characters before UTF-8."""
    sums = [sum(text) & 0xFFFF]
    with suppress(UnicodeDecodeError):
        sums.append(sum(map(ord, text.decode())) & 0xFFFF)
    return sums


LOST_CARD, FINES, FEES = 5, 11, 12
BLOCKS: Mapping[int, str] = MappingProxyType({LOST_CARD: "O", FINES: "E", FEES: "E"})
"""Places of the patron status that mean one of FBS's own block codes."""

DENIED = "S"

BIRTHDAYS = (b"PB", b"BC", b"PD")
"""Dialects of servers, PD is Horizon's; the protocol itself has no birthday."""

EXPIRIES = (b"PA", b"PX", b"PE")
"""PX is Polaris', which means something else by PA; PE is some Symphony's, elsewhere a branch."""

PATRON_CLASS = b"PC"

_DATE = re.compile(rb"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?:[ A-Z]{4}[0-9]{6})?")
"""A day, by some servers with the protocol's time of day."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a library means by its own codes.

    Args:
        resident_classes: the patron classes whose patrons live in the municipality.
        deny_flags: places, from 1, of the patron status that count as block S.
    """

    resident_classes: frozenset[str] = frozenset()
    deny_flags: frozenset[int] = frozenset()


def meaning(information: Information) -> LibraryAnswer | None:
    """Return what the answer says of the PIN; None if it is not clear whether the card is valid.

    A blank or missing CQ is a no: servers answer so about cards that they don't know.
    """
    if information.first(b"CQ") != b"Y":
        return LibraryAnswer.NO
    return LibraryAnswer.YES if information.first(b"BL") in {b"Y", b"N"} else None


def read_patron(information: Information, dialect: Dialect) -> LibraryPatron:
    """Return the row of an answer whose meaning is yes.

    SIP2 has no patron's number but the card's, so the reference is a random one of this answer.
    A card that is not valid (BL N, as for an expired one) is not active, and opens no door.
    """
    patron_class = information.first(PATRON_CLASS)
    return LibraryPatron(
        patron_ref=f"sip2-{secrets.token_hex(16)}",
        resident=patron_class in {code.encode() for code in dialect.resident_classes},
        active=information.first(b"BL") == b"Y",
        birthday=_birthday(information),
        blocks=_blocks(information.flags, dialect.deny_flags),
        valid_until=min(_days(information, EXPIRIES), default=None),
        hold_from=None,
        hold_until=None,
        tags=frozenset(),
    )


def _blocks(flags: frozenset[int], denied: frozenset[int]) -> frozenset[str]:
    known = {BLOCKS[flag] for flag in flags & BLOCKS.keys()}
    return frozenset(known | {DENIED} if flags & denied else known)


def _birthday(information: Information) -> date | None:
    """Return the one birthday that all dialects name, None where they name none or several."""
    days = _days(information, BIRTHDAYS)
    return days.pop() if len(days) == 1 else None


def _days(information: Information, names: tuple[bytes, ...]) -> set[date]:
    return {day for name in names if (day := _day(information.first(name))) is not None}


def _day(written: bytes | None) -> date | None:
    match = _DATE.fullmatch(written or b"")
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


TIMEOUT_S = 2.0
LOGIN, INFORMATION = 0, 1
"""Sequence numbers of a connection's two messages."""

NO_PASSWORD = Masked("")


@dataclass(slots=True)
class _Question:
    """Whether the PIN of one request may have reached the library system."""

    sent: bool = False


class Sip2Library:
    """Ask a SIP2 server; implements `LibrarySystem`. Thread-safe; one connection a request.

    Args:
        context: how its certificate is checked, see `trusting`; None for plain TCP, which is for
            this machine only (a tunnel's end).
        institution: what is sent as AO; an answer of another institution is not believed. Blanks
            around it don't count, and it may be empty.
        clock: for the date of a message; it need not be trusted.
        user: the login's account; empty for no login.
        terminal_password: what is sent as AC.
        checksum: whether messages carry a sequence number and a checksum; without them what comes
            on the question's own connection is believed.
        timeout_s: for one question including the connection, in seconds.

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
        dialect: Dialect = Dialect(),
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
        """Ask whether the PIN is the card's.

        What no card or keypad can send, and so what could end a field, is a no without being sent.
        """
        card_and_pin = spelt(identifier, pin)
        if card_and_pin is None:
            return LibraryReply(LibraryAnswer.NO)
        card, digits = (text.encode() for text in card_and_pin)
        question = _Question()
        try:
            information = self._limit.run(lambda: self._ask(question, card, digits))
            return self._understood(information, row_wanted=row_wanted)
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
        # Raised out here, so that no exception with the library's answer is its context.
        raise LibrarySystemError(why, spent=question.sent)

    def close(self) -> None:
        """End its thread; idempotent."""
        self._limit.close()

    def _understood(self, information: Information, *, row_wanted: bool) -> LibraryReply:
        answer = meaning(information)
        if answer is None:
            raise LibrarySystemError("it does not say whether the card is valid", spent=True)
        wanted = row_wanted and answer is LibraryAnswer.YES
        return LibraryReply(answer, read_patron(information, self._dialect) if wanted else None)

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

    def _believed(self, information: Information | None) -> Information:
        if information is None:
            raise LibrarySystemError("its answer is no whole message 64", spent=True)
        # It may name another of the patron's numbers than the one asked about; FBS puts LN: before.
        if not (information.first(b"AA") or b"").strip():
            raise LibrarySystemError("it does not say about whom it answers", spent=True)
        if (information.first(b"AO") or b"").strip() != self._institution:
            raise LibrarySystemError("another institution answers; see lms.agency", spent=True)
        return information

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
