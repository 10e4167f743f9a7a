"""Builds the desks of the staff pages, one for each page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import doorctl
from doorctl.access.calendar import BY_STAFF, Mode
from doorctl.access.day import Override
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.staff_text import refuse_purpose
from doorctl.ops.machine import DataDisk
from doorctl.ports import Clock, Visit
from doorctl.privacy.audit import Action, Deed, Details, Entry, Head, Verdict
from doorctl.privacy.hold import Hold, HoldAsked, HoldShown, chosen
from doorctl.privacy.letters import Export
from doorctl.privacy.statistics import Gathered
from doorctl.privacy.subject import Erasure
from doorctl.rpc import deeds
from doorctl.rpc.control import Question, ask
from doorctl.services import holding, opening, records, subject, visits
from doorctl.services.app import App, outdated
from doorctl.services.branch import change
from doorctl.services.explain import Explanation
from doorctl.services.hours import hours_now
from doorctl.services.numbers import DoorsNumbers, Numbers, TakenAs
from doorctl.services.purging import Audited
from doorctl.services.records import note
from doorctl.services.register import open_register
from doorctl.web.desks import (
    AuditDesk,
    BranchPicture,
    DoorLog,
    DoorNow,
    ExplainDesk,
    HoldDesk,
    HoursNow,
    Named,
    NowDesk,
    RegisterNow,
    StatisticsDesk,
    SubjectDesk,
)
from doorctl.wiring.desks_log import DoorLogDesk

# The branch as it is now, and what staff do about it from a page.

LOOK_LIMIT_S = 1.0
"""Longest wait for the door's own word: a page is shown without it rather than late."""

DEED_LIMIT_S = 5.0


