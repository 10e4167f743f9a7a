"""Test the door: a patron who does not exist comes to it, and the house is checked.

Nothing is opened and nobody is put on record: the patron's row is never stored, and the strike's
table moves no relay. A check assumes what the check before it must have found, so that a fault is
reported once, under its own name. All checks stand in :data:`doorctl.doord.self_test.CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from doorctl.access.attempt import Attempt, Step, after
from doorctl.access.calendar import LOOK_AHEAD, Calendar, Mode
from doorctl.access.day import judge
from doorctl.access.messages import Concluded, Event, Now, PadRules, Prepared, Rules
from doorctl.access.patron import CacheStamp, Patron, Reason, pin_check, row_key
from doorctl.access.policy import Case, findings
from doorctl.cards.reader import CardReader
from doorctl.config import Config
from doorctl.config.rules import undriven_locks
from doorctl.config.tables import OLD_SHARE
from doorctl.core.errors import DoorctlError, NotAnsweringError, StoreError
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.core.ports import Clock, Sealer
from doorctl.core.readings import CardRead, KeyPressed, Reading
from doorctl.devices.pins import relay_risks
from doorctl.door.strike import Granted, Strike, StrikeEvent, TimePassed
from doorctl.lookup.calendar import calendar_of
from doorctl.lookup.configured import ask_s, system_clock
from doorctl.lookup.numbers import own_sealer
from doorctl.ops import machine
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import SELF_TEST, Finding, SelfTest
from doorctl.store.branch import BranchRecords
from doorctl.store.door_log import VisitHistory
from doorctl.store.key_age import key_days
from doorctl.store.keys import read_key
from doorctl.store.patrons import PatronCache


def all_well(findings: tuple[Finding, ...]) -> bool:
    """Tell whether no check fails."""
    return all(finding.ok for finding in findings)


def as_answer(findings: tuple[Finding, ...]) -> SelfTest:
    """Return the findings for the control socket and for scripts."""
    return SelfTest(all_well(findings), findings)


NUMBER = "3112575000"
"""A health card's CPR number, born on 31 December 2057: no register of today can hold it.

Most patrons bring a health card.
"""

CARD = Identifier(IdentifierKind.CPR, NUMBER)


class WritableLog(Protocol):
    """The door log's writer. Raises StoreError."""

    def keep_time(self, now: datetime, boot: BootTime) -> None:
        """Store the time, durably."""

    def prove_writable(self) -> None:
        """Try to write a row."""


@dataclass(frozen=True, slots=True)
class House:
    """Everything a self-test looks at; on the thread that may use the cache and the door log.

    Args:
        calendar: reads the hours that count, None where they are not known. May raise StoreError.
        visits: the door log's writer, not a wrapper that hides its faults; None where another
            process writes it, so that `read_log` alone proves something.
        lines: ``reader`` and, if there is one, ``keypad``: whether it is connected; None where the
            door process does not run.
        relay_risks: what could leave the relay on after the door process dies, a sentence each.
        purged_s: when a purge was last complete, or when the door began, monotonic seconds; None
            where that is not known.
    """

    rules: Rules
    release_s: float
    moment: Moment
    now_s: float
    boot: BootTime
    sealer: Sealer
    patrons: PatronCache
    disk: machine.DataDisk
    calendar: Callable[[], Calendar | None]
    visits: WritableLog | None = None
    read_log: Callable[[], object] | None = None
    lines: Mapping[str, bool] | None = None
    purged_s: float | None = None
    relay_risks: tuple[str, ...] = ()
    reader: Callable[[], CardReader] = lambda: CardReader(carries_keys=False)
    attempt: Callable[[Attempt, Event, Now, Rules], Step] = after
    strike: Callable[[Strike, StrikeEvent], Strike] = Strike.after


