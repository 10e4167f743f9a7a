"""A row of a library system, turned into a row of the feed by a map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from string import whitespace
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import UNSET

from doorctl.extras.mapping.verbs import (
    ABSENT,
    PARTIAL,
    Step,
    Verbs,
    as_text,
    day_of,
    found,
    says_no,
    steps_of,
)
from doorctl.sync.feed import UnreadRowError

ValueT = TypeVar("ValueT")

Record = dict[str | None, Any]
"""A row as the library system writes it: texts, numbers, lists and objects by name, never None."""


class WrongFieldError(UnreadRowError):
    """A row is wrong in a field; says which and quotes no value."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a map, ready to be read.

    `name` is its key in the configuration; `says_yes` are the texts that do, in lower case; `plain`
    is the path where that is one name, and `parts` tells that a verb takes its text apart.
    """

    name: str
    verbs: Verbs
    steps: tuple[Step, ...]
    says_yes: frozenset[str] = frozenset()
    plain: str | None = None
    parts: bool = False

    def wrong(self, what: str) -> WrongFieldError:
        """Return the error about this field."""
        return WrongFieldError(f"{self.name}: {what}")

    def value(self, row: Record) -> Any:
        """Return what the row has: a value, a list of values, or BLANK.

        WrongFieldError: it has no such field, and no default says what that means; or an item of a
        list has none, which is never right.
        """
        value = found(row, self.steps) if self.steps else ABSENT
        if value is PARTIAL:
            raise self.wrong("an item of the list lacks a field that the path names")
        if value is not ABSENT:
            return value
        if self.verbs.default is UNSET:
            raise self.wrong("the row has no such field; mend the path, or give a default")
        return self.verbs.default

    def texts(self, row: Record) -> list[str]:
        """Return the texts of the row's value, those that are not blank, by strip, split, first."""
        value = self.value(row)
        return self.texts_in(value if isinstance(value, list) else [value])

    def texts_in(self, values: Iterable[Any]) -> list[str]:
        """Return the texts of values that stand there, as :meth:`texts` does of a row's."""
        texts = [text for value in values for text in self._parts(value) if text]
        return texts[:1] if self.verbs.first else texts

    def only(self, texts: list[str]) -> str:
        """Return the only text, empty for none. WrongFieldError: there are several."""
        if len(texts) > 1:
            raise self.wrong("holds several values; say which with first, or by its path")
        return texts[0] if texts else ""

    def _parts(self, value: Any) -> Iterator[str]:
        text = as_text(value)
        if text is None:
            raise self.wrong("holds a value of another kind; give the path of a text")
        for part in text.split(self.verbs.split) if self.verbs.split else [text]:
            yield part.strip(self.verbs.strip + whitespace)


def day(field: Field, texts: list[str]) -> str | None:
    """Return a day as the feed writes it; None for none."""
    text = field.only(texts)
    if not text:
        return None
    read = day_of(text, field.verbs.formats)
    if read is None:
        raise field.wrong("holds no day of this format; see its format")
    return read.isoformat()


def flag(field: Field, texts: list[str]) -> bool:
    """Return true or false."""
    text, verbs = field.only(texts), field.verbs
    if verbs.among:
        return text in verbs.among
    if text.lower() in field.says_yes:
        return True
    if says_no(text):
        return False
    raise field.wrong("holds a text that says neither yes nor no; name those that say yes")


def words(field: Field, texts: list[str]) -> list[str]:
    """Return the codes or tags that the value names; of `present` its one code, or none."""
    code = field.verbs.present
    if code:
        return [] if all(map(says_no, texts)) else [code]
    return texts


Read = Callable[[Record], ValueT]
"""From a row to what the feed has of it; raises WrongFieldError."""

DIFFERENT_TEXTS = 32_768
"""Most texts of a field of which the reading is kept: the days on which all now alive were born."""

LONGEST_KEPT = 40
"""Letters of such a text: a day with its time has 32, and a note of staff's is none."""


def read_by(of_texts: Callable[[Field, list[str]], ValueT], field: Field) -> Read[ValueT]:
    """Return how a field is read whose texts are few: what a text means is found out once.

    A town has millions of rows, and of those thousands of days and some dozen categories.
    """
    plain = field.plain

    @lru_cache(DIFFERENT_TEXTS)
    def of_text(text: str) -> ValueT:
        return of_texts(field, field.texts_in([text]))

    def read(row: Record) -> ValueT:
        value = row.get(plain)
        if type(value) is str and len(value) <= LONGEST_KEPT:
            return of_text(value)
        return of_texts(field, field.texts(row))

    return read


def text_of(field: Field) -> Read[str]:
    """Return how the only text of a field is read, of which each patron has another."""
    plain = None if field.parts else field.plain

    def read(row: Record) -> str:
        value = row.get(plain)
        return value.strip() if type(value) is str else field.only(field.texts(row))

    return read


def pin_of(field: Field) -> Read[str | None]:
    """Return how a PIN is read, as it is written; None for none."""
    text = text_of(field)
    return lambda row: text(row) or None


def texts_of(field: Field) -> Read[list[str]]:
    """Return how texts are read, each once, of which each patron has others."""
    plain = None if field.parts else field.plain

    def read(row: Record) -> list[str]:
        value = row.get(plain)
        if type(value) is not str:
            return [*dict.fromkeys(field.texts(row))]
        text = value.strip()
        return [text] if text else []

    return read


