"""What a SIP2 server's answer means for a door: servers' dialects, flags, blocks and dates."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import MADE_UP_REF, Patron
from doorctl.core.errors import LibrarySystemError
from doorctl.extras.sip2 import Sip2
from doorctl.extras.sip2.frames import Information, day_of

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


def read_patron(information: Information, lms: Sip2) -> LibraryReply:
    """Return the yes and the row of an answer whose meaning is yes.

    SIP2 has no patron's number but the card's, so the reference is a random one of this answer.
    A card that is not valid (BL N, as for an expired one) is not active, and opens no door.
    Raises LibrarySystemError: an expiry can't be read; an empty one is none.
    """
    patron_class = next(filter(None, map(information.first, CLASSES)), None)
    row = Patron(
        f"{MADE_UP_REF}{secrets.token_hex(16)}",
        resident=patron_class in {code.encode() for code in lms.resident_classes},
        active=information.first(b"BL") == b"Y",
        valid_until=min(_expiries(information), default=None),
    )
    row = replace(row, blocks=_blocks(information, row, lms))
    return LibraryReply(LibraryAnswer.YES, row, _birthday(information))


def _blocks(information: Information, row: Patron, lms: Sip2) -> frozenset[str]:
    flags = information.flags
    known = frozenset(BLOCKS[flag] for flag in flags & BLOCKS.keys())
    allowed = lms.allow_charge_denied or _is_explained(information, row)
    return known if allowed and not flags & {*lms.deny_flags} else known | {DENIED}


def meaning_of_flags(lms: Sip2, deny_blocks: Collection[str]) -> str:
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
    day = day_of(written)
    if day is not None or not re.fullmatch(rb"[0-9]{8}", written or b"") or written is None:
        return day
    first, second, year = written[:2], written[2:4], written[4:]
    days = (day_of(year + first + second), day_of(year + second + first))
    return max((day for day in days if day is not None), default=None)


def _expiries(information: Information) -> Iterator[date]:
    for name, digits in EXPIRIES.items():
        for written in filter(None, map(bytes.strip, information.fields.get(name, ()))):
            day = day_of(_WORDS.sub(b"", written))
            if day is not None:
                yield day
            elif len(_DIGIT.findall(written)) >= digits:
                why = f"its expiry in {name.decode()} can't be read, so the card may have run out"
                raise LibrarySystemError(why, spent=True)
