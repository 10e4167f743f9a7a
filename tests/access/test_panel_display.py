from __future__ import annotations

from datetime import timedelta

from doorctl.access.attempt import Attempt
from doorctl.access.calendar import Calendar, Mode
from doorctl.access.day import Override
from doorctl.access.panel import Display, Hours, Kind, Notice, PanelState
from tests.access.samples import NOW, moment

OPEN = (Mode.SELF_SERVICE, False)
CLOSED = (Mode.CLOSED, False)


def at(display: Display, now_s: float = 0.0, *, later_s: float = 0.0) -> Display:
    """Return the screen at a time, so many seconds after seven in the evening."""
    here = moment()
    later = type(here)(here.local + timedelta(seconds=later_s), here.high_water, here.state)
    return display.at(now_s, later, OPEN)


def test_a_notice_stands_for_its_time() -> None:
    """Until its last moment it is what is shown, then the hours are again."""
    display = Display().telling(Notice(Kind.REFUSED, 1, 6.0))

    assert display.deadline_s == 6.0
    assert at(display, 5.9).state(Attempt(), broken=False) == PanelState(Kind.REFUSED, code=1)
    over = at(display, 6.0)
    assert (over.state(Attempt(), broken=False).kind, over.deadline_s) == (Kind.IDLE, None)


def test_the_hours_are_looked_at_once_a_minute() -> None:
    """Between two minutes nothing is computed; another mode or other hours count at once."""
    first = at(Display().heard(Calendar(), None), later_s=0.5)

    assert first.outlook.hours == (Hours(0, 1440, staffed=False),)
    assert at(first, later_s=0.0).outlook is first.outlook
    assert at(first, later_s=59.999_999).outlook is first.outlook
    assert at(first, later_s=-0.000_001).outlook is not first.outlook
    assert at(first, later_s=60.0).outlook is not first.outlook
    assert first.at(0.0, moment(), CLOSED).outlook.mode is Mode.CLOSED
    longer = Override(Mode.SELF_SERVICE, NOW + timedelta(hours=3))
    assert at(first.heard(Calendar(), longer)).outlook.hours is None


def test_before_anything_was_read_it_is_closed() -> None:
    """A screen that knows nothing sends nobody to a door that does not open."""
    assert Display().state(Attempt(), broken=False).kind is Kind.CLOSED


def test_a_reader_that_can_read_nothing_is_told() -> None:
    """Nobody swipes in vain while the hours say that it is open."""
    assert at(Display()).state(Attempt(), broken=True).kind is Kind.OUT_OF_ORDER
