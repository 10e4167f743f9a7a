"""A run of the sender: what has changed is sealed and recorded, what is wrong becomes an alarm."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice

import msgspec
from msgspec import Struct

from doorctl.access.patron import SealedRow
from doorctl.core.alarms import ENDS, LONGEST_WHY
from doorctl.core.errors import FeedError, Problem
from doorctl.core.masked import InstallationKey
from doorctl.sync.delivery import Delivery, Outbox, Revision, Terms, number_of
from doorctl.sync.feed import (
    NEVER,
    Export,
    FeedPatron,
    Sealing,
    WrongRow,
    enter_from,
    has_weak_pin,
    other_days,
    refuse_nobody,
    seal_rows,
)
from doorctl.sync.rows import decode_row, encode

# Who has changed since the last run: only they are sealed again.

PURPOSE = b"outbox"
"""Sets the fingerprints' key apart from other keys derived from the installation key."""


@dataclass(eq=False)
class Fingerprints:
    """Name what a patron's sealed rows will be, without sealing.

    HMAC-SHA256 under the installation key over all that is sealed and its terms. A birthday
    counts only by the day from which it lets the patron in: so a row changes on the day that the
    patron comes of age, and that day is forgotten. With the installation key, guesses at a
    fingerprint are fast: the outbox belongs on the machine that reads the export in the clear.

    `on` and `flags_weak` are as in `Sealing`.
    """

    key: InstallationKey
    terms: Terms
    on: date
    _: KW_ONLY
    flags_weak: bool = False

    def of(self, patron: FeedPatron) -> bytes:
        """Return 32 bytes; equal for rows that differ in order only."""
        # Other age limits count by their days alone: most people are old enough for all.
        terms = {"seal": self.terms.seal, "minimum_age": self.terms.minimum_age}
        canonical = [terms, patron.patron_ref, *self._values(patron)]
        key = hmac.digest(self.key.reveal(), PURPOSE, "sha256")
        return hmac.digest(key, msgspec.json.encode(canonical), "sha256")

    def _values(self, patron: FeedPatron) -> Iterator[object]:
        row = patron.row
        yield sorted(
            (identifier.identifier.reveal(), identifier.active, _day(identifier.valid_until))
            for identifier in patron.identifiers
        )
        yield None if patron.pin is None else patron.pin.reveal()
        yield row.resident
        yield sorted(row.blocks)
        age = self.terms.minimum_age
        yield _day(enter_from(patron.birthday, patron.numbers, age, self.on))
        yield _day(row.hold_from)
        yield _day(row.hold_until)
        yield sorted(row.tags)
        if patron.pin_changed is not None:
            # Left out where it is unknown, so that rows sealed before it existed stay as they are.
            yield _day(patron.pin_changed)
        if days := other_days(patron, self.terms.other_ages, self.on):
            yield {str(age): _day(day) for age, day in days.items()}
        if self.flags_weak and has_weak_pin(patron):
            # No day is written like this.
            yield "weak_pin"


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be recorded; each who has changed comes with the new fingerprint.

    `kept` stay in the register as they are: a row was set aside that is or may be theirs.
    """

    changed: Sequence[tuple[FeedPatron, bytes]]
    removed: Sequence[str]
    kept: frozenset[str] = frozenset()


def differ(
    export: Export,
    known: Mapping[str, bytes],
    fingerprints: Fingerprints,
    *,
    same_terms: bool = True,
) -> Difference:
    """Compare an export with the fingerprints of everyone in the register.

    A patron whose row was set aside stays in the register as before, unless the readable part of
    one of the patron's rows speaks against it, or rows are sealed for other terms now; other
    branches' age limits don't count. While one wrong row can't be assigned to a patron, nobody is
    taken out for missing.
    """
    changed: list[tuple[FeedPatron, bytes]] = []
    wrong = [row for _, row in export.set_aside]
    named = {row.patron_ref for row in wrong if row.patron_ref is not None} & known.keys()
    kept = named - {row.patron_ref for row in wrong if not (row.may_stay and same_terms)}
    gone = named - kept
    if export.whole and (all(row.patron_ref for row in wrong) or not same_terms):
        gone |= known.keys() - kept
    for patron in export.patrons:
        if not patron.identifiers:
            gone |= {patron.patron_ref} & known.keys()
            continue
        gone.discard(patron.patron_ref)
        fingerprint = fingerprints.of(patron)
        if known.get(patron.patron_ref) != fingerprint:
            changed.append((patron, fingerprint))
    if export.whole:
        kept = known.keys() - gone - {patron.patron_ref for patron in export.patrons}
    return Difference(changed, sorted(gone), frozenset(kept))


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


# Seal those who have changed, in parallel, and write their rows as they go over the wire.

KEPT_DAYS = 7
"""How long a patron who was taken out is kept, sealed, for a branch that never says that it knows.

