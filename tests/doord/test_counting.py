"""What is counted for the statistics, and what a weak PIN comes to, by the real controller."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from doorctl.access.calendar import Calendar, Mode
from doorctl.access.messages import Concluded, LibraryAnswer, PadRules, Prepared, Rules
from doorctl.access.patron import Reason, SealedRow, pin_check
from doorctl.access.policy import Policy, WeakPin
from doorctl.core.masked import Pin
from doorctl.doord.jobs import Asking
from doorctl.privacy.statistics import ATTEMPT, HourCount
from doorctl.sync.feed import lent_patron
from tests.doord.books import Books
from tests.doord.fake_door import (
    CARD,
    RIGHT_PIN,
    UNKNOWN_CARD,
    WRONG_PIN,
    FakeDoor,
    identifier,
    key_of,
    resident,
)
from tests.fakes.clock import START, FakeClock
from tests.fakes.library import FakeLibrary, registered
from tests.fakes.memory_store import FastSealer

SELF_SERVICE = Mode.SELF_SERVICE.value


def outcomes(door: FakeDoor) -> list[tuple[str, str, int]]:
    """Return what was counted: mode, reason and how often."""
    return [(one.mode, one.outcome, one.count) for one in door.visits.hours(None, None)]


def test_each_decision_is_counted_under_the_mode_of_the_moment() -> None:
    """Granted and refused, known and unknown alike."""
    door = FakeDoor()
    for number, pin in ((CARD, RIGHT_PIN), (CARD, WRONG_PIN), (UNKNOWN_CARD, RIGHT_PIN)):
        door.visit(number, pin)
        door.wait(30.0)

    assert outcomes(door) == [
        (SELF_SERVICE, "ok", 1),
        (SELF_SERVICE, "unknown_card", 1),
        (SELF_SERVICE, "wrong_pin", 1),
    ]


def test_where_it_is_closed_it_is_counted_as_closed() -> None:
    """So that a library sees how many come in vain; what the log can't take is not counted."""
    door = FakeDoor(calendar=Calendar(((),) * 7))
    door.visit(CARD, RIGHT_PIN)
    assert outcomes(door) == [("closed", "closed", 1)]

    door = FakeDoor()
    door.visits.broken = True
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    door.visits.broken = False
    assert outcomes(door) == []


@pytest.mark.parametrize("reason", Reason)
def test_whose_data_are_restricted_is_not_counted(reason: Reason) -> None:
    """However the attempt ends: the data are used for nothing (GDPR, article 18)."""
    books = Books()
    books.push(SealedRow(key_of(CARD), replace(resident(CARD), restricted=True)))
    number = books.open()
    books.ledger.settle(Concluded(number, reason), SELF_SERVICE)

    assert list(books.visits.hours(None, None)) == []
    assert books.recorded[0].reason == reason.value


def test_a_restriction_that_came_meanwhile_holds_too() -> None:
    """The refusal itself says so; a card that can't be read has no row, and is counted."""
    books = Books()
    books.ledger.settle(Concluded(books.open(), Reason.RESTRICTED), SELF_SERVICE)
    books.ledger.settle(Concluded(2, Reason.CARD_UNREADABLE), SELF_SERVICE)

    assert list(books.visits.hours(None, None)) == [
        HourCount(START, SELF_SERVICE, ATTEMPT, "card_unreadable", 1)
    ]


WEAK_PIN = "1234"


def weak_row(number: str) -> SealedRow:
    """A resident whose PIN is a run, sealed where the policy asks."""
    stretched = FastSealer().stretch(identifier(number))
    check = pin_check(stretched, Pin(WEAK_PIN))
    return SealedRow(key_of(number), replace(resident(number), pin_check=check, weak_pin=True))


@pytest.mark.parametrize(
    ("policy", "reason", "hint"),
    [
        (WeakPin.ALLOW, "ok", None),
        (WeakPin.WARN, "ok", "weak_pin"),
        (WeakPin.REFUSE, "weak_pin", None),
    ],
)
def test_the_decision_s_line_carries_the_warning(
    policy: WeakPin, reason: str, hint: str | None
) -> None:
    """Under a key of its own, and only where the door opens."""
    door = FakeDoor(rules=Rules(Policy(weak_pin=policy), PadRules()))
    door.push({CARD: weak_row(CARD).patron})

    assert door.visit(CARD, WEAK_PIN) == reason
    (line,) = door.log.named("decision")
    assert line.get("hint") == hint
    assert bool(door.relay.edges) is (reason == "ok")


@pytest.mark.parametrize("flags_weak", [True, False])
@pytest.mark.parametrize("pushed", [True, False])
@pytest.mark.parametrize(("pin", "is_weak"), [(WEAK_PIN, True), (CARD[-4:], True), ("4711", False)])
def test_a_pin_that_is_learnt_is_judged_where_the_policy_asks(
    pin: str, *, pushed: bool, flags_weak: bool, is_weak: bool
) -> None:
    """In the answer and in the row that is kept, by the card that was swiped; else never."""
    library = FakeLibrary(known={CARD: (pin, registered())})
    asking = Asking(
        library,
        FakeClock(),
        lend=partial(lent_patron, minimum_age=0, flags_weak=flags_weak),
        row_lasts=timedelta(days=3),
        pin_lasts=timedelta(days=30),
        flags_weak=flags_weak,
    )
    row = replace(resident(CARD), pin_check=None) if pushed else None
    stretched = FastSealer().stretch(identifier(CARD))
    prepared = Prepared(1, stretched, key_of(CARD), row, identifier=identifier(CARD))

    answered = asking.ask(prepared, Pin(pin))
    asking.keep()

    assert answered.answer is LibraryAnswer.YES
    assert answered.weak_pin is (is_weak and flags_weak)
    assert library.kept[0].patron.weak_pin is answered.weak_pin
