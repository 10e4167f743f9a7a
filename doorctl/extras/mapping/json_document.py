"""The rows of a list in a JSON document, one after another at flat memory.

Python's own decoder reads each row, as it alone shows a field that stands twice; ijson keeps the
last of two, and makes ``?`` of half a letter.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NoReturn

import msgspec

from doorctl.extras.mapping.records import (
    LONGEST_ROW,
    MOST_LEVELS,
    TOO_DEEP,
    TOO_LONG,
    UNREADABLE,
    Numbered,
)
from doorctl.sync.csv_export import SheetEndedError

PIECE = 65_536
"""Bytes that are read at a time."""

_NO_BLANK = re.compile(r"[^ \t\n\r]")
_BRACKETS = re.compile(r"[\[\]{}]")

TWICE = "row: a field stands in it twice; give each once"


def json_records(file: BinaryIO, where: str) -> Numbered:
    """Yield the items of one list in a JSON document, counted from 1.

    `where` is the list's path, such as ``users``; empty for a document that is a list itself. A
    SheetEndedError is yielded where the document ends too early, or holds no such list.
    """
    number = 0
    try:
        document = _Document(file)
        for row in document.rows(where.split(".") if where else ()):
            number += 1
            yield number, row
        document.end()
    except SheetEndedError as ended:
        yield number + 1, ended
    except UnicodeError:
        yield number + 1, SheetEndedError(f"row: no UTF-8; {UNREADABLE}")
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        text = TOO_DEEP if deep else f"row: no JSON; {UNREADABLE}"
        yield number + 1, SheetEndedError(text)
    else:
        if not number:
            named = f"file: has no list at {where}; see source.records"
            yield 1, SheetEndedError(named if where else "file: is no list")


class _Document:
    """What is not yet read of a document, of which a row's worth is held.

    Each method raises ValueError or RecursionError: it is no JSON; SheetEndedError says why.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = getincrementaldecoder("utf-8-sig")().decode
        self._held = ""
        self._at = 0

    def rows(self, path: Sequence[str]) -> Iterator[Any]:
        """Yield the items of the list at a path below the value that is next; none if it has none.

        What else stands there is read and dropped.
        """
        if self._next() == "[" and not path:
            yield from self._items()
        elif self._next() == "{" and path:
            for name in self._names():
                if name == path[0]:
                    yield from self.rows(path[1:])
                else:
                    self._value()
        else:
            self._value()

    def end(self) -> None:
        """Read what stands behind the last value: nothing."""
        if self._next():
            raise ValueError

    def _items(self) -> Iterator[Any]:
        self._take("[")
        if self._next() != "]":
            yield self._value()
            while self._next() == ",":
                self._take(",")
                yield self._value()
        self._take("]")

    def _names(self) -> Iterator[str]:
        """Yield each name of an object; its value has to be read before the next."""
        names: set[str] = set()
        self._take("{")
        more = self._next() != "}"
        while more:
            if self._next() != '"':
                raise ValueError
            name = self._value()
            if name in names:
                raise SheetEndedError(TWICE)
            names.add(name)
            self._take(":")
            yield name
            if more := self._next() == ",":
                self._take(",")
        self._take("}")

    def _value(self) -> Any:
        """Return the value that is next, read to its end."""
        if not self._next():
            raise ValueError
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError:
                if not self._read_on():
                    raise
                continue
            # A number may go on in the next piece.
            if end < len(self._held) or not self._read_on():
                _check(self._held[self._at : end])
                self._at = end
                return value

    def _next(self) -> str:
        """Return the next letter that is no blank; empty at the end."""
        while (found := _NO_BLANK.search(self._held, self._at)) is None:
            if not self._read_on():
                return ""
        self._at = found.start()
        return found[0]

    def _take(self, letter: str) -> None:
        if self._next() != letter:
            raise ValueError
        self._at += 1

    def _read_on(self) -> bool:
        rest = self._held[self._at :]
        if len(rest) > LONGEST_ROW:
            raise SheetEndedError(TOO_LONG)
        piece = self._file.read(PIECE)
        self._held, self._at = rest + self._decode(piece, not piece), 0
        return bool(piece)


def _check(text: str) -> None:
    """Refuse what Python's decoder takes beyond JSON, and what has too many levels."""
    # Half a letter. It is the stricter one.
    msgspec.json.decode(text)
    if text.count("[") + text.count("{") > MOST_LEVELS:
        level = 0
        for bracket in _BRACKETS.finditer(text):
            level += (bracket[0] in "[{") - (bracket[0] in "]}")
            if level > MOST_LEVELS:
                raise SheetEndedError(TOO_DEEP)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise SheetEndedError(TWICE)
    return fields


def _refuse(_name: str) -> NoReturn:
    raise ValueError


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
