"""What the door process answers on its socket."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from math import inf
from typing import Any

import doorctl
from doorctl.access.rights import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.config import Config
from doorctl.core.alarms import (
    RaisedAlarm,
)
from doorctl.core.errors import InputError
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock, EventLog
from doorctl.core.texts import refuse_purpose, refuse_text
from doorctl.doord.chores import Chores
from doorctl.doord.controller import KEYPAD, READER, Controller
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.jobs import EventQueue, Ledger, StaffOpened
from doorctl.doord.self_test import as_answer
from doorctl.doord.stores import DoorStores
from doorctl.lookup.cards import Reading
from doorctl.lookup.health import Health, alarms_standing, judged, shown
from doorctl.lookup.numbers import Numbers, OwnNumbers
from doorctl.lookup.release import Release
from doorctl.lookup.witness import believes, confirms
from doorctl.ops.clock import utc_now
from doorctl.rpc import numbers as questions
from doorctl.rpc.door import OPEN, TRUST_CLOCK, UNLOCK, OpenOnce, TrustClock, TrustedClock, Unlock
from doorctl.rpc.messages import Line
from doorctl.rpc.question import Answers, Empty, Nothing
from doorctl.rpc.status import CHECK, SELF_TEST, STATUS, CheckLine, SelfTest

# What the door process seals for staff at the pages: slowly, so that nobody can try numbers.


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on questions: `burst` at once, and then `per_second`; more get the `refusal`."""

    burst: int
    per_second: float
    refusal: str


_NUMBERS_REFUSED = "too many numbers were asked for at once; try again later"

NUMBERS = Rate(10, 3.0, _NUMBERS_REFUSED)
"""At this rate all CPR numbers of one birth date take an hour, and those of a century some 35 000:
more than staff ever need, and too few for a captured web process."""

OWN_PINS = Rate(5, 5 / 3600, _NUMBERS_REFUSED)
"""A pass with a PIN of its own is rare. A thief of the register could compare the answers with
it: all four-digit PINs of one known card take twelve weeks, and each answer is a trace."""


NEW_CODES = Rate(20, 20 / 3600, "the door made too many codes just now; wait a few minutes")
"""More than an event needs; each is a line in the journal."""

OPENINGS = Rate(5, 5 / 60, "the door was opened too often just now; wait a minute")
"""More than a desk needs where people stand in a row; a captured web process has no more."""

UNLOCKS = Rate(
    24,
    1 / 3600,
    "too many cards were unlocked just now; wait an hour, or have a technician run doorctl patrons "
    "unlock",
)
"""The cards of a busy evening at once; of a captured web process as many as staff would do."""

UNLOCKS_OF_ONE = Rate(
    3,
    1 / (7 * 86_400),
    "this card was unlocked too often lately; have its PIN changed, or have a technician run "
    "doorctl patrons unlock",
)
"""Each gives a card ten guesses at its PIN: so some 560 in a year, 5.6 % of all. Root has no limit,
and a patron who forgets a PIN that often needs another one."""


