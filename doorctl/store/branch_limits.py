"""What ``branch.db`` does not take: a ban, pass, date or mode that is over or that clashes.

The rules use the time that is known for certain, so that an unset clock refuses nothing that staff
may want. What makes no sense at any time is refused by its own class. Each InputError says what to
do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta

from doorctl.access.calendar import StoredDay
from doorctl.access.codes import CODES_APART
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.core.texts import refuse_purpose, refuse_text
from doorctl.store.branch import known, today

MOST_PASSES = 6
"""Most passes in force for one card; the door tries each of them."""

LONGEST_OVERRIDE = timedelta(days=31)
"""The longest mode set by hand; longer ones belong into the calendar."""


def refuse_ban(ban: Ban, moment: Moment, row_key: bytes | None, patron_ref: str | None) -> None:
    """Raise InputError for a ban that names no person, without a reason, or one that is over."""
    refuse_purpose(ban.reason, "reason")
    if not row_key and not patron_ref:
        raise InputError("the ban names no person; swipe or name a card, or name the patron")
    if ban.until is not None and ban.until <= known(moment):
        raise InputError("the ban would be over already; give a later end")


def refuse_pass(new: Pass, moment: Moment) -> None:
    """Raise InputError for a pass that is over."""
    if new.last_day < today(moment):
        raise InputError(
            "the pass would be over since {day}; give a later last day", day=new.last_day
        )


def _refuse_one_more(connection: sqlite3.Connection, new: Pass, row_key: bytes, day: date) -> None:
    (taken,) = connection.execute(_TAKEN, (row_key, day.isoformat())).fetchone()
    if taken and new.code_digits is not None:
        raise InputError("the code has a pass already; revoke that one first")
    if taken >= MOST_PASSES:
        raise InputError("the card has {n} passes already; revoke one of them first", n=taken)
    if new.code_digits is None:
        return
    allowed: int = 10**new.code_digits // CODES_APART
    (codes,) = connection.execute(_CODES, (new.code_digits, day.isoformat())).fetchone()
    if codes >= allowed:
        raise InputError(
            "{n} codes of {digits} digits are in force, and with more of them one could be "
            "guessed; revoke some or issue longer ones",
            n=allowed,
            digits=new.code_digits,
        )


def refuse_days(days: Sequence[StoredDay], moment: Moment) -> None:
    """Raise InputError for dates that are past or named twice, or notes with a person's number."""
    named: set[date] = set()
    for day in days:
        if day.day < today(moment):
            raise InputError("{day} is past; leave it out", day=day.day)
        if day.day in named:
            raise InputError("{day} is named twice; say once what it is", day=day.day)
        named.add(day.day)
        refuse_text("note for {day}", day.note, optional=True, day=day.day)


def refuse_override(override: Override, moment: Moment) -> None:
    """Raise InputError for a mode set by hand that is over, or so long that staff would forget."""
    refuse_purpose(override.cause, "reason")
    refuse_text("account", override.by)
    if override.until <= known(moment):
        raise InputError("the mode would end before now; give a later end")
    # While the time is unknown, a lockdown must be possible all the same.
    if moment.dependable and override.until > moment.local + LONGEST_OVERRIDE:
        raise InputError(
            "the mode would last more than {n} days; change the calendar", n=LONGEST_OVERRIDE.days
        )


_TAKEN = """
    SELECT count(*) FROM passes WHERE row_key = ? AND revoked_ms IS NULL AND last_day >= ?
"""

_CODES = """
    SELECT count(*) FROM passes WHERE code_digits = ? AND revoked_ms IS NULL AND last_day >= ?
"""