A halved export is mended within a week, which is also how far a branch's guard looks back. Later
the rows of somebody who has left serve nobody; such a branch is sent everything when it is back.
"""

KEPT = "the branches keep this patron as before"
OUT = "this patron is taken out and not let in"
BROUGHT = "another row of this patron counts"
NEW = "this patron is not sent to the branches and not let in"
WHOSE = "nobody can tell whose row this is"
WAITING = "Until these lines are mended, no patron who is missing is taken out:"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a run found; `set_aside` has wrong rows, each with the name of its file.

    `changed` patrons were sealed; `returned` had been taken out and are as they were then, so that
    their rows still serve. `fates` tell of each patron of a wrong row what becomes of them at the
    branches. If `waits`, no patron who is missing from the export is taken out, for a row might be
    theirs.
    """

    epoch: int
    patrons: int
    changed: int
    removed: int
    left_out: int
    returned: int = 0
    set_aside: Sequence[tuple[str, WrongRow]] = ()
    fates: Mapping[str | None, str] = field(default_factory=dict)
    waits: bool = False


def refresh(
    export: Export,
    outbox: Outbox,
    sealing: Sealing,
    *,
    key: InstallationKey,
    terms: Terms,
) -> Refreshed:
    """Record what an export has changed, under a new epoch if anything; one transaction.

    After a switch of `flags_weak`, an export of the whole register brings it to everybody, one of
    changes only to the patrons in it.

    Raises FeedError: the export would do something else than it seems to. StoreError: the outbox
    failed; nothing was changed.
    """
    had = outbox.standing().terms
    same_terms = terms.keep_rows(had)
    new_ages = set(terms.other_ages).difference(had.other_ages if had else ())
    _refuse_surprises(export, same_terms=same_terms and not new_ages)
    fingerprints = Fingerprints(key, terms, sealing.on, flags_weak=sealing.flags_weak)
    difference = differ(export, outbox.fingerprints(), fingerprints, same_terms=same_terms)
    revising = _Revising(outbox, terms, sealing)
    revisions: Iterable[Revision] = revising.revisions(difference.changed)
    removed = difference.removed
    if difference.kept:
        revisions = list(revisions)
        removed = [*removed, *_displaced(difference.kept, revisions, outbox)]
        if new_ages:
            revisions += _never_old_enough(difference.kept, outbox, terms, new_ages)
    after = outbox.record(revisions, removed, terms)
    outbox.forget_overdue(sealing.on, KEPT_DAYS)
    fates = _fates(export, difference.kept, removed)
    return Refreshed(
        after.epoch,
        after.patrons,
        changed=len(difference.changed) - revising.returned,
        removed=len(removed),
        left_out=sum(patron.left_out for patron in export.patrons),
        returned=revising.returned,
        set_aside=export.set_aside,
        fates=fates,
        waits=export.whole and same_terms and None in fates,
    )


def _fates(
    export: Export, kept: Collection[str], removed: Collection[str]
) -> dict[str | None, str]:
    fates = dict.fromkeys((row.patron_ref for _, row in export.set_aside), NEW)
    brought = {patron.patron_ref for patron in export.patrons if patron.identifiers}
    for refs, fate in ((kept, KEPT), (brought, BROUGHT), (removed, OUT), ([None], WHOSE)):
        fates |= dict.fromkeys(fates.keys() & set(refs), fate)
    return fates


@dataclass
class _Revising:
    """Makes the revisions of those who changed; `returned` counts whose rows are kept ones."""

    outbox: Outbox
    terms: Terms
    sealing: Sealing
    returned: int = 0

    def revisions(self, changed: Sequence[tuple[FeedPatron, bytes]]) -> Iterator[Revision]:
        kept = self.outbox.taken_out()
        back = {each.patron_ref for each, mark in changed if kept.get(each.patron_ref) == mark}
        self.returned = len(back)
        rows = seal_rows([each for each, _ in changed if each.patron_ref not in back], self.sealing)
        for patron, fingerprint in changed:
            ref = patron.patron_ref
            lines = self.outbox.lines_of(ref) if ref in back else _next_lines(patron, rows)
            days = other_days(patron, self.terms.other_ages, self.sealing.on)
            yield Revision(ref, fingerprint, lines, days)


