"""What ``doorctl check`` answers; it loads little, because monitoring calls it every minute."""

from __future__ import annotations

from contextlib import closing
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.config import Config
from doorctl.config.tables import OLD_SHARE
from doorctl.core.alarms import KINDS, UNLISTED
from doorctl.core.errors import DoorctlError, NotAnsweringError, StoreError
from doorctl.rpc.control import Question, ask
from doorctl.store.records import AlarmRecords

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
        raise NotAnsweringError("the door process answers, but has stopped deciding")
    return state


def check(config: Config) -> tuple[Health, str]:
    """Return the door's health and a monitoring plugin's line; needs neither a key nor root."""
    try:
        state = ask_deciding(config)
    except NotAnsweringError as err:
        if isinstance(err.__cause__, PermissionError):
            why = "this user may not ask the door; ask as doorctl-web does"
            return Health.UNKNOWN, plugin_line(Health.UNKNOWN, why)
        return Health.CRITICAL, plugin_line(Health.CRITICAL, str(err))
    except DoorctlError as err:
        return Health.UNKNOWN, plugin_line(Health.UNKNOWN, str(err))
    return _judged(state, alarms_standing(config, state["alarms"]) or [], config)


def plugin_line(health: Health, what: str, figures: str = "") -> str:
    """Return a line as Nagios, Icinga and Zabbix read it; see the Monitoring Plugins guidelines."""
    line = f"DOORCTL {health.name} - {' '.join(what.replace('|', '/').split())}"
    return f"{line} | {figures}" if figures else line


def _judged(
    state: dict[str, Any], alarms: list[dict[str, str]], config: Config
) -> tuple[Health, str]:
    limit_h, age_s = config.policy.max_cache_age_h, state["cache_age_s"]
    age_h = None if age_s is None else age_s / 3600
    old_h = limit_h * OLD_SHARE
    kinds = [alarm["kind"] for alarm in alarms]
    stands = [f"{kind}: {KINDS.get(kind, KINDS[UNLISTED]).means}" for kind in kinds]
    if not state["epoch"]:
        stands.append("there is no patron register")
    elif age_h is not None and age_h > old_h and "register_old" not in kinds:
        stands.append(f"the patron register is {age_h:.0f} h old")
    figures = [f"alarms={len(kinds)};0", f"register_epoch={state['epoch']}c"]
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
        # `services.app`, which names the path for others, would load much more.
        with closing(AlarmRecords(config.storage.directory / "branch.db")) as records:
            rows = records.standing()
    except StoreError:
        return doors or None
    kept = {row.kind: row.since.astimezone(zone).isoformat() for row in rows}
    alarms = [{"kind": kind, "since": since} for kind, since in kept.items()]
    return alarms + [alarm for alarm in doors if alarm["kind"] not in kept]
