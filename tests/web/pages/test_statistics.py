"""The page of counts: what is drawn, what is hidden, and what can be downloaded.

Bug (stranger's review): zeros for people whom nobody counts; an English letter with a Danish
reason.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.accounts.roles import Role
from doorctl.core.language import languages
from doorctl.lookup.app import App
from doorctl.privacy.passages import ATTEMPT, LEAF, HourCount
from doorctl.privacy.statistics import COLUMNS, By, Gathered
from doorctl.services import statistics, visits
from doorctl.services.picture import HOUR, ModeBand, Picture
from doorctl.store.door_log import Slot
from doorctl.store.hourly import HourlyHistory
from doorctl.store.visits import VisitStore
from doorctl.web.staff.charts import BREADTH, HEIGHT, SCALE, bars, scale_of
from doorctl.web.staff.spreadsheet import MARK
from doorctl.web.staff.statistics import chart, statistics_pages
from doorctl.web.staff.timeline import ABOVE, BAND_Y, BASE, LEFT, TOP, WIDTH, timeline
from doorctl.web.words import Words
from tests.web.addresses import built
from tests.web.conftest import Apps
from tests.web.pages.staging import LANGUAGES, NOW, ZONE, browser

AT = datetime(2026, 3, 2, 18, tzinfo=UTC)
COUNTS = (
    HourCount(AT, "self_service", ATTEMPT, "ok", 1240),
    HourCount(AT, "self_service", ATTEMPT, "wrong_pin", 3),
    HourCount(AT, "self_service", ATTEMPT, "banned", 8),
    HourCount(AT, "self_service", LEAF, "entered", 4),
)


@pytest.fixture
def app(apps: Apps) -> App:
    """A small branch that counted something."""
    return counted(apps("branch.id=oest"), *COUNTS)


def counted(app: App, *counts: HourCount) -> App:
    """Have a branch count."""
    with closing(VisitStore(app.storage.visits_db)) as store:
        store.add_counts(list(counts))
    return app


client = partial(browser, statistics_pages, role=Role.VIEWER)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("da", ["1.240", "mandag", "marts 2026", "Fordelt på timer", "Kom ind"]),
        ("en", ["1,240", "Monday", "March 2026", "By hour", "Let in"]),
    ],
)
def test_pictures_and_the_same_in_tables(app: App, language: str, told: list[str]) -> None:
    """Each picture has its table beside it, in words and numbers of the language."""
    page = client(app, language=language).get("/statistics").text

    assert page.count('role="img"') == page.count("<caption") == 4
    for text in told:
        assert text in page


@pytest.mark.parametrize("path", ["", ".csv?by=month", "?since=2026-03-01&until=2026-03-31"])
def test_years_of_hours_keep_no_other_page_waiting(
    app: App, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is worked out beside the event loop, on the threads that pages have for it."""
    threads: set[str] = set()
    gathered = statistics.statistics

    class Watched(Gathered):
        """What was gathered, telling on which threads it is looked at."""

        def __getattribute__(self, name: str) -> Any:
            threads.add(threading.current_thread().name.partition("_")[0])
            return super().__getattribute__(name)

    def watched(*asked: Any) -> Gathered:
        """Gather them, and have each further step noted."""
        return Watched(gathered(*asked).counts)

    monkeypatch.setattr(statistics, "statistics", watched)

    assert client(app).get(f"/statistics{path}").status_code == 200
    assert threads == {"pages"}


def test_small_numbers_are_hidden(app: App) -> None:
    """Below five nobody is counted; what is short by that says so."""
    page = client(app).get("/statistics").text

    assert "&lt;5" in page
    assert ">10+<" in page
    assert ">3<" not in page.replace('x="3', "")


def test_nobody_who_is_not_counted_is_said_to_have_stayed_away(apps: Apps) -> None:
    """A branch without a contact has no line of zeros for the people who came in."""
    app = counted(apps(), *COUNTS[:-1])
    before = client(app).get("/statistics").text
    counted(app, COUNTS[-1])

    assert "Personer, der gik ind" not in before
    assert "Personer, der gik ind" in client(app).get("/statistics").text


def test_staffed_hours_are_no_empty_night(apps: Apps) -> None:
    """The door counts nobody while it stands free, and the page says so instead of zeros.

    Bug (outside look): staffed hours were drawn as empty as the night.
    """
    week = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours = (f'hours.{day}=["07:00-22:00"]' for day in week)
    app = counted(apps(*hours, 'hours.staffed.monday=["10:30-12:00"]'), *COUNTS)

    page = client(app).get("/statistics").text

    assert page.count('class="square-staffed"') == 1
    assert page.count(">betjent<") == 1
    assert "ingen tælles" in page
    assert "Marts 2026" in page or "marts 2026" in page