class Rations:
    """The door's limits for web, by rate and what it is about; thread-safe.

    They begin anew with the door process, which web's user can't restart. `left` has how many more
    questions there may be, and as of when; a limit that is full again takes no memory.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._guard = threading.Lock()
        self.left: dict[tuple[Rate, bytes], tuple[float, float]] = {}

    def take(self, rate: Rate, what: bytes = b"") -> None:
        """Count a question; raise InputError where it is above the limit."""
        now_s = self._monotonic_s()
        with self._guard:
            self.left = {
                about: (left, now_s)
                for about, (then, at_s) in self.left.items()
                if (left := then + (now_s - at_s) * about[0].per_second) < about[0].burst
            }
            left, _ = self.left.get((rate, what), (rate.burst, now_s))
            if left < 1:
                raise InputError(rate.refusal)
            self.left[rate, what] = left - 1, now_s


def sealing_answers(numbers: Numbers, rations: Rations, log: EventLog) -> Answers:
    """Return the answers to the questions of `DoorsNumbers`; on the socket's threads."""
    # One at a time: each takes 19 MiB for a moment, and a patron may be waiting for as much.
    alone = threading.Lock()

    def keys(number: questions.Typed) -> questions.ReadingKeys:
        rations.take(NUMBERS)
        with alone:
            readings = numbers.readings(number.typed, number.taken_as)
        return questions.ReadingKeys.of(reading.keys for reading in readings)

    def pin_check(own: questions.PinOf) -> questions.PinCheck:
        rations.take(OWN_PINS)
        digits = own.pin.reveal()
        if not (digits.isascii() and digits.isdigit()):
            raise InputError("a PIN has digits only")
        reading = Reading(IdentifierKind.CARD, bytes.fromhex(own.key))
        with alone:
            check = numbers.pin_check(own.typed, reading, own.pin)
        return questions.PinCheck(check.hex())

    def new_code(wanted: questions.NewCode, line: Line) -> questions.MadeCode:
        by = _signed(line, wanted.by)
        if not MIN_CODE_DIGITS <= wanted.digits <= MAX_CODE_DIGITS:
            raise InputError(f"a code has {MIN_CODE_DIGITS} to {MAX_CODE_DIGITS} digits")
        rations.take(NEW_CODES)
        log.emit("new_code", by=by)
        with alone:
            made = numbers.new_code(wanted.digits, by)
        return questions.MadeCode(made.digits, made.key.hex())

    return {
        **questions.SEAL.answered(lambda _nothing: numbers.seal()),
        **questions.KEYS.answered(keys),
        **questions.PIN_CHECK.answered(pin_check),
        **questions.NEW_CODE.answered_to(new_code),
    }


