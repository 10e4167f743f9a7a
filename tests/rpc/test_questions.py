"""The questions between the processes: each declared once, and the same on the wire as before."""

from __future__ import annotations

import ast
import json
import pkgutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorctl import rpc
from doorctl.config.tables import DEEDS as KEPT_FOR_ROOT
from doorctl.core.errors import DoorctlError, OtherReleaseError, StoreError
from doorctl.core.masked import Pin
from doorctl.rpc.messages import ERROR, Answer, Line
from doorctl.rpc.numbers import PIN_CHECK, PinOf
from doorctl.rpc.question import NOT_READ, Askers, Nothing, Question
from doorctl.services.deeds import DEEDS
from tests.fakes.waiting import LIMIT_S, until
from tests.rpc.serving import serving

PRODUCT = Path(rpc.__file__).parent.parent


@cache
def declared() -> dict[str, Question[Any, Any]]:
    """Return all questions but the deeds of staff, by the name of their constant."""
    modules = [
        import_module(f"doorctl.rpc.{one.name}") for one in pkgutil.iter_modules(rpc.__path__)
    ]
    found: dict[str, Question[Any, Any]] = {}
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, Question):
                assert found.setdefault(name, value) is value, f"two questions are called {name}"
    return found


def questions() -> list[Question[Any, Any]]:
    """Return every question, those of staff's deeds too."""
    return [*declared().values(), *(deed.question for deed in DEEDS.values())]


def uses() -> Iterator[tuple[str, str]]:
    """Yield each use of a constant in the product, with the attribute that is taken of it."""
    for file in PRODUCT.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        taken = {
            id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        }
        for node in ast.walk(tree):
            name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
            if name in declared() and isinstance(getattr(node, "ctx", None), ast.Load):
                yield name, taken.get(id(node), "")


def test_each_question_is_answered_once_and_asked() -> None:
    """A question without a server hangs whoever asks it; one that is never asked is a hole."""
    found = list(uses())
    answered = Counter(name for name, of in found if of.startswith("answered"))
    asked = {name for name, of in found if not of.startswith("answered")}

    assert answered == dict.fromkeys(declared(), 1)
    assert asked == {*declared()}


def test_a_name_means_one_question_on_a_socket() -> None:
    """What one process answers has names of its own, staff's deeds among them."""
    names = Counter(
        (each.name, each.process, each.askers is Askers.EVERYBODY) for each in questions()
    )

    assert {*names.values()} == {1}


def test_what_is_kept_for_root_is_asked_of_the_door() -> None:
    """`control.kept_from_web` names questions that there are, and all by which the door acts."""
    doors = {each.name for each in questions() if each.process == "door"}
    looks = {"status", "check", "seal", "panel", "alarms"}

    assert {*KEPT_FOR_ROOT} == doors - looks


def test_who_may_ask() -> None:
    """The door asks web three things; each user of the machine asks one, of the door."""
    of = {askers: {each.name for each in questions() if each.askers is askers} for askers in Askers}
    webs = {each.name for each in questions() if each.process == "web"}

    assert of[Askers.EVERYBODY] == {"check"}
    assert of[Askers.OWN] == webs - {"alarm", "library", "keep"}