@dataclass(frozen=True, slots=True)
class Seen:
    """What several checks need, computed once: a stretch takes 0.3 s on the smallest Pi.

    `again` is a second stretch of the same card. `calendar` is None where the hours are not known,
    `stamp` where the register can't be read. `problems` has the reason for each check at fault,
    where reading failed.
    """

    stretched: StretchedKey
    again: StretchedKey
    calendar: Calendar | None
    stamp: CacheStamp | None
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's answer; the table holds the check's name and the advice."""

    ok: bool
    what: str


Ask = Callable[[House, Seen], CheckResult | None]


def look(house: House) -> Seen:
    """Read once what several checks need; what can't be read becomes a problem of one check."""
    calendar, stamp, problems = None, None, {}
    try:
        calendar = house.calendar()
    except StoreError as err:
        problems["hours"] = f"{err}."
    try:
        stamp = house.patrons.stamp()
    except StoreError as err:
        problems["register"] = f"{err}."
    stretched, again = house.sealer.stretch(CARD), house.sealer.stretch(CARD)
    return Seen(stretched, again, calendar, stamp, problems)


BEFORE_OPENING = timedelta(hours=1)
"""The test runs so long before patrons come that somebody can still act on it."""

AT_LEAST_EVERY = timedelta(days=1)
"""A branch that never closes is tested once a day."""


def due(last_run: datetime | None, opens: datetime | None, now: datetime) -> bool:
    """Tell whether a test is due: before each opening, and daily where the branch never closes.

    `last_run` is None for none since the start. `opens` is as :func:`opens_next` says:
    `now` or earlier if patrons can come in already, None if not within two weeks. `now` is by a
    dependable clock. All three are aware.
    """
    if opens is None:
        return False
    # In UTC: within one time zone datetime compares what the wall shows.
    ahead = opens.astimezone(UTC) - now.astimezone(UTC)
    if last_run is None:
        return ahead <= BEFORE_OPENING
    since = now.astimezone(UTC) - last_run.astimezone(UTC)
    if ahead <= timedelta(0):
        return since >= AT_LEAST_EVERY
    return ahead <= BEFORE_OPENING and since > BEFORE_OPENING - ahead


# The checks of the house.

MIN_FREE_BYTES = 100_000_000
"""A full push of 100 000 rows and the purge's VACUUM need less than this beside what is there."""

PURGE_LATE_S = 13 * 3600.0
"""A purge comes every 6 hours; two missed in a row are no accident."""


def _door(house: House, _seen: Seen) -> CheckResult:
    runs = house.lines is not None
    return CheckResult(runs, f"The door process {'runs' if runs else 'does not run'}.")


def _line(name: str) -> Ask:
    """Return the check that a line is connected; skipped where there is no such line."""

    def ask(house: House, _seen: Seen) -> CheckResult | None:
        if house.lines is None or name not in house.lines:
            return None
        connected = house.lines[name]
        return CheckResult(connected, f"The {name} is {'connected' if connected else 'lost'}.")

    return ask


def _relay(house: House, _seen: Seen) -> CheckResult:
    risks = " ".join(house.relay_risks)
    return CheckResult(not risks, risks or "The relay goes off when the door process dies.")


def _register(_house: House, seen: Seen) -> CheckResult:
    wrong = seen.problems.get("register")
    return CheckResult(not wrong, wrong or "The patron register can be read with this key.")


def _register_filled(_house: House, seen: Seen) -> CheckResult | None:
    if seen.stamp is None:
        return None
    filled = bool(seen.stamp.epoch and seen.stamp.patrons)
    held = f"Cards in it: {seen.stamp.patrons}, as of push {seen.stamp.epoch}."
    return CheckResult(filled, held if filled else "It holds no card.")


