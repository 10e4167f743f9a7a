"""The tasks of the outside look, done as their users do them: by clicks that are counted, or keys.

Each journey begins at the front page of somebody who is signed in. Typing is no click.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Locator, expect

from doorctl.accounts.account import Role
from tests.browser.house import BLOCKED_CARD, CARD
from tests.browser.visitor import View, Visitor, Visitors

HERE: Final = Path(__file__).parents[2]


@dataclass
class Hand:
    """Somebody's hand, whose clicks are counted; with `keys` it never leaves the keyboard."""

    visitor: Visitor
    keys: bool = False
    clicks: int = field(default=0, init=False)

    def click(self, place: str) -> None:
        """Click a place, or go there and press what does the same."""
        spot = self.visitor.page.locator(place).first
        if self.keys:
            spot = self._focusable(spot)
            spot.focus()
            is_box = spot.evaluate("it => ['radio', 'checkbox'].includes(it.type)")
            spot.press("Space" if is_box else "Enter")
        else:
            spot.click()
        self.visitor.page.wait_for_load_state()
        self.clicks += 1

    def type(self, place: str, text: str) -> None:
        """Type into a field."""
        self.visitor.page.fill(place, text)

    def sees(self, place: str, text: str = "") -> None:
        """See something without another click."""
        spot = self.visitor.page.locator(place).first
        expect(spot).to_be_visible()
        expect(spot).to_contain_text(text)

    def _focusable(self, spot: Locator) -> Locator:
        named = spot.get_attribute("for")
        return self.visitor.page.locator(f"#{named}") if named else spot


def last_night(hand: Hand) -> None:
    """What happened last night: told on the front page, and all of it behind one link."""
    hand.sees("a[href^='/log?span=tonight']")
    hand.click("a[href='/log?span=tonight']")
    hand.sees("#rows tr")


def refused_card(hand: Hand) -> None:
    """Why a card is refused, with what to say to the patron."""
    hand.click(".top-menu a[href='/why']")
    hand.type("#card", BLOCKED_CARD)
    hand.click(".why-form button.button-primary")
    hand.sees(".verdict-refused")


def code_on_the_telephone(hand: Hand) -> None:
    """What the code means that a patron reads out."""
    hand.click(".top-menu a[href='/why']")
    hand.type("#card", "5")
    hand.click(".why-form button.button-primary")
    hand.sees("#verdict", "5")


def row_to_act_on(hand: Hand) -> None:
    """From a row of the night to what can be done about it."""
    hand.click("a[href='/log?span=tonight']")
    hand.click("#rows .log-told a")
    hand.sees("a[href^='/why?attempt='], a[href^='/bans?attempt=']")


def ban(hand: Hand) -> None:
    """Two weeks for somebody at the desk; lifted again at the end, which does not count."""
    hand.click(".top-menu a[href='/bans']")
    hand.type("#card", CARD)
    hand.click("label[for=reason-noise]")
    hand.click("#add button[name=days][value='14']")
    hand.click("form[action^='/bans/check/'] button")
    hand.sees(".alert-success")
    page = hand.visitor.page
    newest = page.locator("main table tbody tr").first
    newest.locator("summary").click()
    newest.locator("form[action$='/lift'] button").click()
    page.wait_for_load_state()


def open_now(hand: Hand) -> None:
    """Let a craftsman in."""
    hand.click("#open-now summary")
    hand.click("#open-now button[name=reason]")
    hand.sees(".alert-success")


def lock_down(hand: Hand) -> None:
    """Lock down, with a reason; ended again, which does not count."""
    hand.click("#lock-now summary")
    hand.type("#lock-cause", "Prøve")
    hand.click("form[action='/now/lock'] button")
    hand.sees(".alert-success")
    hand.visitor.page.locator("form[action='/now/mode/end'] button").first.click()
    hand.visitor.page.wait_for_load_state()


def this_month(hand: Hand) -> None:
    """How many came this month, beside the month before."""
    hand.click(".top-menu a[href='/statistics']")
    hand.sees(".total")


def new_account(hand: Hand) -> None:
    """An account for a colleague, with its first password."""
    hand.click(".top-menu a[href='/accounts']")
    hand.type("#name", "rejsende")
    hand.click("form[action='/accounts'] button")
    hand.sees(".first-password")


def whole_record(hand: Hand) -> None:
    """Whether anybody has changed the audit log."""
    hand.click(".top-menu a[href='/audit']")
    hand.click("form[action='/audit/verify'] button")
    hand.sees(".alert-success")


def hold(hand: Hand) -> None:
    """Where a window is kept for the police."""
    hand.click(".top-menu a[href='/holds']")
    hand.sees("form[action='/holds'] input[name=case]")


