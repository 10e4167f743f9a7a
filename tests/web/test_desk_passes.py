"""Passes: the same of the desk in memory and of the one over real files."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from doorctl.access.rights import Pass, PassKind
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.core.masked import Pin
from doorctl.privacy.audit import Action
from doorctl.services.numbers import own_numbers
from doorctl.web.desks import PassesDesk
from doorctl.wiring.desks import PassDesk
from tests.bootstrap.branches import initialised
from tests.fakes.passes_desk import FakePassesDesk
from tests.web.desk_records import recorded

CARD, EITHER = "3000001234", "0101701234"
DAY = date(2099, 6, 1)
NEW = Pass(0, PassKind.CLEANER, DAY, DAY, label="Rengøring A/S")
BY_CODE = replace(NEW, needs_pin=False, code_digits=7)


def real(directory: Path) -> tuple[PassDesk, Config]:
    """Return a desk over a register that knows nobody."""
    config = initialised(directory)
    return PassDesk(config, own_numbers(config)), config


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> PassesDesk:
    """Either desk."""
    return FakePassesDesk() if request.param == "fake" else real(tmp_path)[0]


def test_a_pass_is_listed_until_it_is_revoked(desk: PassesDesk) -> None:
    """Under a pseudonym; its own PIN is a check and no digits."""
    held = desk.issue_for_card(CARD, "card", NEW, Pin("4711"), "anne")
    (listed,) = desk.every("anne")

    assert held.pin_check is not None
    assert (listed.held, listed.revoked_at, len(listed.card)) == (held, None, 8)
    desk.revoke(held.number, "anne")
    assert desk.every("anne")[0].revoked_at is not None
    with pytest.raises(InputError):
        desk.revoke(held.number, "anne")


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_a_pin_that_is_never_asked_for_is_refused(kind: str, tmp_path: Path) -> None:
    """In a branch without PINs: the pass would never open."""
    desk: PassesDesk = FakePassesDesk(asks_pin=False)
    if kind == "real":
        config = initialised(tmp_path, "policy.require_pin=false")
        desk = PassDesk(config, own_numbers(config))
    with pytest.raises(InputError, match="asks for no PIN"):
        desk.issue_for_card(CARD, "card", NEW, None, "anne")

    assert desk.every("anne") == ()


def test_a_code_has_the_digits_that_were_asked_for(desk: PassesDesk) -> None:
    """The list has their number and not them."""
    held, code = desk.issue_for_code(BY_CODE, "anne")

    assert (len(code), code.isdigit()) == (7, True)
    assert code not in repr(desk.every("anne"))
    assert desk.every("anne")[0].held == held


@pytest.mark.parametrize(
    ("typed", "new", "pin"),
    [
        ("x", NEW, None),
        (EITHER, NEW, None),
        (CARD, NEW, Pin("47111")),
        (CARD, replace(NEW, first_day=date(2001, 1, 1), last_day=date(2001, 1, 2)), None),
    ],
)
def test_what_makes_no_sense_issues_nothing(
    desk: PassesDesk, typed: str, new: Pass, pin: Pin | None
) -> None:
    """No number, one that may be two, a PIN that no keypad takes, a pass that is over."""
    with pytest.raises(InputError):
        desk.issue_for_card(typed, None, new, pin, "anne")

    assert desk.every("anne") == ()
    assert desk.pin_length() == 4


def test_deeds_and_looks_are_on_record(tmp_path: Path) -> None:
    """Each by its account."""
    desk, config = real(tmp_path)
    held, _ = desk.issue_for_code(BY_CODE, "anne")
    desk.every("bo")
    desk.revoke(held.number, "anne")

    assert [(action, by) for action, _, by in recorded(config)] == [
        (Action.PASS_ISSUED, "anne"),
        (Action.PASSES_LISTED, "bo"),
        (Action.PASS_REVOKED, "anne"),
    ]
