"""What an attempt hears and what it asks for: its events, its effects and what it judges by."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from doorctl.access.calendar import Mode
from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass
from doorctl.access.typing import PadRules
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import Moment
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is known of a card, as of `Prepare`.

    Args:
        attempt: the attempt that asked.
        stretched: the key that proves a PIN.
        row_key: the 16 bytes that stand for the card in the door log.
        patron: the card's row; None for an unknown card.
        throttled: whether the card has to wait after too many wrong PINs.
        delay_s: what the reader's own throttle adds to the answer.
        cache_applied_at: when the latest push came, UTC, or None.
        cache_minimum_age: the age limit that the rows were sealed for, in years.
        lent: the row that the library system has just given for a card that the cache lacks; a
            row of the cache goes before it.
        proved: whether the library system has just said that the PIN is right.
        weak_pin: whether that PIN is too easy to guess; only with `proved`.
        identifier: what the card says, for asking the library system about it; or the code.
        bans: the bans of the card and its patron that were not lifted, in force or not.
        held: the newest pass of the card or code, in force or not.
        older: the card's other passes; the one that opens best counts.
        other_keys: row keys of the card's other readings, for the bans of whoever is meant by
            them; none that the register knows as another patron's.
    """

    attempt: int
    stretched: StretchedKey
    row_key: bytes = field(repr=False)
    patron: Patron | None
    throttled: bool = False
    delay_s: float = 0.0
    cache_applied_at: datetime | None = None
    cache_minimum_age: int = 0
    lent: Patron | None = None
    proved: bool = False
    weak_pin: bool = False
    identifier: Identifier | None = None
    bans: tuple[Ban, ...] = field(default=(), repr=False)
    held: Pass | None = field(default=None, repr=False)
    older: tuple[Pass, ...] = field(default=(), repr=False)
    other_keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All of them, newest first."""
        return () if self.held is None else (self.held, *self.older)

    @property
    def by_code(self) -> bool:
        """Whether a code was typed in place of a card."""
        return self.identifier is not None and self.identifier.kind is IdentifierKind.CODE


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """The card could not be looked up: nobody can be let in by it."""

    attempt: int


class LibraryAnswer(Enum):
    """What the library system says of a card and a PIN."""

    YES = "yes"
    NO = "no"
    WAITS = "waits"
    """Too many wrong PINs, there or here: it was not asked, or it did not look."""
    SILENT = "silent"
    """Not asked, not reached, or no answer in time."""


@dataclass(frozen=True, slots=True)
class LibraryAnswered:
    """The library system answered `AskLibrary`, or will not.

    Args:
        attempt: the attempt that asked.
        answer: what it said.
        lent: the card's row, sealed here, where the cache has none and the answer is yes.
        weak_pin: whether the PIN is too easy to guess; only where the answer is yes and the
            policy makes use of it.
    """

    attempt: int
    answer: LibraryAnswer
    lent: Patron | None = None
    weak_pin: bool = False


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Time went on; `Now` says how far."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """The daemon stood still: nobody knows who stands at the door by now."""


Event = (
    CardRead
    | CardUnreadable
    | KeyPressed
    | Prepared
    | PrepareFailed
    | LibraryAnswered
    | TimePassed
    | Stalled
)


@dataclass(frozen=True, slots=True)
class Now:
    """What may have changed since the last event.

    Args:
        s: monotonic seconds.
        moment: the wall clock and its quality.
        cache_version: another number after each push and each change of bans or passes; None
            while they can't be read.
        mode: what the branch is; None where nobody knows.
        no_entry: whether it closes so soon that nobody new comes in.
        opened_on: as of :class:`doorctl.access.policy.Case`.
    """

    s: float
    moment: Moment
    cache_version: int | None
    mode: Mode | None = Mode.SELF_SERVICE
    no_entry: bool = False
    opened_on: date | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Stretch, look up, ask the throttle, put the attempt on record; answer `Prepared`."""

    attempt: int
    identifiers: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """What was read is out of date: read row, bans and pass again; answer `Prepared`.

    A push came meanwhile, or the library system has lent the row of a patron whose bans nobody
    has looked up yet.
    """

    prepared: Prepared


@dataclass(frozen=True, slots=True)
class AskLibrary:
    """The cache can't judge this card: ask the library system once; answer `LibraryAnswered`."""

    prepared: Prepared
    pin: Pin


@dataclass(frozen=True, slots=True)
class Asked:
    """A card was read: ask for the PIN, or for a moment's patience."""


@dataclass(frozen=True, slots=True)
class Clicked:
    """A key was pressed."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """An attempt is over: open the door or don't, tell, log, record.

    Args:
        attempt: its number.
        reason: how it ended.
        shape: why a card was unreadable.
        silent: superseded by another card, which is being answered already.
        duress: the PIN was one higher in its last digit: raise an alarm that nobody at the door
            notices.
        long_release: this patron needs longer to get through the door; only where it opens.
        weak_pin: the PIN is too easy to guess: tell the patron; only where it opens.
        proved: a PIN was proved: the card's wrong ones are forgiven.
        unchecked: nobody could say whether the PIN was right: no guess was spent on the card.
        opens_day: others may come in from now on, by `Policy.first_card`; only where it opens.
    """

    attempt: int
    reason: Reason
    shape: Shape | None = None
    silent: bool = False
    duress: bool = False
    long_release: bool = False
    weak_pin: bool = False
    proved: bool = False
    unchecked: bool = False
    opens_day: bool = False


@dataclass(frozen=True, slots=True)
class Accompanied:
    """Who was just let in brings so many others along, 1-9; told once at most.

    Args:
        attempt: the number of the attempt that opened.
        companions: how many.
    """

    attempt: int
    companions: int


Effect = Prepare | LookAgain | AskLibrary | Asked | Clicked | Concluded | Accompanied


@dataclass(frozen=True, slots=True)
class Rules:
    """The branch's rules for one attempt.

    Args:
        policy: who comes in.
        pad: how a PIN is typed.
        ask_s: how long the library system may take over a card that the cache can't judge, in
            seconds; None where it is never asked. So long takes every refusal before the PIN is
            proved, so that none tells whether the card is known.
        companions_max: how many others a patron may let in; 0 for nobody. A pass has its own.
        long_release_tags: tags of patrons for whom the door stays released for longer.
        codes: whether codes are taken where no card was read.
    """

    policy: Policy
    pad: PadRules
    ask_s: float | None = None
    companions_max: int = 0
    long_release_tags: frozenset[str] = frozenset()
    codes: bool = False
