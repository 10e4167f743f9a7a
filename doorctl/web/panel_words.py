"""The screen's text for each state: a headline, a few lines, a picture.

The screen never shows why a patron was refused, because others can read it: after a proved PIN it
shows a code and a telephone number, before it one sentence for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from doorctl.access import panel
from doorctl.access.calendar import DAY_MINUTES
from doorctl.access.panel import Hours, Keys, Kind, Opens, PanelState
from doorctl.web.frame.words import WEEKDAYS, Words

A_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen, to be seen and spoken: a few words, and whole sentences below them.

    `picture` is the name of a file ``static/panel_<name>.svg``.
    """

    headline: str
    lines: tuple[str, ...]
    picture: str

    @property
    def spoken(self) -> str:
        """All of it as one text for a voice."""
        return " ".join((f"{self.headline}.", *self.lines))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Writes every screen in one language.

    `phone` is the branch's number, empty for none; `keypad` says that digits are typed on the
    screen.
    """

    words: Words
    phone: str = ""
    keypad: bool = False

    def screen(self, state: PanelState | None) -> Screen:
        """Return the screen of a state; None where the door does not answer."""
        if state is None:
            state = PanelState(Kind.OUT_OF_ORDER, code=panel.OURS)
        headline, lines, picture = SCREENS[state.kind](self, state)
        return Screen(headline, tuple(line for line in lines if line), picture)

    def lost(self) -> Screen:
        """Return the screen that the page shows by itself when it has lost the server."""
        say = self.words.say
        if self.keypad:
            return self.screen(None)
        works = say("The door works all the same: scan your card and type your PIN.")
        return Screen(say("The screen is taking a break"), (works,), "wait")

    def call(self, code: int) -> str:
        """Return the sentence on whom to call with which code."""
        if not self.phone:
            return self.words.say("Contact the library and say code {code}.", code=code)
        return self.words.say(
            "Call {phone} and say code {code}. We will help you.",
            # A number that breaks over two lines is read as two.
            phone=self.phone.replace(" ", "\N{NO-BREAK SPACE}"),
            code=code,
        )


_Parts = tuple[str, tuple[str, ...], str]


def _idle(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    how = say("Then type your PIN.")
    return say("Scan your card"), (how, _today(by, state), _by_code(by, state)), "card"


def _closing(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    how = say("Scan your card to come in.") if state.entry else _no_entry(by)
    return _closes(by, state) or say("Closing soon"), (how,), "clock"


def _closed(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    if not state.entry:
        return say("Closing soon"), (_no_entry(by), _closes(by, state)), "clock"
    opens = "" if state.opens is None else _opens(by, state.opens)
    return say("The library is closed"), (opens, _by_code(by, state)), "moon"


def _staffed(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    return say("Come in"), (say("Staff are here to help you."), _today(by, state)), "staff"


def _out_of_order(by: Speaker, _state: PanelState) -> _Parts:
    say = by.words.say
    return say("Out of order"), (say("We are sorry."), by.call(panel.OURS)), "repair"


def _pin(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    if state.keys is Keys.CODE or not state.wanted:
        first = say("Do you have a card? Scan it first.")
        return say("Type your code"), (say("Then press #.") if not by.keypad else "", first), "keys"
    return say("Type your PIN"), (), "keys"


def _working(by: Speaker, _state: PanelState) -> _Parts:
    return by.words.say("One moment"), (), "wait"


def _welcome(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    several = say("How many come with you? Press 1 to {most}.", most=state.companions)
    single = say("Does anybody come with you? Press 1.")
    company = "" if not state.companions else single if state.companions == 1 else several
    letter = say("We have a message for you: ask at the desk for code {code}.", code=state.code)
    return say("Welcome"), (say("The door is open."), company, letter if state.code else ""), "door"


def _refused(by: Speaker, state: PanelState) -> _Parts:
    say = by.words.say
    if state.code == panel.NOT_PROVED:
        # The same for all, so a patron who has to wait must not read in it to try again at once.
        again = say("Scan the card again. After three tries, wait a few minutes.")
        return say("That did not work"), (again, by.call(state.code)), "again"
    if state.code == panel.UNREADABLE:
        return say("The card could not be read"), (say("Turn it and try again."),), "turn"
    if state.code == panel.OURS:
        sorry = say("The fault is ours. Try again in a moment.")
        return say("We are sorry"), (sorry, by.call(state.code)), "repair"
    return say("Contact the library"), (by.call(state.code),), "phone"


SCREENS: Mapping[Kind, Callable[[Speaker, PanelState], _Parts]] = MappingProxyType(
    {
        Kind.IDLE: _idle,
        Kind.CLOSING: _closing,
        Kind.CLOSED: _closed,
        Kind.STAFFED: _staffed,
        Kind.OUT_OF_ORDER: _out_of_order,
        Kind.CARD_READ: _pin,
        Kind.TYPING: _pin,
        Kind.WORKING: _working,
        Kind.WELCOME: _welcome,
        Kind.REFUSED: _refused,
    }
)
"""The function for each kind of screen; empty lines of it are left out."""


def _by_code(by: Speaker, state: PanelState) -> str:
    if state.keys is not Keys.CODE:
        return ""
    return by.words.say("Have you been given a code? Type it and press OK.")


def _no_entry(by: Speaker) -> str:
    return by.words.say("Nobody new comes in before closing.")


def _closes(by: Speaker, state: PanelState) -> str:
    if state.minutes is None:
        return ""
    return by.words.count("Closing in {n} minute", "Closing in {n} minutes", state.minutes)


def _today(by: Speaker, state: PanelState) -> str:
    say, hours = by.words.say, state.hours
    if not hours:
        return ""
    if [(span.starts, span.ends) for span in hours] == [(0, DAY_MINUTES)]:
        return say("Open day and night")
    spans = (by.words.hours_of_day(starts, ends) for starts, ends in _joined(hours))
    return say("Open today {hours}", hours=", ".join(spans))


def _joined(hours: tuple[Hours, ...]) -> list[tuple[int, int]]:
    """Return when it is open at all, staffed or not."""
    spans: list[tuple[int, int]] = []
    for span in hours:
        if spans and spans[-1][1] == span.starts:
            spans[-1] = (spans[-1][0], span.ends)
        else:
            spans.append((span.starts, span.ends))
    return spans


def _opens(by: Speaker, opens: Opens) -> str:
    say, time = by.words.say, by.words.time_of_day(opens.minute)
    if opens.days == 0:
        return say("Opens again today at {time}", time=time)
    if opens.days == 1:
        return say("Opens again tomorrow at {time}", time=time)
    day = say(WEEKDAYS[opens.weekday])
    if opens.days < A_WEEK:
        return say("Opens again on {day} at {time}", day=day, time=time)
    return say(
        "Opens again in {days} days, on {day} at {time}", days=opens.days, day=day, time=time
    )
