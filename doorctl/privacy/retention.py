"""Visits go after the retention: deleted by trusted time only, and never listed after it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from doorctl.access.patron import CacheStamp
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import SETTLED, SLEWED, ClockDoubt, Moment
from doorctl.core.ports import WELL, Clock, EventLog
from doorctl.core.texts import refuse_purpose
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
        then, then_s = self._since or (now, now_s)
        was_set = abs(now - then - timedelta(seconds=now_s - then_s)) >= SLEWED
        if self._since is None or was_set:
            self._since = (now, now_s)
        return now_s - self._since[1] >= WATCHED_S


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did.

    `cutoff` is UTC, `checkpoint` the answer of ``wal_checkpoint(TRUNCATE)``. `held` counts attempts
    in the window of a hold, `ahead` those that a wrong clock has dated after now, unless
    :func:`purge` may believe the clock, `left` those that the later clock alone calls old, while
    there is a `doubt`. If `limited`, more was due than a :data:`STEP`. `traces` are the bytes that
    may stand in no file any more, of this purge and of earlier ones that were not complete; never
    shown.
    """

    deleted: int = 0
    cutoff: datetime | None = None
    checkpoint: tuple[int, int, int] | None = None
    held: int = 0
    ahead: int = 0
    limited: bool = False
    left: int = 0
    doubt: ClockDoubt = ClockDoubt.NONE
    traces: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def postponed(self) -> bool:
        """Whether old visits were left, because the clock is not set or in doubt."""
        return self.left > 0

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
            "left": self.left,
            "clock_doubt": self.doubt.value,
        }


def visible_since(now: datetime, retention: timedelta) -> datetime:
    """Return the UTC time before which nothing may be listed, purged or not.

    For a list, `now` is a moment's `latest`, for a purge its `earliest`.
    """
    return now.astimezone(UTC) - retention


# The proof of a purge: a search of raw bytes for what was deleted, and a signed report of it.

FORMAT = "doorctl-purge/1"


class Trim(Enum):
    """What happened to the blocks that the file system no longer uses."""

    DONE = "done"
    NOT_PERMITTED = "not permitted"
    NOT_SUPPORTED = "not supported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of raw bytes found.

    `needles`, the wanted byte strings that were found, are never shown; `files` has only a number
    for a file that has no name any more.
    """

    needles: frozenset[bytes] = field(repr=False)
    bytes_read: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known after a purge; it names nobody.

    `residue` counts the deleted byte strings that still stand in a file, and in no row that is
    kept. `canaries_seen` are those of `canaries_kept` that the search found: all, or it did not
    search well.
    """

    report: PurgeReport
    at: datetime
    clock: str
    trim: Trim
    searched: int
    found: Found
    residue: int
    canaries_kept: int
    canaries_seen: int

    @property
    def clean(self) -> bool:
        """Whether nothing is left, as far as the search proves it."""
        seen_all = self.canaries_seen == self.canaries_kept
        return self.report.complete and not (self.residue or self.report.ahead) and seen_all

    def as_dict(self) -> dict[str, Any]:
        """Return the proof as it is signed and printed."""
        return {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="seconds"),
            "clock": self.clock,
            **self.report.as_dict(),
            "held": self.report.held,
            "ahead": self.report.ahead,
            "checkpoint": list(self.report.checkpoint or ()),
            "trim": self.trim.value,
            "searched": self.searched,
            "bytes_read": self.found.bytes_read,
            "files": sorted(self.found.files),
            "residue": self.residue,
            "canaries_kept": self.canaries_kept,
            "canaries_seen": self.canaries_seen,
            "clean": self.clean,
        }


def prove(
    report: PurgeReport,
    moment: Moment,
    canaries: Canaries,
    *,
    kept: frozenset[bytes],
    still_kept: Callable[[frozenset[bytes]], frozenset[bytes]],
    search: Callable[[frozenset[bytes]], Found],
    trim: Callable[[], Trim],
) -> Proof:
    """Search for what a purge has deleted in every byte that it could have left.

    `report` is of a purge. The canaries `kept` after it are looked for too:
    a search that misses them would miss a visit. `still_kept` returns those of some traces that a
    row holds now: the patron may have come again during the search. `search` reads every file that
    a deleted row could have left something in.

    Raises StoreError: the files could not be read; nothing is proved.
    """
    assert report.cutoff is not None  # noqa: S101 - as said above
    gone = (report.traces | canaries.expired(report.cutoff)) - kept
    trimmed = trim()
    found = search(gone | kept)
    residue = found.needles & gone
    if residue:
        residue -= still_kept(residue)
    return Proof(
        report=report,
        at=moment.local.astimezone(UTC),
        clock=moment.state.value,
        trim=trimmed,
        searched=len(gone),
        found=found,
        residue=len(residue),
        canaries_kept=len(kept),
        canaries_seen=len(found.needles & kept),
    )


