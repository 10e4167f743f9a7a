"""A row of the feed as it is written: FBS's own names, and the values that each may have.

Strict, and no text made here quotes a value of a row.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct

from doorctl.cards.numbers import is_card_number, is_cpr
from doorctl.core.masked import Pin
from doorctl.core.ports import Unshown

EARLIEST_BIRTH = date(1850, 1, 1)
"""Exports write an unknown date as 0001-01-01; read as a birthday it would let every child in."""

LATEST_BIRTH = date(2199, 12, 31)
"""Far from the calendar's end, so that an age limit can always be added."""


def is_birthday(day: date) -> bool:
    """Tell whether a person now alive can have been born on a day."""
    return EARLIEST_BIRTH <= day <= LATEST_BIRTH


def old_enough_from(birthday: date, minimum_age: int) -> date:
    """Return the day on which a person turns `minimum_age` years.

    Born on 29 February: 1 March in a year without that day, since a year of age is complete only
    when its last day is over.
    """
    year = birthday.year + minimum_age
    try:
        return date(year, birthday.month, birthday.day)
    except ValueError:
        return date(year, 3, 1)


CPR_WRITTEN = re.compile(r"[0-9]{6}[- ]?[0-9]{4}")


class Birthday(date):
    """A date on which a person now alive can have been born."""


Day = Annotated[date | None, Meta(description="give a date as YYYY-MM-DD, or null")]
Flag = Annotated[bool, Meta(description="give true or false")]
BlockCode = Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]
Tag = Annotated[str, Meta(pattern=r"\A(?! )[^\x00-\x1f\x7f\ud800-\udfff]{1,64}(?<! )\Z")]
"""No half of a letter, which no UTF-8 can be made of."""


MOST_CODES = 128
"""Blocks or tags of a patron: more than anybody has, and few enough for the line of a push."""


class Written(Unshown, frozen=True, rename="camel"):
    """The base of all parts of a feed's row."""


class WrittenIdentifier(Written, frozen=True):
    """A number of a patron; `description` is not used."""

    identifier: Annotated[str, Meta(description="give the number as text")]
    identifier_type: Annotated[str, Meta(description='give "CPR", "CARD" or another type')]
    status: Annotated[str, Meta(description='give "ACTIVE" or another status')]
    expiry_date: Day = None
    description: Annotated[str | None, Meta(description="give a text or leave it out")] = None

    def __post_init__(self) -> None:
        if self.identifier_type == "CPR" and not (
            CPR_WRITTEN.fullmatch(self.identifier) and is_cpr(self.number)
        ):
            raise ValueError("identifier: no CPR number; give ten digits that start with a date")
        if self.identifier_type == "CARD" and not is_card_number(self.identifier):
            raise ValueError("identifier: no card number; give 4 to 24 letters or digits")

    @property
    def number(self) -> str:
        """The number as the reader sends it: a CPR number without its hyphen or blank."""
        is_cpr_type = self.identifier_type == "CPR"
        return re.sub("[- ]", "", self.identifier) if is_cpr_type else self.identifier


class WrittenBlock(Written, frozen=True):
    """A block; only the code is used. A code with a stray blank would match none that is denied."""

    blocked_reason: Annotated[BlockCode, Meta(description="give the code without blanks")]
    blocked_since: str | None = None
    message: Annotated[str | None, Meta(description="give a text or leave it out")] = None


class WrittenHold(Written, frozen=True):
    """A period on hold; a missing end is open."""

    starts: Day = msgspec.field(default=None, name="from")
    ends: Day = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        if self.starts is not None and self.ends is not None and self.ends < self.starts:
            raise ValueError("to: lies before from; give it the later date")


class WrittenPatron(Written, frozen=True):
    """A row; `preferred_pickup_branch` is not used.

    Without a `pincode`, `pincode_changed` is the day from which on a PIN check that a door learnt
    before must be learnt again; absent or null says that nothing is known of it.
    """

    patron_id: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")],
        Meta(description="give the library system's number, or a text of 1 to 64 visible letters"),
    ]
    identifiers: Annotated[list[WrittenIdentifier], Meta(description="give a list, [] for none")]
    resident: Flag
    pincode: Annotated[Pin | None, Meta(description="give {pin_digits} digits as text")] = None
    birthday: Annotated[
        Birthday | None, Meta(description="give a date from 1850 to 2199, or null if unknown")
    ] = None
    block_status: Annotated[
        Annotated[list[WrittenBlock], Meta(max_length=MOST_CODES)] | None,
        Meta(description="give a list of blocks, or null"),
    ] = None
    on_hold: Annotated[
        WrittenHold | None, Meta(description='give an object with "from" and "to", or null')
    ] = None
    tags: Annotated[
        list[Tag],
        Meta(
            max_length=MOST_CODES,
            description="give a list of texts of 1 to 64 letters without outer blanks",
        ),
    ] = msgspec.field(default_factory=list)
    pincode_changed: Day = None
    preferred_pickup_branch: Annotated[
        str | None, Meta(description="give the branch's ISIL or leave it out")
    ] = None

    def __post_init__(self) -> None:
        ref = str(self.patron_id)
        numbers = {identifier.number for identifier in self.identifiers}
        # The reference is stored in the clear, and a number may have lost its leading zero.
        if ref in numbers or ref.zfill(10) in numbers:
            raise ValueError("patronId: is also an identifier; give a number that opens no door")


