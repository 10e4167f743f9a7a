"""axe-core finds nothing on any page that breaks WCAG 2.1 at level A or AA."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.screens import STATES, demo_of, panel_of
from tests.browser.visitor import VIEWS, Visitor, Visitors
from tests.browser.walk import STOPS, Stop

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

RUN = """
levels => axe.run({runOnly: levels}).then(found => found.violations.map(
    one => one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')
))
"""

WIDE_AND_NARROW = [view for view in VIEWS if view.name in {"1280", "320"}]


def violations(visitor: Visitor) -> list[str]:
    """Return what axe-core finds, each rule with the elements that break it."""
    visitor.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = visitor.page.evaluate(RUN, LEVELS)
    return found


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_a_page(visitors: Visitors, stop: Stop) -> None:
    """Nothing of a page shuts anybody out, on a wide screen and on a narrow one."""
    for view, language in zip(WIDE_AND_NARROW, ("da", "en"), strict=True):
        with visitors.visitor(stop.role, view, language) as visitor:
            visitor.go(stop.path)
            assert violations(visitor) == [], view


def test_the_panel_in_every_state(visitors: Visitors) -> None:
    """Nothing of the screen at the door shuts anybody out, whatever it shows."""
    with panel_of(visitors) as (visitor, show):
        for name in STATES:
            show(name)
            assert violations(visitor) == [], name


def test_the_virtual_door(visitors: Visitors) -> None:
    """Nothing of the demo's page shuts anybody out."""
    with demo_of(visitors) as visitor:
        visitor.go("/")
        assert violations(visitor) == []
        assert visitor.wrongs == []
