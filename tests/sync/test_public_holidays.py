from collections.abc import Mapping
from datetime import date

from doorctl.access.calendar import Calendar, Cause, DatedDay, Mode, ModeSpan
from doorctl.config.hours import HalfHoliday
from doorctl.sources.hours import HolidaysWanted, computed

SUNDAY = (ModeSpan(Mode.SELF_SERVICE, 600, 840),)
WEEK = (*((ModeSpan(Mode.SELF_SERVICE, 420, 1320),),) * 6, SUNDAY)

OF_2026 = {
    date(2026, 1, 1): "Nytårsdag",
    date(2026, 4, 2): "Skærtorsdag",
    date(2026, 4, 3): "Langfredag",
    date(2026, 4, 5): "Påskedag",
    date(2026, 4, 6): "Anden påskedag",
    date(2026, 5, 14): "Kristi himmelfartsdag",
    date(2026, 5, 24): "Pinsedag",
    date(2026, 5, 25): "Anden pinsedag",
    date(2026, 12, 25): "Juledag",
    date(2026, 12, 26): "Anden juledag",
}


def holidays(years: tuple[int, ...], also: tuple[HalfHoliday, ...] = ()) -> Mapping[date, DatedDay]:
    """Ask for holidays."""
    return computed(HolidaysWanted(years, also))


def test_holidays_are_named() -> None:
    """Each public holiday of the year says which one it is; its hours are the calendar's to say."""
    assert holidays((2026,)) == {
        day: DatedDay((), Cause.HOLIDAY, name) for day, name in OF_2026.items()
    }


def test_store_bededag_is_gone() -> None:
    """The fourth Friday after Easter was one until 2023 and is none since."""
    names = {year: {one.note for one in holidays((year,)).values()} for year in (2023, 2024, 2026)}

    assert {year for year, found in names.items() if "Store bededag" in found} == {2023}


def test_other_days_count_where_they_are_named() -> None:
    """Christmas Eve and the like are none unless the branch says so, and only those it names."""
    named = computed(HolidaysWanted((2026, 2027), ("christmas_eve", "constitution_day")))
    added = sorted(set(named) - set(holidays((2026, 2027))))

    assert added == [
        date(2026, 6, 5),
        date(2026, 12, 24),
        date(2027, 6, 5),
        date(2027, 12, 24),
    ]
    assert named[date(2026, 12, 24)].note == "Juleaftensdag"


def test_a_day_that_is_both_is_a_public_holiday() -> None:
    """5 June 2028 is Pentecost Monday; it is told by that name."""
    named = holidays((2028,), ("constitution_day",))

    assert named[date(2028, 6, 5)].note == "Anden pinsedag"


def test_an_exception_goes_before_a_holiday() -> None:
    """Laid under a calendar, holidays change the dates that have no hours of their own."""
    own = {date(2026, 12, 25): DatedDay(SUNDAY, note="Koncert")}
    calendar = Calendar(WEEK, own).over(holidays((2026,)))

    assert calendar.day(date(2026, 12, 25)) == SUNDAY
    assert calendar.day(date(2026, 12, 26)) == ()
    assert calendar.cause_on(date(2026, 12, 26)) is Cause.HOLIDAY
