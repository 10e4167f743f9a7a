"""A sender over a real outbox, a list of patrons and branches in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from doorctl.access.patron import Patron
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey, Pin, StretchedKey
from doorctl.core.ports import Seal
from doorctl.store.outbox import open_or_create_outbox
from doorctl.sync.delivery import Delivery, Sender, deliver
from doorctl.sync.exports import Export
from doorctl.sync.feed import FeedIdentifier, FeedPatron, WrongRow
from doorctl.sync.outbox import Terms
from doorctl.sync.push import Refreshed, refresh
from doorctl.sync.sealing import Sealing
from doorctl.sync.signing import SigningKey
from tests.fakes.branch import AtOnce, FakeBranch
from tests.fakes.memory_store import FastSealer

KEY = InstallationKey(bytes(range(32)))
TODAY = date(2026, 3, 1)
TERMS = Terms(Seal("0badcafe", 64, 1), 0)
PRIVATE_KEY = SigningKey(bytes(32))


def patron(
    number: int,
    *cards: int,
    pin: str | None = "4711",
    resident: bool = True,
    birthday: date | None = None,
    tags: Iterable[str] = (),
) -> FeedPatron:
    """An invented patron with plastic cards; without any named, one of the patron's number."""
    return FeedPatron(
        line=number,
        row=Patron(str(number), resident=resident, tags=frozenset(tags)),
        identifiers=tuple(card(each) for each in cards or (number,)),
        left_out=0,
        pin=None if pin is None else Pin(pin),
        birthday=birthday,
    )


def card(number: int) -> FeedIdentifier:
    """A plastic card in force."""
    return FeedIdentifier(Identifier(IdentifierKind.CARD, str(3_000_000_000 + number)), True, None)


@dataclass
class ListSource:
    """Exports of whatever is wanted."""

    patrons: Sequence[FeedPatron] = ()
    whole: bool = True
    set_aside: Sequence[tuple[str, WrongRow]] = ()

    def read(self) -> Export:
        """Return the list."""
        return Export("list", self.patrons, self.whole, self.set_aside)


class CountingSealer(FastSealer):
    """Counts what it seals."""

    def __init__(self) -> None:
        self.count = 0

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Count it, then hash it."""
        self.count += 1
        return super().stretch(identifier)


def sealing(minimum_age: int = 0, on: date = TODAY, **changed: Any) -> Sealing:
    """Return how rows are sealed, on one thread and telling nobody, unless a test says so."""
    usual: dict[str, Any] = {
        "sealer": FastSealer(),
        "workers": 1,
        "on_progress": lambda _done, _of: None,
    }
    return Sealing(minimum_age=minimum_age, on=on, **{**usual, **changed})


@dataclass
class Town:
    """A sender and its branches; each call of `push` is a run of its own, as after a restart.

    `documents` is where they are written if not beside the outbox.
    """

    directory: Path
    branches: list[FakeBranch]
    source: ListSource = field(default_factory=ListSource)
    sealer: CountingSealer = field(default_factory=CountingSealer)
    documents: Path | None = None

    @property
    def outbox_path(self) -> Path:
        """Where the outbox is."""
        return self.directory / "outbox.db"

    def push(
        self,
        *,
        full: bool = False,
        terms: Terms = TERMS,
        on: date = TODAY,
        flags_weak: bool = False,
        ages: Mapping[str, int] | None = None,
        **delivery: Any,
    ) -> tuple[Refreshed, dict[str, Delivery]]:
        """Run once; return what was found and each branch's delivery.

        `ages` are the limits of those branches that don't have the terms' own; `delivery` is more
        of a `Sender`.
        """
        others = sorted(set((ages or {}).values()) - {terms.minimum_age})
        terms = replace(terms, other_ages=tuple(others))
        with closing(open_or_create_outbox(self.outbox_path)) as outbox:
            refreshed = refresh(
                self.source.read(),
                outbox,
                sealing(terms.minimum_age, on, sealer=self.sealer, flags_weak=flags_weak),
                key=KEY,
                terms=terms,
            )
            documents = self.documents or self.directory
            over = {terms.seal.key_id: ()}
            sender = Sender(
                PRIVATE_KEY, terms, over, None, full, documents, on, ages or {}, **delivery
            )
            deliveries = deliver(self.branches, outbox, sender, AtOnce())
            return refreshed, {delivery.branch: delivery for delivery in deliveries}
