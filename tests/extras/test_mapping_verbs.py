"""The verbs of a map, one by one, and any value at any path."""

from __future__ import annotations

import json
import tracemalloc
from io import BytesIO
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import Problem
from doorctl.extras.mapping import (
    EXTRA,
    Entries,
    Entry,
    FeedMap,
    MappedIdentifiers,
    Source,
)
from doorctl.extras.mapping.elements import xml_records
from doorctl.extras.mapping.json_document import json_records
from doorctl.extras.mapping.reading import reader_of, translation_of
from doorctl.extras.mapping.records import csv_records
from doorctl.extras.mapping.translation import Translation, WrongFieldError, columns
from doorctl.sync.csv_export import SheetEndedError
from doorctl.sync.rows import RowReader, WrittenPatron


def entry(written: Any) -> Entry:
    """Return an entry of a map as a configuration has it."""
    read: Entry = msgspec.convert(written, Entry)
    return read


def translated(row: object, **written: Any) -> Any:
    """Translate a row by a map of these fields, beside a number and a card."""
    return translation(**written).translated(row)


def translation(**written: Any) -> Translation:
    """Return a map of these fields, beside a number and a card."""
    cards: Entries = entry(written.pop("card", "card"))
    fields = {name: msgspec.convert(value, Entries) for name, value in written.items()}
    map_of = {"patron_id": entry("id"), "resident": entry({"default": True}), **fields}
    own = FeedMap(**map_of, identifiers=MappedIdentifiers(card=cards))
    return translation_of(own, is_flat=False)


ROW = {"id": 7, "card": "3000001234"}


@pytest.mark.parametrize(
    ("verbs", "value", "field", "expected"),
    [
        ({"from": "x", "in": ["A", "B"]}, "B", "resident", True),
        ({"from": "x", "in": ["A", "B"]}, "C", "resident", False),
        ({"from": "x", "in": ["A"]}, None, "resident", False),
        ({"from": "x", "in": ["5"]}, 5, "resident", True),
        ({"from": "x", "true_if": ["J"]}, "J", "resident", True),
        ({"from": "x", "true_if": ["J"]}, "Nej", "resident", False),
        ({"from": "x"}, True, "resident", True),
        ({"from": "x"}, "nej", "resident", False),
        ({"from": "x", "format": "%d/%m/%Y"}, "31/01/1970", "birthday", "1970-01-31"),
        ({"from": "x", "format": ["%d.%m.%Y", "%Y%m%d"]}, "19700131", "birthday", "1970-01-31"),
        ({"from": "x"}, "1970-01-31T23:59:59Z", "birthday", "1970-01-31"),
        ({"from": "x"}, "", "birthday", None),
        ({"from": "x", "default": ""}, ..., "birthday", None),
        ({"from": "x", "strip": "*#"}, " *4711# ", "pincode", "4711"),
        ({"from": "x[]", "first": True}, ["1111", "2222"], "pincode", "1111"),
        ({"from": "x[1]"}, ["1111", "2222"], "pincode", "2222"),
        ({"from": "x[k=b].v"}, [{"k": "a", "v": "1"}, {"k": "b", "v": "2"}], "pincode", "2"),
        ({"from": "x", "split": "|"}, "a| b||c", "tags", ["a", "b", "c"]),
        ({"from": "x"}, ["a", "b", "a"], "tags", ["a", "b"]),
    ],
)
def test_each_verb(verbs: object, value: object, field: str, expected: object) -> None:
    """What comes of a value by each verb."""
    row = ROW if value is ... else {**ROW, "x": value}

    assert translated(row, **{field: verbs})[field] == expected


@pytest.mark.parametrize(
    ("verbs", "value", "codes"),
    [
        ({"from": "x", "present": "D"}, "2030-01-01", ["D"]),
        ({"from": "x", "present": "D"}, "F", ["D"]),
        ({"from": "x", "present": "D"}, "N", ["D"]),
        ({"from": "x", "present": "D"}, True, ["D"]),
        ({"from": "x", "present": "D"}, ["something"], ["D"]),
        ({"from": "x", "present": "D"}, "0", []),
        ({"from": "x", "present": "D"}, False, []),
        ({"from": "x", "present": "D"}, None, []),
        ({"from": "x"}, ["E", "U"], ["E", "U"]),
        ({"from": "x[].code"}, [{"code": "E"}, {"code": "W"}], ["E", "W"]),
        ([{"from": "x", "present": "A"}, {"from": "id", "present": "B"}], "1", ["A", "B"]),
    ],
)
def test_blocks(verbs: object, value: object, codes: list[str]) -> None:
    """Each block counts, from one place or from several."""
    found = translated({**ROW, "x": value}, blocks=verbs)["blockStatus"]

    assert [block["blockedReason"] for block in found] == codes


