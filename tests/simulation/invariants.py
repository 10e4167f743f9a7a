"""The fact sheet's invariants, by their numbers, as far as one process can break them.

26-28 are the web process's own and 17 is the canary scan's beyond what stands here; 2 beyond the
process, and 28, need a real machine. Each function is called where it could first be seen broken.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from doorctl.access.messages import Prepared
from doorctl.access.patron import Patron
from doorctl.access.policy import Case, PinProof, decide
from doorctl.cards.reader import CardReader
from doorctl.core.moments import ClockDoubt
from doorctl.privacy.audit_chain import verify
from doorctl.privacy.retention import PurgeReport, visible_since
from doorctl.store.door_log import VisitHistory
from doorctl.store.records import AuditRecords
from tests.simulation import oracle
from tests.simulation.clock import COPENHAGEN
from tests.simulation.disk import BRANCH, PATRONS, VISITS
from tests.simulation.house import CALENDAR, POLICY, RELEASE_S, RETENTION
from tests.simulation.oracle import BEFORE_PROOF, Guesses, Swipe, must
from tests.simulation.pushes import key_of, number, sealed

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY = timedelta(days=1)
LAG = timedelta(hours=3)
"""How far the carried time may lie behind: it can't be stored while the disk fails, for 2 hours."""
GRACE_MS = 1_000
"""How much longer than `release_s` the relay may stay on after anything (design, section 8)."""
ANSWER_MS = 2_000
READER_DELAY_MS = 5_000
DECIDE_BY = (PATRONS, BRANCH)
FAULTS = frozenset({"fault", "pin_timeout"})
ALL_CARDS = tuple(map(number, range(40)))
ROWS = "SELECT attempt, at_ms, boot_id, clock, reason, row_key FROM attempts ORDER BY attempt"
Row = tuple[int, int, str, str, str | None, bytes | None]


def each_step(world: World) -> None:
    """Look at the relay between any two events; the exit button may release it as well."""
    if world.clock.true_ms < world.exit_until_ms:
        world.cause_ms = world.clock.mono_ms
        world.causes += 1
    relay_on_is_explained(world)
    relay_on_duration(world)
    nothing_before_armed(world)


def relay_on_is_explained(world: World) -> None:
    """1 and 4: one swipe and PIN is one pulse at the most, and nothing else releases the strike."""
    edges, causes = world.edges_on, world.causes
    world.edges_on = world.causes = 0
    must(4, edges <= causes + stands_free(world), "the relay went on without a cause")


def relay_on_duration(world: World) -> None:
    """2: relay_on duration <= max_pulse, whatever happens (clock jump, SIGSTOP, EIO)."""
    if world.relay.energised and not stands_free(world):
        on_ms = world.clock.mono_ms - world.cause_ms
        must(2, on_ms <= RELEASE_S * 1000 + GRACE_MS, f"the relay is on for {on_ms} ms")


def nothing_before_armed(world: World) -> None:
    """3: between boot and "armed" the relay is never energised."""
    armed = world.machine.supervisor.is_ready or stands_free(world) or world.cause_ms > 0
    must(3, armed or not world.relay.energised, "the relay is on before the door is ready")


def stands_free(world: World) -> bool:
    """Tell whether the door may stand free: staff are there, or were a turn ago.

    Really, whatever a clock says, and never by the word of one source since the boot.
    """
    if not world.machine.stands_free or not world.clock.confirmed:
        return False
    branch, now = world.witness.branch, world.clock.true_local
    knows = BRANCH not in world.disk.failing and world.clock.true_ms - branch.locked_ms > 3_000
    if branch.locked_until is not None and knows:
        return False
    return any(oracle.mode_at(now - timedelta(seconds=s)) == oracle.STAFFED for s in (0, 3))


def decided(world: World, attempt: int, reason: str) -> None:
    """Judge a decision at the moment of it."""
    swipe = world.attempt_of(attempt)
    if reason == "ok":
        granted(world, attempt, swipe)
    calm = swipe is not None and world.is_calm()
    if swipe is not None and calm and not world.is_strange_hour():
        refused_or_not_as_the_reference_says(world, swipe, reason)
        no_reason_takes_longer(world, swipe, reason)
    if reason in BEFORE_PROOF and calm and not world.machine.signals.broken:
        world.answers[reason] = world.machine.signals.last
        no_reason_looks_otherwise(world)
    if swipe is not None:
        swipe.over = True


