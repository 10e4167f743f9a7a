"""A row of a library system, turned into a row of the feed by a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
    formats: tuple[str, ...] = ()

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
        value = row.get(self.plain)
        if type(value) is str and not (self.parts and value):
            # Nearly all values, and a town has millions.
            text = value.strip()
            return [text] if text else []
        value, verbs = self.value(row), self.verbs
        written = value if isinstance(value, list) else [value]
        texts = [text for each in written for text in self._parts(each) if text]
        return texts[:1] if verbs.first else texts

    def text(self, row: Record) -> str:
        """Return the only text, empty for none. WrongFieldError: there are several."""
        value = row.get(self.plain)
        if type(value) is str and not self.parts:
            return value.strip()
        texts = self.texts(row)
        if len(texts) > 1:
            raise self.wrong("holds several values; say which with first, or by its path")
        return texts[0] if texts else ""

    def _parts(self, value: Any) -> Iterator[str]:
        text = as_text(value)
        if text is None:
            raise self.wrong("holds a value of another kind; give the path of a text")
        for part in text.split(self.verbs.split) if self.verbs.split else [text]:
            yield part.strip(self.verbs.strip + whitespace)


def day(field: Field, row: Record) -> str | None:
    """Return a day as the feed writes it; None for none."""
    text = field.text(row)
    if not text:
        return None
    read = day_of(text, field.formats)
    if read is None:
        raise field.wrong("holds no day of this format; see its format")
    return read.isoformat()


def pin(field: Field, row: Record) -> str | None:
    """Return a PIN as it is written; None for none."""
    return field.text(row) or None


def flag(field: Field, row: Record) -> bool:
    """Return true or false."""
    text, verbs = field.text(row), field.verbs
    if verbs.among:
        return text in verbs.among
    if text.lower() in field.says_yes:
        return True
    if says_no(text):
        return False
    raise field.wrong("holds a text that says neither yes nor no; name those that say yes")


def words(field: Field, row: Record) -> list[str]:
    """Return the codes or tags that the value names; of `present` its one code, or none."""
    texts, code = field.texts(row), field.verbs.present
    if code:
        return [] if all(map(says_no, texts)) else [code]
    return texts


def codes(field: Field, row: Record) -> list[str]:
    """Return the codes of blocks, as :func:`words`. WrongFieldError: one of a list has no code."""
    value = row.get(field.plain)
    if type(value) is str and field.verbs.present and not field.parts:
        return [] if says_no(value.strip()) else [field.verbs.present]
    if type(value) is not str:
        value = field.value(row)
    if isinstance(value, list) and not all(map(as_text, value)) and not field.verbs.present:
        raise field.wrong("names a block without a code")
    return words(field, row)


@dataclass(frozen=True, slots=True)
class Translation:
    """A map, made ready. Pure, thread-safe."""

    singles: dict[str, Field]
    lists: dict[str, tuple[Field, ...]]
    readers: tuple[tuple[str, Callable[[Record], object]], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Choose once how each field is read, and leave out those that the map has not."""
        object.__setattr__(self, "readers", tuple(self._readers()))

    @property
    def fields(self) -> Iterator[Field]:
        """All fields that it reads."""
        yield from self.singles.values()
        for several in self.lists.values():
            yield from several

    def translated(self, row: object) -> dict[str, Any] | WrongFieldError:
        """Return a row of the feed as JSON holds it, or what is wrong with the row of theirs.

        What can't be read never lets anybody in: the row is wrong, and set aside.
        """
        if not isinstance(row, dict):
            return WrongFieldError("row: is no object with names")
        whose, made = self.singles.get("patron_id"), dict[str, Any](EMPTY)
        try:
            made["patronId"] = "" if whose is None else whose.text(row)
            made["identifiers"] = self._identifiers(row)
            for name, read in self.readers:
                made[name] = read(row)
        except WrongFieldError as error:
            return WrongFieldError(str(error), made["patronId"])
        return made

    def _readers(self) -> Iterator[tuple[str, Callable[[Record], object]]]:
        for leaf, (name, read) in READ.items():
            if (single := self.singles.get(leaf)) is not None:
                yield name, partial(read, single)
        if self.lists["blocks"]:
            yield "blockStatus", self._blocks
        if self.singles.keys() & {"on_hold", "on_hold_until"}:
            yield "onHold", self._hold
        if self.lists["tags"]:
            yield "tags", self._tags

    def _blocks(self, row: Record) -> list[dict[str, str]]:
        return [
            {"blockedReason": code} for field in self.lists["blocks"] for code in codes(field, row)
        ]

    def _tags(self, row: Record) -> list[str]:
        return [*dict.fromkeys(word for field in self.lists["tags"] for word in words(field, row))]

    def _maybe(
        self, read: Callable[[Field, Record], ValueT], name: str, row: Record
    ) -> ValueT | None:
        field = self.singles.get(name)
        return None if field is None else read(field, row)

    def _hold(self, row: Record) -> dict[str, str | None] | None:
        begins, ends = self.singles.get("on_hold"), self._maybe(day, "on_hold_until", row)
        if begins is None:
            return None if ends is None else {"from": None, "to": ends}
        if begins.verbs.true_if:
            return {"from": None, "to": None} if flag(begins, row) else None
        begun = day(begins, row)
        return None if begun is None and ends is None else {"from": begun, "to": ends}

    def _identifiers(self, row: Record) -> list[dict[str, str | None]]:
        until, active = self._maybe(day, "valid_until", row), self._maybe(flag, "active", row)
        status = "INACTIVE" if active is False else "ACTIVE"
        return [
            {
                "identifier": number,
                "identifierType": kind,
                "status": status,
                "expiryDate": until,
            }
            for kind in ("CARD", "CPR")
            for field in self.lists[kind]
            for number in dict.fromkeys(field.texts(row))
        ]


EMPTY: Mapping[str, Any] = MappingProxyType(
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

READ: Mapping[str, tuple[str, Callable[[Field, Record], object]]] = MappingProxyType(
    {
        "pincode": ("pincode", pin),
        "pincode_changed": ("pincodeChanged", day),
        "resident": ("resident", flag),
        "birthday": ("birthday", day),
    }
)
"""Single field of the map -> its name in the feed, and how it is read."""


def field_of(name: str, verbs: Verbs, *, is_flat: bool) -> Field:
    """Return a field ready to be read; in a flat file the whole path is a column's name."""
    says_yes = frozenset(yes.lower() for yes in verbs.true_if or ("true",))
    if not verbs.path:
        return Field(name, verbs, (), says_yes)
    steps = (Step(verbs.path),) if is_flat else steps_of(verbs.path)
    plain = verbs.path if steps == (Step(verbs.path),) else None
    parts = bool(verbs.strip or verbs.split)
    return Field(name, verbs, steps, says_yes, plain, parts, verbs.formats)


def columns(fields: Sequence[Field]) -> dict[str, str]:
    """Return the columns that a flat file has to have: column -> the key that reads it."""
    needed = (field for field in fields if field.steps and field.verbs.default is UNSET)
    return {field.verbs.path: field.name for field in needed}
