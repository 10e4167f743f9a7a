"""The screen at the door on the small screens that hang there: all of it is seen at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

import polib
import pytest
from playwright.sync_api import Browser, Page

from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.core.language import OWN
from tests.browser.house import CARD, CHILDS_CARD, PIN, SLOW_CARD, House, staged
from tests.browser.screens import PANELS, STATES, panel_of, serving
from tests.browser.visitor import Visitor, Visitors
from tests.e2e.people import DAYS, SELF_SERVICE
from tests.fakes.waiting import until
from tests.web.panel.screens import IDLE, SHOWING, Stage

CUT = """
() => [...document.querySelectorAll('.said > *, .picture img, button, footer a')].filter(one => {
    const box = one.getBoundingClientRect();
    const room = (one.closest('main') || document.documentElement).getBoundingClientRect();
    return box.width > 0 && (box.top < room.top - 1 || box.bottom > room.bottom + 1
        || box.left < 0 || box.right > window.innerWidth);
}).map(one => one.outerHTML.slice(0, 80))
"""
"""What of the page stands outside its place."""

SMALL = """
() => [...document.querySelectorAll('#pad button')].map(one => one.getBoundingClientRect())
    .filter(box => box.width > 0 && Math.min(box.width, box.height) < 60).length
"""
"""How many keys are smaller than a thumb."""


@pytest.fixture
def wordy(tmp_path: Path) -> Path:
    """Return a directory with a language of a third more words than Danish, as long as English."""
    catalogue = polib.pofile(str(OWN / "da" / "panel.po"))
    catalogue.metadata["Language-Name"] = "Wordy"
    for entry in catalogue:
        entry.msgstr = max(_longer(entry.msgstr), entry.msgid, key=len)
        for one, said in entry.msgstr_plural.items():
            entry.msgstr_plural[one] = max(_longer(said), entry.msgid_plural, key=len)
    catalogue.save(str(tmp_path / "xx.po"))
    return tmp_path


def test_nothing_is_cut_off(visitors: Visitors, wordy: Path) -> None:
    """Whatever is said fits a small screen, in a dropped-in language with more words than ours.

    Bug (a third language): two screens at the door were cut off at 800x480; a month of two
    words was a fault.
    """
    with panel_of(visitors, PANELS[0], "xx", wordy) as (visitor, show):
        for name in STATES:
            show(name)
            for view in PANELS:
                visitor.resize(view.width, view.height)
                assert visitor.page.evaluate(CUT) == [], (name, view)
        assert visitor.page.locator("nav a").count() == 3
        assert visitor.wrongs == []


def _longer(text: str) -> str:
    words = text.split()
    return " ".join([*words, *words[: -(-len(words) // 3)]]) if len(words) > 1 else text


OFFSET = (
    "() => parseFloat(getComputedStyle(document.querySelector('.ring circle')).strokeDashoffset)"
)
"""How much of the ring is gone, in hundredths."""


def test_a_ring_shrinks_until_the_door_locks(visitors: Visitors) -> None:
    """From the moment of the grant, anew where companions prolong it; nothing moves for who asked.

    A page that comes late, or asks again without scripts, finds it as far gone as it is.
    """
    stage = Stage(SHOWING)
    with (
        serving(stage.app, stage.panel.stop) as address,
        visitors.visitor(None, PANELS[0], "da", address) as visitor,
    ):
        page = visitor.page
        page.emulate_media(reduced_motion="no-preference")
        stage.door.show(IDLE)
        visitor.go("/panel")
        stage.door.show(PanelState(Kind.WELCOME, 5, locks_s=monotonic() + SHOWING.door.release_s))
        page.locator(".ring").wait_for()
        first = page.evaluate(OFFSET)
        until(lambda: page.evaluate(OFFSET) > first + 20)
        stage.door.show(
            PanelState(Kind.WELCOME, 6, locks_s=monotonic() + SHOWING.door.release_s / 2)
        )
        until(lambda: page.evaluate(OFFSET) >= 50)
        stage.door.show(PanelState(Kind.WELCOME, 7, locks_s=monotonic() + 60))
        until(lambda: page.evaluate(OFFSET) < 5)
        page.emulate_media(reduced_motion="reduce")
        assert not page.locator(".ring").is_visible()
        stage.door.show(PanelState(Kind.WELCOME, 7))
        page.locator(".ring").wait_for(state="detached")
        assert "låst op" not in page.locator("main").inner_text()
        assert visitor.wrongs == []


def test_only_the_numbers_that_count_are_offered(visitors: Visitors) -> None:
    """From 1 to as many as the rule lets in, and none: whoever is in a hurry reads no other."""
    stage = Stage(SHOWING)
    with (
        serving(stage.app, stage.panel.stop) as address,
        visitors.visitor(None, PANELS[0], "da", address) as visitor,
    ):
        stage.door.show(IDLE)
        visitor.go("/panel")
        for most in range(1, 10):
            stage.door.show(PanelState(Kind.WELCOME, most, keys=Keys.COMPANIONS, companions=most))
            asked = f"body[data-keys=companions][data-attempt='{most}']"
            visitor.page.locator(asked).wait_for()
            keys = visitor.page.locator("#pad button:visible").all_inner_texts()
            assert keys == [*map(str, range(1, most + 1)), "0 Ingen"]


def test_a_screen_begins_without_scripts_too(visitors: Visitors) -> None:
    """By its one button, and keeps what it is known by."""
    (with_scripts,), (without,) = (visitors.screen(scripts=one) for one in (True, False))

    assert with_scripts["name"] == without["name"]


DANISH = dict(
    zip(DAYS, ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"), strict=True)
)


def weekday_in(days: int) -> str:
    """Return the weekday in so many days, as the configuration names it."""
    return DAYS[(datetime.now(ZoneInfo("Europe/Copenhagen")).weekday() + days) % 7]


SETTLED = (
    *SELF_SERVICE,
    f'hours.staffed.{weekday_in(2)}=["10:00-15:00"]',
    "panel.message_s=10",
    "policy.code_entry=true",
    "policy.companions_max=2",
    "keypad.digit_timeout_s=20",
    "keypad.total_timeout_s=60",
    "door.release_s=6",
    "door.long_release_s=16",
    'door.long_release_tags=["long_release"]',
)
"""A branch where all may happen that the screen speaks of; staff are there in two days."""


@pytest.fixture(scope="module")
def at_the_door(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitors]:
    """People before the screen of a real door that has its keys."""
    with staged(tmp_path_factory.mktemp("door"), 0, SETTLED) as house:
        yield Visitors(chromium, house)


@dataclass
class Patron:
    """Somebody before the screen."""

    house: House
    visitor: Visitor

    @property
    def page(self) -> Page:
        """The screen."""
        return self.visitor.page

    def swipe(self, card: str) -> int:
        """Swipe a card and wait until the screen asks for the PIN; return the attempt."""
        attempt = self.house.swipe(card)
        self.sees(f"[data-kind=card_read][data-attempt='{attempt}']")
        return attempt

    def press(self, keys: str) -> None:
        """Tap keys on the screen."""
        for key in keys:
            self.page.locator(f"#pad button[value='{key}']").tap()

    def sees(self, body: str, *texts: str) -> None:
        """Wait for a screen, and read these texts on it: on each size all of it, no key small."""
        self.page.locator(f"body{body}").wait_for()
        for text in texts:
            self.page.locator("main").get_by_text(text).first.wait_for()
        for view in PANELS:
            self.visitor.resize(view.width, view.height)
            assert (self.page.evaluate(CUT), self.page.evaluate(SMALL)) == ([], 0), view


@pytest.fixture
def patron(at_the_door: Visitors) -> Iterator[Patron]:
    """Somebody who has just come."""
    with at_the_door.visitor(None, PANELS[0]) as visitor:
        visitor.page.emulate_media(reduced_motion="no-preference")
        visitor.go("/panel")
        visitor.page.locator("body[data-keys=code]").wait_for()
        yield Patron(at_the_door.house, visitor)
        assert visitor.wrongs == []


def test_a_child_of_nine_learns_what_to_do(patron: Patron) -> None:
    """Not why: whom to ring with which number, and on which day somebody is there to ask.

    What was missed can be had again, once.
    """
    patron.swipe(CHILDS_CARD)
    patron.press(PIN)
    day = DANISH[weekday_in(2)]
    said = ("Ring", "12\N{NO-BREAK SPACE}34\N{NO-BREAK SPACE}56\N{NO-BREAK SPACE}78", "5")
    staff = f"Der er personale {day} kl.\N{NO-BREAK SPACE}10.00\N{EN DASH}15.00."
    patron.sees("[data-kind=refused]", "Døren åbner ikke", *said, staff)
    again = patron.page.get_by_role("button", name="Vis igen")
    again.wait_for()
    patron.sees("[data-kind=idle]", "Scan dit kort")
    again.tap()
    patron.sees("[data-kind=refused]", *said, staff)
    patron.page.locator("body[data-kind=idle]").wait_for()
    assert again.count() == 0


def test_somebody_of_eighty_gets_in(patron: Patron) -> None:
    """The PIN before the card, a slip, and 11 s for a digit."""
    patron.press(PIN + "#")
    patron.sees("[data-kind=refused]", "Scan kortet først")
    patron.swipe(CARD)
    patron.press(PIN[:2] + "5*")
    patron.sees("[data-kind=card_read]", "din pinkode")
    patron.press(PIN[:3])
    patron.page.wait_for_timeout(11_000)
    patron.press(PIN[3:] + "0")
    patron.sees("[data-kind=welcome]", "Velkommen")


def test_somebody_in_a_wheelchair_has_the_time(patron: Patron) -> None:
    """Sixteen seconds where others have six, seen in a ring; the question takes none of them."""
    patron.swipe(SLOW_CARD)
    patron.press(PIN)
    unlocked = "Døren er låst op \N{EN DASH} gå ind nu."
    patron.sees("[data-keys=companions]", "Velkommen", unlocked, "1 til 2, ellers 0.")
    patron.press("0")
    patron.sees("[data-kind=welcome][data-keys=none]", unlocked)
    left = float((patron.page.locator(".ring animate").get_attribute("dur") or "0s")[:-1])
    assert 6.0 < left <= 16.0
    patron.page.get_by_text(unlocked).wait_for(state="detached")


def test_somebody_who_reads_english_comes_with_two(patron: Patron) -> None:
    """One tap, and all is English until they are in; then the screen is Danish for the next.

    Bug (CI, a busy machine): the strike, released for a second, had locked before the key for two
    was pressed, so it stayed so (the tests' own).
    """
    page, stage = patron.page, patron.house.branch.stage
    page.get_by_role("link", name="English").tap()
    patron.sees("[data-kind=idle]", "Scan your card")
    attempt = patron.swipe(CARD)
    page.get_by_role("heading", name="Type your PIN").wait_for()
    patron.press(PIN)
    patron.sees("[data-keys=companions]", "Welcome", "Press 1 to 2, or 0.")
    patron.press("2")
    stage.wait_for("companions", attempt=attempt, count=2)
    page.get_by_text("The door is unlocked").wait_for()
    page.locator("html[lang=da] body[data-kind=idle]").wait_for()
    patron.sees("[data-kind=idle]", "Scan dit kort")


def test_without_scripts(at_the_door: Visitors) -> None:
    """The screen asks again by itself, each key is a page, and the door opens all the same."""
    view = replace(PANELS[0], scripts=False)
    with at_the_door.visitor(None, view) as visitor:
        visitor.go("/panel")
        attempt = at_the_door.house.swipe(CARD)
        visitor.page.locator(f"body[data-kind=card_read][data-attempt='{attempt}']").wait_for()
        for key in PIN:
            visitor.page.locator(f"#pad button[value='{key}']").tap()
        visitor.page.locator("body[data-kind=welcome]").wait_for()
        assert visitor.wrongs == []
