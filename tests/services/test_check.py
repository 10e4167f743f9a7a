"""What `doorctl check` makes of the door's answer."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from doorctl.__main__ import check_quickly
from doorctl.config import Config, load
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import KINDS, Lasts, Source
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.doord.answers import check_answers
from doorctl.lookup.health import CHECK_SOCKET, CONFIRM, Health, nobody_enters, plugin_line, shown
from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.rpc.server import ControlServer
from doorctl.services.check import check, refuse_unready
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import LIMIT_S
from tests.rpc.serving import plain

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WELL = {"deciding": True, "alarms": [], "epoch": 7, "cache_age_s": 3600}
STANDS = {"kind": "disk_low", "since": "2026-11-25T21:00:00+01:00"}
LOST = {"kind": "reader_lost", "since": "2026-11-25T21:00:00+01:00"}


@contextmanager
def a_door(directory: Path, answer: Mapping[str, Any]) -> Iterator[Config]:
    """Answer as a door of that state; the branch's databases are not there."""
    config = load(Path("config/doorctl.toml"), environment={})
    config = replace(
        config,
        control=replace(config.control, socket=directory / "door.sock"),
        storage=replace(config.storage, directory=directory, door_directory=directory),
    )
    answers = check_answers(lambda: answer, lambda: config, FakeClock(wall=NOW))
    server = ControlServer(directory / CHECK_SOCKET, answers, public=True)
    server.start()
    try:
        yield config
    finally:
        server.stop()


def checked(directory: Path, **changed: Any) -> tuple[Health, str]:
    """Return what is said of a door that is well but for this."""
    with a_door(directory, {**WELL, **changed}) as config:
        return check(config)


@pytest.mark.parametrize(
    ("changed", "health", "said"),
    [
        ({}, Health.OK, "the door decides"),
        ({"alarms": [LOST]}, Health.CRITICAL, "reader_lost: The card reader is gone"),
        ({"alarms": [STANDS]}, Health.WARNING, "disk_low: The disk is nearly full."),
        ({"alarms": [STANDS, LOST]}, Health.CRITICAL, " - reader_lost: "),
        ({"alarms": [{**LOST, "kind": "door_silent"}]}, Health.WARNING, "door_silent"),
        ({"alarms": [{**LOST, "kind": "newer"}]}, Health.WARNING, "newer: "),
        ({"cache_age_s": 25 * 3600}, Health.WARNING, "The patron register is 25 h old."),
        ({"cache_age_s": 60 * 3600}, Health.WARNING, "The patron register is 60 h old."),
        ({"cache_age_s": 72 * 3600}, Health.WARNING, "The patron register is 72 h old."),
        ({"cache_age_s": 72 * 3600 + 1}, Health.CRITICAL, "register_too_old: "),
        ({"cache_age_s": 80 * 3600}, Health.CRITICAL, "so no patron is let in."),
        ({"epoch": 0, "cache_age_s": None}, Health.CRITICAL, "so no patron is let in."),
        ({"web_age_s": 119}, Health.OK, "web_age_s=119;120"),
        ({"web_age_s": 120}, Health.WARNING, "web_silent: The web process does not answer"),
        ({"web_age_s": None}, Health.OK, "the door decides"),
        ({"waits_for_witness": True}, Health.WARNING, "so on the overview: then the door stands"),
        ({"waits_for_witness": False}, Health.OK, "the door decides"),
        ({"backup_age_s": 90 * 60}, Health.OK, "backup_age_h=1.5;48"),
        ({"good_until": {"certificate": {"days": 40}}}, Health.OK, "certificate_days=40"),
        ({"cache_age_s": None}, Health.OK, "the door decides"),
        ({"deciding": False}, Health.CRITICAL, "has stopped deciding"),
    ],
)
def test_each_answer_has_its_exit_code(
    tmp_path: Path, changed: dict[str, Any], health: Health, said: str
) -> None:
    """What stands is said; an age that nobody knows, by a clock that is not set, is none.

    Bug (operated from outside): with the reader gone, and with a register past its limit, the code
    was that of a warning; web that was down was not named.
    """
    found, line = checked(tmp_path, **changed)

    assert found is health
    assert line.startswith(f"DOORCTL {health.name} - ")
    assert said in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_any_user_may_ask_how_the_door_is_and_nothing_else() -> None:
    """A monitoring user needs no group, by which it could open the door or read the databases."""
    with TemporaryDirectory() as name, a_door(directory := Path(name), WELL) as config:
        # Nobody else can look into the directories that pytest makes for each of its processes.
        directory.chmod(0o711)
        os.seteuid(65534)
        try:
            health, _ = check(config)
            with pytest.raises(StoreError, match="not known"):
                ask(directory / CHECK_SOCKET, Line("open"), timeout_s=LIMIT_S)
        finally:
            os.seteuid(0)

    assert health is Health.OK


