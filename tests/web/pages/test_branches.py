"""What a branch says of itself, and the page on which staff see all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from nats import errors

from doorctl.accounts.roles import Role
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import Source
from doorctl.core.masked import IdentifierKind
from doorctl.extras.fleet.hub import Hub, Reports
from doorctl.extras.fleet.hub_pages import PLACE, hub_pages
from doorctl.extras.fleet.reporting import AGAIN_S, Reporter, status_of
from doorctl.extras.fleet.reports import AT, NightCounts, Status, body_of_part, headers_of_report
from doorctl.lookup.app import App
from doorctl.services.visits import finished_night
from doorctl.store.signing_keys import create_signing_key
from doorctl.sync.signing import SigningKey
from doorctl.web.alarms import StandingAlarms
from doorctl.web.frame import Frame
from doorctl.web.staff.branch_state import branch_now
from tests.fakes.clock import FakeClock
from tests.services.branches import register
from tests.web.conftest import Apps
from tests.web.door_log import WrittenLog, visit
from tests.web.pages.staging import NOW, browser

AT_NIGHT = NOW.replace(hour=2)


class Said:
    """A connection that keeps what is said; loses it while `broken`."""

    def __init__(self) -> None:
        self.stands, self.times, self.broken = True, 1, False
        self.at: list[tuple[str, str]] = []
        self.messages: list[tuple[str, bytes]] = []

    def say(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep a message."""
        if self.broken:
            raise errors.ConnectionClosedError
        self.at.append((headers[AT], subject))
        self.messages.append((subject, body))

    def taken(self) -> list[str]:
        """Return and forget the parts that were said."""
        parts = [subject.rpartition(".")[2] for subject, _ in self.messages]
        self.messages.clear()
        return parts


@pytest.fixture
def said() -> Said:
    """The branch's connection."""
    return Said()


@pytest.fixture
def reporter(app: App, alarms: StandingAlarms, said: Said, tmp_path: Path) -> Reporter:
    """A branch that looks at itself."""
    create_signing_key(tmp_path / "answers.key", tmp_path / "answers.pub")
    return Reporter(app, alarms, tmp_path / "answers.key", cast("Any", said))


def clock_of(app: App) -> FakeClock:
    """Return the clock that a test moves."""
    return cast("FakeClock", app.clock)


def test_a_branch_says_what_is_new_and_all_regularly(
    app: App, reporter: Reporter, said: Said
) -> None:
    """At once by each connection, then when something changes, and again after five minutes."""
    reporter.turn()
    assert said.taken() == ["status", "night"]
    reporter.turn()
    assert said.taken() == []
    register(app, (IdentifierKind.CARD, "3000001234", "1001"), at=NOW)
    reporter.turn()
    assert said.taken() == ["status"]
    clock_of(app).advance(AGAIN_S)
    reporter.turn()
    assert said.taken() == ["status", "night"]
    said.times += 1
    reporter.turn()
    assert said.taken() == ["status", "night"]


def test_each_report_is_later_than_the_last_one(reporter: Reporter, app: App, said: Said) -> None:
    """Though the clock stands or goes back: a hub takes what is newer, and nothing else.

    Bug (the page in a browser): by a clock that nothing had confirmed yet all reports were of the
    same time, and what changed was not seen.
    """
    reporter.turn()
    clock_of(app).wall -= timedelta(hours=1)
    clock_of(app).advance(AGAIN_S)
    reporter.turn()

    times = [at for at, _ in said.at]
    assert len(times) == 4
    assert times == sorted(set(times))


def test_what_was_not_heard_is_said_again(reporter: Reporter, said: Said) -> None:
    """A connection that breaks, or none, costs nothing but time."""
    said.stands = False
    reporter.turn()
    said.stands, said.broken = True, True
    reporter.turn()
    assert said.taken() == []
    said.broken = False
    reporter.turn()
    assert said.taken() == ["status", "night"]


def test_a_report_names_no_person_and_no_silent_alarm(app: App) -> None:
    """No alarm's own words, no name of staff; a silent call for help is in no report."""
    raised = AlarmRecord("reader_lost", Source.DOOR, NOW, NOW, 3, "3000001234 of Ida", None, "ida")
    silent = AlarmRecord("duress", Source.DOOR, NOW, NOW, 1, "")

    status = status_of(app, branch_now(app), [silent, raised])
    text = msgspec.json.encode(status).decode()

    assert status.alarms is not None
    assert [(each.kind, each.count, each.acknowledged) for each in status.alarms] == [
        ("reader_lost", 3, True)
    ]
    assert re.findall("3000|ida|Ida|duress", text) == []


