"""Cards and people at the staff pages: why refused, bans, passes, a person's rights."""

from __future__ import annotations

from datetime import datetime

from doorctl.access.rights import Ban, Pass
from doorctl.bootstrap import desk, rights, subject
from doorctl.bootstrap.branch import change
from doorctl.bootstrap.numbers import Numbers, TakenAs
from doorctl.config import Config
from doorctl.enquiry import Explanation
from doorctl.errors import InputError
from doorctl.masked import Pin
from doorctl.moments import Moment
from doorctl.ports import BanEntry, Clock, PassEntry
from doorctl.privacy.ban_letter import letter
from doorctl.privacy.subject_erasure import Erasure
from doorctl.privacy.subject_export import Export
from doorctl.transports.branch_requests import LiftBan, RevokePass
from doorctl.web.desks import BanMade, Named


class WhyDesk:
    """Implements `doorctl.web.desks.ExplainDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        numbers: seals what is typed.
    """

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Say whether a card would get in, and why not, at a time; None for now."""
        return desk.explain(
            self._config, typed, at, why, taken_as=taken_as, numbers=self._numbers, by=by
        )

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget a card's wrong PINs."""
        desk.unlock(self._config, typed, taken_as=taken_as, numbers=self._numbers, by=by)


class BanDesk:
    """Implements `doorctl.web.desks.BansDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        clock: any.
        numbers: seals what is typed.
    """

    def __init__(self, config: Config, clock: Clock, numbers: Numbers) -> None:
        self._config = config
        self._clock = clock
        self._numbers = numbers

    def every(self, by: str) -> tuple[BanEntry, ...]:
        """Return every ban that is stored, newest first."""
        return rights.every_ban(self._config, by=by)

    def ban_card(
        self, typed: str, taken_as: TakenAs | None, ban: Ban, by: str
    ) -> tuple[BanMade, ...]:
        """Ban a card, and its patron where the register knows it: one ban or two."""
        made = rights.ban_card(self._config, typed, taken_as, ban, numbers=self._numbers, by=by)
        return tuple(BanMade(one.ban, one.whole_patron, one.follows) for one in made)

    def ban_patron(self, patron_ref: str, ban: Ban, by: str) -> BanMade:
        """Ban a patron with all cards, by the library system's number."""
        made = rights.ban_patron(self._config, patron_ref, ban, by=by)
        return BanMade(made.ban, made.whole_patron, made.follows)

    def lift(self, number: int, by: str) -> Ban:
        """Lift a ban."""
        return change(self._config, LiftBan(number), by)

    def letter(self, number: int, by: str) -> str:
        """Return the text of the letter about a ban, Danish and English."""
        found = [one for one in self.every(by) if one.ban.number == number]
        if not found or found[0].lifted_at is not None:
            raise InputError(f"there is no ban {number} to write of; list them")
        return letter(found[0].ban, self._config.branch, self._moment())

    def _moment(self) -> Moment:
        return self._clock.moment()


class PassDesk:
    """Implements `doorctl.web.desks.PassesDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        numbers: seals what is typed, and makes codes.
    """

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def every(self, by: str) -> tuple[PassEntry, ...]:
        """Return every pass that is stored, newest first."""
        return rights.every_pass(self._config, by=by)

    def issue_for_card(
        self, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None, by: str
    ) -> Pass:
        """Issue a pass for a card, with the register's PIN or one of its own."""
        return rights.issue_for_card(
            self._config, typed, taken_as, new, own_pin, numbers=self._numbers, by=by
        )

    def issue_for_code(self, new: Pass, by: str) -> tuple[Pass, str]:
        """Issue a pass for a new code of `new.code_digits`; the code is kept nowhere."""
        return rights.issue_for_code(self._config, new, numbers=self._numbers, by=by)

    def revoke(self, number: int, by: str) -> Pass:
        """Take a pass back."""
        return change(self._config, RevokePass(number), by)


class PeopleDesk:
    """Implements `doorctl.web.desks.SubjectDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        numbers: seals what is typed.
    """

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of somebody."""
        return subject.export(self._config, _named(named), why, numbers=self._numbers, by=by)

    def erase(self, named: Named, by: str) -> Erasure:
        """Erase somebody in every database."""
        return subject.erase(self._config, _named(named), numbers=self._numbers, by=by)

    def restrict(self, named: Named, by: str) -> None:
        """Keep somebody's data and use them for nothing."""
        subject.restrict(self._config, _named(named), numbers=self._numbers, by=by)

    def unrestrict(self, named: Named, by: str) -> None:
        """Use somebody's data again."""
        subject.unrestrict(self._config, _named(named), numbers=self._numbers, by=by)


def _named(named: Named) -> subject.Named:
    return subject.Named(named.typed, named.patron_ref, named.taken_as)
