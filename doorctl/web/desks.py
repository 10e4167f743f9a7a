"""The interfaces behind the staff pages: one desk a page, its methods and their values.

A desk is thread-safe and may wait for a disk or the door process, at most seconds. A method that
shows data about people or changes something takes the account, `by`, and writes it to the audit log
before it returns. Adapters stand in `wiring` and `services`, fakes in `tests/fakes`.

Every method raises `DoorctlError`: `InputError` for what makes no sense, `StoreError` for a
database that can't be read or written, `NotAnsweringError` where the door has to be asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from doorctl.privacy.letters import Export
from doorctl.privacy.subject import Erasure

TakenAs = Literal["card", "cpr"]
"""How a number of ten digits is to be read, where it may be either."""


@dataclass(frozen=True, slots=True)
class Named:
    """A person, named by the number on the card or by the library system's number."""

    typed: str | None = field(default=None, repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    taken_as: TakenAs | None = None


class SubjectDesk(Protocol):
    """A person's rights; each use gives its reason, which names nobody."""

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of a person."""

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase a person in every database."""

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep a person's data and use them for nothing; tell whether any card is known."""

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use a person's data again."""
