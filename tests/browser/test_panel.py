"""The screen at the door on the small screens that hang there: all of it is seen at once."""

from __future__ import annotations

from pathlib import Path

import polib
import pytest

from doorctl.core.language import OWN
from tests.browser.screens import PANELS, STATES, panel_of
from tests.browser.visitor import View, Visitors

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


def test_a_screen_begins_without_scripts_too(visitors: Visitors) -> None:
    """By its one button, and keeps what it is known by."""
    (with_scripts,), (without,) = (visitors.screen(scripts=one) for one in (True, False))

    assert with_scripts["name"] == without["name"]
