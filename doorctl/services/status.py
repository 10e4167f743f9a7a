"""What ``doorctl status`` answers: the door over its socket, and the files as they stand."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.config import Config
from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.rpc.control import Question, ask
from doorctl.services.app import (
    ANSWER_LIMIT_S,
    branch_db,
    open_book,
    outdated,
    patrons_db,
    system_clock,
    visits_db,
)
from doorctl.services.numbers import own_sealer
from doorctl.store.door_log import VisitHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.records import AlarmRecords, AuditRecords


def status(config: Config) -> dict[str, Any]:
    """Return the state of the door process and the databases, and which alarms stand.

    ``alarms`` is a list of kind and since when, None where ``branch.db`` can't be read.
    """
    try:
        door = ask(config.control.socket, Question("status"), timeout_s=ANSWER_LIMIT_S)
        state: dict[str, Any] = {"running": True, **door}
    except NotAnsweringError:
        state = {"running": False}
    alarms = _alarms_standing(config)
    return {**state, **_cache_status(config), "alarms": alarms, "audit_head": _audit_head(config)}


def _alarms_standing(config: Config) -> list[dict[str, str]] | None:
    zone = ZoneInfo(config.branch.time_zone)
    try:
        with closing(AlarmRecords(branch_db(config))) as records:
            rows = records.standing()
    except StoreError:
        return None
    return [{"kind": row.kind, "since": row.since.astimezone(zone).isoformat()} for row in rows]


def _audit_head(config: Config) -> str | None:
    try:
        with closing(AuditRecords(branch_db(config))) as records:
            return str(records.head())
    except StoreError:
        return None


def _cache_status(config: Config) -> dict[str, Any]:
    now = system_clock(config).moment()
    try:
        with closing(PatronCache(patrons_db(config), own_sealer(config).seal)) as cache:
            stamp = cache.stamp()
    except StoreError as err:
        return {"epoch": None, "patrons": 0, "cache_age_s": None, "problem": str(err)}
    age = stamp.age(now)
    return {
        "epoch": stamp.epoch,
        "patrons": stamp.patrons,
        "cache_age_s": None if age is None else round(age.total_seconds()),
        "problem": outdated(stamp, config) or _unreadable(config),
    }


def _unreadable(config: Config) -> str | None:
    try:
        with open_book(config) as book, closing(VisitHistory(visits_db(config))) as history:
            book.override()
            history.high_water()
    except StoreError as err:
        return str(err)
    return None
