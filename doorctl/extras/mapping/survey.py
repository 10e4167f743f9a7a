"""What an export holds before there is a map: the names in it, and the words of a category.

The person who sets it up sees names, and words that many patrons share. No value of a single
patron is shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doorctl.core.errors import FeedError, Problem
from doorctl.core.identity import owner_of
from doorctl.extras.mapping import Source
from doorctl.extras.mapping.reading import records
from doorctl.extras.mapping.records import NoSheetError
from doorctl.extras.mapping.systems import Draft, Entry
from doorctl.extras.mapping.translation import Field, Record, WrongFieldError
from doorctl.extras.mapping.verbs import ABSENT, day_of, found
from doorctl.sync.csv_export import SheetEndedError

FEWEST = 3
"""A word that fewer patrons have is not shown: it may be one person's."""

MOST_WORDS = 40
"""Where a column has more, its words are no categories."""

MOST_NAMES = 60

NAMED_ROWS = 1000
"""Rows in which names are looked for."""

PERSONAL = re.compile(
    r"name|navn|mail|phone|telefon|mobil|addr|street|gade|city|town|zip|post|birth|born"
    r"|født|dob|cpr|ssn|pin|passw|barcode|card$|cardn|kort$|note|bem|sex|gender|køn",
    re.IGNORECASE,
)
"""Names of fields whose words are about a person, however many share them."""

_NO_WORD = re.compile(r"@|\d{4}-\d\d-\d\d|(?<![0-9a-f-])\d{6,}")
"""In what is no category: a mail address, a day, a number of somebody. A UUID is none of these."""

_BEGINS_BYTES = 65536
MOST_LISTS = 9

_NO_NAME = re.compile(r"\d{4}|@")

FORMATS = ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y%m%d", "%d%m%Y")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a field that may be `shown`, with their counts; `hidden` are all others."""

    shown: dict[str, int]
    hidden: dict[str, int]

    @property
    def all(self) -> dict[str, int]:
        """Every word, with its count."""
        return self.shown | self.hidden

    def without(self, words: Collection[str]) -> Words:
        """Return these without some."""
        parts = (self.shown, self.hidden)
        return Words(*({w: n for w, n in part.items() if w not in words} for part in parts))


class LettersError(FeedError):
    """A sheet can't be read in the encoding that the draft says."""


def rows(draft: Draft, file: Path) -> Iterator[Record]:
    """Yield the rows that can be read. FeedError: the file can't, or not to its end."""
    try:
        with owner_of(file.parent):
            opened = file.open("rb")
        with opened as content:
            for number, row in records(content, Source(**draft.head), {}):
                if isinstance(row, SheetEndedError):
                    kind = LettersError if isinstance(row, NoSheetError) else FeedError
                    raise kind(file.name, [Problem(f"line {number}", str(row))])
                if isinstance(row, dict):
                    yield row
    except OSError as error:
        what = f"can't be read ({error.strerror}); check the path and its permissions"
        raise FeedError(file.name, [Problem("file", what)]) from error


def unread(draft: Draft, file: Path) -> str:
    """Return why a sheet can't be read in its encoding; empty where it can. FeedError as `rows`."""
    try:
        for _ in rows(draft, file):
            pass
    except LettersError as error:
        return str(error)
    return ""


def is_utf8(file: Path) -> bool:
    """Tell whether a file has letters beyond ASCII, all of them in UTF-8."""
    is_ascii = True
    try:
        with owner_of(file.parent), file.open(encoding="utf-8") as text:
            for line in text:
                is_ascii = is_ascii and line.isascii()
    except (OSError, UnicodeError):
        return False
    return not is_ascii


def names(draft: Draft, file: Path) -> list[str]:
    """Return the paths of the values in the first rows; FeedError: a sheet has none."""
    known: dict[str, None] = {}
    for number, row in enumerate(rows(draft, file)):
        found_here = row.keys() if draft.is_flat else _paths(row)
        known |= dict.fromkeys(map(str, found_here))
        if draft.is_flat and any(map(_NO_NAME.search, known)):
            what = "the first line names no columns; export it with their names"
            raise FeedError(file.name, [Problem("line 1", what)])
        if draft.is_flat or number > NAMED_ROWS:
            break
    return [*known][:MOST_NAMES]


def _paths(value: Any, above: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not re.search(r"[.\[\]]", name):
                yield from _paths(inner, f"{above}.{name}" if above else name)
    elif isinstance(value, list):
        for item in value[:20]:
            yield from _paths(item, f"{above}[]")
    elif above:
        yield above


def lists(file: Path, kind: str) -> list[str]:
    """Return what lists of JSON, or elements of XML, the file's beginning names, in their order.

    A JSON document that is a list itself is "". It is a guess that somebody confirms.
    """
    try:
        with owner_of(file.parent), file.open("rb") as content:
            begins = content.read(_BEGINS_BYTES).decode(errors="replace").lstrip("\ufeff \r\n\t")
    except OSError:
        return []
    if kind == "json" and begins.startswith("["):
        return [""]
    tags = re.findall(r"<(?:[\w.-]+:)?([\w.-]+)[\s>/]", begins)[1:]
    found = re.findall(r'"([^"\\]+)"\s*:\s*\[\s*\{', begins) if kind == "json" else tags
    return list(dict.fromkeys(found))[:MOST_LISTS]


def lacking(draft: Draft, file: Path) -> list[tuple[str, Entry]]:
    """Return the entries whose path no row has, but for those that a row may leave out."""
    open_ones = [(leaf, each, draft.field(leaf, each)) for leaf, each in draft.placed()]
    for row in rows(draft, file):
        open_ones = [each for each in open_ones if found(row, each[2].steps) is ABSENT]
        if not open_ones:
            break
    return [
        (leaf, entry)
        for leaf, entry, _ in open_ones
        if "default" not in entry or leaf.startswith("identifiers.")
    ]


def _texts(field: Field, row: Record) -> list[str]:
    with suppress(WrongFieldError):
        return field.texts(row)
    return []


def category_words(draft: Draft, file: Path, leaf: str, entry: Entry) -> Words:
    """Return the words of a field; none of it is shown if it is about a person."""
    field = draft.field(leaf, entry)
    counts: Counter[str] = Counter()
    for row in rows(draft, file):
        for text in _texts(field, row) or [""]:
            counts[text] += 1
    private = {
        each["from"]
        for other, each in draft.placed()
        if other not in {"resident", "active", "blocks", "tags"}
    }
    is_private = PERSONAL.search(entry["from"]) or entry["from"] in private
    shown = {
        word: count
        for word, count in counts.most_common()
        if not is_private
        and len(counts) <= MOST_WORDS
        and count >= FEWEST
        and not _NO_WORD.search(word)
    }
    return Words(shown, {word: count for word, count in counts.items() if word not in shown})


def formats(draft: Draft, file: Path, leaf: str, entry: Entry) -> Sequence[str] | None:
    """Return how days may be written, the likeliest first; None where the map reads them."""
    field = draft.field(leaf, entry)
    wanted = field.verbs.format
    now = (wanted,) if isinstance(wanted, str) and wanted else tuple(wanted)
    many = unread = 0
    read: Counter[str] = Counter()
    for row in rows(draft, file):
        for text in _texts(field, row):
            many += 1
            unread += day_of(text, now) is None
            read.update(each for each in FORMATS if day_of(text, (each,)) is not None)
    if unread * 20 <= many:
        return None
    return [each for each, count in read.most_common() if count * 20 >= many * 19]
