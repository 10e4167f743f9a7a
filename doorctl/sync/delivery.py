"""Bring every branch to what the outbox holds, each by the shortest way, none waiting for another.

All that touches the outbox happens on the caller's thread; only questions to branches go to the
pool. So a branch that does not answer holds up nothing but its own conversation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path

import msgspec

from doorctl.access.patron import overlaid
from doorctl.errors import StoreError
from doorctl.ports import SealedRow
from doorctl.sync.branches import Away, Branch, Held, OutOfOrder, Parcel, Refused, Taken
from doorctl.sync.document import write_document
from doorctl.sync.exchange import MOST_PATRONS, Exchanged, signed
from doorctl.sync.outbox import NOTHING, Outbox, Terms, Volume
from doorctl.sync.signatures import SigningKey
from doorctl.sync.wire import Line, Removal, decode

Answer = Held | Exchanged | Taken | OutOfOrder | Refused | Away
Talk = Generator[Callable[[], Answer], Answer, "Delivery"]


OTHER_KEY = (
    "its installation key is none that is in use here, so it was sent nothing: if it was stolen, "
    "take it out of sync.targets; if not, copy the key there and run `doorctl keys adopt`"
)


class Result(Enum):
    """How it ended with one branch."""

    SENT = "sent"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one branch got.

    Args:
        branch: its id.
        result: how it ended; all but `FAILED` say that the branch is up to date.
        epoch: the push that it holds now; None if it failed.
        snapshot: whether all rows were sent, or what had changed.
        volume: how much was sent.
        why: what went wrong.
        refused: whether it will go wrong the same way until somebody does something.
        audit_head: where its audit log ended when it was asked; None if it did not say.
        audit_kept: where it ended in a run before, if that is not in it any more: it was rolled
            back or written anew.
        key_id: names its installation key; None if it did not say.
    """

    branch: str
    result: Result
    epoch: int | None = None
    snapshot: bool = False
    volume: Volume = NOTHING
    why: str = ""
    refused: bool = False
    audit_head: str | None = None
    audit_kept: str | None = None
    key_id: str | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether the branch holds what the outbox holds."""
        return self.result is not Result.FAILED


@dataclass(frozen=True, slots=True)
class Sender:
    """What a push is signed with and how it is made.

    Args:
        private_key: the sender's.
        terms: what the outbox's rows were sealed for.
        links: id of each key in use -> what lays it over that of the outbox; see `overlaid`.
        approved_by: who approves of it whatever a branch's guard says.
        full: whether to send all rows to every branch.
        directory: where documents lie while they are sent, without a name.
        on: the day.
        ages: branch's id -> its age limit, if that is not the terms' own but one of their others.
    """

    private_key: SigningKey
    terms: Terms
    links: Mapping[str, tuple[bytes, ...]]
    approved_by: str | None
    full: bool
    directory: Path
    on: date
    ages: Mapping[str, int] = field(default_factory=dict)

    def age_of(self, branch: str) -> int:
        """Return a branch's age limit, in years."""
        return self.ages.get(branch, self.terms.minimum_age)


