"""Visits go after the retention: deleted by trusted time only, and never listed after it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from doorctl.access.patron import CacheStamp
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import SETTLED, SLEWED, BootTime, Moment
from doorctl.core.ports import Clock, EventLog
from doorctl.core.staff_text import refuse_purpose
from doorctl.privacy.subject import ALL_GONE, may_be_cpr

# Canaries: one row a day that is no visit. A purge has worked if the old ones are gone.
#
# Each is derived from the installation key and the date. So none has to be stored elsewhere, and a
# thief of the disk can't tell it from a card's row key.

CANARY_BYTES = 16
"""As long as a row key."""

LOOKED_BACK = timedelta(days=400)
"""How far back expired canaries are looked for: a branch may have been shut for a year."""

_ONE_DAY = timedelta(days=1)


class Canaries:
    """Derive canaries: ``HMAC-SHA256(HMAC-SHA256(key, "canary"), "2026-05-04")``, cut.

    The installation key is not kept.
    """

    def __init__(self, key: InstallationKey) -> None:
        self._key = InstallationKey(hmac.digest(key.reveal(), b"canary", "sha256"))

    def of(self, day: date) -> bytes:
        """Return a UTC day's canary."""
        text = day.isoformat().encode()
        return hmac.digest(self._key.reveal(), text, "sha256")[:CANARY_BYTES]

    def expired(self, cutoff: datetime) -> frozenset[bytes]:
        """Return those of the days that ended before a UTC time, :data:`LOOKED_BACK` at most.

        A hold may still keep some of them.
        """
        days = (cutoff.date() - back * _ONE_DAY for back in range(1, LOOKED_BACK.days + 1))
        return frozenset(map(self.of, days))


# How long a clock has run evenly: what can't be undone waits until it has run so for a while.
#
# Even a dependable clock can be wrong for an evening: a time server errs, or a battery clock stood
# still.

WATCHED_S = SETTLED.total_seconds()
"""How long a clock must run evenly before anything is done that can't be undone; seconds."""


class WatchedTime:
    """Watch one clock. One thread."""

    def __init__(self) -> None:
        self._since: tuple[datetime, float] | None = None

    def stands(self, moment: Moment, now_s: float) -> bool:
        """Tell whether a dependable clock was seen to run evenly for :data:`WATCHED_S`.

        `now_s` is monotonic seconds at the same time as `moment`.
        """
        if not moment.dependable:
            self._since = None
            return False
        now = moment.local.astimezone(UTC)
        if self._since is None or self._was_set(*self._since, now, now_s):
            self._since = (now, now_s)
        return now_s - self._since[1] >= WATCHED_S

    @staticmethod
    def _was_set(then: datetime, then_s: float, now: datetime, now_s: float) -> bool:
        return abs(now - then - timedelta(seconds=now_s - then_s)) >= SLEWED


