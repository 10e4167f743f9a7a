"""What hostile people write, swipe and ask for breaks no page and holds up no door."""

from __future__ import annotations

from datetime import datetime, timedelta

from playwright.sync_api import expect

from doorctl.accounts.account import Role
from tests.browser.visitor import Visitors
from tests.web.pages.staging import ZONE


def test_more_rows_than_a_page_has(visitors: Visitors) -> None:
    """A log of busy days is shown a page at a time, each from its top, to its very end."""
    # Today's is short just after midnight.
    day, last = ((datetime.now(ZONE) - timedelta(days=n)).date() for n in (2, 1))
    with visitors.visitor(Role.STAFF) as visitor:
        visitor.go(f"/log?day={day}&ends={last}")
        older = visitor.page.locator("nav a", has_text="Ældre")
        pages = 1
        while older.count():
            address = older.get_attribute("href")
            older.click()
            visitor.page.wait_for_function("a => location.href.endsWith(a)", arg=address)
            assert 0 < visitor.page.locator("#rows tr").count() <= 200
            expect(visitor.page.locator("#attempts-heading")).to_be_in_viewport()
            pages += 1
        assert pages > 2
        assert visitor.wrongs == []
