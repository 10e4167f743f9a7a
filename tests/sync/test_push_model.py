"""Random registers, absences, crashes and losses: what a branch holds is what the feed says."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from doorctl.access.patron import pin_check, row_key
from doorctl.sync.branch import Away, Content, Held, OutOfOrder, Refused, Taken
from doorctl.sync.delivery import Delivery, Result
from doorctl.sync.document import Kind
from doorctl.sync.feed import FeedPatron
from doorctl.sync.packing import Document
from tests.fakes.branch import FakeBranch
from tests.fakes.memory_store import FastSealer
from tests.sync.senders import Town, card, patron

NAMES = st.sampled_from(["oest", "syd"])
REFS = st.sampled_from([1, 2, 3, 4])
CARDS = st.lists(st.integers(10, 15), max_size=3, unique=True)
PINS = st.sampled_from(["4711", "0815", None])
MOMENTS = st.sampled_from(["asked", "before", "after"])


class Crash(BaseException):
    """The sender's process dies."""


@dataclass
class ModelBranch(FakeBranch):
    """Remembers what it may be told of, and takes the sender down at a chosen moment.

    `crash_at`: the moment; `touched`: who was edited in the feed since it was last told; `certain`:
    the outbox knows what it holds, so that changes are enough; `full`: all rows were asked for;
    `since_left`: who was edited since something was left for it; `left_is_known`: the outbox knows
    of that.
    """

    crash_at: str = ""
    touched: set[str] = field(default_factory=set)
    certain: bool = False
    full: bool = False
    since_left: set[str] = field(default_factory=set)
    left_is_known: bool = False

    def leave(self, documents: Sequence[Document]) -> bool:
        """Leave what is in the feed now."""
        self.since_left, self.left_is_known = set(), True
        return super().leave(documents)

    def come_back(self) -> None:
        """Find what was left; from then on it was told what was in the feed at that time."""
        if self.take_left():
            self.touched, self.certain = set(self.since_left), self.left_is_known

    def held(self) -> Held | Refused | Away:
        """Answer, or end the sender before it hears."""
        answer = super().held()
        self._perhaps("asked")
        return answer

    def send(self, content: Content, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """Apply, or end the sender before or after."""
        self._perhaps("before")
        answer = super().send(content, kind)
        if isinstance(answer, Taken) or (self.mute and not self.away):
            self._check()
        self._perhaps("after")
        return answer

    def _check(self) -> None:
        document = self.arrived[-1]
        assert document.manifest["epoch"] == self.epoch
        if document.manifest["kind"] == "snapshot":
            assert self.full or not self.certain
        else:
            assert document.patrons
            assert document.patrons <= self.touched
        self.touched = set()
        self.certain = True

    def _perhaps(self, moment: str) -> None:
        if self.crash_at == moment:
            self.crash_at = ""
            raise Crash


class SenderAgainstFeed(RuleBasedStateMachine):
    """Edit, push, crash and lose at random; after a good run no branch differs from the feed."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._branches = {name: ModelBranch(name, keeps=name == "oest") for name in ("oest", "syd")}
        self._town = Town(Path(self._directory.name), list(self._branches.values()))
        self._feed = {9: patron(9, 90)}
        self._town.source.patrons = list(self._feed.values())

    @rule(ref=REFS, cards=CARDS, pin=PINS, resident=st.booleans())
    def edit(self, ref: int, cards: list[int], pin: str | None, resident: bool) -> None:
        """Put a patron into the feed, or change one, and push; free cards may change hands."""
        taken = {
            each for other, row in self._feed.items() if other != ref for each in row.identifiers
        }
        numbers = [number for number in cards if card(number) not in taken]
        self._change(ref, patron(ref, *numbers, pin=pin, resident=resident))
        self.push(full=False)

    @rule(ref=REFS)
    def leave(self, ref: int) -> None:
        """Take a patron out of the feed, and push."""
        self._change(ref, None)
        self.push(full=False)

    @rule(name=NAMES, away=st.booleans(), mute=st.booleans())
    def go(self, name: str, away: bool, mute: bool) -> None:
        """Let a branch go or come back, or have its answers lost."""
        self._branches[name].away, self._branches[name].mute = away, mute

    @rule()
    def take_left(self) -> None:
        """Have a branch find what was left for it while it was away."""
        self._branches["oest"].come_back()

    @rule(full=st.booleans())
    def push(self, full: bool) -> None:
        """Run the sender; every branch that answered is then right."""
        for branch in self._branches.values():
            branch.full = full
        _, deliveries = self._town.push(full=full)
        for name, branch in self._branches.items():
            self._judge(branch, deliveries[name])

    @rule(name=NAMES, moment=MOMENTS)
    def crash(self, name: str, moment: str) -> None:
        """Kill the sender in the middle of a conversation."""
        branch = self._branches[name]
        branch.crash_at = moment
        with suppress(Crash):
            self.push(full=False)
        branch.crash_at = ""

    @rule()
    def lose_outbox(self) -> None:
        """Lose the sender's memory."""
        self._town.outbox_path.unlink(missing_ok=True)
        for branch in self._branches.values():
            branch.certain = branch.left_is_known = False

    @rule(name=NAMES)
    def lose_cache(self, name: str) -> None:
        """Set a branch's cache aside: it starts with nothing."""
        branch = self._branches[name]
        branch.epoch, branch.digest, branch.rows, branch.certain = 0, "", {}, False

    def teardown(self) -> None:
        """Bring everybody back: one run, and all branches are right."""
        for branch in self._branches.values():
            branch.away = branch.mute = False
        self.push(full=False)
        self._directory.cleanup()

    def _judge(self, branch: ModelBranch, delivery: Delivery) -> None:
        if not delivery.up_to_date:
            assert branch.away or branch.mute
            return
        assert not branch.away
        assert told(branch) == self._expected()
        if delivery.result is Result.UNCHANGED:
            assert branch.certain
            assert not branch.full
            branch.touched = set()

    def _change(self, ref: int, row: FeedPatron | None) -> None:
        if row is None:
            self._feed.pop(ref, None)
        else:
            self._feed[ref] = row
        self._town.source.patrons = list(self._feed.values())
        for branch in self._branches.values():
            branch.touched.add(str(ref))
            branch.since_left.add(str(ref))

    def _expected(self) -> set[tuple[object, ...]]:
        return {row for each in self._feed.values() for row in sealed(each)}


def told(branch: FakeBranch) -> set[tuple[object, ...]]:
    """Return what tells one row of a branch from another."""
    return {(row["key"], row["ref"], row["pin"], row["resident"]) for row in branch.rows.values()}


def sealed(row: FeedPatron) -> set[tuple[object, ...]]:
    """Return the same of a patron, sealed here and now."""
    found: set[tuple[object, ...]] = set()
    for each in row.identifiers:
        stretched = FastSealer().stretch(each.identifier)
        pin = None if row.pin is None else base64.b64encode(pin_check(stretched, row.pin)).decode()
        key = base64.b64encode(row_key(stretched)).decode()
        found.add((key, row.patron_ref, pin, row.row.resident))
    return found


TestSenderAgainstFeed = SenderAgainstFeed.TestCase
TestSenderAgainstFeed.settings = settings(stateful_step_count=25)
