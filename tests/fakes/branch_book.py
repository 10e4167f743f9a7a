"""Bans, passes and hours in memory: the same contract suite as the SQLite adapter's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from doorctl.access.calendar import (
    DaySource,
    Mode,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.access.day import Override
from doorctl.access.rights import Ban, BanEntry, Pass, PassEntry, codes_allowed
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.store.branch import known, today
from doorctl.store.branch_writer import (
    refuse_ban,
    refuse_days,
    refuse_one_more,
    refuse_override,
    refuse_pass,
)

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Banned:
    ban: Ban
    row_key: bytes | None
    patron_ref: str | None
    lifted_at: datetime | None = None

    def ended_before(self, cutoff: datetime) -> bool:
        ends = [end for end in (self.lifted_at, self.ban.until) if end is not None]
        return bool(ends) and min(ends) < cutoff


@dataclass(frozen=True, slots=True)
class _Issued:
    held: Pass
    row_key: bytes
    revoked_at: datetime | None = None

    def in_force(self, day: date) -> bool:
        return self.revoked_at is None and self.held.last_day >= day


class MemoryBranch:
    """`BranchBook` and `BranchWriter`; `broken` makes every call fail.

    Attributes:
        kept_unused: row keys and `patron_ref` that are restricted.
    """

    def __init__(self) -> None:
        self.broken = False
        self._week: StoredWeek | None = None
        self.kept_unused: set[bytes | str | None] = set()
        self._commits = 0
        self._bans: dict[int, _Banned] = {}
        self._passes: dict[int, _Issued] = {}
        self._numbers = {"ban": 0, "pass": 0}
        self._sources: dict[DaySource, StoredDays] = {}
        self._override: Override | None = None
        self.elsewhere: dict[str | None, int] = {}

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted."""
        self._fail_if_broken()
        return tuple(
            one.ban
            for one in self._bans.values()
            if one.lifted_at is None
            and (one.row_key == row_key or (patron_ref and one.patron_ref == patron_ref))
        )

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes of a card or code that were not revoked, newest first."""
        self._fail_if_broken()
        own = [one for one in self._passes.values() if one.row_key == row_key]
        return tuple(one.held for one in reversed(own) if one.revoked_at is None)

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether a card or its patron is among :attr:`kept_unused`."""
        self._fail_if_broken()
        return row_key in self.kept_unused or patron_ref in self.kept_unused

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have told of."""
        self._fail_if_broken()
        return self.elsewhere.get(patron_ref, 0)

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:  # noqa: ARG002
        """Replace what other branches have told."""
        self._fail_if_broken()
        self.elsewhere = dict(elsewhere.items())

    def calendar(self) -> StoredCalendar:
        """Return the stored hours."""
        self._fail_if_broken()
        sources = sorted(self._sources.values(), key=lambda one: one.source.value)
        return StoredCalendar(tuple(sources), self._week)

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it."""
        self._fail_if_broken()
        return self._override

    def version(self) -> int:
        """Return the number of calls that changed something."""
        self._fail_if_broken()
        return self._commits

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban, newest first."""
        self._fail_if_broken()
        return tuple(
            BanEntry(one.ban, _pseudonym(one.row_key), one.patron_ref, one.lifted_at)
            for one in reversed(self._bans.values())
        )

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass, newest first."""
        self._fail_if_broken()
        return tuple(
            PassEntry(one.held, one.row_key.hex()[:8], one.revoked_at)
            for one in reversed(self._passes.values())
        )

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron, or both."""
        refuse_ban(ban, moment, row_key, patron_ref)
        stored = replace(ban, number=self._next("ban"))
        self._bans[stored.number] = _Banned(stored, row_key, patron_ref)
        self._commit(moment)
        return stored

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban."""
        self._fail_if_broken()
        found = self._bans.get(number)
        if found is None or found.lifted_at is not None:
            raise InputError(f"there is no ban {number} that could be lifted")
        self._bans[number] = replace(found, lifted_at=known(moment))
        self._commit(moment)
        return found.ban

    def change_ban(self, ban: Ban, moment: Moment) -> Ban:
        """Store a ban anew."""
        self._fail_if_broken()
        refuse_ban(ban, moment, None, "known")
        found = self._bans.get(ban.number)
        if found is None or found.lifted_at is not None:
            raise InputError("there is no ban of that number")
        self._bans[ban.number] = replace(found, ban=ban)
        self._commit(moment)
        return ban

    def change_pass(self, held: Pass, moment: Moment) -> Pass:
        """Store a pass anew."""
        self._fail_if_broken()
        refuse_pass(held, moment)
        found = self._passes.get(held.number)
        if found is None or found.revoked_at is not None:
            raise InputError("there is no pass of that number")
        self._passes[held.number] = replace(found, held=held)
        self._commit(moment)
        return held

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass."""
        refuse_pass(new, moment)
        valid = [one for one in self._passes.values() if one.in_force(today(moment))]
        refuse_one_more(new, sum(one.row_key == row_key for one in valid))
        digits = new.code_digits
        codes = [one for one in valid if one.held.code_digits == digits]
        if digits is not None and len(codes) >= codes_allowed(digits):
            raise InputError(f"too many codes of {digits} digits")
        stored = replace(new, number=self._next("pass"))
        self._passes[stored.number] = _Issued(stored, row_key)
        self._commit(moment)
        return stored

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back."""
        self._fail_if_broken()
        found = self._passes.get(number)
        if found is None or found.revoked_at is not None:
            raise InputError(f"there is no pass {number} that could be revoked")
        self._passes[number] = replace(found, revoked_at=known(moment))
        self._commit(moment)
        return found.held

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> StoredDays:
        """Replace all that a source said of today and later."""
        listed = tuple(sorted(days, key=lambda one: one.day))
        refuse_days(listed, moment)
        before = self._sources[source].days if source in self._sources else ()
        past = tuple(one for one in before if one.day < today(moment))
        said = StoredDays(source, listed, known_until, known(moment))
        self._sources[source] = replace(said, days=past + listed)
        self._commit(moment)
        return said

    def set_week(self, week: StoredWeek, moment: Moment) -> None:
        """Replace the usual week."""
        self._week = week
        self._commit(moment)

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand."""
        refuse_override(override, moment)
        self._override = override
        self._commit(moment)

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand."""
        found = self._override
        if found is None or (found.until <= known(moment) and found.mode is not Mode.LOCKDOWN):
            raise InputError("no mode is set by hand")
        self._override = None
        self._commit(moment)
        return found

    def close(self) -> None:
        """Do nothing."""

    def _next(self, what: str) -> int:
        self._fail_if_broken()
        self._numbers[what] += 1
        return self._numbers[what]

    def _commit(self, moment: Moment) -> None:
        self._fail_if_broken()
        self._commits += 1
        if moment.dependable:
            self._forget(known(moment) - KEPT, today(moment) - KEPT)

    def _forget(self, cutoff: datetime, first_day: date) -> None:
        self._bans = {
            number: one for number, one in self._bans.items() if not one.ended_before(cutoff)
        }
        self._passes = {
            number: one
            for number, one in self._passes.items()
            if one.held.last_day >= first_day
            and (one.revoked_at or datetime.max.replace(tzinfo=UTC)) >= cutoff
        }
        for source, said in self._sources.items():
            kept = tuple(one for one in said.days if one.day >= first_day)
            self._sources[source] = replace(said, days=kept)
        held = self._override
        if held is not None and held.until < cutoff and held.mode is not Mode.LOCKDOWN:
            self._override = None

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the memory branch was told to fail")


def _pseudonym(row_key: bytes | None) -> str | None:
    return None if row_key is None else row_key.hex()[:8]
