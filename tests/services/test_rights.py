"""Whom a ban or a pass is found by, once the number is sealed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import doorctl
from doorctl.access.patron import pin_check
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.config.tables import Branch
from doorctl.core.errors import InputError
from doorctl.core.masked import IdentifierKind, Pin
from doorctl.core.moments import ClockState, Moment
from doorctl.lookup.app import App, open_book
from doorctl.lookup.numbers import TakenAs
from doorctl.privacy.audit import Action
from doorctl.services import letter, rights
from doorctl.services.rights import Reach
from doorctl.services.subject import Named
from doorctl.store.records import AuditRecords
from tests.services.branches import (
    ban_card,
    ban_patron,
    initialised,
    issue_for_card,
    key,
    register,
    stretched,
)

CARD, CPR, EITHER = "3000001234", "010170-1234", "0101701234"
SOME_DAY = date(2099, 6, 1)
LAST = datetime(2099, 6, 1, tzinfo=UTC)
BAN = Ban(0, "smoke", datetime(2026, 1, 1, tzinfo=UTC), None, "staff-7", frozenset({"*"}))

CARD_PASS = Pass(0, PassKind.CLEANER, SOME_DAY, SOME_DAY, label="Rengøring A/S")
CODE_PASS = replace(CARD_PASS, needs_pin=False, code_digits=7)
PLASTIC, HEALTH = IdentifierKind.CARD, IdentifierKind.CPR
CARDS = {"card": (PLASTIC, CARD), "as card": (PLASTIC, EITHER), "as CPR": (HEALTH, EITHER)}
TWO = [(HEALTH, EITHER, "1001"), (PLASTIC, EITHER, "1002")]


@pytest.fixture
def app(tmp_path: Path) -> App:
    """A branch with an empty register."""
    return App.of(initialised(tmp_path))


class TestBans:
    """A ban holds for whoever the card is."""

    @pytest.mark.parametrize(
        ("known", "named", "reaches", "banned"),
        [
            # By a card that the register knows the patron is banned, so another of theirs is too.
            ([(PLASTIC, CARD, "1001")], Named(CARD), [Reach.PATRON], {"1001", "card"}),
            # Whom the library system gave no number is another one with the next card.
            ([(PLASTIC, CARD, "sip2-0f")], Named(CARD), [Reach.THIS_CARD], {"sip2-0f", "card"}),
            # Ten digits that nobody knows are banned as a plastic card and as a health card.
            ([], Named(EITHER), [Reach.CARD_ALONE] * 2, {"as card", "as CPR"}),
            # Where one is known nobody is banned twice, and no stranger besides.
            ([(HEALTH, EITHER, "1001")], Named(EITHER), [Reach.PATRON], {"1001", "as CPR"}),
            # One patron's card number can be another's CPR number.
            (TWO, Named(EITHER, taken_as="card"), [Reach.PATRON], {"1002", "as card"}),
            # A lost register is no reason to keep nobody out.
            (None, Named(CARD), [Reach.CARD_ALONE], {"card"}),
            # The library system's own number needs no card, and may look like a CPR number.
            ([(PLASTIC, CARD, "1001")], Named(None, "1001"), [Reach.PATRON], {"1001"}),
            ([(PLASTIC, CARD, EITHER)], Named(None, EITHER), [Reach.PATRON], {EITHER}),
            # It is said that nobody has it now: a ban of a mistyped one keeps nobody out.
            ([], Named(None, "1001"), [Reach.NOT_YET], {"1001"}),
        ],
    )
    def test_is_of_the_patron_where_the_register_knows_them(
        self,
        known: list[tuple[IdentifierKind, str, str]] | None,
        named: Named,
        reaches: list[Reach],
        banned: set[str],
        app: App,
    ) -> None:
        """Else of the card alone; it is said whether it holds for a card to come."""
        if known is None:
            app.storage.patrons_db.unlink()
        else:
            register(app, *known)
        made = rights.ban(app, rights.whose(app, named), BAN)

        assert [reach for _, reach in made] == reaches
        with open_book(app) as book:
            found = {name: book.bans(key(app, *card), None) for name, card in CARDS.items()}
            found |= {ref: book.bans(bytes(16), ref) for ref in ("1001", "1002", "sip2-0f", EITHER)}
        assert {name for name, bans in found.items() if bans} == banned
        assert {ban for bans in found.values() for ban in bans} == {ban for ban, _ in made}

    def test_of_a_number_that_is_two_patrons_is_refused_until_it_is_said(self, app: App) -> None:
        """As what it was meant."""
        register(app, *TWO)
        with pytest.raises(InputError, match="--as"):
            ban_card(app, EITHER, None, BAN)

    @pytest.mark.parametrize(
        "ref", [EITHER, CPR, "01 01 70 1234", "610170.1234", "0101701234AB", "Anna And", "1" * 65]
    )
    @pytest.mark.parametrize("lost", [False, True])
    def test_what_is_no_number_of_a_library_system_is_not_kept(
        self, ref: str, app: App, *, lost: bool
    ) -> None:
        """A CPR number above all, with a register and without: neither as a ban nor on record."""
        if lost:
            app.storage.patrons_db.unlink()
        with pytest.raises(InputError) as refusal:
            ban_patron(app, ref, BAN)

        assert ref not in str(refusal.value)
        assert ref.encode() not in app.storage.branch_db.read_bytes()
        assert rights.every_ban(app) == ()

    @pytest.mark.parametrize(("typed", "taken_as"), [("x", None), (CARD, "cpr"), (CPR, "card")])
    def test_of_no_number_is_refused(self, typed: str, taken_as: TakenAs | None, app: App) -> None:
        """The line does not repeat what was typed."""
        with pytest.raises(InputError) as refusal:
            ban_card(app, typed, taken_as, BAN)

        assert typed not in str(refusal.value) or typed == "x"
        assert rights.every_ban(app) == ()

    def test_that_adds_nothing_is_refused(self, app: App) -> None:
        """The same sent twice, a shorter or a later one; a longer or wider one adds something.

        Bug (attack review): the same ban stood twice, and lifting one said nothing of the other.
        """
        ban = replace(BAN, until=LAST, branches=frozenset({"here"}))
        later = replace(ban, since=LAST - timedelta(days=1))
        ban_patron(app, "1001", ban)
        for again in (ban, replace(ban, until=LAST - timedelta(days=1)), later):
            with pytest.raises(InputError, match="banned for as long already"):
                ban_patron(app, "1001", again)
        for more in (replace(ban, until=None), replace(BAN, until=None)):
            ban_patron(app, "1001", more)
        ban_patron(app, "1002", ban)

        assert len(rights.every_ban(app)) == 4

    def test_holds_once_under_each_reading(self, app: App) -> None:
        """Where one of the two was lifted, it alone is banned again."""
        ((first, _), _) = ban_card(app, EITHER, None, BAN)
        with pytest.raises(InputError, match="banned for as long already"):
            ban_card(app, EITHER, None, BAN)
        rights.lift(app, first.number)

        assert len(ban_card(app, EITHER, None, BAN)) == 1

    def test_that_is_lifted_leaves_what_else_holds(self, app: App) -> None:
        """One of two of the same patron; one that was lifted, is ahead or another's is none."""
        here = replace(BAN, branches=frozenset({app.config.branch.id}))
        first, second = (
            ban_patron(app, "1001", replace(here, until=until))[0].number for until in (LAST, None)
        )
        ban_patron(app, "1001", replace(BAN, since=LAST))
        ban_patron(app, "1002", BAN)

        assert rights.lift(app, first) == (second,)
        assert rights.lift(app, second) == ()

    def test_that_is_looked_at_alone_is_noted_by_its_number(self, app: App) -> None:
        """What for, too; of one that was lifted there is no letter, and nothing is noted."""
        ban_patron(app, "1001", BAN)
        assert rights.ban_to_write_of(app, 1) == replace(BAN, number=1)
        rights.lift(app, 1)

        with pytest.raises(InputError, match="no ban 1;"):
            rights.ban_to_write_of(app, 1)
        with closing(AuditRecords(app.storage.branch_db)) as audit:
            looks = [one.deed for one in audit.entries() if one.deed.action is Action.BANS_LISTED]
        assert [look.details for look in looks] == [{"letter": 1}]


