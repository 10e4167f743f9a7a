"""Each fault is found under its own name, and no other is accused of it; and when a test is due."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.attempt import Attempt, Step, after
from doorctl.access.calendar import Calendar, DatedDay, Mode, ModeSpan
from doorctl.access.day import opens_next
from doorctl.access.messages import Event, Now, PadRules, Rules
from doorctl.access.patron import Patron, SealedRow, row_key
from doorctl.access.policy import Policy
from doorctl.cards.numbers import birth_date
from doorctl.cards.reader import CardReader
from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey, StretchedKey
from doorctl.core.readings import Reading
from doorctl.door.strike import Strike, StrikeEvent, StrikeState, TimePassed
from doorctl.doord.self_test import (
    AT_LEAST_EVERY,
    BEFORE_OPENING,
    CARD,
    CHECKS,
    MIN_FREE_BYTES,
    NUMBER,
    PURGE_LATE_S,
    House,
    all_well,
    as_answer,
    due,
    run,
    self_test,
)
from doorctl.lookup.app import App
from doorctl.ops.machine import DataDisk
from doorctl.rpc.status import Finding, SelfTest
from doorctl.store.keys import create_key
from doorctl.store.sealer import ArgonSealer
from tests.doord.fake_door import OTHER_CARD, key_of, resident
from tests.fakes.cards import replace_rows
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_store import MemoryPatrons, MemoryVisits
from tests.services.branches import initialised, register


@dataclass
class FakeDisk(DataDisk):
    """A disk of one number.

    `free`: what it says is free, in bytes; `gone`: while True nothing can be asked or written;
    `read_only`: while True nothing can be written.
    """

    free: int = 10_000_000_000
    gone: bool = False
    read_only: bool = False

    def free_bytes(self) -> int:
        """Return `free`."""
        if self.gone:
            raise StoreError("the fake disk is gone")
        return self.free

    def prove_writable(self) -> None:
        """Do nothing, or fail as told."""
        if self.gone or self.read_only:
            raise StoreError("the fake disk can't be written")


OPEN_ALL_WEEK = Calendar(((ModeSpan(Mode.SELF_SERVICE, 7 * 60, 22 * 60),),) * 7)
SEALER = ArgonSealer(InstallationKey(bytes(range(32))), memory_kib=8, iterations=1)
POLICY = Policy(minimum_age=14, max_cache_age_h=72.0)


ROWS = (SealedRow(key_of(OTHER_CARD), resident(OTHER_CARD)),)
PUSH = ROWS, START - timedelta(hours=5), 14
"""The rows of a push, when it came, and the age limit that they are for."""


def pushed(*, hours_ago: float) -> tuple[Sequence[SealedRow], datetime, int]:
    """Return the same push at another time."""
    return ROWS, START - timedelta(hours=hours_ago), 14


class Parts:
    """A house in which all is well but for what is `given`, some of it as fields of `House`."""

    def __init__(
        self,
        *,
        policy: Policy = POLICY,
        clock: FakeClock | None = None,
        hours: Calendar | StoreError | None = OPEN_ALL_WEEK,
        push: tuple[Sequence[SealedRow], datetime | None, int] | None = PUSH,
        **given: Any,
    ) -> None:
        clock, pad = clock or FakeClock(), given.pop("pad", PadRules())
        self.patrons, self.visits = MemoryPatrons(), MemoryVisits()
        if push is not None:
            replace_rows(self.patrons, *push)

        def calendar() -> Calendar | None:
            if isinstance(hours, StoreError):
                raise hours
            return hours

        well: dict[str, Any] = {
            "release_s": 5.0,
            "sealer": SEALER,
            "disk": FakeDisk(),
            "lines": {"reader": True, "keypad": True},
            "purged_s": 1000.0,
        }
        self.house = House(
            rules=Rules(policy, pad, ask_s=2.5),
            moment=clock.moment(),
            now_s=clock.monotonic_s(),
            boot=clock.boot_time(),
            patrons=self.patrons,
            calendar=calendar,
            visits=self.visits,
            **{**well, **given},
        )

    def run(self) -> dict[str, Finding]:
        """Test it, and return what was found by name."""
        return {finding.check: finding for finding in run(self.house)}

    def failing(self) -> list[str]:
        """Test it, and return the names of what fails."""
        return [name for name, finding in self.run().items() if not finding.ok]


def with_policy(**changes: Any) -> Policy:
    """Return the policy with other rules."""
    return replace(POLICY, **changes)


ALL = {check.name for check in CHECKS}


class DeafReader(CardReader):
    """A parser that has lost the health card."""

    def next_reading(self, *, awaiting_pin: bool) -> Reading | None:  # noqa: ARG002 - the parent's
        """Return nothing."""
        return None


class FickleSealer:
    """A sealer that never says the same twice."""

    def __init__(self) -> None:
        self._times = 0

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return another key each time."""
        self._times += 1
        return StretchedKey(SEALER.stretch(identifier).reveal()[:-1] + bytes([self._times]))


