"""The door process's slow half: what the worker thread does for the controller.

It prepares an attempt while the patron types, and puts the outcome on record after the relay.
Speaks to ports only; all calls on one thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from doorctl.access import codes_throttle
from doorctl.access.codes_throttle import CODES_KEY
from doorctl.access.messages import Prepared
from doorctl.access.patron import (
    BEFORE_PROOF,
    UNJUDGED,
    Patron,
    Reason,
    levels,
    may_be_one,
    row_key,
)
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import GUESSED_AT, MOST_WRONG_PINS, CardThrottle, everywhere
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, StretchedKey
from doorctl.core.moments import BootTime
from doorctl.ports import BranchBook, Clock, EventLog, PatronLookup, Sealer, Stamped, VisitLog

ALARMED_AGAIN_MS = 24 * 3_600_000
"""A right PIN of a patron after many wrong ones is alarmed once in this time."""


@dataclass(frozen=True, slots=True)
class _OpenAttempt:
    # `row_key` is None once the person was erased. `before` is None where no guess was charged: no
    # PIN is asked for, or the card has to wait.
    row_key: bytes | None = field(repr=False)
    before: CardThrottle | None
    wrong_pins: int = 0
    by_code: bool = False
    restricted: bool = False
    whose: str | bytes = field(default=b"", repr=False)

    def charged(self, now: BootTime) -> CardThrottle:
        return _charged(self.before or CardThrottle(), now, by_code=self.by_code)


@dataclass(frozen=True, slots=True)
class _Rights:
    """The bans and passes that the branch holds for one reading of a card."""

    bans: tuple[Ban, ...] = field(default=(), repr=False)
    passes: tuple[Pass, ...] = field(default=(), repr=False)
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    found: Prepared
    rights: _Rights


class Ledger:
    """Prepare attempts and settle them.

    Wrap the door log `visits` in :class:`~doorctl.doord.fallback_log.SteadyVisitLog` so that a full
    disk keeps nobody out. `counts_guesses` says whether a PIN is required at all; codes are counted
    in any case. `branch` is None where there are no bans and passes.

    Raises:
        BranchStoreError: from `prepare` and `look_again`: bans and passes can't be read.
        StoreError: from these two: the patron cache can't be read.
    """

    def __init__(
        self,
        *,
        sealer: Sealer,
        patrons: PatronLookup,
        visits: VisitLog,
        clock: Clock,
        log: EventLog,
        counts_guesses: bool,
        branch: BranchBook | None = None,
    ) -> None:
        self._sealer = sealer
        self._patrons = patrons
        self._visits = visits
        self._clock = clock
        self._log = log
        self._counts_guesses = counts_guesses
        self._branch = branch
        self._open: dict[int, _OpenAttempt] = {}
        self._guessed: dict[str | bytes, BootTime] = {}

    def count_guesses(self, *, wanted: bool) -> None:
        """Switch the counting of guesses on or off, from the next attempt on."""
        self._counts_guesses = wanted

    def prepare(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        """Find out everything about a card or a code and put the attempt on record, durably.

        The guess is charged before it is made, so that a power cut never gives a guess away. The
        steps are the same for an unknown card. All codes are counted and put on record as one, so
        the door log does not tell which was used.
        """
        found = self._find(attempt, identifiers)
        now = self._clock.boot_time()
        counts = self._counts_guesses or found.by_code
        key = CODES_KEY if found.by_code else found.row_key
        keys = (key,) if found.by_code else tuple(map(row_key, levels(found.stretched)))
        before = max(map(self._visits.card_throttle, keys), key=lambda one: one.failures)
        wrong = 0
        if not found.by_code:
            wrong = max(self._wrong_pins(one, _ref(found.patron)) for one in keys)
        held = wrong >= MOST_WRONG_PINS or _holds(before, now, by_code=found.by_code)
        throttled = counts and held
        opened = _OpenAttempt(
            key,
            before if counts and not throttled else None,
            wrong_pins=wrong,
            by_code=found.by_code,
            restricted=found.patron is not None and found.patron.restricted,
            whose=_ref(found.patron) or key,
        )
        charged = None if opened.before is None else opened.charged(now)
        whose = None if charged is None or found.by_code else opened.whose
        self._visits.open_attempt(attempt, self._stamped(now), key, charged, whose)
        self._open[attempt] = opened
        delay_s = self._visits.reader_throttle().delay_s(now) if self._counts_guesses else 0.0
        return replace(found, throttled=throttled, delay_s=delay_s)

    def look_again(self, prepared: Prepared) -> Prepared:
        """Read a card's row, bans and pass once more; everything else stays as it was.

        This includes the bans of a patron whom the library system has just named.
        """
        patron = None if prepared.by_code else self._patrons.find(prepared.row_key)
        found = replace(prepared, patron=patron, **self._cache())
        own = self._rights(prepared.row_key, _ref(patron or prepared.lent))
        others = (self._rights(key, None) for key in prepared.other_keys)
        return _with_rights(found, _united(own, others))

    def settle(
        self,
        attempt: int,
        reason: Reason,
        counted_as: str | None = None,
        *,
        proved: bool = False,
        unchecked: bool = False,
    ) -> None:
        """Record how an attempt ended, and charge its card and this reader.

        A PIN that was `proved` ends the card's count, because nobody guesses. One that was
        `unchecked` costs the card nothing, because its answer told nobody anything; the reader it
        does cost.

        The statistics count it under the mode `counted_as`, or not at all for None. They never
        count a patron whose data are restricted, because such data are used for nothing.
        """
        now = self._clock.boot_time()
        opened = self._open.pop(attempt, None)
        if opened is None:
            self._visits.open_attempt(attempt, self._stamped(now), None, None)
            self._visits.close_attempt(attempt, reason, counted_as=counted_as)
            return
        reader = None
        if self._counts_guesses and reason in BEFORE_PROOF and not opened.by_code:
            reader = self._visits.reader_throttle().charged(now)
        if unchecked:
            throttle = opened.before
        else:
            throttle = _throttle_after(opened, reason, now, proved=proved)
        if opened.restricted or reason is Reason.RESTRICTED:
            counted_as = None
        right = None if unchecked or opened.before is None else _was_right(reason, proved=proved)
        self._visits.close_attempt(
            attempt, reason, opened.row_key, throttle, reader, counted_as=counted_as, right=right
        )
        if right and opened.wrong_pins >= GUESSED_AT and self._news_of(opened.whose, now):
            self._log.emit("alarm", kind="card_guessed", wrong=opened.wrong_pins)

    def _news_of(self, whose: str | bytes, now: BootTime) -> bool:
        """Note an alarm about a patron; tell whether it is the first in a day. Drop older notes."""
        lately = {
            one: at for one, at in self._guessed.items() if now.ms_since(at) < ALARMED_AGAIN_MS
        }
        self._guessed = {whose: now} | lately
        return whose not in lately

    def unlock(self, row_key: bytes) -> None:
        """Forget a card's failures, and its patron's; no open attempt brings them back.

        Raises:
            StoreError: it could not be stored, or the patron cache can't be read; nothing is
                forgotten.
        """
        self._visits.reset_card(row_key, _ref(self._patrons.find(row_key)))
        for number, opened in self._open.items():
            if opened.row_key == row_key and opened.before is not None:
                self._open[number] = replace(opened, before=CardThrottle())

    def forget(self, row_keys: frozenset[bytes]) -> None:
        """Forget an erased person's cards, so that no open attempt brings them back when it ends.

        The open attempt goes on, and its record names nobody.

        Raises:
            StoreError: their failures could not be deleted; call this again.
        """
        for key in row_keys:
            self._visits.reset_card(key)
        for number, opened in self._open.items():
            if opened.row_key in row_keys:
                self._open[number] = replace(opened, row_key=None, whose=b"")
        # The patrons of these cards are unknown here; at worst others' alarms come once more.
        self._guessed.clear()

    def _find(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        # Each reading is stretched and looked up, found or not: the work must not tell which.
        # What is still sealed with an earlier key is found too: a rotation may be half done.
        readings = [
            self._read(attempt, identifier, stretched)
            for identifier in identifiers
            for stretched in levels(self._sealer.stretch(identifier))
        ]
        known = [one for one in readings if one.found.patron is not None]
        with_pass = [one for one in readings if one.rights.passes]
        best = (known or with_pass or readings)[0]
        who = best.found.patron
        others = [one for one in readings if one is not best and may_be_one(one.found.patron, who)]
        found = replace(best.found, other_keys=tuple(one.found.row_key for one in others))
        rights = _united(best.rights, (one.rights for one in others))
        return replace(_with_rights(found, rights), **self._cache())

    def _read(self, attempt: int, identifier: Identifier, stretched: StretchedKey) -> _Reading:
        key = row_key(stretched)
        patron = None if identifier.kind is IdentifierKind.CODE else self._patrons.find(key)
        found = Prepared(attempt, stretched, key, patron, identifier=identifier)
        return _Reading(found, self._rights(key, _ref(patron)))

    def _rights(self, key: bytes, patron_ref: str | None) -> _Rights:
        if self._branch is None:
            return _Rights()
        try:
            bans, passes = self._branch.bans(key, patron_ref), self._branch.passes_of(key)
            return _Rights(bans, passes, restricted=self._branch.restricted(key, patron_ref))
        except StoreError as err:
            raise BranchStoreError(str(err)) from err

    def _wrong_pins(self, key: bytes, patron_ref: str | None) -> int:
        here = self._visits.wrong_pins(key, patron_ref)
        if self._branch is None:
            return here
        try:
            return everywhere(here, self._branch.wrong_pins_elsewhere(patron_ref))
        except StoreError as err:
            raise BranchStoreError(str(err)) from err

    def _cache(self) -> dict[str, Any]:
        stamp = self._patrons.stamp()
        return {"cache_applied_at": stamp.applied_at, "cache_minimum_age": stamp.minimum_age}

    def _stamped(self, now: BootTime) -> Stamped:
        moment = self._clock.moment()
        return Stamped(moment.local, moment.state, now)


def _united(own: _Rights, others: Iterable[_Rights]) -> _Rights:
    """Add what is held against the person under other readings; not their passes."""
    for other in others:
        more = tuple(ban for ban in other.bans if ban not in own.bans)
        own = _Rights((*own.bans, *more), own.passes, own.restricted or other.restricted)
    return own


def _with_rights(found: Prepared, rights: _Rights) -> Prepared:
    if not rights.restricted:
        newest = rights.passes[0] if rights.passes else None
        return replace(found, bans=rights.bans, held=newest, older=rights.passes[1:])
    # A pass is not used either: it rests on the same person.
    patron, lent = _restricted(found.patron), _restricted(found.lent)
    return replace(found, bans=rights.bans, held=None, older=(), patron=patron, lent=lent)


def _restricted(patron: Patron | None) -> Patron | None:
    return None if patron is None else replace(patron, restricted=True)


def _holds(throttle: CardThrottle, now: BootTime, *, by_code: bool) -> bool:
    return codes_throttle.holds(throttle, now) if by_code else throttle.holds(now)


def _charged(throttle: CardThrottle, now: BootTime, *, by_code: bool) -> CardThrottle:
    return codes_throttle.charged(throttle, now) if by_code else throttle.charged(now)


def _ref(patron: Patron | None) -> str | None:
    return None if patron is None else patron.patron_ref


def _was_right(reason: Reason, *, proved: bool) -> bool | None:
    if proved:
        return True
    return False if reason in BEFORE_PROOF else None


def _throttle_after(
    opened: _OpenAttempt, reason: Reason, now: BootTime, *, proved: bool
) -> CardThrottle | None:
    if opened.before is None or reason in UNJUDGED:
        return opened.before
    if reason in BEFORE_PROOF:
        return opened.charged(now)
    # A code shows of itself alone that nobody guesses at it.
    return CardThrottle() if proved and not opened.by_code else opened.before
