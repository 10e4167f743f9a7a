"""What hostile people write, swipe and ask for breaks no page and holds up no door."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from doorctl.accounts.account import Role
from tests.browser.house import CARD, PIN, House
from tests.browser.past import SCRIPT
from tests.browser.visitor import LIMIT_MS, Visitors
from tests.browser.walk import STOPS

CLIENTS = 2_000
SPARE = 500
"""Open files besides."""

ANSI = b"\x1b[2J\x1b]0;taken\x07<script>document.title='taken'</script>\r"


def test_script_tags_are_text(visitors: Visitors) -> None:
    """What somebody wrote as a script stands on pages as it was written, and runs on none."""
    with visitors.visitor(Role.MANAGER) as visitor:
        shown = 0
        for stop in STOPS:
            if stop.role is Role.MANAGER:
                visitor.go(stop.path)
                assert visitor.page.title() != "taken", stop.path
                assert visitor.page.locator("img[src=x]").count() == 0, stop.path
                shown += visitor.page.get_by_text(SCRIPT[:8]).count() > 0
        # Bans, passes, the calendar, alarms and the audit log each hold one.
        assert shown >= 5
        assert visitor.wrongs == []


def test_a_card_of_control_characters(visitors: Visitors, house: House) -> None:
    """Bytes that would steer a terminal or a page turn up on the log as an unreadable card."""
    with visitors.visitor(Role.STAFF) as visitor:
        house.branch.stage.skip()
        house.branch.stage.reader.send(ANSI)
        assert house.branch.stage.wait_for("decision")["reason"] == "card_unreadable"
        visitor.go("/log")
        assert "\x1b" not in visitor.page.content()
        assert visitor.page.title() != "taken"
        assert visitor.wrongs == []


def test_thousands_of_rows(visitors: Visitors) -> None:
    """A log of a busy day is shown a page at a time, each from its top, to its very end."""
    # Today's is short just after midnight.
    yesterday = datetime.now(ZoneInfo("Europe/Copenhagen")) - timedelta(days=1)
    with visitors.visitor(Role.STAFF) as visitor:
        visitor.go(f"/log?day={yesterday.date()}")
        older = visitor.page.locator("nav a", has_text="Ældre")
        pages = 1
        while older.count():
            address = older.get_attribute("href")
            older.click()
            visitor.page.wait_for_function("a => location.href.endsWith(a)", arg=address)
            assert 0 < visitor.page.locator("#rows tr").count() <= 400
            expect(visitor.page.locator("#attempts-heading")).to_be_in_viewport()
            pages += 1
        assert pages > 1
        assert visitor.wrongs == []


def test_two_thousand_listeners(visitors: Visitors, house: House) -> None:
    """Whoever opens streams without end gets a refusal; pages answer and the door decides."""
    with visitors.visitor(Role.STAFF) as staff, visitors.visitor(None) as patron:
        patron.go("/panel")
        staff.go("/now")
        with crowd(house):
            attempt = house.swipe(CARD)
            keyed = patron.page.locator(f"body[data-attempt='{attempt}'][data-keys=pin]")
            # The screen at the door was there before them, and its keys are heard beside them.
            expect(keyed).to_be_attached()
            for digit in PIN:
                house.branch.stage.reader.send(digit.encode())
            decision = house.branch.stage.wait_for("decision", attempt=attempt)
            assert decision["reason"] == "ok"
        expect(staff.page.locator("h1")).to_be_visible()
        assert staff.go("/log").status == 200


@contextmanager
def crowd(house: House) -> Iterator[None]:
    """Hold as many streams open as the web process lets itself be asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CLIENTS + SPARE)), hard))
    asked = b"GET /panel/events?lang=da HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            address = ("127.0.0.1", house.branch.port)
            one = stack.enter_context(socket.create_connection(address, LIMIT_MS / 1000))
            one.sendall(asked)
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