SHORTEST_PIN = 4
"""A PIN of fewer digits is a slip of the export, such as a lost leading zero."""

FIELD_NAME = re.compile(r"[a-z][A-Za-z_]{0,39}")
"""A name that can be quoted: no number hides in it."""

JSON_KINDS = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "another text",
    type(None): "null",
}

MAY_BE_EMPTY = frozenset({"birthday", "expiryDate", "pincodeChanged", "to"})
HOLD_DAYS = frozenset({"identifiers", "onHold"})
"""Fields of a row that hold more of its days."""

LISTS: dict[str, type[Written]] = {"identifiers": WrittenIdentifier, "blockStatus": WrittenBlock}
OBJECTS: dict[str, type[Written]] = {"onHold": WrittenHold}


class RowReader:
    """Turn decoded JSON into rows. Thread-safe.

    `pin_length` is the most digits of a PIN at this door.
    """

    def __init__(self, pin_length: int) -> None:
        self._shortest = min(SHORTEST_PIN, pin_length)
        self._longest = pin_length

    def read(self, value: object) -> WrittenPatron | list[str]:
        """Return either the row or everything that is wrong with it."""
        try:
            return msgspec.convert(value, WrittenPatron, dec_hook=self._decode)
        except msgspec.ValidationError:
            pass
        try:
            meant = _without_empty_days(value)
            return list(self.explain(value, WrittenPatron)) if meant == value else self.read(meant)
        except RecursionError:
            return ["row: has lists in lists that no row has; give it as documented"]

    def _decode(self, wanted: type, value: Any) -> object:
        if wanted is Pin:
            return self._pin(value)
        born = msgspec.convert(value, date)
        if not is_birthday(born):
            raise ValueError
        return Birthday(born.year, born.month, born.day)

    def _pin(self, value: Any) -> Pin:
        fits = isinstance(value, str) and self._shortest <= len(value) <= self._longest
        if not (fits and value.isascii() and value.isdigit()):
            raise ValueError
        return Pin(value)

    def explain(self, value: object, part: type[Struct], path: str = "") -> Iterator[str]:
        """Yield all that is wrong with decoded JSON that is not a `part`; quotes no value."""
        if not isinstance(value, dict):
            yield f"{_name(path)}: found {JSON_KINDS[type(value)]}; give an object"
            return
        problems = [*_unknown(value, part, path), *self._fields(value, part, path)]
        if not problems and (sentence := refusal_of(value, part, self._decode)):
            problems.append(path + sentence)
        yield from problems

    def _fields(self, value: dict[str, Any], part: type[Struct], path: str) -> Iterator[str]:
        for field in msgspec.structs.fields(part):
            where = path + field.encode_name
            if field.encode_name in value:
                yield from self._field(value[field.encode_name], field.type, where)
            elif field.required:
                yield f"{where}: missing; {self._hint(field.type)}"

    def _field(self, value: object, wanted: Any, where: str) -> Iterator[str]:
        if refusal_of(value, wanted, self._decode) is None:
            return
        if where in OBJECTS and isinstance(value, dict):
            yield from self.explain(value, OBJECTS[where], f"{where}.")
        elif where in LISTS and isinstance(value, list):
            for place, item in enumerate(value):
                yield from self.explain(item, LISTS[where], f"{where}[{place}].")
        else:
            yield f"{where}: found {JSON_KINDS[type(value)]}; {self._hint(wanted)}"

    def _hint(self, wanted: Any) -> str:
        few, many = self._shortest, self._longest
        digits = str(many) if few == many else f"{few} to {many}"
        metas = (meta for meta in get_args(wanted) if isinstance(meta, Meta))
        hint = next((meta.description for meta in metas if meta.description), "not as it should be")
        return hint.replace("{pin_digits}", digits)


def _without_empty_days(value: object) -> object:
    """Return a row without days that are an empty text, which some exports write for none.

    A hold's beginning stays: without one the hold would always have begun.
    """
    if isinstance(value, list):
        return [_without_empty_days(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_empty_days(item) if name in HOLD_DAYS else item
        for name, item in value.items()
        if not (item == "" and name in MAY_BE_EMPTY)
    }


def _name(path: str) -> str:
    return path.rstrip(".") or "row"


def _unknown(value: dict[str, Any], part: type[Struct], path: str) -> Iterator[str]:
    known = [field.encode_name for field in msgspec.structs.fields(part)]
    for key in value:
        if key in known:
            continue
        if not FIELD_NAME.fullmatch(key):
            yield f"{_name(path)}: unknown field whose name can't be shown; leave it out"
        elif close := difflib.get_close_matches(key, known, n=1):
            yield f'{path}{key}: unknown field; did you mean "{close[0]}"?'
        else:
            yield f"{path}{key}: unknown field; leave it out"


def refusal_of(value: object, wanted: Any, decode: Callable[[type, Any], object]) -> str | None:
    """Return None if `value` fits, else our own sentence on it, which may be empty."""
    try:
        msgspec.convert(value, wanted, dec_hook=decode)
    except msgspec.ValidationError as refused:
        return str(refused.__cause__ or "")
    return None
