"""Exports that were made to break their reader: one clear line, and little is read of them."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from doorctl.cli.app import app
from doorctl.core.errors import FeedError
from doorctl.extras.mapping import FeedMap, MappedIdentifiers, Source
from doorctl.extras.mapping.reading import reader_of
from doorctl.extras.mapping.records import LONGEST_ROW, MOST_LEVELS, MOST_NAMES
from doorctl.extras.mapping.verbs import Verbs
from doorctl.sync.csv_export import SheetEndedError
from doorctl.sync.feed import read_rows
from doorctl.sync.rows import RowReader, WrittenPatron

MAP = FeedMap(
    patron_id="id",
    pincode=Verbs(default=""),
    resident=Verbs(default=True),
    tags=Verbs(path="rooms", default=""),
    identifiers=MappedIdentifiers(card="card"),
)

USER = b"<user><id>1</id><card>3000001234</card></user>"
ROW = b'{"id": 1, "card": "3000001234"}'
LINE = b"id,card\n1,3000001234\n"


class Stream(io.RawIOBase):
    """A file that begins with some bytes and goes on with others without end."""

    def __init__(self, begins: bytes, goes_on: bytes = b"") -> None:
        self._begins = io.BytesIO(begins)
        self._more = goes_on * (65_536 // max(1, len(goes_on)))
        self.given = 0

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true: back to the beginning, which is all that is needed."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Begin anew."""
        assert whence in {0, 1}
        return self._begins.tell() if whence else self._begins.seek(offset)

    def readinto(self, buffer: Any) -> int:
        """Give the next bytes."""
        with memoryview(buffer) as room:
            data = self._begins.read(len(room)) or self._more[: len(room)]
            room[: len(data)] = data
        self.given += len(data)
        return len(data)


def read(kind: str, begins: bytes, goes_on: bytes = b"", **more: str) -> tuple[list[Any], int]:
    """Return the rows of a stream, of which the last may be an error, and how much was read."""
    stream = Stream(begins, goes_on)
    records = {"json": "users", "xml": "user"}.get(kind, "")
    own = Source(kind=kind, records=records, map=MAP, **more)  # type: ignore[arg-type]
    return list(reader_of(own)(io.BufferedReader(stream))), stream.given


BOMB = (
    b'<!DOCTYPE users [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><users><user><id>&c;</id></user></users>'
)
OUTSIDE = b'<!DOCTYPE users [<!ENTITY a SYSTEM "file:///etc/hostname">]><users>&a;</users>'
DTD = b'<!DOCTYPE users SYSTEM "https://evil.example/users.dtd"><users></users>'


@pytest.mark.parametrize("written", [BOMB, OUTSIDE, DTD], ids=["bomb", "file", "address"])
def test_xml_with_a_document_type_is_refused(written: bytes) -> None:
    """No entity is made of it, no file read and no address asked: no export has need of one."""
    ((number, row),), _ = read("xml", written)

    assert number == 1
    assert "DOCTYPE" in str(row)


ENDLESS: list[tuple[str, bytes, bytes]] = [
    ("xml", b"<users>" + USER + b"<user><id>", b"1"),
    ("xml", b"<users>" + USER + b"<user>", b"<a>x</a>"),
    ("xml", b"<users>" + USER + b"<user>", b"<a>"),
    ("xml", b"<users>" + USER, b"<a>"),
    ("xml", b"<users>" + USER + b"<user ", b"x"),
    ("xml", b"<users>" + USER + b"<user ", b'a="1" '),
    ("xml", b"<users>" + USER + b"<!--", b"x"),
    ("xml", b"<users>" + USER + b"<user><id>1</id></user><user><![CDATA[", b"x"),
    ("xml", b"<users>" + USER + b"<user xmlns='urn:", b"x"),
    ("json", b'{"users": [' + ROW + b', {"id": "', b"x"),
    ("json", b'{"users": [' + ROW + b', {"id": ', b"1"),
    ("json", b'{"users": [' + ROW + b', {"id": ', b"["),
    ("json", b'{"users": [' + ROW + b', {"id": ', b'{"a":'),
    ("json", b'{"users": [' + ROW + b', {"id": [', b"1,"),
    ("json", b'{"users": [' + ROW + b', {"id": 1}', b" "),
    ("json", b'{"users": [' + ROW + b'], "', b"x"),
    ("json", b'{"users": [' + ROW + b'], "more": [', b"1,"),
    ("ndjson", ROW + b'\n{"id": "', b"x"),
    ("csv", LINE + b'2,"', b"x"),
    ("csv", LINE + b'2,"', b"x\n"),
    ("csv", LINE + b'2,"', b'\n","'),
    ("csv", LINE, b"x"),
    ("csv", LINE, b","),
    ("csv", LINE, b"\x00"),
]


