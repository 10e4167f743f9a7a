"""From a feed's patrons to sealed rows, and into this machine's patron cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from doorctl.access.messages import LibraryPatron
from doorctl.access.patron import Applied, Patron, SealedRow, easy_to_guess, pin_check, row_key
from doorctl.cards.numbers import birth_date
from doorctl.core.errors import FeedError, Problem
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import Moment
from doorctl.core.ports import Sealer
from doorctl.sync.feed import FeedIdentifier, FeedPatron, read_feed
from doorctl.sync.rows import is_birthday, old_enough_from

NEVER = date.max
"""A patron of unknown age is never old enough: any doubt refuses."""

IN_FLIGHT_PER_WORKER = 4
"""Enough that no worker waits for the consumer, few enough that a million rows don't queue up."""


def seal_rows(
    patrons: Sequence[FeedPatron],
    sealer: Sealer,
    *,
    minimum_age: int,
    on: date | None,
    workers: int,
    on_progress: Callable[[int, int], None],
    flags_weak: bool = False,
) -> Iterator[SealedRow]:
    """Seal each identifier, in the order of the feed.

    Args:
        sealer: called from `workers` threads at once.
        minimum_age: in years; 0 where the door has no age limit.
        on: a day that has certainly come, so that no `enter_from` is kept for those already old
            enough; None keeps it for everybody.
        workers: 1 or more; Argon2 runs outside Python's lock.
        on_progress: called on the caller's thread with how many rows are sealed, and of how many.
        flags_weak: whether a row says that its PIN is too easy to guess. That helps a thief of
            the row, so it says so only where the policy makes use of it.
    """
    total = sum(len(patron.identifiers) for patron in patrons)
    drafts = _drafts(patrons, minimum_age, on, flags_weak=flags_weak)
    with ThreadPoolExecutor(workers, thread_name_prefix="seal") as pool:
        for done, row in enumerate(_in_order(pool, sealer, drafts, workers), start=1):
            on_progress(done, total)
            yield row


@dataclass(frozen=True, slots=True)
class _Draft:
    """A row that still lacks its key and its PIN check."""

    identifier: Identifier
    pin: Pin | None
    pin_changed: date | None
    patron: Patron

    def seal(self, sealer: Sealer) -> SealedRow:
        stretched = sealer.stretch(self.identifier)
        check = None if self.pin is None else pin_check(stretched, self.pin)
        patron = replace(self.patron, pin_check=check)
        return SealedRow(row_key(stretched), patron, self.pin_changed)


def _in_order(
    pool: ThreadPoolExecutor, sealer: Sealer, drafts: Iterable[_Draft], workers: int
) -> Iterator[SealedRow]:
    pending: deque[Future[SealedRow]] = deque()
    for draft in drafts:
        pending.append(pool.submit(draft.seal, sealer))
        if len(pending) >= workers * IN_FLIGHT_PER_WORKER:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _drafts(
    patrons: Iterable[FeedPatron], minimum_age: int, on: date | None, *, flags_weak: bool
) -> Iterator[_Draft]:
    for patron in patrons:
        first_day = enter_from(patron, minimum_age, on)
        is_weak = flags_weak and has_weak_pin(patron)
        for identifier in patron.identifiers:
            row = replace(patron_row(patron, identifier, first_day), weak_pin=is_weak)
            yield _Draft(identifier.identifier, patron.pin, patron.pin_changed, row)


def patron_row(patron: FeedPatron, identifier: FeedIdentifier, first_day: date | None) -> Patron:
    """Return the row of one identifier, without a PIN check; `first_day` as of `enter_from`."""
    return Patron(
        patron_ref=patron.patron_ref,
        resident=patron.resident,
        active=identifier.active,
        blocks=patron.blocks,
        enter_from=first_day,
        valid_until=identifier.valid_until,
        hold_from=patron.hold_from,
        hold_until=patron.hold_until,
        tags=patron.tags,
    )


def has_weak_pin(patron: FeedPatron) -> bool:
    """Tell whether a patron's PIN is known and too easy to guess."""
    if patron.pin is None:
        return False
    identifiers = (identifier.identifier for identifier in patron.identifiers)
    return easy_to_guess(patron.pin, identifiers, patron.birthday)


def enter_from(patron: FeedPatron, minimum_age: int, on: date | None) -> date | None:
    """Return the day on which a patron is old enough, None if it has certainly come."""
    if minimum_age == 0:
        return None
    birthday = patron.birthday or _youngest(patron)
    if birthday is None:
        return NEVER
    day = old_enough_from(birthday, minimum_age)
    return None if on is not None and day <= on else day


