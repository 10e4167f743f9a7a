"""Every page, in both languages, on screens of any width, with and without JavaScript."""

from __future__ import annotations

import pytest

from doorctl.accounts.account import Role
from tests.browser.visitor import LANGUAGES, VIEWS, View, Visitors
from tests.browser.walk import BESIDE, STOPS, Stop, by_role


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_a_page(visitors: Visitors, stop: Stop, view: View) -> None:
    """A page says what it is for, in the language that was chosen, and fits any screen.

    It asks no other host for anything, and nothing of it is an error or against its own policy.
    """
    for language in LANGUAGES:
        with visitors.visitor(stop.role, view, language) as visitor:
            answer = visitor.go(with_language(stop, language))

            assert answer.status == stop.status
            assert visitor.page.locator(stop.seen).first.is_visible()
            assert visitor.page.locator("h1").count() == 1
            assert visitor.page.locator("html").get_attribute("lang") == language
            assert visitor.too_wide() == 0
            assert visitor.page.title() not in {"", "taken"}
            assert visitor.wrongs == []


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
def test_the_menu_of_a_role(visitors: Visitors, role: Role) -> None:
    """Each role reaches each place of its own menu; the refusals are `test_who_may`."""
    own = {stop.path: stop for stop in by_role() if stop.role is role}
    with visitors.visitor(role) as visitor:
        visitor.go("/")
        shown = visitor.page.locator("nav a").evaluate_all("all => all.map(a => a.pathname)")
        assert shown == list(own)
        for path, stop in own.items():
            assert visitor.go(path).status == 200, path
            assert visitor.page.locator(stop.seen).first.is_visible(), path
        assert visitor.wrongs == []


def with_language(stop: Stop, language: str) -> str:
    """Return a stop's address; the panel's language stands in it, for a patron has no cookie."""
    if stop.path == "/panel" and stop in BESIDE:
        return f"/panel?lang={language}"
    return stop.path