def _register_age(house: House, seen: Seen) -> CheckResult | None:
    """Check that the register lets patrons in at the next opening.

    One that no push has renewed for long has to last until self-service ends within a day.
    """
    limit, stamp = house.rules.policy.max_cache_age, seen.stamp
    if limit is None or stamp is None or not stamp.epoch or not house.moment.dependable:
        return None
    local, age = house.moment.local, stamp.age(house.moment)
    now = local.astimezone(UTC)
    until, reached = now + BEFORE_OPENING, ""
    if age is not None and age > limit * OLD_SHARE:
        until = max(until, _service_ends(local, seen.calendar))
        reached = f", reached on {(now + limit - age).astimezone(local.tzinfo):%Y-%m-%d at %H:%M}"
    good = not _too_old(house, stamp, until.astimezone(local.tzinfo))
    return CheckResult(good, f"{_age(age)}; the limit is {_in_hours(limit)}{reached}.")


def _register_limit(house: House, seen: Seen) -> CheckResult | None:
    if seen.stamp is None or not seen.stamp.epoch:
        return None
    sealed, wanted = seen.stamp.minimum_age, house.rules.policy.minimum_age
    other = "" if sealed == wanted else f", not {wanted}"
    return CheckResult(not other, f"It was made for a minimum age of {sealed}{other}.")


def _register_stranger(house: House, seen: Seen) -> CheckResult | None:
    if seen.stamp is None:
        return None
    if house.patrons.find(row_key(seen.stretched)) is None:
        return CheckResult(ok=True, what="It does not hold the self-test's own card.")
    return CheckResult(
        ok=False, what="It holds the self-test's own card, which everybody can make."
    )


def _clock(house: House, _seen: Seen) -> CheckResult:
    state = house.moment.state
    sentences = {
        ClockState.TRUSTED: "The clock is set.",
        ClockState.HOLDOVER: "The clock goes on without its time server.",
        ClockState.UNTRUSTED: "Nobody vouches for the clock.",
    }
    return CheckResult(house.moment.dependable, sentences[state])


def _hours(house: House, seen: Seen) -> CheckResult | None:
    if seen.calendar is None:
        return CheckResult(ok=False, what=seen.problems.get("hours", "Nobody knows the hours."))
    if not house.moment.dependable:
        return None
    today = house.moment.local.date()
    days = {"today": today, "tomorrow": today + timedelta(days=1)}
    unknown = [name for name, day in days.items() if seen.calendar.day(day) is None]
    if unknown:
        return CheckResult(ok=False, what=f"Nobody knows the hours of {' and '.join(unknown)}.")
    return CheckResult(ok=True, what="The hours of today and tomorrow are known.")


def _visit_log(house: House, _seen: Seen) -> CheckResult | None:
    """Write to the door log, or read it where another process writes it."""
    if house.read_log is not None:
        house.read_log()
        return CheckResult(ok=True, what="The door log can be read.")
    # The door writes the time anyway, and durably; the time of an unset clock is never kept.
    if house.visits is None or not house.moment.dependable:
        return None
    house.visits.keep_time(house.moment.local, house.boot)
    house.visits.prove_writable()
    return CheckResult(ok=True, what="The door log can be written.")


def _disk_space(house: House, _seen: Seen) -> CheckResult:
    free = house.disk.free_bytes()
    return CheckResult(free >= MIN_FREE_BYTES, f"The disk has {free // 1_000_000} MB free.")


def _disk_writable(house: House, _seen: Seen) -> CheckResult:
    house.disk.prove_writable()
    return CheckResult(ok=True, what="The disk can be written.")


def _purge(house: House, _seen: Seen) -> CheckResult | None:
    if house.purged_s is None:
        return None
    ago_s = house.now_s - house.purged_s
    ended = f"The last complete purge was {_in_hours(timedelta(seconds=ago_s))} ago."
    return CheckResult(ago_s <= PURGE_LATE_S, ended)


