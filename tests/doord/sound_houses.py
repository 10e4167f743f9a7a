"""A house in which all is well, in parts that a test can break one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from doorctl.access.attempt import Attempt, Step, after
from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.messages import Event, Now, PadRules, Rules
from doorctl.access.patron import SealedRow
from doorctl.access.policy import Policy
from doorctl.cards.reader import CardReader
from doorctl.core.errors import StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.ports import Sealer
from doorctl.door.strike import Strike, StrikeEvent
from doorctl.doord.self_test import Finding, House, run
from doorctl.store.keys import ArgonSealer
from doorctl.sync.receive import unguarded
from tests.doord.fake_door import CARD, key_of, resident
from tests.fakes.clock import START, FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.memory_store import MemoryPatrons, MemoryVisits

OPEN_ALL_WEEK = Calendar(((ModeSpan(Mode.SELF_SERVICE, 7 * 60, 22 * 60),),) * 7)
SEALER = ArgonSealer(InstallationKey(bytes(range(32))), memory_kib=8, iterations=1)
POLICY = Policy(minimum_age=14, max_cache_age=timedelta(hours=72))


@dataclass
class Parts:
    """What a house is made of; all is well with each at first."""

    policy: Policy = POLICY
    pad: PadRules = field(default_factory=PadRules)
    release_s: float = 5.0
    clock: FakeClock = field(default_factory=FakeClock)
    sealer: Sealer = SEALER
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: MemoryVisits = field(default_factory=MemoryVisits)
    disk: FakeDisk = field(default_factory=FakeDisk)
    hours: Calendar | StoreError | None = OPEN_ALL_WEEK
    lines: Mapping[str, bool] | None = field(
        default_factory=lambda: {"reader": True, "keypad": True}
    )
    purged_s: float | None = 1000.0
    relay_risks: tuple[str, ...] = ()
    reader: CardReader = field(default_factory=lambda: CardReader(carries_keys=False))
    applied_at: datetime | None = START - timedelta(hours=5)
    minimum_age: int = 14
    rows: tuple[SealedRow, ...] = field(
        default_factory=lambda: (SealedRow(key_of(CARD), resident(CARD)),)
    )
    pushed: bool = True
    attempt: Callable[[Attempt, Event, Now, Rules], Step] = after
    strike: Callable[[Strike, StrikeEvent], Strike] = Strike.after

    def calendar(self) -> Calendar | None:
        """Read the hours, or fail to."""
        if isinstance(self.hours, StoreError):
            raise self.hours
        return self.hours

    def house(self) -> House:
        """Build it, with a push that came a while ago."""
        if self.pushed:
            self.patrons.apply(
                self.rows,
                full=True,
                applied_at=self.applied_at,
                minimum_age=self.minimum_age,
                guard=unguarded,
            )
        return House(
            rules=Rules(self.policy, self.pad, ask_s=2.5),
            release_s=self.release_s,
            moment=self.clock.moment(),
            now_s=self.clock.monotonic_s(),
            boot=self.clock.boot_time(),
            sealer=self.sealer,
            patrons=self.patrons,
            disk=self.disk,
            calendar=self.calendar,
            visits=self.visits,
            lines=self.lines,
            purged_s=self.purged_s,
            relay_risks=self.relay_risks,
            reader=lambda: self.reader,
            attempt=self.attempt,
            strike=self.strike,
        )

    def run(self) -> dict[str, Finding]:
        """Test it, and return what was found by name."""
        return {finding.check: finding for finding in run(self.house())}

    def failing(self) -> list[str]:
        """Test it, and return the names of what fails."""
        return [name for name, finding in self.run().items() if not finding.ok]


def with_policy(**changes: Any) -> Policy:
    """Return the policy with other rules."""
    return replace(POLICY, **changes)
