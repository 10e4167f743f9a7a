"""What a self-test looks at, and what it needs to know before it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from doorctl.access.attempt import after
from doorctl.access.calendar import Calendar
from doorctl.access.messages import Event, Now, Rules
from doorctl.access.phases import Attempt, Step
from doorctl.cards.reader import CardReader
from doorctl.door.strike import Strike, StrikeEvent
from doorctl.errors import StoreError
from doorctl.masked import Identifier, IdentifierKind, StretchedKey
from doorctl.moments import BootTime, Moment
from doorctl.ports import CacheStamp, Disk, PatronLookup, Sealer, VisitRetention

NUMBER = "3112575000"
"""A CPR number of somebody who is born on 31 December 2057, so no register of today can hold it.

A health card's, since that is what most patrons bring."""

CARD = Identifier(IdentifierKind.CPR, NUMBER)


@dataclass(frozen=True, slots=True)
class House:
    """All that is looked at. Belongs to the thread that may use the cache and the door log.

    Args:
        rules: of an attempt.
        release_s: how long a grant releases the strike.
        moment: now.
        now_s: monotonic seconds at the same time.
        boot: the boot clock at the same time.
        sealer: makes the row keys.
        patrons: the patron cache.
        disk: the one that the databases are on.
        calendar: reads the hours that count; None where nobody knows them. May raise StoreError.
        visits: the door log's writer, not a wrapper that hides its faults; None where another
            process is that.
        lines: ``reader`` and, if there is one, ``keypad``: whether it is connected; None where the
            door process does not run.
        relay_risks: what could leave the relay on after the door process dies, a sentence each.
        purged_s: when a purge was last complete, or when the door began, monotonic seconds; None
            where that is not known.
        reader: makes the reader's parser.
        attempt: the attempt's table.
        strike: the strike's table.
    """

    rules: Rules
    release_s: float
    moment: Moment
    now_s: float
    boot: BootTime
    sealer: Sealer
    patrons: PatronLookup
    disk: Disk
    calendar: Callable[[], Calendar | None]
    visits: VisitRetention | None = None
    lines: Mapping[str, bool] | None = None
    purged_s: float | None = None
    relay_risks: tuple[str, ...] = ()
    reader: Callable[[], CardReader] = lambda: CardReader(carries_keys=False)
    attempt: Callable[[Attempt, Event, Now, Rules], Step] = after
    strike: Callable[[Strike, StrikeEvent], Strike] = Strike.after


@dataclass(frozen=True, slots=True)
class Seen:
    """What several checks need, asked for once: a stretch takes 0.3 s on the smallest Pi.

    Args:
        stretched: the card that nobody has.
        again: the same once more.
        calendar: None where nobody knows the hours.
        stamp: None where the register can't be read.
        problems: the check that is at fault -> why, where reading failed.
    """

    stretched: StretchedKey
    again: StretchedKey
    calendar: Calendar | None
    stamp: CacheStamp | None
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check says; the table knows its name and what to do."""

    ok: bool
    what: str


Ask = Callable[[House, Seen], Answer | None]


def look(house: House) -> Seen:
    """Ask once for what several checks need; what can't be read is a problem of one of them."""
    calendar, stamp, problems = None, None, {}
    try:
        calendar = house.calendar()
    except StoreError as err:
        problems["hours"] = f"{err}."
    try:
        stamp = house.patrons.stamp()
    except StoreError as err:
        problems["register"] = f"{err}."
    stretched, again = house.sealer.stretch(CARD), house.sealer.stretch(CARD)
    return Seen(stretched, again, calendar, stamp, problems)
