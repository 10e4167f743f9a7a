"""Exports of other systems: each kind of file, read by a map."""

from __future__ import annotations

import io

from doorctl.extras.mapping import FeedMap, MappedIdentifiers, Source
from doorctl.extras.mapping.reading import reader_of
from doorctl.extras.mapping.verbs import Verbs
from doorctl.sync.csv_export import SheetEndedError
from doorctl.sync.rows import RowReader, WrittenPatron
from tests.fuzz.texts import PERSONAL

KINDS = ("ndjson", "json", "csv", "xml")

MAP = FeedMap(
    patron_id="id",
    pincode=Verbs(path="pin", default=""),
    birthday=Verbs(path="born", format=("%d/%m/%Y", "%Y%m%d"), default=""),
    resident=Verbs(path="kind", among=("RESIDENT",), default=""),
    blocks=(Verbs(path="stop[].code", default=""), Verbs(path="lost", present="L", default="")),
    tags=Verbs(path="rooms", split="|", default=""),
    identifiers=MappedIdentifiers(card=Verbs(path="card[type=C].value", default="")),
)
FLAT = FeedMap(
    patron_id="id",
    pincode=Verbs(path="pin", default=""),
    resident=Verbs(path="kind", among=("RESIDENT",)),
    tags=Verbs(path="rooms", split="|", default=""),
    identifiers=MappedIdentifiers(card="card"),
)

ROW = (
    b'{"id": 1, "card": [{"type": "C", "value": "3000001234"}], "pin": "4711", "born": "31/01/1970"'
    b', "kind": "RESIDENT", "stop": [{"code": "D"}], "lost": false, "rooms": "a|b"}'
)
XML = (
    b'<?xml version="1.0"?><users><user><id>1</id><card><type>C</type><value>3000001234</value>'
    b'</card><pin a="b">4711</pin><stop><code>D</code></stop></user></users>'
)
SEEDS = (
    b"\x00" + ROW + b"\n" + ROW,
    b'\x01{"total": 12, "users": [' + ROW + b", " + ROW + b"]}",
    b"\x02id;card;pin;kind;rooms\n1;3000001234;4711;RESIDENT;a|b\n",
    b"\x03" + XML,
)
WORDS = (
    b"\n", b"{", b"}", b"[", b"]", b'"', b":", b",", b";", b"null", b"1e999", b"NaN", b'"\\ud800"',
    b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"[" * 80, b"<a>" * 80, b"9" * 40, b"<user>",
    b"</user>", b"<![CDATA[", b"<!DOCTYPE a [", b"<!ENTITY b 'c'>", b"&b;", b"&#0;", b"<?xml ",
    b" encoding='utf-16'", b" xmlns='x'", b"users", b"id", b'="', b"3.0E+09",
)  # fmt: skip
LONGEST = 8_000


def check(data: bytes) -> None:
    """Check one export, its kind by the first byte: rows or what is wrong, the same in any pieces.

    What is wrong is told without a value; after what ends a file nothing comes.
    """
    kind = KINDS[data[0] % len(KINDS)] if data else "csv"
    found = _read(kind, data[1:])
    assert [type(row) for _, row in found].count(SheetEndedError) <= 1
    for number, row in found:
        assert number > 0
        if isinstance(row, ValueError):
            assert not PERSONAL.search(str(row)), "a problem quotes a number"
            continue
        read = RowReader(4).read(row)
        if isinstance(read, WrittenPatron):
            repr(read).encode()
        else:
            assert read
            assert not PERSONAL.search("".join(read)), "a problem quotes a number"
    assert _shown(found) == _shown(_read(kind, data[1:], piece=7)), "in pieces, it is another one"


def _read(kind: str, data: bytes, piece: int | None = None) -> list[tuple[int, object]]:
    records = {"json": "users", "xml": "user"}.get(kind, "")
    own = FLAT if kind == "csv" else MAP
    source = Source(kind=kind, records=records, map=own)  # type: ignore[arg-type]
    return list(reader_of(source)(io.BytesIO(data) if piece is None else _Pieces(data, piece)))


def _shown(found: list[tuple[int, object]]) -> list[str]:
    """Return all rows; of a file that is refused, which may have two faults, that alone."""
    if isinstance(found[-1][1] if found else None, SheetEndedError):
        return ["refused"]
    return [f"{number} {row}" for number, row in found]


class _Pieces(io.BytesIO):
    """A file that gives little at a time."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__(data)
        self._piece = piece

    def read(self, size: int | None = -1) -> bytes:
        """Return a piece."""
        return super().read(self._piece if size is None or size < 0 else min(size, self._piece))
