"""Sends the alarms of a run of the sender, and writes its figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from doorctl.config import Config
from doorctl.core.alarms import RaisedAlarm
from doorctl.core.errors import (
    DoorctlError,
    KeyFileError,
    StoreBusyError,
    StoreError,
)
from doorctl.core.ports import AlarmSink, Clock, NotSentError
from doorctl.notices.sending import notice
from doorctl.services.alarms import send_now, sinks
from doorctl.store.keys import put
from doorctl.store.outbox import OutboxStore
from doorctl.sync.sender_alarms import Book
from doorctl.wiring.outbox import Wishes, opened_outbox, sender_table

JUST_NOW = timedelta(minutes=1)
"""A report as recent as this came from the run that failed, or from the run that it gave way to."""


def tell_failure(config: Config, clock: Clock, *, on_unsent: Callable[[str], None]) -> None:
    """Report that a run has failed, once and then daily, if the run could not report it.

    Raises StoreBusyError where another run is at work and reports its own result, DoorctlError
    where it can't be stored that the report was sent.
    """
    try:
        with opened_outbox(sender_table(config), Wishes()) as outbox:
            book, now = _book(outbox), clock.moment().local
            if book.told_at is None or not timedelta(0) <= now - book.told_at <= JUST_NOW:
                book.stand("sync_failed", {"": os.environ.get("MONITOR_SERVICE_RESULT", "")})
                _tell(config, outbox, book, clock, on_unsent)
    except StoreError as err:
        if config.alarms.wanted and not isinstance(err, StoreBusyError):
            for name, why in send_now(config, "sync_failed", str(err)).items():
                on_unsent(f"{name}: {why}")
        raise


@contextmanager
def alarms_sent(
    config: Config, outbox: OutboxStore, clock: Clock, on_unsent: Callable[[str], None] | None
) -> Iterator[Book]:
    """Note in the book what a run finds, and send its alarms however the run ends.

    Nothing is sent where `on_unsent` is None; `tell_failure` reports a fault of doorctl.
    """
    book, failed = _book(outbox), None
    try:
        yield book
    except DoorctlError as err:
        failed = err
    book.stand("sync_failed", {} if failed is None else {"": str(failed)})
    if on_unsent is not None:
        _tell(config, outbox, book, clock, on_unsent)
    if failed is not None:
        raise failed


def _book(outbox: OutboxStore) -> Book:
    try:
        return msgspec.json.decode(outbox.alarms() or b"{}", type=Book)
    except msgspec.DecodeError:
        return Book()


def _tell(
    config: Config, outbox: OutboxStore, book: Book, clock: Clock, on_unsent: Callable[[str], None]
) -> None:
    """Send what is due by each way and keep what was sent; no failure of it is the run's."""
    moment, at_s = clock.moment(), clock.monotonic_s()
    rest = timedelta(minutes=config.alarms.min_interval_min)
    usable, unsent = sinks(config)
    for way, sink in usable.items():

        def send(kind: str, why: str, sink: AlarmSink = sink) -> None:
            what = notice(RaisedAlarm(kind, why, at_s), config.branch.name, moment, at_s)
            # A report has many lines, and none of its words are a row's own.
            sink.send(replace(what, why=why) if kind == "rows_set_aside" else what)

        try:
            book.tell(way, moment.local, rest, send)
        except Exception as err:  # noqa: BLE001 - no mistake in a notice may stop the push
            unsent[way] = str(err) if isinstance(err, NotSentError) else type(err).__name__
    book.forget({*usable, *unsent})
    book.told_at = clock.moment().local
    try:
        outbox.keep_alarms(msgspec.json.encode(book))
    except StoreError as err:
        unsent["outbox"] = str(err)
    try:
        _write_metrics(book, book.told_at)
    except KeyFileError as err:
        unsent["metrics"] = str(err)
    for way, why in unsent.items():
        on_unsent(f"{way}: {why}")


def _write_metrics(book: Book, now: datetime) -> None:
    """Write figures for node_exporter's textfile collector where systemd gives a directory."""
    directory = os.environ.get("RUNTIME_DIRECTORY")
    if not directory:
        return
    from doorctl.ops.figures import family

    ended = {branch: at.timestamp() for branch, at in book.reached.items()}
    behind = {branch: float(branch in book.behind) for branch in {**ended, **book.behind}}
    stand = {
        kind: float(any(not alarm.over for alarm in known.values()))
        for kind, known in book.alarms.items()
    }
    text = (
        family("sync_last_run_timestamp_seconds", "When a run ended.", now.timestamp())
        + family(
            "sync_last_success_timestamp_seconds", "When it was last up to date.", ended, "branch"
        )
        + family("sync_branch_behind", "The branch is not up to date.", behind, "branch")
        + family("sync_alarm_standing", "The alarm stands.", stand, "kind")
    )
    put(Path(directory, "doorctl.prom"), text.encode(), 0o644)