def codes_of(field: Field) -> Read[list[str]]:
    """Return how codes of blocks are read. The WrongFieldError: one of a list has no code."""
    read = read_by(words, field)
    if field.verbs.present:
        return read

    def codes(row: Record) -> list[str]:
        if type(row.get(field.plain)) is not str:
            value = field.value(row)
            if isinstance(value, list) and not all(map(as_text, value)):
                raise field.wrong("names a block without a code")
        return read(row)

    return codes


class Translation:
    """A map, made ready; thread-safe.

    `singles`: by their names in the configuration, and `lists` likewise, all four.
    """

    def __init__(self, singles: Mapping[str, Field], lists: Mapping[str, Sequence[Field]]) -> None:
        self.fields = (*singles.values(), *chain.from_iterable(lists.values()))
        self._whose = text_of(singles["patron_id"])
        self._readers = tuple(_readers(singles, lists))

    def translated(self, row: object) -> dict[str, Any] | WrongFieldError:
        """Return a row of the feed as JSON holds it, or what is wrong with the row of theirs.

        What can't be read never lets anybody in: the row is wrong, and set aside.
        """
        if not isinstance(row, dict):
            return WrongFieldError("row: is no object with names")
        made = EMPTY.copy()
        try:
            made["patronId"] = self._whose(row)
            for name, read in self._readers:
                made[name] = read(row)
        except WrongFieldError as error:
            return WrongFieldError(str(error), made["patronId"])
        return made


def _readers(
    singles: Mapping[str, Field], lists: Mapping[str, Sequence[Field]]
) -> Iterator[tuple[str, Read[object]]]:
    """Yield how each field of the feed is read that the map has."""
    yield "identifiers", _identifiers(singles, lists)
    for leaf, (name, reader) in READ.items():
        if (single := singles.get(leaf)) is not None:
            yield name, reader(single)
    if lists["blocks"]:
        yield "blockStatus", _blocks(lists["blocks"])
    if singles.keys() & {"on_hold", "on_hold_until"}:
        yield "onHold", _hold(singles.get("on_hold"), singles.get("on_hold_until"))
    if lists["tags"]:
        yield "tags", _tags(lists["tags"])


def _identifiers(
    singles: Mapping[str, Field], lists: Mapping[str, Sequence[Field]]
) -> Read[list[dict[str, str | None]]]:
    until = read_by(day, singles["valid_until"]) if "valid_until" in singles else None
    active = read_by(flag, singles["active"]) if "active" in singles else None
    numbers = [(kind, texts_of(field)) for kind in ("CARD", "CPR") for field in lists[kind]]

    def read(row: Record) -> list[dict[str, str | None]]:
        ends = until(row) if until else None
        status = "INACTIVE" if active and not active(row) else "ACTIVE"
        return [
            {"identifier": number, "identifierType": kind, "status": status, "expiryDate": ends}
            for kind, texts in numbers
            for number in texts(row)
        ]

    return read


def _blocks(fields: Sequence[Field]) -> Read[list[dict[str, str]]]:
    readers = [codes_of(field) for field in fields]
    return lambda row: [{"blockedReason": code} for read in readers for code in read(row)]


def _tags(fields: Sequence[Field]) -> Read[list[str]]:
    readers = [read_by(words, field) for field in fields]
    return lambda row: [*dict.fromkeys(word for read in readers for word in read(row))]


def _hold(begins: Field | None, ends: Field | None) -> Read[dict[str, str | None] | None]:
    until = read_by(day, ends) if ends else None
    if begins is not None and begins.verbs.true_if:
        held = read_by(flag, begins)
        return lambda row: {"from": None, "to": None} if held(row) else None
    since = read_by(day, begins) if begins else None

    def read(row: Record) -> dict[str, str | None] | None:
        ended, begun = until and until(row), since and since(row)
        return None if begun is None and ended is None else {"from": begun, "to": ended}

    return read


EMPTY: MappingProxyType[str, Any] = MappingProxyType(
    {
        "patronId": None,
        "identifiers": [],
        "pincode": None,
        "pincodeChanged": None,
        "resident": None,
        "birthday": None,
        "blockStatus": [],
        "onHold": None,
        "tags": [],
    }
)
"""A row of the feed of which nothing is known."""

READ: Mapping[str, tuple[str, Callable[[Field], Read[object]]]] = MappingProxyType(
    {
        "pincode": ("pincode", pin_of),
        "pincode_changed": ("pincodeChanged", partial(read_by, day)),
        "resident": ("resident", partial(read_by, flag)),
        "birthday": ("birthday", partial(read_by, day)),
    }
)
"""Single field of the map -> its name in the feed, and what makes its reader."""


def field_of(name: str, verbs: Verbs, *, is_flat: bool) -> Field:
    """Return a field ready to be read; in a flat file the whole path is a column's name."""
    says_yes = frozenset(yes.lower() for yes in verbs.true_if or ("true",))
    if not verbs.path:
        return Field(name, verbs, (), says_yes)
    steps = (Step(verbs.path),) if is_flat else steps_of(verbs.path)
    plain = verbs.path if steps == (Step(verbs.path),) else None
    parts = bool(verbs.strip or verbs.split)
    return Field(name, verbs, steps, says_yes, plain, parts)


def columns(fields: Sequence[Field]) -> dict[str, str]:
    """Return the columns that a flat file has to have: column -> the key that reads it."""
    needed = (field for field in fields if field.steps and field.verbs.default is UNSET)
    return {field.verbs.path: field.name for field in needed}