KEY = "000102030405060708090a0b0c0d0e0f"
BASE64 = "AAECAwQFBgcICQoLDA0ODw=="
PERSON = f'{{"row_keys":["{BASE64}"],"patron_ref":"1001","epoch":7,"by":"grethe","why":"sag 1"}}'
HOLD = (
    '{"since":"2026-03-01T17:00:00Z","to":"2026-03-01T19:00:00Z","case":"2026-17",'
    '"reason":"a broken window","until":"2026-04-01T17:00:00Z","by":"grethe","number":0,'
    '"added_at":"0001-01-01T00:00:00Z"}'
)
SENT = {
    "STATUS": ['{"ask":"status"}'],
    "SELF_TEST": ['{"ask":"selftest"}'],
    "CHECK": ['{"ask":"check"}'],
    "SEAL": ['{"ask":"seal"}'],
    "KEYS": [
        '{"ask":"keys","about":{"typed":"3000001234","as":null}}',
        '{"ask":"keys","about":{"typed":"0101701234","as":"cpr"}}',
    ],
    "PIN_CHECK": [
        f'{{"ask":"pin_check","about":{{"typed":"3000001234","key":"{KEY}","pin":"4711"}}}}'
    ],
    "NEW_CODE": ['{"ask":"new_code","about":{"digits":7,"by":"manager1"}}'],
    "OPEN": ['{"ask":"open","about":{"reason":"delivery","by":"grethe","until_s":115.0}}'],
    "UNLOCK": [f'{{"ask":"unlock","about":{{"card":"{KEY}","by":"grethe"}}}}'],
    "TRUST_CLOCK": [
        '{"ask":"trust_clock"}',
        '{"ask":"trust_clock","about":{"said":"2026-03-02T19:05:00.123456+01:00"}}',
    ],
    "TRUST_WEBS_CLOCK": ['{"ask":"trust_clock"}'],
    "PURGE": [
        '{"ask":"purge"}',
        '{"ask":"purge","about":{"prove":true}}',
        '{"ask":"purge","about":{"prove":true,"believe":true}}',
    ],
    "ADD_HOLD": [f'{{"ask":"hold_add","about":{HOLD}}}'],
    "LIFT_HOLD": ['{"ask":"hold_lift","about":{"number":3,"by":"grethe"}}'],
    "ERASE_VISITS": [f'{{"ask":"subject_erase_visits","about":{PERSON}}}'],
    "ERASE_PATRON": [f'{{"ask":"subject_erase_patron","about":{PERSON}}}'],
    "ERASE_RIGHTS": [f'{{"ask":"subject_erase_rights","about":{PERSON}}}'],
    "PANEL": ['{"ask":"panel","about":{"after":41}}'],
    "KEY": ['{"ask":"key","about":{"key":"5","attempt":7}}'],
    "ALARM": ['{"ask":"alarm","about":{"kind":"door_held","why":"a wire","ago_s":1.5}}'],
    "STANDING": ['{"ask":"alarms"}'],
    "LIBRARY": [
        (f'{{"ask":"library","about":{{"key":"{BASE64}","kind":"card","number":"3000001234",'
        '"pin":"4711","row_wanted":true}}')
    ],
    "KEEP": [
        ('{"ask":"keep","about":{"row":"{}","row_until":null,"pin_until":"2026-04-01",'
        '"learnt_on":"2026-03-02"}}')
    ],
}  # fmt: skip
"""What release 0.2 sends."""

DONE = {"done": {"rows": 3, "checkpoint": [0, 0, 0], "epoch": 7, "held": []}}
ANSWERED: dict[str, list[Any]] = {
    "STATUS": [{"deciding": True, "a later figure": [1]}, {}],
    "SELF_TEST": [{"ok": True, "findings": [{"check": "card", "ok": True, "what": "x", "do": ""}]}],
    "CHECK": [{"health": 0, "line": "DOORCTL OK - the door decides"}],
    "SEAL": [{"key_id": "0123abcd", "memory_kib": 19456, "iterations": 2}],
    "KEYS": [{"keys": [KEY, f"{KEY} {KEY}"]}],
    "PIN_CHECK": [{"check": 2 * KEY}],
    "NEW_CODE": [{"code": "1234567", "key": KEY}],
    "OPEN": [{}],
    "UNLOCK": [{}],
    "TRUST_CLOCK": [{"at": "2026-03-02T19:05:00+01:00"}, {"agrees": False}],
    "TRUST_WEBS_CLOCK": [{"at": "2026-03-02T19:05:00+01:00"}],
    "PURGE": [{"deleted": 3}],
    "ADD_HOLD": [json.loads(HOLD)],
    "LIFT_HOLD": [json.loads(HOLD)],
    "ERASE_VISITS": [DONE],
    "ERASE_PATRON": [DONE],
    "ERASE_RIGHTS": [DONE],
    "KEY": [{}],
    "ALARM": [{}],
    "STANDING": [
        {"standing": [{"kind": "door_held", "why": "", "ago_s": 1.5}], "well": ["stalled"]}
    ],
    "KEEP": [{}],
}
"""What release 0.2 answers; the screen's and the library system's are in their own tests."""