def _next_lines(patron: FeedPatron, rows: Iterator[SealedRow]) -> tuple[bytes, ...]:
    return tuple(encode(row) for row in islice(rows, len(patron.identifiers)))


def _displaced(kept: Collection[str], revisions: Iterable[Revision], outbox: Outbox) -> list[str]:
    """Return the kept patrons whose number is another's now: no branch takes a number twice."""
    keys = {decode_row(line).row_key for revision in revisions for line in revision.lines}
    held = (decode_row(line) for line, _ in outbox.rows(0, 0))
    theirs = {row.patron.patron_ref for row in held if row.row_key in keys}
    return sorted(theirs.intersection(kept))


def _never_old_enough(
    kept: Collection[str], outbox: Outbox, terms: Terms, new_ages: Collection[int]
) -> Iterator[Revision]:
    """Yield the kept patrons as they are, but for new age limits: nobody knows their birthdays."""
    lines: dict[str, dict[bytes, None]] = {ref: {} for ref in kept}
    days: dict[str, dict[int, date]] = {ref: dict.fromkeys(new_ages, NEVER) for ref in kept}
    for age in terms.other_ages:
        for line, day in outbox.rows(0, age):
            ref = decode_row(line).patron.patron_ref
            if ref in kept:
                lines[ref][line] = None
                days[ref] |= {} if day is None else {age: day}
    # No row has this fingerprint: the next right one is sealed.
    return (Revision(ref, bytes(32), tuple(lines[ref]), days[ref]) for ref in kept)


def _refuse_surprises(export: Export, *, same_terms: bool) -> None:
    if export.whole:
        refuse_nobody(export.subject, export.patrons)
    if not export.whole and not same_terms:
        what = (
            "holds changes only, but the installation key, seal.* or a minimum_age is another one "
            "than in the last run, or there was none; give the whole register once"
        )
        raise FeedError(export.subject, [Problem("export", what)])


# The sender's alarms. It runs now and then, so the alarms and who got them are kept between runs.
#
# Pure: time is an argument. The book names branches and lines, and no person.

NEWS_AFTER = timedelta(hours=26)
"""A nightly export may be late by two hours."""

AGAIN_AFTER = timedelta(days=1)

MOST_LISTED = 100
"""Rows of a report; the file has them all."""


class Standing(Struct):
    """An alarm about one subject, such as a branch, and the reason in words.

    If `mark` changes, the alarm is sent anew; `told` names the ways that sent it, but not its end.
    """

    why: str
    mark: str = ""
    told: set[str] = set()
    over: bool = False


