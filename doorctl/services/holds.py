"""Incident holds: a part of the door log is kept longer, as staff ask for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile

from doorctl.core.errors import DoorctlError
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.lookup.configured import retention
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.holds import Hold, accepted, chosen, readable_since
from doorctl.rpc.retention import (
    ADD_HOLD,
    LIFT_HOLD,
    LiftHold,
)
from doorctl.services.branch import note, noted
from doorctl.services.owner import by_the_owner
from doorctl.store.door_log import Visit, VisitHistory
from doorctl.store.visits import VisitStore, open_or_create_visits


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the visits of it that may be shown now, oldest first.

    Unless it is `in_force` for certain, these are only visits that any list shows.
    """

    hold: Hold
    in_force: bool
    visits: tuple[Visit, ...]


def add_hold(app: App, wanted: Hold) -> Hold:
    """Add a hold, by the door where it runs; return it with its number.

    Audited: it is taken back where the entry can't be written. Raises DoorctlError: it makes no
    sense, or it could not be stored.
    """
    added = by_the_owner(
        lambda: ADD_HOLD.ask(app.config.control.socket, wanted),
        lambda: _alone(app, lambda book: book.add_hold(_acceptable(app, wanted))),
        of=app.config.storage.door_directory,
    )
    times = {"from": added.since, "to": added.to, "until": added.until}
    span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
    details: Details = {"number": added.number, **span}
    try:
        note(app, Deed(Action.HOLD_ADDED, why=wanted.reason, details=details))
    except DoorctlError:
        _lift(app, added.number)
        raise
    return added


def lift_hold(app: App, number: int) -> Hold:
    """Lift a hold, by the door where it runs, if the audit log takes the entry.

    Return it as it was. Raises DoorctlError: there is none of that number, or it could not be
    lifted.
    """
    chosen(stored_holds(app)[0], number)
    with noted(app, Deed(Action.HOLD_LIFTED, details={"number": number})):
        return _lift(app, number)


def _lift(app: App, number: int) -> Hold:
    return by_the_owner(
        lambda: LIFT_HOLD.ask(app.config.control.socket, LiftHold(number, app.by)),
        lambda: _alone(app, lambda book: book.lift_hold(number)),
        of=app.config.storage.door_directory,
    )


def stored_holds(app: App) -> tuple[tuple[Hold, ...], Moment]:
    """Return the holds, oldest first, and the moment by which they are judged."""
    with closing(VisitHistory(app.storage.visits_db)) as history:
        return history.holds(), app.clock.moment()


def show_hold(app: App, number: int, why: str = "") -> Held:
    """Return a hold with its visits that may be shown now; audited.

    Raises InputError: there is no such hold, or the reason says nothing.
    """
    moment = app.clock.bounded()
    with closing(VisitHistory(app.storage.visits_db)) as history:
        hold = chosen(history.holds(), number)
        since = readable_since(hold, moment, retention(app.config))
        visits = tuple(takewhile(lambda visit: visit.at < hold.to, history.visits(since)))
    details = {"number": number, "visits": len(visits)}
    note(app, Deed(Action.HOLD_SHOWN, why=why, details=details))
    return Held(hold, hold.in_force(moment), visits)


def _alone(app: App, change: Callable[[VisitStore], Hold]) -> Hold:
    with closing(open_or_create_visits(app.storage.visits_db)) as visits:
        return change(visits)


def _acceptable(app: App, wanted: Hold) -> Hold:
    return accepted(wanted, app.clock.moment(), retention(app.config))