def lax(**changes: object) -> Callable[[Attempt, Event, Now, Rules], Step]:
    """Return an attempt that goes by another policy."""

    def attempt(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
        policy = replace(rules.policy, **changes)  # type: ignore[arg-type]  # of each field its own
        return after(attempt, event, now, replace(rules, policy=policy))

    return attempt


def sticky(strike: Strike, event: StrikeEvent) -> Strike:
    """Be locked by no time."""
    return strike if isinstance(event, TimePassed) else strike.after(event)


def late(strike: Strike, event: StrikeEvent) -> Strike:
    """Release for an hour."""
    turned = strike.after(event)
    return turned if isinstance(event, TimePassed) else replace(turned, until_s=3600.0)


def broken_patrons() -> Parts:
    """Return a house whose cache fails after its push."""
    parts = Parts()
    parts.patrons.broken = True
    return parts


def broken_visits() -> Parts:
    """Return a house whose door log can't be written."""
    parts = Parts()
    parts.visits.broken = True
    return parts


def known_until(day: date) -> Calendar:
    """Return hours that end with a day."""
    return replace(OPEN_ALL_WEEK, known_until=day)


EVENINGS = Calendar(((ModeSpan(Mode.SELF_SERVICE, 19 * 60 + 30, 22 * 60),),) * 7)

TODAY = FakeClock().moment().local.date()

FAULTS: dict[str, tuple[str, Callable[[], Parts]]] = {
    "the parser reads no health card": (
        "card",
        lambda: Parts(reader=lambda: DeafReader(carries_keys=False)),
    ),
    "the sealer is fickle": ("seal", lambda: Parts(sealer=FickleSealer())),
    "there is no time to type": ("right_pin", lambda: Parts(pad=PadRules(digit_timeout_s=0.0))),
    "the attempt never ends": (
        "right_pin",
        lambda: Parts(attempt=lambda attempt, *_: (attempt, ())),
    ),
    "the attempt never asks for the PIN": (
        "wrong_pin",
        lambda: Parts(attempt=lax(require_pin=False)),
    ),
    "the attempt sees no blocks": (
        "blocked",
        lambda: Parts(attempt=lax(deny_blocks=frozenset(), deny_other_blocks=False)),
    ),
    "the strike stays released": ("strike", lambda: Parts(strike=sticky)),
    "the strike is not released": ("strike", lambda: Parts(strike=lambda strike, _event: strike)),
    "the strike is released too long": ("strike", lambda: Parts(strike=late)),
    "the strike is freed": ("strike", lambda: Parts(strike=lambda *_: Strike(StrikeState.FREE))),
    "no door process": ("door", lambda: Parts(lines=None)),
    "the reader is lost": ("reader", lambda: Parts(lines={"reader": False, "keypad": True})),
    "the keypad is lost": ("keypad", lambda: Parts(lines={"reader": True, "keypad": False})),
    "the cache can't be read": ("register", broken_patrons),
    "no push ever came": ("register_filled", lambda: Parts(push=None)),
    "an empty push came": ("register_filled", lambda: Parts(push=((), START, 14))),
    "the push is 4 days old": ("register_age", lambda: Parts(push=pushed(hours_ago=96))),
    "the push will be too old when patrons come": (
        "register_age",
        lambda: Parts(push=pushed(hours_ago=71.5)),
    ),
    "the push will be too old before the evening": (
        "register_age",
        lambda: Parts(push=pushed(hours_ago=70)),
    ),
    "the push will be too old in a house that never closes": (
        "register_age",
        lambda: Parts(push=pushed(hours_ago=49), hours=Calendar()),
    ),
    "nobody knows how old the push is": ("register_age", lambda: Parts(push=(ROWS, None, 14))),
    "the push is from the future": ("register_age", lambda: Parts(push=pushed(hours_ago=-9 * 24))),
    "rows were made for no age limit": ("register_limit", lambda: Parts(push=(ROWS, START, 0))),
    "rows were made for a higher limit": ("register_limit", lambda: Parts(push=(ROWS, START, 18))),
    "the register holds the self-test's card": (
        "register_stranger",
        lambda: Parts(push=((SealedRow(row_key(SEALER.stretch(CARD)), Patron("1")),), START, 14)),
    ),
    "nobody vouches for the clock": ("clock", lambda: Parts(clock=FakeClock(vouched=False))),
    "the calendar is missing": ("hours", lambda: Parts(hours=None)),
    "the calendar can't be read": ("hours", lambda: Parts(hours=StoreError("branch.db is lost"))),
    "the calendar ends yesterday": (
        "hours",
        lambda: Parts(hours=known_until(TODAY - timedelta(days=1))),
    ),
    "the calendar ends today": ("hours", lambda: Parts(hours=known_until(TODAY))),
    "the door log can't be written": ("visit_log", broken_visits),
    "the disk is nearly full": ("disk", lambda: Parts(disk=FakeDisk(free=MIN_FREE_BYTES - 1))),
    "the disk is read-only": ("disk_writable", lambda: Parts(disk=FakeDisk(read_only=True))),
    "the kernel keeps the relay on": ("relay", lambda: Parts(relay_risks=("Kept.",))),
    "no purge for half a day": ("purge", lambda: Parts(purged_s=999.0 - PURGE_LATE_S)),
}
"""A fault -> the check that finds it, and a house that has it."""


def test_in_a_house_that_is_well_every_check_passes() -> None:
    """Each of the table is asked, and none has anything to do."""
    found = Parts().run()

    assert set(found) == ALL
    assert [one for one in found.values() if not one.ok or one.do] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_under_its_own_name_only(fault: str) -> None:
    """Who is called out looks at the right thing first, and is told what to do."""
    check, build = FAULTS[fault]
    parts = build()
    found = parts.run()

    assert [name for name, one in found.items() if not one.ok] == [check]
    assert found[check].what.endswith(".")
    assert found[check].do.endswith((".", "Full."))


@pytest.mark.parametrize(
    ("limit_h", "age_h", "hours"),
    [
        pytest.param(72, 47, Calendar(), id="it lasts until the next test"),
        pytest.param(72, 68, EVENINGS, id="the hours end before"),
        pytest.param(72, 70, Calendar(((),) * 7), id="nobody comes in these 24 hours"),
        pytest.param(72, 70, None, id="nobody knows the hours"),
        pytest.param(6, 1, Calendar(), id="a young one, of which the next is due anyway"),
    ],
)
def test_a_register_that_lasts_is_no_fault(
    limit_h: int, age_h: int, hours: Calendar | None
) -> None:
    """Until self-service ends within 24 hours, as far as that is known, and an hour in any case.

    Bug (mission review): the self-test looked an hour ahead: a register of 70 hours passed in
    the morning, and let nobody in from that noon.
    """
    policy = with_policy(max_cache_age_h=limit_h)
    found = Parts(policy=policy, push=pushed(hours_ago=age_h), hours=hours).run()

    assert found["register_age"].ok


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (
            "the push will be too old before the evening",
            "register_age",
            "It is 70 h old; the limit is 72 h, reached on 2026-03-02 at 21:00.",
        ),
        ("the calendar can't be read", "hours", "branch.db is lost."),
        ("the cache can't be read", "register", "patrons.db in memory was told to fail."),
    ],
)
def test_a_finding_says_which_file_or_how_long(fault: str, check: str, said: str) -> None:
    """Staff see how long they have, and which file to look at, in the store's own words."""
    assert FAULTS[fault][1]().run()[check].what == said


