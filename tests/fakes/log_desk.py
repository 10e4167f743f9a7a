"""A door log and its holds in memory; the same contract as the real desks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from doorctl.access.calendar import Mode
from doorctl.cards.numbers import normalise
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.core.staff_text import refuse_purpose, refuse_text
from doorctl.ports import Visit
from doorctl.privacy.hold import Hold, HoldAsked, accepted, chosen
from doorctl.web.desks import DayPicture, LogFilter, LogPage, ModeBand, Slot

ZONE = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 11, 25, 19, 30, tzinfo=ZONE)
MOST_EXPORTED = 1000
KEY = bytes(range(16))
"""The row key of the one card that is known."""

PSEUDONYM = KEY[:4].hex()


def visit(
    number: int,
    reason: str | None = "ok",
    *,
    at: datetime | None = None,
    card: str | None = PSEUDONYM,
) -> Visit:
    """Return an attempt, this evening where no time is given; None for one under way."""
    verdict = None if reason is None else "granted" if reason == "ok" else "refused"
    moment = at or NOW - timedelta(hours=1) + timedelta(minutes=number)
    return Visit(number, moment.astimezone(UTC), ClockState.TRUSTED, verdict, reason, card)


@dataclass
class FakeLogDesk:
    """Implements `DoorLog`.

    Args:
        visits: by number.
        refs: the library system's numbers, by pseudonym.
        picture: what `day` returns beside the slots.
        most_reveals: so many may be looked up.
        most_exported: so many may be saved at once.
        done: what was looked at, why and by whom.
        broken: whether nothing can be read.
    """

    visits: dict[int, Visit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=lambda: {PSEUDONYM: "1001"})
    bands: tuple[ModeBand, ...] = ()
    inside: tuple[tuple[datetime, int], ...] = ()
    most_reveals: int = 20
    most_exported: int = MOST_EXPORTED
    done: list[tuple[str, ...]] = field(default_factory=list)
    broken: bool = False
    written: int = 0

    def write(self, *visits: Visit) -> None:
        """Commit attempts, new ones or as they have ended."""
        self.visits |= {one.attempt: one for one in visits}
        self.written += 1

    def page(self, chosen: LogFilter, *, before: int | None = None, limit: int = 50) -> LogPage:
        """Return attempts, newest first."""
        found = [one for one in self._every()[::-1] if before is None or one.attempt < before]
        fitting = [one for one in found if _fits(one, chosen)]
        return LogPage(tuple(fitting[:limit]), more=len(fitting) > limit)

    def after(self, number: int, limit: int = 100) -> tuple[Visit, ...]:
        """Return attempts with higher numbers."""
        return tuple(one for one in self._every() if one.attempt > number)[:limit]

    def last(self) -> int:
        """Return the highest number."""
        return max((one.attempt for one in self._every()), default=0)

    def version(self) -> int:
        """Return how often anything was written."""
        return self.written

    def day(self, day: date) -> DayPicture:
        """Return the picture of a day."""
        slots: dict[datetime, Slot] = {}
        for one in self._every():
            local = one.at.astimezone(ZONE)
            starts = local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0)
            if local.date() == day and one.verdict is not None:
                slot = slots.get(starts, Slot(starts, 0, 0))
                more = one.verdict == "granted"
                slots[starts] = replace(
                    slot, granted=slot.granted + more, refused=slot.refused + (not more)
                )
        return DayPicture(day, tuple(slots[at] for at in sorted(slots)), self.bands, self.inside)

    def search(self, typed: str, by: str) -> frozenset[bytes]:
        """Return the one key."""
        if not normalise(typed):
            raise InputError("that is no card number")
        self.done.append(("search", by))
        return frozenset({KEY})

    def reveal(self, attempt: int, purpose: str, by: str) -> str | None:
        """Return whose card it was."""
        refuse_purpose(purpose)
        if sum(one[0] == "reveal" for one in self.done) >= self.most_reveals:
            raise InputError("an account may look up 20 people an hour and 60 a day; wait")
        self.done.append(("reveal", str(attempt), purpose, by))
        found = self.visits.get(attempt)
        return None if found is None else self.refs.get(found.card or "")

    def export(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        """Return all that fit, oldest first."""
        refuse_purpose(purpose)
        found = tuple(one for one in self._every() if _fits(one, chosen))
        if len(found) > self.most_exported:
            raise InputError(
                "more than {n} attempts fit, and part of them would look like all; choose fewer "
                "days",
                n=self.most_exported,
            )
        self.done.append(("export", str(len(found)), purpose, by))
        return found

    def _every(self) -> list[Visit]:
        if self.broken:
            raise StoreError("visits.db can't be read")
        return [self.visits[number] for number in sorted(self.visits)]


@dataclass
class FakeHoldDesk:
    """Implements `HoldDesk`.

    Args:
        log: what is held.
        holds: by number.
        done: what was done, and by whom.
        now: aware.
    """

    log: FakeLogDesk = field(default_factory=FakeLogDesk)
    holds: dict[int, Hold] = field(default_factory=dict)
    done: list[tuple[str, ...]] = field(default_factory=list)
    now: datetime = NOW

    def every(self) -> tuple[tuple[Hold, bool], ...]:
        """Return each hold and whether it is in force."""
        return tuple((one, one.in_force(self._moment())) for one in self.holds.values())

    def add(self, asked: HoldAsked) -> Hold:
        """Add a hold."""
        refuse_text("reason", asked.reason)
        number = len(self.done) + 1
        hold = accepted(asked, self._moment(), timedelta(days=30)).numbered(number)
        self.holds[number] = hold
        self.done.append(("added", asked.case, asked.by))
        return hold

    def lift(self, number: int, by: str) -> Hold:
        """Lift a hold."""
        lifted = chosen(self.holds.values(), number)
        self.done.append(("lifted", str(number), by))
        return self.holds.pop(lifted.number)

    def visits(self, number: int, by: str) -> Sequence[Visit]:
        """Return what a hold holds."""
        hold = chosen(self.holds.values(), number)
        self.done.append(("shown", str(number), by))
        return [one for one in self.log.after(0, 1000) if hold.since <= one.at < hold.to]

    def _moment(self) -> Moment:
        return Moment(self.now, self.now.astimezone(UTC), ClockState.TRUSTED)


def evening(starts: int, ends: int, mode: Mode = Mode.SELF_SERVICE) -> ModeBand:
    """Return a mode between two hours of today; 24 is midnight."""
    midnight = NOW.replace(hour=0, minute=0)
    return ModeBand(midnight + timedelta(hours=starts), midnight + timedelta(hours=ends), mode)


def _fits(one: Visit, chosen: LogFilter) -> bool:
    return (
        chosen.verdict in {None, one.verdict or "open"}
        and (not chosen.reasons or one.reason in chosen.reasons)
        and (chosen.since is None or one.at >= chosen.since)
        and (chosen.until is None or one.at < chosen.until)
        and (chosen.cards is None or one.card in {key[:4].hex() for key in chosen.cards})
    )