class TestPasses:
    """A pass is bound to one card or code."""

    def test_a_code_is_found_by_what_is_typed(self, app: App) -> None:
        """Its digits stand nowhere; its length does, for how many there may be."""
        held, digits = rights.issue_for_code(app, CODE_PASS)

        assert len(digits) == 7
        assert digits.isdigit()
        with open_book(app) as book:
            assert book.passes_of(key(app, IdentifierKind.CODE, digits)) == (held,)

    def test_a_pin_of_its_own_is_proved_with_the_card(self, app: App) -> None:
        """It is sealed as a patron's is: with the card that it belongs to.

        Bug (attack review): a ban that can't follow a patron to a new card did not say so.
        """
        held = issue_for_card(app, CARD, None, CARD_PASS, Pin("4711"))
        of_card = stretched(app, IdentifierKind.CARD, CARD)

        assert held.needs_pin
        assert held.pin_check == pin_check(of_card, Pin("4711"))

    @pytest.mark.parametrize("digits", ["471", "47111", "47a1", "47\N{SUPERSCRIPT ONE}1"])
    def test_a_pin_that_no_keypad_takes_is_refused(self, app: App, digits: str) -> None:
        """It would open nothing."""
        with pytest.raises(InputError, match="a PIN is 4 digits here"):
            issue_for_card(app, CARD, None, CARD_PASS, Pin(digits))

        assert rights.every_pass(app) == ()

    def test_a_card_that_may_be_two_is_refused_until_it_is_said(self, app: App) -> None:
        """A pass for the wrong reading would open nothing."""
        with pytest.raises(InputError, match="--as"):
            issue_for_card(app, EITHER, None, CARD_PASS, None)
        held = issue_for_card(app, EITHER, "cpr", CARD_PASS, None)

        with open_book(app) as book:
            assert book.passes_of(key(app, IdentifierKind.CPR, EITHER)) == (held,)


ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = datetime(2026, 11, 25, 14, 30, tzinfo=ZONE)
NOW = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.TRUSTED)
BRANCH = Branch(name="Biblioteket, Øst", id="oest", phone="12 34 56 78")
WRITTEN = Ban(
    number=7,
    reason="røg i læsesalen",
    since=datetime(2026, 12, 1, tzinfo=ZONE),
    until=datetime(2027, 3, 1, tzinfo=ZONE),
    by="grethe",
    branches=frozenset({"oest"}),
    note="Vi talte om det den 2. november.",
)


