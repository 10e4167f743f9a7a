"""Every page, in both languages, on screens of any width; in Danish without JavaScript too.

axe-core finds nothing on pages in need either, by any of its rules, in the light and the dark.
"""

from __future__ import annotations

from pathlib import Path
from time import time

import pytest
from playwright.sync_api import expect
from pyotp import TOTP

from doorctl.accounts.account import Role
from tests.browser.house import House
from tests.browser.screens import STATES, panel_of
from tests.browser.visitor import LANGUAGES, VIEWS, View, Visitors, sign_in
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


SCHEMES = (View("1280", 1280), View("320-dark", 320, dark=True))


def test_the_overview_in_need(visitors: Visitors, house: House) -> None:
    """Its forms unfolded, in a lockdown and with a dead door, it shuts nobody out either."""
    for view in SCHEMES:
        with visitors.visitor(Role.STAFF, view) as visitor:
            page = visitor.page
            visitor.go("/now")
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert visitor.violations() == [], view
            page.fill("#lock-cause", "Prøve")
            page.click("form[action='/now/lock'] button")
            assert visitor.violations() == [], view
            page.click("#mode-end")
    house.branch.stage.cut()
    try:
        for view in SCHEMES:
            with visitors.visitor(Role.STAFF, view) as visitor:
                visitor.go("/now")
                expect(visitor.page.locator("#open-now")).to_be_hidden()
                assert visitor.violations() == [], view
    finally:
        house.branch.stage.start_door()


@pytest.mark.parametrize("view", [VIEWS[2], VIEWS[3]], ids=lambda view: view.name)
def test_setting_up_a_second_factor(visitors: Visitors, view: View, tmp_path: Path) -> None:
    """Somebody new sets it up, and signs in by it, on a telephone and without JavaScript."""
    name, own = f"ny-{view.name}", "lampe tirsdag fjord"
    with visitors.visitor(None) as manager:
        sign_in(manager, Role.MANAGER)
        manager.go("/accounts")
        manager.page.fill("#name", name)
        manager.page.click("form[action='/accounts'] button")
        first = manager.page.locator(".first-password").inner_text()
    with visitors.visitor(None, view) as visitor:
        page = visitor.page
        sign_in(visitor, name, first, "/me")
        for field, typed in (("#old", first), ("#new", own), ("#again", own)):
            page.fill(field, typed)
        page.click("form[action='/me'] button")
        page.click("form[action='/me/factor'] button")
        fits = [visitor.too_wide(), *(visitor.violations() if view.scripts else ())]
        page.screenshot(path=tmp_path / "key.png", full_page=True)
        app = TOTP(page.locator("input[name=secret]").get_attribute("value") or "")
        page.fill("#code", app.at(time()))
        page.click("form[action='/me/factor'] button")
        fits += [visitor.too_wide(), *(visitor.violations() if view.scripts else ())]
        page.screenshot(path=tmp_path / "codes.png", full_page=True)
        recovery = page.locator(".codes code").first.inner_text()
        page.click("form[action='/sign-out'] button")
        visitor.go("/sign-in")
        page.screenshot(path=tmp_path / "sign-in.png", full_page=True)
        fits += [visitor.too_wide(), *(visitor.violations() if view.scripts else ())]
        sign_in(visitor, name, own, "/now", recovery)
        assert (fits, visitor.wrongs) == ([0, 0, 0], [])


def test_the_panel_in_every_state(visitors: Visitors) -> None:
    """Nothing of the screen at the door shuts anybody out, whatever it shows.

    Of states that differ by their words alone, one.
    """
    parts = {
        (one.kind, one.keys, one.again, *map(bool, (one.code, one.hours, one.locks_s))): name
        for name, one in STATES.items()
    }
    with panel_of(visitors) as (visitor, show):
        for name in parts.values():
            show(name)
            assert visitor.violations() == [], name


@pytest.mark.parametrize("view", SCHEMES, ids=lambda view: view.name)
def test_the_virtual_door(visitors: Visitors, virtual_door: str, view: View) -> None:
    """Nothing of the demo's page shuts anybody out."""
    with visitors.visitor(None, view, "da", virtual_door) as visitor:
        visitor.go("/")
        assert visitor.violations() == []
        assert visitor.wrongs == []
