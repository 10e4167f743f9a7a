"""People with special rights: patrons whom the library has banned, and holders of a pass.

Which pass opens in which mode stands in :data:`OPENS_IN`. A ban that may hold does hold; a pass
that may be over is over. Nothing here says who a person is: bans and passes are found by the key
of a card's row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar

from doorctl.access.calendar import DAY_MINUTES, Mode, Span
from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.patron import PIN_CHECK_BYTES, Reason
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.core.texts import LETTER_TEXT, refuse_text

ALL_BRANCHES = "*"
"""In a ban's branches: every branch of the library."""

USUAL_BAN = timedelta(days=90)
"""How long a ban lasts unless staff say otherwise; our choice, no rule that we found names one."""

LONGEST_PASS = timedelta(days=366)
"""Copenhagen gives its institution cards at most a year; who still needs one applies again."""

MOST_SPANS = 6
"""Most times of day that one pass has."""

COMPANIONS_LIMIT = 9
"""The most that one key can say."""

EVERY_DAY = frozenset(range(7))
"""Weekdays as :meth:`datetime.date.weekday` counts them: 0 is Monday."""


class PassKind(Enum):
    """Whom a pass is for."""

    ASSOCIATION = "association"
    CLEANER = "cleaner"
    TECHNICIAN = "technician"
    CLASS = "class"
    STAFF = "staff"
    EMERGENCY = "emergency"


_WHEN_OPEN = frozenset({Mode.STAFFED, Mode.SELF_SERVICE})
OPENS_IN = MappingProxyType(
    {
        PassKind.ASSOCIATION: _WHEN_OPEN,
        PassKind.CLEANER: _WHEN_OPEN,
        PassKind.TECHNICIAN: _WHEN_OPEN,
        PassKind.CLASS: _WHEN_OPEN,
        PassKind.STAFF: _WHEN_OPEN | {Mode.CLOSED},
        PassKind.EMERGENCY: _WHEN_OPEN | {Mode.CLOSED, Mode.LOCKDOWN},
    }
)
"""In which modes a pass opens by its kind; with `outside_hours` it opens while closed too."""

OPEN_BY_ANY_CLOCK = frozenset({PassKind.STAFF, PassKind.EMERGENCY})
"""Kinds that open at an unknown time: people come to set the clock, or to put out the fire."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A patron whom the library keeps out of `branches`, or :data:`ALL_BRANCHES`; 0 is not stored.

    `reason` is what happened, for staff, `by` the account that decided it, `note` the text of the
    letter. It begins at `since`, maybe ahead, and ends just before `until`, None for no end; both
    aware, kept in UTC.

    Raises InputError: the values make no sense together, or a text holds a person's number.
    """

    number: int
    reason: str = field(repr=False)
    since: datetime
    until: datetime | None
    by: str
    branches: frozenset[str]
    note: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for bound in ("since", "until"):
            object.__setattr__(self, bound, _in_utc(getattr(self, bound)))
        if self.until is not None and self.until <= self.since:
            raise InputError("the ban ends before it begins; give a later end")
        if not self.branches or "" in self.branches:
            raise InputError(f"the ban names no branch; name one, or {ALL_BRANCHES} for all")
        refuse_text("reason", self.reason)
        refuse_text("account", self.by)
        refuse_text("letter", self.note, longest=LETTER_TEXT, optional=True)

    def holds(self, moment: Moment, branch: str) -> bool:
        """Tell whether it keeps the patron out of a branch now.

        While the time is unknown it counts as begun, and has ended only if its end is certainly
        past.
        """
        if self.branches.isdisjoint({branch, ALL_BRANCHES}):
            return False
        begun = not moment.dependable or self.since <= moment.latest_known
        # Not by the high-water mark: a clock that once ran ahead would end bans for good.
        return begun and (self.until is None or moment.known_time < self.until)

    def covers(self, other: Ban) -> bool:
        """Tell whether it keeps the same person out as early, as long and as widely as another."""
        as_long = self.until is None or (other.until is not None and other.until <= self.until)
        as_widely = ALL_BRANCHES in self.branches or other.branches <= self.branches
        return self.since <= other.since and as_long and as_widely

    def days(self, moment: Moment) -> tuple[date, date | None]:
        """Return its first and its last local day, None for no end; a moment says what is local."""
        zone = moment.local.tzinfo
        last = None if self.until is None else self.until - timedelta.resolution
        return self.since.astimezone(zone).date(), last and last.astimezone(zone).date()


