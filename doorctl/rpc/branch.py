"""Questions to ``branch.db``'s one writer on their way to the web process, over its Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from doorctl.access.day import Override
from doorctl.access.rights import ALL_BRANCHES, Ban, Pass
from doorctl.accounts import administration
from doorctl.accounts.account import (
    Account,
    AccountProvided,
    Event,
    PasswordChanged,
    Role,
    SecondFactorSet,
    SignedIn,
    SignedOut,
    SignInRefused,
)
from doorctl.accounts.ports import Books
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.ports import BranchBook, BranchWriter, DaySource, StoredDay
from doorctl.privacy.audit import Action, AuditWriter, Deed
from doorctl.rpc.control import LINE_LIMIT, Answer, Answers, Question, ask

# What may be asked of ``branch.db``'s one writer, each as a value that says how it is done.
#
# The same value is carried out at once by whoever holds the file, or travels to the web process.

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OpenBranch:
    """``branch.db`` in the hands of its one writer; all of it belongs to one thread."""

    book: BranchBook
    writer: BranchWriter
    audit: AuditWriter
    staff: Books


class Request(Protocol[ResultT_co]):
    """One change of ``branch.db``."""

    def carried_out(self, branch: OpenBranch, moment: Moment) -> ResultT_co:
        """Change it, durably, and return what was changed.

        Raises:
            InputError: it makes no sense; nothing was changed.
            StoreError: nothing was changed.
        """


@dataclass(frozen=True, slots=True)
class AddBan:
    """Ban a card, a patron with all cards, or both; a ban with its number is what comes of it."""

    ban: Ban
    row_key: bytes | None = field(repr=False)
    patron_ref: str | None = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Ban:
        """Ban them; a ban that adds nothing to one that stands is refused."""
        ban, key, ref = self.ban, self.row_key, self.patron_ref
        # A ban of a patron is of all cards, whichever of them was swiped; no row has an empty key.
        whose = (key or b"", None) if ref is None else (b"", ref)
        refuse_second(ban, branch.book.bans(*whose))
        return branch.writer.ban(ban, moment, row_key=key, patron_ref=ref)


@dataclass(frozen=True, slots=True)
class LiftBan:
    """Lift a ban before its end."""

    number: int

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Ban:
        """Lift it."""
        return branch.writer.lift(self.number, moment)


@dataclass(frozen=True, slots=True)
class IssuePass:
    """Issue a pass for a card or code; a pass with its number is what comes of it."""

    new: Pass
    row_key: bytes = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Pass:
        """Issue it."""
        return branch.writer.issue(self.new, moment, row_key=self.row_key)


@dataclass(frozen=True, slots=True)
class RevokePass:
    """Take a pass back."""

    number: int

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Pass:
        """Revoke it."""
        return branch.writer.revoke(self.number, moment)


@dataclass(frozen=True, slots=True)
class SetMode:
    """Set a mode by hand in place of any other."""

    override: Override

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Set it."""
        branch.writer.set_override(self.override, moment)


@dataclass(frozen=True, slots=True)
class EndMode:
    """Go back to the calendar."""

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Override:
        """End the mode that was set by hand; return it."""
        return branch.writer.end_override(moment)


