from __future__ import annotations

import re
from datetime import date

import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from doorctl.access.calendar import Mode, ModeSpan
from doorctl.accounts.account import Role
from doorctl.ports import StoredDay
from doorctl.web.frame.words import Words, minutes
from doorctl.web.staff.calendar import LEFT, WIDTH, CalendarPages, picture
from tests.fakes.now_desk import AT, FakeCalendarDesk
from tests.web.pages.staging import LANGUAGES, ZONE, browser

DAY = date(2026, 12, 24)


def client(desk: FakeCalendarDesk, role: Role = Role.STAFF, language: str = "da") -> TestClient:
    """Return a browser before the page."""
    return browser(lambda frame: CalendarPages(frame, desk).routes(), role, language)


def said(staff: TestClient, form: dict[str, str], what: str = "") -> Response:
    """Send a form as a browser does that was shown the date just now."""
    return staff.post(f"/calendar/{DAY}{what}", data={**form, "shown": shown(staff)})


def shown(staff: TestClient) -> str:
    """Return what the form of the date carries of what it showed."""
    found = re.search(r'name="shown" value="([0-9a-f]+)"', staff.get(f"/calendar/{DAY}").text)
    assert found is not None
    return found[1]


def test_two_weeks_as_a_picture_and_a_table() -> None:
    """Each date stands in both, with its hours in words."""
    page = client(FakeCalendarDesk()).get("/calendar").text

    assert page.count('<th scope="row">') == 14
    assert "onsdag den 25. november 2026" in page
    assert "18.00\N{EN DASH}22.00 selvbetjent" in page
    assert page.count('class="self_service"') == 14


def test_a_date_gets_hours_of_its_own_and_the_usual_ones_back() -> None:
    """What staff say of a date is shown, with the note as text, and can be taken back."""
    desk = FakeCalendarDesk()
    staff = client(desk)
    form = {"open": "hours", "self-0-from": "8:00", "self-0-to": "12.30", "note": "<b>Jul</b>"}

    done = said(staff, form)
    page = staff.get(f"/calendar?from={DAY}").text

    assert done.status_code == 303
    assert desk.said[DAY].spans == (ModeSpan(Mode.SELF_SERVICE, 480, 750),)
    assert "&lt;b&gt;Jul&lt;/b&gt;" in page
    assert said(staff, {}, "/clear").status_code == 303
    assert desk.said == {}


def test_closed_all_day() -> None:
    """One choice is enough, whatever hours are still filled in."""
    desk = FakeCalendarDesk()
    form = {"open": "closed", "self-0-from": "08:00", "self-0-to": "12:00"}

    said(client(desk), form)

    assert desk.said[DAY] == StoredDay(DAY, ())


def test_the_form_shows_what_stands() -> None:
    """Whoever changes one thing need not type the rest anew, and saving it changes nothing."""
    desk = FakeCalendarDesk()
    spans = (ModeSpan(Mode.STAFFED, 600, 1080), ModeSpan(Mode.SELF_SERVICE, 1320, 1500))
    desk.said[DAY] = StoredDay(DAY, spans, "aften")
    page = client(desk).get(f"/calendar/{DAY}").text

    for text in ('value="10:00"', 'value="18:00"', 'value="22:00"', 'value="01:00"', "aften"):
        assert text in page


@pytest.mark.parametrize(
    "wrong", [("8", "12:00"), ("08:00", ""), ("25:00", "26:00"), ("24:00", "24:30"), ("x", "y")]
)
def test_times_that_are_none(wrong: tuple[str, str]) -> None:
    """They are refused in the branch's language, and shown again to be mended."""
    desk = FakeCalendarDesk()
    form = {"open": "hours", "self-0-from": wrong[0], "self-0-to": wrong[1]}

    answer = said(client(desk), form)

    assert (answer.status_code, desk.said) == (422, {})
    assert f'value="{wrong[0]}"' in answer.text


@pytest.mark.parametrize(
    ("starts", "ends"),
    [("17:00", "16:00"), ("22:00", "01:00"), ("16:00", "16:00"), ("0:00", "0:00")],
)
@pytest.mark.parametrize(
    ("language", "told"),
    [("da", "Betjent tid slutter"), ("en", "staffed hours end on the same day")],
)
def test_staffed_hours_do_not_cross_midnight(
    starts: str, ends: str, language: str, told: str
) -> None:
    """Two times that were swapped would leave the door unlocked all night."""
    desk = FakeCalendarDesk()
    form = {"open": "hours", "staffed-0-from": starts, "staffed-0-to": ends}

    answer = said(client(desk, language=language), form)

    assert (answer.status_code, desk.said) == (422, {})
    assert told in answer.text
    assert f'value="{starts}"' in answer.text


