"""Bans: the same of the desk in memory and of the one over real files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from doorctl.bootstrap.desks_people import BanDesk
from doorctl.bootstrap.numbers import own_numbers
from doorctl.bootstrap.rules import system_clock
from doorctl.config import Config
from doorctl.errors import InputError
from doorctl.privacy.audit import Action
from doorctl.web.desks import BanAsked, BansDesk, BanState
from tests.bootstrap.branches import initialised
from tests.fakes.bans_desk import FakeBansDesk
from tests.web.desk_records import recorded

EITHER = "0101701234"
LAST = date(2099, 6, 1)
ASKED = BanAsked("støj", None, LAST, note="Brevet.")


def real(directory: Path) -> tuple[BanDesk, Config]:
    """Return a desk over a register that knows nobody."""
    config = initialised(directory)
    return BanDesk(config, system_clock(config), own_numbers(config)), config


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> BansDesk:
    """Either desk."""
    return FakeBansDesk() if request.param == "fake" else real(tmp_path)[0]


def test_a_ban_is_in_force_until_it_is_lifted(desk: BansDesk) -> None:
    """Its last day counts too, by local time."""
    made = desk.ban_patron("1001", ASKED, "anne")
    (listed,) = desk.every("anne")

    assert made.whole_patron
    assert (listed.state, listed.entry.ban) == (BanState.HOLDS, made.ban)
    assert str(made.ban.until) == "2099-06-01 22:00:00+00:00"
    assert (listed.entry.patron_ref, listed.entry.ban.by) == ("1001", "anne")
    desk.lift(made.ban.number, "anne")
    assert desk.every("anne")[0].state is BanState.LIFTED
    with pytest.raises(InputError):
        desk.lift(made.ban.number, "anne")
    with pytest.raises(InputError):
        desk.letter(made.ban.number, "anne")


def test_a_ban_that_begins_later_has_not_begun(desk: BansDesk) -> None:
    """And has no end where none is given; the newest stands first."""
    desk.ban_patron("1001", ASKED, "anne")
    desk.ban_patron("1002", BanAsked("støj", LAST, None, everywhere=True), "anne")
    newest, _ = desk.every("anne")

    assert (newest.state, newest.entry.ban.until) == (BanState.AHEAD, None)
    assert newest.entry.ban.branches == {"*"}


def test_ten_digits_are_banned_as_both(desk: BansDesk) -> None:
    """Where the register knows neither; of the card alone, under another pseudonym each."""
    made = desk.ban_card(EITHER, None, ASKED, "anne")

    assert [one.whole_patron for one in made] == [False, False]
    assert len({one.entry.card for one in desk.every("anne")}) == 2


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("x", ASKED),
        (EITHER, BanAsked(" ", None, LAST)),
        (EITHER, BanAsked("støj", None, date(2001, 1, 1))),
        (EITHER, BanAsked("støj", LAST, date(2098, 1, 1))),
        (EITHER, BanAsked("CPR 0101701234", None, LAST)),
        (EITHER, BanAsked("støj", None, LAST, note="\x1b[31m")),
    ],
)
def test_what_makes_no_sense_bans_nobody(desk: BansDesk, typed: str, asked: BanAsked) -> None:
    """No number, no reason, an end before the beginning, somebody's number in a text."""
    with pytest.raises(InputError):
        desk.ban_card(typed, "cpr", asked, "anne")

    assert desk.every("anne") == ()


def test_the_letter(desk: BansDesk) -> None:
    """In both languages, with the reason, the note and the last day."""
    made = desk.ban_patron("1001", ASKED, "anne")
    letter = desk.letter(made.ban.number, "anne")

    for said, day in ((letter.danish, "1.6.2099"), (letter.english, "1 June 2099")):
        for part in ("støj", "Brevet.", day):
            assert part in said


def test_deeds_and_looks_are_on_record(tmp_path: Path) -> None:
    """Each by its account."""
    desk, config = real(tmp_path)
    made = desk.ban_patron("1001", ASKED, "anne")
    desk.every("bo")
    desk.letter(made.ban.number, "bo")
    desk.lift(made.ban.number, "anne")

    assert [(action, by) for action, _, by in recorded(config)] == [
        (Action.BAN_ADDED, "anne"),
        (Action.BANS_LISTED, "bo"),
        (Action.BANS_LISTED, "bo"),
        (Action.BAN_LIFTED, "anne"),
    ]
