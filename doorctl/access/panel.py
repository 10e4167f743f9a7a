"""What the screen at the door shows: names and numbers only, in no language.

The queue reads it too. Until a PIN is proved every refusal is the same one; after that a code shows
where the desk has to look, too coarse to reveal the reason. It holds no typed digit, only how many,
and nothing of who came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from types import MappingProxyType

from doorctl.access.attempt import Attempt, Phase
from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.day import Override
from doorctl.access.messages import Concluded
from doorctl.access.panel_hours import Opens, Outlook, Staffed, outlook
from doorctl.access.patron import BEFORE_PROOF, Reason
from doorctl.core.moments import Moment


class Kind(Enum):
    """The picture on the screen."""

    IDLE = "idle"
    CLOSING = "closing"
    CLOSED = "closed"
    STAFFED = "staffed"
    OUT_OF_ORDER = "out_of_order"
    CARD_READ = "card_read"
    TYPING = "typing"
    WORKING = "working"
    WELCOME = "welcome"
    REFUSED = "refused"
    HELP = "help"
    CALLED = "called"


class Keys(Enum):
    """What the screen's keys are for; `NONE` where it shows no keys."""

    NONE = "none"
    PIN = "pin"
    CODE = "code"
    COMPANIONS = "companions"


@dataclass(frozen=True, slots=True)
class PanelState:
    """What the screen shows.

    Args:
        attempt: the current attempt or the last one; a key that was meant for another is void.
        wanted: how many digits a PIN has; 0 where none is required.
        code: of a refusal, one of `CODES` or `CARD_FIRST`; of a welcome, that the desk wants to
            speak to the patron.
        companions: how many may come along, 0-9; `wrong`: a digit was pressed that is more.
        locks_s: when the strike locks behind a welcome, by CLOCK_MONOTONIC; None once it has.
        minutes: as in :class:`Outlook`, like `entry`, `hours`, `opens` and `staffed`.
        again: the refusal before may be shown again, by the key `AGAIN`.
    """

    kind: Kind
    attempt: int = 0
    typed: int = 0
    wanted: int = 0
    keys: Keys = Keys.NONE
    code: int = 0
    companions: int = 0
    minutes: int | None = None
    entry: bool = True
    hours: tuple[tuple[int, int], ...] | None = None
    opens: Opens | None = None
    staffed: Staffed | None = None
    again: bool = False
    wrong: bool = False
    locks_s: float | None = None


AGAIN = "again"
HELP, CALL, NO_CALL = "help", "call", "no_call"
"""Keys of the screen alone, and the only ones where it has no PIN pad.

`HELP` asks whether help is wanted, and no second press at the same place calls it: that is `CALL`.
"""

HELP_KEYS = frozenset({HELP, CALL, NO_CALL})

CARD_FIRST = 0
"""Digits without a card that no code can have: no refusal, and the same for all of them."""

NOT_PROVED = 1
UNREADABLE = 2
OURS = 3
ACCOUNT = 4
RULES = 5
NEW_PIN = 6

CODES: Mapping[Reason, int] = MappingProxyType(
    {
        # All ends before a proof look the same, also a PIN that was not typed in time.
        **dict.fromkeys(BEFORE_PROOF, NOT_PROVED),
        Reason.PIN_TIMEOUT: NOT_PROVED,
        Reason.CARD_UNREADABLE: UNREADABLE,
        Reason.FAULT: OURS,
        Reason.CACHE_TOO_OLD: OURS,
        Reason.CLOCK_UNTRUSTED: OURS,
        Reason.BLOCKED: ACCOUNT,
        Reason.BANNED: ACCOUNT,
        Reason.EXPIRED: ACCOUNT,
        Reason.RESTRICTED: ACCOUNT,
        Reason.NOT_RESIDENT: RULES,
        Reason.UNDER_AGE: RULES,
        Reason.NOT_INTRODUCED: RULES,
        Reason.NOT_PERMITTED: RULES,
        Reason.WEAK_PIN: NEW_PIN,
    }
)
"""The code of each refusal but one: everybody may know that the house is closed."""

AT_THE_DESK = frozenset({ACCOUNT, RULES, NEW_PIN})
"""The codes that staff can help with, whose screens differ by nothing else."""

STANDING: Mapping[Mode | None, Kind] = MappingProxyType(
    {
        Mode.SELF_SERVICE: Kind.IDLE,
        Mode.STAFFED: Kind.STAFFED,
        Mode.CLOSED: Kind.CLOSED,
        Mode.LOCKDOWN: Kind.CLOSED,
        None: Kind.OUT_OF_ORDER,
    }
)
"""What the screen shows while nobody is at the reader; without a mode the time is unknown."""

