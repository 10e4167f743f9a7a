"""Makes a sender and runs it: reads the source, seals what changed, updates the branches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from threading import Event

from doorctl.admin.keys import keys_in_use
from doorctl.config import Config
from doorctl.config.tables import Target
from doorctl.core.errors import (
    InputError,
    KeyFileError,
)
from doorctl.core.masked import InstallationKey
from doorctl.core.ports import Clock
from doorctl.extras.extra import used
from doorctl.sources.branches import HttpBranch, UnaskedBranch, tls_context
from doorctl.store.outbox import OutboxStore
from doorctl.store.sealer import ArgonSealer, first_key, key_id, links, sealer_of
from doorctl.store.signing_keys import read_signing_key
from doorctl.sync.branch import Branch
from doorctl.sync.delivery import Delivery, Sender, deliver
from doorctl.sync.document import refuse_odd_name
from doorctl.sync.exchange import question_signed
from doorctl.sync.exports import Export
from doorctl.sync.feed import Rows
from doorctl.sync.look import counted
from doorctl.sync.outbox import Terms
from doorctl.sync.push import Refreshed, refresh, unchanged
from doorctl.sync.sealing import Sealing
from doorctl.sync.sender_alarms import Book
from doorctl.sync.signing import SigningKey
from doorctl.wiring.exports import read_export
from doorctl.wiring.outbox import Wishes, opened_outbox, sender_table
from doorctl.wiring.set_aside import listed, set_aside_file, write_set_aside
from doorctl.wiring.sync_alarms import alarms_sent

MOST_THREADS = 128
"""Branches that are asked at a time; of more, the others wait for their turn."""


def _ignore(*_: object) -> None:
    """Take a call that the caller of `push` does not want."""


def push(
    config: Config,
    wishes: Wishes,
    clock: Clock,
    *,
    on_progress: Callable[[int, int], None] = _ignore,
    on_odd: Callable[[list[str]], None] = _ignore,
    on_refreshed: Callable[[Refreshed], None] = _ignore,
    on_delivery: Callable[[Delivery], None] = _ignore,
    on_unsent: Callable[[str], None] = _ignore,
) -> tuple[Refreshed, list[Delivery]]:
    """Read the source, seal what has changed and bring every branch up to date.

    `on_progress` gets how many identifiers are sealed so far and how many there are. `on_odd` gets
    before that which shares of a new export have jumped, in words, if any. `on_refreshed`
    is called once, before anything is sent, `on_delivery` as soon as a branch has ended, and
    `on_unsent` with the reason why an alarm did not go; the next run tries it again. Raises
    FeedError with every wrong row, StoreBusyError beside another run, InputError for a branch that
    there is not, DoorctlError: nothing was sent.
    """
    sync = sender_table(config)
    refuse_odd_name(wishes.approved_by)
    keys, now = keys_in_use(config), clock.moment().local
    # Rows stay sealed by the first key; later keys are applied on top.
    key = first_key(keys[0])
    sealer = sealer_of(key, config.seal)
    sender = _sender(config, wishes, sealer, keys, clock)
    with (
        _branches(config, sender.private_key) as branches,
        opened_outbox(sync, wishes) as outbox,
        alarms_sent(config, outbox, clock, None if wishes.dry_run else on_unsent) as book,
    ):
        sender = replace(sender, directory=outbox.path.parent)
        refreshed = _refreshed(
            config, outbox, sealer, sender, book, key=key, clock=clock, done=on_progress, odd=on_odd
        )
        on_refreshed(refreshed)
        deliveries = _delivered(branches, outbox, sender, on_delivery)
        patience = timedelta(hours=sync.branch_behind_h)
        book.delivered(deliveries, now, patience)
        deliveries = [book.judged(each, now, patience) for each in deliveries]
    return refreshed, deliveries


def _delivered(
    branches: list[Branch],
    outbox: OutboxStore,
    sender: Sender,
    on_delivery: Callable[[Delivery], None],
) -> list[Delivery]:
    deliveries: list[Delivery] = []
    threads = min(len(branches), MOST_THREADS)
    with ThreadPoolExecutor(threads, thread_name_prefix="branch") as pool:
        for delivery in deliver(branches, outbox, sender, pool):
            on_delivery(delivery)
            deliveries.append(delivery)
    return deliveries


def _sender(
    config: Config,
    wishes: Wishes,
    sealer: ArgonSealer,
    keys: Sequence[InstallationKey],
    clock: Clock,
) -> Sender:
    sync, own, ages = sender_table(config), config.policy.minimum_age, age_limits(config)
    return Sender(
        private_key=read_signing_key(sync.signing_key_file),
        terms=Terms(sealer.seal, own, tuple(sorted({*ages.values()} - {own}))),
        links={key_id(key): links(key) for key in keys},
        approved_by=wishes.approved_by,
        full=wishes.full,
        directory=sync.state_directory,
        on=clock.moment().latest_known.date(),
        ages=ages,
        rehearsed=wishes.dry_run,
        clock=clock,
        wait=None if wishes.dry_run else Event().wait,
    )


def _refreshed(
    config: Config,
    outbox: OutboxStore,
    sealer: ArgonSealer,
    sender: Sender,
    book: Book,
    *,
    key: InstallationKey,
    clock: Clock,
    done: Callable[[int, int], None],
    odd: Callable[[list[str]], None],
) -> Refreshed:
    with read_export(config, sender, book, clock) as found:
        if found is None:
            return unchanged(outbox)
        if found.export.whole and found.is_new:
            odd(book.looked(_counted(config, found.export, sender.on), clock.moment().local))
        refreshed = refresh(
            found.export,
            outbox,
            Sealing(
                sealer=sealer,
                minimum_age=sender.terms.minimum_age,
                on=sender.on,
                workers=sender_table(config).workers or os.cpu_count() or 1,
                on_progress=done,
                flags_weak=config.policy.flags_weak,
            ),
            key=key,
            terms=sender.terms,
        )
    # Of a file each run says which rows it sets aside.
    is_told = refreshed.set_aside and sender_table(config).feed != Path()
    book.fetch = None if is_told else found.last
    lines = listed(refreshed, config.alarms.language)
    book.set_aside(refreshed.set_aside, lines)
    if not sender.rehearsed:
        write_set_aside(set_aside_file(sender_table(config)), lines)
    return refreshed


def _counted(config: Config, export: Export, on: date) -> dict[str, int]:
    rows = Rows(export.subject, export.patrons, [row for _, row in export.set_aside])
    return counted(rows, on=on, policy=config.policy)


def age_limits(config: Config) -> dict[str, int]:
    """Return each branch's age limit in years, by the branch's id."""
    own = config.policy.minimum_age
    limits = {target.branch: target.minimum_age for target in sender_table(config).targets}
    return {branch: own if limit is None else limit for branch, limit in limits.items()}


@contextmanager
def _branches(config: Config, private_key: SigningKey) -> Iterator[list[Branch]]:
    targets = sender_table(config).targets
    if not targets:
        raise InputError("there is no branch yet: doorctl sync pair brings one in")
    with ExitStack() as stack:
        by_nats = _by_nats(config, stack) if any(one.via == "nats" for one in targets) else _by_url
        ways = {"url": _by_url, "nats": by_nats}
        yield [_branch(ways[target.via], target, private_key) for target in targets]


def _by_nats(config: Config, stack: ExitStack) -> Callable[[Target, str], Branch]:
    made = (extra.branches for extra in used(config) if extra.branches is not None)
    try:
        return next(made)(config, stack)
    except KeyFileError as err:
        why = str(err)
        return lambda target, _question: UnaskedBranch(target.branch, why)


def _by_url(target: Target, question: str) -> Branch:
    context = tls_context(target.ca_file, target.certificate_file, target.key_file)
    return HttpBranch(target.branch, target.url, context, question=question)


def _branch(
    way: Callable[[Target, str], Branch], target: Target, private_key: SigningKey
) -> Branch:
    try:
        return way(target, question_signed(target.branch, private_key))
    except KeyFileError as err:
        return UnaskedBranch(target.branch, str(err))
