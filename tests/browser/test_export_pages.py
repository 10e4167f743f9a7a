"""The handbook's pages about one library system each: on one screen, and whole on a telephone."""

from __future__ import annotations

import pytest

from doorctl.accounts.roles import Role
from tests.browser.visitor import LANGUAGES, View, Visitors
from tests.browser.walk import EXPORT_PAGES

SCREEN = View("screen", 1280, height=800)
BOTTOM = "article => article.getBoundingClientRect().bottom"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_one_screen_long(visitors: Visitors, language: str) -> None:
    """At 1280 by 800 all of it is in sight, below the menu of somebody who has signed in.

    On a telephone nothing is wider than the screen, and no row is to be pushed aside.
    """
    with visitors.visitor(Role.TECHNICIAN, SCREEN, language) as visitor:
        for name in EXPORT_PAGES:
            visitor.resize(SCREEN.width)
            visitor.go(f"/help/{name}")
            bottom = visitor.page.locator("article").evaluate(BOTTOM)
            assert bottom <= SCREEN.height, (name, bottom)
            visitor.sees(".help ol li:last-child")
            visitor.resize(390)
            assert visitor.too_wide() == 0, name
            table = visitor.page.locator(".help .table-wide")
            assert table.evaluate("each => each.scrollWidth <= each.clientWidth"), name
        assert visitor.wrongs == []