@pytest.mark.parametrize(
    ("field", "verbs", "value"),
    [
        ("resident", {"from": "x"}, "perhaps"),
        ("resident", {"from": "x", "true_if": ["J"]}, "?"),
        ("birthday", {"from": "x", "format": "%d/%m/%Y"}, "1970-01-31"),
        ("birthday", {"from": "x"}, "31-01-1970"),
        ("pincode", {"from": "x[]"}, ["1111", "2222"]),
        ("pincode", {"from": "x"}, 4711.0),
        ("pincode", {"from": "x"}, {"pin": "4711"}),
        ("blocks", {"from": "x"}, {"a": 1}),
        ("blocks", "gone", "x"),
        ("valid_until", "x.y", "text"),
    ],
)
def test_what_can_t_be_read_is_a_wrong_row(field: str, verbs: object, value: object) -> None:
    """It names the key of the map and quotes nothing; whose row it is, is known."""
    wrong = translated({**ROW, "x": value}, **{field: verbs})

    assert isinstance(wrong, WrongFieldError)
    assert str(wrong).startswith(f"source.map.{field}: ")
    assert wrong.patron_ref == "7"
    assert "4711" not in str(wrong)


def test_a_whole_row() -> None:
    """Each field of the feed has its value, under the feed's own name."""
    row = {"id": 7, "card": "3000001234", "cpr": "0101701234", "on": "yes", "day": "2026-01-31"}
    own = FeedMap(
        **{name: entry("day") for name in ("pincode_changed", "birthday", "valid_until")},
        **{name: entry("day") for name in ("on_hold", "on_hold_until")},
        patron_id=entry("id"),
        pincode=entry({"from": "id", "default": ""}),
        resident=entry("on"),
        active=entry({"from": "on", "true_if": ["JA"]}),
        blocks=(entry({"from": "on", "present": "D"}), "cpr"),
        tags=("on", "on"),
        identifiers=MappedIdentifiers(card="card", cpr="cpr"),
    )
    whole = translation_of(own, is_flat=False)
    until = {"status": "INACTIVE", "expiryDate": "2026-01-31"}

    assert isinstance(whole.translated(row), WrongFieldError)
    free = {**row, "on": "no"}
    assert whole.translated(free) == {
        "patronId": "7",
        "identifiers": [
            {"identifier": "3000001234", "identifierType": "CARD", **until},
            {"identifier": "0101701234", "identifierType": "CPR", **until},
        ],
        "pincode": "7",
        "pincodeChanged": "2026-01-31",
        "resident": False,
        "birthday": "2026-01-31",
        "blockStatus": [{"blockedReason": "0101701234"}],
        "onHold": {"from": "2026-01-31", "to": "2026-01-31"},
        "tags": ["no"],
    }


@pytest.mark.parametrize(
    ("word", "status"), [("JA", "ACTIVE"), ("ja", "ACTIVE"), ("nej", "INACTIVE")]
)
def test_cards_that_are_in_force(word: str, status: str) -> None:
    """Or not, which keeps their patron out."""
    row = translated({**ROW, "x": word}, active={"from": "x", "true_if": ["Ja"]})

    assert [identifier["status"] for identifier in row["identifiers"]] == [status]


DAY = "2026-01-31"


@pytest.mark.parametrize(
    ("verbs", "begins", "ends", "hold"),
    [
        ("x", DAY, None, {"from": DAY, "to": None}),
        ("x", None, None, None),
        ("x", None, DAY, {"from": None, "to": DAY}),
        ("x", DAY, DAY, {"from": DAY, "to": DAY}),
        ({"from": "x", "true_if": ["P"]}, "P", None, {"from": None, "to": None}),
        ({"from": "x", "true_if": ["P"]}, "p", DAY, {"from": None, "to": None}),
        ({"from": "x", "true_if": ["P"]}, "no", DAY, None),
        (None, DAY, DAY, {"from": None, "to": DAY}),
        (None, DAY, None, None),
    ],
)
def test_a_pause(verbs: object, begins: object, ends: object, hold: object) -> None:
    """By a first day, by a word, or by its last day alone."""
    more = {} if verbs is None else {"on_hold": verbs}
    row = translated({**ROW, "x": begins, "y": ends}, on_hold_until="y", **more)

    assert row["onHold"] == hold