def test_days_are_drawn_where_there_are_few(app: App) -> None:
    """A year of days would be no picture: then the page says how to get one."""
    short = client(app).get("/statistics?since=2026-03-02&until=2026-03-02").text
    year = client(app).get("/statistics?since=2026-03-02&until=2026-04-02").text
    whole = client(app).get("/statistics").text

    assert "Fordelt på dage" in short
    assert "2.3.2026" in short
    assert "Fordelt på dage" not in whole
    assert "Vælg to dage i samme måned" in whole
    assert "Vælg to dage i samme måned" not in short
    assert 'value="1.3.2026"' in short
    assert 'value="31.3.2026"' in short
    assert "Fordelt på dage" not in year
    assert 'value="31.12.2026"' in year


@pytest.mark.parametrize(
    "asked",
    [
        "since=soon",
        "until=0001-01-01",
        "until=9999-12-31",
        "since=2026-03-02&until=2026-03-01",
        "since=%3Cscript%3Ealert(1)%3C/script%3E",
    ],
)
def test_days_that_make_no_sense(app: App, asked: str) -> None:
    """They are told beside the fields, and nothing of them is markup."""
    answer = client(app).get(f"/statistics?{asked}")

    assert answer.status_code == 422
    assert "<script>" not in answer.text
    assert client(app).get(f"/statistics.csv?{asked}").status_code == 422


def test_a_spreadsheet_gets_what_the_command_prints(app: App) -> None:
    """The same columns, small numbers hidden there too; a Danish one opens them as columns."""
    answer = client(app).get("/statistics.csv?by=weekday")
    assert answer.text.startswith(MARK)
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix(MARK)), delimiter=";"))

    assert tuple(rows[0]) == COLUMNS
    assert ["oest", "monday", "self_service", "attempt", "wrong_pin", "<5"] in rows
    assert 'filename="doorctl-weekday.csv"' in answer.headers["content-disposition"]


def test_a_month_may_be_two_words(app: App, tmp_path: Path) -> None:
    """A language that is dropped in writes its months as it likes, and has the page too."""
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    (tmp_path / "vi.po").write_text(f'{head}msgid "March"\nmsgstr "tháng Ba"\n', "utf-8")
    vietnamese = Words(languages("da", tmp_path).chosen("vi"), ZONE)

    drawn = chart(
        vietnamese, By.MONTH, "By month", statistics.statistics(app, None, None).table(By.MONTH)
    )

    assert [one.name for one in drawn["groups"]] == ["tháng Ba 2026"]
    assert [name for _, name in drawn["drawn"]["names"]] == ["thá 2026"]


def test_nothing_was_counted_yet(apps: Apps) -> None:
    """A new branch has a page, not a fault."""
    page = client(apps()).get("/statistics")

    assert page.status_code == 200
    assert "Der er ingen tal endnu." in page.text


@given(st.integers(0, 10**9))
def test_a_scale_holds_the_highest(highest: int) -> None:
    """It has four equal parts, and no more than half of it is empty but for the smallest."""
    top = scale_of([highest])

    assert top >= highest
    assert top % 4 == 0
    assert top == 4 or highest * 2 > top


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=120))
def test_every_bar_is_inside_the_picture(counts: list[tuple[int, int]]) -> None:
    """However many there are, and however high."""
    drawn = bars([(str(place), both) for place, both in enumerate(counts)])

    for bar in drawn["bars"]:
        assert SCALE <= bar["x"] <= bar["x"] + bar["width"] <= SCALE + BREADTH + 0.2
        assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= HEIGHT + 0.2


def test_kept_sums_of_years_never_tell_another_figure(app: App) -> None:
    """Neither once more was counted, nor after a count of long ago that was written late."""
    kept: dict[visits.Span, statistics.Settled] = {}
    spans: tuple[tuple[date | None, date | None], ...] = (
        (None, None),
        (AT.date(), AT.date()),
        (AT.date(), date(2026, 4, 1)),
    )
    for more in (0, 0, 30, 7):
        now = datetime.now(UTC)
        counted(app, *(COUNTS[0]._replace(hour=at, count=more) for at in (AT, now, None)))
        for span in spans:
            whole = statistics.statistics(app, *span)
            for found in (statistics.statistics(app, *span, kept) for _ in range(2)):
                every = [by for by in By if by is not By.DAY]
                assert [found.table(by) for by in every] == [whole.table(by) for by in every]
                assert found.week() == whole.week()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[HourCount]:
    """All counts that are read from now on."""
    read: list[HourCount] = []
    hours = HourlyHistory.hours

    def noted(self: HourlyHistory, *span: Any) -> Iterator[HourCount]:
        """Read, and keep what was read."""
        found = list(hours(self, *span))
        read.extend(found)
        return iter(found)

    monkeypatch.setattr(HourlyHistory, "hours", noted)
    return read


def test_hours_long_over_are_read_once(app: App, read: list[HourCount]) -> None:
    """Their sums are kept until one of them changes, so that three years cost no more than days.

    Bug (speed of the pages): the page of statistics read and added up every hour of three years.
    """
    kept: dict[visits.Span, statistics.Settled] = {}
    reads = []
    for _ in range(2):
        statistics.statistics(app, None, None, kept)
        reads.append(len(read))
        read.clear()

    assert reads == [len(COUNTS), 0]


