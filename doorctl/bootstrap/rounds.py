"""Builds the web process's own rounds: the website's hours, public holidays, outputs by command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from doorctl.bootstrap.rules import branch_db
from doorctl.config import Config
from doorctl.devices.commands import CommandOutputs, OutputCommand
from doorctl.hours_rounds import (
    HolidayRound,
    WebsiteRound,
    Write,
    are_holidays_wanted,
    store_initial_holidays,
)
from doorctl.moments import Moment
from doorctl.opening_hours import calendar_of
from doorctl.ops.holidays_apart import computed_apart
from doorctl.ops.turns import Turns
from doorctl.outputs_round import OutputsRound
from doorctl.ports import BranchBook, CalendarWriter, Clock, EventLog
from doorctl.store.branch import BranchRecords
from doorctl.sync.holidays_wanted import computed
from doorctl.transports.website import Website

SLOW_PAUSE_S = 10.0
OUTPUTS_PAUSE_S = 1.0
STOP_S = 2.0
"""Longest wait at the end for a question to the website that is under way."""


@contextmanager
def rounds(config: Config, clock: Clock, log: EventLog, write: Write) -> Iterator[None]:
    """Go the rounds until the end of the block, on threads of their own; none if none is wanted.

    Args:
        config: the whole configuration.
        clock: any; thread-safe.
        log: takes the alarms.
        write: has the one writer of ``branch.db`` do a job; called from one of the threads.
    """
    outputs = tuple(one for one in config.outputs if one.command)
    # Each belongs to the thread of one round, which opens it.
    slow_book, book = BranchRecords(branch_db(config)), BranchRecords(branch_db(config))
    slow = _slow_turn(config, slow_book, clock, log, write)
    with ExitStack() as stack:
        if slow is not None:
            turns = Turns("hours", slow, SLOW_PAUSE_S, partial(_failed, log, "hours"))
            stack.enter_context(_going(turns, slow_book))
        if outputs:
            commands = (
                OutputCommand(one.name, (*one.command, "on"), (*one.command, "off"))
                for one in outputs
            )
            switches = CommandOutputs(commands, clock.monotonic_s, partial(_failed_output, log))
            stack.callback(switches.stop)
            following = OutputsRound(
                tuple(one.rule for one in outputs),
                calendar_of=partial(calendar_of, config.opening),
                branch=book,
                switches=switches,
                clock=clock,
                log=log,
                warn_min=config.closing.warn_min,
                pulses_s={one.name: one.pulse_s for one in outputs if one.at_warnings},
            )
            failed = partial(_failed, log, "outputs")
            turns = Turns("outputs", following.turn, OUTPUTS_PAUSE_S, failed)
            stack.enter_context(_going(turns, book))
        yield


def store_holidays(config: Config, writer: CalendarWriter, moment: Moment) -> None:
    """Store the holidays in a new ``branch.db``; see `store_initial_holidays`.

    Loads the package that knows them into this process: for a command that ends soon.

    Raises:
        DoorctlError: they can't be computed or stored; nothing was changed.
    """
    store_initial_holidays(config.opening, writer, moment, computed)


def _slow_turn(
    config: Config, book: BranchBook, clock: Clock, log: EventLog, write: Write
) -> Callable[[], None] | None:
    """Return what may wait for a network, a disk or a process; None where there is nothing."""
    opening = config.opening
    if opening.source == "website":
        fetch = Website(opening.website_url).opening_hours
        isil = config.branch.isil
        return WebsiteRound(
            opening, isil, fetch=fetch, branch=book, write=write, clock=clock, log=log
        ).turn
    if are_holidays_wanted(opening):
        return HolidayRound(
            opening, compute=computed_apart, branch=book, write=write, clock=clock, log=log
        ).turn
    return None


@contextmanager
def _going(turns: Turns, book: BranchRecords) -> Iterator[None]:
    turns.start()
    try:
        yield
    finally:
        # While a turn hangs its connection is in use; it ends with the process.
        if turns.stop(STOP_S):
            book.close()


def _failed_output(log: EventLog, name: str, why: str) -> None:
    log.emit("alarm", kind="output_failing", why=f"{name}: {why}")


def _failed(log: EventLog, name: str, error: Exception) -> None:
    # The text of a mistake of ours may quote anything; its kind says enough to be found.
    log.emit("alarm", kind="rounds_failing", why=f"{name}: {type(error).__name__}")