class TestLetter:
    """The letter that tells a patron of a ban."""

    def test_says_all_that_a_patron_has_to_know_in_both_languages(self) -> None:
        """Why, from when, until when, the note, whom to call and by which number; not who decided.

        It speaks of the house rules: biblioteksloven § 31 is about lending only.
        """
        danish, english = letter.letter(WRITTEN, BRANCH, NOW).split("-" * 60)

        for text in (danish, english):
            for part in (BRANCH.name, WRITTEN.reason, WRITTEN.note, BRANCH.phone, " 7."):
                assert part in text
            assert not [part for part in ("§", "loven", WRITTEN.by) if part in text]
        assert "fra den 1.12.2026 til og med den 28.2.2027" in danish
        assert "from 1 December 2026 until 28 February 2027, that day too" in english
        assert "husets regler" in danish
        assert "the house rules" in english

    def test_calls_a_ban_by_the_one_word_that_all_use(self) -> None:
        """Staff and what a person is handed say the same; "udelukkelse" is of lending."""
        danish, _ = letter.letter(WRITTEN, BRANCH, NOW).split("-" * 60)
        package = Path(doorctl.__file__).parent
        paths = [path for end in ("py", "po", "html") for path in package.rglob(f"*.{end}")]
        texts = {path.name: path.read_text("utf-8").lower() for path in paths}
        allowed = "udelukkelse fra lån"

        assert "Du har fået karantæne" in danish
        assert "Karantænen har nummer 7." in danish
        assert [name for name, text in texts.items() if "udeluk" in text.replace(allowed, "")] == []

    def test_leaves_no_gap_where_something_is_not_known(self) -> None:
        """Without an end it promises another look, without a telephone it asks for a call.

        Nobody is shut out for ever by oversight.
        """
        text = letter.letter(replace(WRITTEN, until=None, note=""), replace(BRANCH, phone=""), NOW)

        for part in ("indtil videre", "et år", "until further notice", "after a year"):
            assert part in text
        assert "ring til os." in text
        assert "call us." in text
        assert "\n\n\n" not in text
