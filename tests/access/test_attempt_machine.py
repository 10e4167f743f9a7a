"""Two cards, what a push can bring of them, and an attempt to which anything happens.

Bug (state machine over an attempt, 150 examples of it): the model did not know that who comes by a
pass into a closed house may bring somebody, and that nobody may where no mode is known (the
harness's own mistake).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorctl.access.attempt import COMPANION_S, TRANSITIONS, Attempt, Phase, after
from doorctl.access.calendar import Mode
from doorctl.access.messages import (
    Accompanied,
    AskLibrary,
    Clicked,
    Concluded,
    Effect,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    NoCode,
    Now,
    PadRules,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.patron import BEFORE_PROOF, Patron, Reason, pin_check
from doorctl.access.policy import Policy, knows_pin
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape
from tests.access.samples import NOW, PATRON, ROW_KEY, day, moment

CARDS = (
    Identifier(IdentifierKind.CARD, "3000001234"),
    Identifier(IdentifierKind.CARD, "3000001235"),
)
KEYS = {card: StretchedKey(bytes([at]) * 32) for at, card in enumerate(CARDS)}
PINS = ("12", "21")

LEARNT_UNTIL = {"pushed": None, "learnt": day(0), "outdated": day(-1)}
SORTS = (*LEARNT_UNTIL, "none")
"""What a row can have of a PIN."""


def row(card: Identifier, pin: str, *, blocked: bool, sort: str = "pushed") -> Patron:
    """Return a card's row with a PIN, or of the sort that has none."""
    blocks = frozenset("O") if blocked else frozenset[str]()
    patron = replace(PATRON, pin_check=None, blocks=blocks)
    if sort == "none":
        return patron
    check = pin_check(KEYS[card], Pin(pin))
    return replace(patron, pin_check=check, pin_until=LEARNT_UNTIL[sort])


@dataclass
class Job:
    """A question to the worker, and what it has found so far."""

    attempt: int
    card: Identifier
    delay_s: float
    throttled: bool = False
    lent: Patron | None = None
    proved: bool = False
    found: Prepared | None = None


PAD = PadRules(pin_length=2)
ASK_S = 2.0
LENT = ("none", "row", "row", "blocked")
CODES = tuple(Identifier(IdentifierKind.CODE, digits) for digits in ("121212", "212121"))
STRETCHED = {**KEYS, **{code: StretchedKey(bytes([7 + at]) * 32) for at, code in enumerate(CODES)}}

FREE = Pass(1, PassKind.STAFF, day(-9), day(9), needs_pin=False, companions_max=1, label="club")
OPEN_MODES = {Mode.SELF_SERVICE, Mode.STAFFED}
BAN = Ban(1, "shouting", NOW - timedelta(days=1), None, "staff-7", frozenset({"*"}))

CODE_PASS = replace(FREE, code_digits=6)


def own_pin(card: Identifier) -> Pass:
    """Return a pass with a PIN of its own, which is 21 for every card."""
    return replace(FREE, needs_pin=True, pin_check=pin_check(STRETCHED[card], Pin("21")))


def straight(check: bytes | None, card: Identifier, typed: str) -> bool:
    """Tell whether a PIN is the right one."""
    return check == pin_check(STRETCHED[card], Pin(typed))


def forced(check: bytes | None, card: Identifier, typed: str) -> bool:
    """Tell whether a PIN is one higher than the right one; only 12 can be, of 11."""
    return typed == "12" and straight(check, card, "11")


