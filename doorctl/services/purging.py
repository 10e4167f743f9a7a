"""The purge as a command asks for it: of the door, or done here while none runs; its reports."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from doorctl.config import Config
from doorctl.core.errors import InputError, KeyFileError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.masked import InstallationKey
from doorctl.lookup.app import App
from doorctl.lookup.configured import retention
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.purge_proof import ReportSigner, Trim
from doorctl.rpc.retention import (
    PROVE_LIMIT_S,
    PURGE,
    PURGE_LIMIT_S,
    Purge,
)
from doorctl.services.branch import noted
from doorctl.services.owner import by_the_owner
from doorctl.store.keys import read_key
from doorctl.store.purge_job import Purging, forget_left
from doorctl.store.purge_reports import read_report
from doorctl.store.sealer import earlier_keys
from doorctl.store.trim import trim
from doorctl.store.visits import open_or_create_visits


def purge_now(app: App, *, proved: bool, believed: bool = False) -> dict[str, Any]:
    """Have the running door purge, or do it here while none is running; return the report.

    `proved` searches the files afterwards and keeps a signed report. `believed`: the caller answers
    for the wall clock; that goes on the audit log first. Raises InputError: it can't be right.
    """
    if not believed:
        return _purged(app, proved=proved, believed=False)
    said = {"clock": app.clock.bounded(believed=True).local.isoformat(timespec="seconds")}
    with noted(app, Deed(Action.PURGE_CLOCK_BELIEVED, details=said)):
        return _purged(app, proved=proved, believed=True)


def _purged(app: App, *, proved: bool, believed: bool) -> dict[str, Any]:
    config = app.config
    limit_s = PROVE_LIMIT_S if proved else PURGE_LIMIT_S

    def by_door() -> dict[str, Any]:
        wanted = Purge(prove=proved, believe=believed)
        return _trimmed(config, PURGE.ask(config.control.socket, wanted, timeout_s=limit_s))

    def alone() -> dict[str, Any]:
        key = _key(config, needed=proved)
        with closing(open_or_create_visits(app.storage.visits_db)) as visits:
            purging = Purging(
                visits,
                app.clock,
                app.storage,
                kept_for=retention(config),
                branch=config.branch.id,
                key=key,
                run=lambda job: job(),
                erased=partial(forget_left, app.storage.branch_db, lambda: visits),
            )
            return purging.reported(proved=proved, believed=believed)

    return by_the_owner(by_door, alone, of=config.storage.door_directory)


def verify(app: App, path: Path) -> dict[str, Any]:
    """Return what a purge report says, if its signature is this installation's.

    Raises InputError: it was changed, or is none of this installation's.
    """
    key = read_key(app.config.secrets.installation_key_file)
    with owner_of(path.parent):
        report = read_report(path)
    for earlier in earlier_keys(key):
        # One of before a rotation.
        with suppress(InputError):
            return ReportSigner(earlier).verified(report)
    return ReportSigner(key).verified(report)


def _trimmed(config: Config, report: dict[str, Any]) -> dict[str, Any]:
    """Trim where the caller is root, which the door is not; the signed report stays as it is."""
    if report.get("trim") != Trim.NOT_PERMITTED.value or os.getuid() != ROOT:
        return report
    return {**report, "trim_by_caller": trim(config.storage.door_directory).value}


def _key(config: Config, *, needed: bool) -> InstallationKey | None:
    try:
        return read_key(config.secrets.installation_key_file)
    except KeyFileError:
        if needed:
            raise
        return None