def everything_of_somebody(hand: Hand) -> None:
    """All that is held of a person, for an access request."""
    hand.click(".top-menu a[href='/people']")
    hand.type("#card", CARD)
    hand.type("#why", "sag 17")
    hand.click("form[action='/people/find'] button")
    hand.sees("#held")


Journey = tuple[Callable[[Hand], None], Role, int]

READING: Final[tuple[Journey, ...]] = (
    (last_night, Role.STAFF, 1),
    (code_on_the_telephone, Role.STAFF, 2),
    (refused_card, Role.STAFF, 2),
    (row_to_act_on, Role.STAFF, 2),
    (this_month, Role.VIEWER, 1),
)
"""Journeys that change nothing: these are made in every view."""

CHANGING: Final[tuple[Journey, ...]] = (
    (ban, Role.STAFF, 4),
    (open_now, Role.STAFF, 2),
    (lock_down, Role.STAFF, 2),
    (new_account, Role.MANAGER, 2),
    (whole_record, Role.MANAGER, 2),
    (hold, Role.MANAGER, 1),
    (everything_of_somebody, Role.DPO, 2),
)

DESK: Final = View("1280", 1280)
ELSEWHERE: Final = (
    (View("800x480", 800, height=480), "da", False),
    (View("480x800", 480, height=800), "en", False),
    (View("390-keys", 390, height=844), "da", True),
    (View("390-scriptless", 390, scripts=False, height=844), "da", False),
)


def name_of(value: object) -> str:
    """Return a journey's name or a view's, for a test's."""
    if isinstance(value, tuple):
        return getattr(value[0], "__name__", getattr(value[0], "name", ""))
    return str(value)


def take(visitors: Visitors, journey: Journey, view: View, language: str, *, keys: bool) -> None:
    """Make a journey from the front page, within its clicks, on a page that fits its window."""
    steps, role, most = journey
    with visitors.visitor(role, view, language) as visitor:
        hand = Hand(visitor, keys)
        visitor.go("/")
        steps(hand)
        assert hand.clicks <= most
        assert visitor.too_wide() == 0
        assert visitor.wrongs == []


@pytest.mark.parametrize("journey", [*READING, *CHANGING], ids=name_of)
def test_a_journey_at_the_desk(visitors: Visitors, journey: Journey) -> None:
    """It takes no more clicks than promised: a ban four, why and code two, last night one."""
    take(visitors, journey, DESK, "da", keys=False)


@pytest.mark.parametrize("way", ELSEWHERE, ids=name_of)
def test_journeys_elsewhere(visitors: Visitors, way: tuple[View, str, bool]) -> None:
    """On a touch screen, a telephone, by keys alone and without JavaScript they are the same."""
    view, language, keys = way
    for journey in READING:
        take(visitors, journey, view, language, keys=keys)


@pytest.mark.parametrize("keys", [False, True], ids=["mouse", "keys"])
def test_a_ban_on_a_telephone(visitors: Visitors, keys: bool) -> None:
    """As many clicks as at the desk, and the keyboard alone does it too."""
    take(visitors, (ban, Role.STAFF, 4), View("390", 390, height=844), "da", keys=keys)


TASKS: Final = {
    **dict.fromkeys((2, 3, 4, 5, 6, 7), "tests/demo/test_page.py"),
    8: "tests/browser/visitor.py::sign_in",
    9: "last_night",
    10: "refused_card",
    11: "code_on_the_telephone",
    12: "ban",
    13: "row_to_act_on",
    **dict.fromkeys((14, 15), "tests/web/pages/test_calendar.py"),
    16: "tests/web/pages/test_passes.py",
    17: "open_now",
    18: "lock_down",
    **dict.fromkeys((19, 20), "tests/browser/test_flows.py::test_a_page_whose_process_is_gone"),
    21: "tests/browser/test_flows.py::test_sign_out_ends_the_other_tab",
    22: "test_journeys_elsewhere",
    **dict.fromkeys((23, 24, 25, 26, 27, 28), "tests/browser/test_panel.py"),
    **dict.fromkeys((1, 29, 30), "tests/rootplay/play.py"),
    31: "everything_of_somebody",
    **dict.fromkeys((32, 33), "tests/web/pages/test_people.py"),
    34: "whole_record",
    35: "new_account",
    36: "hold",
}
"""The look's tasks by number, and where each is done: a journey here, or a test elsewhere."""


def test_every_task_is_done_somewhere() -> None:
    """None of the 36 is left out, and what the table names is there."""

    def missing() -> Iterator[str]:
        for place in TASKS.values():
            path, _, function = place.rpartition("::")
            path = path or (place if "/" in place else "tests/browser/test_journeys.py")
            text = (HERE / path).read_text("utf-8") if (HERE / path).exists() else ""
            wanted = f"def {function}" if function and "/" not in function else ""
            if not text or wanted not in text:
                yield place

    assert sorted(TASKS) == list(range(1, 37))
    assert list(missing()) == []
