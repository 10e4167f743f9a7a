"""The branch as it is now, and what staff do about it from a page."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import doorctl
from doorctl.access.calendar import BY_STAFF, Mode
from doorctl.access.modes import Override
from doorctl.access.staff_text import refuse_purpose
from doorctl.bootstrap import opening
from doorctl.bootstrap.audit import note
from doorctl.bootstrap.branch import change
from doorctl.bootstrap.hours import hours_now
from doorctl.bootstrap.register import open_register
from doorctl.bootstrap.rules import outdated
from doorctl.config import Config
from doorctl.errors import DoorctlError, StoreError
from doorctl.ops.disk import DataDisk
from doorctl.ports import Clock
from doorctl.privacy.audit import Action, Deed
from doorctl.transports.branch_requests import EndMode, SetMode
from doorctl.transports.control import Question, ask
from doorctl.web.desks import BranchPicture, DoorNow, HoursNow, RegisterNow

LOOK_LIMIT_S = 1.0
"""Longest wait for the door's own word: a page is shown without it rather than late."""

DEED_LIMIT_S = 5.0


class BranchNowDesk:
    """Implements `doorctl.web.desks.NowDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        clock: any.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def now(self) -> BranchPicture:
        """Return the branch; what can't be had is None."""
        moment = self._clock.moment()
        return BranchPicture(
            at=moment.local,
            door=self._door(),
            hours=self._hours(),
            register=self._register(),
            disk_free_bytes=self._free(),
            version=doorctl.__version__,
        )

    def open_once(self, reason: str, by: str) -> None:
        """Have the door let somebody in once, if that can be put on the audit log."""
        refuse_purpose(reason, "reason")
        self._note(Deed(Action.OPENED_ONCE, why=reason), by)
        opening.open_once(self._config, self._clock, reason, by, DEED_LIMIT_S)

    def trust_clock(self, by: str) -> None:
        """Say that the clock is right, if that can be put on the audit log."""
        self._note(Deed(Action.CLOCK_TRUSTED), by)
        opening.trust_clock(self._config, DEED_LIMIT_S)

    def set_mode(self, mode: Mode, until: datetime, cause: str, by: str) -> None:
        """Set a mode by hand until a time."""
        change(self._config, SetMode(Override(mode, until, cause, by)), by)

    def end_mode(self, by: str) -> None:
        """Go back to the calendar."""
        change(self._config, EndMode(), by)

    def _note(self, deed: Deed, by: str) -> None:
        # A door that does not run does nothing that could go on record.
        ask(self._config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
        note(self._config, deed, by)

    def _door(self) -> DoorNow | None:
        try:
            told = ask(self._config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
        except DoorctlError:
            return None
        return _door_now(told)

    def _hours(self) -> HoursNow | None:
        try:
            hours = hours_now(self._config)
        except StoreError:
            return None
        stands, following = hours.standing, hours.next_change
        zone = hours.moment.local.tzinfo
        return HoursNow(
            mode=stands.mode,
            cause=stands.cause,
            override=hours.override if stands.cause in BY_STAFF else None,
            changes_at=None if stands.until is None else stands.until.astimezone(zone),
            becomes=None if following is None else following[1],
            opens_next=hours.opens_next,
            today=hours.calendar.day(hours.moment.local.date()),
        )

    def _register(self) -> RegisterNow:
        now = self._clock.moment()
        try:
            with open_register(self._config) as patrons:
                stamp, behind = patrons.stamp(), patrons.behind()
        except StoreError as error:
            return RegisterNow(None, 0, None, str(error))
        age: timedelta | None = None
        if stamp.applied_at is not None and now.dependable:
            age = now.local - stamp.applied_at
        problem = outdated(stamp, self._config) or behind
        return RegisterNow(stamp.epoch, stamp.patrons, age, problem)

    def _free(self) -> int | None:
        with suppress(StoreError):
            return DataDisk(self._config.storage.directory).free_bytes()
        return None


def _door_now(told: dict[str, Any]) -> DoorNow:
    doubt = told.get("clock_in_doubt")
    return DoorNow(
        reader=told.get("reader"),
        keypad=told.get("keypad"),
        leaf=str(told.get("door")),
        released=bool(told.get("released")),
        inside=told.get("inside"),
        inside_low=told.get("inside_low"),
        inside_high=told.get("inside_high"),
        clock=str(told.get("clock")),
        version=str(told.get("version")),
        in_doubt=datetime.fromisoformat(doubt) if isinstance(doubt, str) else None,
    )
