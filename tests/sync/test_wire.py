import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.sync.wire import Line, Removal, decode, encode, reread
from tests.sync.any_lines import LINES
from tests.sync.pushes import row

CPR = "0101701234"
WRITTEN: dict[str, Any] = json.loads(encode(row(1)))


@given(LINES)
def test_a_line_comes_back_as_it_was(line: Line) -> None:
    """What was encoded is decoded, with or without its line feed, and has only one such."""
    data = encode(line)

    assert decode(data) == line
    assert decode(data[:-1]) == line
    assert data.count(b"\n") == 1


@given(LINES)
def test_equal_lines_give_equal_bytes(line: Line) -> None:
    """A set's order, which differs between two runs of Python, is not in them."""
    assert encode(decode(encode(line))) == encode(line)


@given(LINES, st.booleans())
def test_a_line_that_was_checked_is_read_again_as_the_same(line: Line, foreign: bool) -> None:
    """With or without its line feed, also as another program writes it."""
    data = encode(line)
    if foreign:
        data = json.dumps(dict(reversed(json.loads(data).items()))).encode() + b"\n"

    assert reread(data) == decode(data) == line
    assert reread(data[:-1]) == line


def test_a_row_is_written_as_the_format_says() -> None:
    """Other programs write the format too, so the fields' names and forms are fixed."""
    line = row(1, "1001", blocks="SE")
    key = base64.b64encode(line.row_key).decode()
    pin = base64.b64encode(line.patron.pin_check or b"").decode()

    assert (
        encode(line)
        == (
            f'{{"key":"{key}","ref":"1001","pin":"{pin}","resident":true,"active":true,'
            '"blocks":["E","S"],"restricted":false,"enter_from":null,"valid_until":null,'
            '"hold_from":null,"hold_until":null,"tags":[],"pin_changed":null,'
            '"weak_pin":false}\n'
        ).encode()
    )
    assert encode(Removal("1001")) == b'{"remove":"1001"}\n'


def test_another_writer_may_use_blanks_escapes_and_its_own_order() -> None:
    """The same row in another form is the same row."""
    fields = dict(reversed(WRITTEN.items())) | {"tags": ["æ"]}
    line = decode(json.dumps(fields, indent=1).replace("\n", " ").encode())

    assert line == decode(json.dumps(WRITTEN | {"tags": ["æ"]}, ensure_ascii=False).encode())


def base64_of(length: int) -> str:
    """Return so many bytes as they are written."""
    return base64.b64encode(bytes(length)).decode()


KEY = "key: found .*; give the base64 of 16"
BACKWARDS = "hold_until: not on or after hold_from"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        *(({"key": key}, KEY) for key in (base64_of(15), base64_of(17), "none", None)),
        ({"ref": ""}, "ref: found [a-z ]+; give a text"),
        ({"ref": 1001}, "ref: found [a-z ]+; give a text"),
        ({"ref": "1001\n"}, "ref: found [a-z ]+; give a text"),
        ({"ref": "x" * 65}, "ref: found [a-z ]+; give a text"),
        ({"pin": "4711"}, "pin: found [a-z ]+; give the base64 of 32 bytes, or null"),
        ({"resident": 1}, "resident: found [a-z ]+; give true or false"),
        ({"resident": None}, "resident: found [a-z ]+; give true or false"),
        ({"active": "yes"}, "active: found [a-z ]+; give true or false"),
        ({"blocks": None}, "blocks: found [a-z ]+; give a list of codes"),
        ({"blocks": ["E", ""]}, "blocks: found [a-z ]+; give a list of codes"),
        ({"blocks": ["E "]}, "blocks: found [a-z ]+; give a list of codes"),
        ({"blocks": [str(n) for n in range(257)]}, "blocks: found [a-z ]+; give a list of codes"),
        ({"tags": [" a"]}, "tags: found [a-z ]+; give a list of texts"),
        ({"tags": "a"}, "tags: found [a-z ]+; give a list of texts"),
        ({"tags": [[["a"]]]}, "tags: found [a-z ]+; give a list of texts"),
        ({"valid_until": "2026-02-30"}, "valid_until: found [a-z ]+; give a date"),
        ({"valid_until": 20260230}, "valid_until: found [a-z ]+; give a date"),
        ({"enter_from": "2026-02-28T00:00:00"}, "enter_from: found [a-z ]+; give a date"),
        ({"pin_changed": "yesterday"}, "pin_changed: found [a-z ]+; give a date"),
        ({"weak_pin": None}, "weak_pin: found [a-z ]+; give true or false"),
        ({"weak_pin": 1}, "weak_pin: found [a-z ]+; give true or false"),
        ({"hold_until": "2026-01-01"}, BACKWARDS),
        ({"hold_from": "2026-01-02", "hold_until": "2026-01-01"}, BACKWARDS),
        ({"remove": "1001"}, "key: unknown field"),
        ({"name": "somebody"}, "name: unknown field; leave it out"),
    ],
)
def test_a_field_that_is_wrong_is_named(change: dict[str, object], problem: str) -> None:
    """The text says which field and what would be right."""
    with pytest.raises(ValueError, match=problem):
        decode(json.dumps(WRITTEN | change).encode())