class VisitRetention(Protocol):
    """The purge's part of the door log. Same thread as the writer; raises StoreError."""

    def keep_time(self, now: datetime, boot: BootTime, high_water: datetime | None = None) -> None:
        """Date this boot's rows written before a trusted time (UTC), and store the highest.

        Rows of this boot whose clock was untrusted get `now` minus their age by `boot`, the boot
        clock at the same time. `high_water` is the highest time that has stood for a while; None
        where `now` has.
        """

    def prove_writable(self) -> None:
        """Insert a row into each table, and take it back."""

    def delete_before(self, cutoff: datetime) -> int:
        """Delete attempts before a UTC time and throttles untouched since; return how many.

        What is in the window of a stored hold is spared.
        """

    def compact(self) -> tuple[int, int, int]:
        """VACUUM, then ``wal_checkpoint(TRUNCATE)``; ``(0, 0, 0)`` says that all is gone."""

    def end_holds(self, now: datetime) -> None:
        """Forget the holds that have ended by a UTC time that is right."""

    def oldest(self) -> datetime | None:
        """Return the UTC time of the oldest attempt that no hold spares; None if there is none."""

    def held(self) -> int:
        """Return how many attempts are in the window of a hold."""

    def settle(self, now: datetime, boot: BootTime) -> None:
        """Correct the times of attempts after a UTC time that is right: a clock was ahead.

        The high-water mark falls to it. Attempts of this boot are dated by their age; others as
        late as they can be, and as a guess.
        """

    def ahead(self, now: datetime) -> int:
        """Return how many attempts lie after a UTC time."""

    def plant(self, canary: bytes, at: datetime) -> None:
        """Keep a canary: a row that is no visit, and is purged like a visit of that UTC time."""

    def canaries(self) -> frozenset[bytes]:
        """Return the canaries that are kept now."""

    def traces_before(self, cutoff: datetime) -> frozenset[bytes]:
        """Return the bytes that `delete_before` deletes and that no kept row holds."""

    def still_kept(self, traces: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some traces that a row holds now."""


STEP = timedelta(days=1)
"""How much of the log, from the oldest visit on, a purge deletes that no staff started.

An ordinary purge deletes 6 hours. More is due after a long outage, or by a wrong clock that was
believed, which must not empty the log before staff have seen the alarm.
"""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did.

    `cutoff` (UTC) and `checkpoint`, the answer of ``wal_checkpoint(TRUNCATE)``, are None if the
    purge was postponed. `held` counts attempts in the window of a hold, `ahead` those that a wrong
    clock has dated after now, unless :func:`purge` may believe the clock. If `limited`, more was
    due than a :data:`STEP`. `traces` are the bytes that may stand in no file any more, of this
    purge and of earlier ones that were not complete; never shown.
    """

    deleted: int = 0
    cutoff: datetime | None = None
    checkpoint: tuple[int, int, int] | None = None
    held: int = 0
    ahead: int = 0
    limited: bool = False
    traces: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def postponed(self) -> bool:
        """Whether nothing was deleted because the clock could not be trusted, or was in doubt."""
        return self.cutoff is None

    @property
    def complete(self) -> bool:
        """Whether no byte of what was deleted is left in the files; else purge again soon."""
        return self.checkpoint == ALL_GONE

    def after(self, deleted: int) -> PurgeReport:
        """Return the report of a repeated purge; earlier tries deleted `deleted` more."""
        return replace(self, deleted=self.deleted + deleted)

    def as_dict(self) -> dict[str, int | str | bool | None]:
        """Return the report as it is logged and printed."""
        cutoff = None if self.cutoff is None else self.cutoff.isoformat(timespec="seconds")
        return {
            "deleted": self.deleted,
            "cutoff": cutoff,
            "complete": self.complete,
            "postponed": self.postponed,
        }


def purge(
    visits: VisitRetention,
    moment: Moment,
    boot: BootTime,
    retention: timedelta,
    *,
    believed: bool = False,
    whole: bool = True,
    canaries: Canaries | None = None,
    earlier: frozenset[bytes] = frozenset(),
    remember: Callable[[frozenset[bytes]], None] = lambda _traces: None,
) -> PurgeReport:
    """Delete what is older than the retention and under no hold; safe to repeat at any time.

    Later attempts are dated anew only where the clock is `believed`, having run evenly for long:
    one that is behind for an evening must not make every visit look old. `whole` takes all that is
    due, as staff ask for it, else a :data:`STEP`. `canaries` is None without the installation key.
    `earlier` are the traces of purges that were not complete; `remember` takes this one's before a
    row is deleted: if the disk is full then, a later proof looks for them all the same.

    Raises StoreError: the door log failed; purge again.
    """
    if moment.stepped or not moment.dependable:
        return PurgeReport(traces=earlier)
    # Not by the high-water mark: one evening with a wrong clock would delete every visit for good.
    now = moment.local.astimezone(UTC)
    visits.keep_time(moment.local, boot, moment.high_water)
    if believed:
        visits.settle(now, boot)
    due = visible_since(now, retention)
    oldest = None if whole else visits.oldest()
    cutoff = due if oldest is None else min(due, oldest + STEP)
    limited = cutoff < due
    if not limited:
        visits.end_holds(now)
    if canaries is not None:
        visits.plant(canaries.of(now.date()), now)
    traces = earlier | visits.traces_before(cutoff)
    remember(traces)
    deleted, checkpoint = visits.delete_before(cutoff), visits.compact()
    ahead = visits.ahead(now + SLEWED)
    return PurgeReport(deleted, cutoff, checkpoint, visits.held(), ahead, limited, traces)


def visible_since(now: datetime, retention: timedelta) -> datetime:
    """Return the UTC time before which nothing may be listed, purged or not.

    For a list, `now` is a moment's `latest_known`.
    """
    return now.astimezone(UTC) - retention


# Without a push for a month the patron register's rows are about nobody we know: patrons who left
# the library in that time, or asked to be forgotten, would stand in it for ever.

UNCONFIRMED = timedelta(days=30)
"""How long rows are kept that no push confirms: as long as visits (the sector's standard)."""


@dataclass(slots=True, kw_only=True)
class PatronsRound:
    """Forget the register once no push has come for :data:`UNCONFIRMED`. One thread.

    It goes once it has looked that old for :data:`WATCHED_S` by a dependable clock: a clock that is
    wrong for an evening, or was not set when a push came, must not shut everybody out.

    Args:
        stamp: reads how old the register is; where it raises StoreError its age is not known.
        expire: deletes what was not confirmed since a time and returns how many rows.
        forget: deletes the notes of cards that pushes shut out more than a week before a time.
    """

    stamp: Callable[[], CacheStamp]
    expire: Callable[[datetime], int]
    forget: Callable[[datetime], object]
    clock: Clock
    log: EventLog
    _old_since_s: float | None = None

    def turn(self) -> None:
        """Look, and delete what is due.

        Raises StoreError: it could not be deleted; the next turn tries again.
        """
        moment, now_s = self.clock.moment(), self.clock.monotonic_s()
        before = moment.local.astimezone(UTC) - UNCONFIRMED
        if moment.dependable:
            self.forget(moment.local)
        if not moment.dependable or not self._is_older(before):
            self._old_since_s = None
        elif self._old_since_s is None:
            self._old_since_s = now_s
        elif now_s - self._old_since_s >= WATCHED_S:
            gone = self.expire(before)
            self._old_since_s = None
            if gone:
                why = f"no push since {before:%Y-%m-%d}: {gone} rows were deleted"
                self.log.emit("alarm", kind="patrons_expired", why=why)

    def _is_older(self, before: datetime) -> bool:
        try:
            stamp = self.stamp()
        except StoreError:
            return False
        return stamp.patrons > 0 and stamp.applied_at is not None and stamp.applied_at < before


# An incident hold: it keeps a window of the door log for longer than the retention.
#
# It has a case number, a reason and an end. After its end, by a clock that can be trusted, the
# next purge deletes the hold and what it kept.

LONGEST = timedelta(days=180)
"""How far from now a hold may end. An inquiry that takes longer has its own copy of the evidence by
then. The audit log is kept about as long."""

LONGEST_TEXT = 200
"""Characters of a case number or a reason; a longer text might hold names."""

FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """A hold as staff ask for it; all times aware.

    The window ends just before `to`, and the hold ends by itself at `until`. `case` is the
    incident's number elsewhere, and `reason` names nobody.
    """

    since: datetime
    to: datetime
    case: str
    reason: str
    until: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it is stored; all times UTC. See :class:`HoldAsked`.

    `number`, by which it is lifted and shown, is never given twice.
    """

    number: int
    since: datetime
    to: datetime
    case: str
    reason: str
    until: datetime
    added_at: datetime
    by: str

    def numbered(self, number: int) -> Hold:
        """Return the hold with its number."""
        return replace(self, number=number)

    def in_force(self, moment: Moment) -> bool:
        """Tell whether the hold is certainly in force; while the clock is in doubt it is not."""
        return moment.dependable and moment.latest_known < self.until


def accepted(request: HoldAsked, moment: Moment, retention: timedelta) -> Hold:
    """Return a hold that may be stored, without a number yet.

    The window may not begin before the retention: a new hold can't keep what only another hold has
    kept. Raises InputError: it makes no sense, the clock can't say when it would end, or a text of
    it may hold a person's number; a time in it is local.
    """
    if not moment.dependable:
        raise InputError(
            "the clock is not set, so nobody can say when the hold would end; nothing is purged "
            "until it is set, so add the hold then"
        )
    now, oldest = moment.local.astimezone(UTC), visible_since(moment.latest_known, retention)
    since, to, until = (
        _utc(what, at)
        for what, at in (("from", request.since), ("to", request.to), ("until", request.until))
    )
    problems = (
        (to <= since, "the window ends before it begins"),
        (to > now, "the window ends in the future; a hold is for what has happened"),
        (since < oldest, "the window begins before {time}, and that is gone"),
        (until <= now, "the hold would have ended already"),
        (until > now + LONGEST, f"a hold ends at most {LONGEST.days} days from now"),
        (not _is_line(request.case), f"give a case number of 1 to {LONGEST_TEXT} characters"),
        (not _is_line(request.reason), f"give a reason of 1 to {LONGEST_TEXT} characters"),
    )
    for wrong, text in problems:
        if wrong:
            raise InputError(text, time=oldest.astimezone(moment.local.tzinfo))
    # The police's own numbers, 0700-12345-00001-26, have more digits than other texts may.
    if may_be_cpr(request.case):
        raise InputError("the case number may be a CPR number; give the case's own")
    refuse_purpose(request.reason, "reason")
    return Hold(0, since, to, request.case, request.reason, until, now, request.by)


def readable_since(hold: Hold, moment: Moment, retention: timedelta) -> datetime:
    """Return the UTC time from which on a hold's visits may be shown.

    A hold that may have ended shows no more than any list does.
    """
    if hold.in_force(moment):
        return hold.since
    return max(hold.since, visible_since(moment.latest_known, retention))


def chosen(holds: Iterable[Hold], number: int) -> Hold:
    """Return the hold of a number; raises InputError if there is none."""
    for hold in holds:
        if hold.number == number:
            return hold
    raise InputError("there is no hold {n}; list them with `doorctl hold list`", n=str(number))


def _utc(what: str, at: datetime) -> datetime:
    if at.tzinfo is None or at < FIRST_DAY:
        raise InputError(f"--{what} is no time that a door log can know")
    return at.astimezone(UTC)


def _is_line(text: str) -> bool:
    return bool(text.strip()) and len(text) <= LONGEST_TEXT and text.isprintable()