def test_a_silent_call_for_help_is_not_shown(tmp_path: Path) -> None:
    """Every user may read the line, and whoever threatens somebody may see the screen."""
    health, line = checked(tmp_path, alarms=[{**LOST, "kind": "duress"}])

    assert (health, "help" in line) == (Health.OK, False)


def test_who_asks_slowly_keeps_nobody_and_costs_no_thread(tmp_path: Path) -> None:
    """One thread answers all of them; who has not asked within half a second is hung up on.

    Bug (a second reading): who sent a byte each 5 ms kept the others for as long as he liked.
    """
    with a_door(tmp_path, WELL) as config, socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(tmp_path / CHECK_SOCKET))
        dripping = threading.Thread(target=drip, args=(slow,))
        dripping.start()
        threads = threading.active_count()
        health, _ = check(config)
        assert threading.active_count() <= threads
        dripping.join()

    assert health is Health.OK


def drip(slow: socket.socket) -> None:
    """Send a byte now and then until nobody listens any more."""
    with suppress(OSError):
        for _ in range(800):
            slow.send(b" ")
            time.sleep(0.005)


def test_the_command_loads_nothing_where_the_door_says_the_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Monitoring asks each minute: 0.3 s of a Pi are too much for that."""
    script = (
        "import sys, doorctl.__main__ as m\n"
        "try: m.check_quickly(sys.argv[1])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    with a_door(tmp_path, {**WELL, "deciding": False}):
        path = str(tmp_path / CHECK_SOCKET)
        done = subprocess.run([sys.executable, "-c", script, path], check=False)
    said = capfd.readouterr()

    assert done.returncode == Health.CRITICAL
    assert said.out.startswith("DOORCTL CRITICAL - the door process answers, but")
    assert not {"click", "msgspec", "doorctl.config"} & {*said.err.split()}


def test_the_command_goes_the_long_way_where_no_door_answers(tmp_path: Path) -> None:
    """It then says why."""
    check_quickly(str(tmp_path / CHECK_SOCKET))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / CHECK_SOCKET))
        check_quickly(str(tmp_path / CHECK_SOCKET))


def test_figures_have_the_configurations_own_limits(tmp_path: Path) -> None:
    """Value, warning and critical, as the Monitoring Plugins guidelines write them."""
    _, line = checked(tmp_path, alarms=[LOST])

    assert line.split(" | ")[1] == "register_age_h=1.0;24.0;72 alarms=1;0 register_epoch=7c"


def test_what_is_said_is_one_line_and_no_figure() -> None:
    """A problem of several lines or with a bar would be cut, or taken for figures."""
    assert plugin_line(Health.UNKNOWN, "a | b\nc") == "DOORCTL UNKNOWN - a / b c"


def stood(kind: str, source: Source = Source.DOOR, last: datetime = NOW) -> AlarmRecord:
    """Return an alarm that stands."""
    return AlarmRecord(kind, source, last, last, 1, "")


LIBRARY = (
    "lms.kind=fbs",
    "lms.url=https://fbs.example",
    "lms.agency=DK-773000",
    "lms.user=u",
    "lms.password_file=/p",
)
SHUT = {kind: known for kind, known in KINDS.items() if known.means_nobody_enters is not None}


def test_a_kind_that_says_that_nobody_is_let_in_means_it() -> None:
    """Whoever is called at night, and monitoring, go by the same word."""
    said = {kind for kind, known in KINDS.items() if re.search("so no(body| patron)", known.means)}

    assert said <= SHUT.keys()
    assert SHUT.keys() - said == {"calendar_unknown", "clock_stepped", "branch_failing"} | {
        *("patrons_expired", "door_silent")
    }


@pytest.mark.parametrize("kind", SHUT)
def test_what_means_that_nobody_enters_is_critical(kind: str) -> None:
    """By the word of the process that knows; the other one's is of its own work, and a warning."""
    config, source = (
        load(Path("config/doorctl.toml"), environment={}),
        SHUT[kind].means_nobody_enters,
    )
    assert source is not None
    other = Source.WEB if source is Source.DOOR else Source.DOOR
    whys = nobody_enters(WELL, [stood(kind, source)], config)

    assert whys == ({} if kind == "door_silent" else {kind: SHUT[kind].means})
    assert nobody_enters(WELL, [stood(kind, other)], config) == {}


