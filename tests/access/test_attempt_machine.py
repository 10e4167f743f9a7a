from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorctl.access.attempt import TRANSITIONS, Attempt, Phase, after
from doorctl.access.messages import (
    Clicked,
    Concluded,
    Effect,
    Event,
    LookAgain,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    TimePassed,
)
from doorctl.access.patron import Patron, pin_check
from doorctl.access.pin_pad import PadRules
from doorctl.access.policy import Policy
from doorctl.access.reasons import Reason
from doorctl.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.readings import CardRead, CardUnreadable, KeyPressed, Shape
from tests.access.samples import PATRON, ROW_KEY, moment

PAD = PadRules(pin_length=2)
CARDS = (
    Identifier(IdentifierKind.CARD, "3000001234"),
    Identifier(IdentifierKind.CARD, "3000001235"),
)
KEYS = {card: StretchedKey(bytes([at]) * 32) for at, card in enumerate(CARDS)}
PINS = ("12", "21")


def row(card: Identifier, pin: str, *, blocked: bool) -> Patron:
    """Return a card's row with a PIN."""
    blocks = frozenset("O") if blocked else frozenset[str]()
    return replace(PATRON, pin_check=pin_check(KEYS[card], Pin(pin)), blocks=blocks)


@dataclass
class Job:
    """A question to the worker, and what it has found so far."""

    attempt: int
    card: Identifier
    delay_s: float
    throttled: bool = False
    found: Prepared | None = None


