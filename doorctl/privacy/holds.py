"""An incident hold: it keeps a window of the door log for longer than the retention.

It has a case number, a reason and an end. After its end, by a clock that can be trusted, the next
purge deletes the hold and what it kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.core.texts import refuse_purpose
from doorctl.privacy.retention import visible_since
from doorctl.privacy.subject import may_be_cpr

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
    incident's number elsewhere, and `reason` names no person. `number`, by which it is lifted and
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
