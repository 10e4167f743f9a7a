"""The library system's answers on their way between the two processes, over web's Unix socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer
from doorctl.access.panel import Kind, PanelState
from doorctl.access.patron import ROW_KEY_BYTES
from doorctl.core.errors import DoorctlError, InputError, NotAnsweringError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.rationing import Heard
from doorctl.ports import Clock, EventLog, LibraryReply, NotSentError, PanelView, SealedRow
from doorctl.privacy.subject import PartErased, Subject
from doorctl.rpc.control import LINE_LIMIT, Answer, Answers, Question, ask
from doorctl.sync.wire import decode, encode

KEEP_LIMIT_S = 5.0
"""Longest wait for web to have kept a row; a push under way is waited for, up to this."""

SILENT = LibraryReply(LibraryAnswer.SILENT)


class _Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card that is asked about; in memory only."""

    key: bytes
    kind: IdentifierKind
    number: str
    pin: str
    row_wanted: bool

    def __repr__(self) -> str:
        return "_Card(***)"


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed row to be kept, as it would stand in a push."""

    row: str
    row_until: date | None
    pin_until: date
    learnt_on: date

    def __repr__(self) -> str:
        return "_Kept(***)"


class LibraryOverSocket:
    """Ask the web process, which has a network; implements `Library`.

    Args:
        path: web's socket.
        timeout_s: longest wait for an answer.
        log: is told where a row could not be kept.
    """

    def __init__(self, path: Path, timeout_s: float, log: EventLog) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._log = log

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card; silent where web does not answer, or says what can't be read."""
        number = identifier.reveal().partition(":")[2]
        about = _Card(card, identifier.kind, number, pin.reveal(), row_wanted)
        try:
            told = self._asked("library", about, self._timeout_s)
            return msgspec.convert(told, LibraryReply)
        except (DoorctlError, msgspec.ValidationError):
            return SILENT

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have web keep a row; where it can't, the next visit asks once more."""
        about = _Kept(encode(row).decode(), row_until, pin_until, learnt_on)
        try:
            self._asked("keep", about, KEEP_LIMIT_S)
        except DoorctlError as err:
            self._log.emit("alarm", kind="not_kept", why=str(err))

    def _asked(self, what: str, about: msgspec.Struct, timeout_s: float) -> dict[str, Any]:
        question = Question(what, msgspec.to_builtins(about))
        try:
            return ask(self._path, question, timeout_s=timeout_s, whom="web")
        except RecursionError:
            # Web faces the network: nothing that it says may end the door's thread.
            raise NotAnsweringError("the web process answers what can't be read") from None


AskCard = Callable[[bytes, Identifier, Pin, bool], LibraryReply]
KeepRow = Callable[[SealedRow, date | None, date, date], None]


def library_answers(ask_card: AskCard, keep_row: KeepRow) -> Answers:
    """Return what the web process answers to the door: ``library`` and ``keep``.

    Args:
        ask_card: row key, number, PIN and whether the row is wanted.
        keep_row: a sealed row, its last day if no push has brought it, its PIN's last day, and
            the day on which it was learnt. May raise `DoorctlError`.
    """

    def answer_card(question: Question) -> Answer:
        card = msgspec.convert(question.about, _Card)
        if len(card.key) != ROW_KEY_BYTES:
            raise StoreError("that is no row key")
        identifier = Identifier(card.kind, card.number)
        told: Answer = msgspec.to_builtins(
            ask_card(card.key, identifier, Pin(card.pin), card.row_wanted)
        )
        return told

    def answer_keep(question: Question) -> Answer:
        kept = msgspec.convert(question.about, _Kept)
        row = _sealed(kept.row)
        keep_row(row, kept.row_until, kept.pin_until, kept.learnt_on)
        return {}

    return {"library": answer_card, "keep": answer_keep}


def _sealed(line: str) -> SealedRow:
    try:
        row = decode(line.encode())
    except ValueError as err:
        raise StoreError(f"that row can't be kept: {err}") from None
    if not isinstance(row, SealedRow):
        raise StoreError("that row can't be kept: it is a removal")
    return row


# The screen's state and its keys on their way between the two processes, over door's Unix socket.
#
# The door keeps only what is shown now. A page that hangs, or none, costs it nothing: whoever
# looks waits on a thread of the socket, and few may wait at a time.

LOOK_S: Final = 20.0
"""Longest wait for something new; shorter than any time-out on the way."""

