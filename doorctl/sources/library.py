"""The library system asked about one card: FBS (Cicero) over its CMS API, any other over SIP2."""

from __future__ import annotations

import asyncio
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import httpx2
import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron
from doorctl.config.tables import Lms, is_this_machine, read_address
from doorctl.core.asking import (
    ASK_JSON,
    Talks,
    body_of,
    read_answer,
    read_password,
    spelt,
    trusting,
    unreached,
    waits,
)
from doorctl.core.errors import InputError, LibrarySystemError
from doorctl.core.masked import Identifier, Masked, Pin
from doorctl.core.ports import Clock, Unshown
from doorctl.sync.rows import WrittenHold

# Field names, types and meanings: danskernesdigitalebibliotek/dpl-fbs-adapter-tool,
# ``external_agencyid_patrons.json`` and ``external_v1_agencyid_authentication.json``. Fields that
# are not named here (names, addresses, telephone numbers) are skipped by the decoder and never
# built.

PERSON = "PERSON"
"""The only type of patron with a birthday and a residence in FBS."""

NOT_TOLD = "NOT_TOLD"

PatronId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Answer(Unshown, frozen=True, rename="camel", forbid_unknown_fields=False):
    """What all answers share."""


class LoggedIn(Answer, frozen=True):
    """The answer to a login."""

    session_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,1024}\Z")]


class Authenticated(Answer, frozen=True):
    """The answer about a card and a PIN; the last two fields are there where it is ``VALID``."""

    authenticate_status: Literal["VALID", "INVALID", "LOANER_LOCKED_OUT"]
    patron_id: PatronId | None = None
    patron_type: str | None = None

    def __post_init__(self) -> None:
        if self.authenticate_status == "VALID" and None in (self.patron_id, self.patron_type):
            raise ValueError("half an answer")


class Block(Answer, frozen=True):
    """A block; a code with a stray blank would match no code that is denied."""

    blocked_reason: Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]


class Hold(WrittenHold, frozen=True, forbid_unknown_fields=False):
    """A period on hold."""


class Person(Answer, frozen=True):
    """PersonPatronV4, only the fields that we use; `block_status` and `tags` may be null."""

    patron_id: PatronId
    resident: bool
    birthday: date | None = None
    block_status: list[Block] | None = None
    on_hold: Hold | None = None
    tags: list[Annotated[str, Meta(max_length=64)]] | None = None

    def reply(self) -> LibraryReply:
        """Return what the door may know; the card was authenticated, so it is in force."""
        hold = self.on_hold
        row = Patron(
            str(self.patron_id),
            resident=self.resident,
            blocks=frozenset(block.blocked_reason for block in self.block_status or ()),
            hold_from=None if hold is None else hold.starts or date.min,
            hold_until=None if hold is None else hold.ends,
            tags=frozenset(self.tags or ()),
        )
        return LibraryReply(LibraryAnswer.YES, row, self.birthday)


AnswerT = TypeVar("AnswerT", bound=Answer)


LONGEST_ANSWER_BYTES = 65_536
"""A person with addresses, notes and interests has 2 KiB."""

ANSWERS: Mapping[str, LibraryAnswer] = MappingProxyType(
    {
        "VALID": LibraryAnswer.YES,
        "INVALID": LibraryAnswer.NO,
        "LOANER_LOCKED_OUT": LibraryAnswer.WAITS,
    }
)

LOGIN_REFUSED = frozenset({400, 401, 403})
"""FBS answers 403 to a client whose name or password is wrong (its own document)."""


@dataclass(slots=True)
class _Question:
    """How far one request got: it may have the PIN (`sent`), FBS's expired session was replaced."""

    sent: bool = False
    renewed: bool = False


def library_system(lms: Lms, clock: Clock) -> FbsLibrary | Sip2Library:
    """Return the library system of [lms]. KeyFileError: a password or certificate can't be read."""
    password, terminal_password = (
        Masked("") if file == Path() else read_password(file)
        for file in (lms.password_file, lms.terminal_password_file)
    )
    if lms.kind == "fbs":
        return FbsLibrary(lms, password)
    return Sip2Library(lms, clock, password, terminal_password)


