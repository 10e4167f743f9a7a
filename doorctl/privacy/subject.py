"""Who a person is to the branch, and what it holds of them: all that their rights begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from doorctl.errors import InputError
from doorctl.privacy.subject_table import PersonTable


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, as far as the branch can tell one.

    Args:
        row_keys: of all cards that are known to be the person's.
        patron_ref: the library system's number; None where the branch does not know it.
    """

    row_keys: frozenset[bytes] = field(repr=False)
    patron_ref: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One stored row of a person; `values` in the order of the table's columns."""

    table: PersonTable
    values: tuple[Any, ...] = field(repr=False)


class Holdings(Protocol):
    """What one database holds of people, read-only. One thread; raises StoreError."""

    def owners(self, row_keys: frozenset[bytes]) -> frozenset[str]:
        """Return every `patron_ref` that stands beside one of some cards."""

    def cards(self, patron_ref: str) -> frozenset[bytes]:
        """Return the row keys that stand beside a patron's number."""

    def every_card(self) -> frozenset[bytes]:
        """Return all row keys; for a database that holds thousands and not a register."""

    def rows(self, subject: Subject, not_before: datetime) -> tuple[HeldRow, ...]:
        """Return all rows of a person.

        Of a dated table none from before a UTC time, unless a hold in force keeps it.
        """


@dataclass(frozen=True, slots=True)
class Lookup:
    """That somebody looked at data of the person, or changed them; it does not say who.

    Args:
        at: when, UTC.
        what: what was done, by the audit log's name for it.
        why: the reason that was given; empty for none.
    """

    at: datetime
    what: str
    why: str = ""


def find(typed: Sequence[bytes], register: Holdings, branch: Holdings) -> Subject:
    """Return whose card it is, with all of the person's cards.

    The register says whose a card is; where it does not know it, a ban or a restriction does.

    Args:
        typed: the row key of each reading of what was typed, as a card and as a CPR number.
        register: ``patrons.db``.
        branch: ``branch.db``.

    Raises:
        InputError: it is two patrons'.
        StoreError: a database can't be read.
    """
    for book in (register, branch):
        owners = {key: book.owners(frozenset({key})) for key in typed}
        refs = frozenset().union(*owners.values())
        if len(refs) > 1:
            raise InputError(
                "that is more than one patron's; say --as card or --as cpr, or give --patron-ref"
            )
        for patron_ref in refs:
            # The other reading of the same digits may be somebody else's card.
            own = frozenset(key for key, whose in owners.items() if whose)
            return with_cards(Subject(own, patron_ref), register, branch)
    return Subject(frozenset(typed))


def with_cards(subject: Subject, register: Holdings, branch: Holdings) -> Subject:
    """Return a person with all cards that stand beside the number, in either database.

    A card that was banned when it was the person's and has gone to somebody else is not theirs.
    """
    ref = subject.patron_ref
    if ref is None:
        return subject
    banned = {key for key in branch.cards(ref) if not register.owners(frozenset({key})) - {ref}}
    return Subject(subject.row_keys | register.cards(ref) | banned, ref)
