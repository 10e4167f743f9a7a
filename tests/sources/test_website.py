"""The website's hours, of which one whole, good answer in time counts, and public holidays."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode, ModeSpan, StoredDay
from doorctl.config.hours import HalfHoliday
from doorctl.core.errors import NotAnsweringError, WebsiteHoursError
from doorctl.extras.holidays.compute import PROGRAM, HolidaysWanted, computed, computed_apart
from doorctl.extras.website.website import (
    LONGEST_ANSWER_BYTES,
    HoursRequest,
    Published,
    Website,
    read_opening_hours,
)
from tests.fakes.waiting import LIMIT_S
from tests.sources.website_server import WebsiteScript, serving
from tests.sources.website_server import item as written

MONDAY, DAY = date(2026, 3, 9), timedelta(days=1)
ASKED = HoursRequest("12", MONDAY, MONDAY + 13 * DAY, "DK-773000")


def item(
    day: date, starts: str, ends: str, title: str = "Selvbetjening", **other: object
) -> dict[str, object]:
    """Return an item as the website writes it."""
    return written(day, starts, ends, title) | other


GOOD = [
    item(MONDAY, "07:00", "22:00"),
    item(MONDAY, "10:00", "18:00", "Med betjening"),
    item(MONDAY, "10:00", "12:00", "Telefontid"),
    item(MONDAY + 2 * DAY, "10:00", "14:00", "Borgerservice"),
    item(MONDAY + 3 * DAY, "08:00", "23:59", "Åbent"),
]


def read(answer: object, asked: HoursRequest = ASKED) -> Published:
    """Read an answer."""
    return read_opening_hours(json.dumps(answer).encode(), asked)


def refusal(answer: object) -> str:
    """Return what is wrong with an answer."""
    with pytest.raises(WebsiteHoursError) as caught:
        read(answer)
    return str(caught.value)


@pytest.mark.parametrize(
    ("means", "spans"),
    [
        (Mode.STAFFED, (ModeSpan(Mode.STAFFED, 480, 1440),)),
        (Mode.SELF_SERVICE, (ModeSpan(Mode.SELF_SERVICE, 480, 1440),)),
        (None, ()),
    ],
)
def test_an_answer_is_dated_days(means: Mode | None, spans: tuple[ModeSpan, ...]) -> None:
    """A date between without an item is closed, one after the last item is not known.

    Staffed and self-service open, other categories don't; the branch says what "Åbent" means.
    """
    found = read(GOOD, replace(ASKED, open_means=means))

    assert [(one.day - MONDAY, one.spans) for one in found.days] == [
        (0 * DAY, (ModeSpan(Mode.SELF_SERVICE, 420, 1320), ModeSpan(Mode.STAFFED, 600, 1080))),
        (1 * DAY, ()),
        (2 * DAY, ()),
        (3 * DAY, spans),
    ]
    assert (found.known_until, found.unknown, found.opens) == (MONDAY + 3 * DAY, frozenset(), True)


def test_an_unheard_of_category_opens_nothing_and_is_told() -> None:
    """Who adds a category for homework help does not shut the door, and does not open it."""
    found = read([*GOOD, item(MONDAY, "02:00", "06:00", "Lektiecafé")])

    assert found.days[0].spans[0].starts == 420
    assert found.unknown == {"Lektiecafé"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"branch_id": 13}, 'branch_id: found 13; asked for "12"'),
        (
            {"branch_isil_id": "DK-773001"},
            'branch_isil_id: found "DK-773001"; branch.isil is DK-773000',
        ),
        ({"date": "2026-03-23"}, "date: found 2026-03-23; asked for 2026-03-09 to 2026-03-22"),
        ({"date": "2026-03-08"}, "date: found 2026-03-08; asked for 2026-03-09 to 2026-03-22"),
        ({"end_time": "06:00"}, 'end_time: found "06:00", which is not after 07:00'),
        ({"end_time": "07:00"}, 'end_time: found "07:00", which is not after 07:00'),
        ({"start_time": "7:00"}, 'start_time: found "7:00"; wanted is "HH:MM"'),
        ({"end_time": "24:00"}, 'end_time: found "24:00"; wanted is "HH:MM"'),
        ({"category": {"title": " "}}, "category: has no title"),
    ],
)
def test_one_wrong_item_refuses_all(wrong: dict[str, object], told: str) -> None:
    """A date, time, branch or category in doubt is told, and nothing of the answer is used."""
    assert refusal([*GOOD, GOOD[0] | wrong]) == f"the website's hours: item 5: {told}"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"message": "x"}, "is no list of hours: Expected `array`, got `object`"),
        (["07:00-22:00"], "is no list of hours: Expected `object`, got `str` - at `$[0]`"),
        ([GOOD[0], {"category": {"title": "x"}}], "missing required field `date` - at `$[1]`"),
        ([GOOD[0] | {"category": None}], "got `null` - at `$[0].category`"),
        ([GOOD[0] | {"date": "2026-02-30"}], "Invalid RFC3339 encoded date - at `$[0].date`"),
        (
            [item(MONDAY, "07:00", "22:00", "Selvbetjent")],
            'has no category that opens, only others such as "Selvbetjent"',
        ),
    ],
)
def test_an_answer_that_opens_no_date_is_refused(answer: object, told: str) -> None:
    """A wrong address or a renamed category is told, not taken for a fortnight closed."""
    assert told in refusal(answer)


@pytest.mark.parametrize("answer", [[], [item(MONDAY, "10:00", "12:00", "Telefontid")]])
def test_hours_that_were_emptied_are_every_day_closed(answer: object) -> None:
    """It says so of itself: the round reads it a second time before it follows."""
    found = read(answer)

    assert (found.opens, found.known_until, len(found.days)) == (False, ASKED.last, 14)
    assert {day.spans for day in found.days} == {()}


def test_a_missing_isil_is_no_doubt() -> None:
    """Older sites name none, and a branch may have none."""
    other = item(MONDAY, "07:00", "22:00", branch_isil_id=None)

    assert read([other]).days
    assert read(GOOD, replace(ASKED, isil="")).days


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
fields = ("category", "date", "start_time", "end_time", "branch_id", "branch_isil_id")
odd_items = st.builds(
    lambda leaf, value: item(MONDAY, "07:00", "22:00", **{leaf: value}),
    st.sampled_from(fields),
    json_values,
)


@given(json_values | st.lists(odd_items | json_values, max_size=3))
def test_whatever_comes_is_days_or_refused(answer: object) -> None:
    """No answer raises anything else, opens a date nobody asked for, or breaks a log line."""
    days: tuple[StoredDay, ...] = ()
    told, until = "", ASKED.last
    try:
        found = read(answer)
        days, until = found.days, found.known_until
    except WebsiteHoursError as error:
        told = str(error)

    assert told.isprintable()
    assert all(ASKED.first <= one.day <= until <= ASKED.last for one in days)


@pytest.fixture
def script() -> WebsiteScript:
    """Return a website that is open on two days, and another branch's hours."""
    later = written(MONDAY + DAY, "10:00", "18:00", "Med betjening")
    return WebsiteScript([written(MONDAY), later, written(MONDAY, branch=13)])


