"""One limit over a whole question, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from doorctl.sources.library import TimeLimit

WAIT_S = 20.0
NAME = "a limit under test"


@pytest.fixture
def limit() -> Iterator[TimeLimit]:
    """A limit that nothing here reaches."""
    with closing(TimeLimit(WAIT_S, NAME)) as made:
        yield made


def threads() -> int:
    """Return how many threads run for a limit."""
    return sum(thread.name == NAME for thread in threading.enumerate())


async def seven() -> int:
    """Return a number after a while."""
    await asyncio.sleep(0)
    return 7


async def fail() -> int:
    """Raise after a while."""
    await asyncio.sleep(0)
    raise LookupError


def test_what_the_work_does_is_what_comes(limit: TimeLimit) -> None:
    """A result is returned and an error is raised, as if there were no thread between."""
    assert limit.run(seven) == 7
    with pytest.raises(LookupError):
        limit.run(fail)


def test_nothing_runs_before_it_is_asked(limit: TimeLimit) -> None:
    """A limit that nobody uses costs no thread; all questions share one."""
    assert threads() == 0
    limit.run(seven)
    limit.run(seven)
    assert threads() == 1


def test_what_takes_too_long_is_cancelled() -> None:
    """The asker goes on, and the work hears that it is over."""
    cancelled = threading.Event()

    async def hang() -> None:
        """Take for ever."""
        try:
            await asyncio.sleep(WAIT_S)
        finally:
            cancelled.set()

    with closing(TimeLimit(0.05, NAME)) as limit, pytest.raises(TimeoutError):
        limit.run(hang)

    assert cancelled.wait(WAIT_S)


def test_work_that_does_not_end_keeps_nobody() -> None:
    """Even what can't be cancelled, as a hanging clean-up, is left behind."""
    over = threading.Event()

    async def cling() -> None:
        """Take for ever, whatever is asked of it."""
        while not over.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    with closing(TimeLimit(0.05, NAME)) as limit:
        with pytest.raises(TimeoutError):
            limit.run(cling)
        over.set()


def test_closing_ends_the_thread_and_what_still_runs() -> None:
    """Whoever waits meanwhile is told that no answer comes; closing twice does no harm."""
    limit, started = TimeLimit(WAIT_S, NAME), threading.Event()
    told: list[type[BaseException]] = []

    async def hang() -> None:
        """Take for ever."""
        started.set()
        await asyncio.sleep(WAIT_S)

    def ask() -> None:
        try:
            limit.run(hang)
        except TimeoutError as error:
            told.append(type(error))

    asker = threading.Thread(target=ask)
    asker.start()
    assert started.wait(WAIT_S)
    limit.close()
    limit.close()
    asker.join(WAIT_S)

    assert told == [TimeoutError]
    assert threads() == 0
