"""The web process's alarm desk: one for each way out of the house, and a watch over the door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from threading import Lock

from doorctl.alarms import DOOR_ANSWERS, DOOR_SILENT, KINDS, NOT_SENT
from doorctl.errors import DoorctlError, NotAnsweringError
from doorctl.moments import Moment
from doorctl.notices.outbox import FAR_PAUSES_S, Outbox
from doorctl.notices.rationing import Due, Heard, Ration, Rationing
from doorctl.notices.standing import own_words
from doorctl.ports import AlarmSink, Clock, EventLog, Notice

SILENT_AFTER = 3
"""Questions in a row that the door leaves unanswered: a restart takes less."""


class NoticeDesk:
    """Turn alarms into notices for one sink, ration them and have them sent.

    `hear` is thread-safe and never waits; `turn` is for one thread, which waits for the sink.

    Args:
        branch: the branch's name.
        sink: where notices go.
        ration: how often.
        clock: tells when an alarm was.
        log: hears ``alarm_not_sent`` when the sink begins to fail.
        name: of the sink, for that line.
    """

    def __init__(
        self,
        branch: str,
        sink: AlarmSink,
        ration: Ration,
        *,
        clock: Clock,
        log: EventLog,
        name: str,
    ) -> None:
        self._branch = branch
        self._clock = clock
        self._guard = Lock()
        self._rationing = Rationing(ration)

        def failed(why: str) -> None:
            log.emit("alarm", kind=NOT_SENT, why=f"{name}: {why}")

        self._outbox: Outbox[Notice] = Outbox(sink.send, failed, pauses_s=FAR_PAUSES_S)

    def hear(self, heard: Heard) -> None:
        """Take note of an alarm."""
        with self._guard:
            self._rationing.hear(heard)

    def silence(self, kind: str) -> None:
        """Send no more of an alarm that somebody has acknowledged; see `Rationing.silence`."""
        with self._guard:
            self._rationing.silence(kind)

    def listen(self, kind: str) -> None:
        """Send of this kind again: the alarm that was acknowledged is over."""
        with self._guard:
            self._rationing.listen(kind)

    def turn(self) -> bool:
        """Send what is due; tell whether something is left for another turn."""
        now_s = self._clock.monotonic_s()
        with self._guard:
            found = self._rationing.due(now_s)
        moment = self._clock.moment()
        for due in found:
            self._outbox.put(notice(due, self._branch, moment, now_s))
        self._outbox.turn(now_s)
        return self._outbox.waits or self._rationing.waits


def notice(due: Due, branch: str, moment: Moment, now_s: float) -> Notice:
    """Return what is sent of an alarm: the list's sentences and its own words without numbers.

    Args:
        due: the alarm.
        branch: the branch's name.
        moment: the time now.
        now_s: the same by the monotonic clock, from which the alarm's time is counted back.
    """
    heard, kind = due.heard, KINDS[due.heard.kind]
    at = moment.local - timedelta(seconds=max(0.0, now_s - heard.at_s))
    why = own_words(heard)
    told = "\n".join((branch, heard.kind, at.isoformat(), why, str(due.times)))
    return Notice(
        id=sha256(told.encode()).hexdigest()[:32],
        branch=branch,
        kind=heard.kind,
        urgency=kind.urgency,
        at=at,
        clock=moment.state,
        why=why,
        means=kind.means,
        act=kind.act,
        times=due.times,
        clears=kind.clears,
    )


class DoorWatch:
    """Notice that the door process answers no more, for then nobody else would tell.

    Args:
        ask: asks it something; raises `NotAnsweringError` where it does not answer, and another
            `DoorctlError` where that is not known, such as for want of a socket.
        log: hears ``door_silent`` and ``door_answers``, once each.
    """

    def __init__(self, ask: Callable[[], object], log: EventLog) -> None:
        self._ask = ask
        self._log = log
        self._unanswered = 0

    def turn(self) -> bool:
        """Ask once; the watch is never done. One thread."""
        try:
            self._ask()
        except NotAnsweringError as err:
            self._unanswered += 1
            if self._unanswered == SILENT_AFTER:
                self._log.emit("alarm", kind=DOOR_SILENT, why=str(err))
        except DoorctlError:
            pass
        else:
            if self._unanswered >= SILENT_AFTER:
                self._log.emit("alarm", kind=DOOR_ANSWERS)
            self._unanswered = 0
        return True
