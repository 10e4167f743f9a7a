"""From a feed's patrons to sealed rows, in parallel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.access.weak_pins import easy_to_guess
from doorctl.cards.numbers import birth_date
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.ports import Sealer
from doorctl.sync.feed import FeedIdentifier, FeedPatron
from doorctl.sync.rows import (
    is_birthday,
    old_enough_from,
)

NEVER = date.max
"""A patron of unknown age is never old enough: any doubt refuses."""

IN_FLIGHT_PER_WORKER = 4
"""Enough that no worker waits for the consumer, few enough that a million rows don't queue up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How a feed is sealed.

    Args:
        sealer: called from `workers` threads at once; Argon2 runs outside Python's lock.
        minimum_age: in years; 0 where the door has no age limit.
        on: a day that has certainly come, so that no `enter_from` is kept for those already old
            enough.
        on_progress: called on the caller's thread with how many rows are sealed, and of how many.
        flags_weak: whether a row says that its PIN is too easy to guess. That helps a thief of
            the row, so it says so only where the policy makes use of it.
    """

    sealer: Sealer
    minimum_age: int
    on: date
    workers: int
    on_progress: Callable[[int, int], None]
    flags_weak: bool = False


def seal_rows(patrons: Collection[FeedPatron], sealing: Sealing) -> Iterator[SealedRow]:
    """Seal each identifier, in the order of the feed."""
    total = sum(len(patron.identifiers) for patron in patrons)
    with ThreadPoolExecutor(sealing.workers, thread_name_prefix="seal") as pool:
        rows = _in_order(pool, _drafts(patrons, sealing), sealing.workers)
        for done, row in enumerate(rows, start=1):
            sealing.on_progress(done, total)
            yield row


def _sealed(
    sealer: Sealer, patron: FeedPatron, identifier: FeedIdentifier, row: Patron
) -> SealedRow:
    stretched = sealer.stretch(identifier.identifier)
    check = None if patron.pin is None else pin_check(stretched, patron.pin)
    return SealedRow(row_key(stretched), replace(row, pin_check=check), patron.pin_changed)


def _in_order(
    pool: ThreadPoolExecutor, drafts: Iterable[Callable[[], SealedRow]], workers: int
) -> Iterator[SealedRow]:
    pending: deque[Future[SealedRow]] = deque()
    for draft in drafts:
        pending.append(pool.submit(draft))
        if len(pending) >= workers * IN_FLIGHT_PER_WORKER:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _drafts(patrons: Iterable[FeedPatron], sealing: Sealing) -> Iterator[Callable[[], SealedRow]]:
    for patron in patrons:
        rows = unsealed(patron, sealing.minimum_age, sealing.on, flags_weak=sealing.flags_weak)
        for identifier, row in rows:
            yield partial(_sealed, sealing.sealer, patron, identifier, row)


def unsealed(
    patron: FeedPatron, minimum_age: int, on: date, *, flags_weak: bool
) -> Iterator[tuple[FeedIdentifier, Patron]]:
    """Yield each identifier with its row, which has all but the key and the PIN check."""
    common = replace(
        patron.row,
        enter_from=enter_from(patron.birthday, patron.numbers, minimum_age, on),
        weak_pin=flags_weak and has_weak_pin(patron),
    )
    for identifier in patron.identifiers:
        row = replace(common, active=identifier.active, valid_until=identifier.valid_until)
        yield identifier, row


def has_weak_pin(patron: FeedPatron) -> bool:
    """Tell whether a patron's PIN is known and too easy to guess."""
    pin = patron.pin
    return pin is not None and easy_to_guess(pin, patron.numbers, patron.birthday)


def enter_from(
    birthday: date | None, numbers: Iterable[Identifier], minimum_age: int, on: date
) -> date | None:
    """Return the day on which a patron is old enough, None if it has certainly come.

    Without a birthday, the latest one in the patron's CPR numbers counts; institutions have none.
    """
    if minimum_age == 0:
        return None
    revealed = (number.reveal().partition(":") for number in numbers)
    born = (birth_date(text) for kind, _, text in revealed if kind == IdentifierKind.CPR.value)
    birthday = birthday or max((day for day in born if day is not None), default=None)
    if birthday is None:
        return NEVER
    day = old_enough_from(birthday, minimum_age)
    return None if day <= on else day


def other_days(patron: FeedPatron, ages: Iterable[int], on: date) -> dict[int, date]:
    """Return `enter_from` for each of several age limits that a patron is too young for."""
    days = {age: enter_from(patron.birthday, patron.numbers, age, on) for age in ages}
    return {age: day for age, day in days.items() if day is not None}


def lent_patron(
    patron: Patron,
    birthday: date | None,
    identifier: Identifier,
    stretched: StretchedKey,
    pin: Pin,
    *,
    minimum_age: int,
    on: date,
    flags_weak: bool = False,
) -> Patron:
    """Return the row of a `LibraryReply` that no push has brought yet, with the PIN it proved.

    `stretched` is made of `identifier`, which the reply is about; others are as in `Sealing`.
    """
    # A birthday that can't be counts as unknown; a feed's row is refused for it.
    birthday = birthday if birthday is not None and is_birthday(birthday) else None
    return replace(
        patron,
        pin_check=pin_check(stretched, pin),
        enter_from=enter_from(birthday, [identifier], minimum_age, on),
        hold_from=date.min if patron.hold_from is None and patron.hold_until else patron.hold_from,
        weak_pin=flags_weak and easy_to_guess(pin, [identifier], birthday),
        pushed=False,
    )
