"""The web process's notifiers: one for each way out, and a watch over the door."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from datetime import timedelta
from hashlib import sha256
from threading import Lock
from typing import Generic, TypeVar

from doorctl.core.alarm_records import own_words
from doorctl.core.alarms import DOOR_SILENT, ENDS, NOT_SENT, RaisedAlarm, Urgency, kind_of
from doorctl.core.errors import DoorctlError, NotAnsweringError
from doorctl.core.moments import Moment
from doorctl.core.ports import WELL, AlarmOnce, AlarmSink, Clock, EventLog, Notice, NotSentError
from doorctl.core.raised import Raised
from doorctl.notices.rationing import Ration, Rationing

T = TypeVar("T", bound=RaisedAlarm | Notice)

MOST_WAITING = 50
"""More than a night's alarms; the oldest is dropped first: the newest says how things are."""

NEAR_PAUSES_S = (5.0, 10.0)
"""After each failure in a row, to a neighbour on this machine: it is back in seconds, and asking
costs nothing. With the 15 s between two turns no try is later than 15 s."""

FAR_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0)
"""The same over a network; the last one goes on. A line that is down is back after these."""

URGENT_PAUSE_S = 600.0
"""Longest pause while an urgent item waits."""

GIVEN_UP_S = 3 * 3600.0
"""How long after its first try an item is kept: the next failure after that drops it."""


@dataclass(slots=True, eq=False)
class _Kept(Generic[T]):
    item: T
    tried_s: float | None = None