def test_a_pause_needs_no_last_day() -> None:
    """A map may name its first day alone, and that keeps the patron out.

    Bug (mutation): no test noticed a map whose pauses were all forgotten.
    """
    assert translated({**ROW, "x": DAY}, on_hold="x")["onHold"] == {"from": DAY, "to": None}


PARTIAL_LIST = "an item of the list lacks a field that the path names"


@pytest.mark.parametrize(
    ("field", "verbs", "value", "what"),
    [
        ("pincode", "x", [1.5], "holds a value of another kind; give the path of a text"),
        ("pincode", "x", [1, 2], "holds several values; say which with first, or by its path"),
        ("pincode", "y", "", "the row has no such field; mend the path, or give a default"),
        ("birthday", "x", "31", "holds no day of this format; see its format"),
        (
            "resident",
            "x",
            "?",
            "holds a text that says neither yes nor no; name those that say yes",
        ),
        ("blocks", "x[].code", [{"code": "D"}, {"code": ""}], "names a block without a code"),
        ("blocks", "x[].kode", [{"code": "D"}], PARTIAL_LIST),
        ("blocks", {"from": "x[stat=A].code", "default": ""}, [{"state": "A"}], PARTIAL_LIST),
        ("blocks", {"from": "x[].y[].code", "default": ""}, [{"y": [{}]}], PARTIAL_LIST),
    ],
)
def test_what_is_said_of_a_wrong_field(field: str, verbs: object, value: object, what: str) -> None:
    """The key of the map, what is wrong, and what to do."""
    wrong = translated({**ROW, "x": value}, **{field: verbs})

    assert str(wrong) == f"source.map.{field}: {what}"


def test_whose_a_row_is_may_be_what_is_wrong() -> None:
    """Then it is of no patron, and no patron who is missing is taken out."""
    wrong = translated({**ROW, "id": [1, 2]})

    assert isinstance(wrong, WrongFieldError)
    assert wrong.patron_ref is None


@pytest.mark.parametrize("card", ["", " ", None, []])
def test_no_number_is_no_identifier(card: object) -> None:
    """An empty text is no card that a reader could read."""
    assert translated({**ROW, "card": card})["identifiers"] == []


def test_a_column_may_have_dots_and_brackets() -> None:
    """In a flat file the whole path is one name; one with a default may be missing."""
    own = FeedMap(
        patron_id="No. [x]",
        resident=entry({"from": "r", "default": "true"}),
        pincode=entry({"default": "4711"}),
        identifiers=MappedIdentifiers(card="c"),
    )
    made = translation_of(own, is_flat=True)

    assert made.translated({"No. [x]": "7", "c": "300000"})["patronId"] == "7"  # type: ignore[index]
    assert columns(list(made.fields)) == {
        "No. [x]": "source.map.patron_id",
        "c": "source.map.identifiers.card",
    }
    assert {field.name for field in made.fields} >= {"source.map.pincode"}


@pytest.mark.parametrize(
    ("verbs", "value", "expected"),
    [
        ({"from": "x[].y[]"}, [{"y": ["a", "b"]}, {"y": ["c"]}, {"y": None}], ["a", "b", "c"]),
        ({"from": "x[0]"}, ["a", "b", "c"], ["a"]),
        ({"from": "x[].value"}, ["a", {"value": "b", "@desc": "B"}], ["a", "b"]),
        ({"from": "x.value"}, "a", ["a"]),
        ({"from": "x.value.y", "default": "d"}, "a", ["d"]),
        ({"from": "x.y"}, None, []),
        ({"from": "x[].y"}, None, []),
        ({"from": "x"}, True, ["true"]),
        ({"from": "x", "strip": "#"}, " #aX ", ["aX"]),
        ({"from": "x", "split": ","}, "a,\tb", ["a", "b"]),
    ],
)
def test_paths(verbs: object, value: object, expected: list[str]) -> None:
    """Lists in lists, one item, texts with and without attributes, what is blank."""
    assert translated({**ROW, "x": value}, tags=verbs)["tags"] == expected


