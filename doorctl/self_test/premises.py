"""The checks of the house: register, clock, hours, devices, disk, door log and purge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

from doorctl.access.patron import Patron, row_key
from doorctl.access.policy import Case, findings
from doorctl.moments import ClockState
from doorctl.ports import CacheStamp
from doorctl.self_test.house import Answer, Ask, House, Seen
from doorctl.self_test.morning import BEFORE_OPENING

MIN_FREE_BYTES = 100_000_000
"""A full push of 100 000 rows and the purge's VACUUM need less than this beside what is there."""

PURGE_LATE_S = 13 * 3600.0
"""A purge comes every 6 hours; two that were missed are no chance."""


def door(house: House, _seen: Seen) -> Answer:
    """Ask whether the door process runs."""
    if house.lines is None:
        return Answer(ok=False, what="The door process does not run.")
    return Answer(ok=True, what="The door process runs.")


def line(name: str) -> Ask:
    """Return the check whether a serial line is connected; nothing to ask where there is none."""

    def ask(house: House, _seen: Seen) -> Answer | None:
        if house.lines is None or name not in house.lines:
            return None
        connected = house.lines[name]
        return Answer(connected, f"The {name} is {'connected' if connected else 'lost'}.")

    return ask


def relay(house: House, _seen: Seen) -> Answer:
    """Ask whether the relay goes off by itself when the door process dies."""
    if house.relay_risks:
        return Answer(ok=False, what=" ".join(house.relay_risks))
    return Answer(ok=True, what="The relay goes off when the door process dies.")


def register(_house: House, seen: Seen) -> Answer:
    """Ask whether the register can be read, and was sealed with this branch's key."""
    if seen.stamp is None:
        return Answer(ok=False, what=seen.problems["register"])
    return Answer(ok=True, what="The patron register can be read with this key.")


def register_filled(_house: House, seen: Seen) -> Answer | None:
    """Ask whether a push ever came and holds anybody."""
    if seen.stamp is None:
        return None
    if seen.stamp.epoch and seen.stamp.patrons:
        held = f"It holds {seen.stamp.patrons} cards, as of push {seen.stamp.epoch}."
        return Answer(ok=True, what=held)
    return Answer(ok=False, what="It holds nobody.")


def register_age(house: House, seen: Seen) -> Answer | None:
    """Ask whether everybody would be refused at the next opening for want of a push."""
    limit, stamp = house.rules.policy.max_cache_age, seen.stamp
    if limit is None or stamp is None or not stamp.epoch or not house.moment.dependable:
        return None
    told = f"{_age(house, stamp)}; the limit is {_in_hours(limit)}."
    return Answer(not _too_old(house, stamp), told)


def register_limit(house: House, seen: Seen) -> Answer | None:
    """Ask whether the rows' dates were made for the age limit of today."""
    if seen.stamp is None or not seen.stamp.epoch:
        return None
    sealed, wanted = seen.stamp.minimum_age, house.rules.policy.minimum_age
    told = f"It was made for a minimum age of {sealed}"
    return Answer(sealed == wanted, f"{told}." if sealed == wanted else f"{told}, not {wanted}.")


def register_stranger(house: House, seen: Seen) -> Answer | None:
    """Ask whether the self-test's card opens the real door, should anybody make it."""
    if seen.stamp is None:
        return None
    if house.patrons.find(row_key(seen.stretched)) is None:
        return Answer(ok=True, what="It does not hold the self-test's own card.")
    return Answer(ok=False, what="It holds the self-test's own card, which everybody can make.")


def clock(house: House, _seen: Seen) -> Answer:
    """Ask whether hours, ages and expiry dates can be judged."""
    state = house.moment.state
    told = {
        ClockState.TRUSTED: "The clock is set.",
        ClockState.HOLDOVER: "The clock goes on without its time server.",
        ClockState.UNTRUSTED: "Nobody vouches for the clock.",
    }
    return Answer(house.moment.dependable, told[state])


def hours(house: House, seen: Seen) -> Answer | None:
    """Ask whether the hours of today and tomorrow are known."""
    if seen.calendar is None:
        return Answer(ok=False, what=seen.problems.get("hours", "Nobody knows the hours."))
    if not house.moment.dependable:
        return None
    today = house.moment.local.date()
    days = {"today": today, "tomorrow": today + timedelta(days=1)}
    unknown = [name for name, day in days.items() if seen.calendar.day(day) is None]
    if unknown:
        return Answer(ok=False, what=f"Nobody knows the hours of {' and '.join(unknown)}.")
    return Answer(ok=True, what="The hours of today and tomorrow are known.")


def visit_log(house: House, _seen: Seen) -> Answer | None:
    """Write to the door log; nothing to ask where another process writes it."""
    # Keeping the time is what the door writes anyway, and durably; an unset clock is never kept.
    if house.visits is None or not house.moment.dependable:
        return None
    house.visits.keep_time(house.moment.local, house.boot)
    return Answer(ok=True, what="The door log can be written.")


def disk_space(house: House, _seen: Seen) -> Answer:
    """Ask whether the next push and the next purge have room."""
    free = house.disk.free_bytes()
    return Answer(free >= MIN_FREE_BYTES, f"The disk has {free // 1_000_000} MB free.")


def disk_writable(house: House, _seen: Seen) -> Answer:
    """Write to the disk."""
    house.disk.prove_writable()
    return Answer(ok=True, what="The disk can be written.")


def purge(house: House, _seen: Seen) -> Answer | None:
    """Ask whether visits are being forgotten."""
    if house.purged_s is None:
        return None
    ago_s = house.now_s - house.purged_s
    told = f"The last complete purge was {_in_hours(timedelta(seconds=ago_s))} ago."
    return Answer(ago_s <= PURGE_LATE_S, told)


def _too_old(house: House, stamp: CacheStamp) -> bool:
    """Ask the policy's own check, as of the next opening."""
    moment = house.moment
    later = (moment.local.astimezone(UTC) + BEFORE_OPENING).astimezone(moment.local.tzinfo)
    case = Case(
        Patron("selftest", resident=True),
        replace(moment, local=later),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
    )
    asked = {one.check: one.refused_with for one in findings(house.rules.policy, case)}
    return asked["cache_age"] is not None


def _age(house: House, stamp: CacheStamp) -> str:
    if stamp.applied_at is None:
        return "Nobody knows how old it is"
    age = house.moment.local.astimezone(UTC) - stamp.applied_at.astimezone(UTC)
    return f"It is {_in_hours(age)} old"


def _in_hours(length: timedelta) -> str:
    return f"{length.total_seconds() / 3600:.0f} h"
