"""Attempts while they are open: prepared while the patron types, put on record after the relay.

On the worker's thread, which posts to the loop what it has prepared.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from doorctl.access.code_throttle import CODES_KEY, codes_charged
from doorctl.access.messages import (
    Closed,
    Concluded,
    Opened,
    Prepared,
    VisitLog,
)
from doorctl.access.patron import (
    BEFORE_PROOF,
    Patron,
    Reason,
    levels,
    row_key,
)
from doorctl.access.throttle import GUESSED_AT, CardThrottle
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import BootTime, Stamped
from doorctl.core.ports import AlarmOnce, Clock, EventLog, Sealer
from doorctl.doord.loop_events import (
    PostedEvent,
)
from doorctl.lookup.cards import (
    Found,
    NumberKeys,
    look_up,
    restricted,
    rights_of,
    row_of,
    united,
    wait_of,
)
from doorctl.ops.threads import WorkerThread
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache

Worker = WorkerThread[PostedEvent]
"""Does slow jobs in order, and posts to the loop what they return."""


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
    guessed: bool = True

    def charged(self, now: BootTime) -> CardThrottle:
        before = self.before or CardThrottle()
        return codes_charged(before, now) if self.by_code else before.charged(now)


class LateGuesses(Protocol):
    """What a slow disk owes: guesses whose charge it has not taken yet. One thread; may wait."""

    def must_wait(self, row_key: bytes | None) -> bool:
        """Tell whether a card may not be guessed at now."""

    def is_refused(self, attempt: int) -> bool:
        """Tell whether the guess of the attempt that was opened last may not be made."""


@dataclass(eq=False, kw_only=True)
class Ledger:
    """Prepare attempts and settle them; all calls on one thread.

    Wrap the door log `visits` in :class:`~doorctl.doord.stores.SteadyVisitLog` so that a full disk
    keeps nobody out. `counts_guesses` says whether a PIN is required at all; codes are counted in
    any case. `late` says which guesses have to wait for a slow disk, None where none does. Raises
    BranchStoreError: from `prepare` and `look_again`: bans and passes can't be read. StoreError:
    from these two: the patron cache can't be read.
    """

    sealer: Sealer
    patrons: PatronCache
    visits: VisitLog
    clock: Clock
    log: EventLog
    branch: BranchRecords
    counts_guesses: bool
    late: LateGuesses | None = None

    def __post_init__(self) -> None:
        self._open: dict[int, _OpenAttempt] = {}
        self._guessed: dict[str | bytes, BootTime] = {}
        self._answers = AlarmOnce(self.log, "store_damaged", "answers")

    def prepare(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        """Find out everything about a card or a code and put the attempt on record, durably.

        The guess is charged before it is made, so that a power cut never gives a guess away. The
        steps are the same for an unknown card. All codes are counted and put on record as one, so
        the door log does not tell which was used.
        """
        prepared, found = self._find(attempt, identifiers)
        now = self.clock.boot_time()
        key = CODES_KEY if found.by_code else prepared.row_key
        wait = wait_of(found, self.visits, self.branch, now)
        counts = self.counts_guesses or found.by_code
        late = self.late
        owed = counts and not wait.holds and late is not None and late.must_wait(key)
        throttled = counts and (wait.holds or owed)
        opened = _OpenAttempt(
            key,
            wait.throttle if counts and not throttled else None,
            wrong_pins=wait.wrong_pins,
            by_code=found.by_code,
            restricted=found.patron is not None and found.patron.restricted,
            whose=found.patron_ref or key,
        )
        charged = None if opened.before is None else opened.charged(now)
        whose = None if charged is None or found.by_code else opened.whose
        self.visits.open_attempt(Opened(attempt, self._stamped(now), key, charged, whose))
        if charged is not None and late is not None and late.is_refused(attempt):
            throttled, opened = True, replace(opened, guessed=False)
        self._open[attempt] = opened
        delay_s = self.visits.reader_throttle().delay_s(now) if self.counts_guesses else 0.0
        return replace(prepared, throttled=throttled, delay_s=delay_s)

    def look_again(self, prepared: Prepared) -> Prepared:
        """Read a card's row, bans and pass once more; everything else stays as it was.

        This includes the bans of a patron whom the library system has just named.
        """
        key, lent = prepared.row_key, prepared.lent
        patron, damaged = (None, False) if prepared.by_code else row_of(key, self.patrons)
        own = rights_of(key, patron or lent, self.branch, by_code=prepared.by_code)
        others = (rights_of(key, None, self.branch) for key in prepared.other_keys)
        found = united(own, others)
        cache = self._cache(by_code=prepared.by_code, damaged=damaged)
        again = replace(prepared, patron=patron, **cache)
        return _with_rights(again, found)

    def settle(self, end: Concluded, counted_as: str | None = None) -> None:
        """Record how an attempt ended, and charge its card and this reader.

        A PIN that was proved ends the card's count, because it was no guess. One that was unchecked
        costs the reader, but not the card, because its answer revealed nothing.

        The statistics count it under the mode `counted_as`, or not at all for None. They never
        count a patron whose data are restricted, because such data are used for nothing.
        """
        now, attempt, reason = self.clock.boot_time(), end.attempt, end.reason
        opened = self._open.pop(attempt, None)
        if opened is None:
            self.visits.open_attempt(Opened(attempt, self._stamped(now), None, None))
            self.visits.close_attempt(Closed(attempt, reason, counted_as=counted_as))
            return
        reader = None
        if self.counts_guesses and reason in BEFORE_PROOF and not opened.by_code:
            reader = self.visits.reader_throttle().charged(now)
        throttle, right = opened.before, None
        if throttle is not None and opened.guessed and not end.unchecked:
            throttle = _throttle_after(opened, end, now)
            right = True if end.proved else False if reason in BEFORE_PROOF else None
        if opened.restricted or reason is Reason.RESTRICTED:
            counted_as = None
        closed = Closed(
            attempt, reason, opened.row_key, throttle, reader, counted_as=counted_as, right=right
        )
        self.visits.close_attempt(closed)
        if right and opened.wrong_pins >= GUESSED_AT and self._news_of(opened.whose, now):
            self.log.emit("alarm", kind="card_guessed", wrong=opened.wrong_pins)

    def _news_of(self, whose: str | bytes, now: BootTime) -> bool:
        """Note an alarm about a patron; tell whether it is the first in a day. Drop older notes."""
        lately = {
            key: at for key, at in self._guessed.items() if now.ms_since(at) < ALARMED_AGAIN_MS
        }
        self._guessed = {whose: now} | lately
        return whose not in lately

    def has_failures(self, row_key: bytes) -> bool:
        """Tell whether `unlock` has anything to forget.

        Raises StoreError: the patron cache can't be read.
        """
        whose, keys = self._with_all_cards(row_key)
        wrong = self.visits.wrong_pins(row_key, whose)
        return wrong > 0 or any(self.visits.card_throttle(key).failures for key in keys)

    def _with_all_cards(self, row_key: bytes) -> tuple[str | None, set[bytes]]:
        """Return a card's patron, and the row keys of all cards that are the patron's."""
        whose = _ref(self.patrons.find(row_key))
        return whose, {row_key, *self.patrons.cards_of(whose)}

    def unlock(self, row_key: bytes) -> None:
        """Forget the failures of a card and its patron's others; no open attempt brings them back.

        Raises StoreError: it could not be stored, or the patron cache can't be read; nothing is
        forgotten.
        """
        whose, keys = self._with_all_cards(row_key)
        for key in keys:
            self.visits.reset_card(key, whose)
        for number, opened in self._open.items():
            if opened.row_key in keys and opened.before is not None:
                self._open[number] = replace(opened, before=CardThrottle())

    def forget(self, row_keys: frozenset[bytes]) -> None:
        """Forget an erased person's cards, so that no open attempt brings them back when it ends.

        The open attempt goes on, and its record names no person. Raises StoreError: their failures
        could not be deleted; call this again.
        """
        for key in row_keys:
            self.visits.reset_card(key)
        for number, opened in self._open.items():
            if opened.row_key in row_keys:
                self._open[number] = replace(opened, row_key=None, whose=b"")
        # The patrons of these cards are unknown here; at worst others' alarms come once more.
        self._guessed.clear()

    def _find(self, attempt: int, identifiers: tuple[Identifier, ...]) -> tuple[Prepared, Found]:
        # Each reading is stretched and looked up, found or not: the work must not tell which.
        stretched: dict[bytes, tuple[StretchedKey, Identifier]] = {}
        readings = []
        for identifier in identifiers:
            by_key = {row_key(key): key for key in levels(self.sealer.stretch(identifier))}
            stretched |= {key: (secret, identifier) for key, secret in by_key.items()}
            readings.append(NumberKeys(identifier.kind, next(iter(by_key)), tuple(by_key)[1:]))
        found = look_up(readings, self.patrons, self.branch)
        key = found.keys[0]
        secret, meant = stretched[key]
        prepared = Prepared(attempt, secret, key, found.patron, identifier=meant)
        cache = self._cache(by_code=found.by_code, damaged=found.damaged)
        prepared = replace(prepared, other_keys=found.other_keys, **cache)
        return _with_rights(prepared, found), found

    def _cache(self, *, by_code: bool, damaged: bool) -> dict[str, Any]:
        stamp = self.patrons.stamp()
        if damaged:
            self._answers.tell("patrons.db: an answer of the library system is damaged; not used")
        return {
            "cache_applied_at": stamp.applied_at,
            "cache_minimum_age": stamp.minimum_age,
            # No register holds a code, and each wrong one has to count.
            "damaged": not by_code and (damaged or stamp.incomplete),
        }

    def _stamped(self, now: BootTime) -> Stamped:
        moment = self.clock.moment()
        return Stamped(moment.local, moment.state, now)


def _with_rights(prepared: Prepared, found: Found) -> Prepared:
    held, *older = found.passes or (None,)
    patron, lent = prepared.patron, prepared.lent
    if found.restricted:
        patron, lent = restricted(patron), restricted(lent)
    return replace(
        prepared, bans=found.bans, held=held, older=tuple(older), patron=patron, lent=lent
    )


def _ref(patron: Patron | None) -> str | None:
    return None if patron is None else patron.patron_ref


def _throttle_after(opened: _OpenAttempt, end: Concluded, now: BootTime) -> CardThrottle | None:
    if end.reason in BEFORE_PROOF:
        return opened.charged(now)
    # A right code does not prove that nobody is guessing others.
    return CardThrottle() if end.proved and not opened.by_code else opened.before
