"""The sender's alarms. It runs now and then, so the alarms and who got them are kept between runs.

Pure: time is an argument. The book names branches and lines, and no person.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from doorctl.core.alarms import KINDS, LONGEST_WHY, WITH_END
from doorctl.sync.delivery import Delivery, number_of
from doorctl.sync.feed import WrongRow

NEWS_AFTER = timedelta(hours=26)
"""A nightly export may be late by two hours."""

AGAIN_AFTER = timedelta(days=1)

MOST_LISTED = 100
"""Rows of a report; the file has them all."""

ENDS = {known.clears: kind for kind, known in KINDS.items() if known.clears is not None}


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
        digest: of the last export; it came first at `since`.
        told_at: when a run last sent anything, if only that all is well.
    """

    alarms: dict[str, dict[str, Standing]] = {}
    sent: dict[str, datetime] = {}
    behind: dict[str, datetime] = {}
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
        for kind in ("branch_refuses", "branch_behind"):
            for gone in self.alarms.get(kind, {}).keys() - {
                delivery.branch for delivery in deliveries
            }:
                del self.alarms[kind][gone]
        failed = {delivery.branch: delivery for delivery in deliveries if not delivery.up_to_date}
        self.behind = {branch: min(self.behind.get(branch, now), now) for branch in failed}
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
            ends = kind in WITH_END
            reported = {name for name, alarm in known.items() if way in alarm.told}
            over = {name for name in reported if ends and known[name].over}
            # An alarm of a kind without an end is sent even if it is over.
            stands = {
                name: alarm
                for name, alarm in known.items()
                if not alarm.over or (not ends and name not in reported)
            }
            after = AGAIN_AFTER if stands.keys() <= reported else rest
            if stands and went(kind, _words(stands), after):
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
                waits = alarm.told if kind in WITH_END else set(ways) - alarm.told
                if alarm.over and not waits:
                    del known[subject]


def _words(standing: Mapping[str, Standing]) -> str:
    room = LONGEST_WHY // len(standing)
    named = (
        f"{name}: {alarm.why}"[:room] if name else alarm.why for name, alarm in standing.items()
    )
    return "; ".join(named)
