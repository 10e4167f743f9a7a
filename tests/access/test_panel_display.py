from __future__ import annotations

from datetime import timedelta
from math import inf

import pytest

from doorctl.access.attempt import Attempt, CodePad
from doorctl.access.calendar import Calendar, Mode
from doorctl.access.day import Override
from doorctl.access.messages import PadRules
from doorctl.access.panel import (
    AGAIN_S,
    CALL,
    CALL_REST_S,
    CARD_FIRST,
    HELP,
    NO_CALL,
    Display,
    Hours,
    Kind,
    Notice,
    PanelState,
)
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
    assert (over.state(Attempt(), broken=False).kind, over.notice) == (Kind.IDLE, None)


def test_a_welcome_stands_as_long_as_the_door_is_released() -> None:
    """Six seconds at least; a patron who needs longer has it on the screen too."""
    welcome = Display().telling(Notice(Kind.WELCOME, 0, 6.0))
    brief = welcome.at(5.0, moment(), OPEN)
    longer = welcome.at(0.0, moment(), OPEN, 15.0)

    assert brief.state(Attempt(), broken=False) == PanelState(Kind.WELCOME)
    assert longer.state(Attempt(), broken=False) == PanelState(Kind.WELCOME, locks_s=15.0)
    assert (brief.deadline_s, longer.deadline_s) == (6.0, 15.0)
    assert kind_at(longer.at(14.9, moment(), OPEN, 15.0))[0] is Kind.WELCOME
    assert kind_at(longer.at(15.0, moment(), OPEN))[0] is Kind.IDLE


def test_a_release_from_inside_is_not_told() -> None:
    """Whoever goes out, or is let in by staff, changes nothing for the person outside."""
    refused = Display().telling(Notice(Kind.REFUSED, 1, 25.0)).at(0.0, moment(), OPEN, 30.0)

    assert refused.state(Attempt(), broken=False) == PanelState(Kind.REFUSED, code=1)
    assert refused.deadline_s == 25.0


def kind_at(display: Display) -> tuple[Kind, int, bool]:
    """Return what is shown, and whether it may be shown again."""
    state = display.state(Attempt(), broken=False)
    return state.kind, state.code, state.again


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
def test_a_refusal_can_be_had_again_once(code: int) -> None:
    """For a minute after it is over, whatever its code, and as long as the first time.

    Bug (outside look): a refusal was gone after six seconds, before its number and code were noted.
    """
    refused = at(Display().telling(Notice(Kind.REFUSED, code, 25.0)), 24.9)
    assert kind_at(refused.again(24.9)) == (Kind.REFUSED, code, False)
    over = at(refused, 25.0)
    assert (kind_at(over), over.deadline_s) == ((Kind.IDLE, 0, True), 25.0 + AGAIN_S)

    assert kind_at(at(over, 84.9)) == (Kind.IDLE, 0, True)
    assert kind_at(at(over, 85.0)) == (Kind.IDLE, 0, False)
    again = over.again(60.0)
    assert (kind_at(again), again.deadline_s) == ((Kind.REFUSED, code, False), 85.0)
    ended = at(again, 85.0)
    assert (kind_at(ended), ended.deadline_s) == ((Kind.IDLE, 0, False), None)
    assert kind_at(ended.again(85.0)) == (Kind.IDLE, 0, False)


@pytest.mark.parametrize(
    "other", [Notice(Kind.WELCOME, 0, 30.0), Notice(Kind.REFUSED, CARD_FIRST, 30.0), None]
)
def test_the_next_person_can_not_have_it(other: Notice | None) -> None:
    """A card, a welcome, digits without a card: what was told before is gone for good."""
    over = at(Display().telling(Notice(Kind.REFUSED, 4, 25.0)), 25.0)

    later = at(over.telling(other), 30.0)
    assert (kind_at(later), later.again(30.0)) == ((Kind.IDLE, 0, False), later)
    typing = Attempt(code_pad=CodePad(PadRules(), 0.0, 0.0, "4"))
    assert not over.state(typing, broken=False).again


def test_help_is_called_by_another_key_than_the_one_that_asks() -> None:
    """So a child's touch calls nobody. Asked too late, it is asked anew; "No" ends the question.

    A call soon after a call is told of that one; the question never hides a refusal for good.
    """
    asked = at(Display()).helped(HELP, 0.0)
    twice = asked.helped(HELP, 1.0)
    assert kind_at(asked) == kind_at(twice) == (Kind.HELP, 0, False)
    assert kind_at(twice.helped(NO_CALL, 2.0)) == (Kind.IDLE, 0, False)
    assert kind_at(at(asked, 25.0)) == (Kind.IDLE, 0, False)
    assert kind_at(at(asked, 25.0).helped(CALL, 26.0)) == (Kind.HELP, 0, False)
    assert twice.called_s == -inf

    called = twice.helped(CALL, 3.0)
    assert (kind_at(called), called.called_s, called.deadline_s) == (
        (Kind.CALLED, 0, False), 3.0, 3.0 + AGAIN_S,
    )  # fmt: skip
    over = at(called, 63.0)
    assert kind_at(over.helped(NO_CALL, 64.0)) == (Kind.IDLE, 0, False)
    soon = over.helped(HELP, 3.0 + CALL_REST_S - 0.1)
    assert (kind_at(soon), soon.called_s) == ((Kind.CALLED, 0, False), 3.0)
    assert kind_at(over.helped(HELP, 3.0 + CALL_REST_S)) == (Kind.HELP, 0, False)


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