def banned(bans: Iterable[Ban], moment: Moment, branch: str) -> bool:
    """Tell whether one of a patron's bans holds."""
    return any(ban.holds(moment, branch) for ban in bans)


@dataclass(frozen=True, slots=True)
class Pass:
    """A right to come in on some days at some times, bound to a card or to a code; 0 is not stored.

    Days are local. A time begins on one of `weekdays` (0 is Monday) at `from_minute`, 0-1439, and
    lasts until just before `to_minute` of the same midnight, at most a day later.

    Args:
        last_day: at most :data:`LONGEST_PASS` after the first, but for staff and emergencies.
        outside_hours: it opens while the branch is closed too, as staff and emergency passes do.
        needs_pin: a PIN has to be proved after the card; never for a code, which is its own secret.
        pin_check: its own PIN, sealed as a patron's; None for the patron's. Only with `needs_pin`.
        code_digits: length of the code; None for a card.
        companions_max: how many others the holder may let in with them, 0-9.
        label: the association, firm or school and its purpose, never a person's name.
        more_times: other times of the same days, :data:`MOST_SPANS` in all.

    Raises InputError: the values make no sense together, or the label holds a person's number.
    """

    number: int
    kind: PassKind
    first_day: date
    last_day: date
    weekdays: frozenset[int] = EVERY_DAY
    from_minute: int = 0
    to_minute: int = DAY_MINUTES
    outside_hours: bool = False
    needs_pin: bool = True
    pin_check: bytes | None = field(default=None, repr=False)
    code_digits: int | None = None
    companions_max: int = 0
    label: str = field(default="", repr=False)
    more_times: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        for nonsense, sentence in (*self._wrong_times(), *self._wrong_terms()):
            if nonsense:
                raise InputError(sentence)
        refuse_text("label", self.label)

    @property
    def times(self) -> tuple[Span, ...]:
        """All times of day, one at least."""
        return (Span(self.from_minute, self.to_minute), *self.more_times)

    def admits(self, moment: Moment, mode: Mode | None) -> Reason:
        """Return ``ok``, or why the pass does not open now; the PIN is checked elsewhere.

        An unknown mode is judged as closed; staff's and an emergency's first day counts by any
        clock.
        """
        if self._over(moment):
            return Reason.EXPIRED
        if (mode or Mode.CLOSED) not in self._modes():
            return Reason.CLOSED
        if not moment.dependable:
            opens = self.kind in OPEN_BY_ANY_CLOCK and self._begun_by_any_clock(moment)
            return Reason.OK if opens else Reason.CLOCK_UNTRUSTED
        spans = _spans_that_may_hold(moment.local)
        allowed = any(self._counts(day, minute) for day, minute in spans)
        return Reason.OK if allowed else Reason.NOT_PERMITTED

    def _modes(self) -> frozenset[Mode]:
        return OPENS_IN[self.kind] | ({Mode.CLOSED} if self.outside_hours else set())

    def _over(self, moment: Moment) -> bool:
        # An unset clock may be wrong in either direction; the high-water mark is certainly past.
        (today, _), (yesterday, minute) = _spans_that_may_hold(moment.known_time)
        ends = max(span.closes for span in self.times)
        last_night = yesterday == self.last_day and minute < ends
        return today > self.last_day and not last_night

    def _begun_by_any_clock(self, moment: Moment) -> bool:
        # A day's grace: the mark was taken at the last look, mostly on the day before at worst.
        return self.first_day <= moment.known_time.date() + timedelta(days=1)

    def _counts(self, day: date, minute: int) -> bool:
        return (
            self.first_day <= day <= self.last_day
            and day.weekday() in self.weekdays
            and any(span.opens <= minute < span.closes for span in self.times)
        )

    def _wrong_times(self) -> Iterable[tuple[bool, str]]:
        all_week = (self.weekdays, self.times) == (EVERY_DAY, (Span(0, DAY_MINUTES),))
        no_time = any(
            not 0 <= times.opens < DAY_MINUTES or not 0 < times.closes - times.opens <= DAY_MINUTES
            for times in self.times
        )
        too_long = self.last_day - self.first_day > LONGEST_PASS
        return (
            (self.last_day < self.first_day, "the pass ends before it begins; give a later end"),
            (
                too_long and self.kind not in OPEN_BY_ANY_CLOCK,
                f"the pass lasts more than {LONGEST_PASS.days} days; give an earlier last day",
            ),
            (
                not self.weekdays or not self.weekdays <= EVERY_DAY,
                "the pass has no weekday, or one that is none; 0 is Monday, 6 is Sunday",
            ),
            (no_time, "the pass's time of day is none, or lasts more than a day; give another"),
            (
                len(self.times) > MOST_SPANS,
                f"a pass has at most {MOST_SPANS} times of day; issue another pass for the rest",
            ),
            (
                self.kind is PassKind.EMERGENCY and not all_week,
                "an emergency keeps no hours; let an emergency pass open every day and all day",
            ),
        )

    def _wrong_terms(self) -> Iterable[tuple[bool, str]]:
        digits = MIN_CODE_DIGITS if self.code_digits is None else self.code_digits
        check, code_needs_pin = self.pin_check, self.needs_pin and self.code_digits is not None
        no_check = check is not None and (not self.needs_pin or len(check) != PIN_CHECK_BYTES)
        return (
            (
                not 0 <= self.companions_max <= COMPANIONS_LIMIT,
                f"companions are 0 to {COMPANIONS_LIMIT}: the holder says how many by one key",
            ),
            (
                not MIN_CODE_DIGITS <= digits <= MAX_CODE_DIGITS,
                f"a code has {MIN_CODE_DIGITS} to {MAX_CODE_DIGITS} digits",
            ),
            (no_check, f"a PIN check is {PIN_CHECK_BYTES} bytes of a pass that needs a PIN"),
            (
                code_needs_pin,
                "nobody can type a PIN after a code; let the code need none, or take a longer one",
            ),
        )


