"""What fails on purpose, by name; each is drawn by chance and mends by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from doorctl.access.ban_dates import ban_since
from doorctl.access.calendar import Mode
from doorctl.access.day import Override
from doorctl.access.rights import Ban
from doorctl.core.errors import DoorctlError
from doorctl.devices.lines import KEYPAD, READER
from doorctl.doord.loop_events import StopRequested
from tests.simulation import invariants
from tests.simulation.arrivals import erase as erase_person
from tests.simulation.arrivals import push, take_over
from tests.simulation.disk import BRANCH, PATRONS, VISITS
from tests.simulation.house import WebProcess
from tests.simulation.pushes import PATRONS as PEOPLE
from tests.simulation.pushes import key_of, number
from tests.simulation.world import KilledError

if TYPE_CHECKING:
    from tests.simulation.world import World

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def strike(world: World) -> None:
    """Draw one of :data:`FAULTS` and let it happen."""
    name = world.rng.choice(list(FAULTS))
    world.counts[f"fault {name}"] += 1
    world.note("fault", name)
    FAULTS[name](world)


def export(world: World) -> None:
    """Let the library live a day and send what came of it; some nights the network is down."""
    library, held = world.library, world.held
    if world.clock.true_ms < world.silent_until_ms:
        return
    world.tell_time()
    library.live()
    if held is None or world.rng.random() < 0.2:
        push(world, library.snapshot())
        return
    push(world, library.changes(held.epoch, held.register))
    if world.held is held and not world.disk.fails_commit:
        push(world, library.snapshot())


def silence(world: World) -> None:
    """Let the library's server be out of reach for days."""
    world.silent_until_ms = world.clock.true_ms + world.rng.randrange(12 * HOUR, 6 * DAY)


def unplug(world: World) -> None:
    """Pull a cable, and put it back."""
    line = world.rng.choice((READER, READER, KEYPAD))
    world.unplug(line)
    world.agenda.after(world.rng.randrange(300, 60 * SECOND), lambda: world.plug(line))


def garbage(world: World) -> None:
    """Say what is no card, perhaps in the middle of one; such a swipe is nobody's."""
    world.disturb()
    world.send(READER, world.rng.randbytes(world.rng.randrange(1, 300)).replace(b"3", b"!") + b"\r")
    world.agenda.after(world.rng.randrange(200), lambda: world.send(READER, b"\xff?\r"))


def disk_fails(name: str) -> Callable[[World], None]:
    """Return what makes every call on a file fail for a while (EIO, ENOSPC)."""

    def fail(world: World) -> None:
        world.disk.failing[name] = world.clock.true_ms
        world.disturb()
        for card, _ in world.witness.charged.values():
            world.witness.doubt(card)

        def mend() -> None:
            world.disk.failing.pop(name, None)
            if name == BRANCH:
                # The door asks again after ten turns; until then it keeps to the hours it knows.
                world.witness.branch.locked_ms = world.clock.true_ms + MINUTE
            world.disturb()

        world.agenda.after(world.rng.randrange(200, 2 * HOUR), mend)

    return fail


def commit_fails(world: World) -> None:
    """Let a push fail at its very commit, and come again."""
    world.disk.fails_commit = True
    export(world)
    world.disk.fails_commit = False
    export(world)


def replay(world: World) -> None:
    """Bring old documents again, in any order."""
    for _ in range(world.rng.randrange(1, 4)):
        if world.library.sent:
            push(world, world.rng.choice(world.library.sent))


def conflict(world: World) -> None:
    """Bring another document of the number that is held."""
    if world.held is not None and world.held.register:
        push(world, world.library.of_same_number(world.held))


def lose(world: World) -> None:
    """Lose changes on their way, and bring those that follow on them: they fit nothing held."""
    library, held = world.library, world.held
    if held is not None:
        lost = library.changes(held.epoch, held.register)
        library.live()
        push(world, library.changes(lost.epoch, lost.register))