def test_a_disk_that_is_gone_fails_both_of_its_checks() -> None:
    """It has neither room nor can it be written."""
    assert Parts(disk=FakeDisk(gone=True)).failing() == ["disk", "disk_writable"]


def test_every_check_has_a_fault_that_is_planted() -> None:
    """A new check can't come without a fault that it finds."""
    assert {check for check, _ in FAULTS.values()} == ALL


@pytest.mark.parametrize(
    ("left_out", "parts"),
    [
        ({"keypad"}, Parts(lines={"reader": True})),
        ({"wrong_pin"}, Parts(policy=with_policy(require_pin=False))),
        ({"blocked"}, Parts(policy=with_policy(deny_blocks=frozenset(), deny_other_blocks=False))),
        ({"register_age"}, Parts(policy=with_policy(max_cache_age_h=None))),
        ({"visit_log", "hours", "register_age"}, Parts(clock=FakeClock(vouched=False))),
        ({"purge"}, Parts(purged_s=None)),
        ({"right_pin", "wrong_pin", "blocked"}, Parts(hours=Calendar(((),) * 7))),
        ({"reader", "keypad"}, Parts(lines=None)),
    ],
    ids=lambda value: ",".join(sorted(value)) if isinstance(value, set) else "",
)
def test_what_does_not_concern_this_door_is_left_out(left_out: set[str], parts: Parts) -> None:
    """No finding says that all is well with what was never asked."""
    assert ALL - set(parts.run()) == left_out


