"""Incident holds: the door process's side, and a command's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

import msgspec

from doorctl.config import Config
from doorctl.core.errors import DoorctlError
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.hold import (
    Hold,
    HoldAdded,
    HoldAsked,
    HoldBook,
    HoldLifted,
    accepted,
    chosen,
    readable_since,
)
from doorctl.rpc.control import Answers, Question, ask
from doorctl.services.app import App, by_the_owner, retention
from doorctl.services.purging import Audit, Run, unaudited
from doorctl.store.door_log import Visit, VisitHistory
from doorctl.store.visits import open_or_create_visits

ADD, LIFT = "hold_add", "hold_lift"
ANSWER_LIMIT_S = 30.0
"""Longest wait for the door; a hold takes milliseconds, a purge before it longer."""


@dataclass(frozen=True, slots=True)
class Lifting:
    """The number of a hold to be lifted, and who lifts it."""

    number: int
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the visits of it that may be shown now, oldest first.

    Unless it is `in_force` for certain, these are only visits that any list shows.
    """

    hold: Hold
    in_force: bool
    visits: tuple[Visit, ...]


class Holding:
    """The door log's holds, on the side that writes them.

    `run` does a job on the door log's thread; `audit` gets each change.
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
        """Return the answers on the door's socket."""
        return {ADD: self.add, LIFT: self.lift}

    def add(self, question: Question) -> dict[str, Any]:
        """Add a hold, a :class:`HoldAsked`, and return it.

        Raises:
            InputError: it makes no sense.
            StoreError: nothing was changed.
        """
        request = msgspec.convert(question.about, HoldAsked)
        request = replace(request, by=question.signed(request.by))
        hold = accepted(request, self._clock.moment(), retention(self._config))
        added: Hold = self._run(partial(self._book.add_hold, hold))
        self._audit(HoldAdded(added))
        return _as_answer(added)

    def lift(self, question: Question) -> dict[str, Any]:
        """Lift a hold, a :class:`Lifting`, and return it as it was.

        Raises:
            InputError: there is none of that number.
            StoreError: nothing was changed.
        """
        lifting = msgspec.convert(question.about, Lifting)
        by = question.signed(lifting.by)
        lifted: Hold = self._run(partial(self._book.lift_hold, lifting.number))
        self._audit(HoldLifted(lifted, by))
        return _as_answer(lifted)


def add(app: App, request: HoldAsked) -> Hold:
    """Add a hold, by the door where it runs; return it with its number.

    Audited: it is taken back where the entry can't be written.

    Raises:
        DoorctlError: it makes no sense, or it could not be stored.
    """
    added = _changed(app, Question(ADD, msgspec.to_builtins(request)), Holding.add)
    times = {"from": added.since, "to": added.to, "until": added.until}
    span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
    details: Details = {"number": added.number, **span}
    try:
        _note(app, Deed(Action.HOLD_ADDED, why=request.reason, details=details), request.by)
    except DoorctlError:
        _lift(app, added.number, request.by)
        raise
    return added


def lift(app: App, number: int, by: str) -> Hold:
    """Lift a hold, by the door where it runs, if the audit log takes the entry.

    Return it as it was.

    Raises:
        DoorctlError: there is none of that number, or it could not be lifted.
    """
    chosen(stored(app)[0], number)
    _note(app, Deed(Action.HOLD_LIFTED, details={"number": number}), by)
    return _lift(app, number, by)


def _lift(app: App, number: int, by: str) -> Hold:
    return _changed(app, Question(LIFT, msgspec.to_builtins(Lifting(number, by))), Holding.lift)


def stored(app: App) -> tuple[tuple[Hold, ...], Moment]:
    """Return the holds, oldest first, and the moment by which they are judged.

    Raises:
        StoreError: the door log can't be read.
    """
    with closing(VisitHistory(app.visits_db)) as history:
        return history.holds(), app.clock.moment()


def show(app: App, number: int, by: str, why: str = "") -> Held:
    """Return a hold with its visits that may be shown now; audited.

    Raises:
        InputError: there is no such hold, or the reason says nothing.
        StoreError: the door log can't be read, or the look can't be put on record.
    """
    moment = app.clock.moment()
    with closing(VisitHistory(app.visits_db)) as history:
        hold = chosen(history.holds(), number)
        since = readable_since(hold, moment, retention(app.config))
        visits = tuple(takewhile(lambda visit: visit.at < hold.to, history.visits(since)))
    details = {"number": number, "visits": len(visits)}
    _note(app, Deed(Action.HOLD_SHOWN, why=why, details=details), by)
    return Held(hold, hold.in_force(moment), visits)


def _changed(
    app: App, question: Question, change: Callable[[Holding, Question], dict[str, Any]]
) -> Hold:
    def alone() -> dict[str, Any]:
        with closing(open_or_create_visits(app.visits_db)) as visits:
            holding = Holding(app.config, visits, app.clock, run=lambda job: job())
            return change(holding, question)

    by_door = partial(ask, app.config.control.socket, question, timeout_s=ANSWER_LIMIT_S)
    done = by_the_owner(by_door, alone, of=app.config.storage.door_directory)
    return msgspec.convert(done, Hold)


def _as_answer(hold: Hold) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(hold)
    return answer


def _note(app: App, deed: Deed, by: str) -> None:
    from doorctl.services.records import note  # noqa: PLC0415 - the door process does without

    note(app, deed, by)