class BranchNowDesk:
    """Implements `doorctl.web.desks.NowDesk`. Thread-safe."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def now(self) -> BranchPicture:
        """Return the branch as it is now; what can't be had is None."""
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
        """Have the door let a person in once, if the audit log takes the entry."""
        refuse_purpose(reason, "reason")
        self._note(Deed(Action.OPENED_ONCE, why=reason), by)
        opening.open_once(App(self._config, self._clock), reason, by, DEED_LIMIT_S)

    def trust_clock(self, by: str) -> None:
        """Say that the clock is right, if the audit log takes the entry."""
        self._note(Deed(Action.CLOCK_TRUSTED), by)
        opening.trust_clock(App.of(self._config), DEED_LIMIT_S)

    def set_mode(self, mode: Mode, until: datetime, cause: str, by: str) -> None:
        """Set a mode by hand until a time."""
        change(App.of(self._config), deeds.set_mode(Override(mode, until, cause, by)), by)

    def end_mode(self, by: str) -> None:
        """Go back to the calendar."""
        change(App.of(self._config), deeds.end_mode(), by)

    def _note(self, deed: Deed, by: str) -> None:
        # A door that does not run does nothing that could go on record.
        ask(self._config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
        note(App.of(self._config), deed, by)

    def _door(self) -> DoorNow | None:
        try:
            told = ask(self._config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
        except DoorctlError:
            return None
        return _door_now(told)

    def _hours(self) -> HoursNow | None:
        try:
            hours = hours_now(App.of(self._config))
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
                stamp = patrons.stamp()
        except StoreError as error:
            return RegisterNow(None, 0, None, str(error))
        age, problem = stamp.age(now), outdated(stamp, self._config)
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


# Cards and people at the staff pages: why refused, bans, passes, a person's rights.


class WhyDesk:
    """Implements `doorctl.web.desks.ExplainDesk`. Thread-safe."""

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Say whether a card would get in at a time, and why not; None means now."""
        return visits.explain(
            self._config, typed, at, why, taken_as=taken_as, numbers=self._numbers, by=by
        )

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget a card's wrong PINs."""
        visits.unlock(self._config, typed, taken_as=taken_as, numbers=self._numbers, by=by)


class PeopleDesk:
    """Implements `doorctl.web.desks.SubjectDesk`. Thread-safe."""

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""
        return self._config.branch.id

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of a person."""
        return subject.export(self._config, _named(named), why, numbers=self._numbers, by=by)

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase a person in every database."""
        return subject.erase(self._config, _named(named), why, numbers=self._numbers, by=by)

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep a person's data and use them for nothing; tell whether any card is known."""
        return subject.restrict(self._config, _named(named), why, numbers=self._numbers, by=by)

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use a person's data again."""
        subject.unrestrict(self._config, _named(named), why, numbers=self._numbers, by=by)


def _named(named: Named) -> subject.Named:
    return subject.Named(named.typed, named.patron_ref, named.taken_as)


# Hours, counts, holds and the audit log at the staff pages.


class CountsDesk:
    """Implements `doorctl.web.desks.StatisticsDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def branch(self) -> str:
        """Return the branch's id."""
        return self._config.branch.id

    def usage(self, since: date | None, until: date | None) -> Gathered:
        """Return the counts of whole local days, gathered."""
        return visits.statistics(self._config, since, until)


class TrailDesk:
    """Implements `doorctl.web.desks.AuditDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def entries(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        account: str | None,
        action: Action | None,
        by: str,
    ) -> tuple[Entry, ...]:
        """Return the entries that fit, newest first; this reading goes on the log too."""
        found = records.entries(App.of(self._config), since, by=by)
        return tuple(
            one
            for one in reversed(found)
            if (until is None or one.at < until)
            and account in (None, one.by)
            and action in (None, one.deed.action)
        )

    def verify(self) -> Verdict:
        """Return whether the chain is whole."""
        return records.verify(App.of(self._config))

    def head(self) -> Head:
        """Return the chain's end."""
        return records.head(App.of(self._config))


class IncidentDesk:
    """Implements `doorctl.web.desks.HoldDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def every(self) -> tuple[tuple[Hold, bool], ...]:
        """Return each hold and whether it is in force."""
        found, moment = holding.stored(App.of(self._config))
        return tuple((one, one.in_force(moment)) for one in found)

    def add(self, asked: HoldAsked) -> Hold:
        """Add a hold for a window of visits; lift it again where the audit log fails."""
        added = holding.add(App.of(self._config), asked)
        times = {"from": added.since, "to": added.to, "until": added.until}
        span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
        details: Details = {"number": added.number, **span}
        try:
            note(
                App.of(self._config),
                Deed(Action.HOLD_ADDED, why=asked.reason, details=details),
                asked.by,
            )
        except DoorctlError:
            holding.lift(App.of(self._config), added.number, asked.by)
            raise
        return added

    def lift(self, number: int, by: str) -> Hold:
        """Lift a hold, if the audit log takes the entry."""
        chosen(holding.stored(App.of(self._config))[0], number)
        note(App.of(self._config), Deed(Action.HOLD_LIFTED, details={"number": number}), by)
        return holding.lift(App.of(self._config), number, by)

    def visits(self, number: int, by: str) -> Sequence[Visit]:
        """Return the visits of a hold that may be shown now; audited."""
        return holding.show(App.of(self._config), number, by, self._audited).visits

    def _audited(self, event: Audited) -> None:
        if isinstance(event, HoldShown):
            details = {"number": event.hold.number, "visits": event.visits}
            note(App.of(self._config), Deed(Action.HOLD_SHOWN, details=details), event.by)


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks, one for each page."""

    log: DoorLog
    now: NowDesk
    explain: ExplainDesk
    statistics: StatisticsDesk
    subject: SubjectDesk
    audit: AuditDesk
    holds: HoldDesk


def desks(config: Config, clock: Clock) -> Desks:
    """Return the desks of the web process; the door process seals their numbers."""
    numbers = DoorsNumbers(config.control.socket)
    return Desks(
        log=DoorLogDesk(config, clock, numbers),
        now=BranchNowDesk(config, clock),
        explain=WhyDesk(config, numbers),
        statistics=CountsDesk(config),
        subject=PeopleDesk(config, numbers),
        audit=TrailDesk(config),
        holds=IncidentDesk(config),
    )