def test_each_question_has_its_lines_here() -> None:
    """A new question is written down as it travels, so that a later release can't change it."""
    assert {*SENT} == {*declared()}
    assert {*ANSWERED} | {"PANEL", "LIBRARY"} == {*declared()}


def into(heard: list[Any], answer: Answer | None = None) -> Callable[[Any], Any]:
    """Return a server's function that notes its arguments and answers so."""

    def work(arguments: Any) -> Any:
        heard.append(arguments)
        return answer or {}

    return work


def heard_of(question: Question[Any, Any], line: str) -> Any:
    """Say a line to a server, ask the same from here; return the arguments that both brought."""
    heard, lines = list[Any](), list[Line]()

    def work(arguments: Any, asked: Line) -> Any:
        heard.append(arguments)
        lines.append(asked)
        return {}

    with (
        tempfile.TemporaryDirectory() as directory,
        serving(Path(directory, "s"), question.answered_to(work)) as path,
    ):

        def is_heard() -> bool:
            _say(path, line.encode())
            return bool(heard)

        # A server that is kept from its processor for seconds closes before it has read the line.
        until(is_heard)
        with suppress(DoorctlError):
            question.ask(path, heard[0], timeout_s=LIMIT_S)
    assert heard[0] == heard[1]
    assert msgspec.json.encode(Line(lines[1].ask, lines[1].about)).decode() == line
    return heard[0]


def read(question: Question[Any, Any], arguments: Any, answer: Answer) -> Any:
    """Return an answer as it is read here, as JSON."""
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(Path(directory, "s"), {question.name: lambda _line: answer}) as path,
    ):
        found = question.ask(path, arguments, timeout_s=LIMIT_S)
    return json.loads(msgspec.json.encode(found))


@pytest.mark.parametrize("name", SENT)
def test_two_releases_understand_each_other(name: str) -> None:
    """What 0.2 sends is read here, and the same is sent from here; answers likewise.

    During an upgrade a door and a web of different releases run for some seconds.
    """
    arguments = [heard_of(declared()[name], line) for line in SENT[name]]

    for answer in ANSWERED.get(name, []):
        assert read(declared()[name], arguments[0], answer) == answer


@pytest.mark.parametrize("name", {*ANSWERED} - {"SEAL"})
def test_what_a_later_release_adds_to_an_answer_is_left_out(name: str) -> None:
    """The process that asks is lenient: what it does not know in an answer it can't use.

    A seal is exact: rows that are sealed otherwise are of no use.
    """
    question, answer = declared()[name], ANSWERED[name][0]
    arguments = heard_of(question, SENT[name][0])

    found = read(question, arguments, {**answer, "of_0.9": 1})

    assert {**found, "of_0.9": 1} == {**answer, "of_0.9": 1}


class _Row(msgspec.Struct, frozen=True):
    card: str
    blocks: tuple[str, ...] = ()


class _Rows(msgspec.Struct, frozen=True):
    rows: tuple[_Row, ...]
    first: _Row | None = None