class _Library(ABC):
    """What both have in common; the time limit is for each request, with login and connection.

    Raises InputError: it would send PINs to another machine in the clear.
    """

    def __init__(self, lms: Lms, password: Masked[str]) -> None:
        at = read_address(lms.url)
        if at is None or not (at.encrypted or is_this_machine(at.host)):
            raise InputError("another machine is asked over TLS only; see lms.url")
        self._at, self._lms, self._password = at, lms, password
        self._talks = Talks()

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's.

        What no card or keypad can send, and so what could end a field, is a no without being sent.
        """
        card_and_pin = spelt(identifier, pin)
        if card_and_pin is None:
            return LibraryReply(LibraryAnswer.NO)
        question = _Question()
        try:
            asking = partial(self._ask, question, *card_and_pin, row_wanted)
            return self._talks.within(self._lms.timeout_s, asking)
        except LibrarySystemError as error:
            why = str(error)
        except asyncio.LimitOverrunError:
            why = "its answer is too long"
        except (httpx2.HTTPError, OSError, EOFError) as error:
            why = unreached(error, "lms")
        # Raised out here, so that no exception with the library's answer is its context.
        raise LibrarySystemError(why, spent=question.sent)

    @abstractmethod
    async def _ask(
        self, question: _Question, card: str, pin: str, row_wanted: bool
    ) -> LibraryReply:
        """Ask; what fails on the way passes through."""


class FbsLibrary(_Library):
    """Ask FBS; implements `LibrarySystem`. Thread-safe; one session is kept, one login at a time.

    No proxy of the environment is used and no redirect followed; card numbers and PINs are sent in
    bodies only.
    """

    def __init__(self, lms: Lms, password: Masked[str]) -> None:
        super().__init__(lms, password)
        self._context = trusting(lms.ca_file)
        # What the first one loads takes a small Pi a second, which the first question has not.
        httpx2.AsyncHTTPTransport(verify=self._context)
        self._logging_in = Lock()
        self._session: Masked[str] | None = None

    async def _ask(
        self, question: _Question, card: str, pin: str, row_wanted: bool
    ) -> LibraryReply:
        base = self._lms.url.rstrip("/")
        async with httpx2.AsyncClient(
            base_url=base, verify=self._context, trust_env=False, timeout=waits(self._lms.timeout_s)
        ) as client:
            answer = partial(self._answer, client, question)
            content = {"libraryCardNumber": card, "pincode": pin}
            path = "patrons/authenticate/v9"
            authenticated = await answer(path, Authenticated, content)
            said, patron_id = ANSWERS[authenticated.authenticate_status], authenticated.patron_id
            if said is not LibraryAnswer.YES or not row_wanted or patron_id is None:
                return LibraryReply(said)
            if authenticated.patron_type != PERSON:
                # A company, a library or a group; its blocks are stored elsewhere, not asked for.
                return Person(patron_id, resident=False, block_status=[Block(NOT_TOLD)]).reply()
            person = await answer(f"patrons/person/{patron_id}/v4", Person)
        if person.patron_id != patron_id:
            raise LibrarySystemError("it answers about another patron", spent=question.sent)
        return person.reply()

    async def _answer(
        self,
        client: httpx2.AsyncClient,
        question: _Question,
        path: str,
        kind: type[AnswerT],
        content: Mapping[str, str] | None = None,
    ) -> AnswerT:
        session = await self._logged_in(client, None)
        address = f"/external/{self._lms.agency}/{path}"
        request = partial(_exchange, client, address, content, question=question)
        status, body = await request(session=session)
        if status == httpx2.codes.UNAUTHORIZED and not question.renewed:
            question.renewed = True
            status, body = await request(session=await self._logged_in(client, session))
        return _read(status, body, kind, spent=question.sent)

    async def _logged_in(
        self, client: httpx2.AsyncClient, expired: Masked[str] | None
    ) -> Masked[str]:
        # It holds up this question's own thread alone, and is cancelled there when time is up.
        with self._logging_in:
            if self._session is None or self._session == expired:
                self._session = None
                self._session = await self._log_in(client)
            return self._session

    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        account = {"username": self._lms.user, "password": self._password.reveal()}
        address = f"/external/v1/{self._lms.agency}/authentication/login"
        status, body = await _exchange(client, address, account)
        if status in LOGIN_REFUSED:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)
        return Masked(_read(status, body, LoggedIn, spent=False).session_key)


async def _exchange(
    client: httpx2.AsyncClient,
    address: str,
    content: Mapping[str, str] | None,
    *,
    session: Masked[str] | None = None,
    question: _Question | None = None,
) -> tuple[int, bytes]:
    async def note(event: str, _info: object) -> None:
        if question is not None and content and event.endswith("send_request_headers.started"):
            question.sent = True

    async with client.stream(
        "GET" if content is None else "POST",
        address,
        content=None if content is None else msgspec.json.encode(content),
        headers={
            **ASK_JSON,
            **({} if content is None else {"Content-Type": "application/json"}),
            **({} if session is None else {"X-Session": session.reveal()}),
        },
        extensions={"trace": note},
    ) as response:
        body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
        return response.status_code, body or b""


def _read(status: int, body: bytes, kind: type[AnswerT], *, spent: bool) -> AnswerT:
    if status != httpx2.codes.OK:
        raise LibrarySystemError(f"it answers with HTTP status {status}", spent=spent)
    answer = read_answer(body, kind)
    if answer is None:
        raise LibrarySystemError("its answer is none that FBS gives; see lms.url", spent=spent)
    return answer


# Any library system asked over SIP2: Patron Information (63), over TLS or on this machine.
#
# Each request has a connection of its own. A door asks a few times a day: most firewalls would
# have dropped a connection by then, and finding out would cost the patron the whole time limit.
# Also, an answer that comes too late can't be taken for the next patron's.
#
# 3M Standard Interchange Protocol 2.00. An answer is believed only whole: any other is None here.
# Names and addresses in it stay undecoded bytes, so it does not matter which of the DOS character
# sets they are in, and they are dropped with the frame.

END = b"\r"

LONGEST_FRAME_BYTES = 16_384
"""An answer that lists no items has 0.5 KiB; each field may have 255 bytes."""

INFORMATION_BYTES = 61
"""Fixed part of message 64: number, 14 flags, language, date, six counts of four digits."""

DATE = slice(19, 27)
"""Where the server's own day stands in it."""

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
    """A whole Patron Information Response (64): which places of the status are set, and fields.

    `on` is the server's own day, None where it can't be read.
    """

    flags: frozenset[int]
    on: date | None
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