MOST_WAITING: Final = 4
"""So many may wait; the one that has waited longest is answered when another comes."""

MARGIN_S: Final = 5.0
KEY_LIMIT_S: Final = 2.0
"""A key that was not taken by then is lost: whoever pressed it sees that nothing happened."""


class _After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: int


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key on its way; in memory only."""

    key: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#", "*"]
    attempt: int

    def __repr__(self) -> str:
        return "_Key(***)"


class PanelBoard:
    """What the screen shows, for whoever looks; implements `Panel`. Thread-safe.

    Args:
        first_seq: the number of the first view: another one after each start of the door, so that
            nobody takes the first view of this run for the last one of the run before.
        longest_s: longest wait of :meth:`look`.
    """

    def __init__(self, first_seq: int, longest_s: float = LOOK_S) -> None:
        self._changed = threading.Condition()
        self._view = PanelView(first_seq, PanelState(Kind.WORKING))
        self._longest_s = longest_s
        self._looks = 0

    def show(self, state: PanelState) -> None:
        """Show this from now on."""
        with self._changed:
            self._view = PanelView(self._view.seq + 1, state)
            self._changed.notify_all()

    def look(self, after: int) -> PanelView:
        """Return the view once its number is another than `after`, or when it was waited for."""
        with self._changed:
            self._looks += 1
            mine = self._looks
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._view.seq != after or self._looks - mine >= MOST_WAITING,
                self._longest_s,
            )
            return self._view


def panel_answers(board: PanelBoard, press: Callable[[str, int], None] | None) -> Answers:
    """Return what the door answers to the page.

    Args:
        board: what it shows.
        press: takes a key and its attempt; None where the screen has no keys.
    """

    def look(question: Question) -> Answer:
        view = board.look(msgspec.convert(question.about, _After).after)
        return {"seq": view.seq, "state": msgspec.to_builtins(view.state)}

    def key(question: Question) -> Answer:
        pressed = msgspec.convert(question.about, _Key)
        if press is None:
            raise InputError("the screen has no keys; see panel.keypad and keypad.port")
        press(pressed.key, pressed.attempt)
        return {}

    return {"panel": look, "key": key}


class PanelOverSocket:
    """Ask the door process; implements `PanelDoor`. Thread-safe.

    Args:
        path: door's socket.
        longest_s: longest wait for something new.
    """

    def __init__(self, path: Path, longest_s: float = LOOK_S) -> None:
        self._path = path
        self._limit_s = longest_s + MARGIN_S

    def look(self, after: int) -> PanelView:
        """Return what is shown as soon as its number is another, or after a while."""
        told = ask(self._path, Question("panel", {"after": after}), timeout_s=self._limit_s)
        try:
            return msgspec.convert(told, PanelView)
        except msgspec.ValidationError as err:
            raise StoreError("the door's answer about the screen can't be read") from err

    def press(self, key: str, attempt: int) -> None:
        """Press a key; it is kept nowhere."""
        try:
            about = msgspec.convert({"key": key, "attempt": attempt}, _Key)
        except msgspec.ValidationError:
            # Its text would quote what was typed.
            raise InputError("that is no key") from None
        question = Question("key", msgspec.to_builtins(about))
        ask(self._path, question, timeout_s=KEY_LIMIT_S)


# A person's rights on their way to each database's one writer, over its process's Unix socket.

ERASE_VISITS = "subject_erase_visits"
"""Asked of the door process; all others of web."""

ERASE_PATRON = "subject_erase_patron"
ERASE_RIGHTS = "subject_erase_rights"
RESTRICT = "subject_restrict"
UNRESTRICT = "subject_unrestrict"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a database's writer.

    Args:
        subject: the person.
        by: the caller's login, on the caller's own word: the socket is for its owner and root.
        epoch: which push the register holds.
        why: the reason, for the audit log; empty for none.
    """

    subject: Subject
    by: str
    epoch: int = 0
    why: str = field(default="", repr=False)


# What is empty is left out, so that a process of the version before understands the rest.
class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    row_keys: list[bytes]
    patron_ref: str | None
    epoch: int
    by: str
    why: str = ""

    def __repr__(self) -> str:
        return "_About(***)"


