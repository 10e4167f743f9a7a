"""What each staff page stands on: one desk a page, its methods and the values that cross.

A desk is thread-safe and may wait for a disk or the door process, at most seconds. Where people
are looked at or something is changed it is told by whom, and that is on the audit log before
anything is returned. Adapters stand in `bootstrap`, fakes in `tests/fakes`.

Every method raises `DoorctlError`: `InputError` for what makes no sense, `StoreError` for a
database that can't be read or written, `NotAnsweringError` where the door has to be asked.
"""

from __future__ import annotations

from doorctl.web.desks.days import CalendarDay, CalendarDesk, StatisticsDesk
from doorctl.web.desks.log import DayPicture, DoorLog, LogFilter, LogPage, ModeBand, Slot
from doorctl.web.desks.now import BranchPicture, DoorNow, HoursNow, NowDesk, RegisterNow
from doorctl.web.desks.people import ExplainDesk, Named, SubjectDesk, TakenAs
from doorctl.web.desks.records import AuditDesk, HoldDesk
from doorctl.web.desks.rights import (
    BanAsked,
    BanEnded,
    BanLetter,
    BanListed,
    BanMade,
    BansDesk,
    PassesDesk,
)

__all__ = [
    "AuditDesk",
    "BanAsked",
    "BanEnded",
    "BanLetter",
    "BanListed",
    "BanMade",
    "BansDesk",
    "BranchPicture",
    "CalendarDay",
    "CalendarDesk",
    "DayPicture",
    "DoorLog",
    "DoorNow",
    "ExplainDesk",
    "HoldDesk",
    "HoursNow",
    "LogFilter",
    "LogPage",
    "ModeBand",
    "Named",
    "NowDesk",
    "PassesDesk",
    "RegisterNow",
    "Slot",
    "StatisticsDesk",
    "SubjectDesk",
    "TakenAs",
]
