"""What the pages about one person ask for: why refused, and a person's rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from doorctl.enquiry import Explanation
from doorctl.privacy.subject_erasure import Erasure
from doorctl.privacy.subject_export import Export

TakenAs = Literal["card", "cpr"]
"""How a number of ten digits is to be read, where it may be either."""


class ExplainDesk(Protocol):
    """Why a card would be refused."""

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Say whether a card would get in, and why not, at a time; None for now.

        The time is local where it has no offset; `why` is the reason for the look.
        """

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget a card's wrong PINs."""


@dataclass(frozen=True, slots=True)
class Named:
    """How a person is named: by what stands on the card, or by the library system's number."""

    typed: str | None = field(default=None, repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    taken_as: TakenAs | None = None


class SubjectDesk(Protocol):
    """A person's rights; each use gives its reason, which names nobody."""

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of somebody."""

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase somebody in every database."""

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep somebody's data and use them for nothing; tell whether any card is known."""

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use somebody's data again."""