def ask_about(
    path: Path,
    name: str,
    asked: Asked,
    *,
    whom: str,
    timeout_s: float,
) -> Any:
    """Have a process do one of the questions above; return what came of it, as it travelled.

    Args:
        path: the process's socket.
        name: one of the questions above.
        asked: of whom, by whom and why.
        whom: ``door`` or ``web``.
        timeout_s: longest wait.

    Raises:
        InputError: it was refused; nothing was changed.
        NotAnsweringError: the process is not running, or it did not answer in time.
        StoreError: it could not be done.
    """
    who = asked.subject
    about = _About(sorted(who.row_keys), who.patron_ref, asked.epoch, asked.by, asked.why)
    question = Question(name, msgspec.to_builtins(about))
    if len(msgspec.json.encode(question)) >= LINE_LIMIT:
        raise InputError("the person has too many cards for one question; name them one by one")
    told = ask(path, question, timeout_s=timeout_s, whom=whom)
    return told.get("done")


def erased(done: Any) -> PartErased:
    """Return what came of an erasure.

    Raises:
        StoreError: the process speaks another version's language.
    """
    try:
        return msgspec.convert(done, PartErased)
    except msgspec.ValidationError:
        raise StoreError("the process is of another version; restart it") from None


def answering(work: Callable[[Asked], object]) -> Callable[[Question], Answer]:
    """Return a process's answer to one of the questions.

    Args:
        work: does it, on the writer's thread; may raise `DoorctlError`. Called on a thread for
            each question.
    """

    def answer(question: Question) -> Answer:
        about = msgspec.convert(question.about, _About)
        subject = Subject(frozenset(about.row_keys), about.patron_ref)
        done = work(Asked(subject, about.by, about.epoch, about.why))
        return {"done": msgspec.to_builtins(done)}

    return answer


# Alarms on their way from the door, which has no network, to web: over both Unix sockets.

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""

STANDING = "alarms"
"""What web asks the door: which of its alarms stand."""


class _Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm as it is told; `ago_s` is how long it waited at the door."""

    kind: Annotated[str, Meta(max_length=64)]
    why: Annotated[str, Meta(max_length=LONGEST_WHY)] = ""
    ago_s: Annotated[float, Meta(ge=0)] = 0.0


class AlarmsOverSocket:
    """Tell the web process of alarms. Thread-safe.

    Args:
        path: web's socket.
        clock: tells how long an alarm has waited.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def send(self, heard: Heard) -> None:
        """Tell one alarm.

        Raises:
            NotSentError: web does not answer, or does not take alarms.
        """
        about = _told(heard, self._clock.monotonic_s())
        question = Question("alarm", msgspec.to_builtins(about))
        try:
            ask(self._path, question, timeout_s=LIMIT_S, whom="web")
        except DoorctlError as err:
            raise NotSentError(str(err)) from err


def alarm_answers(hear: Callable[[Heard], None], clock: Clock) -> Answers:
    """Return what the web process answers to the door: ``alarm``.

    Args:
        hear: takes note of an alarm; must not block.
        clock: web's own; its monotonic seconds count.
    """

    def answer(question: Question) -> Answer:
        told = msgspec.convert(question.about, _Alarm)
        hear(Heard(told.kind, told.why, clock.monotonic_s() - told.ago_s))
        return {}

    return {"alarm": answer}


class _Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All alarms of the door that stand."""

    standing: tuple[_Alarm, ...]


def standing_answers(standing: Callable[[], tuple[Heard, ...]], clock: Clock) -> Answers:
    """Return what the door answers to web: ``alarms``.

    Args:
        standing: tells which of its alarms stand; thread-safe.
        clock: the door's own.
    """

    def answer(_question: Question) -> Answer:
        now_s = clock.monotonic_s()
        return {"standing": [msgspec.to_builtins(_told(one, now_s)) for one in standing()]}

    return {STANDING: answer}


def ask_standing(path: Path, clock: Clock) -> tuple[Heard, ...]:
    """Ask the door which of its alarms stand.

    Args:
        path: the door's socket.
        clock: web's own; its monotonic seconds count.

    Raises:
        DoorctlError: it does not answer, or not to this.
    """
    told = ask(path, Question(STANDING), timeout_s=LIMIT_S)
    try:
        found = msgspec.convert(told, _Standing).standing
    except msgspec.ValidationError:
        raise StoreError("the door process is of another version; restart it") from None
    now_s = clock.monotonic_s()
    return tuple(Heard(one.kind, one.why, now_s - one.ago_s) for one in found)


def _told(heard: Heard, now_s: float) -> _Alarm:
    ago_s = max(0.0, now_s - heard.at_s)
    return _Alarm(heard.kind[:64], heard.why[:LONGEST_WHY], ago_s)
