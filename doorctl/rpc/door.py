"""Questions and answers between the door and the web process, over their Unix sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from doorctl.access.panel import Kind, PanelState
from doorctl.core.errors import DoorctlError, InputError, StoreError
from doorctl.core.rationing import Heard
from doorctl.ports import Clock, NotSentError
from doorctl.ports.devices import PanelView
from doorctl.privacy.subject import PartErased, Subject
from doorctl.rpc.control import LINE_LIMIT, Answer, Answers, Question, ask

# The screen's state and its keys: the door keeps only what is shown now. A page that hangs, or
# none, costs it nothing: each page waits on a thread of the socket, and few may wait at a time.

LOOK_S: Final = 20.0
"""Longest wait for something new; shorter than any time-out on the way."""

MOST_WAITING: Final = 4
"""So many pages may wait; the one that has waited longest is answered when another comes."""

MARGIN_S: Final = 5.0
KEY_LIMIT_S: Final = 2.0
"""A key that was not taken by then is lost: the patron sees that nothing happened."""


class _After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: int


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key on its way; in memory only."""

    key: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#", "*"]
    attempt: int

    def __repr__(self) -> str:
        return "_Key(***)"


class PanelBoard:
    """What the screen shows, for every page that asks; implements `Panel`. Thread-safe.

    `first_seq`, the number of the first view, differs after each start of the door, so that nobody
    takes the first view of this run for the last one of the run before.
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
        """Return the view once its number is not `after`, or once the longest wait is over."""
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
    """Return the door's answers to the page; `press` is None where the screen has no keys."""

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
    """Ask the door process; implements `PanelDoor`. `longest_s` limits a look. Thread-safe."""

    def __init__(self, path: Path, longest_s: float = LOOK_S) -> None:
        self._path = path
        self._limit_s = longest_s + MARGIN_S

    def look(self, after: int) -> PanelView:
        """Return the view as soon as its number is not `after`, or after a while."""
        told = ask(self._path, Question("panel", {"after": after}), timeout_s=self._limit_s)
        try:
            return msgspec.convert(told, PanelView)
        except msgspec.ValidationError as err:
            raise StoreError("the door's answer about the screen can't be read") from err

    def press(self, key: str, attempt: int) -> None:
        """Press a key; it is stored nowhere."""
        try:
            about = msgspec.convert({"key": key, "attempt": attempt}, _Key)
        except msgspec.ValidationError:
            # Its text would quote what was typed.
            raise InputError("that is no key") from None
        question = Question("key", msgspec.to_builtins(about))
        ask(self._path, question, timeout_s=KEY_LIMIT_S)


# A person's rights: each database's one writer is asked over its process's Unix socket.

ERASE_VISITS = "subject_erase_visits"
"""A question to the door process; all others are for web."""

ERASE_PATRON = "subject_erase_patron"
ERASE_RIGHTS = "subject_erase_rights"
RESTRICT = "subject_restrict"
UNRESTRICT = "subject_unrestrict"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a database's writer about a person.

    `by` is the caller's login, on the caller's own word: the socket is for its owner and root.
    `epoch` is the push that the register holds; `why`, for the audit log, may be empty.
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
    """Ask a process one of the questions above; return its result, as it travelled.

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
    """Return the result of an erasure.

    Raises:
        StoreError: the process is of another version.
    """
    try:
        return msgspec.convert(done, PartErased)
    except msgspec.ValidationError:
        raise StoreError("the process is of another version; restart it") from None


def answering(work: Callable[[Asked], object]) -> Callable[[Question], Answer]:
    """Return a process's answer to one of the questions.

    `work` does it on the writer's thread and may raise `DoorctlError`; each question calls it on a
    thread of its own.
    """

    def answer(question: Question) -> Answer:
        about = msgspec.convert(question.about, _About)
        subject = Subject(frozenset(about.row_keys), about.patron_ref)
        done = work(Asked(subject, about.by, about.epoch, about.why))
        return {"done": msgspec.to_builtins(done)}

    return answer


# Alarms go from the door, which has no network, to web, over both Unix sockets.

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""

STANDING = "alarms"
"""Web's question to the door: which of its alarms stand."""


class _Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm on its way; `ago_s` is how long it waited at the door."""

    kind: Annotated[str, Meta(max_length=64)]
    why: Annotated[str, Meta(max_length=LONGEST_WHY)] = ""
    ago_s: Annotated[float, Meta(ge=0)] = 0.0


class AlarmsOverSocket:
    """Send alarms to the web process. Thread-safe."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def send(self, heard: Heard) -> None:
        """Send one alarm, with how long it has waited.

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
    """Return the web process's answer to the door's ``alarm``.

    `hear` takes note of an alarm and must not block; the monotonic seconds of web's own clock
    count.
    """

    def answer(question: Question) -> Answer:
        told = msgspec.convert(question.about, _Alarm)
        hear(Heard(told.kind, told.why, clock.monotonic_s() - told.ago_s))
        return {}

    return {"alarm": answer}


class _Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    standing: tuple[_Alarm, ...]


def standing_answers(standing: Callable[[], tuple[Heard, ...]], clock: Clock) -> Answers:
    """Return the door's answer to web's ``alarms``; `standing` must be thread-safe."""

    def answer(_question: Question) -> Answer:
        now_s = clock.monotonic_s()
        return {"standing": [msgspec.to_builtins(_told(one, now_s)) for one in standing()]}

    return {STANDING: answer}


def ask_standing(path: Path, clock: Clock) -> tuple[Heard, ...]:
    """Ask the door which of its alarms stand; web's own monotonic seconds count.

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