def unframed(frame: bytes, sequence: int) -> bytes | None:
    """Return the message of a frame without its end, if its trailer is right, else None."""
    trailer = _TRAILER.search(frame)
    if trailer is None or trailer[1] != b"%d" % sequence:
        return None
    expected = -int(trailer[2], 16) & 0xFFFF
    return frame[:-_TRAILER_BYTES] if expected in _sums(frame[:-4]) else None


def read_information(message: bytes) -> Information | None:
    """Return what message 64 says, None where it is incomplete or contradicts itself."""
    fixed, named = message[:INFORMATION_BYTES], message[INFORMATION_BYTES:]
    if not _FIXED.fullmatch(fixed):
        return None
    fields: dict[bytes, list[bytes]] = {}
    # fsip2 writes a delimiter before each field, so without error detection none ends the last.
    for part in named.removeprefix(b"|").removesuffix(b"|").split(b"|"):
        name, value = part[:2], part[2:]
        if not _FIELD.fullmatch(name):
            return None
        fields.setdefault(name, []).append(value)
    if any(len(fields.get(name, ())) > 1 for name in DECISIVE):
        return None
    status = fixed[2:16]
    # A flag that is neither blank nor a plain no counts as set: any doubt refuses.
    flags = frozenset(place for place, flag in enumerate(status, 1) if flag not in b" N")
    return Information(flags, _day(fixed[DATE]), fields)


def _sums(text: bytes) -> Sequence[int]:
    """Return the checksums that a server may have made: of bytes, or of characters before UTF-8."""
    sums = [sum(text) & 0xFFFF]
    with suppress(UnicodeDecodeError):
        sums.append(sum(map(ord, text.decode())) & 0xFFFF)
    return sums


CHARGE_DENIED, LOST_CARD, FINES, FEES = 1, 5, 11, 12
BLOCKS: Mapping[int, str] = MappingProxyType({LOST_CARD: "O", FINES: "E", FEES: "E"})
"""Places of the patron status that mean one of FBS's own block codes."""

DENIED = "S"

FLAGS = (
    *("charge denied", "renewal denied", "recall denied", "hold denied", "card reported lost"),
    *("too many charged", "too many overdue", "too many renewals", "too many claims returned"),
    *("too many lost", "excessive fines", "excessive fees", "recall overdue", "too many billed"),
)
"""The places of the patron status, in their order."""

WITHOUT = " unless another place from 5 on, a debt at its limit or an expiry says why"

REASONS = frozenset(range(LOST_CARD, 15))
"""Places whose flag says why a patron may not borrow: a lost card, loans, fines, fees."""

OWED, LIMIT = b"BV", b"CC"

BIRTHDAYS = (b"PB", b"BC", b"PD")
"""Dialects of servers, PD is Horizon's; the protocol itself has no birthday."""

EXPIRIES = MappingProxyType({b"PA": 6, b"PX": 0, b"PE": 8})
"""With the digits from which on text that is no day is an expiry all the same. PX is Polaris', who
mean something else by PA; PE is some Symphony's, elsewhere a branch, which may have six digits."""

