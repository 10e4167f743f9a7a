"""The screen's text for each state: a headline, a few lines, a picture.

The screen never shows why a patron was refused, because others can read it: after a proved PIN it
shows a code and a telephone number, before it one sentence for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from doorctl.access import panel, panel_hours
from doorctl.access.calendar import DAY_MINUTES
from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.access.panel_hours import Opens
from doorctl.web.words import WEEKDAYS, Words


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen, to be seen and spoken: a few words, and whole sentences below them.

    `picture` is the name of a file ``static/panel_<name>.svg``; `call` is the sentence on whom to
    call with which code, whose numbers are seen large, and `desk` when staff are there. `beside` is
    a refusal's headline in English, where that is not the language.
    """

    headline: str
    lines: tuple[str, ...]
    picture: str
    call: str = ""
    desk: str = ""
    beside: str = ""

    @property
    def spoken(self) -> str:
        """All of it as one text for a voice."""
        sentences = (f"{self.headline}.", *self.lines, self.call, self.desk)
        return " ".join(filter(None, sentences))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Writes every screen in one language.

    `phone` is the branch's number, empty for none; `keypad` says that digits are typed on the
    screen, `reached` that the last alarm left the house by some way, or is about to.
    """

    words: Words
    phone: str = ""
    keypad: bool = False
    reached: bool = True

    def screen(self, state: PanelState | None) -> Screen:
        """Return the screen of a state; None where the door does not answer."""
        if state is None:
            state = PanelState(Kind.OUT_OF_ORDER, code=panel.OURS)
        headline, lines, picture = SCREENS[state.kind](self, state, self.words.say)
        called = state.kind in {Kind.REFUSED, Kind.OUT_OF_ORDER} and state.code != panel.CARD_FIRST
        # The keys of the catalogues are English.
        english = SCREENS[state.kind](self, state, lambda text, **_: text)[0]
        beside = english if called and english != headline else ""
        call, desk = self._call(state.code) if called else "", _desk(self, state.staffed)
        call = self._danger() if state.kind in {Kind.HELP, Kind.CALLED} else call
        filled = tuple(filter(None, lines))
        return Screen(headline, filled, picture, call, desk, beside)

    def lost(self) -> Screen:
        """Return the screen that the page shows by itself when it has lost the server."""
        say = self.words.say
        if self.keypad:
            return self.screen(None)
        works = say("The door works all the same: scan your card and type your PIN.")
        return Screen(say("The screen is taking a break"), (works,), "wait")

    def number(self) -> str:
        """Return the telephone number, which is read as two if it breaks over two lines."""
        return self.phone.replace(" ", "\N{NO-BREAK SPACE}")

    def _call(self, code: int) -> str:
        if not self.phone:
            return self.words.say("Contact the library and say code {code}.", code=code)
        return self.words.say(
            "Call {phone} and say code {code}. We will help you.", phone=self.number(), code=code
        )

    def _danger(self) -> str:
        say, phone = self.words.say, self.number()
        library = say("Call the library: {phone}.", phone=phone) if phone else ""
        return f"{say('In danger, call 112.')} {library}".rstrip()


_Parts = tuple[str, tuple[str, ...], str]

_Say = Callable[..., str]


def _idle(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    how = say("Then type your PIN.")
    return say("Scan your card"), (how, _today(by, state), _by_code(by, state)), "card"


def _closing(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    how = say("Scan your card to come in.") if state.entry else _no_entry(by)
    return _closes(by, state) or say("Closing soon"), (how,), "clock"


def _closed(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if not state.entry:
        return say("Closing soon"), (_no_entry(by), _closes(by, state)), "clock"
    opens = "" if state.opens is None else _opens(by, state.opens)
    return say("The library is closed"), (opens, _by_code(by, state)), "moon"


def _staffed(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    return say("Come in"), (say("Staff are here to help you."), _today(by, state)), "staff"


def _pin(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if state.keys is Keys.CODE or not state.wanted:
        first = say("Do you have a card? Scan it first.")
        return say("Type your code"), (say("Then press #.") if not by.keypad else "", first), "keys"
    return say("Type your PIN"), (), "keys"


def _welcome(_by: Speaker, state: PanelState, say: _Say) -> _Parts:
    unlocked = "" if state.locks_s is None else say("The door is unlocked: go in now.")
    letter = say("We have a message for you: ask at the desk for code {code}.", code=state.code)
    message = letter if state.code and not state.wrong else ""
    return say("Welcome"), (unlocked, _company(state, say), message), "door"


def _company(state: PanelState, say: _Say) -> str:
    most = state.companions
    if state.wrong:
        return say("That number does not count here. Press 0 to {most}.", most=most)
    if most == 1:
        return say("Does anybody come with you? Press 1, else 0.")
    return say("How many come with you? Press 1 to {most}, or 0.", most=most) if most else ""


def _refused(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if state.code == panel.CARD_FIRST:
        return say("Scan the card first"), (say("Then type your PIN."), _by_code(by, state)), "card"
    if state.code == panel.NOT_PROVED:
        # The same for all, so a patron who has to wait must not read in it to try again at once.
        again = say("Scan the card again. After three errors, wait a few minutes.")
        coded = state.keys is Keys.CODE
        fit = say("Card, PIN or code did not match") if coded else say("Card and PIN did not match")
        return fit, (again,), "again"
    if state.code == panel.UNREADABLE:
        return say("The card could not be read"), (say("Turn it and try again."),), "turn"
    if state.code == panel.OURS:
        return say("We are sorry"), (say("The fault is ours. Try again in a moment."),), "repair"
    if not by.phone:
        return say("The door does not open"), (), "no"
    return say("The door does not open. Call us"), (), "no"


def _called(by: Speaker, _state: PanelState, say: _Say) -> _Parts:
    if by.reached:
        seen = say("It may take a while until somebody sees the message.")
        return say("We are telling the library"), (seen,), "phone"
    return say("The message did not get through"), (say("Please call yourself."),), "phone"


SCREENS: Mapping[Kind, Callable[[Speaker, PanelState, _Say], _Parts]] = {
    Kind.IDLE: _idle,
    Kind.CLOSING: _closing,
    Kind.CLOSED: _closed,
    Kind.STAFFED: _staffed,
    Kind.OUT_OF_ORDER: lambda _by, _state, say: (
        say("Out of order"),
        (say("We are sorry."),),
        "repair",
    ),
    Kind.CARD_READ: _pin,
    Kind.TYPING: _pin,
    Kind.WORKING: lambda _by, _state, say: (say("One moment"), (), "wait"),
    Kind.WELCOME: _welcome,
    Kind.REFUSED: _refused,
    Kind.HELP: lambda _by, _state, say: (
        say("Call for help?"),
        (say("The library gets a message."),),
        "phone",
    ),
    Kind.CALLED: _called,
}
"""The function for each kind of screen; empty lines of it are left out."""


def _by_code(by: Speaker, state: PanelState) -> str:
    hint = by.words.say("Have you been given a code? Type it and press OK.")
    return hint if state.keys is Keys.CODE else ""


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
    if hours == ((0, DAY_MINUTES),):
        return say("Open day and night")
    spans = (by.words.hours_of_day(*span) for span in hours)
    return say("Open today {hours}", hours=", ".join(spans))


def _opens(by: Speaker, opens: Opens) -> str:
    say, time = by.words.say, by.words.time_of_day(opens.minute)
    if opens.days == 0:
        return say("Opens again today at {time}", time=time)
    if opens.days == 1:
        return say("Opens again tomorrow at {time}", time=time)
    day = say(WEEKDAYS[opens.weekday])
    if opens.days < panel_hours.WEEK_DAYS:
        return say("Opens again on {day} at {time}", day=day, time=time)
    return say(
        "Opens again in {days} days, on {day} at {time}", days=opens.days, day=day, time=time
    )


def _desk(by: Speaker, staffed: panel_hours.Staffed | None) -> str:
    if staffed is None:
        return ""
    say, hours = by.words.say, by.words.hours_of_day(staffed.starts, staffed.ends)
    if staffed.days == 0:
        return say("Staff are here today {hours}.", hours=hours)
    if staffed.days == 1:
        return say("Staff are here tomorrow {hours}.", hours=hours)
    return say("Staff are here on {day} {hours}.", day=say(WEEKDAYS[staffed.weekday]), hours=hours)