def other_days(patron: FeedPatron, ages: Iterable[int], on: date | None) -> dict[int, date]:
    """Return `enter_from` for each of several age limits that a patron is too young for."""
    days = {age: enter_from(patron, age, on) for age in ages}
    return {age: day for age, day in days.items() if day is not None}


def _youngest(patron: FeedPatron) -> date | None:
    """Return the latest birthday in the patron's CPR numbers; institutions have none."""
    born = (birth_date(number) for number in _cpr_numbers(patron))
    return max((birthday for birthday in born if birthday is not None), default=None)


def _cpr_numbers(patron: FeedPatron) -> Iterator[str]:
    for identifier in patron.identifiers:
        kind, _, number = identifier.identifier.reveal().partition(":")
        if kind == IdentifierKind.CPR.value:
            yield number


# From the library system's answer about one card to a sealed row, as a push would bring it.

NO_LINE = 0
"""The line of a patron who stands in no file."""


def lent_patron(
    answer: LibraryPatron,
    identifier: Identifier,
    stretched: StretchedKey,
    pin: Pin,
    *,
    minimum_age: int,
    on: date | None,
    flags_weak: bool = False,
) -> Patron:
    """Return the row of a patron whom no push has brought yet, with the PIN that was proved.

    `stretched` is made of `identifier`, the number that the answer is about; `minimum_age`, `on`
    and `flags_weak` are as for `seal_rows`.
    """
    # A birthday that can't be counts as unknown; a feed's row is refused for it.
    known = answer.birthday is not None and is_birthday(answer.birthday)
    birthday = answer.birthday if known else None
    patron = FeedPatron(
        line=NO_LINE,
        patron_ref=answer.patron_ref,
        identifiers=(FeedIdentifier(identifier, answer.active, answer.valid_until),),
        left_out=0,
        pin=pin,
        resident=answer.resident,
        birthday=birthday,
        blocks=answer.blocks,
        hold_from=date.min if answer.hold_from is None and answer.hold_until else answer.hold_from,
        hold_until=answer.hold_until,
        tags=answer.tags,
    )
    return replace(
        patron_row(patron, patron.identifiers[0], enter_from(patron, minimum_age, on)),
        pin_check=pin_check(stretched, pin),
        weak_pin=flags_weak and has_weak_pin(patron),
        pushed=False,
    )


# Load a feed into this machine's patron cache: read, seal, apply; all of it or nothing.


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    `left_out` counts identifiers of types that no reader reads, `removed` those that the cache held
    before and no longer holds.
    """

    epoch: int
    patrons: int
    identifiers: int
    left_out: int
    removed: int


def load(
    path: Path,
    *,
    sealer: Sealer,
    apply: Callable[[Sequence[SealedRow], datetime], Applied],
    moment: Moment,
    pin_length: int,
    minimum_age: int,
    full: bool,
    workers: int,
    on_progress: Callable[[int, int], None],
    flags_weak: bool = False,
) -> Loaded:
    """Read, check and seal the whole feed, then apply it in one transaction.

    `apply` gets the rows and the time in UTC from which the cache's age counts, `moment`'s. It is
    called last and once, on this thread, so it need not hold a lock for the hour that sealing a
    town takes. `full` says that the feed is the whole register. The others are as for `seal_rows`.

    Raises:
        FeedError: a row is wrong, or the feed would do something else than it seems to.
        StoreError: the cache can't be written; nothing was changed.
    """
    patrons = read_feed(path, pin_length=pin_length)
    _refuse_surprises(path.name, patrons, full=full)
    rows = list(
        seal_rows(
            patrons,
            sealer,
            minimum_age=minimum_age,
            on=moment.latest_known.date(),
            workers=workers,
            on_progress=on_progress,
            flags_weak=flags_weak,
        )
    )
    # Even an unset clock's time is kept: it is seldom ahead, and a future date counts as too old.
    applied = apply(rows, moment.local.astimezone(UTC))
    left_out = sum(patron.left_out for patron in patrons)
    return Loaded(applied.epoch, len(patrons), len(rows), left_out, applied.removed)


def _refuse_surprises(subject: str, patrons: Sequence[FeedPatron], *, full: bool) -> None:
    if full and not any(patron.identifiers for patron in patrons):
        what = "holds no card and no CPR number, so it would lock everybody out; export it again"
        raise FeedError(subject, [Problem("file", what)])
    if not full:
        _refuse_lost_cards(subject, patrons)


def _refuse_lost_cards(subject: str, patrons: Sequence[FeedPatron]) -> None:
    """Refuse changes of a patron without cards: the patron's old cards would stay in force."""
    bare = [patron for patron in patrons if not patron.identifiers]
    if bare:
        what = "identifiers: no card and no CPR number; only a full feed can take a last card away"
        raise FeedError(subject, [Problem(f"line {patron.line}", what) for patron in bare[:20]])
