"""The deeds of staff that change ``branch.db``, each declared once, as a function.

The function's name and arguments are the question on the web process's socket, its result is the
answer, and its action stands on the audit log, in the transaction of the change. The process that
holds the file carries a deed out at once, any other sends it to web.

A deed raises InputError where it makes no sense, and StoreError where the disk fails: nothing was
changed then, and nothing is on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, partial
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, get_args, get_type_hints

import msgspec

from doorctl.access.calendar import WEEKDAYS, DaySource, Mode, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.accounts.account import Account, Origin, own_name, refuse_account
from doorctl.accounts.roles import Permission, Role
from doorctl.accounts.throttle import ACCOUNT, NONE
from doorctl.config.clashes import hours_of
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.core.ports import Unshown
from doorctl.core.texts import SHORT_TEXT
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.subject import Decision, Subject
from doorctl.rpc.question import Answers, Askers, Done, Question
from doorctl.store.accounts import Books
from doorctl.store.alarms import StoredAlarms
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_rows import LastOverride
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.objections import decide, object_to, restrict, unrestrict
from doorctl.store.records import AuditTrail

ArgumentsP = ParamSpec("ArgumentsP")
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)
MessageT = TypeVar("MessageT")

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""


class Message(Unshown, Generic[MessageT], frozen=True):
    """A request on the socket; `before_s` is CLOCK_MONOTONIC, the same for all of the machine.

    `by` is the caller's own word: the socket is for its owner and root alone.
    """

    request: MessageT
    by: str
    before_s: float


@dataclass(frozen=True, slots=True)
class OpenBranch:
    """``branch.db`` in the hands of its one writer; all of it belongs to one thread."""

    book: BranchRecords
    writer: BranchRecordsWriter
    audit: AuditTrail
    staff: Books


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ResultT_co]):
    """A deed's result, and what stands on the audit log beside its action; see `Deed`."""

    result: ResultT_co
    details: Details = field(default_factory=dict)
    cards: tuple[bytes, ...] = field(default=(), repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    why: str = ""
    action: Action | None = None


@dataclass(frozen=True)
class StaffDeed(Generic[ArgumentsP, ResultT_co]):
    """A deed; call it with its arguments for a request.

    `action` is None where the arguments say which. Pages need the `permission`; commands are
    root's.
    """

    name: str
    action: Action | None
    permission: Permission
    function: Callable[..., Outcome[ResultT_co]] = field(repr=False)

    def __call__(self, *args: ArgumentsP.args, **kwargs: ArgumentsP.kwargs) -> Request[ResultT_co]:
        """Return the request to do it."""
        return Request(self, self.arguments(*args, **kwargs))

    @cached_property
    def arguments(self) -> Callable[..., msgspec.Struct]:
        """The type of the arguments, as they travel."""
        hints, parameters = get_type_hints(self.function), signature(self.function).parameters
        fields = [
            (name, hints[name], *(() if arg.default is arg.empty else (arg.default,)))
            for name, arg in list(parameters.items())[2:]
        ]
        return msgspec.defstruct(self.name, fields, bases=(Unshown,), frozen=True)

    @cached_property
    def question(self) -> Question[Any, Done[ResultT_co]]:
        """The question by which the web process is asked for it."""
        message: Any = Message
        done: Any = Done
        (result, *_) = get_args(get_type_hints(self.function)["return"])
        return Question(
            self.name,
            message[self.arguments],
            done[result],
            "web",
            WRITE_LIMIT_S,
            Askers.OWN,
            too_long="that is too much text to hand to the web process; shorten it",
        )


@dataclass(frozen=True, slots=True)
class Request(Generic[ResultT_co]):
    """A deed with its arguments, which are shown nowhere."""

    deed: StaffDeed[..., ResultT_co]
    arguments: msgspec.Struct = field(repr=False)

    def run(self, branch: OpenBranch, by: str, moment: Moment) -> ResultT_co:
        """Do it for the login or account `by`; both it and its audit entry are kept, or neither."""
        with branch.audit.together(moment):
            done = self.deed.function(branch, moment, **msgspec.structs.asdict(self.arguments))
            action = Action(self.deed.action or done.action)
            entry = Deed(action, done.cards, done.patron_ref, done.why, done.details)
            branch.audit.append(entry, by, moment)
        return done.result


_DEEDS: Final[dict[str, StaffDeed[..., Any]]] = {}

DEEDS: Final[Mapping[str, StaffDeed[..., Any]]] = MappingProxyType(_DEEDS)
"""By the name of its question on the socket."""


def deed(
    action: Action | None, permission: Permission
) -> Callable[
    [Callable[Concatenate[OpenBranch, Moment, ArgumentsP], Outcome[ResultT]]],
    StaffDeed[ArgumentsP, ResultT],
]:
    """Declare a function as a deed, under its own name."""

    def declared(
        function: Callable[Concatenate[OpenBranch, Moment, ArgumentsP], Outcome[ResultT]],
    ) -> StaffDeed[ArgumentsP, ResultT]:
        made: StaffDeed[ArgumentsP, ResultT] = StaffDeed(
            function.__name__, action, permission, function
        )
        _DEEDS[made.name] = made
        return made

    return declared


@deed(Action.BAN_ADDED, Permission.CHANGE_BANS)
def add_ban(
    branch: OpenBranch, moment: Moment, ban: Ban, row_key: bytes | None, patron_ref: str | None
) -> Outcome[Ban]:
    """Ban a card, a patron with all cards, or both; returns the ban with its number.

    A ban that adds nothing to one that stands is refused.
    """
    # A ban of a patron is of all cards, whichever of them was swiped; no row has an empty key.
    whose = (row_key or b"", None) if patron_ref is None else (b"", patron_ref)
    if any(standing.covers(ban) for standing in branch.book.bans(*whose)):
        raise InputError(
            "the card or patron is banned for as long already; lift that ban first if this one is "
            "to take its place"
        )
    added = branch.writer.ban(ban, moment, row_key=row_key, patron_ref=patron_ref)
    cards = () if row_key is None else (row_key,)
    return Outcome(added, {"number": added.number}, cards, patron_ref, added.reason)


@deed(Action.BAN_CHANGED, Permission.CHANGE_BANS)
def change_ban(branch: OpenBranch, moment: Moment, ban: Ban) -> Outcome[Ban]:
    """Give the ban of this number another end, reason, reach or letter; whose it is stays."""
    changed = branch.writer.change_ban(ban, moment)
    return Outcome(changed, {"number": changed.number}, why=changed.reason)


@deed(Action.BAN_LIFTED, Permission.CHANGE_BANS)
def lift_ban(branch: OpenBranch, moment: Moment, number: int) -> Outcome[Ban]:
    """Lift a ban before its end; returns it."""
    ban = branch.writer.lift(number, moment)
    return Outcome(ban, {"number": ban.number})


@deed(Action.PASS_ISSUED, Permission.CHANGE_PASSES)
def issue_pass(branch: OpenBranch, moment: Moment, new: Pass, row_key: bytes) -> Outcome[Pass]:
    """Issue a pass for a card or code; returns the pass with its number."""
    held = branch.writer.issue(new, moment, row_key=row_key)
    return Outcome(held, {"number": held.number, "kind": held.kind.value}, (row_key,))


@deed(Action.PASS_CHANGED, Permission.CHANGE_PASSES)
def change_pass(branch: OpenBranch, moment: Moment, held: Pass) -> Outcome[Pass]:
    """Give the pass of this number other days, hours or words; its card or code stays."""
    changed = branch.writer.change_pass(held, moment)
    return Outcome(changed, {"number": changed.number, "kind": changed.kind.value})


@deed(Action.PASS_REVOKED, Permission.CHANGE_PASSES)
def revoke_pass(branch: OpenBranch, moment: Moment, number: int) -> Outcome[Pass]:
    """Take a pass back; returns it."""
    held = branch.writer.revoke(number, moment)
    return Outcome(held, {"number": held.number})


@deed(Action.ALARM_ENDED, Permission.ACKNOWLEDGE)
def end_alarm(branch: OpenBranch, moment: Moment, kind: str) -> Outcome[None]:
    """End an alarm that stands, though nobody has reported its end."""
    if not StoredAlarms(branch.writer).end((kind,), moment):
        raise InputError("no such alarm stands; doorctl status has the names of those that do")
    return Outcome(None, {"alarm": kind})


@deed(Action.MODE_SET, Permission.SET_MODE)
def set_mode(
    branch: OpenBranch, moment: Moment, override: Override, before: int | None = None
) -> Outcome[None]:
    """Set a mode by hand in place of any other; a lockdown gives way to a longer one alone.

    It is refused where `before`, the version that the caller has seen, is over by now; a lockdown
    is not, for it must be possible whatever else has been done.
    """
    last = branch.book.last_override()
    locked = _locked(last)
    if override.mode is Mode.LOCKDOWN:
        if locked is not None and override.until <= locked.until:
            raise InputError(LOCKED_ALREADY, by=locked.by)
    elif locked is not None:
        raise InputError(LOCKED, by=locked.by)
    else:
        _refuse_other_mode(last, before)
    branch.writer.set_override(override, moment)
    until = override.until.isoformat(timespec="seconds")
    return Outcome(None, {"mode": override.mode.value, "until": until}, why=override.cause)


@deed(Action.MODE_ENDED, Permission.SET_MODE)
def end_mode(
    branch: OpenBranch,
    moment: Moment,
    by: str = "",
    before: int | None = None,
    *,
    lockdown: bool = False,
) -> Outcome[Override]:
    """Go back to the calendar, for the account `by`; returns the mode that was set by hand.

    A lockdown is ended by a caller that says so by `lockdown`, and nothing else then; `before` is
    as for :func:`set_mode`.
    """
    last = branch.book.last_override()
    locked = _locked(last)
    if locked is not None and not lockdown:
        raise InputError(LOCKED, by=locked.by)
    if locked is None and lockdown:
        raise InputError(NOT_LOCKED)
    _refuse_other_mode(last, before)
    ended = branch.writer.end_override(moment, by)
    return Outcome(ended, {"mode": ended.mode.value})


LOCKED = "{by} has locked the door for everybody: lift the lockdown first; nothing was changed"
LOCKED_ALREADY = "{by} has locked the door for everybody already; nothing was changed"
NOT_LOCKED = "the lockdown was lifted already; nothing was changed"
CHANGED_BY = "{by} has changed the mode meanwhile: look, and send it again; nothing was changed"
CHANGED = "the mode was changed meanwhile: look, and send it again; nothing was changed"
MODE_CONFLICTS = frozenset({LOCKED, LOCKED_ALREADY, NOT_LOCKED, CHANGED_BY, CHANGED})
"""Refusals of a mode because of what others have done."""


def _locked(last: LastOverride | None) -> Override | None:
    """Return the lockdown that nobody has lifted yet; its time may be over."""
    standing = None if last is None else last.standing
    return standing if standing is not None and standing.mode is Mode.LOCKDOWN else None


def _refuse_other_mode(last: LastOverride | None, before: int | None) -> None:
    version = 0 if last is None else last.version
    if before is None or before == version:
        return
    by = "" if last is None else last.override.by if last.ended_at is None else last.ended_by
    raise InputError(CHANGED_BY, by=by) if by else InputError(CHANGED)


@deed(Action.CALENDAR_CHANGED, Permission.CHANGE_CALENDAR)
def set_day(
    branch: OpenBranch, moment: Moment, day: StoredDay, more: tuple[StoredDay, ...] = ()
) -> Outcome[None]:
    """Set the hours of a date, and of `more`; the hours that staff set for others stay."""
    new = {one.day: one for one in (day, *more)}
    others = [stored for stored in _set_by_staff(branch.book, moment) if stored.day not in new]
    branch.writer.set_days(DaySource.STAFF, [*others, *new.values()], moment, known_until=None)
    return Outcome(None, {"day": _listed(new)})


@deed(Action.CALENDAR_CHANGED, Permission.CHANGE_CALENDAR)
def clear_day(
    branch: OpenBranch, moment: Moment, day: date, more: tuple[date, ...] = ()
) -> Outcome[None]:
    """Take back the hours that staff set for a date, and for `more`.

    Where no date has any, or all are past, it is refused.
    """
    before = _set_by_staff(branch.book, moment)
    cleared = [stored.day for stored in before if stored.day in {day, *more}]
    if not cleared:
        raise InputError("staff have set no hours for {day} that could be cleared", day=day)
    others = [stored for stored in before if stored.day not in cleared]
    branch.writer.set_days(DaySource.STAFF, others, moment, known_until=None)
    return Outcome(None, {"day": _listed(cleared), "cleared": len(cleared)})


@deed(Action.WEEK_CHANGED, Permission.CHANGE_CALENDAR)
def set_week(
    branch: OpenBranch, moment: Moment, week: StoredWeek, before: StoredWeek | None
) -> Outcome[None]:
    """Set the usual week, unless another than `before` stands by now, which somebody else set."""
    if branch.book.calendar().week != before:
        raise InputError("somebody else has changed the usual week; look, and save again")
    known = (None,) * len(WEEKDAYS) if before is None else before.days
    days = zip(WEEKDAYS, known, week.days, strict=True)
    changed = {name: hours_of(new)[:SHORT_TEXT] for name, old, new in days if new != old}
    if not changed:
        raise InputError("that is the usual week already")
    branch.writer.set_week(week, moment)
    return Outcome(None, changed)


@deed(Action.SUBJECT_RESTRICTED, Permission.SUBJECT_RIGHTS)
def subject_restrict(
    branch: OpenBranch, moment: Moment, subject: Subject, by: str, why: str
) -> Outcome[None]:
    """Keep a person's data unused; refused where they are restricted already."""
    restrict(branch.writer, subject, by, moment)
    return Outcome(None, {}, tuple(sorted(subject.row_keys)), subject.patron_ref, why)


@deed(Action.SUBJECT_UNRESTRICTED, Permission.SUBJECT_RIGHTS)
def subject_unrestrict(
    branch: OpenBranch, moment: Moment, subject: Subject, why: str
) -> Outcome[None]:
    """Use a person's data again; refused where they are not restricted."""
    unrestrict(branch.writer, subject, moment)
    return Outcome(None, {}, tuple(sorted(subject.row_keys)), subject.patron_ref, why)


@deed(Action.SUBJECT_OBJECTED, Permission.SUBJECT_RIGHTS)
def subject_object(
    branch: OpenBranch, moment: Moment, subject: Subject, by: str, why: str
) -> Outcome[None]:
    """Record an objection under its reference `why`; refused where one is not decided yet."""
    object_to(branch.writer, subject, why, by, moment)
    return Outcome(None, {}, tuple(sorted(subject.row_keys)), subject.patron_ref, why)


@deed(Action.OBJECTION_DECIDED, Permission.SUBJECT_RIGHTS)
def subject_decide(
    branch: OpenBranch, moment: Moment, subject: Subject, decision: Decision, why: str
) -> Outcome[None]:
    """Decide a person's objection, for the reason `why`; refused where there is none."""
    decide(branch.writer, subject, decision, why, moment)
    details = {"decision": decision.value}
    return Outcome(None, details, tuple(sorted(subject.row_keys)), subject.patron_ref, why)


def _listed(days: Iterable[date]) -> str:
    return ", ".join(sorted(day.isoformat() for day in days))


@deed(None, Permission.SEE_NOW)
def note(_branch: OpenBranch, _moment: Moment, deed: Deed) -> Outcome[None]:
    """Put a deed on record that changes nothing here, such as a look at a person's data."""
    return Outcome(None, deed.details, deed.cards, deed.patron_ref, deed.why, deed.action)


# Of a password only the hash arrives here: neither the socket nor the file has it. A name
# that is no account's is refused. One local account of KEEPERS has to work always: it is the way in
# while the identity provider is down, and root on the machine can add another one.


@deed(Action.ACCOUNT_ADDED, Permission.ACCOUNTS)
def add_account(
    branch: OpenBranch, moment: Moment, account: Account, hashed: str
) -> Outcome[Account]:
    """Add a local account, unless its login is taken; returns it."""
    refuse_account(account)
    if branch.staff.accounts.find(account.name) is not None:
        raise InputError("there is an account {name} already; list them", name=account.name)
    branch.staff.accounts.keep(account, moment)
    branch.staff.accounts.keep_password(account.name, hashed)
    branch.staff.failures.keep(ACCOUNT, account.name, NONE)
    return Outcome(account, {"account": account.name, "role": account.role.value})


@deed(Action.ACCOUNT_CHANGED, Permission.ACCOUNTS)
def set_role(branch: OpenBranch, moment: Moment, name: str, role: Role) -> Outcome[Account]:
    """Give an account another role, unless the identity provider does; returns it."""
    account = _account(branch, name)
    if account.origin is not Origin.LOCAL:
        raise InputError(
            "the role of {name} follows its groups at the identity provider", name=account.name
        )
    return _changed(branch, account, replace(account, role=role), moment, {"role": role.value})


@deed(Action.ACCOUNT_DISABLED, Permission.ACCOUNTS)
def disable_account(branch: OpenBranch, moment: Moment, name: str) -> Outcome[Account]:
    """Let nobody sign in to an account any more; returns it."""
    account = _account(branch, name)
    return _changed(branch, account, replace(account, disabled=True), moment)


@deed(Action.ACCOUNT_ENABLED, Permission.ACCOUNTS)
def enable_account(branch: OpenBranch, moment: Moment, name: str) -> Outcome[Account]:
    """Let an account be signed in to again, at once, and forget its failures; returns it."""
    account = _account(branch, name)
    branch.staff.failures.keep(ACCOUNT, account.name, NONE)
    return _changed(branch, account, replace(account, disabled=False), moment)


@deed(Action.ACCOUNT_PASSWORD_SET, Permission.ACCOUNTS)
def set_password(
    branch: OpenBranch, moment: Moment, name: str, hashed: str, must_change: bool = False
) -> Outcome[Account]:
    """Give an account another password, and forget its failures; returns it."""
    account = _account(branch, name)
    if account.origin is not Origin.LOCAL:
        raise InputError("the password of {name} is the identity provider's", name=account.name)
    branch.staff.accounts.keep_password(account.name, hashed)
    branch.staff.failures.keep(ACCOUNT, account.name, NONE)
    return _changed(branch, account, replace(account, must_change=must_change), moment)


@deed(Action.ACCOUNT_FACTOR_RESET, Permission.ACCOUNTS)
def reset_factor(branch: OpenBranch, moment: Moment, name: str) -> Outcome[Account]:
    """Take an account's second factor, if it has one, which its owner has lost; returns it."""
    account = _account(branch, name)
    if not account.second_factor:
        raise InputError("{name} has no second factor that could be reset", name=account.name)
    branch.staff.accounts.keep_factor(account.name, None)
    return _changed(branch, account, replace(account, second_factor=False), moment)


@deed(Action.SIGNED_OUT, Permission.ACCOUNTS)
def sign_out_everywhere(branch: OpenBranch, _moment: Moment, name: str) -> Outcome[int]:
    """End all sessions of an account; returns their number."""
    account = _account(branch, name)
    ended = branch.staff.sessions.end_all(account.name)
    return Outcome(ended, {"account": account.name, "sessions": ended})


def _account(branch: OpenBranch, typed: str) -> Account:
    name = own_name(typed)
    account = branch.staff.accounts.find(name)
    if account is None:
        raise InputError("there is no account {name}; list them", name=name)
    return account


def _changed(
    branch: OpenBranch,
    before: Account,
    after: Account,
    moment: Moment,
    details: Details = MappingProxyType({}),
) -> Outcome[Account]:
    """Keep an account as it is from now on, and end its sessions."""
    if before.keeps_the_house and not after.keeps_the_house:
        others = (other for other in branch.staff.accounts.every() if other.name != before.name)
        if not any(other.keeps_the_house for other in others):
            raise InputError(
                "{name} is the last local manager or technician who can sign in; add another one "
                "first",
                name=before.name,
            )
    branch.staff.accounts.keep(after, moment)
    branch.staff.sessions.end_all(after.name)
    return Outcome(after, {"account": after.name, **details})


def _set_by_staff(book: BranchRecords, moment: Moment) -> list[StoredDay]:
    """Return the hours that staff set for today and later, in order of date."""
    staff, today = book.calendar().sources.get(DaySource.STAFF), moment.known_time.date()
    return [day for day in staff.days if day.day >= today] if staff else []


# Asks the web process, the one writer of ``branch.db``, for a deed of staff, over its socket.

MARGIN_S = 5.0
"""A change that has not begun this long before its caller gives up is not made any more."""


def ask_web(
    path: Path, request: Request[ResultT], *, by: str, timeout_s: float, monotonic_s: float
) -> ResultT:
    """Have the web process change ``branch.db`` by its own clock, audited; return the result.

    `timeout_s` is the longest wait, more than :data:`MARGIN_S`. A change that has not begun that
    long before its end is dropped.

    Raises InputError: it was refused, with the writer's reason; nothing was changed.
    NotAnsweringError: web is not running, or it did not answer in time. StoreError: the file can't
    be written; nothing was changed.
    """
    message = Message(request.arguments, by, monotonic_s + timeout_s - MARGIN_S)
    return request.deed.question.ask(path, message, timeout_s=timeout_s).done


def branch_answers(
    run: Callable[[Callable[[OpenBranch, Moment], Any]], Any], monotonic_s: Callable[[], float]
) -> Answers:
    """Return the web process's answers to requests to change ``branch.db``.

    `run` does a job on the writer's thread; each question calls it on a thread of its own.
    """

    def work(deed: StaffDeed[..., Any], message: Message[Any]) -> Done[Any]:
        request = Request(deed, message.request)

        def in_time(branch: OpenBranch, moment: Moment) -> Any:
            # Its caller has gone, who was told that it failed.
            if monotonic_s() >= message.before_s:
                raise StoreError("the web process was stuck and nothing was changed; try again")
            return request.run(branch, message.by, moment)

        return Done(run(in_time))

    answers = (deed.question.answered(partial(work, deed)) for deed in DEEDS.values())
    return {name: answer for of_a_deed in answers for name, answer in of_a_deed.items()}