@dataclass(eq=False)
class AlarmLog:
    """An EventLog that also passes on each ``alarm``. Thread-safe, never blocks, never raises.

    `log` gets every line first, so that the journal has it whatever happens then; `hear` must
    neither block nor raise. `raised` is what stands. What is ``well`` is no line: only where an
    alarm is over by it, its end is.
    """

    log: EventLog
    hear: Callable[[RaisedAlarm], None]
    clock: Clock
    raised: Raised = field(default_factory=Raised)

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; of an alarm only its kind and its words are passed on."""
        if event not in {"alarm", WELL}:
            self.log.emit(event, **fields)
            return
        kind, part = str(fields.get("kind", "")), str(fields.pop("part", ""))
        why, now_s = str(fields.get("why") or ""), self.clock.monotonic_s()
        if event == WELL:
            if not self.raised.find_well(kind, part):
                return
            kind = ENDS[kind]
            fields = {"kind": kind}
        elif not self.raised.hear(RaisedAlarm(kind, why, now_s, part=part)):
            return
        self.log.emit("alarm", **fields)
        self.hear(RaisedAlarm(kind, why, now_s))


@dataclass(eq=False)
class Outbox(Generic[T]):
    """Keep items in order and try to hand over the oldest until that works.

    Items about somebody in danger go before all others. A new urgent item ends the pause: all
    waiting items are tried at once.

    `put` is thread-safe and never waits; `turn` is for one thread.

    Args:
        failed: called with the reason, once until an item goes again.
        went: called after each item that went.
        most: items kept, and as many again about somebody in danger.
        pauses_s: seconds after each failure in a row; the last one goes on.
    """

    send: Callable[[T], None]
    failed: Callable[[str], None]
    _: KW_ONLY
    went: Callable[[], None] = lambda: None
    most: InitVar[int] = MOST_WAITING
    pauses_s: Sequence[float] = NEAR_PAUSES_S
    given_up_s: float = GIVEN_UP_S

    def __post_init__(self, most: int) -> None:
        self._guard = Lock()
        self._for_people: deque[_Kept[T]] = deque(maxlen=most)
        self._others: deque[_Kept[T]] = deque(maxlen=most)
        self._hurry = False
        self.fails = False
        self._failures = 0
        self._next_s = 0.0

    def kinds(self) -> frozenset[str]:
        """Return the kinds of all items that wait. Thread-safe."""
        with self._guard:
            kept = (*self._for_people, *self._others)
        return frozenset(waiting.item.kind for waiting in kept)

    def put(self, item: T) -> None:
        """Keep an item; where there are too many, the oldest is lost."""
        with self._guard:
            self._line(item).append(_Kept(item))
            self._hurry = self._hurry or _is_urgent(item)

    def hurry(self) -> None:
        """End the pause: what waits is tried at the next turn. Thread-safe."""
        with self._guard:
            self._hurry = True

    def turn(self, now_s: float) -> bool:
        """Hand over what waits, unless the last failure was too recent; tell whether any is left.

        Any error other than `NotSentError` reaches the caller; its item is lost.
        """
        while (kept := self._next(now_s)) is not None:
            try:
                self.send(kept.item)
            except NotSentError as err:
                self._put_off(kept, str(err), now_s)
            except BaseException:
                # A bug in doorctl costs one item, not all that come after it.
                self._drop(kept)
                raise
            else:
                self._failures, self._next_s, self.fails = 0, 0.0, False
                self._drop(kept)
                self.went()
        return bool(self._for_people or self._others)

    def _line(self, item: T) -> deque[_Kept[T]]:
        return self._for_people if kind_of(item.kind).for_people else self._others

    def _next(self, now_s: float) -> _Kept[T] | None:
        with self._guard:
            if self._hurry:
                # Only here, because it may have come while another item was about to fail.
                self._hurry, self._failures, self._next_s = False, 0, 0.0
            if now_s < self._next_s:
                return None
            return next((line[0] for line in (self._for_people, self._others) if line), None)

    def _put_off(self, kept: _Kept[T], why: str, now_s: float) -> None:
        self._next_s = now_s + self._pause_s()
        self._failures += 1
        if kept.tried_s is None:
            kept.tried_s = now_s
        if now_s - kept.tried_s >= self.given_up_s:
            self._drop(kept)
        if not self.fails:
            self.fails = True
            self.failed(why)

    def _pause_s(self) -> float:
        pause_s = self.pauses_s[min(self._failures, len(self.pauses_s) - 1)]
        with self._guard:
            urgent = self._for_people or any(_is_urgent(kept.item) for kept in self._others)
        return min(pause_s, URGENT_PAUSE_S) if urgent else pause_s

    def _drop(self, kept: _Kept[T]) -> None:
        with self._guard:
            line = self._line(kept.item)
            # Meanwhile it may have been dropped as the oldest of too many.
            if line and line[0] is kept:
                line.popleft()


def _is_urgent(item: RaisedAlarm | Notice) -> bool:
    return kind_of(item.kind).urgency is Urgency.NOW


SILENT_AFTER = 3
"""Unanswered questions in a row before the alarm: a restart takes less."""


class Notifier:
    """Turn alarms into notices for one sink, limit how many, and have them sent.

    Nothing is sent before the first `renew`. `hear` is thread-safe and never waits; `turn` waits
    for the sink, and for a turn under way. The log gets ``alarm_not_sent``, with the sink's `name`,
    when the sink begins to fail, and its end when the sink takes a notice. `wake` is called when
    there is something to send.
    """

    _sink: AlarmSink
    _clock: Clock
    _failing: AlarmOnce

    def __init__(self, branch: str, name: str, ration: Ration) -> None:
        self._branch = branch
        self._name = name
        self._guard, self._turning = Lock(), Lock()
        self._rationing = Rationing(ration)
        self._outbox: Outbox[Notice] = Outbox(
            self._send, self._failed, pauses_s=FAR_PAUSES_S, went=lambda: self._failing.tell(None)
        )
        self.wake: Callable[[], None] = lambda: None

    def renew(self, sink: AlarmSink, ration: Ration, *, clock: Clock, log: EventLog) -> None:
        """Switch to these; waiting notices are tried at the next turn. Thread-safe."""
        with self._guard:
            self._sink, self._clock = sink, clock
            self._failing = AlarmOnce(log, NOT_SENT, self._name, stands=self.fails or None)
            self._rationing.ration = ration
        self._outbox.hurry()

    def hear(self, heard: RaisedAlarm) -> None:
        """Note an alarm."""
        with self._guard:
            self._rationing.hear(heard)
        self.wake()

    @property
    def fails(self) -> bool:
        """Whether the sink took no notice at the last try."""
        return self._outbox.fails

    def silence(self, kind: str) -> None:
        """Send no more of an alarm that staff have acknowledged; see `Rationing.silence`."""
        with self._guard:
            self._rationing.silence(kind)

    def listen(self, kind: str) -> None:
        """Send this kind again: the alarm that was acknowledged is over."""
        with self._guard:
            self._rationing.listen(kind)

    def turn(self) -> bool:
        """Send the due notices; return whether some are left for another turn."""
        with self._turning:
            now_s = self._clock.monotonic_s()
            with self._guard:
                notices = self._rationing.due(now_s)
            moment = self._clock.moment()
            for heard in notices:
                self._outbox.put(notice(heard, self._branch, moment, now_s))
            return self._outbox.turn(now_s) or self._rationing.waits

    def _send(self, made: Notice) -> None:
        self._sink.send(made)

    def _failed(self, why: str) -> None:
        self._failing.tell(f"{self._name}: {why}")


Notifiers = dict[str, Notifier]
"""Each way's notifier, by the way's name."""


def notice(heard: RaisedAlarm, branch: str, moment: Moment, now_s: float) -> Notice:
    """Return the notice of an alarm of the list, with its own words without numbers.

    `now_s` is `moment` by the monotonic clock, from which the alarm's time is counted back.
    """
    at = moment.local - timedelta(seconds=max(0.0, now_s - heard.at_s))
    why = own_words(heard)
    identity = "\n".join((branch, heard.kind, at.isoformat(), why, str(heard.times)))
    number = sha256(identity.encode()).hexdigest()[:32]
    return Notice(number, branch, heard.kind, at, moment.state, why, heard.times)


@dataclass(eq=False)
class DoorWatch:
    """Notice that the door process no longer answers, because nobody else would report it.

    `ask` raises `NotAnsweringError` where it does not answer, and another `DoorctlError` where that
    is not known, such as for want of a socket. The log gets ``door_silent`` and ``door_answers``,
    once each.
    """

    ask: Callable[[], object]
    log: EventLog

    def __post_init__(self) -> None:
        self._silent = AlarmOnce(self.log, DOOR_SILENT)
        self._unanswered = 0

    def turn(self) -> None:
        """Ask once. One thread."""
        try:
            self.ask()
        except NotAnsweringError as err:
            self._unanswered += 1
            if self._unanswered >= SILENT_AFTER:
                self._silent.tell(str(err))
        except DoorctlError:
            pass
        else:
            self._silent.tell(None)
            self._unanswered = 0
