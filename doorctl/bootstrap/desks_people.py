"""Cards and people at the staff pages: why refused, bans, passes, a person's rights."""

from __future__ import annotations

from datetime import datetime

from doorctl.access import ban_terms
from doorctl.access.rights import ALL_BRANCHES, Ban, Pass
from doorctl.bootstrap import desk, rights, subject
from doorctl.bootstrap.branch import change
from doorctl.bootstrap.numbers import Numbers, TakenAs
from doorctl.config import Config
from doorctl.enquiry import Explanation
from doorctl.errors import InputError
from doorctl.masked import Pin
from doorctl.ports import Clock, PassEntry
from doorctl.privacy.ban_letter import both
from doorctl.privacy.subject_erasure import Erasure
from doorctl.privacy.subject_export import Export
from doorctl.transports.branch_requests import RevokePass
from doorctl.web.desks import BanAsked, BanEnded, BanLetter, BanListed, BanMade, Named


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

    def every(self, by: str) -> tuple[BanListed, ...]:
        """Return every ban that is stored, newest first."""
        found, moment = rights.every_ban(self._config, by=by), self._clock.moment()
        here = self._config.branch.id
        return tuple(BanListed(one, rights.state_of(one, moment, here)) for one in found)

    def ban_card(
        self, typed: str, taken_as: TakenAs | None, asked: BanAsked, by: str
    ) -> tuple[BanMade, ...]:
        """Ban a card, and its patron where the register knows it: one ban or two."""
        ban = self._ban(asked, by)
        made = rights.ban_card(self._config, typed, taken_as, ban, numbers=self._numbers, by=by)
        return tuple(BanMade(one.ban, one.whole_patron, one.follows) for one in made)

    def ban_patron(self, patron_ref: str, asked: BanAsked, by: str) -> BanMade:
        """Ban a patron with all cards, by the library system's number."""
        made = rights.ban_patron(self._config, patron_ref, self._ban(asked, by), by=by)
        return BanMade(made.ban, made.whole_patron, made.follows, made.known)

    def lift(self, number: int, by: str) -> BanEnded:
        """Lift a ban."""
        lifted = rights.lift(self._config, number, self._clock.moment(), by=by)
        return BanEnded(lifted.ban, lifted.others)

    def letter(self, number: int, by: str) -> BanLetter:
        """Return the letter about a ban that was not lifted."""
        ban = rights.ban_to_write_of(self._config, number, by)
        return BanLetter(*both(ban, self._config.branch, self._clock.moment()))

    def _ban(self, asked: BanAsked, by: str) -> Ban:
        moment = self._clock.moment()
        return Ban(
            number=0,
            reason=asked.reason,
            since=ban_terms.since(asked.first, moment),
            until=ban_terms.until(asked.last, moment),
            by=by,
            branches=frozenset({ALL_BRANCHES if asked.everywhere else self._config.branch.id}),
            note=asked.note,
        )


class PassDesk:
    """Implements `doorctl.web.desks.PassesDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        numbers: seals what is typed, and makes codes.
    """

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def pin_length(self) -> int:
        """Return how many digits a PIN has at this branch's keypad."""
        return self._config.policy.pin_length

    def every(self, by: str) -> tuple[PassEntry, ...]:
        """Return every pass that is stored, newest first."""
        return rights.every_pass(self._config, by=by)

    def issue_for_card(
        self, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None, by: str
    ) -> Pass:
        """Issue a pass for a card, with the register's PIN or one of its own."""
        if own_pin is not None:
            _refuse_pin(own_pin, self.pin_length())
        return rights.issue_for_card(
            self._config, typed, taken_as, new, own_pin, numbers=self._numbers, by=by
        )

    def issue_for_code(self, new: Pass, by: str) -> tuple[Pass, str]:
        """Issue a pass for a new code of `new.code_digits`; the code is kept nowhere."""
        return rights.issue_for_code(self._config, new, numbers=self._numbers, by=by)

    def revoke(self, number: int, by: str) -> Pass:
        """Take a pass back."""
        return change(self._config, RevokePass(number), by)


def _refuse_pin(pin: Pin, length: int) -> None:
    digits = pin.reveal()
    if len(digits) != length or not (digits.isascii() and digits.isdigit()):
        raise InputError(f"a PIN is {length} digits here; nothing was changed")


class PeopleDesk:
    """Implements `doorctl.web.desks.SubjectDesk`. Thread-safe.

    Args:
        config: the whole configuration.
        numbers: seals what is typed.
    """

    def __init__(self, config: Config, numbers: Numbers) -> None:
        self._config = config
        self._numbers = numbers

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""
        return self._config.branch.id

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of somebody."""
        return subject.export(self._config, _named(named), why, numbers=self._numbers, by=by)

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase somebody in every database."""
        return subject.erase(self._config, _named(named), why, numbers=self._numbers, by=by)

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep somebody's data and use them for nothing; tell whether any card is known."""
        return subject.restrict(self._config, _named(named), why, numbers=self._numbers, by=by)

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use somebody's data again."""
        subject.unrestrict(self._config, _named(named), why, numbers=self._numbers, by=by)


def _named(named: Named) -> subject.Named:
    return subject.Named(named.typed, named.patron_ref, named.taken_as)