def forge(world: World) -> None:
    """Bring a document that somebody else signed."""
    push(world, world.library.snapshot(forged=True), "PushUnsignedError")


def cut_short(world: World) -> None:
    """Bring a document whose end is missing; it is none at all."""
    whole = world.library.snapshot()
    missing = world.rng.randrange(1, len(whole.data) // 2)
    push(world, replace(whole, data=whole.data[:-missing]), "PushInvalidError")


def bad_export(world: World) -> None:
    """Bring a register from which most are missing."""
    push(world, world.library.snapshot(gone=PEOPLE * 2 // 3))


def power_cut(world: World) -> None:
    """Cut the power between two steps."""
    world.disk.cut()


def power_cut_in_a_write(world: World) -> None:
    """Cut the power before or after one of the next calls on a file; a push makes sure of some."""
    world.disk.cut_in = world.rng.randrange(12)
    if world.rng.random() < 0.5:
        export(world)


def kill(world: World) -> None:
    """SIGKILL the door; systemd switches the relay off."""
    world.relay.fall()
    raise KilledError


def stop(world: World) -> None:
    """SIGTERM the door."""
    world.event_queue.put(StopRequested())


def freeze(world: World) -> None:
    """SIGSTOP the door for a while."""
    world.freeze(world.rng.choice((400, 2_500, 3_500, 20_000)))


def clock_jump(world: World) -> None:
    """Lose the time server and have the system clock set wrong; some time later it is right."""
    world.clock.vouched = False
    world.clock.off_ms = world.rng.choice((-1, 1)) * world.rng.randrange(400 * DAY)
    world.disturb()
    world.agenda.after(world.rng.randrange(MINUTE, 10 * DAY), world.set_clock)


def clock_lies(world: World) -> None:
    """Have the time server vouch for a time that is hours or years off, and come right again.

    Only after the right time was seen in this process. Whoever lies may have the door crash, too,
    or cut its power: then nothing contradicts a time that is not below the last one known.
    """
    if world.clock.moment().dependable and world.clock.vouched:
        most = world.rng.choice((2 * DAY, 400 * DAY))
        world.clock.off_ms = world.rng.choice((-1, 1)) * world.rng.randrange(HOUR, most)
        world.disturb()
        world.agenda.after(world.rng.randrange(SECOND, 10 * HOUR), world.set_clock)
        if world.rng.random() < 0.5:
            crash = world.rng.choice((kill, power_cut))
            world.agenda.after(world.rng.randrange(SECOND, HOUR), lambda: crash(world))


def lies_after_cut(world: World) -> None:
    """Cut the power, and have the time server lie ahead as soon as it is back, for a while."""
    world.lie_ms = world.rng.randrange(HOUR, world.rng.choice((DAY, 40 * DAY)))
    world.agenda.after(world.rng.randrange(HOUR, 10 * HOUR), world.set_clock)
    world.disk.cut()


def relay_fails(world: World) -> None:
    """Let the relay's pin fail (EIO) at the next edge; a restart finds it mended."""
    if not world.relay.energised:
        world.relay.broken = True
        world.disturb()
        world.agenda.after(20 * SECOND, lambda: setattr(world.relay, "broken", False))


def lamps_fail(world: World) -> None:
    """Let the lamps fail: that keeps nobody out."""
    signals = world.machine.signals
    signals.broken = True
    world.agenda.after(HOUR, lambda: setattr(signals, "broken", False))


def slow_disk(world: World) -> None:
    """Let the worker take seconds for each job."""
    world.door.worker.slow_ms = world.rng.randrange(500, 7_000)
    world.disturb()
    worker = world.door.worker

    def mend() -> None:
        worker.slow_ms = 0
        world.disturb()

    world.agenda.after(world.rng.randrange(SECOND, 2 * MINUTE), mend)


def ban(world: World) -> None:
    """Have staff ban a card, for a while or for good."""
    assert world.web is not None
    card = number(world.rng.randrange(PEOPLE))
    moment = world.clock.moment()
    if not moment.dependable or card in world.witness.branch.banned:
        return
    until = moment.local.astimezone(UTC) + timedelta(hours=world.rng.randrange(1, 400))
    world.web.rights.ban(
        Ban(0, "shouting", ban_since(None, moment), until, "staff-7", frozenset({"oest"})),
        moment,
        row_key=key_of(card),
        patron_ref=None,
    )
    world.witness.branch.banned[card] = until


def lockdown(world: World) -> None:
    """Have staff lock everybody out for hours."""
    assert world.web is not None
    moment = world.clock.moment()
    until = moment.local.astimezone(UTC) + timedelta(minutes=world.rng.randrange(5, 300))
    try:
        world.web.rights.set_override(Override(Mode.LOCKDOWN, until, "a flood", "staff-7"), moment)
    except DoorctlError:
        return
    world.witness.branch.locked_until = until
    world.witness.branch.locked_ms = world.clock.true_ms
    world.disturb()


def end_lockdown(world: World) -> None:
    """Have staff lift a lockdown, while it stands or long after."""
    assert world.web is not None
    try:
        world.web.rights.end_override(world.clock.moment())
    except DoorctlError:
        return
    world.witness.branch.locked_until = None
    world.disturb()


def erase(world: World) -> None:
    """Erase a patron while nobody is at the door."""
    swipe = world.witness.swipe
    quiet = swipe is None or world.clock.true_ms - swipe.at_ms > MINUTE
    if quiet and not world.disk.failing and world.clock.moment().dependable:
        known = sorted(world.witness.branch.register)
        erase_person(world, world.rng.choice(known or [number(0)]))


def keep_backup(world: World) -> None:
    """Copy the register aside, as a backup does."""
    assert world.web is not None
    if world.held is not None:
        world.web.register.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        shutil.copy(world.disk.path(PATRONS), world.disk.root / "backup")
        applied_at = world.witness.branch.applied_at
        assert applied_at is not None
        world.backup = (world.held, applied_at, dict(world.week.noted))


def restore_backup(world: World) -> None:
    """Stop web, put the old register in its place, start web: the erased stay erased."""
    if world.backup is None or world.web is None:
        return
    erase(world)
    world.web.close()
    for old in world.disk.here.glob(f"{PATRONS}*"):
        old.unlink()
    shutil.move(world.disk.root / "backup", world.disk.path(PATRONS))
    world.web = WebProcess(world.machine)
    (document, at, noted), world.backup = world.backup, None
    take_over(world, document, at)
    erased = {key_of(card) for card, epoch in world.erased.items() if epoch >= document.epoch}
    world.week.noted = {key: one for key, one in noted.items() if key not in erased}
    invariants.register_is_whole(world)
    world.disturb()
    export(world)


FAULTS: Mapping[str, Callable[[World], None]] = MappingProxyType(
    {
        "library out of reach": silence,
        "unplug": unplug,
        "garbage": garbage,
        "door log fails": disk_fails(VISITS),
        "register fails": disk_fails(PATRONS),
        "branch.db fails": disk_fails(BRANCH),
        "commit fails": commit_fails,
        "replay": replay,
        "conflict": conflict,
        "push lost on its way": lose,
        "forged push": forge,
        "push cut short": cut_short,
        "bad export": bad_export,
        "power cut": power_cut,
        "power cut in a write": power_cut_in_a_write,
        "SIGKILL": kill,
        "SIGTERM": stop,
        "SIGSTOP": freeze,
        "clock jump": clock_jump,
        "vouched clock lies": clock_lies,
        "lie after a power cut": lies_after_cut,
        "relay fails": relay_fails,
        "lamps fail": lamps_fail,
        "slow disk": slow_disk,
        "ban": ban,
        "lockdown": lockdown,
        "lockdown lifted": end_lockdown,
        "erasure": erase,
        "backup": keep_backup,
        "old register restored": restore_backup,
    }
)
