"""What ``doorctl check`` says: the door makes the line, so that the command has little to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from enum import IntEnum
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.config import Config
from doorctl.config.tables import OLD_SHARE
from doorctl.core.alarms import kind_of
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.rpc.control import Answer, Answers, Question, ask
from doorctl.store.records import AlarmRecords

CHECK, CHECK_SOCKET = "check", "check.sock"
"""The question, and the socket for it: in the door's runtime directory, or beside its other one."""

SILENT = "the door process does not answer; is it running? (systemctl status doorctl-door)"
STOPPED = "the door process answers, but has stopped deciding"

SAME_S = 1.0

DECIDES_S = 2.0
"""Longest wait for a door that decides; a healthy one answers in milliseconds."""


class Health(IntEnum):
    """The exit codes of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def ask_deciding(config: Config, limit_s: float = DECIDES_S) -> dict[str, Any]:
    """Return the door's status. Raises NotAnsweringError: it does not answer, or does not decide.

    StoreError: that is not known.
    """
    state = ask(config.control.socket, Question("status"), timeout_s=limit_s)
    if not state.get("deciding", True):
        raise NotAnsweringError(STOPPED)
    return state


def check(config: Config) -> tuple[Health, str]:
    """Return the door's health and a monitoring plugin's line, as the door says them.

    Needs neither a key nor root. Raises DoorctlError: that is not known.
    """
    for path in (config.control.socket.with_name(CHECK_SOCKET), Path("/run/doorctl", CHECK_SOCKET)):
        try:
            said = ask(path, Question(CHECK), timeout_s=DECIDES_S)
            return Health(said["health"]), str(said["line"])
        except NotAnsweringError:
            continue
    return Health.CRITICAL, plugin_line(Health.CRITICAL, SILENT)


def check_answers(
    status: Callable[[], Mapping[str, Any]],
    config: Callable[[], Config],
    monotonic_s: Callable[[], float],
) -> Answers:
    """Return the door's answers for every user of this machine; they name nobody.

    They are made anew after :data:`SAME_S`, so that nobody keeps the door busy by asking. A silent
    call for help is left out: a screen in the hall may show the line.
    """
    said: tuple[float, Answer] = (-inf, {})

    def answer(_question: Question) -> Answer:
        nonlocal said
        if monotonic_s() - said[0] >= SAME_S:
            state = status()
            alarms = alarms_standing(config(), state["alarms"]) or []
            shown = [a for a in alarms if not kind_of(a["kind"]).wordless]
            health, line = judged(state, shown, config())
            said = monotonic_s(), {"health": health.value, "line": line}
        return said[1]

    return {CHECK: answer}


def plugin_line(health: Health, what: str, figures: str = "") -> str:
    """Return a line as Nagios, Icinga and Zabbix read it; see the Monitoring Plugins guidelines."""
    line = f"DOORCTL {health.name} - {' '.join(what.replace('|', '/').split())}"
    return f"{line} | {figures}" if figures else line


def judged(
    state: Mapping[str, Any], alarms: list[dict[str, str]], config: Config
) -> tuple[Health, str]:
    """Return the health of a door of that state, and the line."""
    if not state["deciding"]:
        return Health.CRITICAL, plugin_line(Health.CRITICAL, STOPPED)
    limit_h, age_s = config.policy.max_cache_age_h, state["cache_age_s"]
    age_h = None if age_s is None else age_s / 3600
    old_h = limit_h * OLD_SHARE
    kinds = [alarm["kind"] for alarm in alarms]
    stands = [f"{kind}: {kind_of(kind).means}" for kind in kinds]
    if not state["epoch"]:
        stands.append("there is no patron register")
    elif age_h is not None and age_h > old_h and "register_old" not in kinds:
        stands.append(f"the patron register is {age_h:.0f} h old")
    figures = [f"alarms={len(kinds)};0", f"register_epoch={state['epoch']}c"]
    if (backup_s := state.get("backup_age_s")) is not None:
        figures.append(f"backup_age_h={backup_s / 3600:.1f};48")
    figures += [f"{name}_days={of['days']}" for name, of in state.get("good_until", {}).items()]
    if age_h is not None:
        figures.insert(0, f"register_age_h={age_h:.1f};{old_h:.1f};{limit_h:g}")
    health = Health.WARNING if stands else Health.OK
    what = " ".join(stands) or "the door decides"
    return health, plugin_line(health, what, " ".join(figures))


def alarms_standing(config: Config, doors: list[dict[str, str]]) -> list[dict[str, str]] | None:
    """Return kind and since when of the alarms in ``branch.db``, and of the door's that it lacks.

    None where the file can't be read and the door names none.
    """
    zone = ZoneInfo(config.branch.time_zone)
    try:
        with closing(AlarmRecords(config.storage.branch_db)) as records:
            rows = records.standing()
    except StoreError:
        return doors or None
    kept = {row.kind: row.since.astimezone(zone).isoformat() for row in rows}
    alarms = [{"kind": kind, "since": since} for kind, since in kept.items()]
    return alarms + [alarm for alarm in doors if alarm["kind"] not in kept]