def _in_utc(at: datetime | None) -> datetime | None:
    # Two times of one zone compare as the wall shows them: an hour wrong when clocks change.
    if at is None:
        return None
    if at.tzinfo is None:
        raise InputError("a ban begins or ends at a time without a time zone; give one")
    return at.astimezone(UTC)


def _spans_that_may_hold(local: datetime) -> tuple[tuple[date, int], tuple[date, int]]:
    """Return the minute of today, and the same one counted from yesterday's midnight."""
    minute = local.hour * 60 + local.minute
    today = local.date()
    return (today, minute), (today - timedelta(days=1), minute + DAY_MINUTES)


HeldT = TypeVar("HeldT", Ban, Pass)


@dataclass(frozen=True, slots=True)
class Listed(Generic[HeldT]):
    """A ban or a pass as staff see it listed; it was lifted or revoked at `ended_at`, UTC.

    `card` is the first 8 hex digits of the row key, a pseudonym; None for a ban of the patron.
    `patron_ref` is the library system's opaque number; None for a pass or a ban of the card alone.
    """

    held: HeldT
    card: str | None
    patron_ref: str | None = field(default=None, repr=False)
    ended_at: datetime | None = None

    def is_of_the_same(self, other: Listed[HeldT]) -> bool:
        """Tell whether both are of one patron or of one card."""
        same_patron = self.patron_ref is not None and self.patron_ref == other.patron_ref
        return same_patron or (self.card is not None and self.card == other.card)