@pytest.mark.parametrize(
    ("kind", "begins", "goes_on"), [each for each in ENDLESS if each[0] != "ndjson"]
)
def test_a_row_without_end_is_told_after_little_of_it(
    kind: str, begins: bytes, goes_on: bytes
) -> None:
    """The row before it was read; of the endless one no more than a row may have."""
    rows, given = read(kind, begins, goes_on)

    number, row = rows[-1]
    assert isinstance(row, SheetEndedError)
    assert number > 1
    assert str(row).partition(":")[0] == "row"
    assert [type(each) for _, each in rows[:1]] == [dict]
    assert given < 4 * LONGEST_ROW


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("xml", b"<users><user>" + 200 * b"<a>" + 200 * b"</a>" + b"</user></users>"),
        ("json", b'{"users": [{"id": ' + 200 * b"[" + 200 * b"]" + b"}]}"),
        ("json", b'{"users": [' + 200 * b'{"a":' + b"1" + 200 * b"}" + b"]}"),
        ("json", b'{"users": [{"id": ' + 5_000 * b"[" + 5_000 * b"]" + b"}]}"),
    ],
)
def test_what_is_nested_too_deep_is_refused(kind: str, written: bytes) -> None:
    """No row of a library system has as many levels, and none is followed that far."""
    ((_, row),), _ = read(kind, written)

    assert isinstance(row, SheetEndedError)
    assert f"more than {MOST_LEVELS} levels" in str(row)


def test_xml_of_ever_new_names_is_refused() -> None:
    """The parser keeps each name that it has met."""
    names = b"".join(b"<n%d/>" % number for number in range(MOST_NAMES + 100))

    rows, _ = read("xml", b"<users>" + USER + names + USER + b"</users>")

    assert f"more than {MOST_NAMES} names" in str(rows[-1][1])


def test_xml_names_may_stand_in_a_namespace() -> None:
    """Of elements and of attributes the name counts, whatever is before it."""
    written = (
        b'<x:users xmlns:x="urn:a" xmlns:y="urn:b"><x:user><y:id>1</y:id><x:card y:t="c">3000001234'
        b"</x:card></x:user></x:users>"
    )

    ((_, row),), _ = read("xml", written.replace(b'<x:card y:t="c">', b"<x:card>"))

    assert (row["patronId"], row["identifiers"][0]["identifier"]) == ("1", "3000001234")


def test_a_row_within_a_row_is_refused() -> None:
    """Which of the two is the patron, nobody can tell."""
    rows, _ = read("xml", b"<users><user><id>1</id>" + USER + b"</user></users>")

    assert "stands in another" in str(rows[-1][1])


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1" * 10_000,
        b'"\\ud800"',
        b'"\xff"',
        b"01",
        b"1.",
        b"'x'",
    ],
)
def test_json_that_is_none_is_refused(value: bytes) -> None:
    """What Python or another reader would take, and the next would not."""
    ((number, row),), _ = read("json", b'{"users": [{"id": ' + value + b"}]}")

    assert (number, type(row)) == (1, SheetEndedError)
    assert str(row).startswith(("row: no JSON", "row: no UTF-8"))


@pytest.mark.parametrize(
    "written",
    [
        b'{"users": [{"id": 1, "id": 2}]}',
        b'{"users": [{"card": {"a": 1, "a": 1}}]}',
        b'{"users": [], "users": [{"id": 1}]}',
        b'{"n": {"a": 1, "a": 2}, "users": [{"id": 1}]}',
    ],
)
def test_a_field_that_stands_twice_is_refused_wherever_it_is(written: bytes) -> None:
    """One of the two would be lost, and a second list of users too."""
    rows, _ = read("json", written)

    assert "stands in it twice" in str(rows[-1][1])


@pytest.mark.parametrize(
    "written",
    [
        b'{"users": [{"id": 1, "card": "3"}',
        b'{"users": [{"id": 1, "card": "3"}]',
        b'{"users": [{"id": 1, "card": "3"}]} {}',
        b'{"users": [{"id": 1, "card": "3"},]}',
        b'{"users": [{"id": 1, "card": "3"}], "n": 1,}',
        b'{"users": [{"id": 1, "card": "3"} {}]}',
        b'{"users": [{"id": 1, "card": "3"}] "n": 1}',
        b'{"users": [{"id": 1, "card": "3"}], "n" 1}',
        b'{"users": [{"id": 1, "card": "3"}], n: 1}',
    ],
)
def test_a_document_counts_to_its_end(written: bytes) -> None:
    """Half a document may lack half of the town, wherever it was cut."""
    rows, _ = read("json", written)

    assert isinstance(rows[-1][1], SheetEndedError)


