"""Why? The answer names the check and the data's age, and never the person.

Bug (outside look): "Why refused?" told another reason than the door: of several passes that open
nothing it took the newest, and during a change of installation key it looked under the new key
alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.judging import judged
from doorctl.access.messages import Now, Opened, PadRules, Rules
from doorctl.access.patron import Patron, Reason, SealedRow, levels, pin_check, row_key
from doorctl.access.policy import CHECKS, PASS_CHECKS, Policy, WeakPin
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import CardThrottle
from doorctl.core.errors import StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import Stamped
from doorctl.core.ports import Sealer
from doorctl.doord.ledger import Ledger
from doorctl.lookup.app import App
from doorctl.lookup.cards import NumberKeys, look_up
from doorctl.services import cards
from doorctl.services.cards import Explanation, explained
from doorctl.services.register import open_register
from tests.doord.fake_door import CARD, key_of, resident
from tests.fakes.cards import plastic, replace_rows
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons, MemoryVisits
from tests.services.branches import initialised

CLOSED: tuple[Mode | None, bool] = (Mode.CLOSED, False)
OPEN: tuple[Mode | None, bool] = (Mode.SELF_SERVICE, False)
CODE = Identifier(IdentifierKind.CODE, "483920")
STAFF = Pass(
    0,
    PassKind.STAFF,
    START.date() - timedelta(days=9),
    START.date() + timedelta(days=9),
    label="night watch",
)


@dataclass
class Desk:
    """What staff ask at, with one resident."""

    patron: Patron = field(default_factory=lambda: resident(CARD))
    standing: tuple[Mode | None, bool] = OPEN
    policy: Policy = field(default_factory=Policy)
    branch: MemoryBranch = field(default_factory=MemoryBranch)
    clock: FakeClock = field(default_factory=FakeClock)
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: MemoryVisits = field(default_factory=MemoryVisits)
    applied_at: datetime | None = START - timedelta(hours=2, minutes=5)

    def __post_init__(self) -> None:
        row = SealedRow(key_of(CARD), self.patron)
        replace_rows(self.patrons, [row], self.applied_at)

    def throttle(self, failures: int) -> None:
        """Let wrong PINs have come just now."""
        at = Stamped(START, self.clock.moment().state, self.clock.boot_time())
        charge = CardThrottle(failures, self.clock.boot_time())
        self.visits.open_attempt(Opened(1, at, key_of(CARD), charge))

    def give(self, held: Pass, key: bytes) -> None:
        """Issue a pass."""
        self.branch.issue(held, self.clock.moment(), row_key=key)

    def why(self, *identifiers: Identifier) -> Explanation:
        """Ask about a card, now."""
        return explained(
            look_up(readings(*identifiers or (plastic(CARD),)), self.patrons, self.branch),
            Now(0.0, self.clock.moment(), None, *self.standing),
            self.policy,
            here="oest",
            stamp=self.patrons.stamp(),
            branch=self.branch,
            visits=self.visits,
            clock=self.clock,
        )


def readings(*identifiers: Identifier, sealer: Sealer | None = None) -> tuple[NumberKeys, ...]:
    """Return the sealed readings of a number."""
    found = []
    for one in identifiers:
        newest, *earlier = map(row_key, levels((sealer or FastSealer()).stretch(one)))
        found.append(NumberKeys(one.kind, newest, tuple(earlier)))
    return tuple(found)


def failed(found: Explanation) -> list[str]:
    """Return the names of the checks that refuse."""
    return [finding.check for finding in found.findings if finding.refused_with is not None]


def test_each_check_appears_in_the_order_in_which_it_counts() -> None:
    """So that a new check is explained without anybody thinking of it."""
    found = Desk().why()

    assert [finding.check for finding in found.findings] == [
        "known",
        *(check.name for check in CHECKS),
    ]
    assert found.granted
    assert found.reason is Reason.OK


@pytest.mark.parametrize(
    ("desk", "checks", "reason"),
    [
        (Desk(replace(resident(CARD), restricted=True)), ["restricted"], Reason.RESTRICTED),
        (Desk(standing=(None, False)), ["hours"], Reason.CLOSED),
        (Desk(standing=(Mode.SELF_SERVICE, True)), ["hours"], Reason.CLOSED),
        (
            Desk(policy=Policy(max_cache_age_h=1.0)),
            ["cache_age"],
            Reason.CACHE_TOO_OLD,
        ),
        (
            Desk(replace(resident(CARD), resident=False, blocks=frozenset("U")), CLOSED),
            ["blocked", "resident", "hours"],
            Reason.BLOCKED,
        ),
    ],
)
def test_every_failing_check_is_told_and_the_first_is_the_reason(
    desk: Desk, checks: list[str], reason: Reason
) -> None:
    """Staff see all that has to be mended, and what the patron met."""
    found = desk.why()

    assert failed(found) == checks
    assert found.reason is reason
    assert not found.granted


def test_an_unknown_card_fails_one_check() -> None:
    """There is nothing to ask about it."""
    found = Desk().why(plastic("3000009999"))

    assert failed(found) == ["known"]
    assert found.reason is Reason.UNKNOWN_CARD


def test_a_card_that_has_to_wait_is_told() -> None:
    """Until the wait is over, and only where a PIN is asked for."""
    desk = Desk()
    desk.throttle(3)
    assert desk.why().reason is Reason.THROTTLED
    desk.policy = Policy(require_pin=False)
    assert desk.why().granted
    desk.policy = Policy()
    desk.clock.advance(30.0)
    assert desk.why().granted


def test_nothing_in_the_answer_identifies_anybody() -> None:
    """Neither number, row key, patron reference nor PIN check, however it is printed."""
    desk = Desk(replace(resident(CARD), resident=False))
    found = desk.why()
    said = f"{found!r} {found.as_dict()} {found.source}"

    check = desk.patron.pin_check
    assert check is not None
    secrets = (CARD, desk.patron.patron_ref, key_of(CARD).hex()[:8], check.hex(), repr(check))
    assert not [secret for secret in secrets if secret in said]


def test_the_source_says_by_which_data_and_for_when() -> None:
    """Epoch, age in hours and minutes, and the local time that was asked about."""
    register = "by epoch 1 of the patron register, 2 h 5 min old, bans and passes as of now, "
    assert Desk().why().source == f"{register}for 2026-03-02 19:00 (self_service)"
    assert Desk(standing=(None, True)).why().source == (
        f"{register}for 2026-03-02 19:00 (hours not known, no entry any more)"
    )


def test_an_age_that_nobody_knows_is_not_invented() -> None:
    """No push yet, or a clock that can't be trusted; and none is negative."""
    for desk in (Desk(applied_at=None), Desk(clock=FakeClock(vouched=False))):
        found = desk.why()
        assert "of unknown age" in found.source
        assert found.as_dict()["data_age_s"] is None
    assert "0 h 0 min old" in Desk(applied_at=START + timedelta(seconds=30)).why().source


