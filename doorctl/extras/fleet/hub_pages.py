"""The page of many branches: each as it says it is, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from doorctl.accounts.roles import Permission
from doorctl.core.alarms import kind_of
from doorctl.extras.fleet.hub import BranchHeard, Doubt, Hub
from doorctl.web.addresses import Place
from doorctl.web.staff.branch_state import (
    CLOCKS,
    LEAVES,
    Course,
    Headline,
    Summary,
    headline,
    mode_line,
)

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from doorctl.extras.fleet.reports import NightCounts, Status
    from doorctl.web.frame import Frame, PageRequest
    from doorctl.web.words import Words

PAGE: Final = "/branches"

PLACE: Final = Place(PAGE, "Branches", Permission.SEE_NOW)

ORDER: Final = ("bad", "locked", "noted", "good")
"""States, the worst first."""

DOUBTS: Final = {
    Doubt.SIGNATURE: "What came last in its name was not signed by its key.",
    Doubt.CLOCK: "Its clock is ahead of this one: what it says now is not believed.",
    Doubt.KEY: "Its public key can't be read here.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A branch as the page shows it; `status` is what it said last, which may be long ago."""

    branch: str
    name: str
    headline: Headline
    is_silent: bool
    mode_line: str
    doubt: str
    alarms: Sequence[tuple[str, str, bool]]
    facts: Sequence[tuple[str, str, bool]]
    night: NightCounts | None
    at: datetime | None


def hub_pages(frame: Frame, hub: Hub) -> tuple[BaseRoute, ...]:
    """Return the route of the page."""

    async def shown(request: PageRequest) -> Response:
        why = await request.in_thread(hub.look) or hub.connection.why
        context = shown_branches(request.words, hub.reports.branches(), request.now)
        return request.page("hub.html", why=why, **context)

    return (frame.guarded(PAGE, shown, Permission.SEE_NOW),)


def shown_branches(words: Words, heard: Sequence[BranchHeard], now: datetime) -> dict[str, Any]:
    """Return what the page says of the branches; `now` is aware."""
    rows = sorted((_row(words, each, now) for each in heard), key=_place)
    worst = rows[0].headline.state if rows else ""
    wrong = sum(row.headline.state in {"bad", "locked"} for row in rows)
    return {"rows": rows, "state": worst, "first": _first(words, len(rows), wrong), "now": now}


def _place(row: Row) -> tuple[int, str]:
    return ORDER.index(row.headline.state), row.name.casefold()


def _first(words: Words, branches: int, wrong: int) -> str:
    if not branches:
        return words.say("No branch is known here.")
    if wrong:
        return words.count(
            "{n} of {all} branches needs somebody.",
            "{n} of {all} branches need somebody.",
            wrong,
            all=words.number(branches),
        )
    return words.count("{n} branch, and it is well.", "{n} branches, and all are well.", branches)


def _row(words: Words, heard: BranchHeard, now: datetime) -> Row:
    status, is_silent = heard.status, heard.silent(now)
    return Row(
        branch=heard.branch,
        name=status.name if status else heard.branch,
        headline=_headline(words, heard, is_silent=is_silent),
        is_silent=is_silent,
        mode_line=mode_line(words, _course(words, status), now.date()) if status else "",
        doubt=words.say(DOUBTS[heard.doubt]) if heard.doubt else "",
        alarms=_alarms(words, status) if status else (),
        facts=_facts(words, status, now) if status else (),
        night=heard.night,
        at=heard.at,
    )


def _headline(words: Words, heard: BranchHeard, *, is_silent: bool) -> Headline:
    status = heard.status
    if heard.at is None or status is None:
        return Headline(words.say("Not heard yet."), "bad")
    if is_silent:
        return Headline(words.say("No word since {time}.", time=words.moment(heard.at)), "bad")
    return headline(words, _summary(status))


def _summary(status: Status) -> Summary:
    alarms = status.alarms
    return Summary(
        door_answers=status.door is not None,
        lockdown=status.lockdown,
        alarms=None
        if alarms is None
        else tuple(alarm.kind for alarm in alarms if not alarm.acknowledged),
        acknowledged=sum(alarm.acknowledged for alarm in alarms or ()),
        faults=status.faults,
    )


def _course(words: Words, status: Status) -> Course:
    until = None if status.until is None else words.local(status.until)
    return Course(status.mode, status.by_card, until, status.then, status.until_lifted)


def _alarms(words: Words, status: Status) -> Sequence[tuple[str, str, bool]]:
    """Return each alarm's sentence, what to do, and whether staff there have acknowledged it."""
    kinds = ((kind_of(alarm.kind), alarm.acknowledged) for alarm in status.alarms or ())
    return [(words.alarm(known.means), words.alarm(known.act), seen) for known, seen in kinds]


def _facts(words: Words, status: Status, now: datetime) -> Sequence[tuple[str, str, bool]]:
    """Return the name, the value and whether it is bad."""
    say, wrong = words.say, status.faults
    age = None if status.register_at is None else now - status.register_at
    found = [(say("Patron register"), _age(words, age), "Patron register" in wrong)]
    if status.door is not None:
        found.append((say("The door"), say(LEAVES.get(status.door, status.door)), "Door" in wrong))
    if status.clock is not None:
        clock = say(CLOCKS.get(status.clock, status.clock))
        found.append((say("Clock"), clock, "Clock" in wrong))
    return [*found, (say("Version"), status.version, "Version" in wrong)]


def _age(words: Words, age: timedelta | None) -> str:
    if age is None:
        return words.say("not known")
    minutes = max(0, int(age / timedelta(minutes=1)))
    return words.say("{hours} h {minutes} min old", hours=minutes // 60, minutes=minutes % 60)