def granted(world: World, attempt: int, swipe: Swipe | None) -> None:
    """1, 4, 5, 6 and 9: a grant has a swipe, a PIN, a row on record and all predicates true."""
    must(4, swipe is not None, "a grant without a card at the reader")
    assert swipe is not None
    must(4, not swipe.used, "a second grant for one swipe")
    swipe.used = True
    now = world.now()
    branch = world.witness.branch
    must(5, was_readable(world, swipe), "a grant by a file that could not be read")
    must(22, now.dependable, "a grant by a clock that nobody vouches for")
    expected = branch.reason(swipe.card, swipe.typed, now, waits=swipe.waits)
    if not world.is_strange_hour():
        unsure = expected == "closed" and branch.unsure(swipe.card, now)
        must(6, expected == "ok" or unsure, f"a grant where the reference says {expected}")
    world.counts["grants by a caretaker"] += branch.waits and oracle.is_caretaker(swipe.card)
    branch.came_in(swipe.card, now)
    if VISITS not in world.disk.failing and world.is_calm():
        must(1, is_open_on_record(world, swipe.card), "a grant whose attempt is not on record")
    world.counts["grants"] += 1
    world.causes += 1
    world.cause_ms = world.clock.mono_ms
    assert attempt


def was_readable(world: World, swipe: Swipe) -> bool:
    """Tell whether what was known of a card could be read when it was."""
    failing = world.disk.failing
    return all(
        failing.get(name, swipe.prepared_at_ms) >= swipe.prepared_at_ms for name in DECIDE_BY
    )


def is_open_on_record(world: World, card: str) -> bool:
    """Tell whether the latest attempt on record is open, and of that card."""
    last = "SELECT row_key, reason FROM attempts ORDER BY attempt DESC LIMIT 1"
    row = world.door.visits.open().database.execute(last).fetchone()
    return row is not None and row == (key_of(card), None)


def refused_or_not_as_the_reference_says(world: World, swipe: Swipe, reason: str) -> None:
    """6 and 30: a valid patron of a healthy box is let in, others are told the first reason."""
    complete = len(swipe.typed) == 4
    if not complete or not swipe.alone:
        must(4, reason != "ok" or complete, "a grant without four digits")
        return
    now = world.now()
    branch = world.witness.branch
    expected = branch.reason(swipe.card, swipe.typed, now, waits=swipe.waits)
    if expected == "closed" and branch.unsure(swipe.card, now):
        return
    must(30 if expected == "ok" else 6, reason == expected, f"{reason} and not {expected}")


def no_reason_takes_longer(world: World, swipe: Swipe, reason: str) -> None:
    """19, 20 and 30: an answer comes within 2 s, and within 5 s more at an exhausted reader."""
    if reason in FAULTS or not swipe.prepared_at_ms or len(swipe.typed) < 4:
        return
    waited = world.clock.true_ms - max(swipe.prepared_at_ms, swipe.typed_at_ms)
    must(19, waited <= READER_DELAY_MS + ANSWER_MS, f"an answer came after {waited} ms")


def no_reason_looks_otherwise(world: World) -> None:
    """20: no observable depends on the reason before the PIN is proved."""
    must(20, len(set(world.answers.values())) <= 1, "lamps tell one refusal from another")


def prepared(world: World, card: str, found: Prepared, guesses: Guesses, *, waits: bool) -> None:
    """18, 19 and 21: failures in a row count through everything, and are charged beforehand."""
    must(18, found.throttled == waits, f"a card waits: {found.throttled}, not {waits}")
    if found.throttled or guesses.doubt or VISITS in world.disk.failing:
        return
    stored = world.door.visits.open().card_throttle(key_of(card)).failures
    must(21, stored >= min(guesses.count + 1, 10), "a guess is judged before it is charged")


def after_start(world: World) -> None:
    """8, 9, 10, 12 and 15: what stands in the files after any end of the process."""
    must(3, not world.relay.energised, "the relay is on at the start")
    register_is_whole(world)
    log_is_whole(world)


def register_is_whole(world: World) -> None:
    """8, 9, 10 and 12: the cache is one push's, the acknowledged one, without the erased."""
    if world.held is None or world.web is None:
        return
    held = world.web.reception.held()
    must(10, held.epoch >= world.held.epoch, f"push {held.epoch} follows on {world.held.epoch}")
    must(9, held.epoch == world.held.epoch, "another push than the acknowledged one is held")
    register = world.witness.branch.register
    for card in ALL_CARDS:
        person, row = register.get(card), world.web.lookup.find(key_of(card))
        if person is None and card in world.erased:
            must(12, row is None, "an erased patron has come back")
        expected: Patron | None = None if person is None else sealed(person).patron
        must(8, row == expected, "the cache is no push's as a whole")


