"""The web process's own rounds: the website's hours, public holidays, outputs by command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from doorctl.access.ports import BranchBook
from doorctl.config import Config
from doorctl.core.ports import Clock, EventLog
from doorctl.devices.commands import CommandOutputs, OutputCommand
from doorctl.ops.process import regular
from doorctl.services.hours import calendar_of
from doorctl.sources.hours import Website, computed_apart
from doorctl.store.branch import BranchRecords
from doorctl.web.jobs import HolidayRound, OutputsRound, WebsiteRound, Write, are_holidays_wanted

SLOW_PAUSE_S = 10.0
OUTPUTS_PAUSE_S = 1.0


@contextmanager
def rounds(config: Config, clock: Clock, log: EventLog, write: Write) -> Iterator[None]:
    """Run the wanted rounds on threads of their own until the end of the block.

    `write` has the one writer of ``branch.db`` do a job; it is called from one of the threads.
    """
    outputs = tuple(output for output in config.outputs if output.command)
    # Each belongs to the thread of one round, which opens it.
    slow_book, book = (
        BranchRecords(config.storage.branch_db),
        BranchRecords(config.storage.branch_db),
    )
    slow = _slow_turn(config, slow_book, clock, log, write)
    with ExitStack() as stack:
        if slow is not None:
            turns = regular("hours", slow, SLOW_PAUSE_S, log)
            stack.enter_context(turns.going(slow_book.close))
        if outputs:
            commands = (
                OutputCommand(output.name, (*output.command, "on"), (*output.command, "off"))
                for output in outputs
            )
            switches = CommandOutputs(commands, clock.monotonic_s, partial(_failed_output, log))
            stack.callback(switches.stop)
            following = OutputsRound(
                tuple(output.rule for output in outputs),
                calendar_of=partial(calendar_of, config.opening),
                branch=book,
                switches=switches,
                clock=clock,
                log=log,
                warn_min=config.closing.warn_min,
                pulses_s={output.name: output.pulse_s for output in outputs if output.at_warnings},
            )
            turns = regular("outputs", following.turn, OUTPUTS_PAUSE_S, log)
            stack.enter_context(turns.going(book.close))
        yield


def _slow_turn(
    config: Config, book: BranchBook, clock: Clock, log: EventLog, write: Write
) -> Callable[[], None] | None:
    """Return the round that may wait for a network, a disk or a process; None for none."""
    opening = config.opening
    if opening.source == "website":
        fetch = Website(opening.website_url).opening_hours
        isil = config.branch.isil
        return WebsiteRound(
            opening, isil, fetch=fetch, branch=book, write=write, clock=clock, log=log
        ).turn
    if are_holidays_wanted(opening):
        return HolidayRound(opening, compute=computed_apart, write=write, clock=clock, log=log).turn
    return None


def _failed_output(log: EventLog, name: str, why: str) -> None:
    log.emit("alarm", kind="output_failing", why=f"{name}: {why}")
