"""A card looked up for the door and for "Help a patron": row, bans, passes, and its wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from doorctl.access.code_throttle import CODES_KEY, codes_hold
from doorctl.access.messages import VisitReader
from doorctl.access.patron import Patron, may_be_one
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import CardThrottle, WrongPins, waits
from doorctl.core.errors import (
    AnswerDamagedError,
    BranchStoreError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import BootTime
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache


@dataclass(frozen=True, slots=True)
class NumberKeys:
    """One reading of a typed number; `key` is the 16 bytes under which its row is kept.

    `earlier` are its keys before another installation key was laid over, the newest first.
    """

    kind: IdentifierKind
    key: bytes = field(repr=False)
    earlier: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Every key under which something may be kept: a rotation may be half done."""
        return (self.key, *self.earlier)


@dataclass(frozen=True, slots=True)
class Found:
    """Row, bans and passes of a card; where `restricted`, no pass is used and the row says so.

    `keys` are its row key and the earlier ones; `other_keys` are those of the card's other
    readings, without any that the register knows as another patron's. `beside` are the row keys of
    the patron's other cards. `damaged`: what the library system answered about it once can't be
    read, so it is as if it had never been asked.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    by_code: bool
    patron: Patron | None = None
    bans: tuple[Ban, ...] = ()
    passes: tuple[Pass, ...] = ()
    restricted: bool = False
    other_keys: tuple[bytes, ...] = field(default=(), repr=False)
    beside: tuple[bytes, ...] = field(default=(), repr=False)
    damaged: bool = False

    @property
    def patron_ref(self) -> str | None:
        """The patron's number in the library system."""
        return None if self.patron is None else self.patron.patron_ref


@dataclass(frozen=True, slots=True)
class Wait:
    """A card's wrong PINs: in a row, the patron's on record, and whether it has to wait."""

    throttle: CardThrottle
    wrong_pins: int
    holds: bool


def look_up(readings: Sequence[NumberKeys], patrons: PatronCache, branch: BranchRecords) -> Found:
    """Look up all readings, best first, even after a hit; return what is held of the best.

    A row counts before a pass, and a pass before neither. Bans and restrictions of the same person
    under another reading count too. Raises BranchStoreError: bans and passes can't be read.
    StoreError: the patron cache can't be read.
    """
    rows = [
        _read(reading.keys[level:], reading.kind, patrons, branch)
        for reading in readings
        for level in range(len(reading.keys))
    ]
    known = [row for row in rows if row.patron is not None]
    with_pass = [row for row in rows if row.passes]
    best = (known or with_pass or rows)[0]
    others = [row for row in rows if row is not best and may_be_one(row.patron, best.patron)]
    other_keys = tuple(row.keys[0] for row in others)
    damaged = any(row.damaged for row in rows)
    # An unknown card is asked about too: the time must not tell which it is.
    beside: tuple[bytes, ...] = ()
    with suppress(StoreDamagedError):  # Of the index alone: the row itself was read.
        beside = tuple(key for key in patrons.cards_of(best.patron_ref) if key not in best.keys)
    found = united(best, others)
    return replace(found, other_keys=other_keys, beside=beside, damaged=damaged)


def row_of(key: bytes, patrons: PatronCache) -> tuple[Patron | None, bool]:
    """Return a card's row, and whether an answer of the library system about it is damaged.

    Raises StoreError: the patron cache can't be read.
    """
    try:
        return patrons.find(key), False
    except AnswerDamagedError:
        return patrons.find(key, pushed_alone=True), True


def rights_of(
    key: bytes, patron: Patron | None, branch: BranchRecords, *, by_code: bool = False
) -> Found:
    """Return a row with the bans, passes and restriction that the branch holds of it.

    Raises BranchStoreError: they can't be read.
    """
    ref = None if patron is None else patron.patron_ref
    try:
        bans, passes, kept = (
            branch.bans(key, ref),
            branch.passes_of(key),
            branch.restricted(key, ref),
        )
    except StoreError as err:
        raise BranchStoreError(str(err)) from err
    return Found((key,), by_code, patron, bans, passes, kept)


def united(own: Found, others: Iterable[Found]) -> Found:
    """Add the bans and restrictions of the person's other readings, but not their passes.

    Where one is restricted, row and passes are used for nothing.
    """
    for other in others:
        more = tuple(ban for ban in other.bans if ban not in own.bans)
        own = replace(own, bans=(*own.bans, *more), restricted=own.restricted or other.restricted)
    # A pass is not used either: it rests on the same person.
    return replace(own, patron=restricted(own.patron), passes=()) if own.restricted else own


def restricted(patron: Patron | None) -> Patron | None:
    """Return a row marked as restricted, which is used for nothing."""
    return None if patron is None else replace(patron, restricted=True)


def wait_of(found: Found, visits: VisitReader, branch: BranchRecords, now: BootTime) -> Wait:
    """Return whether a card has to wait after wrong PINs; all codes wait together.

    Raises BranchStoreError: the wrong PINs at other branches can't be read.
    """
    if found.by_code:
        throttle = visits.card_throttle(CODES_KEY)
        return Wait(throttle, 0, codes_hold(throttle, now))
    throttle = max(map(visits.card_throttle, found.keys), key=lambda throttle: throttle.failures)
    ref = found.patron_ref
    own = max(visits.wrong_pins_by(key, ref) for key in found.keys)
    here = max(visits.wrong_pins(key, ref) for key in found.keys)
    try:
        elsewhere = branch.wrong_pins_elsewhere(ref)
    except StoreError as err:
        raise BranchStoreError(str(err)) from err
    wrong = WrongPins(own, here, elsewhere)
    beside = map(visits.card_throttle, found.beside)
    return Wait(throttle, wrong.all, wrong.stop or waits(throttle, beside, now))


def _read(
    keys: tuple[bytes, ...], kind: IdentifierKind, patrons: PatronCache, branch: BranchRecords
) -> Found:
    by_code = kind is IdentifierKind.CODE
    patron, damaged = (None, False) if by_code else row_of(keys[0], patrons)
    own = rights_of(keys[0], patron, branch, by_code=by_code)
    return replace(own, keys=keys, damaged=damaged)


def keys_of(readings: Iterable[NumberKeys]) -> tuple[bytes, ...]:
    """Return the keys alone."""
    return tuple(reading.key for reading in readings)
