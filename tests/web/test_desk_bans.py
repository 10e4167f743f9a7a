"""Bans: the same of the desk in memory and of the one over real files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from doorctl.access.ban_terms import BanState
from doorctl.cli import bans as commands
from doorctl.config import Config
from doorctl.core.errors import InputError
from doorctl.demo.door import shipped
from doorctl.privacy.audit import Action
from doorctl.services.app import system_clock
from doorctl.services.numbers import own_numbers
from doorctl.web.desks import BanAsked, BansDesk
from doorctl.wiring.desks import BanDesk
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


def test_a_ban_that_adds_nothing_is_refused(desk: BansDesk) -> None:
    """The same sent twice, or a shorter one; a longer one or one of all branches adds something."""
    desk.ban_patron("1001", ASKED, "anne")
    for again in (ASKED, replace(ASKED, last=date(2098, 6, 1)), replace(ASKED, first=LAST)):
        with pytest.raises(InputError, match="banned for as long already"):
            desk.ban_patron("1001", again, "bo")
    for more in (replace(ASKED, last=None), replace(ASKED, last=None, everywhere=True)):
        desk.ban_patron("1001", more, "bo")
    desk.ban_patron("1002", ASKED, "bo")

    assert len(desk.every("anne")) == 4


def test_a_card_is_banned_once_under_each_reading(desk: BansDesk) -> None:
    """Where one of the two was lifted, it alone is banned again."""
    (first, _) = desk.ban_card(EITHER, None, ASKED, "anne")
    with pytest.raises(InputError, match="banned for as long already"):
        desk.ban_card(EITHER, None, ASKED, "anne")
    desk.lift(first.ban.number, "anne")

    assert len(desk.ban_card(EITHER, None, ASKED, "anne")) == 1


def test_lifting_tells_what_else_holds(desk: BansDesk) -> None:
    """One ban of two of the same patron; one that was lifted, is ahead or another's is none."""
    first = desk.ban_patron("1001", ASKED, "anne").ban.number
    second = desk.ban_patron("1001", replace(ASKED, last=None), "anne").ban.number
    ahead = BanAsked("støj", date(2098, 1, 1), None, everywhere=True)
    desk.ban_patron("1001", ahead, "anne")
    desk.ban_patron("1002", ASKED, "anne")

    assert desk.lift(first, "anne").others == (second,)
    assert desk.lift(second, "anne").others == ()


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


def test_the_command_bans_as_the_page_does(tmp_path: Path) -> None:
    """The same days make the same ban, and it is listed as doing the same."""
    desk, config = real(tmp_path)
    later = date(2098, 6, 1)
    for first, last in ((None, LAST), (later, LAST), (None, None)):
        desk.ban_patron(f"page-{first}-{last}", BanAsked("støj", first, last), "anne")
        begins = [] if first is None else ["--from", f"{first}"]
        ends = ["--without-end"] if last is None else ["--until", f"{last}"]
        whom = ("--patron-ref", f"command-{first}-{last}")
        bans(config, "add", *whom, "--reason", "støj", *begins, *ends)

    listed = desk.every("anne")
    told = json.loads(bans(config, "list", "--json"))
    for by_command, by_page in zip(listed[::2], listed[1::2], strict=True):
        mine, theirs = by_command.entry.ban, by_page.entry.ban
        assert (mine.until, mine.branches) == (theirs.until, theirs.branches)
        assert abs(mine.since - theirs.since) < timedelta(minutes=10)
        assert by_command.state is by_page.state
    assert [one["state"] for one in told] == [one.state.value for one in listed]
    assert {one["state"] for one in told} == {"holds", "ahead"}


def test_the_command_says_what_else_holds(tmp_path: Path) -> None:
    """By its number, so that it can be lifted too."""
    desk, config = real(tmp_path)
    for last in (LAST, None):
        desk.ban_patron("1001", replace(ASKED, last=last), "anne")

    assert bans(config, "lift", "1") == (
        "Ban 1 is lifted. Ban 2 of the same card or patron still holds.\n"
    )
    assert bans(config, "lift", "2") == "Ban 2 is lifted.\n"


def test_the_command_writes_the_pages_letter(tmp_path: Path) -> None:
    """Of a ban that was lifted neither does, in the same words; the look says what it is for."""
    desk, config = real(tmp_path)
    number = desk.ban_patron("1001", ASKED, "anne").ban.number
    letter = desk.letter(number, "anne")
    assert (
        bans(config, "letter", f"{number}")
        == f"{letter.danish}\n\n{'-' * 60}\n\n{letter.english}\n"
    )
    desk.lift(number, "anne")

    with pytest.raises(InputError) as by_page:
        desk.letter(number, "anne")
    with pytest.raises(InputError, match=str(by_page.value)):
        bans(config, "letter", f"{number}")
    looks = [why for action, why, _ in recorded(config) if action is Action.BANS_LISTED]
    assert set(looks) == {f"letter about ban {number}"}


def bans(config: Config, *words: str) -> str:
    """Run a command of bans over a branch; return what it prints, or raise what it raises."""
    overrides = (f"storage.directory={config.storage.directory}", "branch.id=" + config.branch.id)
    options = [part for one in overrides for part in ("--set", one)]
    command = commands.bans.commands[words[0]]
    where = ["--config", str(shipped("demo.toml"))]
    done = CliRunner().invoke(command, [*words[1:], *where, *options])
    if done.exception is not None:
        raise done.exception
    return done.output


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