@pytest.mark.parametrize(
    ("overrides", "alarms", "state", "whys"),
    [
        ([], ["keypad_lost"], {}, {"keypad_lost"}),
        (["policy.require_pin=false"], ["keypad_lost", "reader_lost"], {}, {"reader_lost"}),
        ([], [], {"epoch": 0}, {"register_missing"}),
        (LIBRARY, ["register_too_old"], {"epoch": 0}, set()),
        (LIBRARY, ["patron_cache_failing"], {}, {"patron_cache_failing"}),
    ],
    ids=["PIN", "no PIN", "no register", "a library system", "no register that can be read"],
)
def test_who_may_enter_all_the_same(
    overrides: Sequence[str], alarms: list[str], state: dict[str, Any], whys: set[str]
) -> None:
    """Without a PIN no keypad is needed; a library system is asked where the register is no use."""
    config = load(Path("config/doorctl.toml"), overrides, environment={})

    assert nobody_enters(WELL | state, map(stood, alarms), config).keys() == whys


def test_a_moment_is_told_for_a_day() -> None:
    """Then a check has to say what is new; what goes on, or waits for a person, is told on."""
    moments = [stood(kind) for kind, known in KINDS.items() if known.lasts is Lasts.A_MOMENT]
    others = [stood(kind) for kind, known in KINDS.items() if known.lasts is not Lasts.A_MOMENT]
    day = timedelta(days=1)

    almost = shown([*moments, *others], NOW + day - timedelta(seconds=1))
    assert {alarm.kind for alarm in almost} == KINDS.keys() - {"duress"}
    assert shown([*moments, *others], NOW + day) == others


@pytest.mark.parametrize(
    ("changed", "ready"),
    [
        ({}, True),
        ({"alarms": [STANDS]}, True),
        ({"cache_age_s": 60 * 3600}, True),
        ({"cache_age_s": 80 * 3600}, False),
        ({"epoch": 0}, False),
        ({"alarms": [LOST]}, False),
        ({"deciding": False}, False),
        ({"waits_for_witness": CONFIRM}, True),
    ],
)
def test_who_lets_nobody_in_is_not_ready(
    tmp_path: Path, changed: dict[str, Any], *, ready: bool
) -> None:
    """As `check` is critical, and not before."""
    state = {**WELL, **changed}
    with a_door(tmp_path, state) as config:
        server = ControlServer(config.control.socket, plain({"status": lambda _line: state}))
        server.start()
        try:
            with nullcontext() if ready else pytest.raises(NotAnsweringError):
                assert refuse_unready(config, 2.0) == changed.get("waits_for_witness", "")
        finally:
            server.stop()
