"""Ports to the patron cache: sealing identifiers, looking patrons up, applying pushes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from doorctl.access.patron import Patron
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import Moment


class Sealer(Protocol):
    """Stretches an identifier into the key under which its row is kept. Thread-safe, slow."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K`` of the design's section 4; about 0.3 s on the smallest Pi."""


@dataclass(frozen=True, slots=True)
class CacheStamp:
    """The patron cache's own state, of which a sender can compare `patrons` with its export.

    Args:
        epoch: number of the last document applied; it only grows.
        applied_at: UTC, by whatever clock there was; None if there was none yet.
        minimum_age: the age that the rows' `enter_from` was computed for.
        patrons: how many identifiers it holds by a push.
    """

    epoch: int
    applied_at: datetime | None
    minimum_age: int
    patrons: int

    def age(self, now: Moment) -> timedelta | None:
        """Return how old the cache is; None where that is not known."""
        if self.applied_at is None or not now.dependable:
            return None
        return now.local - self.applied_at


class PatronLookup(Protocol):
    """The patron cache, read-only. All calls on one thread, except `version` (any one thread).

    Raises:
        StoreError: the cache is missing or can't be read; nobody can be let in by it.
    """

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push or `keep`."""

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, no disk."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One identifier's row as it is stored.

    Args:
        row_key: 16 bytes, which name the identifier to those who have the installation key.
        pin_changed: the day on which the patron last changed the PIN, None for not known: a check
            that was learnt on that day or before counts no more.
    """

    row_key: bytes = field(repr=False)
    patron: Patron
    pin_changed: date | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a push did: the new epoch and how many identifiers are now held."""

    epoch: int
    rows: int
    removed: int


@dataclass(frozen=True, slots=True)
class Push:
    """Which push the cache holds: its number and the SHA-256 of its rows in hex.

    The digest is empty for a feed that was loaded on this machine.
    """

    epoch: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """The identifiers that a push is about to shut out, together with the pushes of a week.

    A row *opens* on a day where nothing in the row itself refuses then, by the branch's rules. An
    identifier that opened, and by a push of the last seven days does not on the very day of this
    push or one of the seven days after it, counts once as `shut_out` and under each reason that it
    gives now; as long as nobody has approved of it and no push has put it right again.

    Args:
        held: how many were held, with those that were removed within the week.
        shut_out: how many opened before and don't, are not held, or ask for another PIN.
        let_in: how many were held and did not open, and do so by this push alone.
        removed: of those shut out, how many are not held.
        newly_blocked: by a block code that the branch denies.
        newly_expired: because they are not active, past their last day or on hold.
        newly_restricted: because their data may not be used.
        newly_weak: because their PIN is too easy to guess.
        pins_lost: because there is no PIN to compare with any more.
    """

    held: int
    shut_out: int = 0
    let_in: int = 0
    removed: int = 0
    newly_blocked: int = 0
    newly_non_resident: int = 0
    newly_expired: int = 0
    newly_under_age: int = 0
    newly_restricted: int = 0
    newly_weak: int = 0
    pins_lost: int = 0
    pins_changed: int = 0


Guard = Callable[[Changes], str | None]
"""Raises `PushGuardedError` where the changes are not credible. Returns a message about credible
ones that staff must read, None for nothing."""


class PatronWriter(Protocol):
    """The one writer of the patron cache. One thread.

    Raises:
        StoreBusyError: another process is the writer.
        StoreError: nothing was changed.
    """

    def held(self) -> Push:
        """Return the push that the cache holds; epoch 0 for none."""

    def apply(
        self,
        rows: Iterable[SealedRow],
        *,
        full: bool,
        applied_at: datetime | None,
        minimum_age: int,
        guard: Guard,
        removals: Iterable[str] = (),
        push: Push | None = None,
        approved: bool = False,
    ) -> Applied:
        """Apply rows in one durable transaction, or change nothing.

        Each `patron_ref` among the sealed `rows` is replaced with all its identifiers, and each in
        `removals`, which is read later, is removed with all of them. `applied_at` is UTC, by
        whatever clock there is, None for not known. `minimum_age` is the one that `enter_from` was
        computed for, and `guard` is called before the commit.

        Args:
            full: whether the rows are the whole register, so that everyone else is removed.
            push: None for the next number and no digest.
            approved: whether somebody has approved of it by name: the patrons whom it shuts out,
                and those shut out before, count for no later push.
        """

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date = date.min
    ) -> None:
        """Keep the library system's answer about one card, durably; the push held stays the same.

        Where a push has brought the card's row, only the PIN check is kept, and only if the push
        brought none. Else the whole row is kept until the next snapshot, or the next push that has
        it or its patron, at the longest until the end of `row_until`; if that push brings the card
        without a PIN check, this one stays with it. The same again changes nothing.

        Args:
            row: sealed here, with a PIN check.
            row_until: the last day on which a row that no push has brought counts. None where a
                push had brought it: if another has removed it meanwhile, nothing is kept.
            pin_until: the last day on which the PIN check counts for a row that a push brought.
            learnt_on: the day of the library system's answer; `date.min` for not known: then every
                change of the PIN in a push counts as a later one.

        Raises:
            RowsClashError: the cache was sealed otherwise, so no card would find the row.
        """

    def expire(self, confirmed_before: datetime) -> int:
        """Delete all rows if no push has come since a time, durably; return how many.

        The push that is held gets another number then, so that only a whole register can follow.
        Rows from the library system alone go by the day of its answer. `confirmed_before` is aware,
        and by a clock that can be trusted.
        """

    def forget(self, now: datetime) -> int:
        """Forget whom pushes shut out more than a week ago, durably; return how many cards.

        `now` is aware, and by a clock that can be trusted.
        """
