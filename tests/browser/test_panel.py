"""The screen at the door on the small screens that hang there: all of it is seen at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import polib
import pytest

from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.core.language import OWN
from tests.browser.screens import PANELS, STATES, panel_of
from tests.browser.serving import serving
from tests.browser.visitor import LIMIT_MS, View, Visitors
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


@pytest.fixture
def wordy(tmp_path: Path) -> Path:
    """Return a directory with a language that needs a third more words than Danish."""
    catalogue = polib.pofile(str(OWN / "da" / "panel.po"))
    catalogue.metadata["Language-Name"] = "Wordy"
    for entry in catalogue:
        entry.msgstr = _longer(entry.msgstr)
        entry.msgstr_plural = {one: _longer(said) for one, said in entry.msgstr_plural.items()}
    catalogue.save(str(tmp_path / "xx.po"))
    return tmp_path


@pytest.mark.parametrize("language", ["da", "en", "xx"])
@pytest.mark.parametrize("view", PANELS, ids=lambda view: view.name)
def test_nothing_is_cut_off(visitors: Visitors, view: View, language: str, wordy: Path) -> None:
    """Whatever is said fits a small screen, in a language that was dropped in too.

    Bug (a third language): two screens at the door were cut off at 800x480; a month of two
    words was a fault.
    """
    with panel_of(visitors, view, language, wordy) as (visitor, show):
        for name in STATES:
            show(name)
            assert visitor.page.evaluate(CUT) == [], name
        assert visitor.page.locator("nav a").count() == 3
        assert visitor.wrongs == []


def _longer(text: str) -> str:
    words = text.split()
    return " ".join([*words, *words[: -(-len(words) // 3)]]) if len(words) > 1 else text


OFFSET = (
    "() => parseFloat(getComputedStyle(document.querySelector('.ring circle')).strokeDashoffset)"
)
"""How much of the ring is gone, in hundredths."""


def comes(holds: Callable[[], bool]) -> None:
    """Wait until something holds of a page whose policy lets no condition be sent to it."""
    end_s = monotonic() + LIMIT_MS / 1000
    while not holds():
        assert monotonic() < end_s, "it never came"


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
        stage.door.show(PanelState(Kind.WELCOME, 5, locks_s=monotonic() + SHOWING.release_s))
        page.locator(".ring").wait_for()
        first = page.evaluate(OFFSET)
        comes(lambda: page.evaluate(OFFSET) > first + 20)
        stage.door.show(PanelState(Kind.WELCOME, 6, locks_s=monotonic() + SHOWING.release_s / 2))
        comes(lambda: page.evaluate(OFFSET) >= 50)
        stage.door.show(PanelState(Kind.WELCOME, 7, locks_s=monotonic() + 60))
        comes(lambda: page.evaluate(OFFSET) < 5)
        page.emulate_media(reduced_motion="reduce")
        assert not page.locator(".ring").is_visible()
        stage.door.show(PanelState(Kind.WELCOME, 7))
        page.locator(".ring").wait_for(state="detached")
        assert "låst op" not in page.locator("main").inner_text()
        assert visitor.wrongs == []


@pytest.mark.parametrize("most", range(1, 10))
def test_only_the_numbers_that_count_are_offered(visitors: Visitors, most: int) -> None:
    """From 1 to as many as the rule lets in, and none: whoever is in a hurry reads no other."""
    stage = Stage(SHOWING)
    state = PanelState(Kind.WELCOME, 5, keys=Keys.COMPANIONS, companions=most)
    with (
        serving(stage.app, stage.panel.stop) as address,
        visitors.visitor(None, PANELS[0], "da", address) as visitor,
    ):
        stage.door.show(IDLE)
        visitor.go("/panel")
        stage.door.show(state)
        visitor.page.locator("body[data-keys=companions]").wait_for()
        keys = visitor.page.locator("#pad button:visible").all_inner_texts()
        assert keys == [*map(str, range(1, most + 1)), "0 Ingen"]


def test_a_screen_begins_without_scripts_too(visitors: Visitors) -> None:
    """By its one button, and keeps what it is known by."""
    (with_scripts,), (without,) = (visitors.screen(scripts=one) for one in (True, False))

    assert with_scripts["name"] == without["name"]