@pytest.fixture
def url(script: WebsiteScript) -> Iterator[str]:
    """Return where that website is."""
    with serving(script) as found:
        yield found


def why(website: Website) -> str:
    """Return why an answer counts for nothing."""
    with pytest.raises(WebsiteHoursError) as caught:
        website.opening_hours(ASKED)
    return str(caught.value)


def test_it_is_asked_for_one_branch_and_the_days_wanted(script: WebsiteScript, url: str) -> None:
    """One request, without a word about who asks but the program's name."""
    found = Website(f"{url}/").opening_hours(ASKED)

    assert [one.day for one in found.days] == [MONDAY, MONDAY + DAY]
    assert script.asked == [
        "/api/v1/opening_hours?_format=json&branch_id=12&from_date=2026-03-09&to_date=2026-03-22"
    ]
    names = {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert {name.lower() for name in script.told[0]} == names
    assert script.told[0]["User-Agent"] == "doorctl"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "has HTTP status 403"),
        (404, "there is no DPL CMS; see hours.website_url"),
        (500, "has HTTP status 500"),
        (503, "has HTTP status 503"),
        (204, "has HTTP status 204"),
    ],
)
def test_any_status_but_200_counts_for_nothing(
    script: WebsiteScript, url: str, status: int, told: str
) -> None:
    """Even with good hours below it, an error page is one."""
    script.status = status

    assert told in why(Website(url))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(script: WebsiteScript, url: str, status: int) -> None:
    """Only the address that the technician wrote down may open the door."""
    script.status = status
    script.headers["Location"] = f"{url}/api/v1/opening_hours?_format=json"

    assert "the website has moved; see hours.website_url" in why(Website(url))
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Vi er straks tilbage</html>",
        b'[{"unread": ' + b"[" * 100_000,
        b'[{"start_time": "\xff"}]',
    ],
)
def test_what_is_no_json_counts_for_nothing(script: WebsiteScript, url: str, body: bytes) -> None:
    """A maintenance page, another encoding or an endless nesting is no answer."""
    script.body = body

    assert "is no JSON" in why(Website(url))


