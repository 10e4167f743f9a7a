"""What the door process answers on its socket."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from math import inf
from typing import Any

import doorctl
from doorctl.config import Config
from doorctl.core.alarms import RaisedAlarm
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.core.texts import refuse_purpose
from doorctl.devices.lines import KEYPAD, READER
from doorctl.doord.chores import Chores
from doorctl.doord.controller import Controller
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.ledger import Ledger
from doorctl.doord.loop_events import EventQueue, StaffOpened
from doorctl.doord.sealing import Rate, Rations, sealing_answers, signed_by
from doorctl.doord.self_test import as_answer
from doorctl.doord.stores import DoorStores
from doorctl.lookup.health import Health, alarms_standing, judged, shown
from doorctl.lookup.numbers import OwnNumbers
from doorctl.lookup.release import Release
from doorctl.lookup.witness import believes, confirms
from doorctl.ops.clock import utc_now
from doorctl.rpc.door import OPEN, TRUST_CLOCK, UNLOCK, OpenOnce, TrustClock, TrustedClock, Unlock
from doorctl.rpc.messages import Line
from doorctl.rpc.question import Answers, Empty, Nothing
from doorctl.rpc.status import CHECK, SELF_TEST, STATUS, CheckLine, SelfTest

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
            "good_until": self._good_until(moment),
            "pid": os.getpid(),
            "version": doorctl.__version__,
            "release": release.running,
            "package": release.package,
            "web_age_s": None
            if seen_s is None
            else round(self.stores.clock.monotonic_s() - seen_s),
        }

    def _good_until(self, moment: Moment) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "date": days.ends.astimezone(moment.local.tzinfo).date().isoformat(),
                "days": (days.ends - moment.local).days,
                "near": days.near(moment.local),
            }
            for name, days in self.stores.days.items()
        }

    def _alarms(self, moment: Moment) -> list[dict[str, str]]:
        # By the machine's own clock, set or not: the asking process compares with that.
        now, now_s = moment.local.astimezone(UTC), self.stores.clock.monotonic_s()
        ago = {heard.kind: timedelta(seconds=now_s - heard.at_s) for heard in self.standing()}
        since = {kind: (now - age).astimezone(moment.local.tzinfo) for kind, age in ago.items()}
        return [
            {"kind": kind, "since": at.isoformat(timespec="seconds")} for kind, at in since.items()
        ]

    def _unlock(self, wanted: Unlock, line: Line) -> Empty:
        key, by = bytes.fromhex(wanted.card), signed_by(line, wanted.by)

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
        by = signed_by(line, wanted.by)
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


def _connected(state: bool | None) -> str | None:
    return None if state is None else ("connected" if state else "lost")


SAME_S = 1.0


def check_answers(
    status: Callable[[], Mapping[str, Any]], config: Callable[[], Config], clock: Clock
) -> Answers:
    """Return the door's answers for every user of this machine; they name no person.

    They are made anew after :data:`SAME_S`, so that no caller keeps the door busy. A silent
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