@pytest.mark.parametrize("name", list(WRITTEN))
def test_every_field_stands_in_every_row(name: str) -> None:
    """A field that is left out is not guessed: it could be a block."""
    fields = {key: value for key, value in WRITTEN.items() if key != name}

    with pytest.raises(ValueError, match=f"{name}: missing"):
        decode(json.dumps(fields).encode())


@pytest.mark.parametrize("name", list(WRITTEN))
def test_a_field_that_stands_twice_is_refused(name: str) -> None:
    """Two readers of one line must never see two patrons, also if both values are the same."""
    line = encode(row(1))
    again = line.replace(b"{", b'{"%s":%s,' % (name.encode(), json.dumps(WRITTEN[name]).encode()))

    with pytest.raises(ValueError, match="a field stands in it twice"):
        decode(again)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "not JSON"),
        (b"[1]", "row: found a list; give an object"),
        (b"null", "row: found null; give an object"),
        (b"{}", "key: missing"),
        (b'{"remove":5}', "remove: found [a-z ]+; give a text"),
        (b'{"remove":"a","remove":"b"}', "twice"),
        (b'{"remove":"a"}{"remove":"b"}', "not JSON"),
        (b'{"remove":"\xff"}', "not UTF-8"),
        (b'{"remove":"\\ud800"}', "not JSON"),
        (b'{"remove":NaN}', "not JSON"),
        (b'{"remove":' + b"[" * 60_000, "not JSON"),
        (b'{"remove":"a","key":"b"}', "unknown field"),
        (b" " * 65_537, "longer than 65536 bytes"),
    ],
)
def test_what_is_no_line_is_refused(line: bytes, problem: str) -> None:
    """Nothing is repaired."""
    with pytest.raises(ValueError, match=problem):
        decode(line)


@given(st.sampled_from(list(WRITTEN)), st.sampled_from([CPR, [CPR], {CPR: CPR}, int(CPR)]))
def test_no_value_is_quoted(name: str, value: object) -> None:
    """Neither the text nor what caused it repeats what stood in the line."""
    told = [
        _told(json.dumps(fields).encode())
        for fields in (WRITTEN | {name: value}, WRITTEN | {CPR: value}, {"remove": [value]})
    ]

    assert CPR not in "".join(told)
    assert all(told[1:])


def _told(line: bytes) -> str:
    try:
        decode(line)
    except ValueError as error:
        return f"{type(error).__name__} {error} {error.__cause__!r} {error.__context__!r}"
    return ""


@given(st.binary() | LINES.map(encode).flatmap(lambda line: st.permutations(list(line)).map(bytes)))
def test_bytes_are_a_line_or_a_refusal_of_ours(line: bytes) -> None:
    """No other exception comes of any bytes, and what is read can be written."""
    if told := _told(line):
        assert told.startswith(("ValueError ", "NotJsonError "))
    else:
        assert decode(encode(decode(line))) == decode(line)