@pytest.mark.parametrize("length", [4, 6, 12])
@pytest.mark.parametrize("blocks", [frozenset("U"), frozenset()])
def test_it_works_by_every_branchs_rules(length: int, blocks: frozenset[str]) -> None:
    """Longer PINs, and blocks that are only known as "other reason"."""
    parts = Parts(policy=with_policy(deny_blocks=blocks), pad=PadRules(pin_length=length))

    assert parts.failing() == []


DAY = (ModeSpan(Mode.STAFFED, 600, 960), ModeSpan(Mode.SELF_SERVICE, 960, 1320))


@pytest.mark.parametrize(
    ("hours", "at"),
    [
        (Calendar(), "2026-03-02 19:00"),
        (Calendar((DAY,) * 7, {TODAY + timedelta(days=1): DatedDay(())}), "2026-03-04 16:00"),
    ],
    ids=["never closed", "staffed first"],
)
def test_the_visit_is_at_the_next_start_of_self_service(hours: Calendar, at: str) -> None:
    """Not in the staffed hours before; now where the branch never closes."""
    found = Parts(hours=hours).run()

    assert found["right_pin"].what == f"An entitled patron gets in on {at}."
    assert all(one.ok for one in found.values())


@pytest.mark.parametrize("release_s", [0.5, 5.0, 30.0])
def test_the_strikes_time_is_the_branchs(release_s: float) -> None:
    """Whatever `door.release_s` says."""
    found = Parts(release_s=release_s).run()["strike"]

    assert found.ok
    assert f"{release_s:g} s" in found.what


def test_the_library_system_is_never_asked() -> None:
    """A wrong PIN of somebody who doesn't exist is nothing to tell it."""
    asked: set[float | None] = set()

    def noting(attempt: Attempt, event: Event, now: Now, rules: Rules) -> Step:
        asked.add(rules.ask_s)
        return after(attempt, event, now, rules)

    Parts(attempt=noting).run()

    assert asked == {None}


