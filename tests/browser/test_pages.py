"""Every page, in both languages, on screens of any width; in Danish without JavaScript too."""

from __future__ import annotations

import pytest

from doorctl.accounts.account import Role
from tests.browser.visitor import LANGUAGES, VIEWS, View, Visitors
from tests.browser.walk import BESIDE, WALKS, Stop

WIDTHS = {"da": (1280, 640, 320), "en": (320,)}
"""Of the window in CSS pixels: it is made narrower; 1280 at 200 % are 640.

English, whose words are shorter, is on the narrowest screen.
"""

SEEN = {"runOnly": ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]}
"""Rules of axe-core about what the dark and a narrow screen change of a page."""


@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[3]], ids=lambda view: view.name)
@pytest.mark.parametrize("role", list(WALKS), ids=str)
def test_the_pages_of_a_role(visitors: Visitors, role: Role | None, view: View) -> None:
    """A page says what it is for, in the language that was chosen, and fits any screen.

    It asks no other host for anything, and nothing of it is an error or against its own policy.
    axe-core finds nothing on it that would shut anybody out, by any of its rules: once for each
    text, which a translated page shares, and in the dark by those of colours.
    """
    # What is written without scripts is the same page.
    for language in LANGUAGES if view.scripts else LANGUAGES[:1]:
        with visitors.visitor(role, view, language) as visitor:
            for stop in WALKS[role]:
                visitor.resize(WIDTHS[language][0])
                visitor.page.emulate_media(color_scheme="light")
                answer = visitor.go(with_language(stop, language))

                assert answer.status == stop.status, stop
                assert visitor.page.locator(stop.seen).first.is_visible(), stop
                assert visitor.page.locator("h1").count() == 1, stop
                assert visitor.page.locator("html").get_attribute("lang") == language, stop
                if view.scripts and (language == "da" or stop.path.startswith("/help/")):
                    assert visitor.violations() == [], stop
                for width in WIDTHS[language]:
                    visitor.resize(width)
                    assert visitor.too_wide() == 0, (stop, width)
                if view.scripts and language == "da":
                    visitor.page.emulate_media(color_scheme="dark")
                    assert visitor.violations(**SEEN) == [], stop
                assert visitor.page.title() not in {"", "taken"}, stop
                assert visitor.wrongs == [], stop


def with_language(stop: Stop, language: str) -> str:
    """Return a stop's address; the panel's language stands in it, for a patron has no cookie."""
    if stop.path == "/panel" and stop in BESIDE:
        return f"/panel?lang={language}"
    return stop.path
