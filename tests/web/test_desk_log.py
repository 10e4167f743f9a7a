"""The door log and its holds: the same of the desks in memory and of those over real files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.access.patron import Patron, Reason
from doorctl.config import Config
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import BootTime, ClockState
from doorctl.ports import LEAF, HourCount, SealedRow, Stamped, Visit
from doorctl.privacy.audit import Action
from doorctl.privacy.hold import HoldAsked
from doorctl.services.app import App, branch_db, patrons_db, visits_db
from doorctl.services.numbers import own_numbers
from doorctl.store.patrons_writer import open_or_create_patrons
from doorctl.store.visits import open_or_create_visits
from doorctl.sync.receive import unguarded
from doorctl.web.desks import DoorLog, HoldDesk, LogFilter
from doorctl.wiring import desks_log
from doorctl.wiring.desks import IncidentDesk
from doorctl.wiring.desks_log import REVEALS_AN_HOUR, DoorLogDesk, head_counts
from tests.bootstrap.branches import initialised, key
from tests.fakes.clock import FakeClock
from tests.fakes.log_desk import NOW, ZONE, FakeHoldDesk, FakeLogDesk, visit
from tests.web.desk_records import recorded

CARD = "3000001234"
BOOT = BootTime("boot-1", 1000)


@dataclass
class Desks:
    """A door log, its holds, and a way to put attempts on record.

    Args:
        write: an attempt: its number, its age in hours, its reason (None for one under way), and
            whether it is of the card that is known.
    """

    log: DoorLog
    holds: HoldDesk
    write: Callable[[int, float, str | None, bool], None]
    now: datetime


def in_memory() -> Desks:
    """Return the fakes."""
    log = FakeLogDesk()

    def write(number: int, age_h: float, reason: str | None, known: bool) -> None:
        at = NOW - timedelta(hours=age_h)
        log.write(
            visit(number, reason, at=at) if known else visit(number, reason, at=at, card="ff")
        )

    return Desks(log, FakeHoldDesk(log), write, NOW)


def on_disk(config: Config, clock: FakeClock) -> Desks:
    """Return the real ones; the door does not run, so each opens the files itself."""
    known = key_of_card(config)
    seal = own_numbers(config).seal()
    with closing(open_or_create_patrons(patrons_db(config), seal)) as patrons:
        rows = [SealedRow(known, Patron("1001"))]
        at = datetime(2026, 1, 1, tzinfo=UTC)
        patrons.apply(rows, full=True, applied_at=at, minimum_age=0, guard=unguarded)

    def write(number: int, age_h: float, reason: str | None, is_known: bool) -> None:
        at = Stamped(clock.wall.astimezone(UTC) - timedelta(hours=age_h), ClockState.TRUSTED, BOOT)
        with closing(open_or_create_visits(visits_db(config))) as visits:
            visits.open_attempt(number, at, known if is_known else bytes(16), None)
            if reason is not None:
                visits.close_attempt(number, Reason(reason))

    log = DoorLogDesk(config, clock, own_numbers(config))
    return Desks(log, IncidentDesk(config), write, clock.wall)


def key_of_card(config: Config) -> bytes:
    """Return the row key of the card that is known."""
    return key(App.of(config), IdentifierKind.CARD, CARD)


@pytest.fixture(params=["fake", "real"])
def desks(request: pytest.FixtureRequest, tmp_path: Path) -> Desks:
    """Either pair."""
    if request.param == "fake":
        return in_memory()
    clock = FakeClock(wall=datetime.now(UTC))
    return on_disk(initialised(tmp_path), clock)


def numbers(visits: Iterable[Visit]) -> list[int]:
    """Return the numbers of some attempts."""
    return [one.attempt for one in visits]


def asked(desks: Desks, **others: object) -> HoldAsked:
    """Return a hold of the last two hours."""
    usual = HoldAsked(
        since=desks.now - timedelta(hours=2),
        to=desks.now,
        case="0700-12345",
        reason="broken glass",
        until=desks.now + timedelta(days=60),
        by="mette",
    )
    return replace(usual, **others)  # type: ignore[arg-type]


def test_attempts_by_the_page_and_as_they_come(desks: Desks) -> None:
    """Newest first, as many as are wanted; what comes is told oldest first, and noticed."""
    empty = desks.log.version()
    assert (desks.log.last(), numbers(desks.log.after(0))) == (0, [])
    for number, reason in enumerate(("ok", "closed", "wrong_pin", None), 1):
        desks.write(number, 1, reason, True)

    first = desks.log.page(LogFilter(), limit=3)
    second = desks.log.page(LogFilter(), before=2, limit=3)

    assert (numbers(first.visits), first.more) == ([4, 3, 2], True)
    assert (numbers(second.visits), second.more) == ([1], False)
    assert numbers(desks.log.after(2)) == [3, 4]
    assert numbers(desks.log.after(0, 2)) == [1, 2]
    assert desks.log.last() == 4
    assert desks.log.version() != empty


def test_filters(desks: Desks) -> None:
    """Outcome, reasons, time and card; all of it has to fit."""
    desks.write(1, 3, "ok", True)
    desks.write(2, 2, "closed", False)
    desks.write(3, 1, None, True)
    keys = desks.log.search(CARD, "mette")

    def found(**chosen: object) -> list[int]:
        return numbers(desks.log.page(replace(LogFilter(), **chosen)).visits)  # type: ignore[arg-type]

    assert found(verdict="granted") == [1]
    assert found(verdict="open") == [3]
    assert found(reasons=frozenset({"closed", "banned"})) == [2]
    assert found(since=desks.now - timedelta(hours=2.5)) == [3, 2]
    assert found(until=desks.now - timedelta(hours=1.5)) == [2, 1]
    assert found(cards=keys) == [3, 1]
    assert found(cards=keys, verdict="refused") == []


@pytest.mark.parametrize("typed", ["x", ""])
def test_a_search_for_what_is_no_number(desks: Desks, typed: str) -> None:
    """Is refused."""
    with pytest.raises(InputError):
        desks.log.search(typed, "mette")


def test_a_reveal(desks: Desks) -> None:
    """Tells the library system's number, for a purpose that names nobody, so often and no more."""
    desks.write(1, 1, "ok", True)
    desks.write(2, 1, "unknown_card", False)

    assert desks.log.reveal(1, "broken glass", "mette") == "1001"
    assert desks.log.reveal(2, "broken glass", "mette") is None
    for purpose in ("", "x", "xxxxx", "CPR 0101701234"):
        with pytest.raises(InputError):
            desks.log.reveal(1, purpose, "mette")
    for _ in range(REVEALS_AN_HOUR - 2):
        desks.log.reveal(1, "again", "mette")
    with pytest.raises(InputError, match="an account may look up"):
        desks.log.reveal(1, "again", "mette")