def test_a_finished_night_stays_as_it_was(apps: Apps) -> None:
    """From closing until six; later visits are of the day, and the night under way is none yet."""
    app = apps('hours.tuesday=["18:00-22:00"]', 'hours.monday=["18:00-21:00"]')
    closed = NOW.replace(day=24, hour=22, minute=0)
    log = WrittenLog(app)
    log.write(
        visit(1, at=closed - timedelta(minutes=1)),
        visit(2, "closed", at=closed + timedelta(minutes=35)),
        visit(3, at=closed + timedelta(hours=7)),
        visit(4, at=closed + timedelta(hours=8)),
    )
    log.happen(
        (closed + timedelta(hours=4), "reader", "lost", ""),
        (closed + timedelta(hours=5), "push", "42", ""),
    )

    night = finished_night(app)
    assert night is not None
    assert (night.since, night.until) == (closed, closed + timedelta(hours=8))
    assert (night.granted, night.refused, night.events) == (1, 1, 1)
    assert finished_night(app, night.until) is None
    before = finished_night(replace(app, clock=FakeClock(wall=AT_NIGHT)))
    assert before is not None
    assert before.until == night.until - timedelta(days=1)


KEY = SigningKey(bytes(32))


def page(reports: Reports, role: Role = Role.VIEWER, language: str = "en", why: str = "") -> str:
    """Return the page of these reports."""
    connection = SimpleNamespace(why=why)
    hub = cast("Hub", SimpleNamespace(reports=reports, connection=connection, look=lambda: ""))

    def pages(frame: Frame) -> Any:
        frame.further = (PLACE,)
        return hub_pages(frame, hub)

    answer = browser(pages, role=role, language=language).get("/branches")
    assert answer.status_code == 200
    return answer.text


def heard(**parts: tuple[Status | NightCounts, timedelta]) -> Reports:
    """Return what a hub holds of branches: `oest=(status, age)`."""
    reports = Reports()
    reports.know({name: KEY.verify_key() for name in (*parts, "vest")})
    for name, (part, age) in parts.items():
        body, kind = body_of_part(part), "status" if isinstance(part, Status) else "night"
        headers = headers_of_report(name, kind, NOW - age, body, KEY)
        reports.take(name, kind, headers, body, NOW.astimezone(UTC))
    return reports


def headlines(text: str) -> list[tuple[str, str]]:
    """Return each branch's name and sentence, in their order."""
    found = re.findall(
        r'<h2 id="name-.*?">(.*?)</h2>\s*<p class="branch-state"><img.*?> (.*?)</p>', text
    )
    return [(name, sentence) for name, sentence in found]


@pytest.fixture
def status(app: App) -> Status:
    """What a branch says whose door does not answer."""
    return status_of(app, branch_now(app), [])


def test_the_worst_branch_is_first(status: Status) -> None:
    """Each sentence is the one of the branch's own page; one that says nothing is bad."""
    well = replace_status(status, name="Syd", door="locked", faults=())
    silent = replace_status(well, name="Nord")
    reports = heard(
        oest=(replace_status(status, name="Øst"), timedelta()),
        syd=(well, timedelta()),
        nord=(silent, timedelta(minutes=16)),
    )

    text = page(reports)

    assert headlines(text) == [
        ("Nord", "No word since 25/11/2026 at 19:14."),
        ("vest", "Not heard yet."),
        ("Øst", "The door does not answer: nobody is let in. Call IT."),
        ("Syd", "All is well."),
    ]
    assert "3 of 4 branches need somebody." in text
    assert 'href="/branches" aria-current="page"' in text


def test_a_lost_connection_is_said_in_danish(status: Status) -> None:
    """What is shown is what the branches said before."""
    text = page(heard(oest=(status, timedelta())), language="da", why="no server")

    assert "Siden hører ingen filial lige nu." in text
    assert "no server" in text
    assert "2 af 2 filialer skal have hjælp." in text
    assert "Har ikke meldt sig endnu." in text


def test_a_night_of_a_few_is_not_counted_out() -> None:
    """Under five is said as that; zero and the rounded ones as they are."""
    night = NightCounts(NOW, NOW, 15, None, 0)

    assert "came in 15, refused under 5" in page(heard(oest=(night, timedelta())))


def replace_status(status: Status, **changes: Any) -> Status:
    """Return a status with other values."""
    return msgspec.structs.replace(status, **changes)
