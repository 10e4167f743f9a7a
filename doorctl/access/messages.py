"""An attempt's events, its effects, the facts that it is judged by, and whom it asks and tells."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from doorctl.access.calendar import Mode
from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import Moment, Stamped
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape


@dataclass(frozen=True, slots=True)
class PadRules:
    """How long a PIN is and how long a patron may take.

    A PIN of `pin_length` digits needs no enter key. `digit_timeout_s` is the longest wait for the
    next key, `total_timeout_s` the longest time from the card to the last key.
    """

    pin_length: int = 4
    digit_timeout_s: float = 20.0
    total_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything known of a card; the answer to `Prepare`.

    Args:
        row_key: the 16 bytes that stand for the card in the door log.
        patron: the cache's row, None for an unknown card.
        delay_s: what the reader's own throttle adds to the answer.
        cache_applied_at: when the latest push came, UTC, or None.
        cache_minimum_age: the age limit that the rows were sealed for, in years.
        lent: the row that the library system has just given; a row of the cache goes before it.
        proved: the library system has just called the PIN right, and `weak_pin` easy to guess.
        identifier: the card's number, for the library system, or the code.
        bans: of the card and its patron, in force or not, except lifted ones.
        held: the newest pass, in force or not; `older` are others, of which the best counts.
        other_keys: row keys of the card's other readings that no other patron has, for bans.
        damaged: the register has lost rows: that it holds none, or no PIN, tells nothing.
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
    damaged: bool = False

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All passes, newest first."""
        return () if self.held is None else (self.held, *self.older)

    @property
    def by_code(self) -> bool:
        """Whether a code was typed in place of a card."""
        return self.identifier is not None and self.identifier.kind is IdentifierKind.CODE


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """The card could not be looked up, so it lets no one in."""

    attempt: int


class LibraryAnswer(Enum):
    """The library system's answer about a card and a PIN."""

    YES = "yes"
    NO = "no"
    WAITS = "waits"
    """Too many wrong PINs, there or here: it was not asked, or it did not look."""
    SILENT = "silent"
    """Not asked, not reached, or no answer in time."""


@dataclass(frozen=True, slots=True)
class LibraryAnswered:
    """The library system answered `AskLibrary`, or will not.

    `lent` is the card's row where the cache has none; `weak_pin`: easy to guess. Both only with
    yes.
    """

    attempt: int
    answer: LibraryAnswer
    lent: Patron | None = None
    weak_pin: bool = False


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Time has passed; `Now` says how much."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """The daemon stood still: another person may stand at the door by now."""


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
    """What may have changed since the last event; `s` is monotonic.

    `cache_version` changes with each push, ban or pass; None while they can't be read. `mode` is
    None where unknown; with `no_entry` nobody new comes in. `opened_on` is as of `policy.Case`.
    While the strike is `locked` nobody can follow the last patron.
    """

    s: float
    moment: Moment
    cache_version: int | None
    mode: Mode | None = Mode.SELF_SERVICE
    no_entry: bool = False
    opened_on: date | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Prepare:
    """Stretch, look up, check the throttle, put the attempt on record; answer `Prepared`."""

    attempt: int
    identifiers: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The row is out of date, or its patron's bans are not looked up yet; answer `Prepared`."""

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
class NoCode:
    """Keys were pressed without a card that no code can have; nothing is judged.

    `lone`: one key, such as an enter too many after a PIN, which ends no message.
    """

    lone: bool = False


@dataclass(frozen=True, slots=True)
class Concluded:
    """An attempt is over: open the door or don't, show, log and record it.

    `long_release`, `companions_max`, `weak_pin` and `opens_day` are set only where it opens.

    Args:
        shape: why a card was unreadable.
        silent: superseded by another card, which is being answered already.
        duress: a PIN under duress was proved: raise an alarm that is not seen at the door.
        long_release: this patron needs longer to get through the door.
        companions_max: how many others the patron may let in, 0-9.
        weak_pin: the patron's PIN is too easy to guess, and the policy warns.
        proved: a PIN was proved: the card's wrong PINs are forgiven.
        unchecked: the PIN could not be checked: no guess was spent on the card.
        opens_day: others may come in from now on, by `Policy.first_card`.
    """

    attempt: int
    reason: Reason
    shape: Shape | None = None
    silent: bool = False
    duress: bool = False
    long_release: bool = False
    companions_max: int = 0
    weak_pin: bool = False
    proved: bool = False
    unchecked: bool = False
    opens_day: bool = False


@dataclass(frozen=True, slots=True)
class Accompanied:
    """The last patron brings companions along, 1-9; once at most for each attempt that opened."""

    attempt: int
    companions: int


Effect = Prepare | LookAgain | AskLibrary | Asked | Clicked | NoCode | Concluded | Accompanied


@dataclass(frozen=True, slots=True)
class Rules:
    """The branch's rules for one attempt.

    Args:
        ask_s: how long the library system may take, in seconds; None where it is never asked. Every
            refusal before the PIN is proved takes as long, so that none tells a known card.
        long_release_tags: tags of patrons for whom the door stays released for longer.
        branch: this branch's identity, as bans name it.
    """

    policy: Policy
    pad: PadRules
    ask_s: float | None = None
    long_release_tags: Collection[str] = ()
    branch: str = ""


@dataclass(frozen=True, slots=True)
class LibraryReply:
    """The library system's answer; `patron` only where it is yes and the row was wanted.

    The row lacks what is made of the PIN and of the `birthday`; its `patron_ref` is the same as in
    a feed where both have one.
    """

    answer: LibraryAnswer
    patron: Patron | None = None
    birthday: date | None = field(default=None, repr=False)


SILENT_REPLY = LibraryReply(LibraryAnswer.SILENT)


class VisitReader(Protocol):
    """What the door log holds of wrong PINs. One thread; raises StoreError."""

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record, in a row or not."""

    def wrong_pins_by(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many of these were typed at that card, or it is not known at which."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt as it is put on record, with the card's `throttle` as charged for it.

    A wrong PIN is charged to `whose` at once: a patron's number, or the row key of a card without a
    patron; None where no PIN is guessed.
    """

    attempt: int
    at: Stamped
    row_key: bytes | None = field(repr=False)
    throttle: CardThrottle | None
    whose: str | bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """How an attempt ended, with the throttles as they stand after it.

    It is counted under the mode `counted_as`, None for not at all. The charged PIN was `right`,
    wrong, or not compared (None): only a wrong one stays.
    """

    attempt: int
    reason: Reason
    row_key: bytes | None = field(default=None, repr=False)
    throttle: CardThrottle | None = None
    reader: ReaderThrottle | None = None
    _: KW_ONLY
    counted_as: str | None = None
    right: bool | None = None


class VisitLog(VisitReader, Protocol):
    """The door log's one writer: attempts, throttles, the clock's high-water mark. One thread.

    What has returned survives a power cut. StoreError: nothing was written.
    """

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, with what is charged for it."""

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, with the throttles as they stand after it."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    LibrarySystemError: no answer that can be read in time; `spent` says if it may have counted.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never ``YES`` to an empty PIN or by default; ``WAITS`` where the patron is locked out there.
        """
