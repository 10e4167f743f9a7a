"""Builds the desks of the staff pages, one for each page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from doorctl.config import Config
from doorctl.privacy.letters import Export
from doorctl.privacy.subject import Erasure
from doorctl.services import subject, visits
from doorctl.services.explain import Explanation
from doorctl.services.numbers import DoorsNumbers, Numbers, TakenAs
from doorctl.web.desks import (
    ExplainDesk,
    Named,
    SubjectDesk,
)

# Cards and people at the staff pages: why refused, bans, passes, a person's rights.


class WhyDesk:
    """Implements `doorctl.web.desks.ExplainDesk`. Thread-safe."""

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Say whether a card would get in at a time, and why not; None means now."""
        return visits.explain(
            self._config, typed, at, why, taken_as=taken_as, numbers=self._numbers, by=by
        )

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget a card's wrong PINs."""
        visits.unlock(self._config, typed, taken_as=taken_as, numbers=self._numbers, by=by)


class PeopleDesk:
    """Implements `doorctl.web.desks.SubjectDesk`. Thread-safe."""

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""
        return self._config.branch.id

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of a person."""
        return subject.export(self._config, _named(named), why, numbers=self._numbers, by=by)

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase a person in every database."""
        return subject.erase(self._config, _named(named), why, numbers=self._numbers, by=by)

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep a person's data and use them for nothing; tell whether any card is known."""
        return subject.restrict(self._config, _named(named), why, numbers=self._numbers, by=by)

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use a person's data again."""
        subject.unrestrict(self._config, _named(named), why, numbers=self._numbers, by=by)


def _named(named: Named) -> subject.Named:
    return subject.Named(named.typed, named.patron_ref, named.taken_as)


# Hours, counts, holds and the audit log at the staff pages.


@dataclass(frozen=True, slots=True)
class Desks:
    """The desks, one for each page."""

    explain: ExplainDesk
    subject: SubjectDesk


def desks(config: Config) -> Desks:
    """Return the desks of the web process; the door process seals their numbers."""
    numbers = DoorsNumbers(config.control.socket)
    return Desks(
        explain=WhyDesk(config, numbers),
        subject=PeopleDesk(config, numbers),
    )
