"""What a keeper of bans, passes and hours does."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from doorctl.access.calendar import (
    DaySource,
    Mode,
    Span,
    StoredCalendar,
    StoredDay,
    StoredDays,
    StoredWeek,
)
from doorctl.access.day import Override
from doorctl.access.rights import Listed, Pass, PassKind
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.store.branch_limits import MOST_PASSES
from tests.store.samples import (
    BAN,
    CODE,
    DAY,
    EVENING,
    LOCAL,
    LOCKDOWN,
    NOON,
    NOW,
    PASS,
    TODAY,
    UNSET,
    WEEK,
    Branch,
    at,
    key_of,
)


def test_a_ban_comes_back_by_card_and_by_patron(branch: Branch) -> None:
    """Each field; a new card does not help a banned patron, nor a register without a number."""
    both = branch.ban(1, "p-1")
    patron = branch.ban(None, "p-2")
    card = branch.ban(3, None, until=None, note="")

    assert both == replace(BAN, number=1)
    for number, ref, bans in (
        (9, "p-1", (both,)),
        (1, None, (both,)),
        (1, "p-2", (both, patron)),
        (3, "p-9", (card,)),
        (9, "p-9", ()),
        (9, None, ()),
    ):
        assert branch.book.bans(key_of(number), ref) == bans


def test_a_lifted_ban_is_listed_and_looked_up_no_more(branch: Branch) -> None:
    """Staff see when it was lifted; lifting it again, or another number, is refused."""
    ban = branch.ban()

    assert branch.writer.lift(ban.number, NOW) == ban

    assert branch.book.bans(key_of(1), "p-1") == ()
    assert branch.book.every_ban() == (Listed(ban, key_of(1).hex()[:8], "p-1", NOON),)
    for number in (ban.number, 99):
        with pytest.raises(InputError, match=f"no ban {number} that could be lifted"):
            branch.writer.lift(number, NOW)


def test_a_ban_is_changed_and_whose_it_is_stays(branch: Branch) -> None:
    """It is found by the same card and patron; one that was lifted, or is no ban, is refused."""
    ban = replace(branch.ban(), until=None, reason="vold", note="Nyt.")

    assert branch.writer.change_ban(ban, NOW) == ban

    assert branch.book.bans(key_of(1), None) == branch.book.bans(bytes(16), "p-1") == (ban,)
    with pytest.raises(InputError, match="over already"):
        branch.writer.change_ban(replace(ban, until=ban.since + DAY), at(90))
    branch.writer.lift(ban.number, NOW)
    for number in (ban.number, 99):
        with pytest.raises(InputError, match="no ban of that number"):
            branch.writer.change_ban(replace(ban, number=number), NOW)


def test_a_pass_is_changed_and_its_card_or_code_stays(branch: Branch) -> None:
    """It opens longer or at other hours by the same key; one that was revoked is refused."""
    last_day, times = TODAY + 90 * DAY, (Span(60, 120),)
    held = replace(branch.issue(), last_day=last_day, more_times=times, label="Damklubben")

    assert branch.writer.change_pass(held, NOW) == held

    assert branch.book.passes_of(key_of(1)) == (held,)
    branch.writer.revoke(held.number, NOW)
    for number in (held.number, 99):
        with pytest.raises(InputError, match="no pass of that number"):
            branch.writer.change_pass(replace(held, number=number), NOW)


def test_lists_are_newest_first_and_name_nobody(branch: Branch) -> None:
    """A card is a pseudonym; a ban of the patron alone has none."""
    first, second = branch.ban(), branch.ban(None)
    one, other = branch.issue(), branch.issue(CODE, 2)
    branch.writer.revoke(one.number, NOW)

    assert branch.book.every_ban() == (
        Listed(second, None, "p-1"),
        Listed(first, key_of(1).hex()[:8], "p-1"),
    )
    assert branch.book.every_pass() == (
        Listed(other, key_of(2).hex()[:8]),
        Listed(one, key_of(1).hex()[:8], ended_at=NOON),
    )


def test_an_unset_clock_bans_and_locks_down_all_the_same(branch: Branch) -> None:
    """Only what is past for certain counts as past, and nothing is deleted by a guess."""
    ended = replace(BAN, since=NOON - 200 * DAY, until=NOON - 99 * DAY)

    stored = branch.writer.ban(ended, UNSET, row_key=key_of(1), patron_ref=None)
    branch.writer.set_override(LOCKDOWN, UNSET)

    assert branch.book.bans(key_of(1), None) == (stored,)
    assert branch.book.override() == LOCKDOWN


def test_a_code_has_one_pass_at_a_time(branch: Branch) -> None:
    """A second one is refused until the first is revoked or over; the newest comes first."""
    first = branch.issue()
    assert first == replace(PASS, number=1)
    assert branch.book.passes_of(key_of(2)) == ()
    with pytest.raises(InputError, match="the code has a pass already"):
        branch.issue(CODE)
    assert branch.book.passes_of(key_of(1)) == (first,)

    assert branch.writer.revoke(first.number, NOW) == first
    assert branch.book.passes_of(key_of(1)) == ()
    second = branch.issue(CODE)
    assert second == replace(CODE, number=2)
    assert branch.book.passes_of(key_of(1)) == (second,)

    third = branch.issue(replace(CODE, last_day=TODAY + 2 * DAY), moment=at(2))
    assert branch.book.passes_of(key_of(1)) == (third, second)


def test_a_card_has_several_passes(branch: Branch) -> None:
    """Newest first, up to six in force; one that is revoked or over makes room."""
    issued = [branch.issue() for _ in range(MOST_PASSES)]
    assert branch.book.passes_of(key_of(1)) == tuple(reversed(issued))
    with pytest.raises(InputError, match="the card has 6 passes already"):
        branch.issue()

    branch.writer.revoke(issued[2].number, NOW)
    seventh = branch.issue()
    assert branch.book.passes_of(key_of(1)) == tuple(reversed([*issued[:2], *issued[3:], seventh]))
    assert branch.issue(number=2).number == seventh.number + 1


def test_en_60839_11_1_t4_no_more_codes_than_one_in_a_thousand(branch: Branch) -> None:
    """The 1001st code of six digits is refused; longer ones, cards and freed places are not."""
    for number in range(1000):
        branch.issue(CODE, number)
    with pytest.raises(InputError, match="codes of 6 digits"):
        branch.issue(CODE, 1000)

    branch.issue(replace(CODE, code_digits=7), 1001)
    branch.issue(PASS, 1002)
    branch.writer.revoke(500, NOW)
    branch.issue(CODE, 1003)

    with pytest.raises(InputError):
        branch.issue(CODE, 1004)


def test_the_usual_week_is_the_last_that_was_set(branch: Branch) -> None:
    """There is none before; the hours of dates stand beside it, and it beside theirs."""
    assert branch.book.calendar().week is None
    branch.writer.set_week(StoredWeek(((),) * 7), NOW)
    branch.writer.set_week(WEEK, NOW)
    branch.touch(0)

    assert branch.book.calendar().week == WEEK
    assert len(branch.book.calendar().sources) == 1


def test_hours_come_back_as_they_were_said(branch: Branch) -> None:
    """Each source says its own, by date; spans over midnight and closed days included."""
    closed = StoredDay(TODAY + DAY, (), "Grundlovsdag")
    today = StoredDay(TODAY, EVENING)

    branch.writer.set_days(DaySource.WEBSITE, [closed, today], NOW, known_until=TODAY + DAY)
    branch.writer.set_days(DaySource.STAFF, [today], NOW, known_until=None)

    assert branch.book.calendar() == StoredCalendar(
        {
            DaySource.WEBSITE: StoredDays((today, closed), TODAY + DAY, NOON),
            DaySource.STAFF: StoredDays((today,), None, NOON),
        }
    )


def test_a_source_replaces_what_it_said_of_today_and_later(branch: Branch) -> None:
    """What it no longer says is gone; yesterday stays, for a span over midnight; others too."""
    branch.says(DaySource.WEBSITE, 0, 1, 2)
    branch.says(DaySource.STAFF, 1)

    branch.says(DaySource.WEBSITE, 2, moment=at(1))

    sources = branch.book.calendar().sources
    staff, website = sources[DaySource.STAFF], sources[DaySource.WEBSITE]
    assert [one.day - TODAY for one in website.days] == [0 * DAY, 2 * DAY]
    assert website.fetched_at == NOON + DAY
    assert [one.day - TODAY for one in staff.days] == [DAY]


NONE_SET = pytest.raises(InputError, match="no mode is set by hand")


def test_the_mode_set_last_is_the_one(branch: Branch) -> None:
    """Another takes its place; ending it brings back no earlier one."""
    staffed = Override(Mode.STAFFED, NOON + DAY, "a lecture", "staff-8")
    for mode in (staffed, LOCKDOWN):
        branch.writer.set_override(mode, NOW)
        assert branch.book.override() == mode

    assert branch.writer.end_override(NOW) == LOCKDOWN

    assert branch.book.override() is None
    with NONE_SET:
        branch.writer.end_override(NOW)


def test_a_mode_that_ended_by_itself_can_not_be_ended(branch: Branch) -> None:
    """It is still told, with its time, to whoever judges that; ending it would be a lie."""
    staffed = replace(LOCKDOWN, mode=Mode.STAFFED)
    branch.writer.set_override(staffed, NOW)

    with NONE_SET:
        branch.writer.end_override(at(1))

    assert branch.book.override() == staffed


def test_a_lockdown_that_is_over_is_lifted_by_staff(branch: Branch) -> None:
    """It keeps the door from standing free until then, however long; afterwards it is forgotten."""
    branch.writer.set_override(LOCKDOWN, NOW)
    branch.touch(40)
    assert branch.book.override() == LOCKDOWN

    assert branch.writer.end_override(at(40)) == LOCKDOWN
    assert branch.book.override() is None
    with NONE_SET:
        branch.writer.end_override(at(40))


def test_what_ended_more_than_a_month_ago_is_deleted(branch: Branch) -> None:
    """To the second, at the next change of whatever kind; what has no end stays."""
    ended, lifted = branch.ban(), branch.ban(2, until=NOON + 30 * DAY)
    endless = branch.ban(3, "p-3", until=None)
    branch.writer.lift(lifted.number, at(1))
    over, revoked = branch.issue(CODE), branch.issue(replace(PASS, last_day=TODAY + 60 * DAY), 2)
    staff = branch.issue(Pass(0, PassKind.STAFF, TODAY, date.max, label="desk"), 3)
    branch.writer.revoke(revoked.number, at(1))
    branch.writer.set_override(LOCKDOWN, NOW)
    branch.says(DaySource.HOLIDAY, 1)

    def left() -> tuple[set[int], set[int], Override | None, int]:
        return (
            {entry.held.number for entry in branch.book.every_ban()},
            {entry.held.number for entry in branch.book.every_pass()},
            branch.book.override(),
            len(branch.book.calendar().sources[DaySource.HOLIDAY].days),
        )

    bans, passes = (ended, lifted, endless), (over, revoked, staff)
    branch.touch(*range(1, 32, 2))
    assert left() == ({ban.number for ban in bans}, {held.number for held in passes}, LOCKDOWN, 1)

    branch.touch(32)
    assert left() == ({endless.number}, {staff.number}, LOCKDOWN, 0), "a lockdown has to be lifted"


def test_nothing_is_deleted_by_a_clock_that_is_not_set(branch: Branch) -> None:
    """Neither by its guess nor by a high-water mark of a clock that once ran ahead."""
    ended, ahead = branch.ban(), NOON + 400 * DAY

    for local, state in ((LOCAL + 500 * DAY, ClockState.UNTRUSTED), (LOCAL, ClockState.TRUSTED)):
        branch.touch(moment=Moment(local, ahead, state))

    assert branch.book.bans(key_of(1), None) == (ended,)


def test_numbers_are_never_given_twice(branch: Branch) -> None:
    """A letter names a ban by its number, and the letter outlives the ban."""
    ban, one = branch.ban(), branch.issue(CODE)
    branch.touch(*range(2, 61, 2))
    assert branch.book.every_ban() == ()

    other = branch.issue(replace(CODE, last_day=TODAY + 90 * DAY), moment=at(60))

    assert branch.ban(until=None).number > ban.number
    assert other.number > one.number
