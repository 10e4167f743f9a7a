"""Why a card is refused is told as the door decides it: over random registers, bans and passes.

Bug (outside look): "Why refused?" told another reason than the door: of several passes that open
nothing it took the newest, and during a change of installation key it looked under the new key
alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.access.judging import judged
from doorctl.access.messages import Now, Opened, PadRules, Rules
from doorctl.access.patron import Patron, SealedRow, levels, pin_check, row_key
from doorctl.access.policy import Policy, WeakPin
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import CardThrottle
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import Stamped
from doorctl.doord.jobs import Ledger
from doorctl.services.cards import explained
from doorctl.services.numbers import Reading, look_up
from doorctl.sync.receive import unguarded
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons, MemoryVisits

PIN = Pin("4711")
TODAY = START.date()
DAY = timedelta(days=1)
CARD = Identifier(IdentifierKind.CARD, "0101701234")
CPR = Identifier(IdentifierKind.CPR, "0101701234")
REFS = ("patron one", "patron two")


class TwiceKeyed(FastSealer):
    """A sealer in the midst of a rotation: a second installation key was laid over the first."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the key by both."""
        name = Identifier(identifier.kind, f"{identifier.kind.value} {identifier.reveal()}")
        return StretchedKey(super().stretch(name).reveal() + bytes(range(32)))


SEALER = TwiceKeyed()
STRETCHED = {
    row_key(level): level for each in (CARD, CPR) for level in levels(SEALER.stretch(each))
}
"""Under each key where something of the card may stand, what a PIN is proved with."""


class Book(MemoryBranch):
    """Bans and passes as they stand, whether staff could have made them today or not."""

    def __init__(self) -> None:
        super().__init__()
        self.bans_of: dict[bytes | str | None, list[Ban]] = {}
        self.passes: dict[bytes, list[Pass]] = {}

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron."""
        return (*self.bans_of.get(row_key, ()), *self.bans_of.get(patron_ref, ()))

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes of a card."""
        return tuple(self.passes.get(row_key, ()))


keys = st.sampled_from(sorted(STRETCHED))
days = st.sampled_from([-9, -1, 0, 1, 9]).map(lambda ahead: TODAY + ahead * DAY)
seldom = st.sampled_from([False, False, False, True])
patrons = st.builds(
    Patron,
    patron_ref=st.sampled_from(REFS),
    resident=seldom.map(lambda odd: not odd),
    active=seldom.map(lambda odd: not odd),
    blocks=st.sampled_from([frozenset[str](), frozenset("U"), frozenset("E")]),
    restricted=seldom,
    enter_from=st.none() | days,
    valid_until=st.none() | days,
    pin_until=st.none() | days,
    weak_pin=seldom,
)
bans = st.builds(
    Ban,
    number=st.integers(1, 3),
    reason=st.just("shouting"),
    since=st.sampled_from([START - 2 * DAY, START - DAY]),
    until=st.sampled_from([None, START - DAY / 2, START + DAY]),
    by=st.just("staff-7"),
    branches=st.sampled_from([frozenset("*"), frozenset({"here"}), frozenset({"there"})]),
)
passes = st.builds(
    Pass,
    number=st.just(0),
    kind=st.sampled_from([one for one in PassKind if one is not PassKind.EMERGENCY]),
    first_day=st.sampled_from([TODAY - 9 * DAY, TODAY - DAY, TODAY + DAY]),
    last_day=st.sampled_from([TODAY + DAY, TODAY + 9 * DAY]),
    from_minute=st.sampled_from([0, 8 * 60]),
    to_minute=st.sampled_from([12 * 60, 24 * 60]),
    outside_hours=st.booleans(),
    needs_pin=st.booleans(),
    label=st.just("club"),
)
policies = st.builds(
    Policy,
    require_pin=st.sampled_from([True, True, False]),
    max_cache_age=st.sampled_from([None, timedelta(hours=1)]),
    branch=st.just("here"),
    weak_pin=st.sampled_from(WeakPin),
    first_card=st.sampled_from([frozenset[str](), frozenset({"cleaner", "resident"})]),
)


@dataclass
class World:
    """All that a decision rests on."""

    policy: Policy
    clock: FakeClock
    now: Now
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    branch: Book = field(default_factory=Book)
    visits: MemoryVisits = field(default_factory=MemoryVisits)


def known(patron: Patron, key: bytes, *, with_pin: bool) -> SealedRow:
    """Return a row, with the right PIN or with none."""
    check = pin_check(STRETCHED[key], PIN) if with_pin else None
    return SealedRow(
        key, replace(patron, pin_check=check, pin_until=patron.pin_until if with_pin else None)
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return a branch where the card may be known, banned, restricted, stopped or hold passes."""
    clock = FakeClock(vouched=not draw(seldom))
    mode = draw(st.sampled_from([*Mode, None, Mode.SELF_SERVICE]))
    opened_on = draw(st.none() | days)
    now = Now(0.0, clock.moment(), 1, mode, draw(seldom), opened_on)
    world = World(draw(policies), clock, now)
    rows = draw(st.dictionaries(keys, patrons, max_size=3))
    sealed = [known(patron, key, with_pin=not draw(seldom)) for key, patron in rows.items()]
    applied_at = draw(st.sampled_from([None, START, START - timedelta(hours=2)]))
    world.patrons.apply(sealed, full=True, applied_at=applied_at, minimum_age=0, guard=unguarded)
    anybody = keys | st.sampled_from(REFS)
    world.branch.bans_of = draw(st.dictionaries(anybody, st.lists(bans, max_size=2), max_size=1))
    for key, held in draw(st.dictionaries(keys, st.lists(passes, max_size=3), max_size=2)).items():
        world.branch.passes[key] = [
            replace(one, pin_check=pin_check(STRETCHED[key], PIN))
            if one.needs_pin and draw(st.booleans())
            else one
            for one in held
        ]
    if draw(seldom):
        world.branch.restrict_only(*draw(st.sets(anybody, max_size=1)))
    world.branch.tell_wrong_pins({ref: draw(st.sampled_from([0, 0, 0, 99])) for ref in REFS})
    for attempt, key in enumerate(draw(st.lists(keys, max_size=2)), start=100):
        at = Stamped(START, now.moment.state, clock.boot_time())
        failures = CardThrottle(draw(st.sampled_from([1, 2, 3, 10])), clock.boot_time())
        world.visits.open_attempt(Opened(attempt, at, key, failures, draw(st.sampled_from(REFS))))
    return world


@given(worlds(), st.sampled_from([(CARD,), (CARD, CPR)]))
def test_staff_read_what_the_door_would_answer_to_the_right_pin(
    world: World, identifiers: tuple[Identifier, ...]
) -> None:
    """Whatever is held of the card, under either reading and under the old key or the new."""
    readings = []
    for identifier in identifiers:
        newest, *earlier = map(row_key, levels(SEALER.stretch(identifier)))
        readings.append(Reading(identifier.kind, newest, tuple(earlier)))
    staff_read = explained(
        look_up(readings, world.patrons, world.branch),
        world.now,
        world.policy,
        stamp=world.patrons.stamp(),
        branch=world.branch,
        visits=world.visits,
        clock=world.clock,
    )

    ledger = Ledger(
        sealer=SEALER,
        patrons=world.patrons,
        visits=world.visits,
        clock=world.clock,
        log=FakeEventLog(),
        counts_guesses=world.policy.require_pin,
        branch=world.branch,
    )
    pin = PIN if world.policy.require_pin else None
    rules = Rules(world.policy, PadRules())
    assert staff_read.reason is judged(ledger.prepare(1, identifiers), pin, world.now, rules).reason