def deliver(
    branches: Sequence[Branch], outbox: Outbox, sender: Sender, pool: Executor
) -> Iterator[Delivery]:
    """Yield each branch's delivery as soon as it has ended; forget what every branch knows.

    Where this machine's disk fails, that is how it ended with one branch; others have their own.

    Args:
        branches: each with a name of its own.
        outbox: used on this thread only.
        sender: see there.
        pool: runs the questions; with a thread a branch, all are asked at once.
    """
    courier = _Courier(outbox, sender, shares=len(branches) > 1)
    epochs: list[int] = []
    pending: dict[Future[Answer], Talk] = {}
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
        # Every branch is up to date: what is kept for nobody can as well go in the next run.
        with suppress(StoreError):
            outbox.forget_removed(min(epochs))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A push to a branch that holds `held`: whatever changed after an epoch, 0 for everything."""

    held: int
    after: int
    epoch: int
    volume: Volume

    @property
    def snapshot(self) -> bool:
        return self.after == 0


class _Courier:
    def __init__(self, outbox: Outbox, sender: Sender, *, shares: bool) -> None:
        self._outbox = outbox
        self._sender = sender
        self._shares = shares

    def talk(self, branch: Branch) -> Talk:
        """Ask, send, and send everything if the branch disagrees on what it holds."""
        try:
            return (yield from self._talk(branch))
        except StoreError as err:
            return Delivery(branch.name, Result.FAILED, why=str(err))

    def _talk(self, branch: Branch) -> Talk:
        held = yield branch.held
        if not isinstance(held, Held):
            return _failed(branch, held)
        # A branch of an older doorctl does not say it, and knows no key but the first.
        key_id = held.key_id or self._sender.terms.seal.key_id
        if key_id not in self._sender.links:
            # Without the key a row still tells who is blocked, and until when.
            return Delivery(branch.name, Result.FAILED, why=OTHER_KEY, refused=True)
        answer = None if held.nonce is None else (yield self._message(branch, held.nonce))
        if self._shares and isinstance(answer, Exchanged) and answer.wrong_pins is not None:
            self._outbox.note_wrong_pins(branch.name, answer.wrong_pins, self._sender.on)
        kept = self._lost_head(branch, held, answer)
        delivery = yield from self._bring(branch, held, key_id)
        return replace(delivery, audit_head=held.audit_head, audit_kept=kept, key_id=held.key_id)

    def _message(self, branch: Branch, nonce: str) -> Callable[[], Answer]:
        """Return the question that tells a branch what is kept for it, and asks for its own."""
        name = branch.name
        message = signed(
            name,
            nonce,
            self._sender.private_key,
            heads=self._outbox.audit_heads(name),
            wrong_pins=(
                self._outbox.wrong_pins_elsewhere(name, MOST_PATRONS) if self._shares else None
            ),
        )
        return partial(branch.exchange, message)

    def _lost_head(self, branch: Branch, held: Held, answer: Answer | None) -> str | None:
        """Keep where the branch's audit log ends; return what was kept, if that is not in it."""
        if held.audit_head is None:
            return None
        heads = self._outbox.audit_heads(branch.name)
        kept = next(iter(heads.values()), held.audit_head)
        grown = kept == held.audit_head or _number(held.audit_head) > _number(kept)
        agreed = _number(kept) if grown else 0
        if heads and held.nonce is not None:
            if not isinstance(answer, Exchanged):
                # What was kept is told in the next run: the branch has not heard of it yet.
                return None if grown else kept
            agreed = answer.agreed
        self._outbox.note_audit_head(branch.name, held.audit_head, self._sender.on, agreed)
        return None if agreed >= _number(kept) else kept

    def _bring(self, branch: Branch, held: Held, key_id: str) -> Talk:
        plan = self._plan(branch, held)
        if plan is None:
            return Delivery(branch.name, Result.UNCHANGED, held.epoch)
        answer = yield from self._send(branch, plan, key_id)
        if isinstance(answer, OutOfOrder):
            again = yield branch.held
            if not isinstance(again, Held):
                return _failed(branch, again)
            plan = self._everything(again)
            answer = yield from self._send(branch, plan, key_id)
        if not isinstance(answer, Taken):
            return _failed(branch, answer)
        return Delivery(branch.name, Result.SENT, plan.epoch, plan.snapshot, plan.volume)

    def _plan(self, branch: Branch, held: Held) -> _Plan | None:
        standing = self._outbox.standing()
        age = self._sender.age_of(branch.name)
        known = self._outbox.was_sent(branch.name, held.epoch, held.digest, age)
        if self._sender.full or not known or held.epoch < standing.floor_epoch:
            return self._everything(held)
        volume = self._outbox.volume(held.epoch)
        return _Plan(held.epoch, held.epoch, standing.epoch, volume) if volume else None

    def _everything(self, held: Held) -> _Plan:
        epoch = self._outbox.outrank(held.epoch)
        return _Plan(held.epoch, 0, epoch, self._outbox.volume(0))

    def _send(
        self, branch: Branch, plan: _Plan, key_id: str
    ) -> Generator[Callable[[], Answer], Answer, Answer]:
        terms = self._sender.terms
        directory = self._sender.directory
        age = self._sender.age_of(branch.name)
        with _writing(directory), tempfile.TemporaryFile(dir=directory) as content:
            manifest = write_document(
                content,
                self._lines(plan.after, age, self._sender.links[key_id]),
                branch=branch.name,
                kind="snapshot" if plan.snapshot else "changes",
                epoch=plan.epoch,
                previous_epoch=plan.held,
                seal=msgspec.structs.replace(terms.seal, key_id=key_id),
                minimum_age=age,
                approved_by=self._sender.approved_by,
                private_key=self._sender.private_key,
                compress=True,
            )
            # What the disk does not take is to be known here, and not while it is read again.
            content.flush()
            self._outbox.note_sent(branch.name, plan.held, plan.epoch, manifest.sha256, age)
            return (yield partial(branch.send, Parcel(plan.snapshot, content, content.tell())))

    def _lines(self, after: int, age: int, links: tuple[bytes, ...]) -> Iterator[Line]:
        other = age != self._sender.terms.minimum_age
        for written, day in self._outbox.rows(after, age):
            line = decode(written)
            if isinstance(line, SealedRow) and other:
                line = replace(line, patron=replace(line.patron, enter_from=day))
            yield _overlaid(line, links) if isinstance(line, SealedRow) and links else line
        yield from map(Removal, self._outbox.removals(after))


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


def _number(head: str) -> int:
    return int(head.partition(":")[0])


def _failed(branch: Branch, answer: Answer) -> Delivery:
    why, refused = getattr(answer, "why", "answered out of turn"), isinstance(answer, Refused)
    return Delivery(branch.name, Result.FAILED, why=why, refused=refused)