@pytest.mark.parametrize(
    ("kind", "starts", "ends", "span"),
    [
        ("self", "17:00", "01:00", ModeSpan(Mode.SELF_SERVICE, 1020, 1500)),
        ("staffed", "17:00", "24:00", ModeSpan(Mode.STAFFED, 1020, 1440)),
        ("staffed", "17:00", "00:00", ModeSpan(Mode.STAFFED, 1020, 1440)),
    ],
)
def test_hours_until_midnight_and_later(kind: str, starts: str, ends: str, span: ModeSpan) -> None:
    """Self-service may end on the next day, and the form says so; staffed hours at midnight."""
    desk = FakeCalendarDesk()
    staff = client(desk)
    form = {"open": "hours", f"{kind}-0-from": starts, f"{kind}-0-to": ends}

    assert (
        "Et tidligere klokkeslæt under Til er på den næste dag"
        in staff.get(f"/calendar/{DAY}").text
    )
    assert said(staff, form).status_code == 303
    assert desk.said[DAY].spans == (span,)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"note": ""}, "Vælg, om der er lukket eller åbent"),
        ({"open": "maybe"}, "Vælg, om der er lukket eller åbent"),
        ({"open": "hours"}, "Skriv mindst ét tidsrum"),
        ({"open": "hours", "self-0-from": " ", "note": "x"}, "Skriv mindst ét tidsrum"),
    ],
)
def test_a_date_is_never_closed_by_leaving_something_out(form: dict[str, str], told: str) -> None:
    """Closed is what somebody chose, and not what nobody filled in."""
    desk = FakeCalendarDesk()

    answer = said(client(desk), form)

    assert (answer.status_code, desk.said) == (422, {})
    assert told in answer.text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (
            {"self-0-from": "8", "open": "closed"},
            "torsdag den 24. december 2026: Lukket hele dagen",
        ),
        (
            {"self-0-from": "8:00", "self-0-to": "12:30", "open": "hours"},
            "torsdag den 24. december 2026: 08.00\N{EN DASH}12.30 selvbetjent",
        ),
    ],
)
def test_what_was_saved_is_told(form: dict[str, str], told: str) -> None:
    """A slip is seen at once: the answer names the date and its hours."""
    staff = client(FakeCalendarDesk())

    done = said(staff, form)

    assert told in staff.get(done.headers["location"]).text


def test_an_address_tells_of_no_hours_that_were_not_set() -> None:
    """What was done is told of the date alone that staff gave hours of its own."""
    staff = client(FakeCalendarDesk())

    assert "alert-success" not in staff.get(f"/calendar?done=set&day={DAY}").text
    assert staff.get("/calendar?done=set&day=soon").status_code == 200


CLOSED = {"open": "closed", "note": ""}
OTHERS = StoredDay(DAY, (ModeSpan(Mode.STAFFED, 600, 840),), "Julehygge")
"""What a colleague says of the date while the form is open."""


@pytest.mark.parametrize("what", ["", "/clear"])
@pytest.mark.parametrize(
    ("language", "told"),
    [("da", "En anden har ændret denne dato"), ("en", "somebody else has changed")],
)
def test_what_a_colleague_said_meanwhile_is_not_lost(what: str, language: str, told: str) -> None:
    """Whoever sends a form that is out of date is shown what stands now, and sends it again."""
    desk = FakeCalendarDesk()
    staff = client(desk, language=language)
    before = shown(staff)
    desk.said[DAY] = OTHERS

    late = staff.post(f"/calendar/{DAY}{what}", data={**CLOSED, "shown": before})

    assert (late.status_code, desk.said) == (422, {DAY: OTHERS})
    assert told in late.text
    assert "Julehygge" in late.text
    assert said(staff, CLOSED, what).status_code == 303
    assert desk.said != {DAY: OTHERS}


def test_a_form_that_says_not_what_it_showed() -> None:
    """It is as one that is out of date."""
    desk = FakeCalendarDesk()

    assert client(desk).post(f"/calendar/{DAY}", data=CLOSED).status_code == 422
    assert desk.said == {}


@pytest.mark.parametrize("path", ["/calendar/soon", "/calendar/2026-02-30"])
def test_what_is_no_date(path: str) -> None:
    """There is no such page, and that is told in the language of the page."""
    answer = client(FakeCalendarDesk()).get(path)

    assert answer.status_code == 404
    assert "Det er ikke en dato." in answer.text
    assert "that is no date" not in answer.text
    english = client(FakeCalendarDesk(), language="en").get(path).text
    assert '<p class="alert-text">that is no date</p>' in english


def test_who_may_only_look() -> None:
    """A viewer sees the hours and can't change them."""
    viewer = client(FakeCalendarDesk(), Role.VIEWER)

    assert f"/calendar/{DAY}" not in viewer.get(f"/calendar?from={DAY}").text
    assert viewer.get(f"/calendar/{DAY}").status_code == 403
    assert viewer.post(f"/calendar/{DAY}", data={"open": "closed"}).status_code == 403


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1440)), max_size=4))
def test_no_band_leaves_the_scale(spans: list[tuple[int, int]]) -> None:
    """Whatever the hours are, they are drawn between midnight and midnight."""
    desk = FakeCalendarDesk()
    day = tuple(ModeSpan(Mode.STAFFED, starts, starts + length) for starts, length in spans)
    desk.usual = day

    drawn = picture(Words(LANGUAGES.first, ZONE), desk.days(AT.date(), 3), AT)

    for line in drawn.lines:
        for band in line.bands:
            assert band.x >= LEFT
            assert band.width >= 0
            assert band.x + band.width <= LEFT + WIDTH + 0.2


@given(st.integers(0, 2880))
def test_minutes_are_told_as_on_a_clock(after: int) -> None:
    """A day ends at 24:00, and what comes after belongs to the next."""
    hours, rest = minutes(after).split(":")

    assert (int(hours) * 60 + int(rest)) % 1440 == after % 1440
