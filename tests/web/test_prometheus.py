"""Debian's Prometheus and Alertmanager over real processes: each rule fires on its fault.

What waits for minutes is tried with promtool, which has a clock of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import httpx2
import pytest

from doorctl.rpc.control import ControlServer
from tests.sources.http_server import free_port
from tests.web.branch import Branch, rows
from tests.web.conftest import Branches
from tests.web.test_metrics import BOARD, RULES, SYNC_RULES, count_visits

TOKEN = "only-for-this-test"
LIMIT_S = 60.0
"""Longest wait for a rule."""

FIRES: dict[str, tuple[dict[str, str], int]] = {
    "DoorctlWebSilent": ({'up{job="doorctl",instance="x"}': "0"}, 5),
    "DoorctlDoorSilent": ({'doorctl_door_up{instance="x"}': "0"}, 1),
    "DoorctlNotDeciding": (
        {'doorctl_door_up{instance="x"}': "1", 'doorctl_door_deciding{instance="x"}': "0"},
        1,
    ),
    "DoorctlRegisterOld": ({'doorctl_register_age_seconds{instance="x"}': "93601"}, 0),
    "DoorctlReaderOrKeypadLost": (
        {'doorctl_alarm_standing{instance="x",kind="keypad_lost"}': "1"},
        0,
    ),
    "DoorctlDiskLow": ({'doorctl_disk_free_bytes{instance="x"}': "499999999"}, 5),
    "DoorctlClockInDoubt": ({'doorctl_clock_in_doubt{instance="x"}': "1"}, 10),
    "DoorctlSyncSilent": ({'doorctl_sync_last_run_timestamp_seconds{instance="x"}': "0"}, 31),
    "DoorctlSyncBranchBehind": (
        {'doorctl_sync_last_success_timestamp_seconds{instance="x",branch="oest"}': "0"},
        26 * 60 + 1,
    ),
    "DoorctlSyncAlarm": ({'doorctl_sync_alarm_standing{instance="x",kind="sync_failed"}': "1"}, 0),
}
"""Rule -> what it fires on, and after how many minutes. Prometheus' tester begins at the hour 0."""


@pytest.fixture(autouse=True)
def _needed() -> None:
    missing = [name for name in ("prometheus", "prometheus-alertmanager") if not shutil.which(name)]
    if missing:
        why = f"{', '.join(missing)} of Debian is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why}; CI has to have it")
        pytest.skip(why)


