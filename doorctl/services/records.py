"""Builds both ends of the audit log: what commands put on it, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import Any

import msgspec

from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.core.staff_text import refuse_purpose
from doorctl.ports import Clock, Visit
from doorctl.privacy.audit import Action, Deed, Entry, Head, Verdict, erased_before
from doorctl.privacy.audit import verify as verify_chain
from doorctl.privacy.hold import (
    Hold,
    HoldAdded,
    HoldAsked,
    HoldBook,
    HoldLifted,
    HoldShown,
    accepted,
    chosen,
    readable_since,
)
from doorctl.rpc.branch import Note
from doorctl.rpc.control import Question, ask
from doorctl.services.app import branch_db, by_the_owner, retention, system_clock, visits_db
from doorctl.services.branch import BranchDesk, change
from doorctl.services.purging import Audit, Run, unaudited
from doorctl.store.audit import AuditRecords
from doorctl.store.door_log import VisitHistory
from doorctl.store.visits import open_or_create_visits


def note(config: Config, deed: Deed, by: str | None = None) -> None:
    """Put a look or a deed on the audit log, durably; by whoever calls unless it says by whom.

    Whoever shows personal data calls this first and shows nothing if it raises.

    Raises:
        InputError: it has a reason that says nothing.
        StoreError: it could not be written.
    """
    refuse_purpose(deed.why, "reason", optional=True)
    change(config, Note(deed), by)


def note_done(config: Config, deed: Deed, by: str | None = None) -> None:
    """Put on the audit log what has been done already, as :func:`note` does.

    Whoever did it calls this before a word of it is told: an output may fail.

    Raises:
        StoreError: it could not be written; the text says that it is done all the same.
    """
    try:
        note(config, deed, by)
    except StoreError as err:
        raise StoreError(f"it is done, but the audit log does not say so: {err}") from err


def entries(
    config: Config, since: datetime | None, why: str = "", by: str | None = None
) -> tuple[Entry, ...]:
    """Return the entries that are kept, oldest first; to read them goes on the log before.

    Args:
        config: the whole configuration.
        since: from this time on; without an offset it is local; None for all.
        why: the reason for the look.
        by: who looks; None for whoever calls.

    Raises:
        StoreError: the log can't be read, or not be written.
    """
    moment = system_clock(config).moment()
    asked = since
    if asked is not None and asked.tzinfo is None:
        asked = asked.replace(tzinfo=moment.local.tzinfo)
    oldest = erased_before(moment)
    with _records(config) as records:
        found = records.entries(None if asked is None else asked.astimezone(UTC))
    shown = tuple(one for one in found if oldest is None or one.at >= oldest)
    note(config, Deed(Action.AUDIT_READ, why=why, details={"entries": len(shown)}), by)
    return shown


def verify(config: Config, anchors: Collection[Head] = ()) -> Verdict:
    """Check the whole chain; see `audit_chain.verify`.

    Raises:
        StoreError: it can't be read.
    """
    with _records(config) as records:
        # Asked before the links: what is added in between is no break.
        last_number = records.last_number()
        return verify_chain(records.links(), last_number, anchors)


def head(config: Config) -> Head:
    """Return the chain's end.

    Raises:
        StoreError: it can't be read.
    """
    with _records(config) as records:
        return records.head()


class DesksAudit:
    """The web process's audit log; implements `doorctl.web.reception.PushRecord`. Thread-safe.

    Args:
        desk: owns ``branch.db``.
    """

    def __init__(self, desk: BranchDesk) -> None:
        self._desk = desk

    def note(self, deed: Deed, by: str) -> None:
        """Put a deed on record, durably."""
        self._desk.run(lambda branch, moment: branch.audit.append(deed, by, moment))

    def head(self) -> str:
        """Return the chain's end."""
        return str(self._desk.run(lambda branch, _moment: branch.audit.head()))

    def first_held(self, heads: Iterable[str]) -> str | None:
        """Return the first of some heads that is in the chain, None for none."""
        read = {text: Head.read(text) for text in heads}
        return self._desk.run(
            lambda branch, _moment: next(
                (t for t, h in read.items() if branch.audit.holds(h)), None
            )
        )


@contextmanager
def _records(config: Config) -> Iterator[AuditRecords]:
    with closing(AuditRecords(branch_db(config))) as records:
        yield records


# Builds incident holds: the door process's side, and a command's.

