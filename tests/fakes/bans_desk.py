"""Bans in memory, for a branch called ``oest``; the same contract as the real desk's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from doorctl.access import ban_terms
from doorctl.access.rights import ALL_BRANCHES, Ban
from doorctl.cards.numbers import normalise
from doorctl.config import Branch
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.ports import BanEntry
from doorctl.privacy.letters import both
from doorctl.privacy.subject import refuse_ref
from doorctl.rpc.deeds import refuse_second
from doorctl.web.desks import BanAsked, BanEnded, BanLetter, BanListed, BanMade, TakenAs

ZONE = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 11, 25, 19, 30, tzinfo=ZONE)
HERE = "oest"


@dataclass
class FakeBansDesk:
    """Keeps bans.

    Args:
        owners: the library system's number of who has a card, by what is typed.
        now: local.
        looks: who looked at the list.
        deeds: what else was done, with which ban and by whom.
    """

    owners: dict[str, str] = field(default_factory=dict)
    now: datetime = NOW
    looks: list[str] = field(default_factory=list)
    deeds: list[tuple[str, int, str]] = field(default_factory=list)
    entries: list[BanEntry] = field(default_factory=list)

    def every(self, by: str) -> tuple[BanListed, ...]:
        """Return them."""
        self.looks.append(by)
        return tuple(BanListed(one, self._state(one)) for one in reversed(self.entries))

    def ban_card(
        self, typed: str, taken_as: TakenAs | None, asked: BanAsked, by: str
    ) -> tuple[BanMade, ...]:
        """Ban each reading of a number, or the one whose owner is known."""
        readings = [one for one in normalise(typed) if taken_as in (None, one.kind.value)]
        if not readings:
            raise InputError("that is no card number and no CPR number")
        ref = self.owners.get(typed)
        pseudonyms = ["3f1c9a04", "9b00d1e7"][: 1 if ref else len(readings)]
        made, refusal = [], None
        for card in pseudonyms:
            try:
                made.append(self._added(asked, by, card, ref))
            except InputError as error:
                refusal = error
        if refusal is not None and not made:
            raise refusal
        return tuple(made)

    def ban_patron(self, patron_ref: str, asked: BanAsked, by: str) -> BanMade:
        """Ban a patron, known or not."""
        known = patron_ref in self.owners.values()
        if not known:
            refuse_ref(patron_ref)
        return replace(self._added(asked, by, None, patron_ref), known=known)

    def lift(self, number: int, by: str) -> BanEnded:
        """Lift one."""
        place = self._place(number)
        self.deeds.append(("lift", number, by))
        self.entries[place] = replace(self.entries[place], lifted_at=self.now)
        lifted = self.entries[place]
        others = (
            one.ban.number
            for one in self.entries
            if one is not lifted
            and one.is_of_the_same(lifted)
            and self._state(one) is ban_terms.BanState.HOLDS
        )
        return BanEnded(lifted.ban, tuple(others))

    def letter(self, number: int, by: str) -> BanLetter:
        """Return the letter."""
        ban = self.entries[self._place(number)].ban
        self.deeds.append(("letter", number, by))
        branch = Branch(name="Randers Bibliotek, Øst", id=HERE, phone="89 15 45 00")
        return BanLetter(*both(ban, branch, self._moment()))

    def _added(self, asked: BanAsked, by: str, card: str | None, ref: str | None) -> BanMade:
        moment = self._moment()
        ban = Ban(
            number=len(self.entries) + 1,
            reason=asked.reason,
            since=ban_terms.since(asked.first, moment),
            until=ban_terms.until(asked.last, moment),
            by=by,
            branches=frozenset({ALL_BRANCHES if asked.everywhere else HERE}),
            note=asked.note,
        )
        if ban.until is not None and ban.until <= self.now:
            raise InputError("the ban would be over already; give a later end")
        new = BanEntry(ban, card, ref)
        standing = (
            one.ban
            for one in self.entries
            if one.lifted_at is None
            and (one.card == card if ref is None else one.patron_ref == ref)
        )
        refuse_second(ban, standing)
        self.entries.append(new)
        return BanMade(ban, whole_patron=ref is not None)

    def _place(self, number: int) -> int:
        for place, one in enumerate(self.entries):
            if one.ban.number == number and one.lifted_at is None:
                return place
        raise InputError(f"there is no ban {number} in force")

    def _state(self, one: BanEntry) -> ban_terms.BanState:
        lifted = one.lifted_at is not None
        return ban_terms.state(one.ban, self._moment(), HERE, lifted=lifted)

    def _moment(self) -> Moment:
        return Moment(self.now, self.now, ClockState.TRUSTED)