@dataclass(eq=False)
class DoorAnswers:
    """Answers questions about the running door; on the socket's threads.

    `standing` returns the door's own alarms that stand, `web_seen_s` when web gave its last sign of
    life, monotonic, None where there is no web; both must be thread-safe. What may be asked
    how often begins anew with each.
    """

    stores: DoorStores
    ledger: Ledger
    chores: Chores
    controller: Controller
    doorway: DoorDriver
    event_queue: EventQueue
    standing: Callable[[], tuple[RaisedAlarm, ...]]
    web_seen_s: Callable[[], float | None] = lambda: None

    def __post_init__(self) -> None:
        self._rations = Rations(self.stores.clock.monotonic_s)

    def answers(self) -> Answers:
        """Return the answers on the door's socket."""
        return {
            **STATUS.answered(lambda _nothing: self.status()),
            **UNLOCK.answered_to(self._unlock),
            **SELF_TEST.answered(lambda _nothing: self._self_test()),
            **OPEN.answered_to(self._open_once),
            **TRUST_CLOCK.answered(self._trust_clock),
            **sealing_answers(OwnNumbers(self.stores.sealer), self._rations, self.controller.log),
        }

    def lines(self) -> dict[str, bool]:
        """Return which lines are connected, of those that were tried so far."""
        return {name: up for name, up in self.controller.connected.items() if up is not None}

    def status(self) -> dict[str, Any]:
        """Return how the door is; from any thread."""
        connected, moment = self.controller.connected, self.stores.clock.moment()
        count = self.doorway.head_count if self.doorway.watched else None
        register = self.stores.register
        age, made = register.age(moment), self.stores.backup_at
        seen_s, release = self.web_seen_s(), Release.of_this_program()
        return {
            "deciding": self.controller.turns,
            "reader": _connected(connected.get(READER)),
            "keypad": _connected(connected.get(KEYPAD)),
            "released": self.doorway.released,
            "door": self.doorway.state,
            "inside": None if count is None else count.estimate,
            "inside_low": None if count is None else count.low,
            "inside_high": None if count is None else count.high,
            "clock": moment.state.value,
            "clock_in_doubt": utc_now().isoformat() if moment.in_doubt else None,
            "clock_unconfirmed": moment.local.isoformat(timespec="seconds")
            if moment.unconfirmed
            else None,
            "waits_for_witness": self.controller.daily.paused,
            "clock_doubt": moment.doubt.value,
            "alarms": self._alarms(moment),
            "epoch": register.epoch,
            "cache_age_s": None if age is None else round(age.total_seconds()),
            "backup_age_s": None if made is None else round((moment.local - made).total_seconds()),
            "good_until": {
                name: {
                    "date": days.ends.astimezone(moment.local.tzinfo).date().isoformat(),
                    "days": (days.ends - moment.local).days,
                    "near": days.near(moment.local),
                }
                for name, days in self.stores.days.items()
            },
            "pid": os.getpid(),
            "version": doorctl.__version__,
            "release": release.running,
            "package": release.package,
            "web_age_s": None
            if seen_s is None
            else round(self.stores.clock.monotonic_s() - seen_s),
        }

    def _alarms(self, moment: Moment) -> list[dict[str, str]]:
        # By the machine's own clock, set or not: whoever asks compares with that.
        now, now_s = moment.local.astimezone(UTC), self.stores.clock.monotonic_s()
        ago = {heard.kind: timedelta(seconds=now_s - heard.at_s) for heard in self.standing()}
        since = {kind: (now - age).astimezone(moment.local.tzinfo) for kind, age in ago.items()}
        return [
            {"kind": kind, "since": at.isoformat(timespec="seconds")} for kind, at in since.items()
        ]

    def _unlock(self, wanted: Unlock, line: Line) -> Empty:
        key, by = bytes.fromhex(wanted.card), _signed(line, wanted.by)

        def unlock() -> None:
            # A number has several readings, and only those with something to forget count.
            if not self.ledger.has_failures(key):
                return
            if line.asker is not None:
                self._rations.take(UNLOCKS)
                self._rations.take(UNLOCKS_OF_ONE, key)
            self.ledger.unlock(key)
            self.controller.log.emit("unlocked", by=by)

        self.stores.answer_by_worker(unlock)
        return Empty()

    def _self_test(self) -> SelfTest:
        lines = self.lines()
        return self.stores.answer_by_worker(lambda: as_answer(self.chores.self_test(lines)))

    def _open_once(self, wanted: OpenOnce, line: Line) -> Empty:
        by = _signed(line, wanted.by)
        # It goes on the append-only log.
        refuse_purpose(wanted.reason, "reason")
        if line.asker is not None:
            self._rations.take(OPENINGS)
        self.event_queue.put(StaffOpened(wanted.reason, by, wanted.until_s))
        return Empty()

    def _trust_clock(self, clock: TrustClock) -> TrustedClock:
        stores = self.stores
        if clock.said is not None:
            return confirms(stores.clock, clock.said)
        answer = believes(stores.clock)
        now, boot = stores.clock.moment().local, stores.clock.boot_time()
        stores.answer(lambda: stores.visits.settle(now.astimezone(UTC), boot))
        return answer


def _signed(line: Line, by: str) -> str:
    """Return the asker for the append-only log: the account `by`, and the user of its process."""
    refuse_text("account", by)
    return line.signed(by)


def _connected(state: bool | None) -> str | None:
    return None if state is None else ("connected" if state else "lost")


SAME_S = 1.0


def check_answers(
    status: Callable[[], Mapping[str, Any]], config: Callable[[], Config], clock: Clock
) -> Answers:
    """Return the door's answers for every user of this machine; they name nobody.

    They are made anew after :data:`SAME_S`, so that nobody keeps the door busy by asking. A silent
    call for help is left out: a screen in the hall may show the line.
    """
    kept: tuple[float, CheckLine] = (-inf, CheckLine(Health.UNKNOWN, ""))

    def answer(_nothing: Nothing) -> CheckLine:
        nonlocal kept
        if clock.monotonic_s() - kept[0] >= SAME_S:
            state, now = status(), clock.moment().known_time
            alarms = alarms_standing(config(), state["alarms"]) or []
            health, line = judged(state, shown(alarms, now), config())
            kept = clock.monotonic_s(), CheckLine(health.value, line)
        return kept[1]

    return CHECK.answered(answer)