def test_packed_content_is_not_unpacked(script: WebsiteScript, url: str) -> None:
    """None was asked for, and a small answer could be a huge one in disguise."""
    script.body = gzip.compress(json.dumps(script.items).encode())
    script.headers["Content-Encoding"] = "gzip"

    assert "is no JSON" in why(Website(url))


def test_no_more_is_read_than_any_branch_has(script: WebsiteScript, url: str) -> None:
    """An answer without an end neither fills the memory nor is waited for."""

    def endless(writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65_536)

    script.raw = endless

    assert f"has more than {LONGEST_ANSWER_BYTES} bytes" in why(Website(url, limit_s=LIMIT_S))


def test_no_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, script: WebsiteScript, url: str
) -> None:
    """Only the configuration says whom to believe."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert Website(url).opening_hours(ASKED).days
    assert len(script.asked) == 1


# Public holidays, computed here and by a real process of their own.

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


def named(*years: int, also: tuple[HalfHoliday, ...] = ()) -> dict[date, str]:
    """Return the holidays' names by date."""
    return {holiday.day: holiday.note for holiday in computed(HolidaysWanted(years, also))}


def test_holidays_are_named() -> None:
    """Each public holiday of the year says which one it is; its hours are the calendar's to say."""
    listed = tuple(StoredDay(day, (), name) for day, name in OF_2026.items())

    assert computed(HolidaysWanted((2026,))) == listed


def test_store_bededag_is_gone() -> None:
    """The fourth Friday after Easter was one until 2023 and is none since."""
    found = [year for year in (2023, 2024, 2026) if "Store bededag" in named(year).values()]

    assert found == [2023]


def test_other_days_count_where_they_are_named() -> None:
    """Christmas Eve and the like are none unless the branch says so, and only those it names."""
    more = named(2026, also=("christmas_eve", "constitution_day"))

    assert more.items() - OF_2026.items() == {
        (date(2026, 6, 5), "Grundlovsdag"),
        (date(2026, 12, 24), "Juleaftensdag"),
    }


def test_a_day_that_is_both_is_a_public_holiday() -> None:
    """5 June 2028 is Pentecost Monday; it is told by that name."""
    assert named(2028, also=("constitution_day",))[date(2028, 6, 5)] == "Anden pinsedag"


RESIDENT = """
import json, re, sys
from doorctl.extras.holidays.compute import HolidaysWanted, computed_apart
found = computed_apart(HolidaysWanted((2026, 2027), ("christmas_eve",)))
print(json.dumps([[holiday.note for holiday in found], "holidays" in sys.modules]))
"""


def test_computed_apart_they_are_the_same_and_the_package_is_not_loaded_here() -> None:
    """The memory that it takes goes with the process that it was loaded in; no name is lost."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, check=True, timeout=120
    )

    same = [*named(2026, 2027, also=("christmas_eve",)).values()]
    assert json.loads(done.stdout) == [same, False]


def test_where_code_comes_from_is_not_the_environments_to_say() -> None:
    """A module of that name in the working directory or on PYTHONPATH is not run."""
    assert PROGRAM[1] == "-I"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (("false",), "it ended with 1"),
        (("sh", "-c", "echo one >&2; printf 'tw\\033o\\n' >&2; exit 3"), "it ended with 3: two"),
        (("sh", "-c", "kill -9 $$"), "it ended with -9"),
        (("/nonexistent/python",), "it can't be started: No such file or directory"),
        (("true",), "what came is no list of holidays"),
        (("echo", "[1, 2]"), "what came is no list of holidays"),
        (("printf", r'"\377"'), "what came is no list"),
        (("sleep", "60"), "it took more than 0.2 s"),
    ],
    ids=str,
)
def test_a_process_that_fails_is_one_clear_error(program: tuple[str, ...], told: str) -> None:
    """It says why, on one line, and nothing is believed of what came."""
    limit_s = 0.2 if program[0] == "sleep" else 60.0
    with pytest.raises(NotAnsweringError) as caught:
        computed_apart(HolidaysWanted((2026,)), program=program, limit_s=limit_s)

    assert str(caught.value).startswith(f"the public holidays were not computed: {told}")
    assert str(caught.value).isprintable()