AT_REST = frozenset({Kind.IDLE, Kind.CLOSING, Kind.CLOSED, Kind.STAFFED, Kind.OUT_OF_ORDER})
"""The screens while no patron is being served."""

HELP_AT = AT_REST | {Kind.REFUSED, Kind.HELP, Kind.CALLED}
"""The screens on which help can be called: never while a patron is being served."""


@dataclass(frozen=True, slots=True)
class PanelRules:
    """The branch's rules for its screen; `keys` is True where no keypad is wired, `help` offered.

    A refusal stays `message_s` seconds; the last `countdown_min` minutes are counted down.
    """

    keys: bool = False
    help: bool = False
    codes: bool = False
    message_s: float = 25.0
    countdown_min: int = 15


WELCOME_S = 6.0
"""How long a welcome stands, and as long as the door is released for it."""

AGAIN_S = 60.0
"""How long a refusal that is over can be had again: its patron is still there, or is not."""

CALL_REST_S = 300.0
"""A call for help so soon after another shows that one: play must not flood staff."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The message at the end of an attempt, until when (monotonic seconds).

    `again`: a refusal that was over before, and is shown again this once.
    """

    kind: Kind
    code: int
    until_s: float
    again: bool = False

    def offered(self, now_s: float) -> Notice | None:
        """Return what may be shown again of a message that is over now; None for nothing."""
        if self.kind is not Kind.REFUSED or self.code == CARD_FIRST or self.again:
            return None
        return replace(self, until_s=now_s + AGAIN_S, again=True)


HouseState = tuple[Mode | None, bool]
"""A mode, None for unknown, and whether nobody new comes in before closing."""


