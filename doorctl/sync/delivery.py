"""The sender's outbox, and how every branch comes up to it; no branch waits for another.

Only the requests to branches run in the pool; the outbox is used on the caller's thread. So a
branch that does not answer delays only its own delivery.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from doorctl.access.patron import SealedRow, overlaid
from doorctl.core.errors import (
    Problem,
    PushInvalidError,
    PushOutOfOrderError,
    PushUnsignedError,
    StoreError,
)
from doorctl.core.ports import Clock, Seal
from doorctl.sync.document import Kind, signature_of, write_document
from doorctl.sync.rows import Line, Ref, Removal, decode_row
from doorctl.sync.signing import SigningKey, VerifyKey


@dataclass(frozen=True, slots=True)
class Terms:
    """The key, cost and ages of sealing; rows of other terms are of no use to a door.

    Ages are in years; `other_ages` are the limits of branches that have another one, ascending.
    """

    seal: Seal
    minimum_age: int
    other_ages: tuple[int, ...] = ()

    def keep_rows(self, before: Terms | None) -> bool:
        """Tell whether rows of the terms before are still of use; `other_ages` don't count."""
        return before is not None and replace(before, other_ages=self.other_ages) == self


@dataclass(frozen=True, slots=True)
class Revision:
    """A patron who is new or has changed, with one line for each identifier, at least one.

    `other_days` are `enter_from` for each other age limit that the patron is too young for.
    """

    patron_ref: str
    fingerprint: bytes = field(repr=False)
    lines: tuple[bytes, ...] = field(repr=False)
    other_days: Mapping[int, date] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the outbox; `epoch` is 0 before the first push.

    What has changed since an epoch before `floor_epoch` is no longer known: that takes all rows.
    """

    epoch: int
    floor_epoch: int
    terms: Terms | None
    patrons: int


@dataclass(frozen=True, slots=True)
class Volume:
    """How much a push holds: sealed cards and CPR numbers, and patrons taken out."""

    cards: int
    removed: int

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Volume(0, 0)


class Outbox(Protocol):
    """The sender's memory; one writer, one thread, each call one durable transaction.

    Raises StoreBusyError: another sender is at work. StoreError: nothing was changed.
    """

    def standing(self) -> Standing:
        """Return the outbox's state."""

    def fingerprints(self) -> dict[str, bytes]:
        """Return patron_ref -> fingerprint of everyone in the register."""

    def taken_out(self) -> dict[str, bytes]:
        """Return patron_ref -> fingerprint of those taken out whose lines are kept."""

    def lines_of(self, ref: str) -> tuple[bytes, ...]:
        """Return the lines of one of those."""

    def record(
        self, revisions: Iterable[Revision], removed: Iterable[str], terms: Terms
    ) -> Standing:
        """Put patrons in and take others out, under the next epoch; without any, do nothing.

        The lines of those taken out are kept, and useless after another seal or age limit than
        before, which raises the floor to the new epoch; `other_ages` do not. What `revisions`
        raises passes through and undoes all.
        """

    def outrank(self, epoch: int) -> int:
        """Make the epoch one more than `epoch` if it is not higher, and return it."""

    def volume(self, after: int) -> Volume:
        """Return how much `rows` and `removals` yield."""

    def rows(self, after: int, minimum_age: int) -> Iterator[tuple[bytes, date | None]]:
        """Yield the wire lines of everyone in the register who changed after an epoch.

        Each comes with its `enter_from` if the limit is one of the terms' `other_ages`, else None.
        """

    def removals(self, after: int) -> Iterator[str]:
        """Yield patrons who were taken out after an epoch and were there before it."""

    def note_sent(self, branch: str, held: int, epoch: int, digest: str, minimum_age: int) -> None:
        """Remember a push before it is sent, since its answer may be lost.

        Pushes from before `held`, the one that the branch holds, are forgotten; `minimum_age` is
        the branch's.
        """

    def was_sent(self, branch: str, epoch: int, digest: str, minimum_age: int) -> bool:
        """Tell whether a branch can hold this push from us, for this age limit."""

    def audit_heads(self, branch: str) -> dict[str, str]:
        """Return day -> where a branch's audit log ended then, as ``41:9f86…``; the last first."""

    def note_audit_head(
        self, branch: str, head: str, on: date, agreed: int, lost: str | None
    ) -> None:
        """Keep where a branch's audit log ends on a day, one head a day for half a year.

        Heads with a higher number than `agreed` are forgotten: the log no longer holds them. `lost`
        is the last of them; the first such one of a branch stays until somebody confirms it.
        """

    def audit_lost(self) -> dict[str, str]:
        """Return branch -> the head that its log was found without, if nobody confirmed it."""

    def note_wrong_pins(self, branch: str, here: Mapping[str, int], on: date) -> None:
        """Replace a branch's counts of patrons' wrong PINs, and forget what is 30 days old."""

    def wrong_pins_elsewhere(self, branch: str, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs at all other branches, for the `most` patrons with most.

        Only patrons in the register count.
        """

    def forget_removed(self, through: int) -> None:
        """Forget patrons taken out up to an epoch that every branch holds; raises the floor."""

    def forget_overdue(self, on: date, term_days: int) -> None:
        """Forget patrons taken out so many days ago though some branch never said that it knows.

        Such a branch gets all rows when it is back. `on` is a day that has certainly come.
        """


# Beside pushes, sender and branch exchange a short signed message and its answer. It is signed as
# it travels, so that fields which a younger sender adds hold up no older branch.

FORMAT: Literal["doorctl-exchange/1"] = "doorctl-exchange/1"

MOST_BYTES = 131_072
"""A message with half a year of heads has 20 KiB."""

MOST_PATRONS = 500
"""Patrons, those with most wrong PINs, in one message: a lying branch can bring in no more."""

WrongPins = Annotated[
    dict[Ref, Annotated[int, Meta(ge=1, le=10**6)]], Meta(max_length=MOST_PATRONS)
]
Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Short = Annotated[str, Meta(max_length=64)]
Head = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,17}):[0-9a-f]{64}\Z")]


def number_of(head: str) -> int:
    """Return the number of the entry that a head names."""
    return int(head.partition(":")[0])


class Exchange(Struct, frozen=True):
    """A sender's message to a branch; `nonce` is the one that the branch gave last.

    Args:
        heads: day -> where the branch's audit log ended then, as the sender kept it.
        wrong_pins: patron_ref -> wrong PINs at all other branches; None where there are none, and
            then the branch keeps its own to itself.
        at: the time by the sender's clock, aware; None where that is not sure itself. It was
            signed after the branch's boot, for the nonce is younger.
        boot: names the boot of the sender's machine: if it is the branch's, so is the clock.
    """

    format: Literal["doorctl-exchange/1"]
    branch: str
    nonce: str
    heads: Annotated[dict[Day, Head], Meta(max_length=256)] = {}
    wrong_pins: WrongPins | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    boot: Short = ""


class Exchanged(Struct, frozen=True):
    """The branch's answer: the highest number of those heads that is in its log, 0 for none.

    `wrong_pins` are patrons' who have many here; None where they can't be read or are not wanted.
    """

    agreed: Annotated[int, Meta(ge=0)]
    wrong_pins: WrongPins | None = None


def signed(
    branch: str,
    nonce: str,
    private_key: SigningKey,
    *,
    heads: Mapping[str, str],
    wrong_pins: dict[str, int] | None = None,
    at: datetime | None = None,
    boot: str = "",
) -> bytes:
    """Return a message as it travels: it begins with the signature of the rest of its line."""
    told = Exchange(FORMAT, branch, nonce, dict(heads), wrong_pins, at, boot)
    text = msgspec.json.encode(told)
    return base64.b64encode(private_key.sign(text)) + b"\n" + text


QUESTION = "doorctl-question/1"
SCHEME = "Doorctl"
"""Of the header `Authorization`, by which a sender asks what a branch holds."""


def question_signed(branch: str, private_key: SigningKey) -> str:
    """Return the header by which a branch knows who asks what it holds; older ones ignore it.

    It never changes: whoever can read it on its way reads the answer as well.
    """
    signature = private_key.sign(_question(branch))
    return f"{SCHEME} {base64.b64encode(signature).decode()}"


def is_senders(header: str, branch: str, public_keys: Sequence[VerifyKey]) -> bool:
    """Tell whether a question's header is by one of a branch's senders; any text may be given."""
    scheme, _, written = header.partition(" ")
    signature = signature_of(written)
    signed_by_one = any(key.has_signed(signature, _question(branch)) for key in public_keys)
    return scheme == SCHEME and signed_by_one


def _question(branch: str) -> bytes:
    return f"{QUESTION}\n{branch}".encode()


def read_exchange(
    message: bytes, branch: str, nonce: str, public_keys: Sequence[VerifyKey]
) -> Exchange:
    """Read a message; raise PushUnsignedError, PushInvalidError, or for its nonce OutOfOrder."""
    signature, _, text = message.partition(b"\n")
    signed_by = signature_of(signature.decode("latin-1"))
    if not any(key.has_signed(signed_by, text) for key in public_keys):
        raise PushUnsignedError("the message is signed by no key of this branch")
    try:
        exchange = msgspec.json.decode(text, type=Exchange)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Theirs would quote it.
        raise PushInvalidError("message", [Problem("line 2", "not as it should be")]) from None
    if exchange.branch != branch:
        raise PushUnsignedError("the message is for another branch")
    if exchange.nonce != nonce:
        raise PushOutOfOrderError("the message answers another nonce; ask for the epoch again")
    return exchange


# The questions to a branch and its answers; how they travel does not matter here.


Epoch = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Held(Struct, frozen=True):
    """What a branch holds; `epoch` is 0 for no push.

    `digest` is the SHA-256 of its rows in hex, `nonce` what a message to it must repeat, `key_id`
    of the key that its door seals cards with, and `minimum_age` its own age limit, in years.
    """

    epoch: Epoch
    digest: Short
    nonce: Short
    key_id: Short
    minimum_age: int
    audit_head: Any = None


class Taken(Struct, frozen=True):
    """The push is applied and durable, now or by an earlier sending."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """The branch does not hold what the push builds on (409)."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The branch rejects the push, and will however often it is sent."""

    why: str


@dataclass(frozen=True, slots=True)
class Away:
    """The branch can't be reached, or wants to be left alone so long; a later try may help."""

    why: str
    retry_after_s: float = 0.0


class Branch(Protocol):
    """One branch. One thread at a time; a branch's failure is an answer, never an exception."""

    @property
    def name(self) -> str:
        """The branch's id, as documents name it."""

    def held(self) -> Held | Refused | Away:
        """Ask the branch what it holds."""

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """Send a message made by :func:`signed`; a nonce serves once."""

    def send(self, content: BinaryIO, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """Send a whole document as one of its kind; without a kind it is checked and not applied.

        The same one may be sent again.
        """


Answer = Held | Exchanged | Taken | OutOfOrder | Refused | Away
Talk = Generator[Callable[[], Answer], Answer, "Delivery"]


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
    this thread only; with a thread for each branch in the pool, all are asked at once.
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
class _Courier:
    outbox: Outbox
    sender: Sender
    shares: bool

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

    def _asking(self, ask: Callable[[], Answer]) -> Callable[[], Answer]:
        wait = self.sender.wait
        return ask if wait is None else partial(insist, ask, wait)

    def _message(self, branch: Branch, nonce: str) -> Callable[[], Answer]:
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

    def _lost_head(self, branch: Branch, held: Held, answer: Answer | None) -> str | None:
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
        standing = self.outbox.standing()
        age = self.sender.age_of(branch.name)
        known = self.outbox.was_sent(branch.name, held.epoch, held.digest, age)
        if self.sender.full or not known or held.epoch < standing.floor_epoch:
            return self._everything(held)
        volume = self.outbox.volume(held.epoch)
        return _Plan(held, held.epoch, standing.epoch, volume) if volume else None

    def _everything(self, held: Held) -> _Plan:
        epoch = self.outbox.outrank(held.epoch)
        return _Plan(held, 0, epoch, self.outbox.volume(0))

    def _send(self, branch: Branch, plan: _Plan) -> Generator[Callable[[], Answer], Answer, Answer]:
        terms, directory = self.sender.terms, self.sender.directory
        age = self.sender.age_of(branch.name)
        kind: Kind = "snapshot" if plan.snapshot else "changes"
        with _writing(directory), tempfile.TemporaryFile(dir=directory) as content:
            manifest = write_document(
                content,
                self._lines(plan.after, age, self.sender.links[plan.held.key_id]),
                branch=branch.name,
                kind=kind,
                epoch=plan.epoch,
                previous_epoch=plan.held.epoch,
                seal=msgspec.structs.replace(terms.seal, key_id=plan.held.key_id),
                minimum_age=age,
                approved_by=self.sender.approved_by,
                private_key=self.sender.private_key,
                compress=True,
            )
            # A disk that is full must show here, and not while the document is read again.
            content.flush()
            self.outbox.note_sent(branch.name, plan.held.epoch, plan.epoch, manifest.sha256, age)
            sent_as = None if self.sender.rehearsed else kind
            # A second arrival changes nothing.
            return (yield self._asking(partial(branch.send, content, sent_as)))

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


def _failed(branch: Branch, answer: Answer) -> Delivery:
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