def _service_ends(local: datetime, calendar: Calendar | None) -> datetime:
    """Return when patrons can last come in within a day, or that day's end; now if they can't."""
    now = local.astimezone(UTC)
    if calendar is None:
        return now
    last, mode = now, calendar.mode_at(local)
    for at, following in calendar.changes(local, now + AT_LEAST_EVERY):
        last, mode = (at if mode is Mode.SELF_SERVICE else last), following
    return now + AT_LEAST_EVERY if mode is Mode.SELF_SERVICE else last


def _too_old(house: House, stamp: CacheStamp, at: datetime) -> bool:
    """Apply the policy's own check, as of a local time."""
    case = Case(
        Patron("selftest", resident=True),
        replace(house.moment, local=at),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
    )
    refusals = {
        finding.check: finding.refused_with for finding in findings(house.rules.policy, case)
    }
    return refusals["cache_age"] is not None


def _age(age: timedelta | None) -> str:
    return "Nobody knows how old it is" if age is None else f"It is {_in_hours(age)} old"


def _in_hours(length: timedelta) -> str:
    return f"{length.total_seconds() / 3600:.0f} h"


# The checks of a visit.

STRIPE = b";92081004" + NUMBER.encode() + b"0" * 19 + b"?\r"
"""Track 2 of the test patron's health card, as a reader sends it; :mod:`doorctl.cards.stripe`."""


def _card(house: House, _seen: Seen) -> CheckResult:
    reader = house.reader()
    reader.receive(STRIPE, house.now_s)
    read: list[Reading] = []
    while (reading := reader.next_reading(awaiting_pin=False)) is not None:
        read.append(reading)
    right = read == [CardRead((CARD,))]
    return CheckResult(right, "A health card is read." if right else "A health card is not read.")


def _seal(_house: House, seen: Seen) -> CheckResult:
    """Compare two stretches: a row is found again only where they are the same."""
    same = seen.stretched == seen.again
    how = "the same each time" if same else "otherwise each time, so no row is found"
    return CheckResult(same, f"A card is sealed {how}.")


def _right_pin(house: House, seen: Seen) -> CheckResult | None:
    at = _opening(house, seen)
    if at is None:
        return None
    reason = _visit(house, seen, _row(house, seen), _pin(house), at)
    why, when = "no answer" if reason is None else reason.value, f"{at.local:%Y-%m-%d %H:%M}"
    if reason is Reason.OK:
        return CheckResult(ok=True, what=f"An entitled patron gets in on {when}.")
    return CheckResult(ok=False, what=f"An entitled patron is refused on {when}: {why}.")


def _wrong_pin(house: House, seen: Seen) -> CheckResult | None:
    at = _opening(house, seen)
    if at is None or not house.rules.policy.require_pin:
        return None
    wrong = _pin(house).reveal().translate(str.maketrans("0123456789", "1234567890"))
    return _refused("A wrong PIN", _visit(house, seen, _row(house, seen), Pin(wrong), at))


def _blocked(house: House, seen: Seen) -> CheckResult | None:
    at, policy = _opening(house, seen), house.rules.policy
    code = min(policy.deny_blocks, default="?" if policy.deny_other_blocks else None)
    if at is None or code is None:
        return None
    row = replace(_row(house, seen), blocks=frozenset({code}))
    return _refused("A blocked patron", _visit(house, seen, row, _pin(house), at))


def _refused(who: str, reason: Reason | None) -> CheckResult:
    is_in = reason is Reason.OK
    return CheckResult(not is_in, f"{who} is {'let in' if is_in else 'refused'}.")