ADD, LIFT = "hold_add", "hold_lift"
ANSWER_LIMIT_S = 30.0
"""Longest wait for the door; a hold takes milliseconds, a purge before it longer."""

Answers = Mapping[str, Callable[[Question], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Lifting:
    """A hold that somebody lifts."""

    number: int
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the visits of it that may be shown now.

    Args:
        hold: as stored.
        in_force: whether it holds for certain; else only what any list shows is here.
        visits: oldest first.
    """

    hold: Hold
    in_force: bool
    visits: tuple[Visit, ...]


class Holding:
    """The door log's holds, on the side that writes them.

    Args:
        config: the whole configuration.
        book: the door log's writer.
        clock: any.
        run: has a job done on the thread that the door log belongs to.
        audit: hears of each change.
    """

    def __init__(
        self,
        config: Config,
        book: HoldBook,
        clock: Clock,
        *,
        run: Run[Any],
        audit: Audit = unaudited,
    ) -> None:
        self._config = config
        self._book = book
        self._clock = clock
        self._run = run
        self._audit = audit

    def answers(self) -> Answers:
        """Return what is answered on the control socket."""
        return {ADD: self.add, LIFT: self.lift}

    def add(self, question: Question) -> dict[str, Any]:
        """Add a hold, a :class:`HoldAsked`; return it.

        Raises:
            InputError: it makes no sense.
            StoreError: nothing was changed.
        """
        asked = msgspec.convert(question.about, HoldAsked)
        asked = replace(asked, by=question.signed(asked.by))
        hold = accepted(asked, self._clock.moment(), retention(self._config))
        added: Hold = self._run(partial(self._book.add_hold, hold))
        self._audit(HoldAdded(added))
        return _as_answer(added)

    def lift(self, question: Question) -> dict[str, Any]:
        """Lift a hold, a :class:`Lifting`; return it as it was.

        Raises:
            InputError: there is none of that number.
            StoreError: nothing was changed.
        """
        asked = msgspec.convert(question.about, Lifting)
        by = question.signed(asked.by)
        lifted: Hold = self._run(partial(self._book.lift_hold, asked.number))
        self._audit(HoldLifted(lifted, by))
        return _as_answer(lifted)


def add(config: Config, asked: HoldAsked) -> Hold:
    """Add a hold, by the door where it runs; return it with its number.

    Raises:
        DoorctlError: it makes no sense, or it could not be stored.
    """
    return _changed(config, Question(ADD, msgspec.to_builtins(asked)), Holding.add)


def lift(config: Config, number: int, by: str) -> Hold:
    """Lift a hold, by the door where it runs; return it as it was.

    Raises:
        DoorctlError: there is none of that number, or it could not be lifted.
    """
    return _changed(config, Question(LIFT, msgspec.to_builtins(Lifting(number, by))), Holding.lift)


def stored(config: Config) -> tuple[tuple[Hold, ...], Moment]:
    """Return the holds, oldest first, and the time by which one is in force or not.

    Raises:
        StoreError: the door log can't be read.
    """
    with closing(VisitHistory(visits_db(config))) as history:
        return history.holds(), system_clock(config).moment()


def show(config: Config, number: int, by: str, audit: Audit = unaudited) -> Held:
    """Return what a hold holds, as far as it may be shown now.

    Args:
        config: the whole configuration.
        number: the hold's.
        by: who looks.
        audit: hears of it before anything is shown.

    Raises:
        InputError: there is no such hold.
        StoreError: the door log can't be read.
    """
    moment = system_clock(config).moment()
    with closing(VisitHistory(visits_db(config))) as history:
        hold = chosen(history.holds(), number)
        since = readable_since(hold, moment, retention(config))
        visits = tuple(takewhile(lambda visit: visit.at < hold.to, history.visits(since)))
    audit(HoldShown(hold, by, len(visits)))
    return Held(hold, hold.in_force(moment), visits)


def _changed(
    config: Config, question: Question, change: Callable[[Holding, Question], dict[str, Any]]
) -> Hold:
    def alone() -> dict[str, Any]:
        with closing(open_or_create_visits(visits_db(config))) as visits:
            holding = Holding(config, visits, system_clock(config), run=lambda job: job())
            return change(holding, question)

    asked = partial(ask, config.control.socket, question, timeout_s=ANSWER_LIMIT_S)
    done = by_the_owner(asked, alone, of=config.storage.door_directory)
    return msgspec.convert(done, Hold)


def _as_answer(hold: Hold) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(hold)
    return answer
