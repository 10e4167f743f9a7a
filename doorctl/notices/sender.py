"""The sender's alarms. It runs now and then, so what stands and who was told is kept between runs.

Pure: time is an argument. What is kept names branches and lines, and nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from doorctl.core.alarms import KINDS, WITH_END
from doorctl.core.standing import LONGEST_WHY
from doorctl.sync.delivery import Delivery
from doorctl.sync.feed import WrongRow

NEWS_AFTER = timedelta(hours=26)
"""A nightly export may be late by two hours."""

AGAIN_AFTER = timedelta(days=1)

MOST_LISTED = 100
"""Rows of a report; the file has them all."""

ENDS = {known.clears: kind for kind, known in KINDS.items() if known.clears is not None}


class Standing(Struct):
    """An alarm about one subject, such as a branch.

    Args:
        why: in words.
        mark: where it changes, it is told anew.
        told: the ways by which it was told, and its end was not.
        over: whether it stands no more.
    """

    why: str
    mark: str = ""
    told: set[str] = set()
    over: bool = False


class Book(Struct):
    """What is kept of the alarms, and what it is judged by. One thread.

    Args:
        alarms: kind -> subject -> alarm.
        sent: way and kind -> when that was sent last.
        behind: branch -> since when it is not up to date.
        digest: of the last export.
        since: when that digest came first.
        told_at: when a run told last, if only that all is well.
    """

    alarms: dict[str, dict[str, Standing]] = {}
    sent: dict[str, datetime] = {}
    behind: dict[str, datetime] = {}
    digest: str = ""
    since: datetime | None = None
    told_at: datetime | None = None

    def stand(
        self, kind: str, found: Mapping[str, str], unknown: Collection[str] = (), mark: str = ""
    ) -> None:
        """Say which alarms of a kind stand, subject -> why; the others are over but the unknown."""
        known = self.alarms.setdefault(kind, {})
        for subject, one in known.items():
            one.over = one.over or (subject not in found and subject not in unknown)
        for subject, why in found.items():
            before = known.get(subject)
            told = before.told if before is not None and before.mark == mark else set()
            known[subject] = Standing(why, mark, told)

    def exported(self, written: datetime, digest: str, now: datetime) -> None:
        """Judge by the newest file's age, and by whether the files hold what they held before."""
        if self.since is None or digest != self.digest:
            self.digest, self.since = digest, now
        why = ""
        if now - written >= NEWS_AFTER:
            why = f"the newest file is of {written:%Y-%m-%d %H:%M}"
        elif now - self.since >= NEWS_AFTER:
            why = "a file came, and holds just what the one of the day before did"
        self.stand("export_old", {"": why} if why else {})

    def set_aside(self, rows: Sequence[tuple[str, WrongRow]], lines: Sequence[str]) -> None:
        """Take note of wrong rows and of what is said of each, which quotes nothing of it.

        They are told anew where other patrons' rows are wrong, or for another reason.
        """
        wrong = sorted((row.patron_ref or "", row.why) for _, row in rows)
        found = {"": "\n" + "".join(lines[:MOST_LISTED])} if rows else {}
        self.stand("rows_set_aside", found, mark=sha256(repr(wrong).encode()).hexdigest())

    def delivered(self, deliveries: Sequence[Delivery], now: datetime, patience: timedelta) -> None:
        """Judge each branch; who can't be asked refuses still, if it did before."""
        failed = {one.branch: one for one in deliveries if not one.up_to_date}
        self.behind = {branch: self.behind.get(branch, now) for branch in failed}
        refuses = {branch: one.why for branch, one in failed.items() if one.refused}
        self.stand("branch_refuses", refuses, unknown=failed)
        refused = {name for name, one in self.alarms["branch_refuses"].items() if not one.over}
        late = {one for one, since in self.behind.items() if now - since >= patience} - refused
        self.stand("branch_behind", {branch: failed[branch].why for branch in sorted(late)})
        lost = {
            # Its hash stands in the journal: a mail would show part of it as somebody's number.
            one.branch: f"entry {one.audit_kept.partition(':')[0]} of it is another one or none"
            for one in deliveries
            if one.audit_kept is not None
        }
        self.stand("audit_rewritten", lost)

    def tell(
        self, way: str, now: datetime, rest: timedelta, send: Callable[[str, str], object]
    ) -> None:
        """Send what a way has not been told, daily what stands, and what of it is over.

        Args:
            way: its name.
            now: aware.
            rest: between two notices of one kind.
            send: takes kind and words; what it raises comes through, and is not told then.
        """
        for kind, known in self.alarms.items():
            ends = kind in WITH_END
            told = {name for name, one in known.items() if way in one.told}
            over = {name for name in told if ends and known[name].over}
            # What has no end is told though it be over.
            stands = {
                name: one
                for name, one in known.items()
                if not one.over or (not ends and name not in told)
            }
            after = AGAIN_AFTER if stands.keys() <= told else rest
            if stands and self._rested(way, kind, now, after):
                send(kind, _words(stands))
                self.sent[f"{way} {kind}"] = now
                for one in stands.values():
                    one.told.add(way)
            if over and self._rested(way, ENDS[kind], now, rest):
                send(ENDS[kind], ", ".join(sorted(filter(None, over))))
                self.sent[f"{way} {ENDS[kind]}"] = now
                for name in over:
                    known[name].told.discard(way)

    def forget(self, ways: Collection[str]) -> None:
        """Drop what is over and has to be told by none of these ways any more."""
        for kind, known in self.alarms.items():
            for subject, one in list(known.items()):
                one.told &= set(ways)
                waits = one.told if kind in WITH_END else set(ways) - one.told
                if one.over and not waits:
                    del known[subject]

    def _rested(self, way: str, kind: str, now: datetime, rest: timedelta) -> bool:
        sent = self.sent.get(f"{way} {kind}")
        return sent is None or now - sent >= rest


def _words(standing: Mapping[str, Standing]) -> str:
    room = LONGEST_WHY // len(standing)
    named = (f"{name}: {one.why}"[:room] if name else one.why for name, one in standing.items())
    return "; ".join(named)
