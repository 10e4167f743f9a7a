"""Builds the web process's round that forgets a register which nobody confirms."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from doorctl.bootstrap.rules import patrons_db
from doorctl.config import Config
from doorctl.ops.turns import Turns
from doorctl.ports import Clock, EventLog
from doorctl.privacy.retention_of_patrons import PatronsRound
from doorctl.store.patrons import PatronCache
from doorctl.store.sealing import Seal
from doorctl.web.reception import Reception

PAUSE_S = 600.0
STOP_S = 2.0
"""Longest wait at the end for a deletion that is under way; its commit is whole or not at all."""


@contextmanager
def expiry(
    config: Config,
    clock: Clock,
    log: EventLog,
    *,
    worker: ThreadPoolExecutor,
    reception: Reception,
) -> Iterator[None]:
    """Go the round until the end of the block, on a thread of its own.

    Args:
        config: the whole configuration.
        clock: any; thread-safe.
        log: takes the alarms.
        worker: the thread that the cache's writer belongs to.
        reception: has that writer.
    """
    seal = reception.terms.seal
    # Belongs to the thread of the round, which opens it.
    cache = PatronCache(patrons_db(config), Seal(seal.key_id, seal.memory_kib, seal.iterations))
    going = PatronsRound(
        stamp=cache.stamp,
        expire=lambda before: worker.submit(reception.writer.expire, before).result(),
        forget=lambda now: worker.submit(reception.writer.forget, now).result(),
        clock=clock,
        log=log,
    )
    turns = Turns("patrons", going.turn, PAUSE_S, partial(_failed, log))
    turns.start()
    try:
        yield
    finally:
        # While a turn hangs its connection is in use; it ends with the process.
        if turns.stop(STOP_S):
            cache.close()


def _failed(log: EventLog, error: Exception) -> None:
    # The text of a mistake of ours may quote anything; its kind says enough to be found.
    log.emit("alarm", kind="rounds_failing", why=f"patrons: {type(error).__name__}")