@dataclass(frozen=True, slots=True)
class SetDay:
    """Say what the hours of a date are, in place of what staff said of it before."""

    day: StoredDay

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Say it; what staff said of other dates stays."""
        others = (one for one in said_by_staff(branch.book, moment) if one.day != self.day.day)
        days = [*others, self.day]
        branch.writer.set_days(DaySource.STAFF, days, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class ClearDay:
    """Take back what staff said of a date."""

    day: date

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Take it back; a date of which they said nothing, or that is past, is refused."""
        said = list(said_by_staff(branch.book, moment))
        others = [one for one in said if one.day != self.day]
        if others == said:
            raise InputError(f"staff have set no hours for {self.day} that could be cleared")
        branch.writer.set_days(DaySource.STAFF, others, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class Note:
    """Put a deed on the audit log that changes nothing here, such as a look at somebody."""

    deed: Deed

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Do nothing: it is told of in the audit log as every change is."""


def refuse_second(ban: Ban, standing: Iterable[Ban]) -> None:
    """Refuse a ban beside one that keeps the same people out as early, as long and as widely.

    Args:
        ban: to be added.
        standing: those of the same card or patron that were not lifted, in force or not.

    Raises:
        InputError: there is such a one.
    """
    if any(_covers(one, ban) for one in standing):
        raise InputError(
            "the card or patron is banned for as long already; lift that ban first if this one is "
            "to take its place"
        )


def _covers(standing: Ban, ban: Ban) -> bool:
    as_long = standing.until is None or (ban.until is not None and ban.until <= standing.until)
    as_widely = ALL_BRANCHES in standing.branches or ban.branches <= standing.branches
    return standing.since <= ban.since and as_long and as_widely


def said_by_staff(book: BranchBook, moment: Moment) -> Iterator[StoredDay]:
    """Yield what staff said of today and later, in order of date."""
    known = moment.local if moment.dependable else moment.high_water
    today = known.astimezone(moment.local.tzinfo).date()
    for source in book.calendar().sources:
        if source.source is DaySource.STAFF:
            yield from (one for one in source.days if one.day >= today)


# Changes of staff accounts that may be asked of ``branch.db``'s one writer.
#
# A password is stretched before: neither the socket nor the file ever has it.


@dataclass(frozen=True, slots=True)
class AddAccount:
    """Add a local account; it is what comes of it."""

    account: Account
    hashed: str = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Add it."""
        return administration.add(branch.staff, self.account, self.hashed, moment)


@dataclass(frozen=True, slots=True)
class SetRole:
    """Give an account another role, which ends its sessions."""

    name: str
    role: Role

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_role(branch.staff, self.name, self.role, moment)


@dataclass(frozen=True, slots=True)
class DisableAccount:
    """Let nobody sign in to an account any more, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Disable it."""
        return administration.disable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class EnableAccount:
    """Let an account be signed in to again, at once."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Enable it."""
        return administration.enable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Give an account another password, which ends its sessions."""

    name: str
    hashed: str = field(repr=False)
    must_change: bool = False

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_password(
            branch.staff, self.name, self.hashed, moment, must_change=self.must_change
        )


@dataclass(frozen=True, slots=True)
class ResetFactor:
    """Take an account's second factor, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Take it."""
        return administration.reset_factor(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SignOutEverywhere:
    """End all sessions of an account; their number is what comes of it."""

    name: str

    def carried_out(self, branch: OpenBranch, _moment: Moment) -> int:
        """End them."""
        return administration.sign_out_everywhere(branch.staff, self.name)


# What sign-ins and changes of accounts are on the audit log: logins, roles and counts.

NOBODY = "(not signed in)"
"""Who it was that was refused."""

PROVIDER = "(identity provider)"
"""Who it was that gave an account its role."""


def told(event: Event) -> tuple[Deed, str]:
    """Return what an event is on the audit log, and by whom."""
    match event:
        case SignedIn(account, codes_left):
            left = {} if codes_left is None else {"codes_left": codes_left}
            return Deed(Action.SIGNED_IN, details=left), account
        case SignedOut(account, sessions):
            return Deed(Action.SIGNED_OUT, details={"sessions": sessions}), account
        case PasswordChanged(account):
            return Deed(Action.ACCOUNT_PASSWORD_SET, details={"account": account}), account
        case SecondFactorSet(account):
            return Deed(Action.ACCOUNT_FACTOR_SET, details={"account": account}), account
        case AccountProvided(account, role):
            details: dict[str, int | str] = {"account": account, "role": role, "signed_in": 1}
            return Deed(Action.ACCOUNT_CHANGED, details=details), PROVIDER
        case SignInRefused(account, why, wait_s):
            known = {} if account is None else {"account": account}
            refused = {**known, "why": why.value, "wait_s": wait_s}
            return Deed(Action.SIGN_IN_REFUSED, details=refused), NOBODY


def _added(_asked: AddAccount, account: Account) -> Deed:
    details = {"account": account.name, "role": account.role.value}
    return Deed(Action.ACCOUNT_ADDED, details=details)


def _role_set(_asked: SetRole, account: Account) -> Deed:
    details = {"account": account.name, "role": account.role.value}
    return Deed(Action.ACCOUNT_CHANGED, details=details)


def _disabled(_asked: DisableAccount, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_DISABLED, details={"account": account.name})


def _enabled(_asked: EnableAccount, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_ENABLED, details={"account": account.name})


def _password_set(_asked: SetPassword, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_PASSWORD_SET, details={"account": account.name})


def _factor_reset(_asked: ResetFactor, account: Account) -> Deed:
    return Deed(Action.ACCOUNT_FACTOR_RESET, details={"account": account.name})


def _signed_out(asked: SignOutEverywhere, sessions: int) -> Deed:
    return Deed(Action.SIGNED_OUT, details={"account": asked.name, "sessions": sessions})


ACCOUNT_DEEDS: Mapping[type[Any], Callable[[Any, Any], Deed]] = MappingProxyType(
    {
        AddAccount: _added,
        SetRole: _role_set,
        DisableAccount: _disabled,
        EnableAccount: _enabled,
        SetPassword: _password_set,
        ResetFactor: _factor_reset,
        SignOutEverywhere: _signed_out,
    }
)
"""Every request has its deed."""


# What each change of ``branch.db`` is on the audit log, written in the change's transaction.

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Audited(Generic[ResultT]):
    """A request with who asks: both the change and its audit entry are durable, or neither.

    Args:
        request: what is to be done.
        by: the login or account.
    """

    request: Request[ResultT]
    by: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> ResultT:
        """Carry it out, put it on the audit log and return what came of it."""
        with branch.audit.together(moment):
            done = self.request.carried_out(branch, moment)
            branch.audit.append(deed_of(self.request, done), self.by, moment)
        return done


def deed_of(request: Request[Any], done: Any) -> Deed:
    """Return what a request is on the audit log, once `done` has come of it."""
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
"""What a question is called on the socket, how it is asked and what comes of it."""

MARGIN_S = 5.0
"""A change that has not begun so long before the asker gives up is not made any more."""

_NAMES = {kind: name for name, (kind, _) in ASKED.items()}


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request on the socket; `before_s` is CLOCK_MONOTONIC, which is one for the machine.

    `by` is the caller's own word for who it is: the socket is for its owner and root alone.
    """

    request: dict[str, Any]
    by: str
    before_s: float

    def __repr__(self) -> str:
        return "_Asked(***)"


@dataclass(frozen=True, slots=True)
class _InTime:
    """A request that is refused once whoever asked has gone: they were told that it failed."""

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
    """Have the web process change ``branch.db``; return what came of it.

    Args:
        path: web's socket.
        request: what is to be done, by web's clock; it goes on the audit log too.
        by: the caller's login.
        timeout_s: longest wait, more than :data:`MARGIN_S`. What has not begun that long before
            its end is not done later either.
        monotonic_s: now.

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
    """Return what the web process answers to those who want ``branch.db`` changed.

    Args:
        carry_out: has the writer do it, on the writer's thread; may raise `DoorctlError`. Called
            on a thread for each question.
        monotonic_s: tells CLOCK_MONOTONIC.
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
