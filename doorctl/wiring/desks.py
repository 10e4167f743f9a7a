"""Builds the desks of the staff pages, one for each page."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.config import Config
from doorctl.privacy.letters import Export
from doorctl.privacy.subject import Erasure
from doorctl.services import subject
from doorctl.services.numbers import DoorsNumbers, Numbers
from doorctl.web.desks import (
    Named,
    SubjectDesk,
)

# Cards and people at the staff pages: why refused, bans, passes, a person's rights.


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

    subject: SubjectDesk


def desks(config: Config) -> Desks:
    """Return the desks of the web process; the door process seals their numbers."""
    numbers = DoorsNumbers(config.control.socket)
    return Desks(
        subject=PeopleDesk(config, numbers),
    )
