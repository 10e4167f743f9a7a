"""From decoded JSON to a row, or to everything that is wrong with it.

No text made here quotes a value of a row: a wrong row often holds a right PIN or CPR number.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, get_args

import msgspec
from msgspec import Meta

from doorctl.masked import Pin
from doorctl.sync.ages import is_birthday
from doorctl.sync.written import (
    Birthday,
    Written,
    WrittenBlock,
    WrittenHold,
    WrittenIdentifier,
    WrittenPatron,
)

SHORTEST_PIN = 4
"""A PIN of fewer digits is a slip of the export, such as a lost leading zero."""

FIELD_NAME = re.compile(r"[a-z][A-Za-z_]{0,39}")
"""A name that can be quoted: no number hides in it."""

FOUND = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "another text",
    type(None): "null",
}

LISTS: dict[str, type[Written]] = {"identifiers": WrittenIdentifier, "blockStatus": WrittenBlock}
OBJECTS: dict[str, type[Written]] = {"onHold": WrittenHold}


class RowReader:
    """Turns decoded JSON into rows. Thread-safe.

    Args:
        pin_length: the most digits that a PIN can have at this door.
    """

    def __init__(self, pin_length: int) -> None:
        self._shortest = min(SHORTEST_PIN, pin_length)
        self._longest = pin_length

    def read(self, value: object) -> WrittenPatron | list[str]:
        """Return the row, or everything that is wrong with it; never both, never neither."""
        try:
            return msgspec.convert(value, WrittenPatron, dec_hook=self._decode)
        except msgspec.ValidationError:
            return list(self._explain(value, WrittenPatron, ""))

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

    def _refusal(self, value: object, wanted: Any) -> str | None:
        """Return None if `value` fits, else our own sentence on it, which may be empty."""
        try:
            msgspec.convert(value, wanted, dec_hook=self._decode)
        except msgspec.ValidationError as refused:
            return str(refused.__cause__ or "")
        return None

    def _explain(self, value: object, part: type[Written], path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{_name(path)}: found {_found(value)}; give an object"
            return
        problems = [*_unknown(value, part, path), *self._fields(value, part, path)]
        if not problems and (sentence := self._refusal(value, part)):
            problems.append(path + sentence)
        yield from problems

    def _fields(self, value: dict[str, Any], part: type[Written], path: str) -> Iterator[str]:
        for field in msgspec.structs.fields(part):
            where = path + field.encode_name
            if field.encode_name in value:
                yield from self._field(value[field.encode_name], field.type, where)
            elif field.required:
                yield f"{where}: missing; {self._hint(field.type)}"

    def _field(self, value: object, wanted: Any, where: str) -> Iterator[str]:
        if self._refusal(value, wanted) is None:
            return
        if where in OBJECTS and isinstance(value, dict):
            yield from self._explain(value, OBJECTS[where], f"{where}.")
        elif where in LISTS and isinstance(value, list):
            for place, item in enumerate(value):
                yield from self._explain(item, LISTS[where], f"{where}[{place}].")
        else:
            yield f"{where}: found {_found(value)}; {self._hint(wanted)}"

    def _hint(self, wanted: Any) -> str:
        few, many = self._shortest, self._longest
        digits = str(many) if few == many else f"{few} to {many}"
        descriptions = (meta.description for meta in get_args(wanted) if isinstance(meta, Meta))
        return (next(descriptions) or "").replace("{pin_digits}", digits)


def _name(path: str) -> str:
    return path.rstrip(".") or "row"


def _found(value: object) -> str:
    return FOUND[type(value)]


def _unknown(value: dict[str, Any], part: type[Written], path: str) -> Iterator[str]:
    known = [field.encode_name for field in msgspec.structs.fields(part)]
    for key in value:
        if key in known:
            continue
        if not FIELD_NAME.fullmatch(key):
            yield f"{_name(path)}: unknown field whose name can't be shown; leave it out"
        elif close := difflib.get_close_matches(key, known, n=1):
            yield f'{path}{key}: unknown field; did you mean "{close[0]}"'
        else:
            yield f"{path}{key}: unknown field; leave it out"
