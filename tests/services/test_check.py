"""What `doorctl check` makes of the door's answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doorctl.config import Config, load
from doorctl.rpc.control import ControlServer
from doorctl.services.check import Health, check, plugin_line

WELL = {"deciding": True, "alarms": [], "epoch": 7, "cache_age_s": 3600}
LOST = {"kind": "reader_lost", "since": "2026-11-25T21:00:00+01:00"}


@contextmanager
def a_door(directory: Path, answer: Mapping[str, Any]) -> Iterator[Config]:
    """Answer as that door; the branch's databases are not there."""
    config = load(Path("config/doorctl.toml"), environment={})
    config = replace(
        config,
        control=replace(config.control, socket=directory / "door.sock"),
        storage=replace(config.storage, directory=directory, door_directory=directory),
    )
    server = ControlServer(config.control.socket, {"status": lambda _question: answer})
    server.start()
    try:
        yield config
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("changed", "health", "said"),
    [
        ({}, Health.OK, "the door decides"),
        ({"alarms": [LOST]}, Health.WARNING, "reader_lost: The card reader is gone"),
        ({"alarms": [{**LOST, "kind": "newer"}]}, Health.WARNING, "newer: "),
        ({"cache_age_s": 25 * 3600}, Health.WARNING, "the patron register is 25 h old"),
        ({"epoch": 0, "cache_age_s": None}, Health.WARNING, "there is no patron register"),
        ({"cache_age_s": None}, Health.OK, "the door decides"),
        ({"deciding": False}, Health.CRITICAL, "has stopped deciding"),
    ],
)
def test_each_answer_has_its_exit_code(
    tmp_path: Path, changed: dict[str, Any], health: Health, said: str
) -> None:
    """What stands is said; an age that nobody knows, by a clock that is not set, is none."""
    with a_door(tmp_path, {**WELL, **changed}) as config:
        found, line = check(config)

    assert found is health
    assert line.startswith(f"DOORCTL {health.name} - ")
    assert said in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_who_may_not_ask_the_door_does_not_know(tmp_path: Path) -> None:
    """A monitoring user without the right must wake nobody with a door that is said to be dead."""
    with a_door(tmp_path, WELL) as config:
        config.control.socket.chmod(0o600)
        os.seteuid(65534)
        try:
            health, line = check(config)
        finally:
            os.seteuid(0)

    assert health is Health.UNKNOWN
    assert "ask as doorctl-web does" in line


def test_figures_have_the_configurations_own_limits(tmp_path: Path) -> None:
    """Value, warning and critical, as the Monitoring Plugins guidelines write them."""
    with a_door(tmp_path, {**WELL, "alarms": [LOST]}) as config:
        _, line = check(config)

    assert line.split(" | ")[1] == "register_age_h=1.0;24.0;72 alarms=1;0 register_epoch=7c"


def test_what_is_said_is_one_line_and_no_figure() -> None:
    """A problem of several lines or with a bar would be cut, or taken for figures."""
    assert plugin_line(Health.UNKNOWN, "a | b\nc") == "DOORCTL UNKNOWN - a / b c"
