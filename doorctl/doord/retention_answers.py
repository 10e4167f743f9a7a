"""What the door process answers about what is kept of people: it owns the door log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from doorctl.lookup.app import App
from doorctl.lookup.configured import retention
from doorctl.privacy.erasure import PartErased
from doorctl.privacy.holds import Hold, accepted
from doorctl.privacy.subject import Subject
from doorctl.rpc.messages import Line
from doorctl.rpc.question import Answers, Done
from doorctl.rpc.retention import (
    ADD_HOLD,
    ERASE_VISITS,
    LIFT_HOLD,
    LiftHold,
)
from doorctl.store.erasure import erase_visits
from doorctl.store.purge_job import Opened, Run
from doorctl.store.visits import VisitStore


def erasure_answers(
    run: Callable[[Callable[[], PartErased]], PartErased],
    opened: Opened,
    forget: Callable[[frozenset[bytes]], None],
    held: Callable[[Callable[[], PartErased]], PartErased] = lambda job: job(),
) -> Answers:
    """Return the door process's answers about a person's erasure.

    `run` does a job on the door log's thread, after what was to be written before it. `held` does
    one on the thread of those who prepare attempts, so that none comes in between. There, `forget`
    takes row keys, so that no open attempt stores them again.
    """

    def erase(subject: Subject) -> PartErased:
        forget(subject.row_keys)
        return run(lambda: erase_visits(opened(), subject))

    return ERASE_VISITS.answered(lambda request: Done(held(lambda: erase(request.subject))))


def hold_answers(app: App, book: VisitStore, run: Run[Hold]) -> Answers:
    """Return the door process's answers about holds; `run` does a job on the door log's thread."""

    def add(wanted: Hold, line: Line) -> Hold:
        asked = replace(wanted, by=line.signed(wanted.by))
        hold = accepted(asked, app.clock.moment(), retention(app.config))
        return run(partial(book.add_hold, hold))

    def lift(wanted: LiftHold) -> Hold:
        return run(partial(book.lift_hold, wanted.number))

    return {**ADD_HOLD.answered_to(add), **LIFT_HOLD.answered(lift)}
