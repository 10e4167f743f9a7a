"""Questions and answers between the door and the web process, over their Unix sockets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Condition, Lock
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply, LibrarySystem
from doorctl.access.panel import Kind, PanelState, PanelView
from doorctl.access.patron import ROW_KEY_BYTES, SealedRow
from doorctl.core.alarms import RaisedAlarm, Source
from doorctl.core.errors import DoorctlError, LibrarySystemError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import AlarmOnce, Clock, EventLog, NotSentError, Unshown
from doorctl.core.raised import Raised
from doorctl.privacy.erasure import PartErased
from doorctl.privacy.subject import Subject
from doorctl.rpc.control import Answers, Call, Done, Nothing
from doorctl.sync.rows import decode_row, encode

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


class _Key(Unshown, frozen=True):
    """A key on its way; in memory only."""

    key: str
    attempt: int


class PanelBoard:
    """What the screen shows, for every page that asks; implements `Panel`. Thread-safe.

    `first_seq`, the number of the first view, differs after each start of the door, so that nobody
    takes the first view of this run for the last one of the run before.
    """

    def __init__(self, first_seq: int, longest_s: float = LOOK_S) -> None:
        self._changed = Condition()
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


PANEL = Call("panel", _After, PanelView, "door")
KEY = Call("key", _Key, Nothing, "door")


def panel_answers(board: PanelBoard, press: Callable[[str, int], None]) -> Answers:
    """Return the door's answers to the page."""

    def key(pressed: _Key) -> Nothing:
        press(pressed.key, pressed.attempt)
        return Nothing()

    return {**PANEL.answered(lambda about: board.look(about.after)), **KEY.answered(key)}


class PanelOverSocket:
    """The door, as the screen's page sees it; `longest_s` limits a look. Thread-safe.

    Raises NotAnsweringError: the door doesn't run, or it gave no answer in time. StoreError: it
    answered that it could not do it.
    """

    def __init__(self, path: Path, longest_s: float = LOOK_S) -> None:
        self._path = path
        self._limit_s = longest_s + MARGIN_S

    def look(self, after: int) -> PanelView:
        """Return the view as soon as its number is not `after`, 0 for none, or after a while."""
        return PANEL.ask(self._path, _After(after), timeout_s=self._limit_s)

    def press(self, key: str, attempt: int) -> None:
        """Press a key of the screen; it is stored nowhere, and void for any attempt but this one.

        Raises InputError: the screen has no such key.
        """
        KEY.ask(self._path, _Key(key, attempt), timeout_s=KEY_LIMIT_S)


# A person's rights: each database's one writer is asked over its process's Unix socket.


class SubjectRequest(Unshown, frozen=True):
    """A question to a database's writer about a person.

    `by` is the caller's login, on the caller's own word: the socket is for its owner and root.
    `epoch` is the push that the register holds; `why`, for the audit log, may be empty.
    """

    row_keys: list[bytes]
    patron_ref: str | None
    epoch: int
    by: str
    why: str = ""

    @property
    def subject(self) -> Subject:
        """The person."""
        return Subject(frozenset(self.row_keys), self.patron_ref)


def about(subject: Subject, by: str, epoch: int, why: str = "") -> SubjectRequest:
    """Return a question about a person."""
    return SubjectRequest(sorted(subject.row_keys), subject.patron_ref, epoch, by, why)


_TOO_LONG = "the person has too many cards for one question; name them one by one"

ERASE_VISITS = Call("subject_erase_visits", SubjectRequest, Done[PartErased], "door", _TOO_LONG)
ERASE_PATRON = Call("subject_erase_patron", SubjectRequest, Done[PartErased], "web", _TOO_LONG)
ERASE_RIGHTS = Call("subject_erase_rights", SubjectRequest, Done[PartErased], "web", _TOO_LONG)


# Alarms go from the door, which has no network, to web, over both Unix sockets.

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""