class Monitoring:
    """A Prometheus that asks a branch each second, and the Alertmanager that it tells."""

    def __init__(self, prometheus: int, alertmanager: int) -> None:
        self._prometheus = f"http://127.0.0.1:{prometheus}"
        self._alertmanager = f"http://127.0.0.1:{alertmanager}"

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self._get(f"{self._prometheus}/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def told(self) -> set[str]:
        """Return the names of the alerts that Alertmanager has."""
        alerts = self._get(f"{self._alertmanager}/api/v2/alerts")
        return {alert["labels"]["alertname"] for alert in alerts}

    def query(self, expression: str) -> list[Any]:
        """Return what an expression finds now."""
        found = self._get(f"{self._prometheus}/api/v1/query", query=expression)["data"]["result"]
        assert isinstance(found, list)
        return found

    def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds."""
        end_s = time.monotonic() + LIMIT_S
        while not reached():
            assert time.monotonic() < end_s, self.firing()
            time.sleep(0.2)

    def _get(self, url: str, **words: str) -> Any:
        return httpx2.get(url, params=words, timeout=LIMIT_S, trust_env=False).json()


@contextmanager
def monitoring(branch: Branch, directory: Path) -> Iterator[Monitoring]:
    """Start both over a branch, with the real rules but for their patience."""
    prometheus, alertmanager = free_port(), free_port()
    rules = directory / "rules.yml"
    rules.write_text(re.sub(r"for: \d+m", "for: 0s", RULES.read_text(encoding="utf-8")))
    (directory / "token").write_text(TOKEN)
    job = {
        "job_name": "doorctl",
        "authorization": {"credentials_file": str(directory / "token")},
        "static_configs": [{"targets": [f"127.0.0.1:{branch.port}"]}],
    }
    teller = {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [job],
        "alerting": {"alertmanagers": [teller]},
    }
    routes = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    for name, content in (("prometheus.yml", config), ("alertmanager.yml", routes)):
        (directory / name).write_text(json.dumps(content))
    commands = (
        [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/tsdb",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
        [
            "prometheus-alertmanager",
            f"--config.file={directory}/alertmanager.yml",
            f"--storage.path={directory}/am",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ],
    )
    with ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((directory / f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
            stack.callback(process.wait)
            stack.callback(process.kill)
        for port in (prometheus, alertmanager):
            _wait_for(port)
        yield Monitoring(prometheus, alertmanager)


def _wait_for(port: int) -> None:
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        try:
            address = f"http://127.0.0.1:{port}/-/ready"
            if httpx2.get(address, trust_env=False, timeout=LIMIT_S).is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("it does not begin to answer")


def test_every_rule_fires_on_its_fault(branches: Branches, tmp_path: Path) -> None:
    """A branch that is well raises none, the board finds each figure, and each fault is told."""
    (tmp_path / "metrics.token").write_text(TOKEN)
    (tmp_path / "metrics.token").chmod(0o600)
    branch = branches(f"metrics.token_file={tmp_path}/metrics.token", "clock.trust=always")
    branch.start()
    assert branch.push(branch.document(rows(30), 1)).status_code == 200
    count_visits(branch.config, 12, days_ago=1)
    with monitoring(branch, tmp_path) as found:
        with branch.stage:
            branch.stage.start()
            found.wait(lambda: bool(found.query("doorctl_door_deciding == 1")))
            found.wait(lambda: not found.firing())
            _let_register_grow_old(branch)
            _alarm(branch, "disk_low")
            _alarm(branch, "reader_lost")
            expected = {"DoorctlRegisterOld", "DoorctlDiskLow", "DoorctlReaderOrKeypadLost"}
            found.wait(lambda: found.firing() == expected <= found.told())
            # One of its pictures is of alarms that stand.
            panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
            assert [panel["title"] for panel in panels if not _drawn(found, panel)] == []
        found.wait(lambda: "DoorctlDoorSilent" in found.firing())
        state = {"deciding": False, "alarms": [], "clock": "untrusted"}
        server = ControlServer(branch.config.control.socket, {"status": lambda _question: state})
        server.start()
        try:
            found.wait(lambda: {"DoorctlNotDeciding", "DoorctlClockInDoubt"} <= found.firing())
            assert "DoorctlDoorSilent" not in found.firing()
        finally:
            server.stop()
        branch.end()
        found.wait(lambda: "DoorctlWebSilent" in found.firing())
        found.wait(lambda: "DoorctlWebSilent" in found.told())


def _drawn(found: Monitoring, panel: dict[str, Any]) -> bool:
    return bool(found.query(panel["targets"][0]["expr"]))


def _let_register_grow_old(branch: Branch) -> None:
    at = (datetime.now(UTC) - timedelta(hours=27)).isoformat()
    with closing(Connection(branch.config.storage.patrons_db)) as patrons, patrons:
        patrons.execute("UPDATE cache SET applied_at = ?", (at,))


def _alarm(branch: Branch, kind: str) -> None:
    """As the door alarms it; a reader that is gone is told after 20 s only."""
    now_ms = round(time.time() * 1000)
    with closing(Connection(branch.config.storage.branch_db)) as database, database:
        database.execute(
            "INSERT INTO alarms (kind, source, first_ms, last_ms, count, why) "
            "VALUES (?, 'door', ?, ?, 1, '')",
            (kind, now_ms, now_ms),
        )


def test_each_rule_waits_as_long_as_it_says(tmp_path: Path) -> None:
    """A minute less raises nothing; by Prometheus' own tester, on the rules as they are shipped."""
    files = (RULES, SYNC_RULES)
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert {*re.findall(r"alert: (\w+)", text)} == {*FIRES}
    tests = []
    for name, (series, minutes) in FIRES.items():
        expression = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
        fires = [{"labels": "{}", "value": 1}]
        cases = [{"eval_time": f"{minutes}m", "expr": expression, "exp_samples": fires}]
        if minutes:
            cases += [{"eval_time": f"{minutes - 1}m", "expr": expression, "exp_samples": []}]
        values = [
            {"series": one, "values": f"{value}x{minutes + 20}"} for one, value in series.items()
        ]
        tests.append({"interval": "1m", "input_series": values, "promql_expr_test": cases})
    file = tmp_path / "tests.yml"
    given = {
        "rule_files": [str(file.absolute()) for file in files],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    file.write_text(json.dumps(given))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