def _strike(house: House, _seen: Seen) -> CheckResult:
    """Follow a grant through the strike's table: on at once, off when its time is over."""
    on = house.strike(Strike(), Granted(0.0, house.release_s))
    off = on if on.until_s is None else house.strike(on, TimePassed(on.until_s))
    if (on.energised, off.energised, on.until_s) == (True, False, house.release_s):
        return CheckResult(ok=True, what=f"The strike would be released for {house.release_s:g} s.")
    return CheckResult(ok=False, what="A grant would not release the strike for its time.")


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
    """Play one attempt through the real tables, as if the cache had been filled just now."""
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
    # The library system is never asked about the test patron.
    rules = replace(house.rules, ask_s=None)
    # A mode that staff have set is no fault: the calendar's mode counts here.
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


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table; `name` is fixed, for scripts.

    `ask` returns None where there is nothing to check: no keypad, no PIN, or what it needs is
    missing, which another check reports.
    """

    name: str
    ask: Ask
    do: str


_PUSH = "On the library's server: doorctl sync push --full; by hand: doorctl patrons load --full."
_OURS = "This is a fault of doorctl's: install the release before this one and report it."

CHECKS = (
    Check("card", _card, _OURS),
    Check("seal", _seal, _OURS),
    Check("right_pin", _right_pin, "Compare [policy] and [hours] with what is meant."),
    Check("wrong_pin", _wrong_pin, f"Take the door out of self-service. {_OURS}"),
    Check("blocked", _blocked, f"Take the door out of self-service. {_OURS}"),
    Check("strike", _strike, f"Take the door out of self-service. {_OURS}"),
    Check("door", _door, "Start it: systemctl restart doorctl-door; read its journal."),
    Check("reader", _line("reader"), "Look at the reader's cable and at [reader]."),
    Check("keypad", _line("keypad"), "Look at the keypad's cable and at [keypad]."),
    Check("relay", _relay, "Do so before the door is used; systemd/README.md says why."),
    Check("register", _register, _PUSH),
    Check("register_filled", _register_filled, _PUSH),
    Check("register_age", _register_age, f"Look why no push comes. {_PUSH}"),
    Check("register_limit", _register_limit, _PUSH),
    Check("register_stranger", _register_stranger, "Remove that person from the export."),
    Check("clock", _clock, "Give it a time server or a battery clock: timedatectl."),
    Check("hours", _hours, "Look at [hours], at the staff page and at the website's hours."),
    Check("visit_log", _visit_log, "Look at the disk; restart the door if it is well."),
    Check(
        "disk",
        _disk_space,
        "Remove what is not doorctl's from the disk: du -xh / | sort -h.",
    ),
    Check("disk_writable", _disk_writable, "The card may be worn out: dmesg; replace it."),
    Check("purge", _purge, "Run doorctl purge and do what it says."),
)
"""All checks in their order: first the patron's way, then the house."""


def run(house: House) -> tuple[Finding, ...]:
    """Run every check, in order; skipped checks leave no finding.

    Takes two stretches of the sealer, some 0.6 s on the smallest Pi. A fault that a port reports
    becomes a finding, never an exception.
    """
    seen = look(house)
    findings = (_ask(check, house, seen) for check in CHECKS)
    return tuple(finding for finding in findings if finding is not None)


def _ask(check: Check, house: House, seen: Seen) -> Finding | None:
    try:
        answer = check.ask(house, seen)
    except DoorctlError as err:
        answer = CheckResult(ok=False, what=f"{err}.")
    if answer is None:
        return None
    return Finding(check.name, answer.ok, answer.what, "" if answer.ok else check.do)


def rules(config: Config) -> Rules:
    """Return the rules of one attempt."""
    keypad, policy = config.keypad, config.policy
    pad = PadRules(policy.pin_length, keypad.digit_timeout_s, keypad.total_timeout_s)
    return Rules(policy, pad, ask_s(config), config.door.long_release_tags, config.branch.id)


def card_reader(config: Config) -> CardReader:
    """Return what reads the reader's line, and the keys on it where the keypad has none."""
    keypad = config.keypad
    return CardReader(carries_keys=not config.has_keypad_line, key_bytes=keypad.key_bytes)


_LUKS = "Take LUKS, with the key from the network or from a TPM module: systemd/README.md."
LOCKS = "A relay that nobody drives locks the door."
_PIN = "Wire the relay to such a pin, and run doorctl setup."
_RELAY = "Do so before the door is used; systemd/README.md says why."


