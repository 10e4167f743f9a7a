"""The checks of a visit: a patron who doesn't exist comes to the door."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from doorctl.access.calendar import LOOK_AHEAD, Mode
from doorctl.access.messages import Concluded, Event, Now, Prepared, Rules
from doorctl.access.modes import judge
from doorctl.access.patron import Patron, pin_check, row_key
from doorctl.access.phases import Attempt
from doorctl.access.reasons import Reason
from doorctl.door.strike import Granted, Strike, TimePassed
from doorctl.masked import Pin
from doorctl.moments import ClockState, Moment
from doorctl.readings import CardRead, KeyPressed, Reading
from doorctl.self_test.house import CARD, NUMBER, Answer, House, Seen

STRIPE = b";92081004" + NUMBER.encode() + b"0" * 19 + b"?\r"
"""Track 2 of that person's health card, as a reader sends it; :mod:`doorctl.cards.tracks`."""


def card(house: House, _seen: Seen) -> Answer:
    """Put the stripe's bytes through the reader's parser: it says that card and nothing else."""
    reader = house.reader()
    reader.receive(STRIPE, house.now_s)
    read: list[Reading] = []
    while (reading := reader.next_reading(awaiting_pin=False)) is not None:
        read.append(reading)
    right = read == [CardRead((CARD,))]
    return Answer(right, "A health card is read." if right else "A health card is not read.")


def seal(_house: House, seen: Seen) -> Answer:
    """Compare two stretches: a row is found again only where they are the same."""
    if seen.stretched == seen.again:
        return Answer(ok=True, what="A card is sealed the same each time.")
    return Answer(ok=False, what="A card is sealed otherwise each time, so no row is found.")


def right_pin(house: House, seen: Seen) -> Answer | None:
    """Let an entitled patron come at the next opening; nothing to ask where none is known."""
    at = _opening(house, seen)
    if at is None:
        return None
    reason = _visit(house, seen, _row(house, seen), _pin(house), at)
    when = f"{at.local:%Y-%m-%d %H:%M}"
    if reason is Reason.OK:
        return Answer(ok=True, what=f"An entitled patron gets in on {when}.")
    return Answer(ok=False, what=f"An entitled patron is refused on {when}: {_name(reason)}.")


def wrong_pin(house: House, seen: Seen) -> Answer | None:
    """Let the same patron mistype; nothing to ask where no PIN is asked for."""
    at = _opening(house, seen)
    if at is None or not house.rules.policy.require_pin:
        return None
    wrong = _pin(house).reveal().translate(str.maketrans("0123456789", "1234567890"))
    return _refused("A wrong PIN", _visit(house, seen, _row(house, seen), Pin(wrong), at))


def blocked(house: House, seen: Seen) -> Answer | None:
    """Let a patron come with a block that keeps people out; nothing to ask where none does."""
    at, policy = _opening(house, seen), house.rules.policy
    code = min(policy.deny_blocks, default="?" if policy.deny_other_blocks else None)
    if at is None or code is None:
        return None
    row = replace(_row(house, seen), blocks=frozenset({code}))
    return _refused("A blocked patron", _visit(house, seen, row, _pin(house), at))


def _refused(who: str, reason: Reason | None) -> Answer:
    if reason is Reason.OK:
        return Answer(ok=False, what=f"{who} is let in.")
    return Answer(ok=True, what=f"{who} is refused.")


def strike(house: House, _seen: Seen) -> Answer:
    """Follow a grant through the strike's table: on at once, off when its time is over."""
    if _dry_run(house) == ((True, 0.0), (False, house.release_s)):
        return Answer(ok=True, what=f"The strike would be released for {house.release_s:g} s.")
    return Answer(ok=False, what="A grant would not release the strike for its time.")


def _dry_run(house: House) -> tuple[tuple[bool, float], ...]:
    """Return what a relay would be told and when, by the real table and no relay at all."""
    granted = house.strike(Strike(), Granted(0.0, house.release_s))
    ends_s = granted.deadline_s
    if ends_s is None:
        return ((granted.energised, 0.0),)
    over = house.strike(granted, TimePassed(ends_s))
    return (granted.energised, 0.0), (over.energised, ends_s)


def _opening(house: House, seen: Seen) -> Moment | None:
    """Return the next start of self-service; now where it never starts because it never ends."""
    if seen.calendar is None:
        return None
    local = house.moment.local
    until = local.astimezone(UTC) + LOOK_AHEAD
    starts = (at for at, mode in seen.calendar.changes(local, until) if mode is Mode.SELF_SERVICE)
    endless = local if seen.calendar.mode_at(local) is Mode.SELF_SERVICE else None
    at = next(starts, endless)
    return None if at is None else Moment(at, at.astimezone(UTC), ClockState.TRUSTED)


def _pin(house: House) -> Pin:
    length = house.rules.pad.pin_length
    return Pin(("4711" * length)[:length])


def _row(house: House, seen: Seen) -> Patron:
    return Patron("selftest", pin_check(seen.stretched, _pin(house)), resident=True)


def _visit(house: House, seen: Seen, row: Patron, pin: Pin, at: Moment) -> Reason | None:
    """Play one attempt through the real tables, by a cache that was filled just now."""
    prepared = Prepared(
        1,
        seen.stretched,
        row_key(seen.stretched),
        row,
        cache_applied_at=at.local,
        cache_minimum_age=house.rules.policy.minimum_age,
    )
    events: list[Event] = [CardRead((CARD,)), prepared]
    events += [KeyPressed(digit) for digit in pin.reveal()]
    # The library system is asked about nobody who doesn't exist.
    rules = replace(house.rules, ask_s=None)
    # A mode that staff have set meanwhile is no fault: the calendar's counts.
    mode = judge(seen.calendar, None, at).mode
    return _ends(house, events, Now(0.0, at, 0, mode, opened_on=at.local.date()), rules)


def _ends(house: House, events: list[Event], now: Now, rules: Rules) -> Reason | None:
    attempt = Attempt()
    for event in events:
        attempt, effects = house.attempt(attempt, event, now, rules)
        for effect in effects:
            if isinstance(effect, Concluded):
                return effect.reason
    return None


def _name(reason: Reason | None) -> str:
    return "no answer" if reason is None else reason.value