CLASSES = (b"PC", b"FU")
"""FU is the name of a patron group of FOLIO's edge-sip2, which has no PC."""

_DATE = re.compile(rb"([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ A-Z]{0,4}[0-9]{6})?")
"""A day, by some servers with the protocol's time of day."""

_WORDS = re.compile(rb"[A-Za-z ]+\Z")
"""What some Symphony libraries put behind an expiry: whose card it is."""

_AMOUNT = re.compile(rb"[^0-9-]{0,4}([0-9]{1,3}(?:[,.][0-9]{3})+|[0-9]+)(?:[,.]([0-9]{1,2}))?")
"""An amount of money, with its currency before it or without."""

_DIGIT = re.compile(rb"[0-9]")


def meaning(information: Information) -> LibraryAnswer | None:
    """Return what the answer says of the PIN; None if it is not clear whether the card is valid.

    A blank or missing CQ is a no: servers answer so about cards that they don't know.
    """
    if information.first(b"CQ") != b"Y":
        return LibraryAnswer.NO
    return LibraryAnswer.YES if information.first(b"BL") in {b"Y", b"N"} else None


def read_patron(information: Information, lms: Lms) -> LibraryReply:
    """Return the yes and the row of an answer whose meaning is yes.

    SIP2 has no patron's number but the card's, so the reference is a random one of this answer.
    A card that is not valid (BL N, as for an expired one) is not active, and opens no door.
    Raises LibrarySystemError: an expiry can't be read; an empty one is none.
    """
    patron_class = next(filter(None, map(information.first, CLASSES)), None)
    row = Patron(
        f"sip2-{secrets.token_hex(16)}",
        resident=patron_class in {code.encode() for code in lms.resident_classes},
        active=information.first(b"BL") == b"Y",
        valid_until=min(_expiries(information), default=None),
    )
    row = replace(row, blocks=_blocks(information, row, lms))
    return LibraryReply(LibraryAnswer.YES, row, _birthday(information))


def _blocks(information: Information, row: Patron, lms: Lms) -> frozenset[str]:
    flags = information.flags
    known = frozenset(BLOCKS[flag] for flag in flags & BLOCKS.keys())
    allowed = lms.allow_charge_denied or _is_explained(information, row)
    return known if allowed and not flags & {*lms.deny_flags} else known | {DENIED}


def meaning_of_flags(lms: Lms, deny_blocks: Collection[str]) -> str:
    """Return in a sentence whom a set flag keeps out and whom not, by these settings."""

    def denied(*flags: int) -> bool:
        information = Information(frozenset(flags), None, {})
        return not _blocks(information, Patron("", resident=True), lms).isdisjoint(deny_blocks)

    out, within = (
        ", ".join(f"{place} {FLAGS[place - 1]}" for place in range(1, 15) if denied(place) is kept)
        for kept in (True, False)
    )
    debtors = ""
    if denied(CHARGE_DENIED):
        debtors = " for whatever reason, debtors too" if denied(CHARGE_DENIED, FINES) else WITHOUT
    out = out.replace(FLAGS[0], f"{FLAGS[0]}{debtors}")
    return f"lms: a set place of SIP2's patron status keeps out: {out or 'none'}; lets in: {within}"


def _is_explained(information: Information, row: Patron) -> bool:
    """Tell whether the patron may borrow, or the answer says why not.

    Reasons are a flag, a debt that has reached its limit, and a card that has expired by the
    server's own day. A patron who is barred from the library has none of them.
    """
    if CHARGE_DENIED not in information.flags or information.flags & REASONS or not row.active:
        return True
    on, until = information.on, row.valid_until
    owed, limit = _amount(information, OWED), _amount(information, LIMIT)
    return (on is not None and until is not None and until < on) or owed >= limit > 0


def _amount(information: Information, name: bytes) -> int:
    """Return an amount in hundredths; 0 where none is there, several, or one that can't be read."""
    values = information.fields.get(name, ())
    match = _AMOUNT.fullmatch(values[0].strip()) if len(values) == 1 else None
    if match is None:
        return 0
    whole, part = re.sub(rb"[,.]", b"", match[1]), match[2] or b""
    return int(whole + part.ljust(2, b"0"))


def _birthday(information: Information) -> date | None:
    """Return the one birthday that all dialects name, None where they name none or several."""
    days = {day for name in BIRTHDAYS if (day := _born(information.first(name))) is not None}
    return days.pop() if len(days) == 1 else None