@pytest.mark.parametrize("path", [".a", "a.", "a..b", "a[", "a[]b", "[0]", "a[x", "a[0][1]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """A slip of the pen in a path is told when the file is read; a column may be called so."""
    for kind, count in (("json", 2), ("csv", 0)):
        more = {"kind": kind, "map__tags": (path, entry({"from": path}))}
        where = [problem.where for problem in problems(**{**GOOD, **more})]
        assert where == ["source.map.tags"] * count


@pytest.mark.parametrize(
    "verbs",
    [{}, {"strip": "x"}, {"from": "a", "in": ["x"], "present": "D"}, {"from": "a", "upper": True}],
)
def test_verbs_that_say_nothing_or_too_much_are_refused(verbs: object) -> None:
    """There are eight, and two that answer the same question don't stand together."""
    with pytest.raises(msgspec.ValidationError):
        entry(verbs)


SINGLE = ["patron_id", "pincode", "pincode_changed", "birthday", "resident", "valid_until"]
SINGLE += ["active", "on_hold", "on_hold_until"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3)
    ),
    max_leaves=8,
)
PATHS = st.sampled_from(["a", "a.b", "a[]", "a[].b", "a[0].c", "a[b=x].c", "a[b/c=1].x", "value"])
VERBS = st.builds(
    lambda path, more: {"from": path, **more},
    PATHS,
    st.sampled_from(
        [
            *({}, {"default": ""}, {"default": True}, {"in": ["x"]}, {"true_if": ["x"]}),
            *({"present": "D"}, {"format": "%d"}, {"split": ","}, {"strip": "x", "first": True}),
        ]
    ),
)


@given(JSON, st.fixed_dictionaries(dict.fromkeys(SINGLE, PATHS | VERBS)), VERBS, VERBS)
def test_any_value_at_any_path_is_a_row_or_a_wrong_one(
    value: object, fields: dict[str, Any], card: object, blocks: object
) -> None:
    """Never a traceback, and never a value in what is said."""
    row = translated(value, card=card, blocks=blocks, tags=card, **fields)
    if isinstance(row, WrongFieldError):
        assert str(row).partition(":")[0] in {"row", *(f"source.map.{name}" for name in FIELDS)}
        return
    read = RowReader(4).read(row)
    assert isinstance(read, WrittenPatron) or all(isinstance(why, str) for why in read)


FIELDS = [*SINGLE, "blocks", "tags", "identifiers.card"]

TEXTS = st.sampled_from(["", "1", "0", "x,y", " x ", "ja", DAY, "x" * 41, f"{DAY}T00:00:00+00:00"])
OF_A = VERBS.map(lambda verbs: verbs | {"from": "a"})


@given(
    st.lists(st.fixed_dictionaries({"a": TEXTS | st.lists(TEXTS)}), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(SINGLE), OF_A, max_size=1),
    OF_A,
)
def test_a_text_means_the_same_each_time(
    rows: list[dict[str, Any]], fields: dict[str, Any], many: object
) -> None:
    """Whatever rows came before, and whatever becomes of what was made of them."""
    read = translation(card=many, blocks=many, tags=many, **fields)

    for row in [{"id": 7, **row} for row in rows] * 2:
        made = read.translated(row)
        expected = translated(row, card=many, blocks=many, tags=many, **fields)
        assert str(made) == str(expected)
        if isinstance(made, dict):
            for several in ("identifiers", "blockStatus", "tags"):
                made[several].clear()


@given(st.binary(max_size=200), st.sampled_from(["ndjson", "json", "csv", "xml"]))
def test_any_bytes_are_rows_or_an_error(written: bytes, kind: Any) -> None:
    """A file of another kind is told, whatever is in it; nothing is thrown."""
    own = FeedMap(resident="r", identifiers=MappedIdentifiers(card="c"))
    rows = list(reader_of(Source(kind=kind, records="user", map=own))(BytesIO(written)))

    assert all(isinstance(number, int) for number, _ in rows)
    assert all(isinstance(row, dict | ValueError) for _, row in rows)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=4))
def test_json_rows_come_as_they_are(rows: list[dict[str, Any]]) -> None:
    """The list of a document is read item by item: the same as at once."""
    written = (
        json.dumps({"n": 1, "list": rows}, allow_nan=False, default=str) if finite(rows) else ""
    )
    if written:
        found = [row for _, row in json_records(BytesIO(written.encode()), "list")]
        assert found == json.loads(written)["list"]


def finite(rows: object) -> bool:
    """Tell whether JSON can write these."""
    try:
        json.dumps(rows, allow_nan=False)
    except ValueError:
        return False
    return True


def problems(**values: Any) -> list[Problem]:
    """Return what the rules say of some values."""
    whole = {f"source.{name.replace('__', '.')}": value for name, value in values.items()}
    return [problem for rule in EXTRA.rules for problem in rule(whole)]