class _Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm on its way; `ago_s` is how long it waited at the door."""

    kind: Annotated[str, Meta(max_length=64)]
    why: Annotated[str, Meta(max_length=LONGEST_WHY)] = ""
    ago_s: Annotated[float, Meta(ge=0)] = 0.0


class _Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    standing: tuple[_Alarm, ...]
    well: tuple[Annotated[str, Meta(max_length=64)], ...] = ()


ALARM = Call("alarm", _Alarm, Nothing, "web")
STANDING = Call("alarms", Nothing, _Standing, "door")
"""Web's question to the door: which of its alarms stand, and which would be wrong now."""


def send_alarm(path: Path, clock: Clock, heard: RaisedAlarm) -> None:
    """Send an alarm to the web process, with how long it has waited.

    Raises NotSentError: web does not answer, or does not take alarms.
    """
    try:
        ALARM.ask(path, _sent(heard, clock.monotonic_s()), timeout_s=LIMIT_S)
    except DoorctlError as err:
        raise NotSentError(str(err)) from err


def alarm_answers(hear: Callable[[RaisedAlarm], None], clock: Clock) -> Answers:
    """Return the web process's answer to the door's ``alarm``.

    `hear` takes note of an alarm and must not block; the monotonic seconds of web's own clock
    count.
    """

    def answer(alarm: _Alarm) -> Nothing:
        hear(_heard(alarm, clock.monotonic_s()))
        return Nothing()

    return ALARM.answered(answer)


def standing_answers(raised: Callable[[], Raised], clock: Clock) -> Answers:
    """Return the door's answer to web's ``alarms``; `raised` must be thread-safe."""

    def answer(_about: Nothing) -> _Standing:
        now_s, doors = clock.monotonic_s(), raised()
        standing = tuple(_sent(heard, now_s) for heard in doors.standing())
        return _Standing(standing, tuple(sorted(doors.well())))

    return STANDING.answered(answer)


def ask_standing(path: Path, clock: Clock) -> tuple[tuple[RaisedAlarm, ...], frozenset[str]]:
    """Ask the door which of its alarms stand, and of which kinds it has found that all is well.

    Web's own monotonic seconds count. Raises DoorctlError: it does not answer, or not to this.
    """
    said = STANDING.ask(path, Nothing(), timeout_s=LIMIT_S)
    now_s = clock.monotonic_s()
    return tuple(_heard(alarm, now_s) for alarm in said.standing), frozenset(said.well)


def _sent(heard: RaisedAlarm, now_s: float) -> _Alarm:
    return _Alarm(heard.kind[:64], heard.why[:LONGEST_WHY], max(0.0, now_s - heard.at_s))


def _heard(alarm: _Alarm, now_s: float) -> RaisedAlarm:
    return RaisedAlarm(alarm.kind, alarm.why, now_s - alarm.ago_s, Source.DOOR)


# The library system's answers on their way between the two processes, over web's Unix socket.

KEEP_LIMIT_S = 5.0
"""Longest wait for web to have kept a row; a push under way is waited for, up to this."""

SILENT = LibraryReply(LibraryAnswer.SILENT)


class _Card(Unshown, frozen=True):
    """A card in a question; in memory only."""

    key: bytes
    kind: IdentifierKind
    number: str
    pin: str
    row_wanted: bool


class _Kept(Unshown, frozen=True):
    """A sealed row to be kept, as it would stand in a push."""

    row: str
    row_until: date | None
    pin_until: date
    learnt_on: date


LIBRARY = Call("library", _Card, LibraryReply, "web")
KEEP = Call("keep", _Kept, Nothing, "web")


class LibraryOverSocket:
    """Ask the web process, which has a network, for the library system's word. One thread.

    It never raises, for a failure behind it does not concern the door. Each answer is waited for
    `timeout_s` at the longest; `log` gets an alarm where a row could not be kept.
    """

    def __init__(self, path: Path, timeout_s: float, log: EventLog) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._log = log

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by row key and number; silent where no answer comes or can be read."""
        number = identifier.reveal().partition(":")[2]
        about = _Card(card, identifier.kind, number, pin.reveal(), row_wanted)
        try:
            return LIBRARY.ask(self._path, about, timeout_s=self._timeout_s)
        except DoorctlError:
            return SILENT

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have web keep a row; where it can't, the next visit asks anew."""
        about = _Kept(encode(row).decode(), row_until, pin_until, learnt_on)
        try:
            KEEP.ask(self._path, about, timeout_s=KEEP_LIMIT_S)
        except DoorctlError as err:
            self._log.emit("alarm", kind="not_kept", why=str(err))


