"""How well a branch is, by the door's state and the alarms that stand: the plugin's line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from doorctl.config import Config
from doorctl.config.tables import OLD_SHARE
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import DOOR_SILENT, Source, is_shown, kind_of, shuts_out
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import STATUS, STATUS_LIMIT_S
from doorctl.store.alarms import AlarmRecords

CHECK_SOCKET = "check.sock"
"""The socket of this question: in the door's runtime directory, or beside its other one."""

SILENT = "the door process does not answer; is it running? (systemctl status doorctl-door)"
STOPPED = "the door process answers, but has stopped deciding"

EVER = datetime.fromtimestamp(0, UTC)
"""Since when an alarm stands of which another release of the door says nothing that can be read."""

WEB_SILENT_S = 120
"""How long web may give no sign of life; a restart takes seconds."""

OLD, TOO_OLD, WEB_SILENT = "register_old", "register_too_old", "web_silent"
UNCONFIRMED = "clock_unconfirmed"
CONFIRM = f"{kind_of(UNCONFIRMED).means} {kind_of(UNCONFIRMED).act}"
MISSING = "register_missing"
"""Not an alarm's kind: a register that never came is nobody's fault yet."""

UNREADABLE = "patron_cache_failing"
SAME = ((TOO_OLD, OLD), (UNREADABLE, MISSING))
"""What says why nobody is let in -> what would only say the same in weaker words."""


class Health(IntEnum):
    """The exit codes of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def ask_deciding(config: Config, limit_s: float = STATUS_LIMIT_S) -> dict[str, Any]:
    """Return the door's status. Raises NotAnsweringError: it does not answer, or does not decide.

    StoreError: that is not known.
    """
    state = STATUS.ask(config.control.socket, Nothing(), timeout_s=limit_s)
    if not state.get("deciding", True):
        raise NotAnsweringError(STOPPED)
    return state


def shown(alarms: Iterable[AlarmRecord], now: datetime) -> list[AlarmRecord]:
    """Return what machines name, at `now`: no moment that is long over, no silent call for help."""
    return [a for a in alarms if is_shown(a.kind, a.last, now) and not a.known.wordless]


def plugin_line(health: Health, what: str, figures: str = "") -> str:
    """Return a line as Nagios, Icinga and Zabbix read it; see the Monitoring Plugins guidelines."""
    line = f"DOORCTL {health.name} - {' '.join(what.replace('|', '/').split())}"
    return f"{line} | {figures}" if figures else line


def judged(
    state: Mapping[str, Any], alarms: Collection[AlarmRecord], config: Config
) -> tuple[Health, str]:
    """Return the health of a door of that state, and the line."""
    if not state["deciding"]:
        return Health.CRITICAL, plugin_line(Health.CRITICAL, STOPPED)
    whys = nobody_enters(state, alarms, config)
    stands = {alarm.kind: alarm.known.means for alarm in alarms} | _seen(state, config)
    for stronger, same in SAME:
        if stronger in whys:
            stands.pop(same, None)
    said = [f"{kind}: {means}" for kind, means in {**whys, **stands, **whys}.items()]
    health = Health.CRITICAL if whys else Health.WARNING if stands else Health.OK
    figures = " ".join(_figures(state, len(alarms), config))
    return health, plugin_line(health, " ".join(said) or "the door decides", figures)


def nobody_enters(
    state: Mapping[str, Any], alarms: Iterable[AlarmRecord], config: Config
) -> dict[str, str]:
    """Return why no patron is let in by a door of that state, which answers: kind -> sentence.

    A library system is asked where the register is of no use. The door answers, so an alarm that it
    does not is over.
    """
    whys = {
        alarm.kind: alarm.known.means for alarm in alarms if shuts_out(alarm.kind, alarm.source)
    }
    age_s = state.get("cache_age_s")
    if state.get("epoch") == 0 and UNREADABLE not in whys:
        whys[MISSING] = "There is no patron register, so no patron is let in."
    elif age_s is not None and age_s > config.policy.max_cache_age_h * 3600:
        whys[TOO_OLD] = kind_of(TOO_OLD).means
    needless = {DOOR_SILENT}
    if config.lms.kind:
        needless |= {MISSING, TOO_OLD, "patrons_expired", "patrons_unusable"}
    if not config.policy.require_pin:
        needless |= {"keypad_lost"}
    return {kind: why for kind, why in whys.items() if kind not in needless}


def _seen(state: Mapping[str, Any], config: Config) -> dict[str, str]:
    """Return what is seen by the state before there is an alarm for it: kind -> sentence."""
    found, age_s, web_s = {}, state["cache_age_s"], state.get("web_age_s")
    if age_s is not None and age_s / 3600 > config.policy.max_cache_age_h * OLD_SHARE:
        found[OLD] = f"The patron register is {age_s / 3600:.0f} h old."
    if not state["epoch"]:
        found[MISSING] = "There is no patron register."
    if web_s is not None and web_s >= WEB_SILENT_S:
        found[WEB_SILENT] = kind_of(WEB_SILENT).means
    if state.get("waits_for_witness"):
        found[UNCONFIRMED] = CONFIRM
    return found


def _figures(state: Mapping[str, Any], alarms: int, config: Config) -> Iterator[str]:
    limit_h, age_s = config.policy.max_cache_age_h, state["cache_age_s"]
    if age_s is not None:
        yield f"register_age_h={age_s / 3600:.1f};{limit_h * OLD_SHARE:.1f};{limit_h:g}"
    yield f"alarms={alarms};0"
    yield f"register_epoch={state['epoch']}c"
    if (backup_s := state.get("backup_age_s")) is not None:
        yield f"backup_age_h={backup_s / 3600:.1f};48"
    if (web_s := state.get("web_age_s")) is not None:
        yield f"web_age_s={web_s};{WEB_SILENT_S}"
    yield from (f"{name}_days={of['days']}" for name, of in state.get("good_until", {}).items())


def alarms_standing(config: Config, doors: list[dict[str, str]]) -> list[AlarmRecord] | None:
    """Return the alarms in ``branch.db``, and those of the door that it lacks.

    `doors` has the kind and since when, as the door answers. None where the file can't be read and
    the door names none.
    """
    found = []
    for alarm in doors:
        since = EVER
        with suppress(ValueError):
            since = datetime.fromisoformat(alarm["since"])
        found.append(AlarmRecord(alarm["kind"], Source.DOOR, since, since, 1, ""))
    try:
        with closing(AlarmRecords(config.storage.branch_db)) as records:
            rows = list(records.standing())
    except StoreError:
        return found or None
    kept = {row.kind for row in rows}
    return rows + [alarm for alarm in found if alarm.kind not in kept]