@pytest.mark.parametrize("at", range(65_500, 65_560))
def test_json_is_the_same_wherever_it_is_cut_into_pieces(at: int) -> None:
    """A number that goes on in the next piece is one number."""
    head = b'{"users": [{"id": 1, "card": "3000001234"}], "total": '
    written = head + b" " * (at - len(head)) + b'12345, "users2": [{"id": 2}]}'

    rows, _ = read("json", written)

    assert [type(row) for _, row in rows] == [dict]


MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
def test_a_sheet_with_any_mark_is_read(encoding: str) -> None:
    """A byte order mark says what the file is written in."""
    rows, _ = read("csv", MARKS[encoding] + LINE.decode().encode(encoding))

    assert [type(row) for _, row in rows] == [dict]


@pytest.mark.parametrize("encoding", MARKS)
def test_json_with_a_mark_is_read_or_refused(encoding: str) -> None:
    """JSON is UTF-8 (RFC 8259, section 8.1); a mark before it is let pass."""
    written = b'{"users": [' + ROW + b"]}"
    ((_, row),), _ = read("json", MARKS[encoding] + written.decode().encode(encoding))

    assert isinstance(row, dict if encoding == "utf-8" else SheetEndedError)
    assert encoding == "utf-8" or "UTF-8" in str(row)


def test_a_sheet_of_two_encodings_is_refused() -> None:
    """From the first letter that is none on, nothing is used."""
    rows, _ = read("csv", LINE + "2,Åge\n".encode() + "3,Åge\n".encode("latin-1"))

    assert isinstance(rows[-1][1], SheetEndedError)


def test_a_million_columns_are_refused() -> None:
    """As one line that is too long."""
    rows, given = read("csv", b"id,card," + b",".join(b"c%d" % n for n in range(1_000_000)))

    assert [type(row) for _, row in rows] == [SheetEndedError]
    assert given < 4 * LONGEST_ROW


def deep_list(levels: int) -> bytes:
    """Return a row of the feed with a list in a list in a list."""
    return (
        b'{"patronId": 1, "identifiers": '
        + levels * b"["
        + levels * b"]"
        + b', "resident": true}\n'
    )


@pytest.mark.parametrize("levels", [50, 200, 450, 600, 900, 20_000])
def test_a_row_of_the_feed_that_is_nested_deep_is_a_wrong_row(tmp_path: Path, levels: int) -> None:
    """Bug (a second reader): some hundred lists in a list ended the run in a traceback."""
    (tmp_path / "f.ndjson").write_bytes(deep_list(levels))

    assert [row.line for row in read_rows(tmp_path / "f.ndjson", pin_length=4).wrong] == [1]


def test_half_a_letter_is_no_tag() -> None:
    """No store and no push could write it.

    Bug (a second reader): a lone surrogate in a tag passed, and sealing ended in a traceback.
    """
    ((_, row),), _ = read(
        "csv", LINE.replace(b"card\n", b"card,rooms\n")[:-1] + b",+2AA-", encoding="utf-7"
    )
    assert row["tags"] == ["\ud800"]
    assert not isinstance(RowReader(4).read(row), WrittenPatron)


def look(directory: Path, kind: str, written: bytes) -> Result:
    """Type the command over such a file."""
    root = Path(__file__).parents[2] / "config"
    example, _, _ = (root / "sync.toml").read_text(encoding="utf-8").partition("[[sync.targets]]")
    records = {"json": 'records = "users"', "xml": 'records = "user"'}.get(kind, "")
    source = f"""
[source]
kind = "{kind}"
pins = "learnt"
{records}
[source.map]
patron_id = "id"
resident = {{default = true}}
[source.map.identifiers]
card = "card"
"""
    config, export = directory / "sync.toml", directory / "export"
    config.write_text(example + source, encoding="utf-8")
    export.write_bytes(written)
    return CliRunner().invoke(app, ["sync", "look", str(export), "--config", str(config)])


@pytest.mark.parametrize(("kind", "begins", "goes_on"), ENDLESS)
def test_the_command_says_one_line_and_no_value(
    tmp_path: Path, kind: str, begins: bytes, goes_on: bytes
) -> None:
    """A place and what is wrong there; nothing of the row."""
    result = look(tmp_path, kind, begins + goes_on * (3 * LONGEST_ROW // len(goes_on)))

    if kind == "ndjson":
        assert "set aside, 1: row: longer than" in result.output
        return
    assert isinstance(result.exception, FeedError)
    assert "line" in str(result.exception)
    assert "300000" not in str(result.exception)
    assert len(str(result.exception)) < 400
