"""The sender's alarms: it runs now and then, so they and who got them are kept between runs.

Pure: time is an argument. The book names branches and lines, and no person.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct, field

from doorctl.core.alarm_records import LONGEST_WHY
from doorctl.core.alarms import ENDS
from doorctl.sync.delivery import Delivery
from doorctl.sync.exchange import number_of
from doorctl.sync.feed import WrongRow
from doorctl.sync.look import jumps

NEWS_AFTER = timedelta(hours=26)
"""A nightly export may be late by two hours."""

AGAIN_AFTER = timedelta(days=1)

MOST_LISTED = 100
"""Rows of a report; the file has them all."""


class SenderAlarm(Struct):
    """An alarm about one subject, such as a branch, and the reason in words.

    If `mark` changes, the alarm is sent anew; `reported_by` names the ways that sent it, but not
    its end.
    """

    why: str
    mark: str = ""
    reported_by: set[str] = field(default_factory=set, name="told")
    over: bool = False


class LastFetch(Struct, frozen=True):
    """The last export that was fetched, and whose patrons are in the outbox.

    `settings` is a digest of all by which it was read; `etag` is empty where it has none.
    """

    settings: str
    digest: str
    written: datetime
    etag: str = ""


class Book(Struct):
    """The alarms that are kept, and what they are judged by. One thread.

    A time that is kept and lies ahead of `now` is of a wrong clock, and silences nothing.

    Args:
        alarms: kind -> subject -> alarm.
        sent: way and kind -> when that was sent last.
        behind: branch -> since when it is not up to date.
        reached: branch -> when it was up to date last.
        digest: of the last export; it came first at `since`.
        counts: of each field of the export that others are compared with.
        odd_since: since when exports differ from it.
        told_at: when a run last sent anything, if only that all is well.
        fetch: the last export, where exports are fetched.
    """

    alarms: dict[str, dict[str, SenderAlarm]] = {}
    sent: dict[str, datetime] = {}
    behind: dict[str, datetime] = {}
    reached: dict[str, datetime] = {}
    digest: str = ""
    since: datetime | None = None
    counts: dict[str, int] = {}
    odd_since: datetime | None = None
    told_at: datetime | None = None
    fetch: LastFetch | None = None

    def stand(
        self, kind: str, subjects: Mapping[str, str], unknown: Collection[str] = (), mark: str = ""
    ) -> None:
        """Set which alarms of a kind stand, subject -> why; all others end, except the unknown."""
        known = self.alarms.setdefault(kind, {})
        for subject, alarm in known.items():
            alarm.over = alarm.over or (subject not in subjects and subject not in unknown)
        for subject, why in subjects.items():
            before = known.get(subject)
            ways = before.reported_by if before is not None and before.mark == mark else set()
            known[subject] = SenderAlarm(why, mark, ways)

    def exported(
        self, written: datetime, digest: str, now: datetime, *, live: bool = False
    ) -> None:
        """Judge by the newest file's age, and by whether the files hold the same as before.

        What the library system makes when it is asked (`live`) may well be the same for days.
        """
        if live or self.since is None or digest != self.digest:
            self.digest, self.since = digest, now
        self.since = min(self.since, now)
        why = ""
        if now - written >= NEWS_AFTER:
            why = f"the newest file is of {written:%Y-%m-%d %H:%M}"
        elif now - self.since >= NEWS_AFTER:
            why = "a file came, and holds just what the one of the day before did"
        self.stand("export_old", {"": why} if why else {})

    def looked(self, counts: Mapping[str, int], now: datetime) -> list[str]:
        """Compare a new whole export with the last that was as before; return what has jumped.

        One that stays so for a day is what others are compared with from then on.
        """
        jumped = jumps(self.counts, counts)
        if not jumped or (self.odd_since is not None and now - self.odd_since >= AGAIN_AFTER):
            self.counts, self.odd_since = dict(counts), None
            jumped = []
        else:
            self.odd_since = min(self.odd_since or now, now)
        self.stand("export_odd", {"": "; ".join(jumped)} if jumped else {}, mark=repr(jumped))
        return jumped

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
                    alarm.reported_by.add(way)
            if over and went(ENDS[kind], ", ".join(sorted(filter(None, over))), rest):
                for name in over:
                    known[name].reported_by.discard(way)
        if failed:
            raise failed[0]

    def forget(self, ways: Collection[str]) -> None:
        """Drop the alarms that are over and that none of these ways has to report."""
        for kind, known in self.alarms.items():
            for subject, alarm in list(known.items()):
                alarm.reported_by &= set(ways)
                waits = alarm.reported_by if kind in ENDS else set(ways) - alarm.reported_by
                if alarm.over and not waits:
                    del known[subject]


def _due(
    kind: str, known: Mapping[str, SenderAlarm], way: str
) -> tuple[dict[str, SenderAlarm], set[str], bool]:
    """Return what stands of a kind, what is over and was reported, and whether any is new.

    An alarm of a kind without an end is sent even if it is over.
    """
    ends = kind in ENDS
    reported = {name for name, alarm in known.items() if way in alarm.reported_by}
    over = {name for name in reported if ends and known[name].over}
    stands = {
        name: alarm
        for name, alarm in known.items()
        if not alarm.over or (not ends and name not in reported)
    }
    return stands, over, not stands.keys() <= reported


def _words(standing: Mapping[str, SenderAlarm]) -> str:
    room = LONGEST_WHY // len(standing)
    named = (
        f"{name}: {alarm.why}"[:room] if name else alarm.why for name, alarm in standing.items()
    )
    return "; ".join(named)
