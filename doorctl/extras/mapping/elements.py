"""The rows of an XML document: elements of one name, one after another at flat memory.

Expat says each begin and end, and nothing is kept but the row. A document type is refused where it
begins, so that no entity is ever declared: neither a billion laughs nor a file of this machine
(https://docs.python.org/3/library/xml.html#xml-security).
"""

from __future__ import annotations

from typing import Any, BinaryIO, NoReturn
from xml.parsers import expat

from doorctl.extras.mapping.records import (
    LONGEST_ROW,
    MOST_LEVELS,
    MOST_NAMES,
    TOO_DEEP,
    TOO_LONG,
    UNREADABLE,
    Numbered,
)
from doorctl.sync.csv_export import SheetEndedError

PIECE = 65_536
"""Bytes that are parsed at a time."""

NO_TYPE = "file: has a DOCTYPE, which may name other files; export it without"
WITHIN = f"row: stands in another of the same name; {UNREADABLE}"
NAMES = f"row: has more than {MOST_NAMES} names with those before it; {UNREADABLE}"


def xml_records(file: BinaryIO, where: str) -> Numbered:
    """Yield each element of the name `where`, counted from 1, as an object of texts and lists.

    An element's text stands under its name, or under ``value`` beside its attributes ("@name").
    A SheetEndedError is yielded where the document is none, or holds no such element.
    """
    number, document = 0, _Document(where)
    piece = file.read(PIECE)
    while True:
        for row in document.rows(piece):
            number += 1
            yield number, row
            if isinstance(row, SheetEndedError):
                return
        if not piece:
            break
        piece = file.read(PIECE)
    if not number:
        yield 1, SheetEndedError(f"file: has no element {where}; see source.records")


class _Document:
    """What is open in a document at the end of what was parsed of it."""

    def __init__(self, where: str) -> None:
        self._done: list[object] = []
        self._bytes = 0
        self._names: dict[str, str] = {}
        self._parser = expat.ParserCreate(namespace_separator="}", intern=self._names)
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_type
        self._build(where)

    def rows(self, piece: bytes) -> list[object]:
        """Parse on, an empty piece at the end; return the rows that end in it, or what is wrong."""
        try:
            self._bytes += len(piece)
            self._parser.Parse(piece, not piece)
            self._refuse_large()
        except SheetEndedError as ended:
            self._done.append(ended)
        except (expat.ExpatError, ValueError, LookupError):
            self._done.append(SheetEndedError(f"row: no XML; {UNREADABLE}"))
        done, self._done = self._done, []
        return done

    def _refuse_large(self) -> None:
        if self._bytes > LONGEST_ROW:
            raise SheetEndedError(TOO_LONG)
        if len(self._names) > MOST_NAMES:
            raise SheetEndedError(NAMES)

    def _build(self, where: str) -> None:
        """Have the parser build each row; by closures, for it calls them twice for each value."""
        # None for one that has neither attributes nor, as yet, elements: most are texts.
        within: list[dict[str, Any] | None] = []
        texts: list[str] = []
        local = _Local()

        def begin(tag: str, attributes: dict[str, str]) -> None:
            texts.clear()
            if local[tag] == where:
                if within:
                    raise SheetEndedError(WITHIN)
            elif not within:
                return
            if len(within) == MOST_LEVELS:
                raise SheetEndedError(TOO_DEEP)
            within.append(_attributes(attributes, local) if attributes else None)

        def end(tag: str) -> None:
            if not within:
                return
            held, text = within.pop(), "".join(texts).strip()
            texts.clear()
            value = _with_text(held, text) if held else text
            if not within:
                self._done.append(value)
                self._bytes = 0
            elif row := within[-1]:
                _put(row, local[tag], value)
            else:
                within[-1] = {local[tag]: value}

        self._parser.StartElementHandler = begin
        self._parser.EndElementHandler = end
        self._parser.CharacterDataHandler = texts.append


def _with_text(value: dict[str, Any], text: str) -> dict[str, Any]:
    if all(name[0] == "@" for name in value):
        value["value"] = text
    return value


def _put(row: dict[str, Any], name: str, value: Any) -> None:
    if name not in row:
        row[name] = value
    elif isinstance(row[name], list):
        row[name].append(value)
    else:
        row[name] = [row[name], value]


def _attributes(written: dict[str, str], local: _Local) -> dict[str, str]:
    return {f"@{local[name]}": value for name, value in written.items()}


class _Local(dict[str, str]):
    """Names as they are written -> without their namespace."""

    def __missing__(self, tag: str) -> str:
        self[tag] = name = tag.rpartition("}")[2]
        return name


def _refuse_type(*_declared: object) -> NoReturn:
    raise SheetEndedError(NO_TYPE)
