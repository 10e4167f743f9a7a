"""The store's ports in memory: they pass the same contract suites as the SQLite adapters."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from doorctl.access.patron import Applied, CacheStamp, Patron, Reason, SealedRow
from doorctl.access.policy import Policy
from doorctl.access.ports import Closed, Opened
from doorctl.access.throttle import A_CODE, CODES_KEY, CardThrottle, ReaderThrottle
from doorctl.core.errors import RowsClashError, StoreError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import BootTime, ClockState, Stamped
from doorctl.privacy.statistics import ATTEMPT, HourCount
from doorctl.store.door_log import Visit
from doorctl.sync.receive import Guard, Push
from tests.fakes.shut_out import Week


class FastSealer:
    """A `Sealer` that costs nothing and protects nothing."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the identifier's SHA-256."""
        return StretchedKey(hashlib.sha256(identifier.reveal().encode()).digest())


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the library system said of a card."""

    patron: Patron
    learnt_on: date
    row_until: date | None
    pin_until: date


class MemoryPatrons:
    """`PatronLookup` and `PatronWriter` over dicts; `broken` makes every call fail."""

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 - frozen
        self.broken = False
        self._week = Week(policy)
        self._commits = 0
        self._rows: dict[bytes, Patron] = {}
        self._learnt: dict[bytes, _Kept] = {}
        self._asked: dict[bytes, _Kept] = {}
        self._stamp = CacheStamp(epoch=0, applied_at=None, minimum_age=0, patrons=0)
        self._push = Push(0)

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key."""
        self._fail_if_broken()
        patron, kept = self._rows.get(row_key), self._kept(row_key)
        if kept is None:
            return patron
        if patron is None:
            return replace(kept.patron, pin_until=kept.row_until, pushed=False)
        return replace(
            patron,
            pin_check=kept.patron.pin_check,
            pin_until=kept.pin_until,
            weak_pin=kept.patron.weak_pin,
        )

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age."""
        self._fail_if_broken()
        return self._stamp

    def version(self) -> int:
        """Return how often something was committed."""
        self._fail_if_broken()
        return self._commits

    def held(self) -> Push:
        """Return the push that is held."""
        self._fail_if_broken()
        return self._push

    def apply(
        self,
        rows: Iterable[SealedRow],
        *,
        full: bool,
        applied_at: datetime | None,
        minimum_age: int,
        guard: Guard,
        removals: Iterable[str] = (),
        push: Push | None = None,
        approved: bool = False,
    ) -> Applied:
        """Apply rows as a whole or not at all."""
        self._fail_if_broken()
        whole = full or push is not None or self._stamp.epoch == 0
        if not full and self._stamp.epoch and minimum_age != self._stamp.minimum_age:
            raise RowsClashError("sealed for another minimum age; load the full feed again")
        rows = list(rows)
        new = _once_each(rows)
        kept = {} if full else self._without({patron.patron_ref for patron in new.values()})
        gone = set(removals)
        robbed = {kept[key].patron_ref for key in kept.keys() & new.keys()}
        if robbed - gone:
            raise RowsClashError(
                "a row takes an identifier from a patron who is not among the rows; "
                "nothing was changed"
            )
        after = kept | new
        named = {key for key, patron in after.items() if patron.patron_ref in gone}
        removed = len(self._rows.keys() - after.keys()) + len(named)
        left = {key: patron for key, patron in after.items() if key not in named}
        told, noted = self._week.judged(self._rows, left, applied_at, _rest(new, left))
        guard(told)
        self._week.noted = {} if approved else noted
        changed = {row.row_key: row.pin_changed for row in rows if row.pin_changed is not None}
        self._give_way(new, changed, gone, applied_at, full=full)
        self._rows = left
        self._learnt = {key: kept for key, kept in self._learnt.items() if key in self._rows}
        self._commits += 1
        self._push = push or Push(self._stamp.epoch + 1)
        at = applied_at if whole else self._stamp.applied_at
        self._stamp = CacheStamp(self._push.epoch, at, minimum_age, len(self._rows))
        return Applied(self._push.epoch, len(self._rows), removed)

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date = date.min
    ) -> None:
        """Keep what the library system said of one card."""
        self._fail_if_broken()
        kept = _Kept(row.patron, learnt_on, row_until, pin_until)
        pushed = self._rows.get(row.row_key)
        if pushed is not None and pushed.pin_check is not None:
            return
        if row.patron.pin_check is None:
            raise StoreError("a row without a PIN check")
        if pushed is None and row_until is None:
            return
        (self._asked if pushed is None else self._learnt)[row.row_key] = kept
        self._commits += 1

    def expire(self, confirmed_before: datetime) -> int:
        """Delete what no push has confirmed since a time."""
        self._fail_if_broken()
        day = confirmed_before.astimezone(UTC).date()
        asked = {key: kept for key, kept in self._asked.items() if kept.learnt_on >= day}
        gone, self._asked = len(self._asked) - len(asked), asked
        at = self._stamp.applied_at
        if at is not None and at < confirmed_before and self._rows:
            gone, self._rows, self._learnt = gone + len(self._rows), {}, {}
            self._push = Push(self._stamp.epoch + 1)
            self._stamp = replace(self._stamp, epoch=self._push.epoch, patrons=0)
        self._commits += 1
        return gone

    def forget(self, now: datetime) -> int:
        """Forget whom pushes shut out more than a week ago."""
        self._fail_if_broken()
        noted, self._week.noted = self._week.noted, self._week.recent(now)
        return len(noted) - len(self._week.noted)

    def close(self) -> None:
        """Do nothing."""

    def _kept(self, row_key: bytes) -> _Kept | None:
        return self._learnt.get(row_key) or self._asked.get(row_key)

    def _give_way(
        self,
        new: dict[bytes, Patron],
        changed: dict[bytes, date],
        gone: set[str],
        at: datetime | None,
        *,
        full: bool,
    ) -> None:
        today = date.min if at is None else at.astimezone(UTC).date()
        named = gone | {patron.patron_ref for patron in new.values()}

        def stays(key: bytes, kept: _Kept) -> bool:
            row, before = new.get(key), self._rows.get(key)
            moved = row is not None and before is not None and row.patron_ref != before.patron_ref
            pushed = row is not None and row.pin_check is not None
            changed_since = key in changed and kept.learnt_on <= changed[key]
            return not (moved or pushed or changed_since or kept.pin_until < today)

        handed_on = {key: kept for key, kept in self._asked.items() if key in new}
        self._learnt = {
            key: kept for key, kept in (self._learnt | handed_on).items() if stays(key, kept)
        }
        self._asked = {
            key: kept
            for key, kept in self._asked.items()
            if not full
            and key not in new
            and kept.patron.patron_ref not in named
            and (kept.row_until or today) >= today
        }

    def _without(self, refs: set[str]) -> dict[bytes, Patron]:
        return {key: patron for key, patron in self._rows.items() if patron.patron_ref not in refs}

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the memory cache was told to fail")


def _rest(rows: dict[bytes, Patron], left: dict[bytes, Patron]) -> dict[bytes, Patron]:
    return {key: row for key, row in rows.items() if key not in left}


def _once_each(rows: Iterable[SealedRow]) -> dict[bytes, Patron]:
    new: dict[bytes, Patron] = {}
    for row in rows:
        if row.row_key in new:
            raise RowsClashError("two rows are of the same identifier; nothing was changed")
        new[row.row_key] = row.patron
    return new


@dataclass(frozen=True, slots=True)
class _Attempt:
    at: Stamped
    row_key: bytes | None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class _Touched:
    throttle: CardThrottle
    at: datetime


@dataclass(frozen=True, slots=True)
class _WrongPin:
    whose: str | bytes
    at: datetime
    answered: bool = False


class MemoryVisits:
    """`VisitLog`, `VisitRetention` and `VisitReader` over dicts; `broken` makes writes fail.

    `survivor`: another one, whose process has died: its open attempts end as faults.
    """

    def __init__(self, survivor: MemoryVisits | None = None) -> None:
        self.broken = False
        self.checkpoint = (0, 0, 0)
        self._attempts: dict[int, _Attempt] = {}
        self._throttles: dict[bytes, _Touched] = {}
        self._wrong_pins: dict[int, _WrongPin] = {}
        self._reader = ReaderThrottle()
        self._high_water: datetime | None = None
        self._last = 0
        self._counts: Counter[tuple[datetime | None, str, str, str]] = Counter()
        if survivor is not None:
            self._inherit(survivor)

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, with the card's throttle as charged for it."""
        self._fail_if_broken()
        attempt, at = opened.attempt, replace(opened.at, utc=_in_ms(opened.at.utc))
        if attempt in self._attempts:
            raise StoreError(f"attempt {attempt} is taken")
        self._attempts[attempt] = _Attempt(at, opened.row_key)
        self._last = max(self._last, attempt)
        self._keep_throttle(opened.row_key, opened.throttle, at.utc)
        if opened.whose is not None:
            self._wrong_pins[attempt] = _WrongPin(opened.whose, at.utc)

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, with the throttles as they stand after it."""
        self._fail_if_broken()
        attempt, reason = closed.attempt, closed.reason
        found = self._attempts.get(attempt)
        if found is None or found.reason is not None:
            raise StoreError(f"attempt {attempt} is not open")
        row_key = closed.row_key or found.row_key
        self._attempts[attempt] = replace(found, reason=reason, row_key=row_key)
        if closed.counted_as is not None:
            hour = None if found.at.state is ClockState.UNTRUSTED else _hour_of(found.at.utc)
            self.add_counts([HourCount(hour, closed.counted_as, ATTEMPT, reason.value, 1)])
        self._keep_throttle(closed.row_key, closed.throttle, found.at.utc)
        if closed.right and attempt in self._wrong_pins:
            owner = self._wrong_pins[attempt].whose
            for number, one in self._wrong_pins.items():
                if one.whose == owner:
                    self._wrong_pins[number] = replace(one, answered=True)
        if closed.right is not False:
            self._wrong_pins.pop(attempt, None)
        self._reader = closed.reader or self._reader

    def add_counts(self, counts: Iterable[HourCount]) -> None:
        """Add to the hourly counts."""
        self._fail_if_broken()
        for one in counts:
            self._counts[one.hour, one.mode, one.kind, one.outcome] += one.count

    def hours(self, since: datetime | None, until: datetime | None) -> Iterator[HourCount]:
        """Yield the counts from a UTC time on, up to another, oldest first."""
        dated = [(cell[0] or NO_HOUR, cell) for cell in self._counts]
        for hour, cell in sorted(dated, key=lambda one: (one[0], one[1][1:])):
            after = since is None or hour >= _hour_of(since)
            if after and (until is None or hour < _hour_of(until)):
                yield HourCount(*cell, self._counts[cell])

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""
        touched = self._throttles.get(row_key)
        return CardThrottle() if touched is None else touched.throttle

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket."""
        return self._reader

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        return sum(one.whose in {row_key, patron_ref} for one in self._wrong_pins.values())

    def many_wrong_pins(self, least: int, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs of those who have many."""
        refs = [one.whose for one in self._wrong_pins.values() if isinstance(one.whose, str)]
        many = [(ref, wrong) for ref, wrong in Counter(refs).most_common() if wrong >= least]
        return dict(many[:most])

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's."""
        self._fail_if_broken()
        self._throttles.pop(row_key, None)
        for number, one in list(self._wrong_pins.items()):
            if one.whose in {row_key, patron_ref}:
                del self._wrong_pins[number]

    def erase(self, row_key: bytes) -> None:
        """Erase a card as its person's erasure does: an open attempt only loses it."""
        left = {n: one for n, one in self._attempts.items() if one.row_key != row_key}
        opened = {n: one for n, one in self._attempts.items() if one.reason is None}
        freed = {n: replace(one, row_key=None) for n, one in opened.items() if n not in left}
        self._attempts = dict(sorted((left | freed).items()))
        self._throttles.pop(row_key, None)

    def last_attempt(self) -> int:
        """Return the highest attempt number ever on record."""
        return self._last

    def prove_writable(self) -> None:
        """Fail where it is broken."""
        self._fail_if_broken()

    def keep_time(self, now: datetime, boot: BootTime, high_water: datetime | None = None) -> None:
        """Store the highest trusted time and date rows that were written before it was known."""
        self._fail_if_broken()
        mark = high_water or now
        self._high_water = max(self._high_water or mark, mark)
        began = now - timedelta(milliseconds=boot.ms)
        for number, attempt in self._attempts.items():
            self._attempts[number] = replace(attempt, at=dated(attempt.at, now, boot))
        for row_key, touched in self._throttles.items():
            at = touched.throttle.at
            known = at is not None and at.boot_id == boot.boot_id
            then = _age_off(now, boot, at) if at and known else min(touched.at, began)
            self._throttles[row_key] = replace(touched, at=then)
        self._date_wrong_pins()

    def delete_before(self, cutoff: datetime) -> int:
        """Delete attempts before a UTC time and throttles untouched since."""
        self._fail_if_broken()
        old = [number for number, attempt in self._attempts.items() if attempt.at.utc < cutoff]
        for number in old:
            del self._attempts[number]
        self._throttles = {
            row_key: touched for row_key, touched in self._throttles.items() if touched.at >= cutoff
        }
        self._purge_wrong_pins(self._high_water or cutoff)
        return len(old)

    def _date_wrong_pins(self) -> None:
        for number in self._wrong_pins.keys() & self._attempts.keys():
            at = self._attempts[number].at.utc
            self._wrong_pins[number] = replace(self._wrong_pins[number], at=at)

    def _purge_wrong_pins(self, now: datetime) -> None:
        for number, one in list(self._wrong_pins.items()):
            age_days = (now.date() - one.at.date()).days
            nobodys = isinstance(one.whose, bytes) and number not in self._attempts
            if nobodys or age_days > (30 if one.answered else 365):
                del self._wrong_pins[number]

    def compact(self) -> tuple[int, int, int]:
        """Return `checkpoint`."""
        self._fail_if_broken()
        return self.checkpoint

    def visits(self, not_before: datetime) -> Iterator[Visit]:
        """Yield attempts from a UTC time on, oldest first."""
        found = [
            (attempt.at.utc, number)
            for number, attempt in self._attempts.items()
            if attempt.at.utc >= not_before
        ]
        for _, number in sorted(found):
            yield self._visit(number)

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""
        return self._high_water

    def close(self) -> None:
        """Do nothing."""

    def _visit(self, number: int) -> Visit:
        attempt = self._attempts[number]
        return Visit(
            attempt=number,
            at=attempt.at.utc,
            clock=attempt.at.state,
            verdict=None if attempt.reason is None else attempt.reason.verdict,
            reason=None if attempt.reason is None else attempt.reason.value,
            card=_card(attempt.row_key),
        )

    def _keep_throttle(
        self, row_key: bytes | None, throttle: CardThrottle | None, at: datetime
    ) -> None:
        if row_key is None or throttle is None:
            return
        self._throttles.pop(row_key, None)
        if throttle.failures:
            self._throttles[row_key] = _Touched(throttle, at)

    def _inherit(self, survivor: MemoryVisits) -> None:
        self._attempts = {
            number: replace(attempt, reason=attempt.reason or Reason.FAULT)
            for number, attempt in survivor._attempts.items()
        }
        self._throttles = dict(survivor._throttles)
        self._wrong_pins = dict(survivor._wrong_pins)
        self._reader = survivor.reader_throttle()
        self._high_water = survivor.high_water()
        self._last = survivor.last_attempt()
        self._counts = Counter(survivor._counts)

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the memory log was told to fail")


def dated(at: Stamped, now: datetime, boot: BootTime) -> Stamped:
    """Return a time as it stands once the right one is known: a guess is corrected."""
    if at.state is not ClockState.UNTRUSTED:
        return at
    if at.boot.boot_id == boot.boot_id:
        return replace(at, utc=_age_off(now, boot, at.boot), state=ClockState.HOLDOVER)
    return replace(at, utc=min(at.utc, now - timedelta(milliseconds=boot.ms)))


def _age_off(now: datetime, boot: BootTime, then: BootTime) -> datetime:
    return now - timedelta(milliseconds=boot.ms_since(then))


NO_HOUR = datetime(1970, 1, 1, tzinfo=UTC)


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _in_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _card(row_key: bytes | None) -> str | None:
    if row_key == CODES_KEY:
        return A_CODE
    return None if row_key is None else row_key.hex()[:8]
