"""The library's server: a register that changes, exports of it, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from random import Random

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.sync.document import Kind
from doorctl.sync.receive import Received
from doorctl.sync.wire import Line, Removal
from doorctl.web.reception import Reception
from tests.fakes.memory_store import FastSealer
from tests.simulation.oracle import Person, is_caretaker
from tests.sync.pushes import KEY, OTHER_KEY, fed
from tests.sync.pushes import Document as Written

PATRONS = 30
MINIMUM_AGE = 14
KEPT_DOCUMENTS = 40


@dataclass(frozen=True)
class Document:
    """A push as it travels, and the register that it leaves behind."""

    kind: Kind
    epoch: int
    previous: int
    data: bytes = field(repr=False)
    register: dict[str, Person] = field(repr=False)


def number(place: int) -> str:
    """Return an invented card number."""
    return str(3000001000 + place)


@cache
def key_of(card: str) -> bytes:
    """Return a card's row key."""
    return row_key(FastSealer().stretch(Identifier(IdentifierKind.CARD, card)))


@cache
def sealed(person: Person) -> SealedRow:
    """Return a person's row as the server seals it."""
    stretched = FastSealer().stretch(Identifier(IdentifierKind.CARD, person.card))
    patron = Patron(
        f"ref-{person.card}",
        None if person.pin is None else pin_check(stretched, Pin(person.pin)),
        resident=person.resident,
        blocks=frozenset(person.blocks),
        valid_until=person.valid_until,
        enter_from=person.enter_from,
        tags=frozenset({"caretaker"} if is_caretaker(person.card) else ()),
    )
    return SealedRow(row_key(stretched), patron)


@dataclass
class Library:
    """The library system and its sender, which knows what the branch acknowledged."""

    rng: Random
    today: date
    register: dict[str, Person] = field(default_factory=dict)
    epoch: int = 0
    sent: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        for place in range(PATRONS):
            self.register[number(place)] = self.somebody(number(place))

    def somebody(self, card: str) -> Person:
        """Return a person, whom something may keep out."""
        luck = self.rng.random
        return Person(
            card,
            None if luck() < 0.04 else f"{self.rng.randrange(10_000):04}",
            resident=luck() > 0.08,
            blocks=self.rng.choice(["O", "U", "E", "W", "EU"]) if luck() < 0.15 else "",
            valid_until=self._day(400) if luck() < 0.15 else None,
            enter_from=self._day(300) if luck() < 0.08 else None,
        )

    def live(self) -> None:
        """Let a few patrons come, go, or become others."""
        for _ in range(self.rng.randrange(1, 4)):
            card = number(self.rng.randrange(PATRONS + 5))
            if card in self.register and self.rng.random() < 0.25:
                del self.register[card]
            elif card in self.register and self.rng.random() < 0.5:
                blocks = "" if self.register[card].blocks else self.rng.choice("OUSE")
                self.register[card] = replace(self.register[card], blocks=blocks)
            else:
                self.register[card] = self.somebody(card)

    def snapshot(self, *, gone: int = 0, forged: bool = False) -> Document:
        """Export the whole register, or so much that is left of it."""
        people = dict(list(self.register.items())[gone:])
        return self._document("snapshot", list(map(sealed, people.values())), people, 0, forged)

    def changes(self, held: int, before: dict[str, Person]) -> Document:
        """Export what changed since the push that the branch holds."""
        rows: list[Line] = [
            sealed(person) for card, person in self.register.items() if before.get(card) != person
        ]
        rows += [Removal(f"ref-{card}") for card in before if card not in self.register]
        return self._document("changes", rows, dict(self.register), held, forged=False)

    def of_same_number(self, document: Document) -> Document:
        """Return another push of a number that was used."""
        others = dict(list(document.register.items())[1:])
        data = self._written("snapshot", list(map(sealed, others.values())), document.epoch, 0)
        return Document("snapshot", document.epoch, 0, data, others)

    def _document(
        self, kind: Kind, rows: Sequence[Line], people: dict[str, Person], held: int, forged: bool
    ) -> Document:
        self.epoch = max(self.epoch, held) + 1
        data = self._written(kind, rows, self.epoch, held, forged=forged)
        document = Document(kind, self.epoch, held, data, people)
        if not forged:
            self.sent = [*self.sent[-KEPT_DOCUMENTS:], document]
        return document

    def _written(
        self, kind: Kind, rows: Sequence[Line], epoch: int, held: int, *, forged: bool = False
    ) -> bytes:
        key = OTHER_KEY if forged else KEY
        written = Written(rows, kind, epoch=epoch, previous_epoch=held, key=key)
        return written.data(compress=self.rng.random() < 0.3)

    def _day(self, spread: int) -> date:
        return self.today + timedelta(days=self.rng.randrange(-spread // 4, spread))


def take_in(reception: Reception, document: Document, chunk_bytes: int) -> Received:
    """Bring a push to the branch in chunks.

    Raises:
        DoorctlError: it is refused, or the disk fails.
    """
    with closing(reception.staging()) as staging:
        return reception.settle(fed(staging, document.data, chunk_bytes).finish(), document.kind)
