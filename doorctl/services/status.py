"""How the branch is: what ``doorctl status`` answers."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

from doorctl.core.errors import (
    NotAnsweringError,
    StoreError,
)
from doorctl.lookup.app import App, open_book
from doorctl.lookup.configured import local, outdated
from doorctl.lookup.health import alarms_standing
from doorctl.lookup.numbers import own_sealer
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import STATUS
from doorctl.services.owner import ANSWER_LIMIT_S
from doorctl.store.door_log import VisitHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.records import AuditRecords


def status(app: App) -> dict[str, Any]:
    """Return the state of the door process and the databases, and which alarms stand.

    ``alarms`` is a list of kind and since when, from ``branch.db`` and, for web may be down, from
    the door; None where ``branch.db`` can't be read and the door names none.
    """
    try:
        door = STATUS.ask(app.config.control.socket, Nothing(), timeout_s=ANSWER_LIMIT_S)
        state: dict[str, Any] = {"running": True, **door}
    except NotAnsweringError:
        state = {"running": False}
    found = alarms_standing(app.config, state.pop("alarms", []))
    alarms = (
        None
        if found is None
        else [
            {
                "kind": alarm.kind,
                "since": local(alarm.since, app.config).isoformat(timespec="seconds"),
            }
            for alarm in found
        ]
    )
    head = None
    with suppress(StoreError), closing(AuditRecords(app.storage.branch_db)) as records:
        head = str(records.head())
    return {**state, **_cache_status(app), "alarms": alarms, "audit_head": head}


def _cache_status(app: App) -> dict[str, Any]:
    now = app.clock.moment()
    try:
        with closing(PatronCache(app.storage.patrons_db, own_sealer(app.config).seal)) as cache:
            stamp = cache.stamp()
    except StoreError as err:
        return {"epoch": None, "patrons": 0, "cache_age_s": None, "problem": str(err)}
    age = stamp.age(now)
    return {
        "epoch": stamp.epoch,
        "patrons": stamp.patrons,
        "cache_age_s": None if age is None else round(age.total_seconds()),
        "problem": outdated(stamp, app.config) or _unreadable(app),
    }


def _unreadable(app: App) -> str | None:
    try:
        with open_book(app) as book, closing(VisitHistory(app.storage.visits_db)) as history:
            book.override()
            history.high_water()
    except StoreError as err:
        return str(err)
    return None
