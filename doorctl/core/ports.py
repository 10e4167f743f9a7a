"""The machine around the rules, as they see it: clocks, log, supervisor, seal, alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from doorctl.core.alarms import ENDS, KINDS, AlarmKind
from doorctl.core.errors import DoorctlError
from doorctl.core.masked import Identifier, StretchedKey
from doorctl.core.moments import BootTime, ClockState, Moment


class Clock(Protocol):
    """The machine's clocks. Thread-safe."""

    def monotonic_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds: for pulses, time-outs and deadlines."""

    def boot_time(self) -> BootTime:
        """Return CLOCK_BOOTTIME: for what must survive a restart."""

    def moment(self) -> Moment:
        """Return the wall clock in the branch's time zone and how far it can be trusted."""

    def asks_at_s(self) -> float:
        """Return when, by `monotonic_s`, the next `moment` takes longer: time sources are asked."""

    def bounded(self, *, believed: bool = False) -> Moment:
        """Return the same with its `bounds`, for retention.

        If `believed`, somebody answers for the wall clock: for retention it is right, from now on.
        """


class EventLog(Protocol):
    """Takes the fixed log lines. Thread-safe, never blocks, never raises."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; keys that are not on the allow-list are left out."""


WELL = "well"
"""What the log is told where an alarm would be wrong now, with its `kind` and `part`.

It is no line: it ends what was alarmed, by an earlier process too; else nobody hears of it.
"""


@dataclass(eq=False)
class AlarmOnce:
    """Tells the log of an alarm once, until all is well; then of its end, if its kind has one.

    The first time that all is well ends what an earlier process has alarmed. `part` is for a kind
    that several parts of a process raise.
    """

    log: EventLog
    kind: str
    part: str = ""
    stands: bool | None = None

    def tell(self, why: str | None, *, again: bool = False) -> None:
        """Take note of what is wrong, None for nothing; `again` tells it though it stands."""
        before, self.stands = self.stands, why is not None
        part = {"part": self.part} if self.part else {}
        if why is not None and (again or not before):
            self.log.emit("alarm", kind=self.kind, why=why, **part)
        elif why is None and before and self.kind in ENDS:
            self.log.emit("alarm", kind=ENDS[self.kind], **part)
        elif why is None and before is None:
            self.log.emit(WELL, kind=self.kind, **part)


@dataclass(frozen=True, slots=True)
class Notice:
    """An alarm as it leaves the house; it names nobody.

    `id` is 32 hex digits, the same for each try. It was heard last `at`, aware, by a clock as good
    as `clock`, and `times` since the last notice of its kind.
    """

    id: str
    branch: str
    kind: str
    at: datetime
    clock: ClockState
    why: str
    times: int = 1

    @property
    def known(self) -> AlarmKind:
        """What the list says of its kind."""
        return KINDS[self.kind]


class NotSentError(DoorctlError, ConnectionError):
    """An alarm did not reach the mail server, the webhook or the web process; it is tried again."""


class AlarmSink(Protocol):
    """One way by which alarms leave the house. One thread; may wait for its own time limit.

    NotSentError: it did not go, or nobody knows; the text says nothing of what was sent.
    """

    def send(self, notice: Notice) -> None:
        """Send one notice; return when the other end has taken it."""


Positive = Annotated[
    int, Meta(ge=1, le=2**63 - 1, description="give a whole number from 1 to 2^63 - 1")
]


class Unshown(Struct, frozen=True, forbid_unknown_fields=True):
    """A message whose content can't be printed: exact field names, and a `repr` without values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class Seal(Struct, frozen=True, forbid_unknown_fields=True):
    """What rows are sealed with: the key, by `doorctl.store.sealer.key_id`, and Argon2id's cost."""

    key_id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}\Z")]
    memory_kib: Positive
    iterations: Positive


class Sealer(Protocol):
    """Stretches an identifier into the key under which its row is kept. Thread-safe, slow."""

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K`` of the design's section 4; about 0.3 s on the smallest Pi."""