@pytest.mark.parametrize("vouched", [True, False])
def test_nothing_is_stored_and_nobody_is_on_record(*, vouched: bool) -> None:
    """Neither the patron nor an attempt; the door log keeps the time, unless nobody vouches for it.

    An unset clock would hide every visit until that time comes.
    """
    parts = Parts(clock=FakeClock(vouched=vouched))
    parts.run()

    assert list(parts.visits.visits(START - timedelta(days=365))) == []
    assert parts.visits.last_attempt() == 0
    assert parts.visits.high_water() == (START if vouched else None)
    assert parts.patrons.find(row_key(SEALER.stretch(CARD))) is None


def test_the_synthetic_patron_is_not_born_yet() -> None:
    """No register of today holds somebody with a birthday in 2057, nor a replacement number."""
    born = birth_date(NUMBER)

    assert born == date(2057, 12, 31)
    assert int(NUMBER[:2]) <= 31


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_no_finding_identifies_anybody(fault: str) -> None:
    """Neither the patron's number nor a PIN, a row key or a real patron's reference."""
    parts = FAULTS[fault][1]() if fault else Parts()
    said = repr(run(parts.house))

    key = row_key(SEALER.stretch(CARD)).hex()
    for secret in (NUMBER, "4711", "5822", key[:8], "0101701234", "3000001234"):
        assert secret not in said


def test_an_answer_on_the_control_socket_comes_back_as_it_was() -> None:
    """Through JSON, findings and all."""
    found = run(Parts(lines=None).house)
    answer = msgspec.json.decode(msgspec.json.encode(as_answer(found)), type=SelfTest)

    assert answer.findings == found
    assert answer.ok is all_well(found) is False
    assert all_well(run(Parts().house))


def test_the_table_is_in_order_and_names_each_once() -> None:
    """The patron's way first: who reads from the top reads what patrons meet."""
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    assert names[:6] == ["card", "seal", "right_pin", "wrong_pin", "blocked", "strike"]
    assert POLICY.require_pin


COPENHAGEN = ZoneInfo("Europe/Copenhagen")
MINUTE = timedelta(minutes=1)


def lived(calendar: Calendar, start: datetime, days: float) -> list[datetime]:
    """Live through some days, asking each 10 real minutes; return when tests ran."""
    last: datetime | None = start - timedelta(hours=1)
    found = []
    for step in range(round(days * 144)):
        now = (start.astimezone(ZoneInfo("UTC")) + step * 10 * MINUTE).astimezone(COPENHAGEN)
        if due(last, opens_next(calendar, None, now), now):
            found.append(now)
            last = now
    return found


def week(begins: int, ends: int) -> Calendar:
    """Return hours that are the same each day, in minutes."""
    return Calendar(((ModeSpan(Mode.SELF_SERVICE, begins, ends),),) * 7)


@pytest.mark.parametrize(
    ("calendar", "start", "days", "expected"),
    [
        (week(420, 1320), (27, 0), 4, ["27 06:00", "28 06:00", "29 06:00", "30 06:00"]),
        (week(210, 1320), (29, 0), 0.5, ["29 01:30"]),
        (week(30, 600), (2, 12), 2, ["02 23:30", "03 23:30"]),
        (Calendar(), (2, 12), 3, ["03 11:00", "04 11:00", "05 11:00"]),
    ],
    ids=["clocks go forward", "in that very hour", "opens after midnight", "never closes"],
)
def test_one_run_a_real_hour_before_each_opening(
    calendar: Calendar, start: tuple[int, int], days: float, expected: list[str]
) -> None:
    """Not again and again; a day after the last one where the branch never closes."""
    found = lived(calendar, datetime(2026, 3, *start, 0, tzinfo=COPENHAGEN), days)

    assert [f"{at:%d %H:%M}" for at in found] == expected


def test_while_nobody_knows_the_next_opening_none_is_due() -> None:
    """A branch that is closed for the summer wakes nobody; the missing calendar has its alarm."""
    now = datetime(2026, 7, 1, 12, 0, tzinfo=COPENHAGEN)

    assert not due(None, None, now)
    assert not due(now - timedelta(days=30), None, now)