def _born(written: bytes | None) -> date | None:
    """Read a birthday; FOLIO's fsip2 writes MMDDYYYY, which may be taken for DDMMYYYY.

    Where both are days the later one counts, so that no child comes in too young.
    """
    day = _day(written)
    if day is not None or not re.fullmatch(rb"[0-9]{8}", written or b"") or written is None:
        return day
    first, second, year = written[:2], written[2:4], written[4:]
    days = (_day(year + first + second), _day(year + second + first))
    return max((day for day in days if day is not None), default=None)


def _expiries(information: Information) -> Iterator[date]:
    for name, digits in EXPIRIES.items():
        for written in filter(None, map(bytes.strip, information.fields.get(name, ()))):
            day = _day(_WORDS.sub(b"", written))
            if day is not None:
                yield day
            elif len(_DIGIT.findall(written)) >= digits:
                why = f"its expiry in {name.decode()} can't be read, so the card may have run out"
                raise LibrarySystemError(why, spent=True)


def _day(written: bytes | None) -> date | None:
    match = _DATE.fullmatch(written or b"")
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1].decode())
    except ValueError:
        return None


LOGIN, INFORMATION = 0, 1
"""Sequence numbers of a connection's two messages."""

ACCEPTED = b"941"
"""The whole answer to a login."""


class Sip2Library(_Library):
    """Ask a SIP2 server; implements `LibrarySystem`. Thread-safe; one connection a request.

    Plain TCP is for this machine only (a tunnel's end). Another institution's answer is not
    believed, and without `lms.checksum` whatever comes on the request's own connection is. `clock`
    is for the date of a message and need not be trusted; `terminal_password` is sent as AC.
    """

    def __init__(
        self, lms: Lms, clock: Clock, password: Masked[str], terminal_password: Masked[str]
    ) -> None:
        super().__init__(lms, password)
        self._clock, self._terminal_password = clock, terminal_password
        self._context = trusting(lms.ca_file) if self._at.encrypted else None

    async def _ask(
        self, question: _Question, card: str, pin: str, row_wanted: bool
    ) -> LibraryReply:
        reader, writer = await asyncio.open_connection(
            self._at.host, self._at.port, ssl=self._context, limit=LONGEST_FRAME_BYTES
        )
        try:
            if self._lms.user:
                await self._log_in(reader, writer)
            request = self._request(card.encode(), pin.encode())
            question.sent = True
            message = await self._exchange(reader, writer, request, INFORMATION)
        finally:
            # A polite end of TLS would wait for the other side.
            writer.transport.abort()
        information = self._believed(read_information(message))
        answer = meaning(information)
        if answer is None:
            raise LibrarySystemError("it does not say whether the card is valid", spent=True)
        wanted = row_wanted and answer is LibraryAnswer.YES
        return read_patron(information, self._lms) if wanted else LibraryReply(answer)

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Nothing in message 93 is encrypted.
        account = (self._lms.user, self._password.reveal())
        request = b"9300" + b"CN%b|CO%b|" % tuple(map(str.encode, account))
        if await self._exchange(reader, writer, request, LOGIN) != ACCEPTED:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)

    def _request(self, card: bytes, pin: bytes) -> bytes:
        """Return message 63."""
        at = self._clock.moment().local.strftime("%Y%m%d    %H%M%S").encode()
        terminal = self._terminal_password.reveal().encode()
        fields = b"AO%b|AA%b|AC%b|AD%b|" % (self._lms.agency.encode(), card, terminal, pin)
        return b"63" + REQUEST_LANGUAGE + at + NO_SUMMARY + fields

    def _believed(self, information: Information | None) -> Information:
        if information is None:
            raise LibrarySystemError("its answer is no whole message 64", spent=True)
        # It may name another of the patron's numbers than the one asked about; FBS puts LN: before.
        if not (information.first(b"AA") or b"").strip():
            raise LibrarySystemError("it does not say about whom it answers", spent=True)
        if (information.first(b"AO") or b"").strip() != self._lms.agency.encode():
            raise LibrarySystemError("another institution answers; see lms.agency", spent=True)
        return information

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: bytes,
        sequence: int,
    ) -> bytes:
        writer.write(framed(message, sequence if self._lms.checksum else None))
        await writer.drain()
        frame = b""
        while not frame:
            # Some servers end a message with CR LF, so a line feed may stand before the next one.
            frame = (await reader.readuntil(END)).strip(b"\r\n")
        # Without checksums a trailer, if there is one, proves nothing.
        bare = _ANY_TRAILER.sub(b"", frame, count=1)
        answer = unframed(frame, sequence) if self._lms.checksum else bare
        if answer is None:
            why = (
                "its answer has no right checksum; turn on error detection at the SIP2 server, "
                "or see lms.checksum"
            )
            raise LibrarySystemError(why, spent=True)
        return answer
