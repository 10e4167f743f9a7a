"""The web process's alarms, its own and the door's: kept, watched, sent and shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from doorctl.config import Config
from doorctl.core.alarm_records import AlarmRecord, differences, to_be_kept
from doorctl.core.alarms import ENDS, ORDER, RaisedAlarm, Source, kind_of
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, Clock, EventLog, NotSentError
from doorctl.core.raised import Raised
from doorctl.lookup.alarms import not_sent, started
from doorctl.notices.rationing import Ration
from doorctl.notices.sending import AlarmLog, DoorWatch, Notifier, Notifiers, Outbox
from doorctl.privacy.audit import Action, Deed, account
from doorctl.rpc.alarms import alarm_answers, ask_standing
from doorctl.rpc.question import Answers, Nothing
from doorctl.rpc.status import STATUS
from doorctl.store.alarms import AlarmRecords, StoredAlarms
from doorctl.web.heartbeat import start_heartbeat

if TYPE_CHECKING:
    from doorctl.services.deeds import OpenBranch
    from doorctl.web.branch_thread import BranchThread
from doorctl.services.alarms import sinks

WATCH_S = 20.0
"""Between two questions whether the door process is there."""

WATCH_LIMIT_S = 2.0

TABLE = "alarms"
"""The part of web that keeps alarms in ``branch.db``."""


class WebsAlarms:
    """The web process's alarms, its own and the door's.

    Each way out has a thread of its own, and so has the table: a slow one delays no other. A way
    whose password, secret or authority can't be read is left out and alarmed as ``alarm_not_sent``,
    by the other way too.

    `look` compares the table with both processes, as is done every :data:`WATCH_S`.

    `journal` takes each line first. `log` is the log for all of web, `answers` are web's answers to
    the door about alarms, each of which `door_told` gets too. `notifiers` outlives this object and
    keeps each way's notices. Alarms are sent by all of the `ways`.
    """

    def __init__(
        self,
        config: Config,
        journal: EventLog,
        clock: Clock,
        stack: ExitStack,
        notifiers: Notifiers,
    ) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self._raised = Raised()
        self.ways: list[Notifier] = []
        self._waiting: Outbox[RaisedAlarm] = Outbox(
            self._keep,
            self._keeping_failed,
            given_up_s=math.inf,
            went=lambda: self._table_failing.tell(None),
        )
        self._branch: BranchThread | None = None
        self._wake: Callable[[], None] = lambda: None
        self._silent: set[str] = set()
        self.look: Callable[[], object] = lambda: None
        self.log: EventLog = AlarmLog(journal, self._hear, clock, self._raised)
        self._table_failing = AlarmOnce(self.log, "branch_failing", TABLE)
        self.door_told: Callable[[RaisedAlarm], None] = lambda _heard: None
        self.answers: Answers = alarm_answers(self._hear_door, clock)
        self._open_ways(stack, notifiers)
        start_heartbeat(config, clock, self.log, stack)

    def kept_in(self, branch: BranchThread, stack: ExitStack) -> StandingAlarms:
        """Begin to keep alarms in ``branch.db`` and to watch the door; return what pages show.

        `branch` must outlast the callbacks that are added to `stack` here.
        """
        self._branch = branch
        records = AlarmRecords(self._config.storage.branch_db)
        stack.callback(records.close)
        standing = StandingAlarms(
            records, branch, self._silence, lambda: not all(way.fails for way in self.ways)
        )
        self._silence_again(records)
        self._wake = started(
            lambda: self._waiting.turn(self._clock.monotonic_s()), "standing", self._journal, stack
        ).wake
        watch = DoorWatch(
            lambda: STATUS.ask(self._config.control.socket, Nothing(), timeout_s=WATCH_LIMIT_S),
            self.log,
        )

        def look() -> bool:
            watch.turn()
            # What fails here is tried again at the next turn, and told where it is written.
            with suppress(DoorctlError):
                self._compare(records)
            return True

        self.look = look
        started(look, "watch", self._journal, stack, WATCH_S)
        return standing

    def _open_ways(self, stack: ExitStack, notifiers: Notifiers) -> None:
        """Send by each usable way on a thread of its own; one that begins to fail tells the others.

        Our own faults there go to the journal alone.
        """
        alarms, clock = self._config.alarms, self._clock
        ration = Ration(alarms.min_interval_min * 60, alarms.most_per_hour)
        usable, unusable = sinks(self._config)
        for name, sink in usable.items():
            way = notifiers.setdefault(name, Notifier(self._config.branch.name, name, ration))
            way.renew(sink, ration, clock=clock, log=self.log)
            way.wake = started(way.turn, name, self._journal, stack).wake
            self.ways.append(way)
        for name, why in unusable.items():
            not_sent(self.log, f"{name}: {why}", name)

    def _hear_door(self, heard: RaisedAlarm) -> None:
        self.door_told(heard)
        self._hear(heard)

    def _hear(self, heard: RaisedAlarm) -> None:
        for way in self.ways:
            way.hear(heard)
        self._waiting.put(heard)
        self._wake()

    def _keep(self, heard: RaisedAlarm) -> None:
        now_s = self._clock.monotonic_s()

        def use(alarms: StoredAlarms, moment: Moment) -> None:
            alarms.hear(to_be_kept(heard, moment, now_s), moment)

        self._write(use)
        if (ended := kind_of(heard.kind).clears) is not None:
            self._listen_again({*self._silent} - {ended})

    def _keeping_failed(self, why: str) -> None:
        # Where that is what waits, it was told already.
        if "branch_failing" not in self._waiting.kinds():
            self._table_failing.tell(f"alarms: {why}", again=True)

    def _compare(self, records: AlarmRecords) -> None:
        kept = records.standing()
        self._listen_again({row.kind for row in kept})
        doors, doors_well = ask_standing(self._config.control.socket, self._clock)
        moment, now_s = self._clock.moment(), self._clock.monotonic_s()
        raised = [to_be_kept(alarm, moment, now_s) for alarm in (*doors, *self._raised.standing())]
        well = {Source.DOOR: doors_well, Source.WEB: self._raised.well()}
        found = differences(kept, raised, well, moment.known_time)
        for kind in found.disproved:
            # People who were called about it by a process that has ended hear of its end too.
            self._journal.emit("alarm", kind=ENDS[kind])
            self._hear(RaisedAlarm(ENDS[kind], "", now_s))
        if not found.missing and not found.forgotten:
            return

        def use(alarms: StoredAlarms, moment: Moment) -> None:
            for change in found.missing:
                alarms.hear(change, moment)
            if found.forgotten:
                alarms.end(found.forgotten, moment)

        self._write(use)

    def _listen_again(self, standing: set[str]) -> None:
        # What is over, by whatever end, is told again when it comes back.
        for kind in self._silent - standing:
            self._silent.discard(kind)
            for way in self.ways:
                way.listen(kind)

    def _write(self, use: Callable[[StoredAlarms, Moment], None]) -> None:
        if self._branch is None:
            raise NotSentError("branch.db is not open yet")
        try:
            self._branch.run(lambda opened, moment: use(StoredAlarms(opened.writer), moment))
        except StoreError as err:
            raise NotSentError(str(err)) from err

    def _silence_again(self, records: AlarmRecords) -> None:
        # What was acknowledged before web began anew is not sent again either.
        with suppress(StoreError):
            for record in records.standing():
                if record.acknowledged_at is not None:
                    self._silence(record.kind)

    def _silence(self, kind: str) -> None:
        self._silent.add(kind)
        for way in self.ways:
            way.silence(kind)


class StandingAlarms:
    """Alarms as the pages see them. Thread-safe; a call may raise `StoreError`.

    `silence` gets the kind that is not to be sent again while it stands; it must not block.
    `reach` tells whether alarms leave the house by some way, as far as is known.
    """

    def __init__(
        self,
        records: AlarmRecords,
        branch: BranchThread,
        silence: Callable[[str], None],
        reach: Callable[[], bool],
    ) -> None:
        self._records = records
        self._branch = branch
        self._silence = silence
        self.reach = reach

    def standing(self) -> tuple[AlarmRecord, ...]:
        """Return what stands: the most urgent first, and of these the longest standing."""
        return tuple(sorted(self._records.standing(), key=lambda row: ORDER[row.known.urgency]))

    def acknowledge(self, kind: str, by: str) -> None:
        """Put on record that the login `by` has seen an alarm; it waits for the disk.

        The caller has checked that they may. The alarm is not sent again while it stands, unless it
        is a call for help. An alarm that has no end of its own is over. A second acknowledgement
        changes nothing. Raises InputError: none of that kind stands. StuckError: it may be on
        record, or not.
        """

        def use(opened: OpenBranch, moment: Moment) -> bool:
            with opened.audit.together(moment):
                changed = StoredAlarms(opened.writer).acknowledge(kind, account(by), moment)
                if changed:
                    deed = Deed(Action.ALARM_ACKNOWLEDGED, details={"alarm": kind})
                    opened.audit.append(deed, by, moment)
            return changed

        if self._branch.run(use):
            self._silence(kind)