def test_the_first_one_comes_with_the_start_if_patrons_come_soon() -> None:
    """A door that was started while it is open is tested; one that opens tomorrow waits."""
    now = datetime(2026, 3, 2, 12, 0, tzinfo=COPENHAGEN)

    assert due(None, now, now)
    assert due(None, now + BEFORE_OPENING, now)
    assert not due(None, now + BEFORE_OPENING + MINUTE, now)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(COPENHAGEN)),  # noqa: DTZ001 - the zone is hypothesis's to add
    st.timedeltas(timedelta(0), timedelta(days=14)),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_none_is_due_twice(now: datetime, ahead: timedelta, later: timedelta) -> None:
    """Right after a run, and until the same opening, no other is due."""
    utc = ZoneInfo("UTC")
    opens = (now.astimezone(utc) + ahead).astimezone(COPENHAGEN)
    at = (now.astimezone(utc) + later).astimezone(COPENHAGEN)
    if not due(None, opens, now):
        return

    assert not due(now, opens, now)
    if later < AT_LEAST_EVERY:
        assert not due(now, max(opens, at), at) or opens < at


COMMAND = (sys.executable, "-c", "from doorctl.cli.diagnosis import selftest; selftest()")


def fill(config: Config) -> None:
    """Have the register know one patron since now."""
    card = (IdentifierKind.CARD, "3000001234", "1001")
    register(App.of(config), card, at=datetime.now(UTC))


def on_a_terminal(config: Config, **environment: str) -> str:
    """Run the command with a terminal as its output; return what that shows."""
    options = [word for override in config.origin.overrides for word in ("--set", override)]
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--config", str(config.origin.path), *options],
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONCOERCECLOCALE": "0", **environment},
    ) as process:
        os.close(slave)
        shown = b"".join(iter(lambda: _read(master), b""))
        process.communicate()
    os.close(master)
    return shown.decode("utf-8", "replace")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""  # The other end is closed.


def test_without_the_door_the_rest_is_tested(tmp_path: Path) -> None:
    """On real files: only the door itself fails, and what it alone knows is left out."""
    fill(config := initialised(tmp_path))
    found = {one.check: one for one in self_test(config)}

    assert [name for name, one in found.items() if not one.ok] == ["door"]
    assert ALL - set(found) == {"reader", "keypad", "purge"}
    assert found["visit_log"].what == "The door log can be read."


def fresh(_config: Config) -> None:
    """Do nothing: no push ever came."""


def damaged(config: Config) -> None:
    """Spoil the cache."""
    fill(config)
    config.storage.patrons_db.write_bytes(b"this is no database." * 500)


def other_key(config: Config) -> None:
    """Change the installation key under the rows."""
    fill(config)
    config.secrets.installation_key_file.unlink()
    create_key(config.secrets.installation_key_file)


@pytest.mark.parametrize(
    ("spoil", "check"), [(fresh, "register_filled"), (damaged, "register"), (other_key, "register")]
)
def test_a_real_cache_that_is_spoiled_is_found(
    spoil: Callable[[Config], None], check: str, tmp_path: Path
) -> None:
    """On real files, under its own name."""
    spoil(config := initialised(tmp_path))

    assert [one.check for one in self_test(config) if not one.ok] == ["door", check]


def test_a_terminal_shows_marks_where_it_can(tmp_path: Path) -> None:
    """A tick or a cross in UTF-8; in ASCII, the words that a pipe gets too."""
    fill(config := initialised(tmp_path))
    modern = on_a_terminal(config, PYTHONUTF8="1")
    ancient = on_a_terminal(config, PYTHONUTF8="0", LC_ALL="C", PYTHONIOENCODING="ascii")

    assert "✓" in modern
    assert "✗" in modern
    assert "fails door" not in modern
    assert "ok    card" in ancient
    assert "fails door" in ancient
