"""The audit log in memory: the same contract suite as the one in ``branch.db``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from doorctl.core.errors import StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import EMPTY, Deed, Entry, Head, Link, erased_before, head_of, linked
from doorctl.store.records import from_deed, to_entry


class MemoryAudit:
    """`AuditWriter` and `AuditReader`; `broken` makes every call fail."""

    def __init__(self) -> None:
        self.broken = False
        self._links: list[Link] = []
        self._depth = 0

    @contextmanager
    def together(self, moment: Moment) -> Iterator[None]:
        """Undo what a block has written if it raises."""
        before, self._depth = list(self._links), self._depth + 1
        try:
            yield
            if self._depth == 1:
                self._fail_if_broken()
                self._forget(moment)
        except BaseException:
            self._links = before
            raise
        finally:
            self._depth -= 1

    def append(self, deed: Deed, by: str, moment: Moment) -> Head:
        """Put a deed on record."""
        with self.together(moment):
            self._fail_if_broken()
            salt = hashlib.sha256(b"salt %d" % len(self._links)).digest()
            self._links.append(linked(self.head(), from_deed(deed, by, moment), salt))
        return self.head()

    def erase_about(
        self, cards: Collection[bytes], patron_ref: str | None, moment: Moment
    ) -> tuple[int, ...]:
        """Erase the records that name one of the cards or the patron."""
        with self.together(moment):
            numbers = {one.number for one in self.about(cards, patron_ref)}
            self._erase(numbers)
        return tuple(sorted(numbers))

    def entries(self, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return the entries that were not erased."""
        self._fail_if_broken()
        kept = [(one.number, one.record) for one in self._links]
        found = [to_entry(number, record.decode()) for number, record in kept if record is not None]
        return tuple(one for one in found if since is None or one.at >= since)

    def about(self, cards: Collection[bytes], patron_ref: str | None) -> tuple[Entry, ...]:
        """Return the entries that name one of the cards or the patron."""
        return tuple(
            one
            for one in self.entries()
            if set(one.deed.cards) & set(cards)
            or (patron_ref is not None and one.deed.patron_ref == patron_ref)
        )

    def head(self) -> Head:
        """Return the chain's end."""
        self._fail_if_broken()
        return head_of(self._links[-1]) if self._links else EMPTY

    def holds(self, head: Head) -> bool:
        """Tell whether the chain ended there once."""
        self._fail_if_broken()
        return head in {EMPTY, *map(head_of, self._links)}

    def last_before(self, at: datetime) -> tuple[int, datetime] | None:
        """Return the last entry before a time."""
        dated = (one for one in self.entries() if one.clock is not ClockState.UNTRUSTED)
        return max(((one.number, one.at) for one in dated if one.at < at), default=None)

    def links(self) -> Iterator[Link]:
        """Yield every link."""
        self._fail_if_broken()
        yield from self._links

    def last_number(self) -> int:
        """Return the highest number that was ever given."""
        return self.head().number

    def _forget(self, moment: Moment) -> None:
        cutoff = erased_before(moment)
        if cutoff is None:
            return
        dated = [one for one in self.entries() if one.clock is not ClockState.UNTRUSTED]
        old = [one.number for one in dated if one.at < cutoff]
        last = max(old, default=0)
        young = [one.number for one in dated if cutoff <= one.at <= moment.local]
        first = min((number for number in young if number < last), default=last + 1)
        last = max((number for number in old if number < first), default=0)
        self._erase(set(range(1, last + 1)))

    def _erase(self, numbers: set[int]) -> None:
        self._links = [
            replace(one, record=None, salt=None) if one.number in numbers else one
            for one in self._links
        ]

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the memory audit log was told to fail")
