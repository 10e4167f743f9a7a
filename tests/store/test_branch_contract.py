"""What a keeper of bans, passes and hours does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.calendar import (
    DaySource,
    Mode,
    ModeSpan,
    Span,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Listed, Pass, PassKind
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import MOST_PASSES, BranchRecordsWriter
from tests.store.samples import DAY, NOON, key_of

ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = NOON.astimezone(ZONE)
TODAY = LOCAL.date()
BAN = Ban(
    number=0,
    reason="smoked; æ 'quoted' \"twice\"",
    since=NOON - DAY,
    until=NOON + 30 * DAY,
    by="staff-7",
    branches=frozenset({"oest", "syd"}),
    note="Dear patron,\nyou may not come in.",
)
PASS = Pass(
    number=0,
    kind=PassKind.ASSOCIATION,
    first_day=TODAY,
    last_day=TODAY + 60 * DAY,
    weekdays=frozenset({1, 3}),
    from_minute=18 * 60,
    to_minute=26 * 60,
    outside_hours=True,
    needs_pin=True,
    pin_check=bytes(range(32)),
    companions_max=9,
    label="Skakklubben, Tuesdays",
    more_times=(Span(0, 60), Span(1439, 1440)),
)
CODE = Pass(0, PassKind.CLASS, TODAY, TODAY + DAY, needs_pin=False, code_digits=6, label="4. b")


@dataclass
class Branch:
    """A branch's two sides."""

    book: BranchRecords
    writer: BranchRecordsWriter


@pytest.fixture
def branch(book: BranchRecords, writer: BranchRecordsWriter) -> Branch:
    """A branch that never stored anything."""
    return Branch(book, writer)