class AttemptMachine(RuleBasedStateMachine):
    """A reader, a pad, a worker and a register that do what they like, in any order.

    The register changes by pushes between the moment a row is read and the moment it arrives.
    What has been typed and when is kept beside the machine, in its own words.
    """

    @initialize(require_pin=st.sampled_from([True, True, True, False]), last=st.integers(0, 5))
    def start(self, require_pin: bool, last: int) -> None:
        """Start the daemon, with attempts of earlier runs on record."""
        self.branch = Rules(Policy(require_pin=require_pin), PAD)
        self.attempt = Attempt(number=last, last_number=last)
        self.now_s = 100.0
        self.version: int | None = 1
        self.pushes = 1
        self.register: dict[Identifier, Patron | None] = {
            card: row(card, "12", blocked=False) for card in CARDS
        }
        self.jobs: list[Job] = []
        self.begun: dict[int, Identifier] = {}
        self.ended: Counter[int] = Counter()
        self.numbers = [last]
        self.throttled: set[int] = set()
        self.typed = ""
        self.entered: str | None = None
        self.latest_s = 100.0

    def _tell(self, event: Event) -> tuple[Effect, ...]:
        before = self.attempt
        now = Now(self.now_s, moment(), self.version)
        self.attempt, effects = after(before, event, now, self.branch)
        if isinstance(event, Prepared | PrepareFailed) and event.attempt != before.number:
            assert (self.attempt, effects) == (before, ())
        else:
            assert self.attempt.phase in TRANSITIONS[before.phase, type(event)].to
        for effect in effects:
            self._carry_out(effect)
        return effects

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Prepare):
            (card,) = effect.identifiers
            self.numbers.append(effect.attempt)
            self.begun[effect.attempt] = card
            self.jobs.append(Job(effect.attempt, card, self.next_delay_s, self.next_throttled))
            if self.next_throttled:
                self.throttled.add(effect.attempt)
        if isinstance(effect, LookAgain):
            self.latest_s = self.now_s
            number = effect.prepared.attempt
            assert effect.prepared.delay_s == 0.0
            throttled = effect.prepared.throttled
            self.jobs.append(Job(number, self.begun[number], 0.0, throttled))
        if isinstance(effect, Concluded):
            self._check_conclusion(effect)

    def _check_conclusion(self, concluded: Concluded) -> None:
        number = concluded.attempt
        self.ended[number] += 1
        if concluded.reason is Reason.CARD_UNREADABLE:
            self.numbers.append(number)
        if concluded.reason is Reason.OK:
            self._check_grant(number)

    def _check_grant(self, number: int) -> None:
        assert self.version is not None
        assert number not in self.throttled
        card = self.begun[number]
        patron = self.register[card]
        assert patron is not None
        assert not patron.blocks
        if self.branch.policy.require_pin:
            assert self.entered is not None
            assert patron.pin_check == pin_check(KEYS[card], Pin(self.entered))
        # Nothing waits longer than its own limit: 10 s for a key, 5 s for a row, 5 + 5 s delayed.
        assert self.now_s - self.latest_s < 10.0

    def _note_key(self, key: str) -> None:
        if key == "*":
            self.typed = ""
        elif key == "#":
            self.entered = self.typed or None
        else:
            self.typed += key
            self.entered = self.typed if len(self.typed) == PAD.pin_length else None

    @rule(
        card=st.sampled_from(CARDS),
        delay_s=st.sampled_from([0.0, 0.0, 5.0]),
        throttled=st.sampled_from([False, False, True]),
    )
    def swipe(self, card: Identifier, delay_s: float, throttled: bool) -> None:
        """Swipe a card, in the middle of whatever is going on."""
        self.next_delay_s, self.next_throttled = delay_s, throttled
        self.typed, self.entered = "", None
        effects = self._tell(CardRead((card,)))
        self.latest_s = self.now_s
        assert any(isinstance(effect, Prepare) for effect in effects)
        assert all(self.ended[number] == 1 for number in self.begun if number != self.numbers[-1])

    @rule()
    def swipe_a_worn_card(self) -> None:
        """Bytes that are no card, in the middle of whatever is going on."""
        before = self.attempt
        effects = self._tell(CardUnreadable(Shape.GARBAGE))
        number = before.last_number + 1
        assert effects == (Concluded(number, Reason.CARD_UNREADABLE, Shape.GARBAGE),)
        assert self.attempt == replace(before, last_number=number)

    @rule(key=st.sampled_from("12*#"))
    def press(self, key: str) -> None:
        """Press a key, whether anybody asked for one or not."""
        typing = self.attempt.phase is Phase.TYPING
        deadline_s = self.attempt.deadline_s
        in_time = deadline_s is not None and self.now_s < deadline_s
        if typing and in_time:
            self._note_key(key)
            self.latest_s = self.now_s
        effects = self._tell(KeyPressed(key))
        assert (Clicked() in effects) == (typing and in_time)

    @rule(card=st.sampled_from(CARDS), pin=st.sampled_from(PINS), work_first=st.booleans())
    def visit(self, card: Identifier, pin: str, work_first: bool) -> None:
        """Swipe and type, with the worker before or after the keys."""
        self.swipe(card, 0.0, throttled=False)
        if work_first:
            self.work()
        self.type_a_pin(pin)
        if not work_first:
            self.work()

    @precondition(lambda self: self.attempt.phase is Phase.TYPING)
    @rule(pin=st.sampled_from(PINS))
    def type_a_pin(self, pin: str) -> None:
        """Type a whole PIN at once."""
        for key in "*" + pin:
            self.press(key)

    def _read(self, job: Job) -> Prepared:
        return Prepared(
            job.attempt,
            KEYS[job.card],
            ROW_KEY,
            self.register[job.card],
            job.throttled,
            job.delay_s,
        )

    @precondition(lambda self: any(job.found is None for job in self.jobs))
    @rule()
    def read_the_row(self) -> None:
        """Let the worker read the row that was asked for longest ago."""
        job = next(job for job in self.jobs if job.found is None)
        job.found = self._read(job)

    @precondition(lambda self: self.jobs)
    @rule()
    def work(self) -> None:
        """Let the worker answer the latest question at once, as it mostly does."""
        job = self.jobs.pop()
        self._receive(job.found or self._read(job))

    @precondition(lambda self: any(job.found for job in self.jobs))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Let the answer to any question arrive, however old it is."""
        job = data.draw(st.sampled_from([job for job in self.jobs if job.found]))
        self.jobs.remove(job)
        assert job.found is not None
        self._receive(job.found)

    def _receive(self, found: Prepared) -> None:
        before = self.attempt.phase
        self._tell(found)
        if self.attempt.phase is Phase.DELAYED is not before:
            self.latest_s = self.now_s

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def fail_to_answer(self, data: st.DataObject) -> None:
        """Let the cache be unreadable for one question."""
        job = data.draw(st.sampled_from(self.jobs))
        self.jobs.remove(job)
        self._tell(PrepareFailed(job.attempt))

    @rule(
        card=st.sampled_from(CARDS),
        pin=st.none() | st.sampled_from(PINS),
        blocked=st.booleans(),
    )
    def push(self, card: Identifier, pin: str | None, blocked: bool) -> None:
        """Let a push change or remove a card's row."""
        self.register[card] = None if pin is None else row(card, pin, blocked=blocked)
        self.pushes += 1
        self.version = self.pushes

    @rule()
    def lose_the_cache(self) -> None:
        """Let the cache be unreadable for a moment or until the next push."""
        self.version = None

    @rule()
    def find_the_cache(self) -> None:
        """Let the cache be readable again, as it was."""
        self.version = self.pushes

    @rule(gap_s=st.sampled_from([0.001, 1.0, 4.999, 5.0, 9.999, 10.0, 600.0]))
    def let_time_go_by_unnoticed(self, gap_s: float) -> None:
        """Hold the loop up: time goes on and nobody tells."""
        self.now_s += gap_s

    @rule(gap_s=st.floats(0, 12))
    def pass_time(self, gap_s: float) -> None:
        """Tell the time; whatever is pending then lies ahead."""
        self.now_s += gap_s
        delayed = self.attempt.phase is Phase.DELAYED
        if delayed and self.attempt.deadline_s is not None:
            self.latest_s = max(self.latest_s, min(self.now_s, self.attempt.deadline_s))
        self._tell(TimePassed())
        assert self.attempt.deadline_s is None or self.attempt.deadline_s > self.now_s

    @rule()
    def pass_time_to_the_deadline(self) -> None:
        """Wake exactly when the attempt asked to be woken."""
        if self.attempt.deadline_s is not None:
            self.pass_time(max(0.0, self.attempt.deadline_s - self.now_s))

    @rule()
    def go_away(self) -> None:
        """Nothing comes any more: within three deadlines everything is concluded, once."""
        for _ in range(3):
            self.pass_time_to_the_deadline()
        assert self.attempt.phase is Phase.IDLE
        assert self.attempt.deadline_s is None
        assert all(self.ended[number] == 1 for number in self.begun)

    @invariant()
    def numbers_only_grow(self) -> None:
        """Every number is given out once, one higher than the one before."""
        if hasattr(self, "numbers"):
            first, *_, last = [*self.numbers, self.numbers[-1]]
            assert self.numbers == list(range(first, last + 1))
            assert self.attempt.last_number == last

    @invariant()
    def each_ends_once(self) -> None:
        """No attempt ends twice; the one at hand has not ended, all others have."""
        if hasattr(self, "ended"):
            assert all(times == 1 for times in self.ended.values())
            at_hand = set() if self.attempt.phase is Phase.IDLE else {self.attempt.number}
            assert set(self.begun) - set(self.ended) == at_hand

    @invariant()
    def only_what_is_needed_is_kept(self) -> None:
        """Digits are kept while typing, a PIN until it was judged, a deadline while one waits."""
        if hasattr(self, "attempt"):
            idle, typing = (self.attempt.phase is phase for phase in (Phase.IDLE, Phase.TYPING))
            assert (self.attempt.pad is not None) == typing
            assert not (idle or typing) or self.attempt.pin is None
            assert (self.attempt.deadline_s is None) == idle
            assert not idle or self.attempt.prepared is None


TestAttempt = AttemptMachine.TestCase
TestAttempt.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
