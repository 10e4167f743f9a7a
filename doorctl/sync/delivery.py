"""How every branch comes up to the sender's outbox; no branch waits for another.

Only the requests to branches run in the pool; the outbox is used on the caller's thread. So a
branch that does not answer delays only its own delivery.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from doorctl.access.patron import SealedRow, overlaid
from doorctl.core.errors import (
    StoreError,
)
from doorctl.core.ports import Clock
from doorctl.sync.branch import Away, Branch, BranchAnswer, Held, OutOfOrder, Refused, Taken
from doorctl.sync.document import FORMAT, Kind, Manifest, sign
from doorctl.sync.exchange import MOST_PATRONS, Exchanged, number_of, signed
from doorctl.sync.outbox import NOTHING, Outbox, OutboxState, Terms, Volume
from doorctl.sync.packing import Body, Document
from doorctl.sync.signing import SigningKey
from doorctl.sync.wire import Line, Removal, decode_row

Talk = Generator[Callable[[], BranchAnswer], BranchAnswer, "Delivery"]

OTHER_KEY = (
    "its installation key is none that is in use here, so it was sent nothing: if it was stolen, "
    "take it out of sync.targets; if not, copy the key there and run `doorctl keys adopt`"
)


class Result(Enum):
    """How the delivery to one branch ended."""

    SENT = "sent"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one branch got.

    `epoch` is None if it failed; `audit_head`, `key_id` and `minimum_age`, its own age limit, are
    None where the branch was not reached.

    If `refused`, it will fail the same way until a person does something; if `away`, a later run
    may do better. Once all deliveries have ended, `behind_since` is when the branch was first found
    not up to date, and `late` says that this is longer than the sender is patient. `audit_kept` is
    where its log ended in an earlier run, if a run found it without that and nobody confirmed it:
    it was rolled back or written anew.
    """

    branch: str
    result: Result
    epoch: int | None = None
    snapshot: bool = False
    volume: Volume = NOTHING
    why: str = ""
    refused: bool = False
    away: bool = False
    behind_since: datetime | None = None
    late: bool = False
    audit_head: str | None = None
    audit_kept: str | None = None
    key_id: str | None = None
    minimum_age: int | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether the branch holds what the outbox holds."""
        return self.result is not Result.FAILED


@dataclass(frozen=True, slots=True)
class Sender:
    """How pushes are made and signed.

    Args:
        links: id of each key in use -> what lays it over that of the outbox; see `overlaid`.
        directory: where documents lie while they are sent, without a name.
        ages: branch's id -> its age limit, where that is not the terms' own.
        rehearsed: each branch checks its push, by its guard too, and applies none.
        clock: by which branches are told the time, as a witness beside their own source.
        wait: lets so many seconds pass before a branch that is away is asked again; None asks once.
    """

    private_key: SigningKey
    terms: Terms
    links: Mapping[str, tuple[bytes, ...]]
    approved_by: str | None
    full: bool
    directory: Path
    on: date
    ages: Mapping[str, int] = field(default_factory=dict)
    rehearsed: bool = False
    clock: Clock | None = None
    wait: Callable[[float], object] | None = None

    def age_of(self, branch: str) -> int:
        """Return a branch's age limit, in years."""
        return self.ages.get(branch, self.terms.minimum_age)


PAUSES_S = (1.0, 4.0, 15.0)
"""Together longer than a restart of the branch's web process; later the next run tries again."""

LONGEST_PAUSE_S = 60.0
"""A branch that asks for more is tried again in the next run."""

MOST_BODIES = 4
"""Packed rows that are kept: most branches hold the same push, and the others one of a few."""

MOST_LEFT = 2
"""Pushes sent last that a branch which is away may hold."""

AnswerT = TypeVar("AnswerT")


