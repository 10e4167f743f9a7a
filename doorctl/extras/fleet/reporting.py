"""A branch's own end of its reports: it looks at itself, and says what is new, and all regularly.

The door has no part in it, and nothing waits for it: what is not heard is said again.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import doorctl
from doorctl.core.errors import DoorctlError
from doorctl.extras.fleet.connection import LOST
from doorctl.extras.fleet.messages import up_of
from doorctl.extras.fleet.reports import (
    EARLIEST,
    NightCounts,
    StandingAlarm,
    Status,
    body_of_part,
    headers_of_report,
)
from doorctl.privacy.statistics import shown
from doorctl.services.visits import finished_night
from doorctl.store.signing_keys import read_signing_key
from doorctl.web.staff.branch_state import branch_now, course_of, read_or_none, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from doorctl.core.alarm_records import AlarmRecord
    from doorctl.extras.fleet.keeping import KeptConnection
    from doorctl.extras.fleet.reports import Part
    from doorctl.lookup.app import App
    from doorctl.web.alarms import StandingAlarms
    from doorctl.web.staff.branch_state import BranchPicture

LOOK_S: Final = 5.0
"""Between two looks of a branch at itself."""

A_MOMENT: Final = timedelta(milliseconds=1)

AGAIN_S: Final = 300.0
"""The same is said again after so long: by that a hub sees that a branch is there."""


class Reporter:
    """Says how a branch is, by its connection; `turn` is called every :data:`LOOK_S`.

    It belongs to one thread. A report that is not sent is made anew at the next turn.
    """

    def __init__(
        self, app: App, alarms: StandingAlarms, key_file: Path, connection: KeptConnection
    ) -> None:
        self._app, self._alarms = app, alarms
        self._key_file, self._connection = key_file, connection
        self._said: dict[str, tuple[bytes, float]] = {}
        self._times = 0
        self._at = EARLIEST
        self._night: NightCounts | None = None

    def turn(self) -> None:
        """Say what is new since the last turn, or was not said for long, or by this connection."""
        if not self._connection.stands:
            return
        if self._times != self._connection.times:
            self._said.clear()
            self._times = self._connection.times
        for name, part in self._parts():
            # Lost with the connection, of whose end the log says why, or key that can't be read.
            with suppress(DoorctlError, *LOST):
                self._say(name, body_of_part(part))

    def _say(self, name: str, body: bytes) -> None:
        now_s = self._app.clock.monotonic_s()
        said, at_s = self._said.get(name, (b"", now_s))
        if body == said and now_s - at_s < AGAIN_S:
            return
        branch = self._app.config.branch.id
        # By the clock as it is: a hub compares it with its own, and each report has to be later.
        at = self._at = max(self._app.clock.moment().local, self._at + A_MOMENT)
        headers = headers_of_report(branch, name, at, body, read_signing_key(self._key_file))
        self._connection.say(up_of(branch, name), body, headers)
        self._said[name] = body, now_s

    def _parts(self) -> Iterator[tuple[str, Part]]:
        yield "status", status_of(self._app, branch_now(self._app), self._standing())
        night = self._counted()
        if night is not None:
            yield "night", night

    def _standing(self) -> Sequence[AlarmRecord] | None:
        return read_or_none(self._alarms.standing)

    def _counted(self) -> NightCounts | None:
        """Return the last night's counts; of a night that is over, those that were counted once."""
        night = read_or_none(lambda: finished_night(self._app, self._last_until()))
        if night is not None:
            self._night = NightCounts(
                night.since,
                night.until,
                _rounded(night.granted),
                _rounded(night.refused),
                night.events,
            )
        return self._night

    def _last_until(self) -> datetime | None:
        return None if self._night is None else self._night.until


def status_of(app: App, now: BranchPicture, alarms: Sequence[AlarmRecord] | None) -> Status:
    """Return how a branch is, without an alarm of which nothing may be said, or its own words."""
    told = None if alarms is None else [alarm for alarm in alarms if not alarm.known.wordless]
    summary, course = summary_of(now, told), course_of(now)
    register = now.register
    return Status(
        name=app.config.branch.name,
        version=doorctl.__version__,
        door=None if now.door is None else now.door["door"],
        clock=None if now.door is None else now.door["clock"],
        lockdown=summary.lockdown,
        mode=course.mode,
        by_card=course.by_card,
        until=course.until,
        then=course.then,
        until_lifted=course.until_lifted,
        alarms=None if told is None else tuple(map(_without_words, told)),
        faults=summary.faults,
        register_at=None if register is None else register.applied_at,
    )


def _without_words(alarm: AlarmRecord) -> StandingAlarm:
    return StandingAlarm(
        kind=alarm.kind,
        since=alarm.since,
        count=alarm.count,
        acknowledged=alarm.acknowledged_by is not None,
    )


def _rounded(count: int) -> int | None:
    return 0 if count == 0 else shown(count)