def at(local: datetime = LOCAL, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment of a clock that is right."""
    return Moment(local, local.astimezone(UTC), state)


UNSET = Moment(LOCAL.replace(year=2031), NOON - 100 * DAY, ClockState.UNTRUSTED)


def _ban(branch: Branch, ban: Ban = BAN, number: int | None = 1, ref: str | None = "p-1") -> Ban:
    key = None if number is None else key_of(number)
    return branch.writer.ban(ban, at(), row_key=key, patron_ref=ref)


def test_what_other_branches_tell_of_wrong_pins_is_replaced(branch: Branch) -> None:
    """Who is not told of any more has none; nobody has none."""
    reports: list[dict[str, int]] = [{"p-1": 4, "p-2": 20}, {"p-1": 5}, {"p-1": 5}, {}]
    for told in reports:
        branch.writer.keep_wrong_pins(told, at())
        found = {ref: branch.book.wrong_pins_elsewhere(ref) for ref in ("p-1", "p-2", None)}
        assert found == {ref: told.get(ref or "", 0) for ref in found}


def _touch(branch: Branch, moment: Moment) -> None:
    branch.writer.set_days(DaySource.WEBSITE, (), moment, known_until=None)


def test_a_ban_comes_back_by_card_and_by_patron(branch: Branch) -> None:
    """Each field; a new card does not help a banned patron, nor a register without a number."""
    both = _ban(branch, number=1, ref="p-1")
    patron = _ban(branch, number=None, ref="p-2")
    card = _ban(branch, replace(BAN, until=None, note=""), 3, None)

    assert both == replace(BAN, number=1)
    assert branch.book.bans(key_of(9), "p-1") == (both,)
    assert branch.book.bans(key_of(1), None) == (both,)
    assert branch.book.bans(key_of(1), "p-2") == (both, patron)
    assert branch.book.bans(key_of(3), "p-9") == (card,)
    assert branch.book.bans(key_of(9), "p-9") == ()
    assert branch.book.bans(key_of(9), None) == ()


def test_a_lifted_ban_is_listed_and_looked_up_no_more(branch: Branch) -> None:
    """Staff see when it was lifted; lifting it again, or another number, is refused."""
    ban = _ban(branch)

    assert branch.writer.lift(ban.number, at()) == ban

    assert branch.book.bans(key_of(1), "p-1") == ()
    assert branch.book.every_ban() == (Listed(ban, key_of(1).hex()[:8], "p-1", NOON),)
    for number in (ban.number, 99):
        with pytest.raises(InputError, match=f"no ban {number} that could be lifted"):
            branch.writer.lift(number, at())


def test_a_ban_is_changed_and_whose_it_is_stays(branch: Branch) -> None:
    """It is found by the same card and patron; one that was lifted, or is no ban, is refused."""
    ban = replace(_ban(branch), until=None, reason="vold", note="Nyt.")

    assert branch.writer.change_ban(ban, at()) == ban

    assert branch.book.bans(key_of(1), None) == branch.book.bans(bytes(16), "p-1") == (ban,)
    with pytest.raises(InputError, match="over already"):
        branch.writer.change_ban(replace(ban, until=ban.since + DAY), at(LOCAL + 90 * DAY))
    branch.writer.lift(ban.number, at())
    for number in (ban.number, 99):
        with pytest.raises(InputError, match="no ban of that number"):
            branch.writer.change_ban(replace(ban, number=number), at())


def test_a_pass_is_changed_and_its_card_or_code_stays(branch: Branch) -> None:
    """It opens longer or at other hours by the same key; one that was revoked is refused."""
    held = replace(
        branch.writer.issue(PASS, at(), row_key=key_of(1)),
        last_day=TODAY + 90 * DAY,
        more_times=(Span(60, 120),),
        label="Damklubben",
    )

    assert branch.writer.change_pass(held, at()) == held

    assert branch.book.passes_of(key_of(1)) == (held,)
    branch.writer.revoke(held.number, at())
    for number in (held.number, 99):
        with pytest.raises(InputError, match="no pass of that number"):
            branch.writer.change_pass(replace(held, number=number), at())


def test_lists_are_newest_first_and_name_nobody(branch: Branch) -> None:
    """A card is a pseudonym; a ban of the patron alone has none."""
    first = _ban(branch)
    second = _ban(branch, number=None)
    one = branch.writer.issue(PASS, at(), row_key=key_of(1))
    other = branch.writer.issue(CODE, at(), row_key=key_of(2))
    branch.writer.revoke(one.number, at())

    assert branch.book.every_ban() == (
        Listed(second, None, "p-1"),
        Listed(first, key_of(1).hex()[:8], "p-1"),
    )
    assert branch.book.every_pass() == (
        Listed(other, key_of(2).hex()[:8]),
        Listed(one, key_of(1).hex()[:8], ended_at=NOON),
    )


def test_a_ban_of_nobody_or_one_that_is_over_is_refused(branch: Branch) -> None:
    """Each has a sentence, and nothing is stored."""
    with pytest.raises(InputError, match="the ban is of nobody"):
        _ban(branch, number=None, ref=None)
    with pytest.raises(InputError, match="the ban is of nobody"):
        _ban(branch, number=None, ref="")
    with pytest.raises(InputError, match="over already"):
        _ban(branch, replace(BAN, until=NOON))

    assert branch.book.every_ban() == ()


def test_an_unset_clock_bans_all_the_same(branch: Branch) -> None:
    """Only what is past for certain counts as past, and nothing is deleted by a guess."""
    ended = replace(BAN, since=NOON - 200 * DAY, until=NOON - 99 * DAY)

    stored = branch.writer.ban(ended, UNSET, row_key=key_of(1), patron_ref=None)

    assert branch.book.bans(key_of(1), None) == (stored,)


def test_a_code_has_one_pass_at_a_time(branch: Branch) -> None:
    """A second one is refused until the first is revoked or over; the newest comes first."""
    first = branch.writer.issue(PASS, at(), row_key=key_of(1))
    assert first == replace(PASS, number=1)
    assert branch.book.passes_of(key_of(2)) == ()
    with pytest.raises(InputError, match="the code has a pass already"):
        branch.writer.issue(CODE, at(), row_key=key_of(1))
    assert branch.book.passes_of(key_of(1)) == (first,)

    assert branch.writer.revoke(first.number, at()) == first
    assert branch.book.passes_of(key_of(1)) == ()
    second = branch.writer.issue(CODE, at(), row_key=key_of(1))
    assert second == replace(CODE, number=2)
    assert branch.book.passes_of(key_of(1)) == (second,)

    later = at(LOCAL + 2 * DAY)
    third = branch.writer.issue(replace(CODE, last_day=TODAY + 2 * DAY), later, row_key=key_of(1))
    assert branch.book.passes_of(key_of(1)) == (third, second)


def test_a_card_has_several_passes(branch: Branch) -> None:
    """Newest first, up to six in force; one that is revoked or over makes room."""
    issued = [branch.writer.issue(PASS, at(), row_key=key_of(1)) for _ in range(MOST_PASSES)]
    assert branch.book.passes_of(key_of(1)) == tuple(reversed(issued))
    with pytest.raises(InputError, match="the card has 6 passes already"):
        branch.writer.issue(PASS, at(), row_key=key_of(1))

    branch.writer.revoke(issued[2].number, at())
    seventh = branch.writer.issue(PASS, at(), row_key=key_of(1))
    assert branch.book.passes_of(key_of(1)) == tuple(reversed([*issued[:2], *issued[3:], seventh]))
    assert branch.writer.issue(PASS, at(), row_key=key_of(2)).number == seventh.number + 1


def test_a_pass_that_is_over_or_gone_is_refused(branch: Branch) -> None:
    """Each has a sentence, and nothing is stored."""
    with pytest.raises(InputError, match=r"over since 2026-05-03; give a later last day"):
        branch.writer.issue(
            replace(PASS, first_day=TODAY - DAY, last_day=TODAY - DAY), at(), row_key=key_of(1)
        )
    with pytest.raises(InputError, match="no pass 7 that could be revoked"):
        branch.writer.revoke(7, at())

    assert branch.book.every_pass() == ()


def test_en_60839_11_1_t4_no_more_codes_than_one_in_a_thousand(branch: Branch) -> None:
    """The 1001st code of six digits is refused; longer ones, cards and freed places are not."""
    for number in range(1000):
        branch.writer.issue(CODE, at(), row_key=key_of(number))
    with pytest.raises(InputError, match="codes of 6 digits"):
        branch.writer.issue(CODE, at(), row_key=key_of(1000))

    branch.writer.issue(replace(CODE, code_digits=7), at(), row_key=key_of(1001))
    branch.writer.issue(PASS, at(), row_key=key_of(1002))
    branch.writer.revoke(500, at())
    branch.writer.issue(CODE, at(), row_key=key_of(1003))

    with pytest.raises(InputError):
        branch.writer.issue(CODE, at(), row_key=key_of(1004))


EVENING = (ModeSpan(Mode.STAFFED, 600, 1020), ModeSpan(Mode.SELF_SERVICE, 1020, 1500))


def _says(branch: Branch, source: DaySource, *offsets: int, moment: Moment | None = None) -> None:
    days = [StoredDay(TODAY + offset * DAY, EVENING, f"day {offset}") for offset in offsets]
    branch.writer.set_days(source, days, moment or at(), known_until=TODAY + 14 * DAY)


WEEK = StoredWeek(((ModeSpan(Mode.STAFFED, 600, 1080),), *((),) * 6))


def test_the_usual_week_is_the_last_that_was_set(branch: Branch) -> None:
    """There is none before; the hours of dates stand beside it, and it beside theirs."""
    assert branch.book.calendar().week is None
    branch.writer.set_week(StoredWeek(((),) * 7), at())
    branch.writer.set_week(WEEK, at())
    branch.writer.set_days(DaySource.STAFF, [], at(), known_until=None)

    assert branch.book.calendar().week == WEEK
    assert len(branch.book.calendar().sources) == 1


def test_hours_come_back_as_they_were_said(branch: Branch) -> None:
    """Each source says its own, by date; spans over midnight and closed days included."""
    closed = StoredDay(TODAY + DAY, (), "Grundlovsdag")
    today = StoredDay(TODAY, EVENING)

    branch.writer.set_days(DaySource.WEBSITE, [closed, today], at(), known_until=TODAY + DAY)
    branch.writer.set_days(DaySource.STAFF, [today], at(), known_until=None)

    assert branch.book.calendar() == StoredCalendar(
        {
            DaySource.WEBSITE: StoredDays((today, closed), TODAY + DAY, NOON),
            DaySource.STAFF: StoredDays((today,), None, NOON),
        }
    )


def test_a_source_replaces_what_it_said_of_today_and_later(branch: Branch) -> None:
    """What it no longer says is gone; yesterday stays, for a span over midnight; others too."""
    _says(branch, DaySource.WEBSITE, 0, 1, 2)
    _says(branch, DaySource.STAFF, 1)

    _says(branch, DaySource.WEBSITE, 2, moment=at(LOCAL + DAY))

    sources = branch.book.calendar().sources
    staff, website = sources[DaySource.STAFF], sources[DaySource.WEBSITE]
    assert [one.day - TODAY for one in website.days] == [0 * DAY, 2 * DAY]
    assert website.fetched_at == NOON + DAY
    assert [one.day - TODAY for one in staff.days] == [DAY]


@pytest.mark.parametrize(
    ("offsets", "sentence"), [((-1,), "2026-05-03 is past"), ((1, 2, 1), "2026-05-05 is named twi")]
)
def test_a_date_that_is_past_or_named_twice_is_refused(
    branch: Branch, offsets: tuple[int, ...], sentence: str
) -> None:
    """The sentence has the date, and what was said before still stands."""
    _says(branch, DaySource.STAFF, 3)
    before = branch.book.calendar()

    with pytest.raises(InputError, match=sentence):
        _says(branch, DaySource.STAFF, *offsets)

    assert branch.book.calendar() == before


LOCKDOWN = Override(Mode.LOCKDOWN, NOON + DAY, "a fight", "staff-7")


def test_the_mode_set_last_is_the_one(branch: Branch) -> None:
    """Another takes its place; ending it brings back no earlier one."""
    staffed = Override(Mode.STAFFED, NOON + DAY, "a lecture", "staff-8")
    branch.writer.set_override(staffed, at())
    assert branch.book.override() == staffed
    branch.writer.set_override(LOCKDOWN, at())
    assert branch.book.override() == LOCKDOWN

    assert branch.writer.end_override(at()) == LOCKDOWN

    assert branch.book.override() is None
    with pytest.raises(InputError, match="no mode is set by hand"):
        branch.writer.end_override(at())


def test_a_mode_that_ended_by_itself_can_not_be_ended(branch: Branch) -> None:
    """It is still told, with its time, to whoever judges that; ending it would be a lie."""
    staffed = replace(LOCKDOWN, mode=Mode.STAFFED)
    branch.writer.set_override(staffed, at())

    with pytest.raises(InputError, match="no mode is set by hand"):
        branch.writer.end_override(at(LOCAL + DAY))

    assert branch.book.override() == staffed


def test_a_lockdown_that_is_over_is_lifted_by_staff(branch: Branch) -> None:
    """It keeps the door from standing free until then, however long; afterwards it is forgotten."""
    branch.writer.set_override(LOCKDOWN, at())
    late = at(LOCAL + 40 * DAY)
    _touch(branch, late)
    assert branch.book.override() == LOCKDOWN

    assert branch.writer.end_override(late) == LOCKDOWN
    assert branch.book.override() is None
    with pytest.raises(InputError, match="no mode is set by hand"):
        branch.writer.end_override(late)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"until": NOON}, "would end before now"),
        ({"until": NOON + timedelta(days=31, seconds=1)}, "more than 31 days"),
        ({"cause": ""}, "the reason is empty"),
        ({"cause": "0101701234 fights"}, "CPR or card number"),
        ({"by": ""}, "the account is empty"),
    ],
)
def test_a_mode_that_makes_no_sense_is_refused(
    branch: Branch, changes: dict[str, object], sentence: str
) -> None:
    """Each has a sentence, and the mode that was set stays."""
    branch.writer.set_override(LOCKDOWN, at())

    with pytest.raises(InputError, match=sentence):
        branch.writer.set_override(replace(LOCKDOWN, **changes), at())  # type: ignore[arg-type]

    assert branch.book.override() == LOCKDOWN


def test_an_unset_clock_can_lock_down(branch: Branch) -> None:
    """However far off the clock is, staff can shut the door."""
    branch.writer.set_override(LOCKDOWN, UNSET)

    assert branch.book.override() == LOCKDOWN


def test_what_ended_more_than_a_month_ago_is_deleted(branch: Branch) -> None:
    """To the second, at the next change of whatever kind; what has no end stays."""
    ended = _ban(branch, replace(BAN, until=NOON + DAY))
    lifted = _ban(branch, number=2)
    endless = _ban(branch, replace(BAN, until=None), 3, "p-3")
    branch.writer.lift(lifted.number, at(LOCAL + DAY))
    over = branch.writer.issue(CODE, at(), row_key=key_of(1))
    revoked = branch.writer.issue(PASS, at(), row_key=key_of(2))
    staff = branch.writer.issue(
        Pass(0, PassKind.STAFF, TODAY, date.max, label="desk"), at(), row_key=key_of(3)
    )
    branch.writer.revoke(revoked.number, at(LOCAL + DAY))
    branch.writer.set_override(LOCKDOWN, at())
    _says(branch, DaySource.HOLIDAY, 1)

    for days in range(1, 32, 2):
        _touch(branch, at(LOCAL + days * DAY))
    assert {entry.held.number for entry in branch.book.every_ban()} == {
        ended.number,
        lifted.number,
        endless.number,
    }
    assert len(branch.book.every_pass()) == 3
    assert over in [entry.held for entry in branch.book.every_pass()]
    assert branch.book.override() == LOCKDOWN
    assert len(branch.book.calendar().sources[DaySource.HOLIDAY].days) == 1

    _touch(branch, at(LOCAL + 32 * DAY))
    assert [entry.held for entry in branch.book.every_ban()] == [endless]
    assert [entry.held for entry in branch.book.every_pass()] == [staff]
    assert branch.book.override() == LOCKDOWN, "it counts until it is lifted"
    assert branch.book.calendar().sources[DaySource.HOLIDAY].days == ()


def test_nothing_is_deleted_by_a_clock_that_is_not_set(branch: Branch) -> None:
    """Neither by its guess nor by a high-water mark of a clock that once ran ahead."""
    ended = _ban(branch, replace(BAN, until=NOON + DAY))
    ahead = NOON + 400 * DAY

    _touch(branch, Moment(LOCAL + 500 * DAY, ahead, ClockState.UNTRUSTED))
    _touch(branch, Moment(LOCAL, ahead, ClockState.TRUSTED))

    assert branch.book.bans(key_of(1), None) == (ended,)


def test_numbers_are_never_given_twice(branch: Branch) -> None:
    """A letter names a ban by its number, and the letter outlives the ban."""
    ban = _ban(branch, replace(BAN, until=NOON + DAY))
    one = branch.writer.issue(CODE, at(), row_key=key_of(1))
    late = at(LOCAL + 60 * DAY)
    for days in range(2, 61, 2):
        _touch(branch, at(LOCAL + days * DAY))
    assert branch.book.every_ban() == ()

    again = branch.writer.ban(replace(BAN, until=None), late, row_key=key_of(1), patron_ref=None)
    other = branch.writer.issue(replace(CODE, last_day=TODAY + 90 * DAY), late, row_key=key_of(1))

    assert again.number > ban.number
    assert other.number > one.number
