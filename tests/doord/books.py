"""A ledger over fakes of the ports, and attempts that are told to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from doorctl.access.messages import Concluded
from doorctl.access.patron import Reason, SealedRow
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import CODES_KEY
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.doord.jobs import Ledger
from doorctl.store.door_log import Visit
from tests.doord.fake_door import CARD, identifier, key_of, resident
from tests.fakes.cards import hold
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons, MemoryVisits

BAN = Ban(0, "shouting", START - timedelta(days=1), None, "staff-7", frozenset({"*"}))


class CountingSealer(FastSealer):
    """Remembers what it stretched."""

    def __init__(self) -> None:
        self.stretched: list[Identifier] = []

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the key, and remember for what."""
        self.stretched.append(identifier)
        return super().stretch(identifier)


@dataclass
class Books:
    """A ledger and what it writes to."""

    counts_guesses: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    sealer: CountingSealer = field(default_factory=CountingSealer)
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: Any = field(default_factory=MemoryVisits)
    branch: MemoryBranch = field(default_factory=MemoryBranch)
    log: FakeEventLog = field(default_factory=FakeEventLog)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(
            sealer=self.sealer,
            patrons=self.patrons,
            visits=self.visits,
            clock=self.clock,
            log=self.log,
            counts_guesses=self.counts_guesses,
            branch=self.branch,
        )
        self.push(SealedRow(key_of(CARD), resident(CARD)))

    def push(self, *rows: SealedRow) -> None:
        """Replace the register."""
        hold(self.patrons, rows, START)

    def open(self, *identifiers: Identifier) -> int:
        """Prepare an attempt and return its number."""
        self.attempts += 1
        self.prepared = self.ledger.prepare(self.attempts, identifiers or (identifier(CARD),))
        return self.attempts

    def attempt(
        self,
        reason: Reason,
        *identifiers: Identifier,
        proved: bool = False,
        unchecked: bool = False,
    ) -> None:
        """Prepare an attempt and settle it a second later."""
        number = self.open(*identifiers)
        self.clock.advance(1.0)
        self.settle(number, reason, proved=proved, unchecked=unchecked)

    def settle(
        self, number: int, reason: Reason, *, proved: bool = False, unchecked: bool = False
    ) -> None:
        """Settle an attempt, which is counted nowhere."""
        self.ledger.settle(Concluded(number, reason, proved=proved, unchecked=unchecked))

    def ban(self, ban: Ban = BAN, *, key: bytes | None = None, ref: str | None = None) -> Ban:
        """Let staff ban a card or a patron."""
        return self.branch.ban(ban, self.clock.moment(), row_key=key, patron_ref=ref)

    def issue(self, new: Pass, key: bytes) -> Pass:
        """Let staff issue a pass."""
        return self.branch.issue(new, self.clock.moment(), row_key=key)

    @property
    def code_failures(self) -> int:
        """All codes' failures."""
        return int(self.visits.card_throttle(CODES_KEY).failures)

    def failures(self, number: str = CARD) -> int:
        """Return a card's failures in a row."""
        return int(self.ledger.visits.card_throttle(key_of(number)).failures)

    @property
    def recorded(self) -> list[Visit]:
        """The door log."""
        return list(self.visits.visits(START.replace(year=2000)))
