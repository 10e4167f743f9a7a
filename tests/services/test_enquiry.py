"""Why? The answer names the check and the data's age, and never the person."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from doorctl.access.calendar import Mode
from doorctl.access.messages import Now, Opened
from doorctl.access.patron import Patron, Reason, SealedRow, row_key
from doorctl.access.policy import CHECKS, PASS_CHECKS, Policy
from doorctl.access.rights import Pass, PassKind
from doorctl.access.throttle import CODES_KEY, CardThrottle
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.moments import Stamped
from doorctl.services.cards import Explanation, explained
from doorctl.services.numbers import Reading, look_up
from doorctl.sync.receive import unguarded
from tests.doord.fake_door import CARD, identifier, key_of, resident
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons, MemoryVisits

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
        self.patrons.apply(
            [row], full=True, applied_at=self.applied_at, minimum_age=0, guard=unguarded
        )

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
            look_up(readings(*identifiers or (identifier(CARD),)), self.patrons, self.branch),
            Now(0.0, self.clock.moment(), None, *self.standing),
            self.policy,
            stamp=self.patrons.stamp(),
            branch=self.branch,
            visits=self.visits,
            clock=self.clock,
        )


def readings(*identifiers: Identifier) -> tuple[Reading, ...]:
    """Return the sealed readings of a number."""
    sealer = FastSealer()
    return tuple(Reading(one.kind, row_key(sealer.stretch(one))) for one in identifiers)


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
            Desk(policy=Policy(max_cache_age=timedelta(hours=1))),
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
    found = Desk().why(identifier("3000009999"))

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

    assert told.pop("checks")[9:] == [
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
        look_up(readings(identifier(CARD)), desk.patrons, desk.branch),
        Now(0.0, tomorrow, None, *OPEN),
        desk.policy,
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

    found = desk.why(identifier(number))
    assert not found.granted
    assert "pass_pin" in failed(found)
    assert other.why(identifier(number)).granted