@dataclass(frozen=True, slots=True)
class Display:
    """The screen as it stands; `calendar` is None until it was read, `notice` once it is over.

    `offered` may be shown again until its end, unless somebody else comes. The strike is released
    until `locks_s`; help was called last at `called_s`, monotonic. `outlook` holds for the minute
    since 1970 and the standing in `found_for`; None to find it anew. `stood` is the standing at the
    last look.
    """

    rules: PanelRules = field(default_factory=PanelRules)
    calendar: Calendar | None = None
    override: Override | None = None
    notice: Notice | None = None
    offered: Notice | None = None
    locks_s: float | None = None
    called_s: float = -inf
    outlook: Outlook = field(default_factory=lambda: Outlook(Mode.CLOSED))
    found_for: tuple[float, bool, HouseState] | None = None
    stood: HouseState | None = None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`at` has to be called next, monotonic seconds; None for no deadline."""
        shown = self.notice or self.offered
        if shown is None:
            return None
        longer_s = self.locks_s if shown.kind is Kind.WELCOME else None
        return max(shown.until_s, longer_s or 0.0)

    def heard(self, calendar: Calendar | None, override: Override | None) -> Display:
        """Return the screen with other hours."""
        return replace(self, calendar=calendar, override=override, found_for=None)

    def telling(self, notice: Notice | None) -> Display:
        """Return the screen with a message, or without one; the one before is forgotten."""
        return replace(self, notice=notice, offered=None)

    def concluded(self, end: Concluded, now_s: float) -> Display:
        """Return the screen with the message at the end of an attempt."""
        if end.reason is Reason.OK:
            # The desk says that the PIN is weak, because the queue must not know it.
            code = NEW_PIN if end.weak_pin else 0
            return self.telling(Notice(Kind.WELCOME, code, now_s + WELCOME_S))
        if end.reason is Reason.CLOSED:
            return self.telling(Notice(Kind.CLOSED, 0, now_s + self.rules.message_s))
        return self.turned_away(CODES[end.reason], now_s)

    def turned_away(self, code: int, now_s: float) -> Display:
        """Return the screen with a refusal, also of somebody for whom no attempt begins."""
        return self.telling(Notice(Kind.REFUSED, code, now_s + self.rules.message_s))

    def again(self, now_s: float) -> Display:
        """Return the screen with the refusal that is offered."""
        if self.offered is None:
            return self
        return self.telling(replace(self.offered, until_s=now_s + self.rules.message_s))

    def helped(self, key: str, now_s: float) -> Display:
        """Return the screen after one of the `HELP_KEYS`; a call that counts is at `called_s`."""
        asked = self.notice is not None and self.notice.kind is Kind.HELP
        if key == NO_CALL:
            return self.telling(None) if asked else self
        rests = now_s - self.called_s < CALL_REST_S
        if not rests and not (asked and key == CALL):
            return self.telling(Notice(Kind.HELP, 0, now_s + self.rules.message_s))
        called = self.telling(Notice(Kind.CALLED, 0, now_s + AGAIN_S))
        return called if rests else replace(called, called_s=now_s)

    def at(
        self, now_s: float, moment: Moment, standing: HouseState, locks_s: float | None = None
    ) -> Display:
        """Return the screen at a time; the hours are found anew once a minute."""
        current = replace(self, locks_s=locks_s, stood=standing)
        if self.stood is not None and self.stood[0] is not standing[0]:
            current = current.in_another_mode()
        deadline_s = current.deadline_s
        if deadline_s is not None and now_s >= deadline_s:
            over = current.notice
            current = current.telling(None)
            if over is not None:
                current = replace(current, offered=over.offered(now_s))
        minute = moment.local.timestamp() // 60
        wanted = (minute, moment.dependable, standing)
        if wanted == self.found_for:
            return current
        found = outlook(self.calendar, self.override, moment, standing, self.rules.countdown_min)
        return replace(current, outlook=found, found_for=wanted)

    def in_another_mode(self) -> Display:
        """Return the screen without a refusal by a mode that is over: the door may stand free."""
        refused = self.notice is not None and self.notice.kind in {Kind.REFUSED, Kind.CLOSED}
        return replace(self, notice=None if refused else self.notice, offered=None)

    def state(self, attempt: Attempt, *, broken: bool) -> PanelState:
        """Return what is shown of an attempt; `broken` where no card can be read."""
        if attempt.phase is not Phase.IDLE or attempt.company is not None or attempt.code_pad:
            state = self._at_work(attempt)
        else:
            state = self._between(attempt, broken=broken)
        if state.kind is Kind.WELCOME:
            return replace(state, locks_s=self.locks_s)
        return replace(state, again=self.offered is not None and state.kind in AT_REST)

    def _at_work(self, attempt: Attempt) -> PanelState:
        number = attempt.number
        if attempt.pad is not None:
            typed = len(attempt.pad.digits)
            kind = Kind.TYPING if typed else Kind.CARD_READ
            wanted = attempt.pad.rules.pin_length
            return PanelState(kind, number, typed, wanted, self._keys(Keys.PIN))
        if attempt.code_pad is not None:
            typed = len(attempt.code_pad.digits)
            return PanelState(Kind.TYPING, number, typed, keys=self._keys(Keys.CODE))
        if attempt.company is not None:
            code = 0 if self.notice is None else self.notice.code
            most, wrong = attempt.company.companions_max, attempt.company.wrong
            keys = self._keys(Keys.COMPANIONS)
            return PanelState(Kind.WELCOME, number, 0, 0, keys, code, most, wrong=wrong)
        return PanelState(Kind.WORKING, number)

    def _between(self, attempt: Attempt, *, broken: bool) -> PanelState:
        standing, notice = self._standing(attempt, broken=broken), self.notice
        if notice is None:
            return standing
        if notice.kind is Kind.CLOSED:
            return replace(standing, kind=Kind.CLOSED, keys=Keys.NONE, code=0)
        if notice.kind is Kind.WELCOME:
            return PanelState(notice.kind, attempt.number, code=notice.code)
        # The next patron with a code need not wait until a message is over.
        staffed = self.outlook.staffed if notice.code in AT_THE_DESK else None
        keys = Keys.NONE if notice.kind is Kind.HELP else standing.keys
        return PanelState(notice.kind, attempt.number, keys=keys, code=notice.code, staffed=staffed)

    def _standing(self, attempt: Attempt, *, broken: bool) -> PanelState:
        outlook = self.outlook
        kind = STANDING[outlook.mode]
        if kind is Kind.IDLE and (outlook.minutes is not None or not outlook.entry):
            kind = Kind.CLOSING
        if broken and kind in {Kind.IDLE, Kind.CLOSING}:
            kind = Kind.OUT_OF_ORDER
        takes_codes = self.rules.codes and outlook.mode is not Mode.STAFFED
        return PanelState(
            kind,
            attempt.number,
            keys=self._keys(Keys.CODE) if takes_codes else Keys.NONE,
            code=OURS if kind is Kind.OUT_OF_ORDER else 0,
            minutes=outlook.minutes,
            entry=outlook.entry,
            hours=outlook.hours if outlook.mode in OPEN else None,
            opens=outlook.opens,
        )

    def _keys(self, keys: Keys) -> Keys:
        return keys if self.rules.keys else Keys.NONE


@dataclass(frozen=True, slots=True)
class PanelView:
    """What the screen shows, and a number that changes with it."""

    seq: int
    state: PanelState