@pytest.mark.parametrize(
    "answer",
    [
        {"rows": []},
        {"rows": [], "first": {"card": "1"}},
        {"rows": [{"card": "1", "blocks": []}, {"card": "2"}], "first": None},
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_that_lacks_a_field_is_read_only_where_that_is_declared(
    answer: dict[str, Any], *, whole: bool
) -> None:
    """A row that lacks its blocks is not one without any, wherever in the answer it stands.

    Bug (review of 0.3): in a list it was.
    """
    rows = Question("rows", Nothing, _Rows, "web", LIMIT_S, whole=whole)

    if whole:
        with pytest.raises(OtherReleaseError):
            read(rows, Nothing(), answer)
    else:
        assert set(read(rows, Nothing(), answer)) == {"rows", "first"}


def _say(path: Path, *pieces: bytes) -> bytes:
    """Say something in pieces, and return what is answered."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(LIMIT_S)
        caller.connect(str(path))
        for piece in pieces:
            caller.sendall(piece)
        caller.shutdown(socket.SHUT_WR)
        with caller.makefile("rb") as answers:
            return answers.read()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("question", questions(), ids=lambda each: f"{each.process}-{each.name}")
@settings(max_examples=settings().max_examples // 5)
@given(data=st.data())
def test_arguments_that_are_none_are_refused_by_one_line(
    question: Question[Any, Any], data: st.DataObject
) -> None:
    """Whatever stands in the known fields and beside them: nothing else than they are is done.

    Bug (outside look at 0.2, architecture section 4): `str(question.about.get("typed", ""))` took
    anything for a number that somebody typed.
    """
    names = st.sampled_from(list(_fields(question)) or ["none"]) | st.text(max_size=8)
    about = data.draw(st.dictionaries(names, JSON, max_size=6))
    heard = list[Any]()
    (answering,) = question.answered(into(heard)).values()
    refused = ""
    try:
        answering.answer(Line(question.name, about))
    except StoreError as err:
        refused = str(err)

    assert refused in {"", NOT_READ}
    kind = getattr(question.arguments, "__origin__", question.arguments)
    assert [type(arguments) for arguments in heard] == [kind] * (not refused)


def _fields(question: Question[Any, Any]) -> Iterator[str]:
    of = msgspec.inspect.type_info(question.arguments)
    assert isinstance(of, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    yield from (field.encode_name for field in of.fields)


@pytest.mark.parametrize("question", questions(), ids=lambda each: f"{each.process}-{each.name}")
def test_an_argument_of_a_later_release_is_refused(question: Question[Any, Any]) -> None:
    """Who answers is strict: without an argument it would do something else than was asked."""
    of = msgspec.inspect.type_info(question.arguments)
    if isinstance(of, msgspec.inspect.DataclassType):
        pytest.skip("a value that is stored: its own release reads it, field by field")
    assert of.forbid_unknown_fields  # type: ignore[attr-defined]
    if question.arguments is Nothing:
        (answering,) = question.answered(into([])).values()
        with pytest.raises(StoreError, match="of another release"):
            answering.answer(Line(question.name, {"of_0.9": 1}))


@pytest.mark.parametrize("question", questions(), ids=lambda each: f"{each.process}-{each.name}")
def test_nothing_personal_in_arguments_can_be_printed(question: Question[Any, Any]) -> None:
    """A number, a PIN, a row's key and a patron's number stand in no `repr`."""
    personal = {"typed", "pin", "key", "card", "row_keys", "patron_ref", "row", "request"}
    if not personal & {*_fields(question)}:
        return
    shown = getattr(question.arguments, "__origin__", question.arguments).__repr__
    assert shown.__qualname__ == "Unshown.__repr__"


def test_a_pin_is_masked_from_end_to_end(tmp_path: Path) -> None:
    """It is digits on the wire alone; the one who answers gets a `Pin`."""
    heard = list[Any]()
    with serving(tmp_path / "s", PIN_CHECK.answered(into(heard, {"check": 2 * KEY}))) as path:
        PIN_CHECK.ask(path, PinOf("3000001234", KEY, Pin("4711")), timeout_s=LIMIT_S)

    assert heard[0].pin == Pin("4711")
    assert "4711" not in f"{heard[0]!r} {heard[0].pin!r}"


@given(data=st.data(), junk=st.binary(max_size=300))
def test_any_chunking_is_one_question(data: st.DataObject, junk: bytes) -> None:
    """A line may come in any pieces; what comes after it is not read, and junk gets one answer."""
    line = SENT["OPEN"][0].encode()
    whole = data.draw(
        st.sampled_from([line + b"\n" + junk, junk.replace(b"\n", b" ") + b"\n" + line])
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=5)))
    pieces = [whole[begin:end] for begin, end in pairwise([0, *cuts, len(whole)])]
    heard = list[Any]()
    with tempfile.TemporaryDirectory() as directory:
        answers = declared()["OPEN"].answered(into(heard))
        with (
            serving(Path(directory, "s"), answers) as path,
            suppress(ConnectionError, BrokenPipeError),
        ):
            answer = json.loads(_say(path, *pieces))
            assert answer == {} if whole.startswith(line) else ERROR in answer
            assert len(heard) == whole.startswith(line)