def insist(ask: Callable[[], AnswerT], wait: Callable[[float], object]) -> AnswerT:
    """Ask a branch up to four times, ever later, while it is away; `wait` is in seconds."""
    answer = ask()
    for pause_s in PAUSES_S:
        if not isinstance(answer, Away) or answer.retry_after_s > LONGEST_PAUSE_S:
            break
        wait(max(pause_s, answer.retry_after_s))
        answer = ask()
    return answer


def deliver(
    branches: Sequence[Branch], outbox: Outbox, sender: Sender, pool: Executor
) -> Iterator[Delivery]:
    """Yield each branch's delivery as soon as it has ended; forget what every branch knows.

    A failure of this machine's disk ends the delivery to one branch only. The outbox is used on
    this thread only; as many branches are asked at once as the pool has threads.
    """
    courier = _Courier(outbox, sender, shares=len(branches) > 1)
    epochs: list[int] = []
    pending: dict[Future[BranchAnswer], Talk] = {}
    for branch in branches:
        talk = courier.talk(branch)
        pending[pool.submit(next(talk))] = talk
    while pending:
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            talk = pending.pop(future)
            try:
                question = talk.send(future.result())
            except StopIteration as end:
                delivery: Delivery = end.value
                epochs += [] if delivery.epoch is None else [delivery.epoch]
                yield delivery
            else:
                pending[pool.submit(question)] = talk
    if epochs and len(epochs) == len(branches):
        # Every branch is up to date: outdated changes can as well be forgotten in the next run.
        with suppress(StoreError):
            outbox.forget_removed(min(epochs))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A push to a branch that holds `held`: all that changed after an epoch, 0 for everything."""

    held: Held
    after: int
    epoch: int
    volume: Volume

    @property
    def snapshot(self) -> bool:
        return self.after == 0


@dataclass(frozen=True, slots=True)
class _Step:
    """From one push to another: all that changed after an epoch, 0 for everything."""

    key_id: str
    held: int
    after: int
    epoch: int

    @property
    def kind(self) -> Kind:
        return "changes" if self.after else "snapshot"


def _steps(known: Sequence[int], state: OutboxState) -> list[tuple[int, int]]:
    """Return the pushes that a branch may hold, and since when each needs what has changed.

    It holds the first known one, unless it has taken one that was sent since, whose answer we have
    not seen: the last, most likely.
    """
    held = dict.fromkeys([*known[:1], *known[-MOST_LEFT:]])
    behind = [epoch for epoch in held if epoch < state.epoch]
    return [(epoch, epoch if epoch >= state.floor_epoch else 0) for epoch in behind]


@dataclass(frozen=True, slots=True)
class _Courier:
    outbox: Outbox
    sender: Sender
    shares: bool
    bodies: dict[tuple[Kind, int, int, str], Body] = field(default_factory=dict)

    def talk(self, branch: Branch) -> Talk:
        """Ask, send, and send everything if the branch holds something else than expected."""
        try:
            delivery = yield from self._talk(branch)
            lost = self.outbox.audit_lost().get(branch.name, delivery.audit_kept)
            return replace(delivery, audit_kept=lost)
        except StoreError as err:
            return Delivery(branch.name, Result.FAILED, why=str(err))

    def _talk(self, branch: Branch) -> Talk:
        held = yield self._asking(branch.held)
        if isinstance(held, Away) and branch.keeps and not self.sender.rehearsed:
            return (yield from self._leave(branch, held))
        if not isinstance(held, Held):
            return _failed(branch, held)
        if held.key_id not in self.sender.links:
            # Without the key a row still shows who is blocked, and until when.
            return Delivery(branch.name, Result.FAILED, why=OTHER_KEY, refused=True)
        answer = None
        if not self.sender.rehearsed:
            # Once: the next run sends it again.
            answer = yield self._message(branch, held.nonce)
        if self.shares and isinstance(answer, Exchanged) and answer.wrong_pins is not None:
            self.outbox.note_wrong_pins(branch.name, answer.wrong_pins, self.sender.on)
        kept = self._lost_head(branch, held, answer)
        try:
            delivery = yield from self._bring(branch, held)
        except StoreError as err:
            # What was found of the audit log is told all the same.
            delivery = Delivery(branch.name, Result.FAILED, why=str(err))
        return replace(
            delivery,
            audit_head=held.audit_head,
            audit_kept=kept,
            key_id=held.key_id,
            minimum_age=held.minimum_age,
        )

    def _asking(self, ask: Callable[[], BranchAnswer]) -> Callable[[], BranchAnswer]:
        wait = self.sender.wait
        return ask if wait is None else partial(insist, ask, wait)

    def _message(self, branch: Branch, nonce: str) -> Callable[[], BranchAnswer]:
        """Return the request that sends a branch what is kept for it, and asks for its own."""
        name = branch.name
        message = signed(
            name,
            nonce,
            self.sender.private_key,
            heads=self.outbox.audit_heads(name),
            wrong_pins=(
                self.outbox.wrong_pins_elsewhere(name, MOST_PATRONS) if self.shares else None
            ),
            **self._time(),
        )
        return partial(branch.exchange, message)

    def _time(self) -> dict[str, Any]:
        clock = self.sender.clock
        moment = None if clock is None else clock.moment()
        if clock is None or moment is None or not moment.dependable:
            return {}
        return {"at": moment.local, "boot": clock.boot_time().boot_id}

    def _lost_head(self, branch: Branch, held: Held, answer: BranchAnswer | None) -> str | None:
        """Keep where the branch's audit log ends; return what was kept, if that is not in it."""
        if held.audit_head is None:
            return None
        heads = self.outbox.audit_heads(branch.name)
        kept = next(iter(heads.values()), held.audit_head)
        agreed = number_of(kept)
        if isinstance(answer, Exchanged) and heads:
            agreed = answer.agreed
        elif heads:
            # The next run sends what was kept: the branch has not heard of it yet.
            grown = kept == held.audit_head or number_of(held.audit_head) > agreed
            return None if grown else kept
        lost = None if agreed >= number_of(kept) else kept
        self.outbox.note_audit_head(branch.name, held.audit_head, self.sender.on, agreed, lost)
        return lost

    def _bring(self, branch: Branch, held: Held) -> Talk:
        plan = self._plan(branch, held)
        if plan is None:
            return Delivery(branch.name, Result.UNCHANGED, held.epoch)
        answer = yield from self._send(branch, plan)
        if isinstance(answer, OutOfOrder):
            again = yield self._asking(branch.held)
            if not isinstance(again, Held):
                return _failed(branch, again)
            plan = self._everything(again)
            answer = yield from self._send(branch, plan)
        if not isinstance(answer, Taken):
            return _failed(branch, answer)
        return Delivery(branch.name, Result.SENT, plan.epoch, plan.snapshot, plan.volume)

    def _plan(self, branch: Branch, held: Held) -> _Plan | None:
        state = self.outbox.state()
        age = self.sender.age_of(branch.name)
        known = self.outbox.was_sent(branch.name, held.epoch, held.digest, age)
        if self.sender.full or not known or held.epoch < state.floor_epoch:
            return self._everything(held)
        volume = self.outbox.volume(held.epoch)
        return _Plan(held, held.epoch, state.epoch, volume) if volume else None

    def _everything(self, held: Held) -> _Plan:
        epoch = self.outbox.outrank(held.epoch)
        return _Plan(held, 0, epoch, self.outbox.volume(0))

    def _leave(self, branch: Branch, away: Away) -> Talk:
        """Leave what a branch lacks that is away, for each push that it can hold as far as we know.

        One that never had a push from here gets none: it may have another key. By which of several
        keys one seals is not known, so nothing is left while one takes over from another.
        """
        failed, state = _failed(branch, away), self.outbox.state()
        known = self.outbox.sent_epochs(branch.name, self.sender.age_of(branch.name))
        if not known or len(self.sender.links) > 1:
            return failed
        (key_id,) = self.sender.links
        documents = [
            self._document(branch, known[0], _Step(key_id, held, after, state.epoch))
            for held, after in _steps(known, state)
            if self.outbox.volume(after)
        ]
        if documents and (yield partial(branch.leave, documents)):
            return replace(failed, why=f"{away.why}; what it lacks lies there for it")
        return failed

    def _send(
        self, branch: Branch, plan: _Plan
    ) -> Generator[Callable[[], BranchAnswer], BranchAnswer, BranchAnswer]:
        held = plan.held.epoch
        step = _Step(plan.held.key_id, held, plan.after, plan.epoch)
        document = self._document(branch, held, step)
        sent_as = None if self.sender.rehearsed else document.manifest.kind
        # A second arrival changes nothing.
        return (yield self._asking(partial(branch.send, document, sent_as)))

    def _document(self, branch: Branch, known: int, step: _Step) -> Document:
        """Return a push, and note that the branch may hold it from now on, or one since `known`."""
        age, kind = self.sender.age_of(branch.name), step.kind
        with _writing(self.sender.directory):
            body = self._body(kind, step.after, age, step.key_id)
            manifest = Manifest(
                format=FORMAT,
                branch=branch.name,
                kind=kind,
                epoch=step.epoch,
                previous_epoch=step.held,
                count=body.count,
                sha256=body.sha256,
                seal=msgspec.structs.replace(self.sender.terms.seal, key_id=step.key_id),
                minimum_age=age,
                approved_by=self.sender.approved_by,
            )
            document = Document(sign(manifest, self.sender.private_key), body)
        self.outbox.note_sent(branch.name, known, step.epoch, manifest.sha256, age)
        return document

    def _body(self, kind: Kind, after: int, age: int, key_id: str) -> Body:
        """Return all that changed after an epoch, packed once for all branches that get the same.

        Raises OSError: the disk failed.
        """
        what = kind, after, age, key_id
        if what not in self.bodies:
            while len(self.bodies) >= MOST_BODIES:
                del self.bodies[next(iter(self.bodies))]
            lines = self._lines(after, age, self.sender.links[key_id])
            self.bodies[what] = Body(lines, kind, self.sender.directory)
        return self.bodies[what]

    def _lines(self, after: int, age: int, links: tuple[bytes, ...]) -> Iterator[Line]:
        other = age != self.sender.terms.minimum_age
        for written, day in self.outbox.rows(after, age):
            row = decode_row(written)
            if other:
                row = replace(row, patron=replace(row.patron, enter_from=day))
            yield _overlaid(row, links) if links else row
        yield from map(Removal, self.outbox.removals(after))


def _overlaid(row: SealedRow, links: tuple[bytes, ...]) -> SealedRow:
    check = row.patron.pin_check
    patron = replace(row.patron, pin_check=None if check is None else overlaid(check, links))
    return replace(row, row_key=overlaid(row.row_key, links), patron=patron)


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as err:
        places = " and ".join(dict.fromkeys([str(directory), tempfile.gettempdir()]))
        raise StoreError(
            f"the push can't be written on this machine: {err.strerror}; make room in {places}"
        ) from err


def _failed(branch: Branch, answer: BranchAnswer) -> Delivery:
    return Delivery(
        branch.name,
        Result.FAILED,
        why=getattr(answer, "why", "answered out of turn"),
        refused=isinstance(answer, Refused),
        away=isinstance(answer, Away),
    )


def failed(deliveries: Sequence[Delivery]) -> bool:
    """Tell whether a run that ended so is one that failed, for a person to look at.

    Of many branches one is always away: that alone is none until it is late. Where no branch at all
    is up to date it is: this machine may be cut off.
    """
    behind = [delivery for delivery in deliveries if not delivery.up_to_date]
    return len(behind) == len(deliveries) or any(one.late or not one.away for one in behind)
