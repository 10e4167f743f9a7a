"""The library system's answers between door and web, over real Unix sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, Patron, SealedRow
from doorctl.core.errors import DoorctlError, StoreBusyError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.rpc.client import ask
from doorctl.rpc.library import CardAndPin, LearntRow, LibraryOverSocket, library_answers
from doorctl.rpc.messages import Line
from doorctl.sync.wire import Removal, encode
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import saying, serving

SHORT_S = 0.3
NUMBER, PIN_DIGITS = "3000001234", "4711"
CARD = Identifier(IdentifierKind.CPR, NUMBER)
PIN = Pin(PIN_DIGITS)
KEY = bytes(range(ROW_KEY_BYTES))
DAYS = (date(2026, 3, 5), date(2026, 4, 1), date(2026, 3, 2))
SECRETS = (NUMBER, PIN_DIGITS, "CANARY")
ROW = SealedRow(KEY, Patron("1001", bytes(PIN_CHECK_BYTES), resident=True, tags=frozenset({"tag"})))
SOMEBODY = Patron(
    "1001",
    resident=True,
    blocks=frozenset({"E"}),
    valid_until=date(2027, 1, 1),
    hold_from=date(2026, 1, 1),
    hold_until=date(2026, 1, 2),
    tags=frozenset({"ung", "æ ø å"}),
)

NO = LibraryReply(LibraryAnswer.NO)
Kept = tuple[SealedRow, date | None, date, date]


@dataclass
class Web:
    """What the web process does with both questions."""

    reply: LibraryReply = NO
    failure: DoorctlError | None = None
    asked: list[tuple[bytes, Identifier, Pin, bool]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def ask(self, card: bytes, identifier: Identifier, pin: Pin, row_wanted: bool) -> LibraryReply:
        """Answer about a card."""
        self.asked.append((card, identifier, pin, row_wanted))
        return self.reply

    def keep(
        self, row: SealedRow, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Keep a row, or fail."""
        if self.failure is not None:
            raise self.failure
        self.kept.append((row, row_until, pin_until, learnt_on))


def answering(path: Path, web: Web) -> AbstractContextManager[Path]:
    """Serve both questions for a while."""
    return serving(path, library_answers(web.ask, web.keep))


def door(
    path: Path, log: FakeEventLog | None = None, timeout_s: float = LIMIT_S
) -> LibraryOverSocket:
    """Return the door's end of the socket."""
    return LibraryOverSocket(path, timeout_s, log or FakeEventLog())


def asked(path: Path, *, row_wanted: bool = True, timeout_s: float = LIMIT_S) -> LibraryReply:
    """Ask about the card."""
    return door(path, timeout_s=timeout_s).ask(KEY, CARD, PIN, row_wanted=row_wanted)


def kept(path: Path, row: SealedRow = ROW) -> list[dict[str, Any]]:
    """Have a row kept and return what the log was told."""
    log = FakeEventLog()
    row_until, pin_until, learnt_on = DAYS
    door(path, log).keep(row, row_until=row_until, pin_until=pin_until, learnt_on=learnt_on)
    return list(log.lines)


@pytest.mark.parametrize("answer", LibraryAnswer)
@pytest.mark.parametrize("patron", [None, SOMEBODY], ids=["without a row", "with a row"])
def test_every_answer_comes_back_as_it_was_given(
    tmp_path: Path, answer: LibraryAnswer, patron: Patron | None
) -> None:
    """With the question as it was asked, for each sort of number."""
    web = Web(LibraryReply(answer, patron, date(1970, 1, 1) if patron else None))
    with answering(tmp_path / "web.sock", web) as path:
        for row_wanted in (True, False):
            assert asked(path, row_wanted=row_wanted) == web.reply

    assert web.asked == [(KEY, CARD, PIN, True), (KEY, CARD, PIN, False)]


def test_a_row_is_kept_with_its_days(tmp_path: Path) -> None:
    """As a push would bring it; nothing is logged."""
    web = Web()
    with answering(tmp_path / "web.sock", web) as path:
        assert kept(path) == []

    assert web.kept == [(ROW, *DAYS)]


def test_a_row_that_can_not_be_kept_is_told(tmp_path: Path) -> None:
    """By web's own sentence; the patron is in by then, and the next visit asks once more."""
    web = Web(failure=StoreBusyError("patrons.db is busy"))
    with answering(tmp_path / "web.sock", web) as path:
        assert kept(path) == [{"event": "alarm", "kind": "not_kept", "why": "patrons.db is busy"}]


