"""The interfaces between the application and the world, and their values.

An adapter for each stands in `devices`, `store`, `sources`, `notices`, `rpc` or `ops`; its fake
stands in `tests/fakes` and passes the same contract suite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from doorctl.ports.branch import (
    BanEntry,
    BranchBook,
    BranchWriter,
    CalendarWriter,
    DaySource,
    PassEntry,
    RightsList,
    RightsWriter,
    StoredCalendar,
    StoredDay,
    StoredDays,
    Week,
)
from doorctl.ports.machine import AlarmSink, Clock, Disk, EventLog, Notice, NotSentError, Supervisor
from doorctl.ports.patrons import (
    Applied,
    CacheStamp,
    Changes,
    Guard,
    PatronLookup,
    PatronWriter,
    Push,
    SealedRow,
    Sealer,
)
from doorctl.ports.visits import (
    ATTEMPT,
    LEAF,
    OPENED,
    HourCount,
    HourlyReader,
    Stamped,
    Visit,
    VisitLog,
    VisitReader,
    VisitRetention,
)

if TYPE_CHECKING:
    from doorctl.ports.devices import (
        IN_DOUBT,
        BytesReceived,
        Inputs,
        Levels,
        LineConnected,
        LineEvent,
        LineLost,
        Outputs,
        Panel,
        PanelDoor,
        PanelView,
        Relay,
        Signals,
    )
    from doorctl.ports.library import Library, LibraryPatron, LibraryReply, LibrarySystem

__all__ = [
    "ATTEMPT",
    "IN_DOUBT",
    "LEAF",
    "OPENED",
    "AlarmSink",
    "Applied",
    "BanEntry",
    "BranchBook",
    "BranchWriter",
    "BytesReceived",
    "CacheStamp",
    "CalendarWriter",
    "Changes",
    "Clock",
    "DaySource",
    "Disk",
    "EventLog",
    "Guard",
    "HourCount",
    "HourlyReader",
    "Inputs",
    "Levels",
    "Library",
    "LibraryPatron",
    "LibraryReply",
    "LibrarySystem",
    "LineConnected",
    "LineEvent",
    "LineLost",
    "NotSentError",
    "Notice",
    "Outputs",
    "Panel",
    "PanelDoor",
    "PanelView",
    "PassEntry",
    "PatronLookup",
    "PatronWriter",
    "Push",
    "Relay",
    "RightsList",
    "RightsWriter",
    "SealedRow",
    "Sealer",
    "Signals",
    "Stamped",
    "StoredCalendar",
    "StoredDay",
    "StoredDays",
    "Supervisor",
    "Visit",
    "VisitLog",
    "VisitReader",
    "VisitRetention",
    "Week",
]


def __getattr__(name: str) -> Any:
    """Import `devices` and `library` at their first use: small commands save 30 ms."""
    for late in ("devices", "library"):
        found = vars(import_module(f"{__name__}.{late}"))
        if name in __all__ and name in found:
            return found[name]
    raise AttributeError(name)