GOOD = {
    "kind": "csv",
    "encoding": "utf-8",
    "records": "",
    "delimiter": "",
    "map__identifiers__card": "c",
    "map__pincode": "p",
    "pins": "export",
}


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"map__identifiers__card": ()}, "source.map.identifiers.card"),
        ({"encoding": "utf-99"}, "source.encoding"),
        ({"encoding": "hex"}, "source.encoding"),
        ({"kind": "json", "encoding": "latin-1"}, "source.encoding"),
        ({"kind": "json", "delimiter": ";"}, "source.delimiter"),
        ({"records": "users"}, "source.records"),
        ({"kind": "json", "map__tags": "ids[a..b=X].v"}, "source.map.tags"),
        ({"map__blocks": entry({"from": "x", "first": True})}, "source.map.blocks"),
        ({"map__blocks": entry({"from": "x", "strip": "-D"})}, "source.map.blocks"),
        ({"map__blocks": entry({"from": "x[0]"})}, "source.map.blocks"),
        ({"map__blocks": entry({"from": "x", "true_if": ["y"]})}, "source.map.blocks"),
        ({"map__on_hold": entry({"from": "x", "first": True})}, "source.map.on_hold"),
        ({"map__resident": entry({"from": "x", "present": "D"})}, "source.map.resident"),
        ({"map__birthday": entry({"from": "x", "in": ["a"]})}, "source.map.birthday"),
        ({"map__pincode": entry({"from": "x", "format": "%d"})}, "source.map.pincode"),
        ({"kind": "xml"}, "source.records"),
        ({"map__pincode": ""}, "source.map.pincode"),
        ({"pins": "learnt"}, "source.map.pincode"),
        ({"map__on_hold": entry({"from": "x", "in": ["A"]})}, "source.map.on_hold"),
        ({"map__blocks": (entry({"from": "x", "in": ["A"]}),)}, "source.map.blocks"),
    ],
)
def test_a_map_that_can_t_be_meant_is_refused(changed: dict[str, Any], where: str) -> None:
    """A map without cards, without PINs by oversight, or that lets in what it does not name."""
    assert problems(**GOOD) == []
    assert problems(**GOOD, map__blocks=entry({"from": "x", "strip": "-"})) == []
    assert [problem.where for problem in problems(**{**GOOD, **changed})] == [where]


def test_a_pause_by_a_word_has_no_last_day() -> None:
    """It is over when the word is gone; a day that has passed would end it before."""
    word = {"map__on_hold": entry({"from": "x", "true_if": ["P"]}), "map__on_hold_until": "y"}

    assert [problem.where for problem in problems(**GOOD, **word)] == ["source.map.on_hold_until"]
    assert problems(**{**GOOD, **word, "map__on_hold": "x"}) == []


@pytest.mark.parametrize("field", ["blocks", "patron_id"])
def test_a_field_that_stands_twice_in_json_is_a_wrong_file(field: str) -> None:
    """Of two values the last would count, and the first may be the block."""
    written = f'[{{"{field}": "D", "{field}": ""}}]'.encode()

    ((_, row),) = json_records(BytesIO(written), "")

    assert "stands in it twice" in str(row)


def test_xml_rows_let_go_of_what_was_read() -> None:
    """A town of rows takes the memory of one, and so does what stands between them."""
    row = b"<user><id>1</id><note>" + 100 * b"x" + b"</note></user><other><a/></other>"

    def peak(rows: int) -> int:
        file = BytesIO(b"<users>" + rows * row + b"</users>")
        tracemalloc.start()
        assert sum(1 for _ in xml_records(file, "user")) == rows
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    assert peak(20_000) < 2 * peak(2_000)


def test_xml_nested_too_deep_is_a_wrong_file() -> None:
    """Nothing is thrown."""
    deep = b"<user>" + 5_000 * b"<a>" + 5_000 * b"</a>" + b"</user>"

    assert [type(row) for _, row in xml_records(BytesIO(deep), "user")] == [SheetEndedError]


def test_a_line_without_end_is_not_read_whole() -> None:
    """A file of another kind, which has no line ends, is told after so many letters of it."""
    file = BytesIO(b"a;b\n1;2\n" + 10_000_000 * b"x")

    rows = list(csv_records(file, encoding="utf-8", delimiter="", needed={}))

    assert [number for number, _ in rows] == [2, 3]
    assert "longer than" in str(rows[-1][1])


def test_a_fault_in_the_middle_of_a_sheet_has_its_line() -> None:
    """A letter of another encoding in line 3 is not one of line 1."""
    file = BytesIO(b"a;b\n1;2\n" + 9_000 * b" " + b"1;\xe6\n")

    rows = list(csv_records(file, encoding="utf-8", delimiter="", needed={}))

    assert rows[-1][0] in {2, 3}
    assert "no CSV in utf-8" in str(rows[-1][1])
