"""What `doorctl check` makes of the door's answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from doorctl.__main__ import check_quickly
from doorctl.config import Config, load
from doorctl.core.errors import StoreError
from doorctl.rpc.control import ControlServer, Question, ask
from doorctl.services.check import CHECK_SOCKET, Health, check, check_answers, plugin_line
from tests.fakes.waiting import LIMIT_S

WELL = {"deciding": True, "alarms": [], "epoch": 7, "cache_age_s": 3600}
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
    answers = check_answers(lambda: answer, lambda: config, lambda: 0.0)
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
        ({"alarms": [LOST]}, Health.WARNING, "reader_lost: The card reader is gone"),
        ({"alarms": [{**LOST, "kind": "newer"}]}, Health.WARNING, "newer: "),
        ({"cache_age_s": 25 * 3600}, Health.WARNING, "the patron register is 25 h old"),
        ({"epoch": 0, "cache_age_s": None}, Health.WARNING, "there is no patron register"),
        ({"backup_age_s": 90 * 60}, Health.OK, "backup_age_h=1.5;48"),
        ({"good_until": {"certificate": {"days": 40}}}, Health.OK, "certificate_days=40"),
        ({"cache_age_s": None}, Health.OK, "the door decides"),
        ({"deciding": False}, Health.CRITICAL, "has stopped deciding"),
    ],
)
def test_each_answer_has_its_exit_code(
    tmp_path: Path, changed: dict[str, Any], health: Health, said: str
) -> None:
    """What stands is said; an age that nobody knows, by a clock that is not set, is none."""
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
                ask(directory / CHECK_SOCKET, Question("open"), timeout_s=LIMIT_S)
        finally:
            os.seteuid(0)

    assert health is Health.OK


def test_a_silent_call_for_help_is_not_shown(tmp_path: Path) -> None:
    """Every user may read the line, and whoever threatens somebody may see the screen."""
    health, line = checked(tmp_path, alarms=[{**LOST, "kind": "duress"}])

    assert (health, "help" in line) == (Health.OK, False)


def test_who_asks_slowly_keeps_the_others_for_half_a_second_at_most(tmp_path: Path) -> None:
    """One is answered at a time, so that questions cost the door no threads.

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