def test_scripts_get_it_as_json() -> None:
    """Whole, with each check."""
    found = Desk(standing=CLOSED).why()
    told = json.loads(json.dumps(found.as_dict()))

    assert told.pop("checks")[10:] == [
        {"check": "hours", "passed": False, "reason": "closed"},
        {"check": "first_card", "passed": True, "reason": None},
        {"check": "cache_age", "passed": True, "reason": None},
        {"check": "weak_pin", "passed": True, "reason": None},
    ]
    assert told == {
        "verdict": "refused",
        "reason": "closed",
        "at": "2026-03-02T19:00:00+01:00",
        "mode": "closed",
        "no_entry": False,
        "epoch": 1,
        "data_age_s": 7500,
    }


def test_the_time_asked_about_is_another_than_the_time_of_asking() -> None:
    """`at` decides about hours and dates; the data's age is as of now."""
    desk = Desk(replace(resident(CARD), valid_until=date(2026, 3, 2)))
    tomorrow = FakeClock(wall=datetime(2026, 3, 3, 12, tzinfo=UTC)).moment()
    found = explained(
        look_up(readings(plastic(CARD)), desk.patrons, desk.branch),
        Now(0.0, tomorrow, None, *OPEN),
        desk.policy,
        here="oest",
        stamp=desk.patrons.stamp(),
        branch=desk.branch,
        visits=desk.visits,
        clock=desk.clock,
    )

    assert found.reason is Reason.EXPIRED
    assert found.data_age == timedelta(hours=2, minutes=5)


