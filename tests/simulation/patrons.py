"""An evening's people: who comes when, with which card, and how they type."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from doorctl.devices.lines import KEYPAD, READER
from tests.simulation.oracle import Person
from tests.simulation.pushes import PATRONS, number

if TYPE_CHECKING:
    from tests.simulation.world import World

UNKNOWN_CARDS = 5
HOURS = (0, 7, 8, 9, 11, 14, 16, 16, 17, 17, 17, 18, 18, 18, 19, 19, 19, 20, 20, 21, 21, 22, 23)
"""When a visit begins: evenings most of all, as in Randers; a few in staffed and closed hours."""

GUESSED_EVERY = 24
"""One visit in so many is by somebody who guesses again and again."""


def visit_at(world: World) -> int:
    """Return when in the day somebody comes, in milliseconds after local midnight."""
    rng = world.rng
    return (rng.choice(HOURS) * 60 + rng.randrange(60)) * 60_000 + rng.randrange(60_000)


def come(world: World) -> None:
    """Have somebody come: swipe, look for the keys, type, perhaps go in."""
    rng = world.rng
    card = number(rng.randrange(PATRONS + UNKNOWN_CARDS))
    if rng.randrange(GUESSED_EVERY) == 0:
        guess(world, card)
        return
    after_ms = try_to_enter(world, card, guessing=False)
    if rng.random() < 0.1:
        world.agenda.after(after_ms + rng.randrange(5_000), lambda: come(world))
    if rng.random() < 0.6:
        world.agenda.after(after_ms + 1500, lambda: walk_in(world))


def guess(world: World, card: str) -> None:
    """Try a card again and again, faster than is allowed and with other cards in between."""
    at_ms = 0
    for _ in range(world.rng.randrange(3, 14)):
        world.agenda.after(at_ms, partial(_try, world, card))
        at_ms += world.rng.choice((15_000, 35_000, 130_000, 700_000, 3_700_000))


def _try(world: World, card: str) -> None:
    try_to_enter(world, card, guessing=True)


def try_to_enter(world: World, card: str, *, guessing: bool) -> int:
    """Swipe and type; return after how many milliseconds the last key comes."""
    swipe(world, card)
    after_ms = world.rng.randrange(300, 5000)
    for key in typed(world, world.person(card), guessing=guessing):
        world.agenda.after(after_ms, partial(press, world, key))
        after_ms += world.rng.randrange(150, 1500)
    return after_ms


def typed(world: World, person: Person | None, *, guessing: bool) -> str:
    """Return what somebody types: mostly the right PIN, sometimes too little."""
    luck = world.rng.random()
    right = person.pin if person is not None and person.pin is not None else "4711"
    if guessing or luck < 0.12:
        return f"{(int(right) + 1) % 10_000:04}"
    return right[: world.rng.randrange(4)] if luck < 0.2 else right


def swipe(world: World, card: str) -> None:
    """Swipe a card; its bytes come in one, two or three chunks."""
    data = f"{card}\r".encode()
    cuts = sorted(world.rng.sample(range(1, len(data)), world.rng.randrange(3)))
    for begins, ends in zip([0, *cuts], [*cuts, len(data)], strict=True):
        whole = card if ends == len(data) else ""
        part = data[begins:ends]
        world.agenda.after(begins, partial(world.send, READER, part, card=whole))


def press(world: World, key: str) -> None:
    """Press a key."""
    world.send(KEYPAD, key.encode(), key=key)


def walk_in(world: World) -> None:
    """Push the door, if it can be pushed, and let it fall shut."""
    if world.relay.energised and not world.machine.inputs.standing.contact_open:
        world.touch(contact_open=True)
        stays_ms = world.rng.randrange(2_000, 45_000 if world.rng.random() < 0.05 else 6_000)
        world.agenda.after(stays_ms, lambda: world.touch(contact_open=False))


def leave(world: World) -> None:
    """Press the button inside; it counts once it has settled."""
    world.press_exit()
    world.agenda.after(700, lambda: world.touch(exit_pressed=False))


def plan_day(world: World) -> None:
    """Ask for all of a day's happenings, and for the next day's plan."""
    from tests.simulation import invariants, weather  # noqa: PLC0415 - they import this

    rng, agenda = world.rng, world.agenda
    local = world.clock.true_local
    tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    day_ms = round((tomorrow - local).total_seconds() * 1000)
    agenda.after(day_ms, lambda: plan_day(world))
    agenda.after(max(1, day_ms - 300_000), lambda: invariants.each_day(world))
    times = [visit_at(world) for _ in range(rng.randrange(2, 6))]
    for at_ms in times:
        agenda.after(at_ms, lambda: come(world))
    agenda.after(rng.randrange(7, 22) * 3_600_000, lambda: leave(world))
    agenda.after(2 * 3_600_000 + rng.randrange(3_600_000), lambda: weather.export(world))
    agenda.after(4 * 3_600_000, lambda: world.door.worker.submit(world.door.purge_in_rounds))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        near = rng.choice(times) + rng.randrange(-2_000, 9_000)
        at_ms = near if rng.random() < 0.7 else rng.randrange(86_000_000)
        agenda.after(max(1, at_ms), lambda: weather.strike(world))
    world.counts["days"] += 1