class Book(Struct):
    """The alarms that are kept, and what they are judged by. One thread.

    A time that is kept and lies ahead of `now` is of a wrong clock, and silences nothing.

    Args:
        alarms: kind -> subject -> alarm.
        sent: way and kind -> when that was sent last.
        behind: branch -> since when it is not up to date.
        reached: branch -> when it was up to date last.
        digest: of the last export; it came first at `since`.
        told_at: when a run last sent anything, if only that all is well.
    """

    alarms: dict[str, dict[str, Standing]] = {}
    sent: dict[str, datetime] = {}
    behind: dict[str, datetime] = {}
    reached: dict[str, datetime] = {}
    digest: str = ""
    since: datetime | None = None
    told_at: datetime | None = None

    def stand(
        self, kind: str, subjects: Mapping[str, str], unknown: Collection[str] = (), mark: str = ""
    ) -> None:
        """Set which alarms of a kind stand, subject -> why; all others end, except the unknown."""
        known = self.alarms.setdefault(kind, {})
        for subject, alarm in known.items():
            alarm.over = alarm.over or (subject not in subjects and subject not in unknown)
        for subject, why in subjects.items():
            before = known.get(subject)
            ways = before.told if before is not None and before.mark == mark else set()
            known[subject] = Standing(why, mark, ways)

    def exported(self, written: datetime, digest: str, now: datetime) -> None:
        """Judge by the newest file's age, and by whether the files hold the same as before."""
        if self.since is None or digest != self.digest:
            self.digest, self.since = digest, now
        self.since = min(self.since, now)
        why = ""
        if now - written >= NEWS_AFTER:
            why = f"the newest file is of {written:%Y-%m-%d %H:%M}"
        elif now - self.since >= NEWS_AFTER:
            why = "a file came, and holds just what the one of the day before did"
        self.stand("export_old", {"": why} if why else {})

    def set_aside(self, rows: Sequence[tuple[str, WrongRow]], lines: Sequence[str]) -> None:
        """Note wrong rows and a line about each, which quotes nothing of the row.

        The alarm is sent anew if other patrons' rows are wrong, or for another reason.
        """
        wrong = sorted((row.patron_ref or "", row.why) for _, row in rows)
        listed = {"": "\n" + "".join(lines[:MOST_LISTED])} if rows else {}
        self.stand("rows_set_aside", listed, mark=sha256(repr(wrong).encode()).hexdigest())

    def delivered(self, deliveries: Sequence[Delivery], now: datetime, patience: timedelta) -> None:
        """Judge each branch; one that can't be reached still refuses, if it did before.

        A branch that was taken out loses its alarms without a report, except that of its audit log.
        """
        here = {delivery.branch for delivery in deliveries}
        for kind in ("branch_refuses", "branch_behind"):
            known = self.alarms.get(kind, {}).items()
            self.alarms[kind] = {branch: alarm for branch, alarm in known if branch in here}
        failed = {delivery.branch: delivery for delivery in deliveries if not delivery.up_to_date}
        self.behind = {branch: min(self.behind.get(branch, now), now) for branch in failed}
        reached = self.reached | {one.branch: now for one in deliveries if one.up_to_date}
        self.reached = {branch: at for branch, at in reached.items() if branch in here}
        refuses = {branch: delivery.why for branch, delivery in failed.items() if delivery.refused}
        self.stand("branch_refuses", refuses, unknown=failed)
        refused = {name for name, alarm in self.alarms["branch_refuses"].items() if not alarm.over}
        late = {
            branch for branch, since in self.behind.items() if now - since >= patience
        } - refused
        self.stand("branch_behind", {branch: failed[branch].why for branch in sorted(late)})
        lost = {
            # The journal has its hash: a mail would show part of it as a person's number.
            delivery.branch: f"entry {number_of(delivery.audit_kept)} of it is another one or none"
            for delivery in deliveries
            if delivery.audit_kept is not None
        }
        self.stand("audit_rewritten", lost)

    def judged(self, delivery: Delivery, now: datetime, patience: timedelta) -> Delivery:
        """Return a delivery of this run with since when the branch is behind, and whether too long.

        After `delivered`.
        """
        since = self.behind.get(delivery.branch)
        late = since is not None and now - since >= patience
        return replace(delivery, behind_since=since, late=late)

    def tell(
        self, way: str, now: datetime, rest: timedelta, send: Callable[[str, str], object]
    ) -> None:
        """Send new alarms by one way, standing ones daily, and the ends of those that are over.

        Between two notices of one kind it rests; `now` is aware.

        Args:
            send: takes kind and words; what it raises counts as not sent, and the first of it
                reaches the caller once all others have had their turn.
        """
        failed: list[Exception] = []

        def went(kind: str, words: str, rest: timedelta) -> bool:
            last = self.sent.get(f"{way} {kind}")
            if last is not None and timedelta(0) <= now - last < rest:
                return False
            try:
                send(kind, words)
            except Exception as err:  # noqa: BLE001 - raised below
                failed.append(err)
                return False
            self.sent[f"{way} {kind}"] = now
            return True

        for kind, known in self.alarms.items():
            stands, over, news = _due(kind, known, way)
            if stands and went(kind, _words(stands), rest if news else AGAIN_AFTER):
                for alarm in stands.values():
                    alarm.told.add(way)
            if over and went(ENDS[kind], ", ".join(sorted(filter(None, over))), rest):
                for name in over:
                    known[name].told.discard(way)
        if failed:
            raise failed[0]

    def forget(self, ways: Collection[str]) -> None:
        """Drop the alarms that are over and that none of these ways has to report."""
        for kind, known in self.alarms.items():
            for subject, alarm in list(known.items()):
                alarm.told &= set(ways)
                waits = alarm.told if kind in ENDS else set(ways) - alarm.told
                if alarm.over and not waits:
                    del known[subject]


def _due(
    kind: str, known: Mapping[str, Standing], way: str
) -> tuple[dict[str, Standing], set[str], bool]:
    """Return what stands of a kind, what is over and was reported, and whether some is news.

    An alarm of a kind without an end is sent even if it is over.
    """
    ends = kind in ENDS
    reported = {name for name, alarm in known.items() if way in alarm.told}
    over = {name for name in reported if ends and known[name].over}
    stands = {
        name: alarm
        for name, alarm in known.items()
        if not alarm.over or (not ends and name not in reported)
    }
    return stands, over, not stands.keys() <= reported


def _words(standing: Mapping[str, Standing]) -> str:
    room = LONGEST_WHY // len(standing)
    named = (
        f"{name}: {alarm.why}"[:room] if name else alarm.why for name, alarm in standing.items()
    )
    return "; ".join(named)