def test_a_pass_opens_where_the_patron_may_not() -> None:
    """Its checks come after the patron's and are enough; the patron's are told all the same."""
    desk = Desk(standing=CLOSED)
    desk.give(STAFF, key_of(CARD))
    found = desk.why()

    assert [finding.check for finding in found.findings] == [
        "known",
        *(check.name for check in CHECKS),
        *(check.name for check in PASS_CHECKS),
    ]
    assert failed(found) == ["hours"]
    assert found.granted


def test_codes_open_and_wait_all_at_once() -> None:
    """A code is told of by its pass alone; while codes have to wait, no card does."""
    desk = Desk()
    desk.give(replace(STAFF, code_digits=6, needs_pin=False), row_key(FastSealer().stretch(CODE)))
    assert desk.why(CODE).reason is Reason.OK
    at = Stamped(START, desk.clock.moment().state, desk.clock.boot_time())
    desk.visits.open_attempt(Opened(1, at, CODES_KEY, CardThrottle(3, desk.clock.boot_time())))

    assert desk.why(CODE).reason is Reason.THROTTLED
    assert desk.why().granted
    desk.clock.advance(30.0)
    assert desk.why(CODE).granted


@pytest.mark.parametrize(
    ("number", "check"), [(CARD, None), (CARD, bytes(32)), ("3000009999", None)]
)
def test_a_pass_whose_pin_is_never_asked_for_opens_nothing(
    number: str, check: bytes | None
) -> None:
    """In a branch without PINs one that needs one is refused, as at the door; one without opens."""
    desk = Desk(policy=Policy(require_pin=False), standing=CLOSED)
    desk.give(replace(STAFF, pin_check=check), key_of(number))
    other = Desk(policy=Policy(require_pin=False), standing=CLOSED)
    other.give(replace(STAFF, needs_pin=False), key_of(number))

    found = desk.why(plastic(number))
    assert not found.granted
    assert "pass_pin" in failed(found)
    assert other.why(plastic(number)).granted


def test_another_installation_key_is_told_and_not_taken_for_an_unknown_card(tmp_path: Path) -> None:
    """Whoever asks why is told that all must be loaded again, not that nobody is known.

    Bug (stranger's review): after a change of the installation key "why?" said that nobody
    knows the card.
    """
    config = initialised(tmp_path)
    key = config.secrets.installation_key_file
    key.write_bytes(bytes(range(32)))

    with pytest.raises(StoreError, match="sealed with another installation key"):
        cards.explain(App.of(config), "3000001234", None)


def test_a_register_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    config = initialised(tmp_path)
    (config.storage.directory / "patrons.db").unlink()

    with pytest.raises(StoreError), open_register(App.of(config)):
        pass
    assert not (config.storage.directory / "patrons.db").exists()


PIN = Pin("4711")
TODAY = START.date()
DAY = timedelta(days=1)
STRIPE = Identifier(IdentifierKind.CARD, "0101701234")
CPR_STRIPE = Identifier(IdentifierKind.CPR, "0101701234")
REFS = ("patron one", "patron two")


class TwiceKeyed(FastSealer):
    """A sealer in the midst of a rotation: a second installation key was laid over the first."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the key by both."""
        name = Identifier(identifier.kind, f"{identifier.kind.value} {identifier.reveal()}")
        return StretchedKey(super().stretch(name).reveal() + bytes(range(32)))


SEALER = TwiceKeyed()
STRETCHED = {
    row_key(level): level for each in (STRIPE, CPR_STRIPE) for level in levels(SEALER.stretch(each))
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
    max_cache_age_h=st.sampled_from([None, 1.0]),
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
    replace_rows(world.patrons, sealed, applied_at)
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


@given(worlds(), st.sampled_from([(STRIPE,), (STRIPE, CPR_STRIPE)]))
def test_staff_read_what_the_door_would_answer_to_the_right_pin(
    world: World, identifiers: tuple[Identifier, ...]
) -> None:
    """Whatever is held of the card, under either reading and under the old key or the new."""
    staff_read = explained(
        look_up(readings(*identifiers, sealer=SEALER), world.patrons, world.branch),
        world.now,
        world.policy,
        here="here",
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
    rules = Rules(world.policy, PadRules(), branch="here")
    assert staff_read.reason is judged(ledger.prepare(1, identifiers), pin, world.now, rules).reason
