"""What each change of ``branch.db`` is on the audit log, written in its own transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.accounts import ACCOUNT_DEEDS
from doorctl.rpc.requests import (
    AddBan,
    ClearDay,
    EndMode,
    IssuePass,
    LiftBan,
    Note,
    OpenBranch,
    Request,
    RevokePass,
    SetDay,
    SetMode,
)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Audited(Generic[ResultT]):
    """A request with the login or account behind it, `by`.

    Both the change and its audit entry are durable, or neither.
    """

    request: Request[ResultT]
    by: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> ResultT:
        """Carry it out, put it on the audit log and return the result."""
        with branch.audit.together(moment):
            done = self.request.carried_out(branch, moment)
            branch.audit.append(deed_of(self.request, done), self.by, moment)
        return done


def deed_of(request: Request[Any], done: Any) -> Deed:
    """Return the audit entry of a request whose result is `done`."""
    return DEEDS[type(request)](request, done)


def _ban_added(asked: AddBan, ban: Ban) -> Deed:
    cards = () if asked.row_key is None else (asked.row_key,)
    return Deed(Action.BAN_ADDED, cards, asked.patron_ref, ban.reason, {"number": ban.number})


def _ban_lifted(_asked: LiftBan, ban: Ban) -> Deed:
    return Deed(Action.BAN_LIFTED, details={"number": ban.number})


def _pass_issued(asked: IssuePass, held: Pass) -> Deed:
    details = {"number": held.number, "kind": held.kind.value}
    return Deed(Action.PASS_ISSUED, (asked.row_key,), details=details)


def _pass_revoked(_asked: RevokePass, held: Pass) -> Deed:
    return Deed(Action.PASS_REVOKED, details={"number": held.number})


def _mode_set(asked: SetMode, _done: None) -> Deed:
    override = asked.override
    until = override.until.isoformat(timespec="seconds")
    details = {"mode": override.mode.value, "until": until}
    return Deed(Action.MODE_SET, why=override.cause, details=details)


def _mode_ended(_asked: EndMode, ended: Override) -> Deed:
    return Deed(Action.MODE_ENDED, details={"mode": ended.mode.value})


def _day_set(asked: SetDay, _done: None) -> Deed:
    return Deed(Action.CALENDAR_CHANGED, details={"day": asked.day.day.isoformat()})


def _day_cleared(asked: ClearDay, _done: None) -> Deed:
    return Deed(Action.CALENDAR_CHANGED, details={"day": asked.day.isoformat(), "cleared": 1})


def _noted(asked: Note, _done: None) -> Deed:
    return asked.deed


DEEDS: Mapping[type[Any], Callable[[Any, Any], Deed]] = MappingProxyType(
    {
        AddBan: _ban_added,
        LiftBan: _ban_lifted,
        IssuePass: _pass_issued,
        RevokePass: _pass_revoked,
        SetMode: _mode_set,
        EndMode: _mode_ended,
        SetDay: _day_set,
        ClearDay: _day_cleared,
        Note: _noted,
        **ACCOUNT_DEEDS,
    }
)
"""Every request has its deed: a change that left no trace would be found by a test."""
