"""Looks on while the ledger and the door log work, and keeps what has to be on record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from doorctl.access.messages import Prepared
from doorctl.access.throttle import CardThrottle
from doorctl.doord.chores import PURGE_STEP_S
from doorctl.privacy.retention import PurgeReport
from tests.simulation import invariants
from tests.simulation.disk import VISITS
from tests.simulation.oracle import MOST_WRONG_PINS, STAFF_ONLY_AFTER, Entry, Guesses, must

if TYPE_CHECKING:
    from tests.simulation.world import World


class Onlooker:
    """Is told by the house; see `doorctl`'s own ports for what the calls mean."""

    def __init__(self, world: World) -> None:
        self.world = world

    def in_danger(self, _attempt: int, card: str) -> None:
        """See the ledger begin: cut off in it, nobody knows what became of the guess."""
        self.world.endangered = card
        if VISITS in self.world.disk.failing or self.world.disk.cut_in is not None:
            self.world.witness.doubt(card)

    def prepared(self, attempt: int, card: str, found: Prepared) -> None:
        """See the ledger end."""
        guesses = self.world.witness.branch.guesses.get(card, Guesses())
        waits = guesses.waits(self.world.clock.boot, self.world.clock.boot_ms)
        waits = waits or self._wrong_pins(found) >= MOST_WRONG_PINS
        if guesses.doubt:
            guesses, waits = self._adopted(found), found.throttled
        invariants.prepared(self.world, card, found, guesses, waits=waits)
        swipe = self.world.witness.swipe
        if swipe is not None and swipe.card == card and not swipe.attempt:
            swipe.attempt, swipe.waits = attempt, waits
            swipe.prepared_at_ms = self.world.clock.true_ms
        if not found.throttled:
            count = min(guesses.count + 1, STAFF_ONLY_AFTER)
            doubt = guesses.doubt or self._passes_for_older(card)
            charged = replace(self._none(), count=count, doubt=doubt)
            self.world.witness.branch.guesses[card] = guesses
            self.world.witness.charge(attempt, card, charged)

    def settled(self, attempt: int, reason: str) -> None:
        """See an outcome handed over."""
        card, _ = self.world.witness.charged.get(attempt, ("", None))
        now = self._none()
        self.world.witness.settle(attempt, reason, now)
        if card and (VISITS in self.world.disk.failing or self._passes_for_older(card)):
            self.world.witness.doubt(card)

    def opened(self, number: int, row_key: bytes | None) -> None:
        """See an attempt on record."""
        must(15, number not in self.world.witness.entries, "an attempt's number was used before")
        clock = self.world.clock
        known = clock.moment().dependable and not clock.fooled_ms
        entry = Entry(clock.true_ms, row_key, known)
        self.world.witness.entries[number] = entry

    def closed(self, number: int, reason: str, row_key: bytes | None) -> None:
        """See an outcome on record."""
        entry = self.world.witness.entries[number]
        entry.reason, entry.row_key = reason, row_key or entry.row_key

    def day_kept(self) -> None:
        """See on record that somebody for whom the branch waits came in."""
        self.world.witness.branch.kept_on = self.world.witness.branch.opened_on
        self.world.counts["days opened"] += 1

    def purged(self, report: PurgeReport) -> None:
        """See a purge."""
        self.world.counts["purges"] += 1
        self.world.note("purge", f"{report.deleted} {report.complete} {report.postponed}")
        if report.complete:
            invariants.purged(self.world, report)
        if report.limited:
            self.world.counts["limited purges"] += 1
            self.world.agenda.after(round(PURGE_STEP_S * 1000), self._purge_on)

    def _purge_on(self) -> None:
        self.world.door.worker.submit(self.world.door.purge_in_rounds)

    def _adopted(self, found: Prepared) -> Guesses:
        """Take the count as the door has it; when its last guess was stays in doubt."""
        stored: CardThrottle = self.world.door.steady.card_throttle(found.row_key)
        count = stored.failures if found.throttled else max(0, stored.failures - 1)
        doubt = VISITS in self.world.disk.failing or count > 0
        return replace(self._none(), count=count, doubt=doubt)

    def _wrong_pins(self, found: Prepared) -> int:
        """Count a patron's wrong PINs as they were on record before this one."""
        ref = None if found.patron is None else found.patron.patron_ref
        count = "SELECT count(*) FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"
        rows = self.world.door.visits.open().database.execute(count, (found.row_key, ref))
        return int(rows.fetchone()[0]) - (not found.throttled)

    def _passes_for_older(self, card: str) -> bool:
        """Tell whether what is put on record now may go with what an erasure left behind.

        Beside a clock that stands before the erasure it does; such a card has nothing to guess.
        """
        return card in self.world.erased and not self.world.clock.moment().dependable

    def _none(self) -> Guesses:
        clock = self.world.clock
        return Guesses(0, clock.boot, clock.boot_ms, clock.true_ms)