def register_dump(world: World) -> str:
    """Return a hash of all that the cache holds."""
    assert world.web is not None
    database = world.web.register.database
    rows = [
        database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608 -- names
        for table in ("cache", "patrons", "asked", "shut_out")
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def pushed(world: World, expected: str, outcome: str, before: str) -> None:
    """8-11: a push does what its number says, and one that is refused changes no byte."""
    must(10, outcome == expected, f"a push came to {outcome} and not {expected}")
    if outcome != "applied":
        must(11, register_dump(world) == before, "a refused push has changed the cache")
    register_is_whole(world)


def attempts(world: World) -> list[Row]:
    """Return all attempts on record, in their order."""
    return list(world.door.visits.open().database.execute(ROWS))


def log_is_whole(world: World) -> None:
    """14, 15 and 23: every attempt is on record once and as it ended, and none left too early."""
    entries = world.witness.entries
    rows = attempts(world)
    for attempt, *_, reason, row_key in rows:
        entry = entries.get(attempt)
        must(15, entry is not None, "an attempt on record that nobody made, or purged before")
        assert entry is not None
        must(15, (reason, row_key) == (entry.reason, entry.row_key), "an attempt has changed")
    now_ms, kept = world.clock.true_ms, {row[0] for row in rows}
    for attempt in [attempt for attempt in entries if attempt not in kept]:
        age = timedelta(milliseconds=now_ms - entries[attempt].at_ms)
        must(15, age > 20 * DAY or not entries[attempt].dependable, "an attempt is lost")
        least = RETENTION - world.clock.most_fooled
        must(14, age >= least or not entries[attempt].dependable, f"purged after {age}")
        del entries[attempt]
    # One whose card could not be looked up goes on record after those that came behind it.
    placed = {attempt: place for place, attempt in enumerate(entries)}
    in_order = sorted(rows, key=lambda row: placed[row[0]])
    order_is_kept(in_order, world.clock.fooled_boots)


def order_is_kept(rows: list[Row], fooled: AbstractSet[str]) -> None:
    """23: the log's UTC order is never broken within a boot; a guess is marked as one."""
    last: dict[str, int] = {}
    for _, at_ms, boot, clock, _, _ in rows:
        if clock == "untrusted" or boot in fooled:
            continue
        must(23, at_ms >= last.get(boot, 0) - 1, "the log's order is broken within a boot")
        last[boot] = at_ms


def purged(world: World, report: PurgeReport) -> None:
    """13 and 14: after a purge no row, and no byte of one, is older than 30 days.

    Or than what a purge came to that takes a day's visits at a time, or in doubt what both clocks
    call old; that is never older than twice as long, the time without power left out.
    """
    assert report.cutoff is not None
    oldest = RETENTION
    if report.limited or report.doubt is not ClockDoubt.NONE:
        oldest = max(RETENTION, world.clock.true - report.cutoff)
    if not report.limited:
        since_ms = world.clock.true_ms - int(oldest.total_seconds() * 1000)
        off = world.clock.without_power_since(since_ms)
        oldest = min(oldest, 2 * RETENTION + LAG + off)
    for attempt, at_ms, *_ in attempts(world):
        entry = world.witness.entries.get(attempt)
        age = world.clock.true_ms - entry.at_ms if entry is not None and entry.dependable else 0
        must(13, age <= oldest.total_seconds() * 1000, "an attempt outlived the purge")
        must(13, at_ms >= (world.clock.true - oldest).timestamp() * 1000 - 1, "a row outlived it")
    gone = report.traces - world.door.visits.still_kept(report.traces)
    for name in (VISITS, f"{VISITS}-wal"):
        path = world.disk.path(name)
        data = path.read_bytes() if path.exists() else b""
        must(13, not any(trace in data for trace in gone), f"bytes of a purged visit in {name}")
    world.counts["purged attempts"] += report.deleted
    forget_old_guesses(world)
    log_is_whole(world)


def forget_old_guesses(world: World) -> None:
    """A purge forgets a count untouched for 30 days, by a clock that may have lagged."""
    for guesses in world.witness.branch.guesses.values():
        age_ms = world.clock.true_ms - guesses.true_ms
        guesses.doubt = guesses.doubt or age_ms > 15 * 86_400_000


def each_day(world: World) -> None:
    """Look at what shows over days."""
    nothing_old_is_listed(world)
    audit_log_is_whole(world)
    deny_stays_deny(world)
    minutes_of_a_special_day(world)
    chunks_do_not_matter(world)


def nothing_old_is_listed(world: World) -> None:
    """13: by SQL or HTTP nothing is older than 30 days at any time, whatever the clock says."""
    if world.counts["days"] % 5:
        return
    since = visible_since(world.clock.bounded().latest, RETENTION)
    oldest_ms = world.clock.true_ms - (RETENTION + LAG).total_seconds() * 1000
    with closing(VisitHistory(world.disk.path(VISITS))) as history:
        for visit in history.visits(since):
            must(13, visit.at >= since, "a visit is listed that is older than the retention")
            entry = world.witness.entries.get(visit.attempt)
            young = entry is None or not entry.dependable or entry.at_ms >= oldest_ms
            must(13, young, "a visit is listed that really is older than the retention")


def audit_log_is_whole(world: World) -> None:
    """16: the hash chain verifies, whatever was purged or erased meanwhile."""
    with closing(AuditRecords(world.disk.path(BRANCH))) as records:
        verdict = verify(records.links(), records.last_number())
    must(16, verdict.broken is None, "the audit log's chain is broken")


def deny_stays_deny(world: World) -> None:
    """7: adding a block, removing a patron or narrowing hours never turns deny into grant."""
    card = world.rng.choice(ALL_CARDS)
    person = world.person(card)
    if person is None:
        return
    patron, moment = sealed(person).patron, world.clock.moment()
    case = Case(
        patron,
        moment,
        PinProof.PROVED,
        cache_applied_at=world.witness.branch.applied_at,
        cache_minimum_age=POLICY.minimum_age,
        mode=CALENDAR.mode_at(moment.local),
    )
    if decide(POLICY, case).reason.value == "ok":
        return
    for worse in worsened(case, patron):
        must(7, decide(POLICY, worse).reason.value != "ok", "something worse has opened")


def worsened(case: Case, patron: Patron) -> list[Case]:
    """Return cases with one thing more against them."""
    blocked = replace(patron, blocks=patron.blocks | {"U"})
    return [
        replace(case, patron=blocked),
        replace(case, patron=None),
        replace(case, mode=None),
        replace(case, banned=True),
        replace(case, throttled=True),
    ]


def minutes_of_a_special_day(world: World) -> None:
    """23: each local minute of a day on which clocks change gets the rule's answer."""
    noon = world.clock.true_local.replace(hour=12, minute=0, second=0, microsecond=0)
    begins = (noon - timedelta(hours=12)).astimezone(UTC)
    if noon.utcoffset() == (noon - timedelta(hours=12)).utcoffset() and noon.day != 29:
        return
    world.counts["special days"] += 1
    for minute in range(0, 25 * 60, 1):
        local = (begins + timedelta(minutes=minute)).astimezone(COPENHAGEN)
        mode = CALENDAR.mode_at(local)
        must(23, mode is not None and mode.value == oracle.mode_at(local), f"wrong at {local}")


def chunks_do_not_matter(world: World) -> None:
    """24: however a stream is cut, the same is read; garbage never becomes a card."""
    data = bytes(world.rng.choices(b"0123456789;?=\r\n\x02\x03%:ABC\xff", k=60)) + b"\r"
    whole, single = CardReader(carries_keys=False), CardReader(carries_keys=False)
    whole.receive(data, 1.0)
    found: list[list[Any]] = [[], []]
    for byte in data:
        single.receive(bytes([byte]), 1.0)
        while (reading := single.next_reading(awaiting_pin=False)) is not None:
            found[1].append(reading)
    while (reading := whole.next_reading(awaiting_pin=False)) is not None:
        found[0].append(reading)
    must(24, found[0] == found[1], "a stream is read otherwise in other chunks")


def says_nothing_of_anybody(
    world: World, event: str, fields: dict[str, str | float | bool | None]
) -> None:
    """17: no card number in any log line."""
    said = " ".join(str(value) for value in fields.values())
    must(17, "3000001" not in said, f"a card number stands in a line of {event}")
    assert world is not None


def erased(world: World, card: str) -> None:
    """12 and 29: after erase(patron) nothing of the patron is left in any database."""
    key = key_of(card)
    for name, tables in ((PATRONS, ("patrons",)), (VISITS, ("attempts", "throttles"))):
        with closing(sqlite3.connect(world.disk.path(name))) as database:
            for table in tables:
                count = f"SELECT count(*) FROM {table} WHERE row_key = ?"  # noqa: S608 -- names
                (left,) = database.execute(count, (key,)).fetchone()
                must(29, left == 0, f"rows of an erased patron are left in {table}")