def test_web_that_is_away_is_silent(tmp_path: Path) -> None:
    """Whether nothing is there or nobody listens; the row is not kept, which is told."""
    path = tmp_path / "web.sock"
    assert asked(path) == LibraryReply(LibraryAnswer.SILENT)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert asked(path) == LibraryReply(LibraryAnswer.SILENT)

    [line] = kept(path)
    assert line["kind"] == "not_kept"
    assert not any(secret in json.dumps(line) for secret in SECRETS)


GARBAGE = [
    None,
    b"",
    b"null\n",
    b"{}\n",
    b'{"answer": "yes"',
    b'{"answer": "perhaps"}\n',
    b'{"answer": "yes", "patron": {}}\n',
    b'{"answer": "yes", "patron": {"patron_ref": "1001", "resident": "true"}}\n',
    b'{"answer":"yes","birthday":null,"patron":{"patron_ref":"1001","resident":true}}\n',
    b'{"error": "CANARY"}\n',
    b'{"answer": ' + b"[" * 200_000 + b"\n",
    b'{"a": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001 + b"\n",
]


@pytest.mark.parametrize("said", GARBAGE, ids=lambda said: repr(said and said[:40]))
def test_garbage_is_no_answer(tmp_path: Path, said: bytes | None) -> None:
    """Nothing but a whole yes is a yes, and nothing that web says ends the door's thread.

    Bug (stranger's review): a deeply nested answer of the web process would have stopped the
    door.
    """
    with saying(tmp_path / "web.sock", said) as path:
        assert asked(path, timeout_s=LIMIT_S if said else SHORT_S) == LibraryReply(
            LibraryAnswer.SILENT
        )


REFUSED_ROWS = [
    encode(Removal("CANARY")).decode(),
    "",
    "CANARY",
    "{}",
    '{"key": "CANARY"}',
    encode(ROW).decode().replace('"1001"', '"CANARY\\u0000"'),
    encode(ROW).decode()[:-2] + ',"CANARY":1}',
    "[" * 1500,
    '{"a":' * 600,
]


def told(path: Path, what: str, about: Mapping[str, Any]) -> str:
    """Ask something and return how it was refused."""
    with pytest.raises(StoreError) as refused:
        ask(path, Line(what, about), timeout_s=LIMIT_S)
    return str(refused.value)


@pytest.mark.parametrize("row", REFUSED_ROWS, ids=lambda row: row[:20])
def test_what_is_no_row_is_not_kept(tmp_path: Path, row: str) -> None:
    """A removal least of all; refused in one line that quotes nothing."""
    web = Web()
    about = {"row": row, "row_until": "2026-03-05", "pin_until": "2026-04-01"}
    with answering(tmp_path / "web.sock", web) as path:
        why = told(path, "keep", {**about, "learnt_on": "2026-03-02"})

    assert why.startswith("that row can't be kept: ")
    assert "\n" not in why
    assert not any(secret in why for secret in SECRETS)
    assert web.kept == []


QUESTION = {
    "key": "AAECAwQFBgcICQoLDA0ODw==",
    "kind": "card",
    "number": NUMBER,
    "pin": PIN_DIGITS,
    "row_wanted": True,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "AAEC"},
        {"key": "CANARY"},
        {"kind": "CANARY"},
        {"number": 3000001234},
        {"pin": 4711},
        {"row_wanted": "CANARY"},
        {"CANARY": 1},
    ],
    ids=str,
)
def test_what_is_no_question_about_a_card_is_not_asked(
    tmp_path: Path, wrong: Mapping[str, Any]
) -> None:
    """Refused without a word of it."""
    web = Web()
    with answering(tmp_path / "web.sock", web) as path:
        whole = ask(path, Line("library", QUESTION), timeout_s=LIMIT_S)
        why = told(path, "library", {**QUESTION, **wrong})
        missing = told(path, "keep", {})

    assert whole["answer"] == LibraryAnswer.NO.value
    assert len(web.asked) == 1
    assert not any(secret in f"{why}{missing}" for secret in SECRETS)


def test_neither_number_nor_pin_can_be_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not by what is sent, nor by a question, nor by whatever went wrong on the way."""
    card = CardAndPin(KEY, IdentifierKind.CARD, NUMBER, PIN, row_wanted=True)
    row = LearntRow("CANARY", *DAYS)
    shown = [repr(card), str(card), f"{row!r}", repr(Line("library", QUESTION))]
    for said in (None, b"CANARY\n", b'{"error": "no"}\n'):
        with saying(tmp_path / f"{said!r:.8}.sock".replace("/", ""), said) as path:
            shown.append(repr(asked(path, timeout_s=SHORT_S)))
    with answering(tmp_path / "web.sock", Web(failure=StoreError("full"))) as path:
        shown.append(repr(kept(path)))
    shown += capfd.readouterr()

    assert not any(secret in text for secret in SECRETS for text in shown)
