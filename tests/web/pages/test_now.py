from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from starlette.testclient import TestClient

from doorctl.access.calendar import Cause, Mode
from doorctl.access.day import Override
from doorctl.accounts.account import Role
from doorctl.web.desks import BranchPicture, RegisterNow
from doorctl.web.staff.now import NowPages
from tests.fakes.alarm_desk import FakeAlarmDesk
from tests.fakes.now_desk import AT, QUIET, FakeNowDesk
from tests.web.pages.staging import browser


def client(
    desk: FakeNowDesk | None = None,
    alarms: FakeAlarmDesk | None = None,
    role: Role = Role.STAFF,
    language: str = "da",
) -> TestClient:
    """Return a browser before the page."""
    desk, alarms = desk or FakeNowDesk(), alarms or FakeAlarmDesk()
    return browser(lambda frame: NowPages(frame, desk, alarms).routes(), role, language)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "da",
            [
                "Selvbetjent indtil kl. 22.00. Intet at gøre.",
                "10.00\N{EN DASH}18.00 betjent",
                "40.123",
                "3 t 5 min",
            ],
        ),
        ("en", ["Self-service until 22:00. Nothing to do.", "10:00 to 18:00 staffed", "about 4"]),
    ],
)
def test_a_quiet_evening(language: str, told: list[str]) -> None:
    """One sentence says that nothing is to be done, and the rest is there for who wants it."""
    page = client(language=language).get("/now").text

    for text in told:
        assert text in page


def test_a_door_that_does_not_answer_is_said_first() -> None:
    """The page works, and nobody takes its silence for calm."""
    page = client(FakeNowDesk(replace(QUIET, door=None))).get("/now").text

    assert "Dørens program svarer ikke: ingen bliver lukket ind." in page
    assert "Intet at gøre" not in page


def test_hours_that_nobody_knows_and_a_register_that_is_gone() -> None:
    """What can't be read is said in its place; the page is there all the same."""
    lost = RegisterNow(None, 0, None, "patrons.db is missing; <push> a snapshot")
    page = client(FakeNowDesk(replace(QUIET, hours=None, register=lost))).get("/now").text

    assert "Ukendt" in page
    assert "patrons.db is missing; &lt;push&gt; a snapshot" in page


def test_an_alarm_is_told_with_what_to_do_and_acknowledged_once() -> None:
    """Staff read what it means and what to do, and whoever has seen it stands there."""
    alarms = FakeAlarmDesk()
    alarms.hear("door_held", "the door has been open for 60 s")
    staff = client(alarms=alarms)

    before = staff.get("/now").text
    done = staff.post("/now/acknowledge", data={"kind": "door_held"})
    after = staff.get(done.headers["location"]).text

    assert "Der er 1 alarm." in before
    assert "Gør sådan:" in before
    assert "Alarmen er kvitteret." in after
    assert "Kvitteret af staff" in after


def test_alarms_that_cannot_be_read_are_no_calm() -> None:
    """Nothing to do is only said where somebody knows it."""
    alarms = FakeAlarmDesk()
    alarms.broken = True

    page = client(alarms=alarms).get("/now").text

    assert "Alarmerne kan ikke læses." in page


assert QUIET.door is not None
assert QUIET.hours is not None
DOOR, HOURS = QUIET.door, QUIET.hours