def test_an_export(desks: Desks) -> None:
    """Oldest first, what fits, for a purpose."""
    desks.write(1, 1, "ok", True)
    desks.write(2, 1, "closed", True)

    assert numbers(desks.log.export(LogFilter(), "a case", "mette")) == [1, 2]
    assert numbers(desks.log.export(LogFilter(verdict="refused"), "a case", "mette")) == [2]
    with pytest.raises(InputError):
        desks.log.export(LogFilter(), " ", "mette")


def test_a_day(desks: Desks) -> None:
    """Attempts that are over, by the quarter of an hour; one under way is neither."""
    desks.write(1, 0, "ok", True)
    desks.write(2, 0, "closed", True)
    desks.write(3, 0, None, True)
    day = desks.now.astimezone(ZONE).date()

    (slot,) = (one for one in desks.log.day(day).slots if one.granted or one.refused)

    assert (slot.granted, slot.refused) == (1, 1)
    assert desks.log.day(day - timedelta(days=1)).slots == ()


def test_holds(desks: Desks) -> None:
    """Added with a number, in force, shown and lifted; what makes no sense is refused."""
    desks.write(1, 3, "ok", True)
    desks.write(2, 1, "closed", True)

    added = desks.holds.add(asked(desks))

    assert [(one.number, one.case, on) for one, on in desks.holds.every()] == [
        (added.number, "0700-12345", True)
    ]
    assert numbers(desks.holds.visits(added.number, "mette")) == [2]
    assert desks.holds.lift(added.number, "mette").number == added.number
    assert desks.holds.every() == ()
    with pytest.raises(InputError):
        desks.holds.lift(added.number, "mette")
    with pytest.raises(InputError):
        desks.holds.add(asked(desks, reason="CPR 0101701234"))
    with pytest.raises(InputError):
        desks.holds.add(asked(desks, to=desks.now + timedelta(hours=1)))