def test_the_first_look_after_a_start_waits_for_no_years(app: App, read: list[HourCount]) -> None:
    """Web adds them up by itself once it is ready; it goes on where there is no door log yet.

    Bug (speed of the pages): the first look after a start took half a second, and its memory was
    never given back.
    """
    with built(app.config) as pages:
        pages.warm_up()
        app.storage.visits_db.unlink()
        pages.warm_up()

    assert sorted(read, key=repr) == sorted(COUNTS, key=repr)


WORDS = Words(LANGUAGES.chosen("da"), ZONE)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=ZONE).astimezone(UTC)

QUARTERS = st.lists(
    st.tuples(st.integers(0, 95), st.integers(0, 10_000), st.integers(0, 10_000)),
    unique_by=lambda one: one[0],
)


def of(since: datetime, days: int = 1, **more: Any) -> dict[str, Any]:
    """Return the picture of some whole days, as of :data:`NOW`."""
    last = since.astimezone(ZONE).date() + timedelta(days=days)
    until = datetime.combine(last, time(), ZONE).astimezone(UTC)
    return timeline(WORDS, Picture(since, until, **more), NOW)


def test_an_evening() -> None:
    """Let in stands above the line, refused below it; the hours say the same in numbers."""
    at = MIDNIGHT + timedelta(hours=18, minutes=15)
    bands = (ModeBand(MIDNIGHT, MIDNIGHT + timedelta(days=1), Mode.SELF_SERVICE),)
    inside = ((MIDNIGHT + timedelta(hours=18), 1), (MIDNIGHT + timedelta(hours=19), 4))

    drawn = of(MIDNIGHT, slots=(Slot(at, 3, 1),), bands=bands, inside=inside)

    up, down = drawn["bars"]
    assert (up["granted"], down["granted"]) == (True, False)
    assert up["y"] + up["height"] == BASE == down["y"]
    assert up["height"] == 3 * down["height"]
    row = drawn["rows"][18]
    assert (row["name"], row["granted"], row["refused"], row["inside"]) == ("18-19", 3, 1, 4)
    assert row["modes"] == ["Self-service"]
    assert drawn["inside"] == f"692.0,{BASE - ABOVE / 4} 728.0,{TOP}.0"
    assert drawn["now"] == 746.0
    assert [name for _, name in drawn["names"]][:3] == ["00", "02", "04"]


def test_an_empty_day_that_is_not_today() -> None:
    """Nothing is drawn but the scale; no moment is now, and nobody is told to be inside."""
    drawn = of(MIDNIGHT - timedelta(days=1))

    empty = (drawn["bars"], drawn["inside"], drawn["now"], drawn["marks_inside"])
    assert empty == ([], "", None, [])
    assert len(drawn["rows"]) == 24


def test_a_night_and_a_week() -> None:
    """A span goes on over midnight; a long one has a row and a name for each day."""
    night = of(MIDNIGHT - 2 * HOUR, days=2, slots=(Slot(MIDNIGHT, 1, 0),))
    week = of(MIDNIGHT - timedelta(days=6), days=7, step=HOUR, slots=(Slot(MIDNIGHT, 1, 0),))

    assert [row["name"] for row in night["rows"]][:3] == ["22-23", "23-24", "00-01"]
    assert night["rows"][2]["granted"] == 1
    assert [name for _, name in week["names"]][::6] == ["19.11", "25.11"]
    assert [row["granted"] for row in week["rows"]] == [0] * 6 + [1]


def test_the_hour_that_comes_twice_is_drawn_twice() -> None:
    """On the last Sunday of October two hours are called 02; the day still ends at its edge."""
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
    first = midnight + timedelta(hours=2, minutes=15)
    band = ModeBand(midnight, midnight + timedelta(hours=25), Mode.CLOSED)
    slots = (Slot(first, 1, 0), Slot(first + HOUR, 2, 0))

    drawn = of(midnight, slots=slots, bands=(band,))

    assert [(row["name"], row["granted"]) for row in drawn["rows"][2:4]] == [
        ("02-03", 1),
        ("02-03", 2),
    ]
    assert (len(drawn["rows"]), drawn["granted"]) == (25, 3)
    assert (drawn["bands"][0]["x"], drawn["bands"][0]["width"]) == (LEFT, WIDTH)


@given(QUARTERS)
def test_nothing_leaves_the_picture(quarters: list[tuple[int, int, int]]) -> None:
    """Whatever happened, each bar is between the edges, and the table's sums are the day's."""
    slots = tuple(
        Slot(MIDNIGHT + timedelta(minutes=15 * at), granted, refused)
        for at, granted, refused in sorted(quarters)
    )

    drawn = of(MIDNIGHT, slots=slots)

    for bar in drawn["bars"]:
        assert LEFT <= bar["x"] <= bar["x"] + bar["width"] <= LEFT + WIDTH
        assert TOP <= bar["y"] <= bar["y"] + bar["height"] <= BAND_Y
    assert sum(row["granted"] for row in drawn["rows"]) == drawn["granted"]
    assert sum(row["refused"] for row in drawn["rows"]) == drawn["refused"]