@pytest.mark.parametrize(
    ("picture", "named"),
    [
        (replace(QUIET, door=replace(DOOR, reader="lost")), "Kortlæser"),
        (replace(QUIET, door=replace(DOOR, keypad="lost", leaf="held")), "Dør, Tastatur"),
        (replace(QUIET, door=replace(DOOR, clock="untrusted")), "Ur"),
        (replace(QUIET, door=replace(DOOR, version="0.0.9")), "Version"),
        (replace(QUIET, hours=None), "Tilstand"),
        (replace(QUIET, hours=replace(HOURS, mode=None)), "Tilstand"),
        (replace(QUIET, register=replace(QUIET.register, age=timedelta(days=2))), "Lånerregister"),
        (replace(QUIET, register=replace(QUIET.register, problem="it is gone")), "Lånerregister"),
        (replace(QUIET, disk_free_bytes=0), "Ledig plads"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_wrong_is_named_before_any_alarm(picture: BranchPicture, named: str) -> None:
    """Nothing to do is never said above something that the page itself marks as wrong."""
    page = client(FakeNowDesk(picture)).get("/now").text

    assert f"Noget er galt: {named}." in page
    assert "headline-bad" in page
    assert "Intet at gøre" not in page


def test_a_line_that_is_not_configured_is_not_missing() -> None:
    """A branch without a keypad of its own, or without a reader, is told nothing of them."""
    bare = replace(QUIET, door=replace(DOOR, reader=None, keypad=None))

    page = client(FakeNowDesk(bare)).get("/now").text

    assert "Intet at gøre" in page
    assert "Kortlæser" not in page


def test_the_door_is_opened_once_by_a_form() -> None:
    """With a reason, by the account; it is told on the next page."""
    desk = FakeNowDesk()
    staff = client(desk)

    answer = staff.post("/now/open", data={"reason": "rullestol"})

    assert answer.status_code == 303
    assert desk.done == [("opened", "rullestol", "staff")]
    assert "Døren er låst op én gang." in staff.get(answer.headers["location"]).text


def test_staff_say_that_a_clock_in_doubt_is_right() -> None:
    """The page asks by what the clock says now, and only while there is doubt."""
    assert QUIET.door is not None
    assert "/now/clock" not in client(FakeNowDesk()).get("/now").text
    said = AT.astimezone(UTC).replace(month=12, day=24)
    doubted = replace(QUIET.door, clock="untrusted", in_doubt=said)
    desk = FakeNowDesk(replace(QUIET, door=doubted))
    staff = client(desk)
    assert "24.12.2026 kl. 19.30" in staff.get("/now").text

    answer = staff.post("/now/clock")

    assert answer.status_code == 303
    assert desk.done == [("clock", "staff")]
    assert "Uret regnes for rigtigt." in staff.get(answer.headers["location"]).text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 300, "0101701234"])
def test_a_reason_is_needed_and_holds_no_number(reason: str) -> None:
    """Nothing is opened, and what was typed is shown again to be mended."""
    desk = FakeNowDesk()

    answer = client(desk).post("/now/open", data={"reason": reason})

    assert (answer.status_code, desk.done) == (422, [])


def test_a_mode_is_set_until_a_local_time_and_ended() -> None:
    """The time is the branch's own; the calendar counts again when staff say so."""
    desk = FakeNowDesk()
    staff = client(desk)
    until = QUIET.at + timedelta(hours=2)

    asked = {"mode": "lockdown", "until": f"{until:%Y-%m-%dT%H:%M}", "cause": "uro"}
    assert staff.post("/now/mode", data=asked).status_code == 303
    page = staff.get("/now").text
    staff.post("/now/mode/end")

    assert "Spærret indtil 25.11.2026 kl. 21.30: kun nødadgang åbner døren." in page
    assert "headline-bad" in page
    assert "Ophæv spærringen" in page
    assert desk.done == [("mode", "lockdown", "2026-11-25T21:30+0100", "staff"), ("ended", "staff")]


def test_a_lockdown_that_is_over_waits_for_staff() -> None:
    """It is said first, in red, with the button that lifts it; nothing is free until then."""
    desk = FakeNowDesk()
    assert desk.picture.hours is not None
    lapsed = Override(Mode.LOCKDOWN, QUIET.at, "uro", "staff")
    hours = replace(desk.picture.hours, mode=Mode.CLOSED, cause=Cause.LOCKDOWN, override=lapsed)
    desk.picture = replace(desk.picture, hours=hours)
    page = client(desk).get("/now").text

    assert "En spærring er slut. Døren forbliver lukket, til personalet ophæver den." in page
    assert "headline-bad" in page
    assert "Ophæv spærringen" in page


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"mode": "party", "until": "2026-11-25T22:00", "cause": "uro"}, "mode"),
        ({"mode": "closed", "until": "soon", "cause": "uro"}, "until"),
        ({"mode": "closed", "until": "2026-11-25T19:00", "cause": "uro"}, "until"),
        ({"mode": "closed", "until": "2026-11-25T22:00", "cause": ""}, "cause"),
        ({"mode": "closed", "until": "2026-11-25T22:00", "cause": "x"}, "cause"),
        ({"cause": ""}, "mode"),
    ],
)
def test_a_mode_that_makes_no_sense(wrong: dict[str, str], field: str) -> None:
    """It is refused beside the field that is wrong, and nothing is set."""
    desk = FakeNowDesk()

    answer = client(desk).post("/now/mode", data=wrong)

    assert (answer.status_code, desk.done) == (422, [])
    marked = [one for one in ("mode", "until", "cause") if f'id="{one}-error"' in answer.text]
    assert marked == [field]


def test_no_mode_is_set_by_a_click_too_many() -> None:
    """None is chosen for anybody, and the form says that one of them leaves the door unlocked."""
    page = client().get("/now").text
    modes = page[page.index('<select class="form-select" id="mode"') :]
    modes = modes[: modes.index("</select>")]

    assert re.findall(r'value="(\w*)" selected', modes) == [""]
    assert " required>" in modes
    assert "Betjent: Døren står ulåst for alle." in page
    assert client().post("/now/mode", data={"mode": "", "cause": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("ahead", "offered"),
    [
        (timedelta(days=3), "2026-11-25T21:30"),
        (timedelta(minutes=40), "2026-11-25T20:10"),
        (None, "2026-11-25T21:30"),
    ],
)
def test_a_mode_is_offered_for_two_hours_at_most(ahead: timedelta | None, offered: str) -> None:
    """Until the calendar's next change where that comes first, and never over the night."""
    changes = None if ahead is None else QUIET.at + ahead
    desk = FakeNowDesk(replace(QUIET, hours=replace(HOURS, changes_at=changes)))

    page = client(desk).get("/now").text

    assert f'name="until" type="datetime-local" value="{offered}"' in page


@pytest.mark.parametrize("mode", ["staffed", "closed"])
def test_a_mode_that_was_refused_is_still_chosen(mode: str) -> None:
    """Only what was wrong has to be filled in again."""
    sent = {"mode": mode, "until": "2026-11-25T22:00", "cause": ""}

    page = client().post("/now/mode", data=sent).text

    assert f'<option value="{mode}" selected>' in page
    assert 'value="2026-11-25T22:00"' in page


def test_who_may_only_look_has_no_buttons() -> None:
    """A viewer sees the branch and changes nothing, with or without the form."""
    viewer = client(role=Role.VIEWER)

    page = viewer.get("/now").text

    assert "/now/open" not in page
    assert "/now/mode" not in page
    assert viewer.post("/now/open", data={"reason": "x"}).status_code == 403
    assert viewer.post("/now/mode", data={"mode": "closed"}).status_code == 403


def test_no_button_is_a_link() -> None:
    """What changes anything can't be asked for by an address alone."""
    staff = client()

    for path in ("/now/open", "/now/mode", "/now/mode/end", "/now/acknowledge"):
        assert staff.get(path).status_code == 405