def test_every_look_at_somebody_is_on_record(tmp_path: Path) -> None:
    """With its purpose and by whom; a search tells no number, and one refused tells nothing."""
    config = initialised(tmp_path)
    desks = on_disk(config, FakeClock(wall=datetime.now(UTC)))
    desks.write(1, 1, "ok", True)

    desks.log.search(CARD, "anne")
    desks.log.reveal(1, "glass", "mette")
    desks.log.export(LogFilter(), "a case", "mette")
    with pytest.raises(InputError):
        desks.log.reveal(1, "", "mette")

    assert recorded(config) == [
        (Action.CARD_SEARCHED, "", "anne"),
        (Action.VISIT_REVEALED, "glass", "mette"),
        (Action.VISITS_EXPORTED, "a case", "mette"),
    ]


def test_an_export_that_is_too_large_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of the attempts is never taken for all of them."""
    desks = on_disk(initialised(tmp_path), FakeClock(wall=datetime.now(UTC)))
    monkeypatch.setattr(desks_log, "MOST_EXPORTED", 1)
    desks.write(1, 1, "ok", True)
    assert numbers(desks.log.export(LogFilter(), "a case", "mette")) == [1]
    desks.write(2, 1, "ok", True)

    with pytest.raises(InputError, match="more than 1 attempts"):
        desks.log.export(LogFilter(), "a case", "mette")


def test_what_is_too_old_is_not_shown(tmp_path: Path) -> None:
    """Though no purge has taken it yet."""
    desks = on_disk(initialised(tmp_path), FakeClock(wall=datetime.now(UTC)))
    desks.write(1, 31 * 24, "ok", True)
    desks.write(2, 1, "ok", True)

    assert numbers(desks.log.page(LogFilter()).visits) == [2]
    assert desks.log.reveal(1, "a theft", "mette") is None


def test_the_head_count_by_the_hour(tmp_path: Path) -> None:
    """From midnight on, what came in less what went out, never below none, and not of tomorrow."""
    wall = datetime(2026, 11, 25, 19, 30, tzinfo=ZONE)
    config = initialised(tmp_path)
    desks = on_disk(config, FakeClock(wall=wall))
    midnight = datetime(2026, 11, 25, tzinfo=ZONE)

    def count(hour: int, outcome: str, number: int) -> HourCount:
        at = (midnight + timedelta(hours=hour)).astimezone(UTC)
        return HourCount(at, "self_service", LEAF, outcome, number)

    with closing(open_or_create_visits(visits_db(config))) as visits:
        visits.add_counts(
            (
                count(8, "entered", 5),
                count(9, "left", 2),
                count(10, "left", 9),
                count(12, "passage", 40),
                count(19, "entered", 1),
            )
        )

    inside = dict(desks.log.day(midnight.date()).inside)

    told = {f"{at:%H:%M}": number for at, number in inside.items()}
    assert (told["00:00"], told["09:00"], told["10:00"], told["11:00"]) == (0, 5, 3, 0)
    assert (told["19:00"], told["19:30"], max(told)) == (0, 1, "19:30")
    assert desks.log.day(midnight.date() - timedelta(days=1)).inside == ()


def test_a_house_that_counts_nobody_tells_of_no_head_count() -> None:
    """Openings of which nobody knows the direction are no count."""
    at = datetime(2026, 11, 25, 8, tzinfo=UTC)
    passage = HourCount(at, "staffed", LEAF, "passage", 9)

    assert head_counts([passage], at, at + timedelta(hours=5)) == ()


@pytest.mark.parametrize(
    "look",
    [
        lambda log: log.reveal(1, "a case of vandalism", "grethe"),
        lambda log: log.search(CARD, "grethe"),
        lambda log: log.export(LogFilter(), "a case of vandalism", "grethe"),
    ],
)
def test_nobody_is_shown_what_can_not_be_put_on_record(
    tmp_path: Path, look: Callable[[DoorLogDesk], object]
) -> None:
    """Where the audit log can't be written, nothing is told of anybody."""
    config, clock = initialised(tmp_path), FakeClock(wall=datetime.now(UTC))
    desks = on_disk(config, clock)
    desks.write(1, 1.0, "ok", True)
    assert isinstance(desks.log, DoorLogDesk)
    assert desks.log.reveal(1, "a case of vandalism", "grethe") == "1001"
    for left in tmp_path.glob("branch.db*"):
        left.unlink()
    branch_db(config).write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError):
        look(desks.log)