def house(config: Config, clock: Clock, disk: machine.DataDisk, **more: Any) -> House:
    """Return what the self-test looks at, as of now; `more` is of `House`."""
    return House(
        rules=rules(config),
        release_s=config.door.release_s,
        moment=clock.moment(),
        now_s=clock.monotonic_s(),
        boot=clock.boot_time(),
        disk=disk,
        relay_risks=relay_risks(config.gpio.factory),
        reader=lambda: card_reader(config),
        **more,
    )


def self_test(config: Config) -> tuple[Finding, ...]:
    """Have the running door test itself, or test what can be tested without it.

    Raises DoorctlError: the door could not do it, or the installation key can't be read.
    """
    try:
        found = SELF_TEST.ask(config.control.socket, Nothing()).findings
    except NotAnsweringError:
        with owner_of(config.storage.door_directory):
            found = _without_the_door(config)
    # The configuration's fault and not the release's, which is judged by what the door answers.
    wrong = _relay_pin(config)
    return *found, Finding("relay_pin", not wrong, wrong or LOCKS, _PIN if wrong else "")


def _relay_pin(config: Config) -> str:
    return "".join(f"{problem}." for problem in undriven_locks(config.gpio))


def _without_the_door(config: Config) -> tuple[Finding, ...]:
    sealer = own_sealer(config)
    with (
        closing(PatronCache(config.storage.patrons_db, sealer.seal)) as patrons,
        closing(BranchRecords(config.storage.branch_db)) as branch,
        closing(VisitHistory(config.storage.visits_db)) as history,
    ):
        # The door log has its own writer, which may be hanging: it is read, and left as it is.
        return run(
            house(
                config,
                system_clock(config),
                machine.DataDisk(config.storage.door_directory),
                sealer=sealer,
                patrons=patrons,
                calendar=lambda: calendar_of(config.opening, branch.calendar()),
                read_log=history.high_water,
            )
        )


def doctor(config: Config, root: Path = machine.ROOT) -> tuple[Finding, ...]:
    """Return what this machine's own safety has and lacks.

    The kernel's and the system's files are read below `root`.
    """
    storage, key = config.storage.directory, config.secrets.installation_key_file
    device = machine.device_of(storage)
    stands = {
        "disk": (machine.unencrypted(device, root), _LUKS),
        "relay": (" ".join(relay_risks(config.gpio.factory, root / "sys/module")), _RELAY),
        "relay_pin": (_relay_pin(config), _PIN),
        "key": (_key_problem(key), "Its owner alone may read it: chmod 600."),
        "key_age": (_key_age(key, system_clock(config)), "Take a new one: doorctl keys rotate."),
        "feed": (machine.clear_feeds((storage, key.parent)), "Remove what was loaded: shred -u."),
        "swap": (machine.swap(root), "Switch it off: swapoff -a, and in fstab or rpi-swap."),
        "core_dumps": (machine.core_dumps(root), "sysctl kernel.core_pattern='|/bin/false'."),
        "time": (machine.unsigned_time(root), "Take chrony with NTS; systemd/README.md has it."),
        "battery_clock": (machine.battery_clock(root), "Put one in, or a battery."),
        "watchdog": (machine.watchdog(root), "Install systemd/doorctl.system.conf."),
    }
    return tuple(
        Finding(name, not problem, problem or "All is well.", do if problem else "")
        for name, (problem, do) in stands.items()
    )


def _key_problem(path: Path) -> str | None:
    try:
        read_key(path)
    except DoorctlError as err:
        return f"{err}."
    return None


def _key_age(path: Path, clock: Clock) -> str | None:
    with suppress(OSError):
        made, ends = key_days(path)
        if (now := clock.moment().local) > ends:
            return f"The installation key is {(now - made).days} days old."
    return None