class ReportSigner:
    """Sign reports, and check them: HMAC-SHA256 in ``signature``.

    The key is ``HMAC-SHA256(installation key, "purge report")``, so that an auditor can be given
    a key that opens nothing else. The installation key is not kept.
    """

    def __init__(self, key: InstallationKey) -> None:
        self._key = InstallationKey(hmac.digest(key.reveal(), b"purge report", "sha256"))

    def signed(self, fields: dict[str, Any]) -> bytes:
        """Return a report with its signature, as JSON for a file."""
        whole = {**fields, "signature": self._signature(fields)}
        return json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"

    def verified(self, content: bytes) -> dict[str, Any]:
        """Return a report that bears this installation's signature.

        Raises InputError: it is no report, it was changed, or another installation signed it.
        """
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise InputError("that is no purge report")
        signature = fields.pop("signature", None)
        wanted = self._signature(fields)
        if not isinstance(signature, str) or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), wanted.encode()
        ):
            raise InputError(
                "the signature is wrong: the report was changed, or another installation's key "
                "signed it"
            )
        return fields

    def _signature(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hmac.digest(self._key.reveal(), text.encode(), "sha256").hex()


# Without a push for a month the patron register's rows are about nobody we know: patrons who left
# the library in that time, or asked to be forgotten, would stand in it for ever.

UNCONFIRMED = timedelta(days=30)
"""How long rows are kept that no push confirms: as long as visits (the sector's standard)."""


@dataclass(slots=True, kw_only=True)
class PatronsRound:
    """Forget the register once no push has come for :data:`UNCONFIRMED`. One thread.

    It goes once it has looked that old for :data:`WATCHED_S`: a clock that is wrong for an evening,
    or was not set when a push came, must not shut everybody out. By a clock that is not dependable
    it is as old as the earlier of both clocks says.

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
        moment, now_s = self.clock.bounded(), self.clock.monotonic_s()
        now = moment.local if moment.dependable else moment.earliest(UNCONFIRMED)
        before = now.astimezone(UTC) - UNCONFIRMED
        self.forget(now)
        if not self._is_older(before):
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
        if stamp.patrons > 0:
            self.log.emit(WELL, kind="patrons_expired")
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
class Hold:
    """A hold; its times are aware, and of one that is stored UTC.

    The window ends just before `to`, and the hold ends by itself at `until`. `case` is the
    incident's number elsewhere, and `reason` names nobody. `number`, by which it is lifted and
    shown, is never given twice; this and `added_at` are the door's to give.
    """

    since: datetime
    to: datetime
    case: str
    reason: str
    until: datetime
    by: str
    number: int = 0
    added_at: datetime = FIRST_DAY

    def in_force(self, moment: Moment) -> bool:
        """Tell whether the hold is certainly in force; while the clock is in doubt it is not."""
        return moment.dependable and moment.latest_known < self.until


def accepted(hold: Hold, moment: Moment, retention: timedelta) -> Hold:
    """Return a hold that staff ask for as it may be stored, without a number yet.

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
        for what, at in (("from", hold.since), ("to", hold.to), ("until", hold.until))
    )
    problems = (
        (to <= since, "the window ends before it begins"),
        (to > now, "the window ends in the future; a hold is for what has happened"),
        (since < oldest, "the window begins before {time}, and that is gone"),
        (until <= now, "the hold would have ended already"),
        (until > now + LONGEST, f"a hold ends at most {LONGEST.days} days from now"),
        (not _is_line(hold.case), f"give a case number of 1 to {LONGEST_TEXT} characters"),
        (not _is_line(hold.reason), f"give a reason of 1 to {LONGEST_TEXT} characters"),
    )
    for wrong, text in problems:
        if wrong:
            raise InputError(text, time=oldest.astimezone(moment.local.tzinfo))
    # The police's own numbers, 0700-12345-00001-26, have more digits than other texts may.
    if may_be_cpr(hold.case):
        raise InputError("the case number may be a CPR number; give the case's own")
    refuse_purpose(hold.reason, "reason")
    return replace(hold, since=since, to=to, until=until, added_at=now)


def readable_since(hold: Hold, moment: Moment, retention: timedelta) -> datetime:
    """Return the UTC time from which on a hold's visits may be shown.

    A hold that may have ended shows no more than any list does.
    """
    if hold.in_force(moment):
        return hold.since
    return max(hold.since, visible_since(moment.latest, retention))


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