class AttemptMachine(RuleBasedStateMachine):
    """A reader, a pad, a worker, a register and a library system that do what they like.

    The register changes by pushes between the moment a row is read and the moment it arrives.
    What has been typed and when is kept beside the machine, in its own words.
    """

    @initialize(
        require_pin=st.sampled_from([True, True, True, False]),
        last=st.integers(0, 5),
        ask_s=st.sampled_from([None, ASK_S, ASK_S]),
        duress=st.booleans(),
        companions_max=st.sampled_from([0, 2]),
        codes=st.booleans(),
    )
    def start(
        self,
        *,
        require_pin: bool,
        last: int,
        ask_s: float | None,
        duress: bool,
        companions_max: int,
        codes: bool,
    ) -> None:
        """Start the daemon, with attempts of earlier runs on record."""
        policy = Policy(
            require_pin=require_pin,
            duress=duress,
            companions_max=companions_max,
            code_entry=codes,
        )
        self.branch = Rules(policy, PAD, ask_s)
        self.mode: Mode | None = Mode.SELF_SERVICE
        self.passes: dict[Identifier, Pass] = {}
        self.banned: set[Identifier] = set()
        self.code_digits = ""
        self.code_times = (0.0, 0.0)
        self.window: tuple[int, int, float, Mode | None] | None = None
        self.locked = True
        self.accompanied: Counter[int] = Counter()
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
        self.questions: dict[int, Prepared] = {}
        self.proved: dict[int, Patron | None] = {}
        self.seen: set[int] = set()
        self.typed = ""
        self.entered: str | None = None
        self.latest_s = 100.0

    def _tell(self, event: Event) -> tuple[Effect, ...]:
        before = self.attempt
        now = Now(self.now_s, moment(), self.version, self.mode, locked=self.locked)
        self.attempt, effects = after(before, event, now, self.branch)
        if isinstance(event, CardRead | Stalled):
            self.code_digits, self.window = "", None
        answers = Prepared | PrepareFailed | LibraryAnswered
        if isinstance(event, answers) and event.attempt != before.number:
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
            again = Job(number, self.begun[number], 0.0, effect.prepared.throttled)
            again.lent, again.proved = effect.prepared.lent, effect.prepared.proved
            assert again.proved == (number in self.proved)
            self.jobs.append(again)
        if isinstance(effect, AskLibrary):
            self._check_question(effect)
        if isinstance(effect, Accompanied):
            self.accompanied[effect.attempt] += 1
            assert self.accompanied[effect.attempt] == 1, "told once"
        if isinstance(effect, Concluded):
            self._check_conclusion(effect)

    def _check_question(self, asked: AskLibrary) -> None:
        number = asked.prepared.attempt
        assert self.branch.ask_s is not None
        assert number not in self.throttled
        assert number not in self.questions, "asked once"
        assert asked.pin.reveal() == self.entered
        self.questions[number] = asked.prepared

    def _check_conclusion(self, concluded: Concluded) -> None:
        number = concluded.attempt
        self.ended[number] += 1
        if concluded.reason is Reason.CARD_UNREADABLE:
            self.numbers.append(number)
        if concluded.reason is Reason.OK:
            self._check_grant(concluded)
        elif number in self.questions and number not in self.proved:
            assert concluded.reason in BEFORE_PROOF, "a guess that was passed on is charged"
            assert not concluded.duress

    def _check_grant(self, concluded: Concluded) -> None:
        number = concluded.attempt
        assert self.version is not None
        card = self.begun[number]
        assert card not in self.banned
        unasked = self.passes.get(card) == FREE
        waits = number in self.throttled
        by_pass = self._pass_opens(number, card) and (unasked or not waits)
        by_patron = self.mode in OPEN_MODES and self._patron_opens(number, card) and not waits
        assert by_pass or by_patron
        assert concluded.duress == self._is_forced(number, card)
        along = [self.branch.policy.companions_max] * (by_patron and not (by_pass and unasked))
        along += [FREE.companions_max] * by_pass
        opens = (number, max(along), self.now_s + COMPANION_S, self.mode)
        self.window = opens if max(along) and self.mode is not None else None
        self.locked = False
        # Nothing waits longer than its own limit: 10 s for a key, 5 s for a row, 5 + 5 s delayed.
        assert self.now_s - self.latest_s < 10.0

    def _pass_opens(self, number: int, card: Identifier) -> bool:
        held = self.passes.get(card)
        if held is None or self.mode is Mode.LOCKDOWN:
            return False
        typed = self._typed(number)
        own = typed is not None and straight(held.pin_check, card, typed)
        return own or not held.needs_pin

    def _typed(self, number: int) -> str | None:
        return None if self.begun[number] in CODES else self.entered

    def _patron_opens(self, number: int, card: Identifier) -> bool:
        patron = self.register.get(card)
        if patron is None:
            patron = None if number in self.seen else self.proved.get(number)
        if patron is None or patron.blocks:
            return False
        if not self.branch.policy.require_pin or number in self.proved:
            return True
        typed = self._typed(number)
        if typed is None or not knows_pin(patron, moment()):
            return False
        by_force = self.branch.policy.duress and forced(patron.pin_check, card, typed)
        return straight(patron.pin_check, card, typed) or by_force

    def _is_forced(self, number: int, card: Identifier) -> bool:
        patron, typed, held = self.register.get(card), self._typed(number), self.passes.get(card)
        if not self.branch.policy.duress or typed is None or number in self.proved:
            return False
        if held is not None and straight(held.pin_check, card, typed):
            return False
        known = patron is not None and knows_pin(patron, moment())
        return known and patron is not None and forced(patron.pin_check, card, typed)

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
        before, deadline_s = self.attempt, self.attempt.deadline_s
        in_time = deadline_s is not None and self.now_s < deadline_s
        if before.phase is not Phase.IDLE and self.begun[before.number] == card and in_time:
            self._repeat(card)
            return
        self.next_delay_s, self.next_throttled = delay_s, throttled
        self.typed, self.entered = "", None
        effects = self._tell(CardRead((card,)))
        self.latest_s = self.now_s
        assert any(isinstance(effect, Prepare) for effect in effects)
        assert all(self.ended[number] == 1 for number in self.begun if number != self.numbers[-1])

    def _repeat(self, card: Identifier) -> None:
        """Read the card at hand once more: nothing typed is lost, and no time is won in all."""
        before = self.attempt
        assert self._tell(CardRead((card,))) == ()
        if before.pad is not None:
            self.latest_s = self.now_s
            assert self.attempt.deadline_s is not None
            assert self.attempt.deadline_s <= before.pad.opened_s + PAD.total_timeout_s
        pad = before.pad and replace(before.pad, last_key_s=self.now_s)
        assert self.attempt == replace(before, pad=pad)

    @precondition(lambda self: self.attempt.phase is not Phase.IDLE)
    @rule()
    def hold_a_phone(self) -> None:
        """Let an imager repeat the card of the attempt, if it is a card's."""
        card = self.begun[self.attempt.number]
        if card in CARDS:
            self.swipe(card, 0.0, throttled=False)

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
        if self.attempt.phase is Phase.IDLE:
            self._press_idly(key)
            return
        typing = self.attempt.phase is Phase.TYPING
        deadline_s = self.attempt.deadline_s
        in_time = deadline_s is not None and self.now_s < deadline_s
        if typing and in_time:
            self._note_key(key)
            self.latest_s = self.now_s
        effects = self._tell(KeyPressed(key))
        assert (Clicked() in effects) == (typing and in_time)

    def _press_idly(self, key: str) -> None:
        """Press a key where no card is at hand: it says who comes along, or it is of a code."""
        window, self.next_delay_s, self.next_throttled = self.window, 0.0, False
        if (
            window is not None
            and self.now_s < window[2]
            and (self.locked or self.mode not in {*OPEN_MODES, window[3]})
        ):
            self.window = window = None
        if window is not None and self.now_s < window[2]:
            counts = key.isdigit() and int(key) <= window[1]
            if counts:
                self.window = None
            effects = self._tell(KeyPressed(key))
            brought = (Accompanied(window[0], int(key)),) if counts and key != "0" else ()
            assert effects == ((*brought, Clicked()) if counts else ())
            return
        opened_s, last_s = self.code_times
        if not self.code_digits or self.now_s >= min(opened_s + 30.0, last_s + 10.0):
            self.code_digits, opened_s = "", self.now_s
        self.code_times = (opened_s, self.now_s)
        typed, self.code_digits = self.code_digits, self.code_digits + key
        if key in "*#" or not self.branch.policy.code_entry:
            self.code_digits = ""
        if key == "#" and 6 <= len(typed) <= 9:
            self.typed, self.entered, self.latest_s = "", None, self.now_s
            effects = self._tell(KeyPressed(key))
            (asked,) = [effect for effect in effects if isinstance(effect, Prepare)]
            assert asked.identifiers == (Identifier(IdentifierKind.CODE, typed),)
        else:
            told = (Clicked(), NoCode(lone=not typed)) if key == "#" else (Clicked(),)
            asks = self.mode is Mode.SELF_SERVICE
            assert self._tell(KeyPressed(key)) == (
                told if self.branch.policy.code_entry else (NoCode(lone=True),) if asks else ()
            )

    @precondition(lambda self: self.attempt.phase is Phase.IDLE and self.branch.policy.code_entry)
    @rule(code=st.sampled_from(CODES), work=st.booleans())
    def type_a_code(self, code: Identifier, work: bool) -> None:
        """Type a whole code at once."""
        self.window_over()
        for key in "*" + code.reveal().partition(":")[2] + "#":
            self.press(key)
        if work and self.jobs:
            self.work()

    def window_over(self) -> None:
        """Wait until nobody can say any more who comes along."""
        if self.window is not None:
            self.now_s = max(self.now_s, self.window[2])

    @rule(heard=st.booleans())
    def lock(self, heard: bool) -> None:
        """Let the strike lock; nobody may follow from then on, told or not."""
        self.locked = True
        if heard:
            self.pass_time(0.0)
            assert self.attempt.company is None

    @rule(who=st.sampled_from([*CARDS, *CODES]), sort=st.sampled_from([None, "free", "own PIN"]))
    def issue(self, who: Identifier, sort: str | None) -> None:
        """Let staff issue a pass, or take it back."""
        self.passes.pop(who, None)
        if sort is not None:
            of_card = FREE if sort == "free" else own_pin(who)
            self.passes[who] = CODE_PASS if who in CODES else of_card
        self._changed()

    @rule(who=st.sampled_from([*CARDS, *CODES]), banned=st.booleans())
    def ban(self, who: Identifier, banned: bool) -> None:
        """Let staff ban a card, or lift the ban."""
        (self.banned.add if banned else self.banned.discard)(who)
        self._changed()

    @rule(mode=st.sampled_from([Mode.SELF_SERVICE, Mode.SELF_SERVICE, *Mode, None]))
    def change_mode(self, mode: Mode | None) -> None:
        """Let the hours or staff change what the branch is."""
        self.mode = mode

    def _changed(self) -> None:
        self.pushes += 1
        self.version = self.pushes

    @rule(
        card=st.sampled_from(CARDS),
        pin=st.sampled_from(PINS),
        throttled=st.sampled_from([False, False, False, True]),
        work_first=st.booleans(),
        locks=st.booleans(),
    )
    def visit(
        self, card: Identifier, pin: str, throttled: bool, work_first: bool, locks: bool = False
    ) -> None:
        """Swipe and type, with the worker before or after the keys; perhaps the strike locks."""
        self.swipe(card, 0.0, throttled=throttled)
        if work_first and self.jobs:
            self.work()
        if self.attempt.phase is Phase.TYPING:
            self.type_a_pin(pin)
        if not work_first and self.jobs:
            self.work()
        if locks:
            self.lock(heard=work_first)

    @precondition(lambda self: self.attempt.phase is Phase.TYPING)
    @rule(pin=st.sampled_from(PINS))
    def type_a_pin(self, pin: str) -> None:
        """Type a whole PIN at once."""
        for key in "*" + pin:
            self.press(key)

    def _read(self, job: Job) -> Prepared:
        return Prepared(
            job.attempt,
            STRETCHED[job.card],
            ROW_KEY,
            self.register.get(job.card),
            job.throttled,
            job.delay_s,
            lent=job.lent,
            proved=job.proved,
            identifier=job.card,
            bans=(BAN,) if job.card in self.banned else (),
            held=self.passes.get(job.card),
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
        heard = before in {Phase.TYPING, Phase.CHECKING} and found.attempt == self.attempt.number
        if heard and found.patron is not None:
            self.seen.add(found.attempt)
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

    @precondition(lambda self: self.questions)
    @rule(
        data=st.data(),
        answer=st.sampled_from([LibraryAnswer.YES, *LibraryAnswer]),
        lent=st.sampled_from(LENT),
    )
    def answer_of_the_library(self, data: st.DataObject, answer: LibraryAnswer, lent: str) -> None:
        """Let the library system answer any question, again and however late, with any row."""
        self._say(data.draw(st.sampled_from(sorted(self.questions)[-2:])), answer, lent)

    @rule(
        card=st.sampled_from(CARDS),
        sort=st.sampled_from([None, *SORTS]),
        pushed=st.sampled_from(["nothing", "nothing", "row", "block", "removal"]),
        answer=st.sampled_from([LibraryAnswer.YES, *LibraryAnswer]),
        lent=st.sampled_from(LENT),
    )
    def be_answered(
        self, card: Identifier, sort: str | None, pushed: str, answer: LibraryAnswer, lent: str
    ) -> None:
        """Visit with a card that the cache can't judge; perhaps a push comes before the answer."""
        self.push(card, "12" if sort else None, blocked=False, sort=sort or "none")
        self.visit(card, "21", throttled=False, work_first=True)
        if pushed != "nothing":
            pin = None if pushed == "removal" else "12"
            self.push(card, pin, blocked=pushed == "block", sort="pushed")
        if self.questions:
            self._say(max(self.questions), answer, lent)

    def _say(self, number: int, answer: LibraryAnswer, lent: str) -> None:
        card, before = self.begun[number], self.attempt
        patron = None if lent == "none" else row(card, "12", blocked=lent == "blocked", sort="none")
        in_time = before.deadline_s is not None and self.now_s < before.deadline_s
        hears = before.phase is Phase.ASKING and before.number == number and in_time
        if hears and answer is LibraryAnswer.YES:
            self.proved[number] = patron
        effects = self._tell(LibraryAnswered(number, answer, patron))
        if not hears:
            assert (self.attempt, effects) == (before, ())
        elif answer is not LibraryAnswer.YES:
            assert (self.attempt.deadline_s, effects) == (before.deadline_s, ())

    @rule()
    def stand_still(self) -> None:
        """Let the daemon notice that it stood still: nobody comes in by what was typed before."""
        effects = self._tell(Stalled())
        assert self.attempt.phase is Phase.IDLE
        assert Reason.OK not in [it.reason for it in effects if isinstance(it, Concluded)]

    @rule(
        card=st.sampled_from(CARDS),
        pin=st.none() | st.sampled_from([*PINS, "11"]),
        blocked=st.booleans(),
        sort=st.sampled_from(SORTS),
    )
    def push(self, card: Identifier, pin: str | None, blocked: bool, sort: str) -> None:
        """Let a push change or remove a card's row."""
        patron = None if pin is None else row(card, pin, blocked=blocked, sort=sort)
        self.register[card] = patron
        self._changed()

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
        for _ in range(2):
            self.pass_time_to_the_deadline()
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
            pending = self.attempt.company is not None or self.attempt.code_pad is not None
            assert idle or not pending
            assert (self.attempt.deadline_s is None) == (idle and not pending)
            assert not idle or (self.attempt.prepared, self.attempt.card) == (None, None)
            withholds = self.attempt.phase in {Phase.ASKING, Phase.WITHHELD}
            assert (self.attempt.withheld is not None) == withholds
            assert not withholds or self.attempt.pin is None


TestAttempt = AttemptMachine.TestCase
TestAttempt.settings = settings(stateful_step_count=50)
