"""Requests to the web process, the one writer of ``branch.db``, over its Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.accounts.account import Account
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.rpc.accounts import (
    AddAccount,
    DisableAccount,
    EnableAccount,
    ResetFactor,
    SetPassword,
    SetRole,
    SignOutEverywhere,
)
from doorctl.rpc.control import LINE_LIMIT, Answer, Answers, Question, ask
from doorctl.rpc.deeds import Audited
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

ASKED: Mapping[str, tuple[type[Any], Any]] = MappingProxyType(
    {
        "add_ban": (AddBan, Ban),
        "lift_ban": (LiftBan, Ban),
        "issue_pass": (IssuePass, Pass),
        "revoke_pass": (RevokePass, Pass),
        "set_mode": (SetMode, None),
        "end_mode": (EndMode, Override),
        "set_day": (SetDay, None),
        "clear_day": (ClearDay, None),
        "note": (Note, None),
        "add_account": (AddAccount, Account),
        "set_role": (SetRole, Account),
        "disable_account": (DisableAccount, Account),
        "enable_account": (EnableAccount, Account),
        "set_password": (SetPassword, Account),
        "reset_factor": (ResetFactor, Account),
        "sign_out_everywhere": (SignOutEverywhere, int),
    }
)
"""By the name of a question on the socket: its request and its result."""

MARGIN_S = 5.0
"""A change that has not begun this long before its caller gives up is not made any more."""

_NAMES = {kind: name for name, (kind, _) in ASKED.items()}


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request on the socket; `before_s` is CLOCK_MONOTONIC, the same for all of the machine.

    `by` is the caller's own word: the socket is for its owner and root alone.
    """

    request: dict[str, Any]
    by: str
    before_s: float

    def __repr__(self) -> str:
        return "_Asked(***)"


@dataclass(frozen=True, slots=True)
class _InTime:
    """A request that is refused once its caller has gone, who was told that it failed."""

    request: Request[Any]
    before_s: float
    monotonic_s: Callable[[], float]

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Any:
        if self.monotonic_s() >= self.before_s:
            raise StoreError("the web process was stuck and nothing was changed; try again")
        return self.request.carried_out(branch, moment)


def ask_web(
    path: Path, request: Request[ResultT], *, by: str, timeout_s: float, monotonic_s: float
) -> ResultT:
    """Have the web process change ``branch.db`` by its own clock, audited; return the result.

    `timeout_s` is the longest wait, more than :data:`MARGIN_S`. What has not begun that long before
    its end is not done later either.

    Raises:
        InputError: it was refused, with the writer's reason; nothing was changed.
        NotAnsweringError: web is not running, or it did not answer in time.
        StoreError: the file can't be written; nothing was changed.
    """
    name = _NAMES[type(request)]
    about = _Asked(msgspec.to_builtins(request), by, monotonic_s + timeout_s - MARGIN_S)
    question = Question(name, msgspec.to_builtins(about))
    if len(msgspec.json.encode(question)) >= LINE_LIMIT:
        raise InputError("that is too much text to hand to the web process; shorten it")
    told = ask(path, question, timeout_s=timeout_s, whom="web")
    try:
        result: ResultT = msgspec.convert(told.get("done"), ASKED[name][1])
    except msgspec.ValidationError:
        raise StoreError("the web process is of another version; restart it") from None
    return result


def branch_answers(
    carry_out: Callable[[Request[Any]], Any], monotonic_s: Callable[[], float]
) -> Answers:
    """Return the web process's answers to requests to change ``branch.db``.

    `carry_out` has the writer do it, on the writer's thread, and may raise `DoorctlError`; each
    question calls it on a thread of its own.
    """

    def answer(kind: type[Any], question: Question) -> Answer:
        asked = msgspec.convert(question.about, _Asked)
        request = msgspec.convert(asked.request, kind)
        audited = Audited(request, asked.by)
        done = carry_out(_InTime(audited, asked.before_s, monotonic_s))
        return {"done": msgspec.to_builtins(done)}

    def answering(kind: type[Any]) -> Callable[[Question], Answer]:
        return lambda question: answer(kind, question)

    return {name: answering(kind) for name, (kind, _) in ASKED.items()}