def library_answers(ask: Callable[..., LibraryReply], keep: Callable[..., None]) -> Answers:
    """Return the web process's answers to the door's questions ``library`` and ``keep``.

    They are called as `LibraryLimiter.ask` and `PatronCacheWriter.keep`, which may raise
    DoorctlError.
    """

    def answer_card(card: _Card) -> LibraryReply:
        if len(card.key) != ROW_KEY_BYTES:
            raise StoreError("that is no row key")
        identifier = Identifier(card.kind, card.number)
        return ask(card.key, identifier, Pin(card.pin), row_wanted=card.row_wanted)

    def answer_keep(kept: _Kept) -> Nothing:
        days = {"row_until": kept.row_until, "pin_until": kept.pin_until}
        keep(_sealed(kept.row), **days, learnt_on=kept.learnt_on)
        return Nothing()

    return {**LIBRARY.answered(answer_card), **KEEP.answered(answer_keep)}


def _sealed(line: str) -> SealedRow:
    try:
        return decode_row(line.encode())
    except ValueError as err:
        raise StoreError(f"that row can't be kept: {err}") from None


# Asks the library system about a card that the cache can't judge: once, and not twice.

AT_A_TIME = 2
"""Questions at the library system; one door has one reader, and a second swipe may follow."""

MOST_CARDS = 10_000
"""Cards that rest at a time: 1 MB, and more than all patrons of a night can mistype."""

WAITS = LibraryReply(LibraryAnswer.WAITS)


class LibraryLimiter:
    """Spares the library system, and each patron's attempts there. Thread-safe.

    After a no, or an error that may have been one, the card rests for `pause_s` seconds, so that
    two attempts of the patron are never spent in a row. A card is asked about once at a time.

    `log` hears ``library_silent`` when it stops answering and ``library_answers`` when it is back,
    once each.
    """

    def __init__(
        self, system: LibrarySystem, clock: Clock, log: EventLog, *, pause_s: float
    ) -> None:
        self._system = system
        self._clock = clock
        self._pause_s = pause_s
        self._guard = Lock()
        self._asking: set[bytes] = set()
        # Until when each card rests; as all rest equally long, the first is the first to go.
        self._resting: dict[bytes, float] = {}
        self._silent = AlarmOnce(log, "library_silent")

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about one card and PIN, within the library system's own time limit.

        Errors of the library system are not raised. The card rests under its row key, `card`;
        `row_wanted` asks for the patron's row too.

        Returns:
            The library system's answer; at once ``WAITS`` for a card that rests or is being asked
            about, and ``SILENT`` where too many are.
        """
        refusal = self._begin(card)
        if refusal is not None:
            return refusal
        spent = True
        try:
            reply = self._system.ask(identifier, pin, row_wanted=row_wanted)
            spent = reply.answer is not LibraryAnswer.YES
        except LibrarySystemError as error:
            spent = error.spent
            self._hear(str(error))
            return SILENT
        finally:
            self._end(card, spent=spent)
        self._hear(None)
        return reply

    def _begin(self, card: bytes) -> LibraryReply | None:
        with self._guard:
            self._wake(self._clock.monotonic_s())
            if card in self._resting or card in self._asking:
                return WAITS
            # Forgetting the oldest would let a flood of wrong PINs buy a card its next guess.
            if len(self._asking) >= AT_A_TIME or len(self._resting) >= MOST_CARDS:
                return SILENT
            self._asking.add(card)
            return None

    def _end(self, card: bytes, *, spent: bool) -> None:
        with self._guard:
            self._asking.discard(card)
            if spent:
                self._resting[card] = self._clock.monotonic_s() + self._pause_s

    def _wake(self, now_s: float) -> None:
        while self._resting:
            first = next(iter(self._resting))
            if self._resting[first] > now_s:
                return
            del self._resting[first]

    def _hear(self, why: str | None) -> None:
        """Log once that it fails, and once that it answers again."""
        with self._guard:
            self._silent.tell(why)
